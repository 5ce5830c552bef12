//! A capture that is killed, and what `nodecap repair` makes of its file.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::path::Path;

use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::nodecap::Nodecap;
use lab::process::Finished;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::wait::wait_until;
use lab::{Signal, replay, tools};

fn repair(wire: &Wire, file: &Path) -> Finished {
    Nodecap::new(&wire.namespace, &["repair"])
        .args([file])
        .run()
}

/// Kills a capture once its file has so many bytes.
fn kill_at(wire: &Wire, file: &Path, bytes: u64, more: &[&str]) {
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(more)
        .write(file)
        .start();
    let killer = std::thread::scope(|scope| {
        scope.spawn(|| {
            replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 40);
        });
        wait_until("a file of some length", || {
            fs::metadata(file).is_ok_and(|it| it.len() >= bytes)
        });
        capture.signal(Signal::SIGKILL);
        capture.wait()
    });
    assert_eq!(killer.code(), None);
}

fn repeated(count: usize) -> Vec<Frame> {
    corpus::rich().iter().cycle().take(count).cloned().collect()
}

#[test]
fn wherever_a_kill_strikes_the_file_is_closed_and_no_whole_packet_is_lost() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    // Where the kill strikes is up to the scheduler; what it should have reached is spread.
    for round in 0..40u64 {
        let file = scratch.path("x.pcapng");
        let flush: &[&str] = if round % 2 == 0 { &["-U"] } else { &[] };
        kill_at(&wire, &file, 200 + round * 6_000, flush);
        let before = CaptureFile::read_cut(&file);
        let finished = repair(&wire, &file);
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        let after = CaptureFile::read(&file);
        assert_eq!(after.packets, before.packets);
        assert_same(&after.packets, &repeated(before.packets.len()));
        assert_eq!(after.statistics.len(), 1);
        let block = &after.statistics[0];
        assert_eq!(block.delivered, Some(after.packets.len() as u64));
        if round % 8 == 0 {
            tools::assert_readable(&file);
        }
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_packed_file_is_closed_too() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    for ending in ["zst", "gz"] {
        for round in 0..4 {
            let file = scratch.path(&format!("x.pcapng.{ending}"));
            kill_at(&wire, &file, 1_000 + round * 2_000, &["-U"]);
            // As if the last write had been cut too.
            let len = fs::metadata(&file).unwrap().len();
            let cut = fs::File::options().write(true).open(&file).unwrap();
            cut.set_len(len - 5).unwrap();
            let finished = repair(&wire, &file);
            assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
            tools::capinfos(&file);
            let again = repair(&wire, &file);
            assert!(
                again.stdout_text().contains("nothing to do"),
                "{}",
                again.stdout_text()
            );
            fs::remove_file(&file).unwrap();
        }
    }
}

#[test]
fn the_file_of_a_capture_under_way_is_left_alone() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let finished = repair(&wire, &file);
    assert_eq!(finished.code(), Some(1));
    assert!(
        finished.stderr.contains("still writing"),
        "{}",
        finished.stderr
    );
    wire.send(&corpus::rich());
    capture.stop();
    assert_eq!(CaptureFile::read(&file).packets.len(), corpus::rich().len());
    let finished = repair(&wire, &file);
    assert!(
        finished.stdout_text().contains("nothing to do"),
        "{}",
        finished.stdout_text()
    );
}

#[test]
fn packet_buffered_is_in_the_file_without_being_asked_for() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    for option in [&["-U"][..], &["--flush-interval", "1"]] {
        let file = scratch.path("x.pcapng");
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(option)
            .write(&file)
            .start();
        let sent = corpus::rich();
        wire.send(&sent);
        wait_until("all packets in the file", || {
            CaptureFile::read_cut(&file).packets.len() == sent.len()
        });
        capture.stop();
    }
}

#[test]
fn a_file_that_is_no_capture_is_told_in_one_line() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("notes");
    fs::write(&file, "no capture at all, but long enough").unwrap();
    let finished = repair(&wire, &file);
    assert_eq!(finished.code(), Some(1));
    assert!(
        finished.stderr.contains("neither a pcapng nor a pcap"),
        "{}",
        finished.stderr
    );
    assert_eq!(finished.stderr.lines().count(), 1);
    assert_eq!(repair(&wire, &scratch.path("missing")).code(), Some(1));
}
