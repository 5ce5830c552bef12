//! What a frame says.

use foldhash::fast::RandomState;

use super::super::parse::{Content, Parsed, parse};
use super::{Packet, tuple};
use crate::session::frame::Link;

fn read(frame: &[u8], original: usize, hash: &RandomState) -> Option<Parsed> {
    parse(
        Link::Ethernet,
        frame,
        u32::try_from(original).unwrap(),
        hash,
    )
}

#[test]
fn a_segment_s_numbers_are_read_behind_options_and_tags() {
    let hash = RandomState::default();
    let mut packet = Packet::tcp("[2001:db8::1]:5000", "[2001:db8::2]:443", "P.", 77, 88).data(300);
    packet.stamps = Some((1, 2));
    let mut frame = packet.frame();
    // Two tags.
    frame.splice(12..12, [0x88, 0xa8, 0, 5, 0x81, 0, 0, 6]);
    let parsed = read(&frame, frame.len(), &hash).unwrap();
    assert_eq!(
        parsed.tuple,
        Some(tuple(6, "[2001:db8::1]:5000", "[2001:db8::2]:443"))
    );
    let Content::Tcp { segment, .. } = parsed.content else {
        panic!("{parsed:?}")
    };
    assert_eq!((segment.sequence, segment.acknowledgement), (77, 88));
    assert_eq!((segment.payload, segment.flags), (300, 24));
    assert!(segment.timestamps && segment.ip_id.is_none());
    assert_eq!(segment.header_len, 32);
}

#[test]
fn the_payload_s_length_comes_from_the_headers_when_the_frame_is_cut() {
    let hash = RandomState::default();
    let packet = Packet::tcp("192.0.2.1:5000", "192.0.2.2:443", "P.", 77, 88).data(1_400);
    let frame = packet.frame();
    let parsed = read(&frame[..60], frame.len(), &hash).unwrap();
    let Content::Tcp { segment, .. } = parsed.content else {
        panic!("{parsed:?}")
    };
    assert_eq!(segment.payload, 1_400);
    // Cut within the ports, the flow isn't known; behind them, it is, and its numbers aren't.
    assert!(
        read(&frame[..37], frame.len(), &hash)
            .unwrap()
            .tuple
            .is_none()
    );
    let parsed = read(&frame[..38], frame.len(), &hash).unwrap();
    assert!(parsed.tuple.is_some() && parsed.content == Content::Other);
}

#[test]
fn a_super_frame_that_sixteen_bits_can_t_tell_has_its_true_length() {
    let hash = RandomState::default();
    for (from, to, at) in [
        ("192.0.2.1:5000", "192.0.2.2:443", 16),
        ("[2001:db8::1]:5000", "[2001:db8::2]:443", 18),
    ] {
        let mut frame = Packet::tcp(from, to, ".", 1, 1).data(1_000).frame();
        frame[at..at + 2].fill(0);
        let headers = frame.len() - 1_000;
        let parsed = read(&frame, headers + 180_000, &hash).unwrap();
        let Content::Tcp { segment, .. } = parsed.content else {
            panic!("{parsed:?}")
        };
        assert_eq!(segment.payload, 180_000);
    }
}

#[test]
fn only_the_first_fragment_has_a_flow() {
    let hash = RandomState::default();
    let mut frame = Packet::udp("192.0.2.1:5000", "192.0.2.2:53", &[7; 64]).frame();
    frame[20] = 0x20;
    assert!(read(&frame, frame.len(), &hash).unwrap().tuple.is_some());
    frame[21] = 9;
    assert!(read(&frame, frame.len(), &hash).unwrap().tuple.is_none());
}

#[test]
fn extension_headers_are_passed_over_and_a_later_fragment_of_ipv6_has_no_flow() {
    let hash = RandomState::default();
    let plain = Packet::udp("[2001:db8::1]:5000", "[2001:db8::2]:53", &[7; 64]).frame();
    let with = |chain: &[u8], first: u8| {
        let mut frame = plain.clone();
        frame[20] = first;
        frame.splice(54..54, chain.iter().copied());
        let len = u16::try_from(frame.len() - 54).unwrap();
        frame[18..20].copy_from_slice(&len.to_be_bytes());
        read(&frame, frame.len(), &hash).unwrap().tuple
    };
    let whole = Some(tuple(17, "[2001:db8::1]:5000", "[2001:db8::2]:53"));
    // Hop-by-hop (eight bytes), then destination options (sixteen).
    let mut chain = vec![60, 0, 1, 4, 0, 0, 0, 0, 17, 1];
    chain.resize(24, 0);
    assert_eq!(with(&chain, 0), whole);
    assert_eq!(with(&[17, 0, 0, 1, 0, 0, 0, 1], 44), whole);
    assert_eq!(with(&[17, 0, 0, 8, 0, 0, 0, 1], 44), None);
}

#[test]
fn an_error_quotes_the_tuple_of_the_packet_it_is_about() {
    let hash = RandomState::default();
    for (from, to, router) in [
        ("192.0.2.1:5000", "192.0.2.2:53", "192.0.2.3:0"),
        ("[2001:db8::1]:5000", "[2001:db8::2]:53", "[2001:db8::3]:0"),
    ] {
        let about = Packet::udp(from, to, b"question");
        let frame = Packet::unreachable(router, from, &about).frame();
        let parsed = read(&frame, frame.len(), &hash).unwrap();
        assert_eq!(parsed.tuple, None);
        assert_eq!(
            parsed.content,
            Content::IcmpError(Some(tuple(17, from, to)))
        );
    }
}

#[test]
fn a_translation_leaves_the_fingerprint_alone_and_nothing_else_does() {
    let hash = RandomState::default();
    let print = |packet: &Packet| {
        let frame = packet.frame();
        read(&frame, frame.len(), &hash).unwrap().fingerprint
    };
    let packet = Packet::tcp("172.17.0.2:5000", "192.0.2.2:443", "P.", 77, 88).data(30);
    let behind = packet.translated("192.0.2.1:61000", "203.0.113.7:8443");
    assert!(print(&packet).agrees(print(&behind)));
    let mut other_data = packet.clone();
    other_data.payload[3] = 0;
    for other in [
        packet.clone().id(8),
        packet.clone().window(5),
        packet.clone().data(31),
        other_data,
        Packet::tcp("172.17.0.2:5000", "192.0.2.2:443", "P.", 78, 88).data(30),
        Packet::tcp("172.17.0.2:5000", "192.0.2.2:443", "P.", 77, 89).data(30),
        Packet::tcp("172.17.0.2:5000", "192.0.2.2:443", ".", 77, 88).data(30),
    ] {
        assert!(!print(&packet).agrees(print(&other)), "{other:?}");
    }
}
