//! Every packet is accounted for: received = captured + dropped, by interface, also when far more
//! comes than can be kept.

use std::fs;

use lab::Signal;
use lab::frames::{Frame, corpus};
use lab::namespace::Namespace;
use lab::nodecap::{Capture, Counts, Nodecap};
use lab::read::CaptureFile;
use lab::replay;
use lab::scratch::Scratch;
use lab::topology::{Wire, add_wire};
use lab::wait::{wait_for, wait_until};

/// A ring so small that a flood overflows it: the smallest that there is.
const RING: &str = "512K";

/// Halts the process, and waits until it is halted.
#[track_caller]
fn halt(capture: &Capture) {
    capture.signal(Signal::SIGSTOP);
    let stat = format!("/proc/{}/task", capture.process().pid());
    wait_until("every thread halted", || {
        fs::read_dir(&stat).is_ok_and(|mut threads| {
            threads.all(|thread| {
                let path = thread
                    .map(|thread| thread.path().join("stat"))
                    .unwrap_or_default();
                let stat = fs::read_to_string(path).unwrap_or_default();
                // The state stands behind the name, which is in brackets and may hold anything.
                stat.rsplit_once(") ")
                    .is_some_and(|(_, rest)| rest.starts_with('T'))
            })
        })
    });
}

/// Waits until so many were received and none of them is still on its way.
#[track_caller]
fn settled(capture: &Capture, received: u64) -> Counts {
    wait_for(&format!("{received} packets captured or dropped"), || {
        let counts = capture.counts();
        let on_their_way = counts.received - counts.captured - counts.dropped;
        (counts.received >= received && on_their_way == 0).then_some(counts)
    })
}

fn sum_of_dropcounts(file: &CaptureFile, interface: &str) -> u64 {
    file.packets_of(interface)
        .iter()
        .map(|packet| packet.dropcount)
        .sum()
}

#[test]
fn what_overflows_is_counted_and_shows_at_the_interface_it_was_lost_on() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "flood-in", "flood-out", 1_500);
    add_wire(&namespace, "calm-in", "calm-out", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("lossy.pcapng");
    let capture = Nodecap::capture(&namespace, "flood-out")
        .args(["-i", "calm-out", "--ring-size", RING])
        .write(&file)
        .start();
    let few: Vec<Frame> = corpus::rich().into_iter().take(20).collect();

    replay::send(&namespace, "calm-in", &few);
    settled(&capture, few.len() as u64);
    halt(&capture);
    let mut flooded = replay::flood(&namespace, "flood-in", &corpus::rich(), 50);
    capture.signal(Signal::SIGCONT);
    let mut calm = few.len() as u64;
    settled(&capture, flooded + calm);
    // These come after the loss and carry its count.
    replay::send(&namespace, "flood-in", &few);
    replay::send(&namespace, "calm-in", &few);
    flooded += few.len() as u64;
    calm += few.len() as u64;
    let before_the_end = settled(&capture, flooded + calm);
    let finished = capture.stop();

    let counts = finished.counts();
    assert_eq!(counts, before_the_end);
    assert_eq!(counts.received, flooded + calm);
    assert_eq!(counts.received, counts.captured + counts.dropped);
    assert!(counts.dropped > 0, "the flood wasn't enough");

    let written = CaptureFile::read(&file);
    assert_eq!(written.packets.len() as u64, counts.captured);
    for (interface, sent) in [("flood-out", flooded), ("calm-out", calm)] {
        let kept = written.packets_of(interface).len() as u64;
        let statistics = written.statistics_of(interface);
        let dropped = statistics.dropped.expect("isb_ifdrop");
        assert_eq!(kept + dropped, sent, "{interface}");
        assert_eq!(
            sum_of_dropcounts(&written, interface),
            dropped,
            "{interface}"
        );
        assert_eq!(statistics.accepted, Some(sent), "{interface}");
    }
    assert_eq!(written.statistics_of("calm-out").dropped, Some(0));
    assert_eq!(
        written.statistics_of("flood-out").dropped,
        Some(counts.dropped)
    );
}

