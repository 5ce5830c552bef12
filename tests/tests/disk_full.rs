//! A disk that fills up while a capture runs.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::path::PathBuf;

use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::nodecap::Nodecap;
use lab::process::Finished;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::{Signal, replay, tool, tools};

/// A folder with room for 256 KiB, in the namespace.
fn small_disk(wire: &Wire, scratch: &Scratch) -> PathBuf {
    let disk = scratch.path("disk");
    fs::create_dir(&disk).unwrap();
    let mut mount = wire.namespace.command("mount");
    tool::run(
        mount
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(&disk),
    );
    disk
}

/// What it ended with for want of room, and said so: that line.
#[track_caller]
fn complaint(finished: &Finished) -> &str {
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    let mut lines = finished.stderr.lines();
    lines
        .find(|line| line.contains("space"))
        .expect("a line that says that there is no space")
}

#[test]
fn the_capture_stops_and_every_packet_that_was_written_whole_is_kept() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let disk = small_disk(&wire, &scratch);
    let file = disk.join("full.pcapng");

    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let sent = corpus::rich();
    replay::flood(&wire.namespace, Wire::SENDER, &sent, 30);
    let finished = capture.wait();
    let complaint = complaint(&finished);
    assert!(complaint.contains(file.to_str().unwrap()), "{complaint}");

    let file = wire.namespace.outside(&file);
    let written = CaptureFile::read(&file);
    let kept: Vec<Frame> = sent
        .iter()
        .cycle()
        .take(written.packets.len())
        .cloned()
        .collect();
    assert_same(&written.packets, &kept);
    assert_eq!(finished.counts().captured, written.packets.len() as u64);
    // All that there was room for: a page and a packet less than the disk holds at most.
    let len = fs::metadata(&file).unwrap().len();
    assert!(len > (256 << 10) - 4_096 - 2_048, "{len} bytes");
    tools::assert_readable(&file);
}

#[test]
fn of_a_rotation_every_file_is_whole_that_there_was_room_for() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let disk = small_disk(&wire, &scratch);
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-C", "64K"])
        .write(&disk.join("x.pcapng"))
        .start();
    let sent = corpus::rich();
    replay::flood(&wire.namespace, Wire::SENDER, &sent, 30);
    let finished = capture.wait();
    complaint(&finished);
    let entries = fs::read_dir(wire.namespace.outside(&disk)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "{files:?}");
    let mut written = Vec::new();
    for file in &files {
        tools::assert_readable(file);
        written.extend(CaptureFile::read(file).packets);
    }
    let kept: Vec<Frame> = sent.iter().cycle().take(written.len()).cloned().collect();
    assert_same(&written, &kept);
    assert_eq!(finished.counts().captured, written.len() as u64);
}

#[test]
fn a_flows_file_without_room_ends_the_capture_with_its_packets_whole() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--flows", "/dev/full"])
        .write(&file)
        .start();
    let sent = corpus::rich();
    wire.send(&sent);
    capture.wait_until_captured(sent.len() as u64);
    capture.signal(Signal::SIGINT);
    let finished = capture.wait();
    let complaint = complaint(&finished);
    assert!(complaint.contains("/dev/full"), "{complaint}");
    assert_same(&CaptureFile::read(&file).packets, &sent);
    assert_eq!(finished.counts().captured, sent.len() as u64);
}
