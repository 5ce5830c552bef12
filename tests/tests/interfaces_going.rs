//! Interfaces that go and come while a capture runs.

#[path = "common/attached.rs"]
mod attached;

use attached::{attached, wait_until_nothing_is_attached};
use lab::compare::assert_same;
use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::add_wire;
use lab::wait::wait_until;
use lab::{replay, tools};

#[test]
fn one_that_is_removed_is_told_of_and_the_others_go_on() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "stays-in", "stays-out", 1_500);
    add_wire(&namespace, "goes-in", "goes-out", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("two.pcapng");
    let capture = Nodecap::capture(&namespace, "goes-out")
        .args(["-i", "stays-out"])
        .write(&file)
        .start();
    let sent = corpus::rich();
    let count = sent.len() as u64;
    replay::send(&namespace, "goes-in", &sent);
    capture.wait_until_captured(count);
    let said = capture.process().stderr().len();
    namespace.ip("link del goes-out");
    capture
        .process()
        .wait_for_stderr("a word about goes-out", |text| {
            text[said..].contains("goes-out").then_some(())
        });
    replay::send(&namespace, "stays-in", &sent);
    capture.wait_until_captured(2 * count);
    let counts = capture.stop().counts();
    assert_eq!(
        (counts.received, counts.captured, counts.dropped),
        (2 * count, 2 * count, 0)
    );

    let written = CaptureFile::read(&file);
    for interface in ["goes-out", "stays-out"] {
        assert_same(&written.packets_of(interface), &sent);
        assert_eq!(written.statistics_of(interface).dropped, Some(0));
    }
    tools::assert_readable(&file);
    wait_until_nothing_is_attached(&namespace);
}

#[test]
fn with_none_left_the_file_is_finished_and_the_capture_ends() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "goes-in", "goes-out", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("one.pcapng");
    let capture = Nodecap::capture(&namespace, "goes-out")
        .write(&file)
        .start();
    let sent = corpus::rich();
    replay::send(&namespace, "goes-in", &sent);
    namespace.ip("link del goes-out");
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(
        finished.stop_reason().contains("interface"),
        "{}",
        finished.stop_reason()
    );
    assert_eq!(finished.counts().captured, sent.len() as u64);
    let written = CaptureFile::read(&file);
    assert_same(&written.packets, &sent);
    assert_eq!(written.statistics.len(), 1);
    tools::assert_readable(&file);
}

#[test]
fn a_glob_takes_interfaces_that_appear_later() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "there-in", "pod-there", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("glob.pcapng");
    let capture = Nodecap::capture(&namespace, "pod-*").write(&file).start();
    assert_eq!(attached(&namespace).len(), 2);
    add_wire(&namespace, "later-in", "pod-later", 1_500);
    wait_until("programs on both links that the glob matches", || {
        attached(&namespace).len() == 4
    });
    let sent = corpus::rich();
    let count = sent.len() as u64;
    replay::send(&namespace, "later-in", &sent);
    capture.wait_until_captured(count);
    replay::send(&namespace, "there-in", &sent);
    capture.wait_until_captured(2 * count);
    capture.stop();
    let written = CaptureFile::read(&file);
    for interface in ["pod-there", "pod-later"] {
        assert_same(&written.packets_of(interface), &sent);
    }
    assert_eq!(written.statistics.len(), 2);
    tools::assert_readable(&file);
    wait_until_nothing_is_attached(&namespace);
}

#[test]
fn any_takes_interfaces_that_appear_later_and_those_that_come_up() {
    let namespace = Namespace::silent();
    let capture = Nodecap::capture(&namespace, "any")
        .args(["-w", "/dev/null"])
        .start();
    namespace.ip("link add one-in type veth peer name one-out");
    namespace.ip("link set one-in up");
    namespace.ip("link set one-out up");
    // Loopback and both ends.
    wait_until("programs on all links", || attached(&namespace).len() == 6);
    replay::send(&namespace, "one-in", &corpus::rich());
    // Each frame goes out at one end and comes in at the other.
    capture.wait_until_captured(2 * corpus::rich().len() as u64);
    capture.stop();
}