#[test]
fn a_loss_after_the_last_packet_is_in_the_statistics() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("lossy.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", RING])
        .write(&file)
        .start();
    halt(&capture);
    let sent = replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 50);
    capture.signal(Signal::SIGCONT);
    settled(&capture, sent);
    let counts = capture.stop().counts();
    assert_eq!(
        (counts.received, counts.captured + counts.dropped),
        (sent, sent)
    );
    let written = CaptureFile::read(&file);
    assert!(counts.dropped > 0);
    assert_eq!(
        written.statistics_of(Wire::CATCHER).dropped,
        Some(counts.dropped)
    );
    assert!(sum_of_dropcounts(&written, Wire::CATCHER) <= counts.dropped);
}

#[test]
fn only_a_capture_that_may_not_lose_fails_for_a_loss() {
    let wire = Wire::new();
    for (lossy, option, code) in [
        (true, Some("--fail-on-loss"), 3),
        (true, None, 0),
        (false, Some("--fail-on-loss"), 0),
    ] {
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--ring-size", RING, "-w", "/dev/null"])
            .args(option)
            .start();
        if lossy {
            halt(&capture);
        }
        let times = if lossy { 50 } else { 1 };
        let sent = replay::flood(
            &wire.namespace,
            Wire::SENDER,
            &corpus::rich()[..50],
            times * 10,
        );
        if lossy {
            capture.signal(Signal::SIGCONT);
        }
        settled(&capture, sent);
        capture.signal(Signal::SIGINT);
        let finished = capture.wait();
        assert_eq!(finished.counts().dropped > 0, lossy, "{}", finished.stderr);
        assert_eq!(finished.code(), Some(code), "{}", finished.stderr);
    }
}

#[test]
fn the_numbers_add_up_at_every_moment() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", RING, "-w", "/dev/null"])
        .start();
    let mut sent = 0;
    for _ in 0..10 {
        sent += replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 3);
        let counts = capture.counts();
        // What was sent last may still be on its way in.
        assert!(counts.received <= sent, "{counts:?} of {sent}");
        assert!(
            counts.captured + counts.dropped <= counts.received,
            "{counts:?}"
        );
    }
    settled(&capture, sent);
    let counts = capture.stop().counts();
    assert_eq!(
        (counts.received, counts.captured + counts.dropped),
        (sent, sent)
    );
}

#[test]
fn interfaces_that_share_an_entry_of_the_counters_are_counted_each_by_itself() {
    let namespace = Namespace::silent();
    let add = |name: &str, index: u32| {
        namespace.ip_lines([
            format!("link add {name} index {index} type veth peer name far-{name}"),
            format!("link set {name} up"),
            format!("link set far-{name} up"),
        ]);
    };
    let apart = capture_common::counters::DIRECT_LEN;
    add("shared-a", 1_301);
    add("shared-b", 1_301 + apart);
    let scratch = Scratch::new();
    let file = scratch.path("shared.pcapng");
    let capture = Nodecap::capture(&namespace, "shared-*")
        .write(&file)
        .start();
    let frames = corpus::rich();
    replay::send(&namespace, "far-shared-a", &frames[..20]);
    replay::send(&namespace, "far-shared-b", &frames[..12]);
    settled(&capture, 32);
    // The one that has the entry goes, and another comes that would have it too.
    let said = capture.process().stderr().len();
    namespace.ip("link del shared-a");
    capture
        .process()
        .wait_for_stderr("a word about shared-a", |text| {
            text[said..].contains("shared-a").then_some(())
        });
    add("shared-c", 1_301 + 2 * apart);
    capture.wait_for_mention("listening on shared-c too");
    replay::send(&namespace, "far-shared-c", &frames[..5]);
    replay::send(&namespace, "far-shared-b", &frames[..3]);
    settled(&capture, 40);
    assert_eq!(capture.stop().counts().received, 40);

    let written = CaptureFile::read(&file);
    for (interface, sent) in [("shared-a", 20), ("shared-b", 15), ("shared-c", 5)] {
        assert_eq!(
            written.packets_of(interface).len() as u64,
            sent,
            "{interface}"
        );
        let accepted = written.statistics_of(interface).accepted;
        assert_eq!(accepted, Some(sent), "{interface}");
    }
}
