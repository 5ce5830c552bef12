//! Expressions by packets: the kernel, libpcap and this program's own reading of classic BPF agree.

use std::collections::BTreeSet;

use capture_user::filter::expression::Expression;
use capture_user::filter::expression::interpret::{Metadata, interpret};
use capture_user::kernel::libpcap;
use capture_user::target::links::Framing;
use lab::frames::{Frame, corpus, uncommon};

use crate::alone::{Alone, Way};
use crate::list::{BARE, ETHERNET, many_hosts};

/// What `BPF_PROG_TEST_RUN` takes on every kernel: an Ethernet header and what its type says comes
/// next, in less than a page.
pub(crate) fn takes(frame: &Frame) -> bool {
    let least = match frame.get(12..14) {
        Some([0x08, 0x00]) => 34,
        Some([0x86, 0xdd]) => 54,
        _ => 14,
    };
    (least..=3_400).contains(&frame.len())
}

/// 1, or on an emulated processor, which takes a hundred times as long, something more.
pub(crate) fn unless_emulated(step: usize) -> usize {
    match std::env::var_os("NODECAP_GUEST") {
        Some(_) => step,
        None => 1,
    }
}

fn packets() -> Vec<Frame> {
    let mut packets = corpus::everything();
    packets.extend(uncommon::frames());
    // Cut off at each length of the headers: what is read there isn't there any more.
    for frame in uncommon::frames()
        .iter()
        .chain(corpus::rich().iter().step_by(7))
    {
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
