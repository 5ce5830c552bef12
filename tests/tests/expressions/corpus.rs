//! Expressions by packets: the kernel, libpcap and this program's own reading of classic BPF agree.

use std::collections::BTreeSet;

use capture_user::filter::expression::Expression;
use capture_user::filter::expression::interpret::{Metadata, interpret};
use capture_user::kernel::libpcap;
use capture_user::target::links::Framing;
use lab::frames::{Flow, Frame, corpus, ethernet, tagged, transport};

use crate::alone::{Alone, Way};
use crate::list::{BARE, ETHERNET, many_hosts};

/// What `BPF_PROG_TEST_RUN` takes on every kernel: an Ethernet header and what its type says comes
/// next, in less than a page.
fn takes(frame: &Frame) -> bool {
    let least = match frame.get(12..14) {
        Some([0x08, 0x00]) => 34,
        Some([0x86, 0xdd]) => 54,
        _ => 14,
    };
    (least..=3_400).contains(&frame.len())
}

/// 1, or on an emulated processor, which takes a hundred times as long, something more.
fn unless_emulated(step: usize) -> usize {
    match std::env::var_os("NODECAP_GUEST") {
        Some(_) => step,
        None => 1,
    }
}

/// Tunnels that the corpus doesn't have, and frames of odd kinds.
fn more() -> Vec<Frame> {
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let inner = flow.tcp(transport::SYN, b"inside");
    let mut geneve = vec![0, 0, 0x65, 0x58, 0, 0, 5, 0];
    geneve.extend(&inner);
    let mut with_option = vec![1, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 0, 0];
    with_option.extend(tagged(0x8100, 5, &inner));
    let label = |label: u32, last: bool| (label << 12 | u32::from(last) << 8 | 64).to_be_bytes();
    let one = [&label(100, true)[..], &inner[14..]].concat();
    let two = [&label(100, false)[..], &label(200, true), &inner[14..]].concat();
    let session = [&[0x11, 0, 0, 7, 0, 50, 0, 0x21][..], &inner[14..]].concat();
    let tunnel = |payload: &[u8]| Flow::new("192.0.2.1:40000", "192.0.2.200:6081").udp(payload);
    let tunnel6 =
        |payload: &[u8]| Flow::new("[2001:db8::1]:40000", "[2001:db8::2]:6081").udp(payload);
    let mut multicast = Flow::new("192.0.2.1:5353", "224.0.0.251:5353").udp(b"who");
    multicast[14 + 8] = 1;
    let mut frames: Vec<_> = [2, 50, 103, 112, 9]
        .map(|protocol| flow.around(protocol, &[0x21; 30]))
        .into();
    frames.extend(
        [0x8035, 0x80f3, 0x6004, 0x6001, 0x6002, 0xfefe].map(|kind| ethernet(kind, &[0x83; 46])),
    );
    frames.extend([
        multicast,
        Flow::new("[2001:db8::1]:5353", "[ff02::fb]:5353").udp(b"who"),
        Flow::new("192.0.2.1:5300", "192.0.2.1:5301").udp(&[]),
        ethernet(0x0010, &[0xf0, 0xf0, 3, 0, 0, 0, 0, 0]),
        ethernet(0x0010, &[0xfe, 0xfe, 3, 0x82, 0, 0, 0, 0]),
        ethernet(0x0010, &[0x42, 0x42, 1, 0, 0, 0, 0, 0]),
        tunnel(&geneve),
        tunnel(&with_option),
        tunnel6(&geneve),
        ethernet(0x8847, &one),
        ethernet(0x8847, &two),
        ethernet(0x8863, &[0x11, 9, 0, 0, 0, 0, 0, 0]),
        ethernet(0x8864, &session),
        ethernet(0x0026, &[0x42, 0x42, 3, 0, 0, 0, 0, 0]),
        ethernet(0x0026, &[0xfe, 0xfe, 3, 0x81, 0, 0, 0, 0]),
        ethernet(0x0026, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
        ethernet(0x0026, &[0xe0, 0xe0, 0x10, 0x20, 0, 0, 8, 0]),
        ethernet(0x6003, &[0; 60]),
        ethernet(0x809b, &[0; 60]),
        ethernet(0x88cc, &[2; 60]),
        flow.tcp(transport::RST | transport::ACK, &[1; 1_400]),
        flow.udp(&[1; 900]),
        flow.tcp(transport::PSH | transport::ACK, b"GET / HTTP/1.1\r\n\r\n"),
    ]);
    frames
}

fn packets() -> Vec<Frame> {
    let mut packets = corpus::everything();
    packets.extend(more());
    // Cut off at each length of the headers: what is read there isn't there any more.
    for frame in more().iter().chain(corpus::rich().iter().step_by(7)) {
        packets.extend(
            (14..frame.len().min(100))
                .step_by(3)
                .map(|len| frame[..len].to_vec()),
        );
    }
    let distinct: BTreeSet<_> = packets.into_iter().filter(takes).collect();
    distinct.into_iter().step_by(unless_emulated(47)).collect()
}

/// Runs one expression over all packets in each way, and counts the comparisons.
#[track_caller]
fn compare(text: &str, framing: Framing, packets: &[Frame]) -> usize {
    let expression = Expression::compile(text).unwrap();
    let program = expression.program(framing).unwrap();
    let ways: Vec<_> = Way::all()
        .map(|way| (way, Alone::load(text, program, way)))
        .collect();
    let metadata = Metadata {
        interface: 1,
        ..Metadata::default()
    };
    // libpcap's interpreter knows no metadata.
    let plain = !["inbound", "outbound", "ifindex", "vlan"]
        .iter()
        .any(|word| text.contains(word));
    let expected: Vec<_> = packets
        .iter()
        .map(|packet| interpret(program, packet, &metadata))
        .collect();
    if plain {
        for (packet, expected) in packets.iter().zip(&expected) {
            let theirs = libpcap::interpret(program, packet);
            assert_eq!(*expected, theirs, "`{text}` in user space: {packet:02x?}");
        }
    }
    let mut compared = 0;
    for (way, mut alone) in ways {
        for (packet, expected) in packets.iter().zip(&expected) {
            let found = alone.run(packet).unwrap();
            assert_eq!(found, *expected, "`{text}` {way:?}: {packet:02x?}");
            compared += 1;
        }
    }
    compared
}

#[test]
fn every_expression_gives_every_packet_the_same_answer_in_the_kernel() {
    let packets = packets();
    let expressions: Vec<_> = ETHERNET.iter().step_by(unless_emulated(3)).collect();
    let compared: usize = expressions
        .iter()
        .map(|text| compare(text, Framing::Ethernet, &packets))
        .sum();
    println!("{} packets, {compared} comparisons", packets.len());
    assert_eq!(
        compared,
        expressions.len() * packets.len() * Way::all().count()
    );
}

#[test]
fn expressions_for_packets_without_a_link_header_do_so_too() {
    let mut packets: Vec<_> = corpus::everything()
        .iter()
        .filter(|frame| frame.len() > 28)
        .map(|frame| frame[14..].to_vec())
        .filter(takes)
        .collect();
    packets.dedup();
    for text in BARE {
        compare(text, Framing::Bare, &packets);
    }
}

#[test]
fn so_do_a_hundred_hosts() {
    compare(&many_hosts(100), Framing::Ethernet, &packets());
}

#[test]
fn each_expression_matches_some_packet_or_says_nothing_here() {
    let packets = packets();
    let metadata = Metadata {
        interface: 1,
        ..Metadata::default()
    };
    let silent: Vec<_> = ETHERNET
        .iter()
        .filter(|text| {
            let expression = Expression::compile(text).unwrap();
            let program = expression.program(Framing::Ethernet).unwrap();
            !packets
                .iter()
                .any(|packet| interpret(program, packet, &metadata) != 0)
        })
        .collect();
    println!("match nothing: {silent:?}");
    // Offsets beyond any packet, and what a packet never is in a test run.
    assert!(silent.len() < ETHERNET.len() / 8);
}
