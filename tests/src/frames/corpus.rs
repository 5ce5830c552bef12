//! Collections of frames: what a node may see in a day, and what it should never see.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ip::{DESTINATION_OPTIONS, HOP_BY_HOP, Ipv4, Ipv6, NO_NEXT_HEADER, ROUTING};
use super::transport::{self, ACK, FIN, GRE, ICMP, ICMP6, PSH, RST, SCTP, SYN, TCP, UDP};
use super::{
    ARP, DOT1AD, DOT1Q, EXPERIMENT, Flow, Frame, IPV4, IPV6, arp, ethernet, ethernet_ip, tagged,
};

/// The first IPv4 host, on a network with [`SECOND_V4`].
pub const FIRST_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The second IPv4 host.
pub const SECOND_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
/// An IPv4 host on another network.
pub const THIRD_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// The first IPv6 host, on a network with [`SECOND_V6`].
pub const FIRST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
/// The second IPv6 host.
pub const SECOND_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
/// An IPv6 host on another network.
pub const THIRD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 7);

/// All collections one after another.
#[must_use]
pub fn everything() -> Vec<Frame> {
    let mut frames = rich();
    frames.extend(behind_extension_headers());
    frames.extend(malformed().into_iter().map(|(_, frame)| frame));
    frames
}

/// Whether Linux lets anybody see the frame when it comes in. Of a frame with a VLAN tag it wants
/// two bytes more than the tag (`skb_vlan_untag`).
#[must_use]
pub fn comes_in(frame: &Frame) -> bool {
    let tagged = matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
    !tagged || frame.len() >= 20
}

/// What a device without a link header has of these frames: the IP packets that no tag is before.
#[must_use]
pub fn ip_packets(frames: &[Frame]) -> Vec<Frame> {
    let is_ip = |frame: &&Frame| {
        let ethertype = frame.get(12..14);
        frame.len() > 14
            && [IPV4, IPV6]
                .iter()
                .any(|ip| ethertype == Some(&ip.to_be_bytes()[..]))
    };
    frames
        .iter()
        .filter(is_ip)
        .map(|frame| frame[14..].to_vec())
        .collect()
}

/// Well-formed frames of many kinds: three hosts of each IP version that talk over TCP, UDP, SCTP,
/// ICMP and GRE on several ports, ARP, one and two VLAN tags, fragments, options, and protocols
/// that aren't IP at all.
#[must_use]
pub fn rich() -> Vec<Frame> {
    let mut frames = conversations();
    // A second helping of some, inside tags.
    let plain = frames.clone();
    frames.extend(plain.iter().step_by(3).map(|frame| tagged(DOT1Q, 5, frame)));
    frames.extend(
        plain
            .iter()
            .step_by(5)
            .map(|frame| tagged(DOT1Q, 7 << 13 | 4_094, frame)),
    );
    frames.extend(
        plain
            .iter()
            .step_by(4)
            .map(|frame| tagged(DOT1AD, 100, &tagged(DOT1Q, 200, frame))),
    );
    frames.extend(fragments());
    frames.push(ethernet(EXPERIMENT, b"not a protocol of the Internet"));
    frames
}

fn conversations() -> Vec<Frame> {
    let hosts = [
        (
            format!("{FIRST_V4}"),
            format!("{SECOND_V4}"),
            format!("{THIRD_V4}"),
        ),
        (
            format!("[{FIRST_V6}]"),
            format!("[{SECOND_V6}]"),
            format!("[{THIRD_V6}]"),
        ),
    ];
    let mut frames = Vec::new();
    for (first, second, third) in hosts {
        for (from, to) in [(&first, &second), (&first, &third), (&third, &second)] {
            for (client, server) in [(40_000, 80), (40_001, 443), (80, 8_080), (443, 444)] {
                let flow = Flow::new(&format!("{from}:{client}"), &format!("{to}:{server}"));
                frames.push(flow.tcp(SYN, b""));
                frames.push(flow.back().tcp(SYN | ACK, b""));
                frames.push(flow.tcp(ACK | PSH, b"GET / HTTP/1.1\r\n\r\n"));
                frames.push(flow.back().tcp(FIN | ACK, b""));
                frames.push(flow.tcp(RST, b""));
            }
            for server in [53, 123, 4_789, 8_080] {
                let flow = Flow::new(&format!("{from}:50000"), &format!("{to}:{server}"));
                frames.push(flow.udp(&[server as u8; 40]));
                frames.push(flow.back().udp(&[0x55; 200]));
            }
            let flow = Flow::new(&format!("{from}:36412"), &format!("{to}:80"));
            frames.push(flow.sctp(b"signalling"));
            frames.push(flow.echo(&[0x61; 56]));
            frames.push(flow.around(GRE, &[0, 0, 8, 0]));
        }
    }
    let with_options = Ipv4::new(FIRST_V4, SECOND_V4).options(&[148, 4, 0, 0, 1, 1]);
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    frames.push(ethernet(
        IPV4,
        &with_options.packet(TCP, &transport::tcp(flow, SYN, b"")),
    ));
    for (one, other) in [
        (FIRST_V4, SECOND_V4),
        (SECOND_V4, FIRST_V4),
        (THIRD_V4, FIRST_V4),
    ] {
        frames.push(arp(1, one, other));
        frames.push(arp(2, other, one));
    }
    frames
}

