//! What lies in the ring: as much of a packet as was asked for, in a slot of the smallest size
//! that holds it or, gathered with others, just as long as it is, and what happens when there is no room. That each record is right in all its
//! parts, the bench asserts.

use capture_common::record::{MAX_SNAPLEN, RecordHeader, SIZE_CLASSES};
use lab::frames::Frame;

use crate::bench::{Bench, LOOPBACK, Make, TEST_RUN_MAX, on_one_cpu};
use crate::outlet::Outlet;
use crate::reference::Start;

/// A frame of `len` bytes that is no other's start: every record shows where it came from.
pub(crate) fn frame(len: usize) -> Frame {
    let mut state = len as u32;
    let mut noise = || {
        // Numerical Recipes' generator; its upper bits are good enough.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| noise()).collect()
}

/// Each class's size and its neighbours, from the smallest packet to the largest.
fn around_classes(least: usize, most: usize) -> Vec<usize> {
    let classes = SIZE_CLASSES.iter().map(|class| *class as usize);
    let mut lens: Vec<usize> = classes
        .flat_map(|class| [class - 1, class, class + 1])
        .chain([least, least + 1, most - 1, most])
        .filter(|len| (least..=most).contains(len))
        .collect();
    lens.sort_unstable();
    lens
}

fn snapping_at(snaplen: usize, one_ring: bool) -> Bench {
    let make = Make {
        snaplen: snaplen as u32,
        one_ring,
        ..Make::default()
    };
    Bench::make("", &make)
}

#[test]
fn packets_around_each_size_class_are_recorded_whole_in_the_smallest_that_holds_them() {
    for one_ring in [false, true] {
        let mut bench = snapping_at(MAX_SNAPLEN as usize, one_ring);
        for len in around_classes(1, TEST_RUN_MAX) {
            assert_eq!(bench.show(&frame(len)).unwrap().frame.len(), len);
        }
    }
}

#[test]
fn packets_longer_than_the_snapshot_length_are_cut_to_it_whatever_their_size_class() {
    let mut snaplens = around_classes(1, 300);
    snaplens.extend([14, 1_032, 1_544, 1_545]);
    let both = [false, true];
    for (snaplen, one_ring) in snaplens.into_iter().zip(both.into_iter().cycle()) {
        let mut bench = snapping_at(snaplen, one_ring);
        for len in around_classes(14, TEST_RUN_MAX) {
            let seen = bench.show(&frame(len)).unwrap();
            assert_eq!(seen.frame.len(), len.min(snaplen));
            assert_eq!(seen.header.wire_len as usize, len);
        }
    }
}

#[test]
fn large_packets_are_recorded_from_their_page_fragments() {
    // A veth device's largest MTU and the link header. Beyond are only super-frames.
    let largest = 65_535 + 14;
    let outlet = Outlet::veth();
    for snaplen in [MAX_SNAPLEN as usize, 24_585, 9_224, 4_105, 4_104, 72] {
        let mut bench = snapping_at(snaplen, false);
        bench.leave_by(&outlet);
        for len in around_classes(4_000, largest) {
            let seen = bench.send(Start::Ethernet, &frame(len)).unwrap();
            assert_eq!(seen.frame.len(), len.min(snaplen));
        }
    }
}

/// The smallest ring there is.
const PAGE: u32 = 4_096;

fn with_a_small_ring() -> Bench {
    on_one_cpu();
    let make = Make {
        ring_bytes: PAGE,
        ..Make::default()
    };
    Bench::make("", &make)
}

/// Runs the program on the frame, whatever comes of it.
#[track_caller]
pub(crate) fn put(bench: &mut Bench, frame: &[u8]) {
    use capture_user::packet::Direction;
    use capture_user::target::links::Framing;
    let run = bench
        .kernel
        .test_run(Direction::In, Framing::Ethernet, frame, 1);
    assert_eq!(run.unwrap().verdict, -1);
}

#[test]
fn a_full_ring_loses_the_packets_that_come_and_keeps_those_that_were_there() {
    let mut bench = with_a_small_ring();
    let frames: Vec<Frame> = (0..100).map(|more| frame(14 + more % 58)).collect();
    // The ring's own header, ours, and the smallest class.
    let slot = 8 + size_of::<RecordHeader>() as u32 + SIZE_CLASSES[0];
    // The kernel keeps one byte free, to tell full from empty (`__bpf_ringbuf_reserve`).
    let room = u64::from((PAGE - 1) / slot);
    for (sent, frame) in (1u64..).zip(&frames) {
        put(&mut bench, frame);
        let counters = bench.counters(LOOPBACK);
        assert_eq!(counters.matched, sent);
        assert_eq!(counters.recorded, sent.min(room));
        assert_eq!(counters.ring_full, sent.saturating_sub(room));
        assert_eq!(counters.unreadable, 0);
    }
    let kept = bench.drain().unwrap();
    assert_eq!(kept.len() as u64, room);
    for ((record, _), frame) in kept.iter().zip(&frames) {
        assert_eq!(record.frame, *frame);
        assert_eq!(record.header.lost, 0);
    }
}

#[test]
fn a_cpu_whose_ring_is_full_goes_on_in_the_others_until_all_are() {
    let cpus = std::thread::available_parallelism().unwrap().get();
    on_one_cpu();
    let make = Make {
        ring_bytes: 1 << 21,
        ..Make::default()
    };
    let mut bench = Bench::make("", &make);
    let frame = frame(1_400);
    let slot = u64::from(8 + size_of::<RecordHeader>() as u32 + SIZE_CLASSES[6]);
    let rings = bench.rings.count() as u64;
    let room = ((1 << 21) / rings - 1) / slot * rings;
    assert_eq!(rings > 1, cpus > 1);
    for sent in 1..=room + 10 {
        put(&mut bench, &frame);
        let counters = bench.counters(LOOPBACK);
        assert_eq!(counters.recorded, sent.min(room));
        assert_eq!(counters.ring_full, sent.saturating_sub(room));
    }
    // Whoever found all of them full doesn't look for a while, though there is room again.
    assert_eq!(bench.drain().unwrap().len() as u64, room);
    for _ in 0..room {
        put(&mut bench, &frame);
    }
    let kept = bench.drain().unwrap();
    assert!(kept.len() as u64 > room - rings, "{} of {room}", kept.len());
    assert_eq!(bench.counters(LOOPBACK).matched, 2 * room + 10);
    assert_eq!(
        bench.counters(LOOPBACK).lost(),
        10 + room - kept.len() as u64
    );
    for (record, _) in kept {
        assert_eq!(record.frame, frame);
    }
}

#[test]
fn the_next_record_says_how_many_packets_were_lost_before_it() {
    let mut bench = with_a_small_ring();
    let mut lost = 0;
    for round in 1..=5 {
        // More each time than the ring holds.
        for _ in 0..40 * round {
            put(&mut bench, &frame(60));
        }
        let kept = bench.drain().unwrap();
        assert!(kept.iter().all(|(record, _)| record.header.lost == lost));
        lost += 40 * round - kept.len() as u64;
        let counters = bench.counters(LOOPBACK);
        assert_eq!(counters.lost(), lost);
        assert_eq!(counters.matched, counters.recorded + lost);
    }
    assert!(lost > 100);
}

#[test]
fn a_packet_that_finds_no_room_does_not_keep_smaller_ones_out() {
    let mut bench = with_a_small_ring();
    let (small, large) = (frame(60), frame(1_500));
    // Two large ones fill most of the page; a third has no room, a small one has.
    for frame in [&large, &large, &large, &small, &large, &small] {
        put(&mut bench, frame);
    }
    let kept = bench.drain().unwrap();
    let kept: Vec<_> = kept
        .iter()
        .map(|(record, _)| (&record.frame, record.header.lost))
        .collect();
    assert_eq!(kept, [(&large, 0), (&large, 0), (&small, 1), (&small, 2)]);
}

#[test]
fn a_packet_larger_than_the_ring_is_lost_and_counted() {
    let mut bench = with_a_small_ring();
    put(&mut bench, &frame(3_700));
    put(&mut bench, &frame(60));
    let counters = bench.counters(LOOPBACK);
    assert_eq!((counters.matched, counters.recorded), (2, 1));
    assert_eq!((counters.ring_full, counters.unreadable), (1, 0));
    assert_eq!(bench.drain().unwrap()[0].0.header.lost, 1);
}
