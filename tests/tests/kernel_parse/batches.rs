//! Small records, gathered by each CPU and put into its ring together: all of them, in their order, and
//! none lost that was counted as recorded.

use capture_common::batch::{BATCH_FULL, LARGEST_IN_BATCH};
use capture_common::record::RecordFlags;
use capture_user::kernel::ring::Next;
use lab::frames::Frame;

use crate::bench::{Bench, LOOPBACK, Make, on_one_cpu};
use crate::records::{frame, put};

/// A bench whose CPUs gather small records, with a megabyte for each.
fn gathering() -> Bench {
    let cpus = std::thread::available_parallelism().unwrap().get();
    on_one_cpu();
    let make = Make {
        ring_bytes: (cpus.next_power_of_two() as u32) << 20,
        ..Make::default()
    };
    let bench = Bench::make("", &make);
    assert!(bench.gathers());
    bench
}

/// All that was recorded, with whether each has a record of the ring for itself.
#[track_caller]
fn drained(bench: &mut Bench) -> Vec<(Frame, bool)> {
    let records = bench.drain().unwrap().into_iter();
    let alone = |flags| flags & RecordFlags::ALONE != 0;
    records
        .map(|(record, _)| (record.frame, alone(record.header.flags)))
        .collect()
}

#[test]
fn what_is_gathered_comes_out_when_it_is_asked_for_and_all_of_it_once() {
    let mut bench = gathering();
    for rounds in 1..=3 {
        // Batches that are full, and one that isn't.
        let frames: Vec<_> = (0..300 * rounds)
            .map(|more| frame(60 + more % 200))
            .collect();
        for frame in &frames {
            put(&mut bench, frame);
        }
        let right: Vec<_> = frames.into_iter().map(|frame| (frame, false)).collect();
        assert_eq!(drained(&mut bench), right);
        assert_eq!(drained(&mut bench), []);
    }
}

#[test]
fn a_large_packet_comes_behind_what_was_gathered_before_it() {
    let mut bench = gathering();
    let large = LARGEST_IN_BATCH as usize + 1;
    let lens = [60, 61, large, 62, large + 1, large + 2, 63];
    for len in lens {
        put(&mut bench, &frame(len));
    }
    // Not sorted by time: as they lie in the ring.
    let mut seen = Vec::new();
    bench.rings.flush(0).unwrap();
    for ring in 0..bench.rings.count() {
        bench.rings.look(ring);
        while let Next::Record(place) = bench.rings.advance(ring) {
            seen.push(bench.rings.record(place).unwrap().1.len());
        }
    }
    assert_eq!(seen, lens);
}

#[test]
fn where_large_packets_come_in_between_small_ones_are_not_gathered_for_a_while() {
    let mut bench = gathering();
    let (small, large) = (frame(60), frame(1_400));
    let mut alone = 0;
    for _ in 0..40 {
        put(&mut bench, &small);
        put(&mut bench, &large);
        let seen = drained(&mut bench);
        assert_eq!((&seen[0].0, &seen[1].0), (&small, &large));
        alone += usize::from(seen[0].1);
    }
    assert!(alone > 30, "{alone} of 40");
    // With no large ones any more they are again.
    for _ in 0..100 {
        put(&mut bench, &small);
    }
    let last = drained(&mut bench).pop();
    assert_eq!(last, Some((small, false)));
}

#[test]
fn what_was_gathered_when_the_ring_filled_up_is_not_lost() {
    let mut bench = gathering();
    let frame = frame(100);
    // A gathered record takes 160 bytes; one in a ring that isn't the CPU's own 200.
    let room = bench.rings.count() << 20;
    let sent = room / 160 + 1_000;
    for _ in 0..sent {
        put(&mut bench, &frame);
    }
    let counters = bench.counters(LOOPBACK);
    assert_eq!(counters.matched, sent as u64);
    assert_eq!(counters.recorded + counters.ring_full, sent as u64);
    assert!(counters.ring_full > 0);
    // What waits for room comes out once there is some.
    let mut seen = bench.drain().unwrap();
    seen.extend(bench.drain().unwrap());
    assert_eq!(seen.len() as u64, counters.recorded);
    assert!(seen.iter().all(|(record, _)| record.frame == frame));
    // Hardly any room was left over when the first packet was lost.
    assert!(seen.len() > (room - BATCH_FULL as usize) / 200);
}
