//! `--min-free`: the file system keeps that much, and the capture ends as with any other limit.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::{replay, tool, tools};

/// A disk of 4 MiB, seen from outside the namespace that has it.
fn disk(wire: &Wire, scratch: &Scratch) -> (PathBuf, PathBuf) {
    let disk = scratch.path("disk");
    fs::create_dir(&disk).unwrap();
    let mut mount = wire.namespace.command("mount");
    tool::run(
        mount
            .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
            .arg(&disk),
    );
    let outside = wire.namespace.outside(&disk);
    (disk, outside)
}

/// Bytes that are free there.
fn free(path: &Path) -> u64 {
    let mut command = Command::new(tool::path("stat"));
    let output = tool::run(command.args(["-f", "-c", "%a %S"]).arg(path));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace()
        .map(|number| number.parse::<u64>().unwrap())
        .product()
}

#[test]
fn the_capture_ends_whole_before_there_is_less() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (disk, outside) = disk(&wire, &scratch);
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--min-free", "3M"])
        .write(&disk.join("x.pcapng"))
        .start();
    let sent = corpus::rich();
    replay::flood(&wire.namespace, Wire::SENDER, &sent, 200);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(
        finished.stop_reason(),
        format!("free space limit ({} bytes)", 3 << 20)
    );
    let left = free(&outside);
    assert!(
        (3 << 20..(3 << 20) + (512 << 10)).contains(&left),
        "{left} bytes"
    );
    let file = outside.join("x.pcapng");
    tools::assert_readable(&file);
    let written = CaptureFile::read(&file);
    assert_eq!(written.statistics.len(), 1);
    assert_eq!(
        (finished.counts().captured, finished.counts().dropped),
        (written.packets.len() as u64, 0)
    );
    let expected: Vec<Frame> = sent
        .iter()
        .cycle()
        .take(written.packets.len())
        .cloned()
        .collect();
    assert_same(&written.packets, &expected);
}

#[test]
fn it_holds_over_the_files_of_a_rotation_whose_oldest_make_room() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (disk, outside) = disk(&wire, &scratch);
    let run = |more: &[&str]| {
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--min-free", "3M", "-C", "128K"])
            .args(more)
            .write(&disk.join("x.pcapng"))
            .start();
        replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 200);
        capture
    };
    let finished = run(&["-W", "3"]).stop();
    assert_eq!(finished.stop_reason(), "signal INT");
    let finished = run(&[]).wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(
        finished.stop_reason().starts_with("free space"),
        "{}",
        finished.stop_reason()
    );
    let left = free(&outside);
    assert!(
        (3 << 20..(3 << 20) + (512 << 10)).contains(&left),
        "{left} bytes"
    );
    for entry in fs::read_dir(&outside).unwrap() {
        tools::assert_readable(&entry.unwrap().path());
    }
}

#[test]
fn somebody_else_s_bytes_count_too_though_no_packet_comes() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (disk, outside) = disk(&wire, &scratch);
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--min-free", "3M"])
        .write(&disk.join("x.pcapng"))
        .start();
    fs::write(outside.join("other"), vec![7; 2 << 20]).unwrap();
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stop_reason().starts_with("free space"));
    tools::assert_readable(&outside.join("x.pcapng"));
}

#[test]
fn a_capture_does_not_begin_where_there_is_too_little_already() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (disk, outside) = disk(&wire, &scratch);
    let start = |arguments: &[&str]| {
        Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(arguments)
            .run()
    };
    let file = disk.join("x.pcapng").display().to_string();
    let finished = start(&["--min-free", "5M", "-w", &file]);
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("bytes left"),
        "{}",
        finished.stderr
    );
    assert!(!outside.join("x.pcapng").exists());
    for wrong in [
        &["--min-free", "0", "-w", &file][..],
        &["--min-free", "1M", "-w", "-"],
        &["--min-free", "1M"],
    ] {
        assert_eq!(start(wrong).code(), Some(2), "{wrong:?}");
    }
}
