//! What the tests of the capture file share.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use pcap_file::pcapng::{
    Block, PcapNgReader, blocks::interface_statistics::InterfaceStatisticsOption as Stat,
};
use proptest::prelude::*;

use super::{
    Annotations, Frames, InterfaceDescription, LinkType, PcapngFile, Section, minimum_len,
};
use crate::{
    packet::{Direction, Gso, InterfaceId, Packet, Reception},
    sink::output::fake::Fake,
};

/// Ethernet, whole frames.
pub(super) const FRAMES: Frames = Frames::new(LinkType::Ethernet, 0);

/// Two interfaces with every option and with the fewest.
pub(super) const INTERFACES: [InterfaceDescription<'_>; 2] = [
    InterfaceDescription {
        name: "veth2482a36",
        description: Some("veth, container web, netns 4026532281"),
        mac: Some([2, 0x42, 0xac, 0x11, 0, 2]),
        filter: Some("tcp port 443"),
        os: Some("Linux 6.18"),
    },
    InterfaceDescription {
        name: "eth0",
        description: None,
        mac: None,
        filter: None,
        os: None,
    },
];

/// An incoming packet without anything special to it.
pub(super) fn plain(interface: InterfaceId, frame: &[u8]) -> Packet<'_> {
    Packet {
        time: 1_700_000_000_123_456_789,
        interface,
        direction: Direction::In,
        reception: Some(Reception::Unicast),
        original_len: u32::try_from(frame.len()).unwrap(),
        frame,
        lost_before: 0,
        gso: None,
    }
}

/// A packet that owns its frame.
#[derive(Clone, Debug)]
pub(super) struct OwnPacket {
    packet: Packet<'static>,
    frame: Vec<u8>,
    comments: Vec<String>,
    packet_id: Option<u64>,
}

impl OwnPacket {
    pub(super) fn borrow<T>(&self, use_it: impl FnOnce(&Packet<'_>, &Annotations<'_>) -> T) -> T {
        let comments: Vec<&str> = self.comments.iter().map(String::as_str).collect();
        let packet = Packet {
            frame: &self.frame,
            ..self.packet
        };
        use_it(
            &packet,
            &Annotations {
                comments: &comments,
                packet_id: self.packet_id,
            },
        )
    }
}

/// Any packet seen on one of that many interfaces, its frame shorter than `longest`.
pub(super) fn packets(interfaces: u32, longest: usize) -> impl Strategy<Value = OwnPacket> {
    let frame = (0..longest, any::<u8>()).prop_map(|(len, seed)| {
        (0..len)
            .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
            .collect::<Vec<u8>>()
    });
    let direction = prop_oneof![Just(Direction::In), Just(Direction::Out)];
    let reception = prop_oneof![
        Just(None),
        Just(Some(Reception::Unicast)),
        Just(Some(Reception::Multicast)),
        Just(Some(Reception::Broadcast)),
        Just(Some(Reception::Promiscuous)),
    ];
    let lost = prop_oneof![Just(0), any::<u64>()];
    let gso = proptest::option::of(any::<(u16, u16)>());
    let comments = proptest::collection::vec(".{0,40}", 0..3);
    let numbers = (any::<u64>(), 0..interfaces, 0u32..100_000);
    (
        numbers,
        direction,
        reception,
        frame,
        lost,
        gso,
        comments,
        any::<Option<u64>>(),
    )
        .prop_map(
            |(
                (time, interface, cut),
                direction,
                reception,
                frame,
                lost_before,
                gso,
                comments,
                id,
            )| {
                let original_len = u32::try_from(frame.len()).unwrap() + cut;
                let gso = gso.map(|(size, segments)| Gso { size, segments });
                let packet = Packet {
                    time,
                    interface,
                    direction,
                    reception,
                    original_len,
                    frame: &[],
                    lost_before,
                    gso,
                };
                OwnPacket {
                    packet,
                    frame,
                    comments,
                    packet_id: id,
                }
            },
        )
}

/// What another reader makes of a file; it must take every byte of it.
pub(super) fn read(file: &[u8]) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut blocks = vec![Block::SectionHeader(reader.section().clone())];
    while let Some(block) = reader.next_block() {
        blocks.push(block.unwrap().0.into_owned());
    }
    blocks
}

/// A file with [`INTERFACES`] on that destination.
pub(super) fn begin(fake: &Fake) -> PcapngFile<Fake> {
    PcapngFile::begin_on(
        "x.pcapng",
        fake.clone(),
        &Section::default(),
        FRAMES,
        &INTERFACES,
    )
    .unwrap()
}

/// The finished length of such a file without packets.
pub(super) fn minimum() -> usize {
    minimum_len(&Section::default(), FRAMES, &INTERFACES).unwrap() as usize
}

/// Packets of each of two interfaces in a file.
pub(super) fn packets_in(blocks: &[Block<'_>]) -> [u64; 2] {
    let mut counts = [0; 2];
    for packet in blocks.iter().filter_map(Block::as_enhanced_packet) {
        counts[packet.interface_id as usize] += 1;
    }
    counts
}

/// `isb_ifdrop` and `isb_usrdeliv` of each statistics block in a file, with its interface.
pub(super) fn ledger_in(blocks: &[Block<'_>]) -> Vec<(u32, u64, u64)> {
    let find = |options: &[Stat<'_>], pick: fn(&Stat<'_>) -> Option<u64>| {
        options.iter().find_map(pick).unwrap()
    };
    let blocks = blocks.iter().filter_map(Block::as_interface_statistics);
    blocks
        .map(|block| {
            let lost = find(&block.options, |it| match it {
                Stat::IsbIfDrop(n) => Some(*n),
                _ => None,
            });
            let written = find(&block.options, |it| match it {
                Stat::IsbUsrDeliv(n) => Some(*n),
                _ => None,
            });
            (block.interface_id, lost, written)
        })
        .collect()
}
