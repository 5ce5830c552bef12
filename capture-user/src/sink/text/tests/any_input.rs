//! Whatever is in a frame, it becomes a line: no panic, no second line, nothing that a terminal
//! would obey.

use proptest::collection::vec;
use proptest::prelude::*;

use super::corpus::every_kind;
use super::{Printer, frames, options, printer, show, whole};
use crate::packet::Packet;
use crate::sink::text::LinkType;
use crate::sink::text::names::Names;

/// More than any one packet's line may take, whatever it holds. DNS makes the longest: 16
/// questions and 16 answers of two names each, every byte escaped.
const MAX_LINE: usize = 65_536;

fn assert_one_plain_line(line: &str) {
    let text = line.strip_suffix('\n').expect("a line ends");
    assert!(
        text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{text:?}"
    );
    assert!(text.len() < MAX_LINE, "{} bytes", text.len());
}

fn assert_shows(frame: &[u8], original_len: usize) {
    let packet = Packet {
        original_len: u32::try_from(original_len).unwrap(),
        ..whole(frame)
    };
    for verbosity in 0..3 {
        for link in [LinkType::Ethernet, LinkType::BareIp] {
            let mut options = options(verbosity);
            options.link = link;
            let mut printer = Printer::with_names(options, Names::none());
            assert_one_plain_line(&show(&mut printer, &packet));
        }
    }
}

#[test]
fn packets_of_every_kind_cut_at_every_length_become_a_line() {
    for frame in every_kind() {
        for len in 0..frame.len().min(200) {
            let (cut, _) = frame.split_at(len);
            // Cut by the snapshot length, and never longer than that.
            assert_shows(cut, frame.len());
            assert_shows(cut, len);
        }
    }
}

#[test]
fn a_packet_that_claims_to_be_shorter_than_its_bytes_becomes_a_line() {
    for frame in every_kind() {
        assert_shows(&frame, 1);
    }
}

#[test]
fn headers_nested_as_deep_as_a_frame_allows_are_not_all_shown() {
    let repeated = |header: &[u8]| header.repeat(65_000 / header.len());
    let within = |protocol: u8, header: &[u8]| frames::eth_ip6(protocol, &repeated(header));
    let mut tunnels = Vec::new();
    for _ in 0..500 {
        tunnels = frames::ip4(4, &tunnels);
    }
    let mut mixed = Vec::new();
    for _ in 0..300 {
        mixed = frames::eth_ip4(47, &frames::join(&[&[0, 0, 0x65, 0x58], &mixed]));
    }
    let answers = frames::dns_answer(16, &[0; 1_000]).repeat(60);
    let question = frames::dns_question(&[b"x"], 1);
    for frame in [
        frames::ethernet(0x8100, &repeated(&[0, 1, 0x81, 0])),
        within(60, &[60, 0, 1, 4, 0, 0, 0, 0]),
        within(51, &[51, 0, 0, 0, 0, 0, 0, 0]),
        frames::eth_ip4(51, &repeated(&[51, 4, 0, 0, 0, 0, 0, 0])),
        frames::ethernet(0x0800, &tunnels),
        mixed,
        frames::eth_ip4(132, &repeated(&[0, 0, 0, 4])),
        frames::eth_ip6(
            58,
            &frames::join(&[&[133, 0, 0, 0, 0, 0, 0, 0], &repeated(&[9, 1])]),
        ),
        frames::dns_over_udp(&frames::dns(
            0x8180,
            [1, 60, 0, 0],
            &frames::join(&[&question, &answers]),
        )),
        frames::dns_over_udp(&frames::dns(
            0x0100,
            [u16::MAX, 0, 0, 0],
            &question.repeat(8_000),
        )),
    ] {
        assert_shows(&frame, frame.len());
        let line = show(&mut printer(2), &whole(&frame));
        assert!(line.len() < 20_000, "{} bytes", line.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_become_a_line(frame in vec(any::<u8>(), 0..200), more in 0_usize..100) {
        assert_shows(&frame, frame.len() + more);
    }

    #[test]
    fn random_bytes_behind_a_known_ether_type_become_a_line(
        ether_type in prop::sample::select(&[0x0800_u16, 0x0806, 0x86dd, 0x8100, 0x8035, 0x20][..]),
        payload in vec(any::<u8>(), 0..200),
    ) {
        let frame = frames::ethernet(ether_type, &payload);
        assert_shows(&frame, frame.len());
    }

    #[test]
    fn random_payloads_of_every_protocol_become_a_line(
        protocol: u8,
        six: bool,
        payload in vec(any::<u8>(), 0..200),
    ) {
        let frame = if six {
            frames::eth_ip6(protocol, &payload)
        } else {
            frames::eth_ip4(protocol, &payload)
        };
        assert_shows(&frame, frame.len());
    }

    #[test]
    fn random_payloads_of_known_ports_become_a_line(
        port in prop::sample::select(&[53_u16, 5_353, 80, 4_789, 8_472, 6_081][..]),
        tcp: bool,
        payload in vec(any::<u8>(), 0..300),
    ) {
        let frame = if tcp {
            frames::tcp_to(port, true, 1, &payload, |_| {})
        } else {
            frames::eth_ip4(17, &frames::udp(5_000, port, &payload))
        };
        assert_shows(&frame, frame.len());
    }

    #[test]
    fn packets_with_a_few_bytes_changed_become_a_line(
        number: prop::sample::Index,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut frames = every_kind();
        let mut frame = frames.swap_remove(number.index(frames.len()));
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        assert_shows(&frame, frame.len());
    }

    #[test]
    fn any_interface_name_stays_within_the_line(name in "\\PC{0,20}|[\\x00-\\x1f\\x7f]{1,5}") {
        let mut out = Vec::new();
        let packet = Packet { lost_before: 1, ..whole(&[]) };
        printer(0).line(&packet, &name, &mut out);
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(text.lines().count(), 2);
        for line in text.split_inclusive('\n') {
            assert_one_plain_line(line);
        }
    }
}
