//! Timestamps are the wall clock's, and packets come in their order.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::compare::assert_same;
use lab::frames::{self, corpus};
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::Wire;

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[test]
fn packets_bear_the_time_at_which_tcpdump_saw_them_too() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("timed.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let tcpdump = Tcpdump::start(&wire.namespace, Wire::CATCHER, &[]);
    let before = now();
    wire.send(&frames::then_end_marker(corpus::rich()));
    let after = now();
    let theirs = tcpdump.finish().file.packets;
    capture.wait_until_captured(theirs.len() as u64);
    capture.stop();
    let ours = CaptureFile::read(&file).packets;
    assert_same(&ours, &theirs);

    // Two clocks are read for one timestamp, and another thread may run in between.
    let slack = Duration::from_millis(50);
    let span = (before - slack).as_nanos()..=(after + slack).as_nanos();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(
            span.contains(&u128::from(ours.time_ns)),
            "{ours:?} outside {span:?}"
        );
        let apart = Duration::from_nanos(ours.time_ns.abs_diff(theirs.time_ns));
        assert!(apart < slack, "{apart:?} apart");
    }
    assert!(ours.is_sorted_by_key(|packet| packet.time_ns));
    assert!(
        ours.iter().any(|packet| packet.time_ns % 1_000 != 0),
        "no nanoseconds"
    );
}

#[test]
fn packets_of_two_interfaces_are_merged_in_time_order() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("timed.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::SENDER)
        .args(["-i", Wire::CATCHER])
        .write(&file)
        .start();
    let sent = lab::replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 10);
    capture.wait_until_captured(2 * sent);
    capture.stop();
    let packets = CaptureFile::read(&file).packets;
    assert!(packets.is_sorted_by_key(|packet| packet.time_ns));
    // Each frame goes out before it comes in, and the next one goes out after that.
    for pair in packets.chunks(2) {
        assert_eq!(pair[0].data, pair[1].data);
        assert_ne!(pair[0].interface, pair[1].interface);
    }
}
