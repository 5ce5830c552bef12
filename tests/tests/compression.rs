//! Files that are compressed as they are written.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::wait::wait_until;
use lab::{Signal, replay, tool, tools};

const ENDINGS: [&str; 2] = ["zst", "gz"];

/// The file as its own program unpacks it: whole, or up to where it was cut.
fn unpack(file: &Path, cut: bool) -> CaptureFile {
    let program = if file.extension().unwrap() == "zst" {
        "zstd"
    } else {
        "gzip"
    };
    let mut command = Command::new(tool::path(program));
    let output = command.arg("-dc").arg(file).output().unwrap();
    assert!(cut || output.status.success(), "{command:?}: {output:?}");
    CaptureFile::parse(&output.stdout, "what was unpacked")
}

fn repeated(count: usize) -> Vec<Frame> {
    corpus::rich().iter().cycle().take(count).cloned().collect()
}

#[test]
fn the_name_s_ending_decides_and_every_reader_finds_every_packet() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let sent = corpus::rich();
    let mut lengths = Vec::new();
    for ending in ["pcapng", "pcapng.zst", "pcapng.gz"] {
        let file = scratch.path(&format!("x.{ending}"));
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .write(&file)
            .start();
        replay::flood(&wire.namespace, Wire::SENDER, &sent, 20);
        let finished = capture.stop();
        assert_eq!(finished.counts().captured, 20 * sent.len() as u64);
        lengths.push(fs::metadata(&file).unwrap().len());
        if ending == "pcapng" {
            continue;
        }
        let written = unpack(&file, false);
        assert!(!written.cut);
        assert_same(&written.packets, &repeated(20 * sent.len()));
        assert_eq!(written.statistics.len(), 1);
        let info = tools::capinfos(&file);
        assert!(info.contains("compress"), "{info}");
        assert_eq!(
            tools::tshark(&file, &[]).lines().count(),
            written.packets.len()
        );
        // One that isn't closed piece by piece would end early for us.
        let explained = Nodecap::new(&wire.namespace, &["explain", "-q"])
            .args([&file])
            .run();
        assert_eq!(explained.code(), Some(0), "{}", explained.stderr);
        let count = format!("{} packets", written.packets.len());
        assert!(
            explained.stdout_text().contains(&count),
            "{}",
            explained.stdout_text()
        );
    }
    assert!(
        lengths[1] < lengths[0] / 2 && lengths[2] < lengths[0] / 2,
        "{lengths:?}"
    );
}

#[test]
fn files_of_a_rotation_are_compressed_too() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-C", "64K"])
        .write(&scratch.path("x.pcapng.zst"))
        .start();
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 20);
    capture.stop();
    let mut files: Vec<PathBuf> = fs::read_dir(scratch.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 3);
    assert_eq!(files[0], scratch.path("x.00001.pcapng.zst"));
    let written: Vec<_> = files.iter().map(|file| unpack(file, false)).collect();
    assert!(written.iter().all(|file| file.statistics.len() == 1));
    let packets: Vec<_> = written.into_iter().flat_map(|it| it.packets).collect();
    assert_same(&packets, &repeated(20 * corpus::rich().len()));
}

#[test]
fn a_kill_leaves_what_was_flushed_and_usr2_flushes() {
    for ending in ENDINGS {
        let (wire, scratch) = (Wire::new(), Scratch::new());
        let file = scratch.path(&format!("x.pcapng.{ending}"));
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .write(&file)
            .start();
        let sent = corpus::rich();
        wire.send(&sent);
        capture.wait_until_captured(sent.len() as u64);
        capture.signal(Signal::SIGUSR2);
        wait_until("all packets in the file", || {
            unpack(&file, true).packets.len() == sent.len()
        });
        capture.signal(Signal::SIGKILL);
        drop(capture.wait());
        // A piece that was cut: what comes before it is there.
        let mut bytes = fs::read(&file).unwrap();
        bytes.extend_from_slice(&bytes.clone()[..200]);
        fs::write(&file, bytes).unwrap();
        let explained = Nodecap::new(&wire.namespace, &["explain", "-q"])
            .args([&file])
            .run();
        let count = format!("{} packets", sent.len());
        assert!(
            explained.stdout_text().contains(&count),
            "{}",
            explained.stdout_text()
        );
    }
}

#[test]
fn a_full_disk_keeps_whole_pieces_and_the_count_is_of_them() {
    for ending in ENDINGS {
        let (namespace, scratch) = (Namespace::silent(), Scratch::new());
        lab::topology::add_wire(&namespace, Wire::SENDER, Wire::CATCHER, 1_500);
        let disk = scratch.path("disk");
        fs::create_dir(&disk).unwrap();
        let mut mount = namespace.command("mount");
        tool::run(
            mount
                .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
                .arg(&disk),
        );
        let file = disk.join(format!("full.pcapng.{ending}"));
        let capture = Nodecap::capture(&namespace, Wire::CATCHER)
            .write(&file)
            .start();
        replay::flood(&namespace, Wire::SENDER, &noise(), 4);
        let finished = capture.wait();
        assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("space"), "{}", finished.stderr);
        let written = unpack(&namespace.outside(&file), false);
        let counts = finished.counts();
        assert_eq!(counts.captured, written.packets.len() as u64);
        assert!(counts.dropped > 0);
        let block = &written.statistics[0];
        assert_eq!(block.delivered, Some(counts.captured));
        assert_eq!(block.dropped, Some(counts.dropped));
    }
}

/// Frames that can't be compressed: 300 KiB of them.
fn noise() -> Vec<Frame> {
    let mut state = 1u64;
    let mut frames = Vec::new();
    for _ in 0..300 {
        let mut bytes = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];
        while bytes.len() < 1_024 {
            // Xorshift: enough for a compressor to find nothing in it.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push((state >> 32) as u8);
        }
        frames.push(bytes);
    }
    frames
}
