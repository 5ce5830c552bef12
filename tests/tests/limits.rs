//! The limits are exact: never one packet or one byte more, and the file that they end is whole.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::time::{Duration, Instant};

use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::{replay, tools};

#[test]
fn a_packet_limit_ends_the_capture_with_that_packet() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let sent = corpus::rich();
    for limit in [1, 2, 1_000] {
        let file = scratch.path("limited.pcapng");
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["-c", &limit.to_string()])
            .write(&file)
            .start();
        replay::flood(&wire.namespace, Wire::SENDER, &sent, 10);
        let finished = capture.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        assert_eq!(finished.stop_reason(), format!("packet limit ({limit})"));
        let counts = finished.counts();
        assert_eq!(counts.captured, limit as u64);
        assert!(
            counts.received >= counts.captured + counts.dropped,
            "{counts:?}"
        );
        let first: Vec<Frame> = sent.iter().cycle().take(limit).cloned().collect();
        assert_same(&CaptureFile::read(&file).packets, &first);
        tools::assert_readable(&file);
    }
}

#[test]
fn a_packet_limit_holds_for_lines_too() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        // A line a packet, nothing under it.
        .args(["--no-track"])
        .args(["-n", "-c", "7"])
        .start();
    wire.send(&corpus::rich());
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(
        finished.stdout_text().lines().count(),
        7,
        "{}",
        finished.stdout_text()
    );
    assert_eq!(finished.counts().captured, 7);
}

#[test]
fn a_packet_limit_holds_over_all_interfaces_together() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("limited.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-i", Wire::SENDER, "-c", "101"])
        .write(&file)
        .start();
    wire.send(&corpus::rich());
    let finished = capture.wait();
    assert_eq!(finished.counts().captured, 101);
    assert_eq!(CaptureFile::read(&file).packets.len(), 101);
}

#[test]
fn the_output_never_exceeds_its_size_limit_and_comes_close_to_it() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("limited.pcapng");
    for (argument, limit) in [
        ("4K", 4_096),
        ("10001", 10_001),
        ("64K", 65_536),
        ("1M", 1 << 20),
    ] {
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--size", argument])
            .write(&file)
            .start();
        replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 40);
        let finished = capture.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        assert!(
            finished.stop_reason().contains("size"),
            "{}",
            finished.stop_reason()
        );
        let len = fs::metadata(&file).unwrap().len();
        assert!(len <= limit, "{len} bytes, limit {limit}");
        // The next packet would have passed it: none takes more than this with its options.
        assert!(len + 1_600 > limit, "{len} bytes, limit {limit}");
        let written = CaptureFile::read(&file);
        assert_eq!(written.statistics.len(), 1);
        assert_eq!(written.packets.len() as u64, finished.counts().captured);
        tools::assert_readable(&file);
    }
}

#[test]
fn a_pipe_gets_no_more_bytes_than_the_size_limit() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--size", "20000", "-w", "-"])
        .start();
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 5);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(
        finished.stdout.len() <= 20_000,
        "{} bytes",
        finished.stdout.len()
    );
    let written = CaptureFile::parse(&finished.stdout, "standard output");
    assert!(!written.cut && written.statistics.len() == 1);
}

#[test]
fn a_duration_ends_the_capture_though_no_packet_comes() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("limited.pcapng");
    for duration in ["1", "1s"] {
        let before = Instant::now();
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--duration", duration])
            .write(&file)
            .start();
        let finished = capture.wait();
        assert!(before.elapsed() >= Duration::from_secs(1), "too early");
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        assert_eq!(finished.counts().captured, 0);
        assert!(
            finished.stop_reason().contains('1'),
            "{}",
            finished.stop_reason()
        );
        let written = CaptureFile::read(&file);
        assert_eq!((written.packets.len(), written.statistics.len()), (0, 1));
        tools::assert_readable(&file);
    }
}

#[test]
fn of_several_limits_the_one_that_is_met_first_ends_the_capture() {
    let wire = Wire::new();
    let capture = |limits: &[&str]| {
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER).args(limits);
        let capture = capture.args(["-w", "/dev/null"]).start();
        wire.send(&corpus::rich());
        capture.wait()
    };
    let finished = capture(&["-c", "20", "--size", "1G", "--duration", "1h30m"]);
    assert_eq!(finished.stop_reason(), "packet limit (20)");
    let finished = capture(&["-c", "1000000", "--size", "1G", "--duration", "1s"]);
    assert!(!finished.stop_reason().contains("packet") && !finished.stop_reason().contains("size"));
    assert_eq!(finished.counts().captured, corpus::rich().len() as u64);
    let finished = capture(&["-c", "1000000", "--size", "5K", "--duration", "1h"]);
    assert!(
        finished.stop_reason().contains("size"),
        "{}",
        finished.stop_reason()
    );
}