/// Datagrams in fragments: of IPv4 over TCP and UDP, and of IPv6 over UDP. Only the first of each
/// holds the ports.
#[must_use]
pub fn fragments() -> Vec<Frame> {
    let mut frames = Vec::new();
    let udp = transport::udp(Flow::new("192.0.2.1:50000", "192.0.2.200:53"), &[7; 3_000]);
    let tcp = transport::tcp(
        Flow::new("192.0.2.1:40001", "192.0.2.200:443"),
        ACK,
        &[8; 2_000],
    );
    for (identification, protocol, whole) in [(11, UDP, &udp), (12, TCP, &tcp)] {
        for (index, part) in whole.chunks(1_024).enumerate() {
            let (offset, more) = (index * 1_024, (index + 1) * 1_024 < whole.len());
            let header =
                Ipv4::new(FIRST_V4, SECOND_V4).fragment(identification, offset as u16, more);
            frames.push(ethernet(IPV4, &header.packet(protocol, part)));
        }
    }
    let flow = Flow::new("[2001:db8:1::1]:50000", "[2001:db8:1::2]:53");
    let udp = transport::udp(flow, &[9; 3_000]);
    for (index, part) in udp.chunks(1_024).enumerate() {
        let (offset, more) = (index * 1_024, (index + 1) * 1_024 < udp.len());
        let header = Ipv6::new(FIRST_V6, SECOND_V6).fragment(13, offset as u16, more);
        frames.push(ethernet(IPV6, &header.packet(UDP, part)));
    }
    frames
}

/// UDP from port 50000 to port 53 behind each IPv6 extension header alone, and behind the longest
/// chain that RFC 8200, 4.1 recommends.
#[must_use]
pub fn behind_extension_headers() -> Vec<Frame> {
    let flow = Flow::new("[2001:db8:1::1]:50000", "[2001:db8:1::2]:53");
    let datagram = transport::udp(flow, b"behind");
    let header = || Ipv6::new(FIRST_V6, SECOND_V6);
    let chains = [
        header().extension(HOP_BY_HOP, 8),
        header().extension(HOP_BY_HOP, 64),
        header().extension(DESTINATION_OPTIONS, 16),
        header().extension(ROUTING, 24),
        header().authentication(24),
        header()
            .extension(HOP_BY_HOP, 8)
            .extension(DESTINATION_OPTIONS, 8)
            .extension(ROUTING, 24)
            .fragment(21, 0, true)
            .authentication(24)
            .extension(DESTINATION_OPTIONS, 16),
    ];
    chains
        .iter()
        .map(|chain| ethernet(IPV6, &chain.packet(UDP, &datagram)))
        .collect()
}

/// Frames of one to thirteen bytes, less than an Ethernet header. No interface takes them; they
/// are for programs that are run by hand.
#[must_use]
pub fn runts() -> Vec<Frame> {
    let sound = Flow::new("192.0.2.1:40000", "192.0.2.200:443").tcp(SYN, b"");
    (1..14).map(|len| sound[..len].to_vec()).collect()
}

/// Frames that no honest sender makes, each with what is wrong with it. All have a whole Ethernet
/// header, without which Linux doesn't take them.
#[must_use]
pub fn malformed() -> Vec<(String, Frame)> {
    let mut frames = truncated();
    frames.extend(odd_ipv4());
    frames.extend(odd_ipv6());
    frames.extend(odd_links());
    frames
}

/// Sound frames cut off after every byte of their headers.
fn truncated() -> Vec<(String, Frame)> {
    let v4 = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let v6 = Flow::new("[2001:db8:1::1]:40000", "[2001:db8:1::2]:443");
    let chain = Ipv6::new(FIRST_V6, SECOND_V6)
        .extension(HOP_BY_HOP, 8)
        .extension(ROUTING, 24)
        .authentication(24)
        .fragment(31, 0, false)
        .extension(DESTINATION_OPTIONS, 16)
        .packet(TCP, &transport::tcp(v6, SYN, b""));
    let whole = [
        ("TCP over IPv4", v4.tcp(SYN, b"")),
        ("UDP over IPv4", v4.udp(b"")),
        ("SCTP over IPv4", v4.sctp(b"")),
        ("TCP over IPv6", v6.tcp(SYN, b"")),
        (
            "TCP behind a chain of IPv6 extension headers",
            ethernet_ip(&chain),
        ),
        ("ARP", arp(1, FIRST_V4, SECOND_V4)),
        (
            "TCP in two tags",
            tagged(DOT1AD, 1, &tagged(DOT1Q, 2, &v4.tcp(SYN, b""))),
        ),
    ];
    let mut frames = Vec::new();
    for (name, frame) in whole {
        frames.extend(
            (14..frame.len())
                .map(|len| (format!("{name}, {len} bytes of it"), frame[..len].to_vec())),
        );
    }
    frames
}

