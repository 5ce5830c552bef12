//! What each signal does, and that nothing stays attached whichever ends the capture.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;

use std::fs;
use std::os::unix::process::ExitStatusExt;

use attached::{attached, wait_until_nothing_is_attached};
use lab::ability::missing;
use lab::compare::assert_same;
use lab::frames::corpus;
use lab::nodecap::Nodecap;
use lab::process::Stdout;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::wait::wait_until;
use lab::{Signal, replay, tools};

#[test]
fn interrupt_and_terminate_finish_the_file() {
    let sent = corpus::rich();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let wire = Wire::new();
        let scratch = Scratch::new();
        let file = scratch.path("whole.pcapng");
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .write(&file)
            .start();
        assert_eq!(
            attached(&wire.namespace).len(),
            2,
            "{:?}",
            attached(&wire.namespace)
        );
        wire.send(&sent);
        // No waiting here: what was received must be drained.
        capture.signal(signal);
        let finished = capture.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        let counts = finished.counts();
        assert_eq!(
            (counts.captured, counts.received),
            (sent.len() as u64, sent.len() as u64)
        );
        let written = CaptureFile::read(&file);
        assert_same(&written.packets, &sent);
        assert_eq!(written.statistics.len(), 1);
        tools::assert_readable(&file);
        wait_until_nothing_is_attached(&wire.namespace);
    }
}

#[test]
fn usr1_prints_the_counts_and_the_capture_goes_on() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-w", "/dev/null"])
        .start();
    assert_eq!(capture.counts().received, 0);
    let sent = corpus::rich();
    for round in 1..=2 {
        wire.send(&sent);
        let counts = capture.wait_until_captured(round * sent.len() as u64);
        assert_eq!(counts.captured, round * sent.len() as u64);
        assert_eq!(counts.received, counts.captured);
        assert_eq!(counts.dropped, 0);
    }
    assert_eq!(capture.stop().counts().captured, 2 * sent.len() as u64);
}

#[test]
fn usr2_brings_all_that_was_captured_into_the_file() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("flushed.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let sent = corpus::rich();
    wire.send(&sent);
    capture.wait_until_captured(sent.len() as u64);
    capture.signal(Signal::SIGUSR2);
    wait_until("all packets in the file", || {
        CaptureFile::read_cut(&file).packets.len() == sent.len()
    });
    assert_same(&CaptureFile::read_cut(&file).packets, &sent);
    capture.stop();
    assert_same(&CaptureFile::read(&file).packets, &sent);
}

#[test]
fn a_kill_leaves_nothing_attached_and_a_file_that_reads_up_to_the_cut() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("cut.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let sent = corpus::rich();
    wire.send(&sent);
    capture.wait_until_captured(sent.len() as u64);
    capture.signal(Signal::SIGUSR2);
    wait_until("the file filled", || {
        CaptureFile::read_cut(&file).packets.len() == sent.len()
    });
    capture.signal(Signal::SIGKILL);
    assert_eq!(capture.wait().status.signal(), Some(9));
    if missing("tcx").is_some() {
        // Filters outlive the process: see sweep.rs.
        let swept = Nodecap::new(&wire.namespace, &["sweep"]).run();
        assert_eq!(swept.code(), Some(0), "{}", swept.stderr);
    }
    wait_until_nothing_is_attached(&wire.namespace);
    let written = CaptureFile::read_cut(&file);
    assert_same(&written.packets, &sent);
    tools::assert_readable(&file);
}

#[test]
fn a_kill_under_load_leaves_a_file_that_reads_up_to_the_cut() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("cut.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let sent = corpus::rich();
    replay::flood(&wire.namespace, Wire::SENDER, &sent, 60);
    wait_until("something in the file", || {
        fs::metadata(&file).unwrap().len() > 100_000
    });
    capture.signal(Signal::SIGKILL);
    drop(capture.wait());
    wait_until_nothing_is_attached(&wire.namespace);
    let written = CaptureFile::read_cut(&file);
    assert!(!written.packets.is_empty());
    let expected: Vec<_> = sent
        .iter()
        .cycle()
        .take(written.packets.len())
        .cloned()
        .collect();
    assert_same(&written.packets, &expected);
}

#[test]
fn a_second_interrupt_quits_at_once_though_nobody_reads_the_output() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-w", "-"])
        .stdout(Stdout::Unread)
        .start();
    // Far more than the 64 KiB that a pipe holds.
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 50);
    capture.signal(Signal::SIGINT);
    // Sent any sooner, two of them may be heard as one.
    capture.wait_for_mention("an interrupt now stops at once");
    capture.signal(Signal::SIGINT);
    drop(capture.wait());
    wait_until_nothing_is_attached(&wire.namespace);
}
