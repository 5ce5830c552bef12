//! A disk that fills up while a capture runs.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;

use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::{replay, tool, tools};

#[test]
fn the_capture_stops_and_every_packet_that_was_written_whole_is_kept() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let disk = scratch.path("disk");
    fs::create_dir(&disk).unwrap();
    let mut mount = wire.namespace.command("mount");
    tool::run(
        mount
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(&disk),
    );
    let file = disk.join("full.pcapng");

    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let sent = corpus::rich();
    replay::flood(&wire.namespace, Wire::SENDER, &sent, 30);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    let complaint = finished.stderr.lines().find(|line| line.contains("space"));
    let complaint = complaint.expect("a line that says that there is no space");
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