fn odd_ipv4() -> Vec<(String, Frame)> {
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let sound = flow.tcp(SYN, b"payload");
    let with = |at: usize, value: &[u8]| {
        let mut frame = sound.clone();
        frame[14 + at..][..value.len()].copy_from_slice(value);
        frame
    };
    let mut frames = Vec::new();
    for words in 0..16 {
        frames.push((
            format!("IPv4 header of {words} words"),
            with(0, &[0x40 | words]),
        ));
    }
    for version in [0, 5, 6, 15] {
        frames.push((
            format!("version {version} as IPv4"),
            with(0, &[version << 4 | 5]),
        ));
    }
    for len in [0, 1, 19, 20, 21, 0xffff_u16] {
        frames.push((
            format!("IPv4 total length {len}"),
            with(2, &len.to_be_bytes()),
        ));
    }
    for offset in [1, 0x1fff, 0x3fff_u16] {
        frames.push((
            format!("IPv4 fragment field {offset:#x}"),
            with(6, &offset.to_be_bytes()),
        ));
    }
    for protocol in [0, ICMP, UDP, SCTP, 255] {
        frames.push((
            format!("TCP called protocol {protocol}"),
            with(9, &[protocol]),
        ));
    }
    for words in 0..5 {
        frames.push((
            format!("TCP header of {words} words"),
            with(20 + 12, &[words << 4]),
        ));
    }
    let full = Ipv4::new(FIRST_V4, SECOND_V4).options(&[1; 40]);
    let packet = full.packet(TCP, &transport::tcp(flow, SYN, b""));
    frames.push(("40 bytes of IPv4 options".into(), ethernet(IPV4, &packet)));
    frames.push((
        "40 bytes of options, no payload".into(),
        ethernet(IPV4, &full.packet(TCP, b"")),
    ));
    frames.push(("UDP length 0".into(), {
        let mut frame = flow.udp(b"payload");
        frame[14 + 20 + 4..][..2].fill(0);
        frame
    }));
    frames
}

fn odd_ipv6() -> Vec<(String, Frame)> {
    let flow = Flow::new("[2001:db8:1::1]:40000", "[2001:db8:1::2]:443");
    let segment = transport::tcp(flow, SYN, b"payload");
    let header = || Ipv6::new(FIRST_V6, SECOND_V6);
    let mut frames = Vec::new();
    let mut add = |name: &str, packet: Vec<u8>| frames.push((name.into(), ethernet(IPV6, &packet)));
    add("no next header", header().packet(NO_NEXT_HEADER, b""));
    add(
        "no next header, yet more",
        header().packet(NO_NEXT_HEADER, &segment),
    );
    add("an unknown next header", header().packet(253, &segment));
    add("ICMPv6 without a message", header().packet(ICMP6, b""));
    add(
        "a later fragment",
        header().fragment(41, 1_480, false).packet(TCP, &segment),
    );
    add(
        "an atomic fragment",
        header().fragment(42, 0, false).packet(TCP, &segment),
    );
    for many in [7, 8, 9, 20] {
        let chain = (0..many).fold(header(), |chain, _| chain.extension(DESTINATION_OPTIONS, 8));
        add(
            &format!("{many} extension headers"),
            chain.packet(TCP, &segment),
        );
    }
    add(
        "a long extension header",
        header().extension(HOP_BY_HOP, 1_400).packet(TCP, b""),
    );
    for kind in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS] {
        let mut packet = header().extension(kind, 8).packet(TCP, &segment);
        packet[41] = 255;
        add(
            &format!("extension header {kind} that claims 2048 bytes"),
            packet,
        );
    }
    let mut packet = header().authentication(24).packet(TCP, &segment);
    packet[41] = 0;
    add("an authentication header that claims 8 bytes", packet);
    for len in [0, 1, 0xffff_u16] {
        let mut packet = header().packet(TCP, &segment);
        packet[4..6].copy_from_slice(&len.to_be_bytes());
        add(&format!("IPv6 payload length {len}"), packet);
    }
    frames
}

fn odd_links() -> Vec<(String, Frame)> {
    let sound = Flow::new("192.0.2.1:40000", "192.0.2.200:443").tcp(SYN, b"payload");
    let mut frames = vec![
        ("an Ethernet header alone".into(), sound[..14].to_vec()),
        (
            "an 802.3 length for an EtherType".into(),
            ethernet(40, &[0x42; 40]),
        ),
        ("all zeros".into(), vec![0; 60]),
        ("all ones".into(), vec![0xff; 60]),
        ("IPv4 called IPv6".into(), ethernet(IPV6, &sound[14..])),
        ("IPv4 called ARP".into(), ethernet(ARP, &sound[14..])),
    ];
    for tags in 1..=5 {
        let frame = (0..tags).fold(sound.clone(), |frame, tag| tagged(DOT1Q, tag + 1, &frame));
        frames.push((format!("{tags} 802.1Q tags"), frame));
    }
    for hardware_len in [0, 1, 255] {
        let mut frame = arp(1, FIRST_V4, SECOND_V4);
        frame[14 + 4] = hardware_len;
        frames.push((
            format!("ARP with link addresses of {hardware_len} bytes"),
            frame,
        ));
    }
    frames
}
