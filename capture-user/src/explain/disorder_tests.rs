//! Files whose packets aren't in the order of time, or that don't say which way they went.

use proptest::prelude::*;

use super::tests::{BOUNDS, RST_ACK, SYN, explain, pcap, refused};

const ACK: u8 = 16;
const POD: [u8; 4] = [10, 9, 1, 2];
const NODE: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 9];
/// Of the file: the uplink, described first, and the container's.
const UPLINK: u32 = 0;
const VETH: u32 = 1;

/// A TCP segment at an interface, so many microseconds after the beginning.
#[derive(Clone, Debug)]
struct Seen {
    at: u32,
    interface: u32,
    ip: Vec<u8>,
}

impl Seen {
    fn block(&self) -> Vec<u8> {
        let time = 1_700_000_000_000_000 + u64::from(self.at);
        let len = self.ip.len() as u32;
        let fields = [self.interface, (time >> 32) as u32, time as u32, len, len];
        let body: Vec<u8> = fields.iter().flat_map(|it| it.to_le_bytes()).collect();
        block(6, &[body, self.ip.clone()].concat())
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes()[..], &len, body, &len].concat()
}

/// A pcapng file of both interfaces with IP packets in this order.
fn pcapng(packets: &[Seen]) -> Vec<u8> {
    let section = block(
        0x0a0d_0d0a,
        &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[255; 8]].concat(),
    );
    let interface = |name: &[u8; 4]| {
        let name = [&[2, 0, 4, 0][..], name, &[0; 4]].concat();
        block(1, &[&[101, 0, 0, 0, 0, 0, 4, 0][..], &name].concat())
    };
    let blocks = packets.iter().flat_map(Seen::block);
    [
        section,
        interface(b"eth0"),
        interface(b"veth"),
        blocks.collect(),
    ]
    .concat()
}

/// A segment of the connection, as it is before and behind the node.
fn segment(at: u32, from_client: bool, flags: u8, numbers: [u32; 2], id: u8) -> [Seen; 2] {
    let ip = |inside: bool| {
        let client = if inside { POD } else { NODE };
        let (ends, ports) = if from_client {
            ([client, SERVER], [5_000_u16, 300])
        } else {
            ([SERVER, client], [300, 5_000])
        };
        let tcp = [
            &ports[0].to_be_bytes()[..],
            &ports[1].to_be_bytes(),
            &numbers[0].to_be_bytes(),
            &numbers[1].to_be_bytes(),
            &[0x50, flags, 0xfa, 0, 0, 0, 0, 0],
        ]
        .concat();
        [
            &[0x45, 0, 0, 40, 0, id, 0x40, 0, 64, 6, 0, 0][..],
            &ends.concat(),
            &tcp,
        ]
        .concat()
    };
    let hop = |at, interface, inside| Seen {
        at,
        interface,
        ip: ip(inside),
    };
    if from_client {
        [hop(at, VETH, true), hop(at + 20, UPLINK, false)]
    } else {
        [hop(at, UPLINK, false), hop(at + 20, VETH, true)]
    }
}

/// A masqueraded connection that the server resets, in the order of time.
fn conversation() -> Vec<Seen> {
    [
        segment(0, true, SYN, [1_000, 0], 1),
        segment(500, false, SYN | ACK, [9_000, 1_001], 2),
        segment(1_000, true, ACK, [1_001, 9_001], 3),
        segment(300_000, false, RST_ACK, [9_001, 1_001], 4),
    ]
    .concat()
}

#[test]
fn what_dumpcap_wrote_interface_by_interface_is_explained_as_it_was() {
    let ordered = conversation();
    let mut by_interface = ordered.clone();
    by_interface.sort_by_key(|packet| packet.interface);
    let wanted = explain(&pcapng(&ordered), BOUNDS);
    assert_eq!(explain(&pcapng(&by_interface), BOUNDS), wanted);
    let (report, ..) = wanted;
    let becomes = "10.9.1.2:5000 > 192.0.2.9:300 becomes 192.0.2.1:5000 > 192.0.2.9:300";
    assert!(report.contains(becomes), "{report}");
    assert!(report.contains("first seen at eth0"), "{report}");
    assert!(
        report.contains("fingerprint: at veth, then at eth0"),
        "{report}"
    );
}

proptest! {
    #[test]
    fn however_the_packets_of_a_moment_lie_in_a_file_they_are_explained_alike(
        order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let ordered = conversation();
        let shuffled: Vec<_> = order.iter().map(|index| ordered[*index].clone()).collect();
        prop_assert_eq!(
            explain(&pcapng(&shuffled), BOUNDS),
            explain(&pcapng(&ordered), BOUNDS)
        );
    }
}

#[test]
fn of_a_file_that_does_not_say_which_way_nothing_is_said_to_have_come_in() {
    let (report, lines, _) = explain(&pcap(&refused(40_000, 5)), BOUNDS);
    assert!(
        lines.iter().all(|line| !line.contains("\"direction\"")),
        "{lines:?}"
    );
    assert!(
        report.contains("first seen at interface 0, the file doesn't say going which way"),
        "{report}"
    );
    assert!(
        !report.contains("entering") && !report.contains("coming in"),
        "{report}"
    );
}

#[test]
fn interfaces_of_which_there_is_no_packet_have_their_names_too() {
    let (report, ..) = explain(&pcapng(&[]), BOUNDS);
    assert!(
        report.contains("  eth0") && report.contains("  veth"),
        "{report}"
    );
}
