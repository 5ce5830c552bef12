//! One file after the other: each whole by itself, together the whole capture.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::namespace::Namespace;
use lab::nodecap::{Counts, Nodecap};
use lab::read::pcapng::INTERFACE_STATISTICS;
use lab::read::{CaptureFile, Captured};
use lab::scratch::Scratch;
use lab::topology::{Wire, add_wire};
use lab::wait::wait_until;
use lab::{Signal, replay, tools};

/// The files of a folder in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads them all. Each must be whole: statistics for each of its interfaces and nothing behind
/// them, packets within the time that they tell, nothing that other readers complain of.
#[track_caller]
fn read(files: &[PathBuf]) -> Vec<CaptureFile> {
    let read = files.iter().map(|file| {
        tools::assert_readable(file);
        let written = CaptureFile::read(file);
        let interfaces = written.interfaces.len();
        let (before, end) = written.blocks.split_at(written.blocks.len() - interfaces);
        assert_eq!(end, vec![INTERFACE_STATISTICS; interfaces], "{file:?}");
        assert!(!before.contains(&INTERFACE_STATISTICS), "{file:?}");
        for block in &written.statistics {
            let of_it = |packet: &&Captured| packet.interface == block.interface;
            let packets = written.packets.iter().filter(of_it);
            let (start, end) = (block.start_ns.unwrap(), block.end_ns.unwrap());
            let mut kept = 0;
            for packet in packets {
                assert!(
                    (start..=end).contains(&packet.time_ns),
                    "{file:?}: {block:?}"
                );
                kept += 1;
            }
            assert_eq!(block.delivered, Some(kept), "{file:?}");
        }
        written
    });
    read.collect()
}

#[track_caller]
fn assert_together(files: &[CaptureFile], sent: &[Frame], counts: Counts) {
    let packets: Vec<Captured> = files.iter().flat_map(|it| it.packets.clone()).collect();
    assert_same(&packets, sent);
    assert_eq!(counts.captured, packets.len() as u64);
    let sum = |of: fn(&lab::read::Statistics) -> Option<u64>| -> u64 {
        let blocks = files.iter().flat_map(|it| &it.statistics);
        blocks.map(|block| of(block).unwrap()).sum()
    };
    assert_eq!(sum(|block| block.received), counts.received);
    assert_eq!(sum(|block| block.dropped), counts.dropped);
    assert_eq!(sum(|block| block.delivered), counts.captured);
}

fn repeated(times: usize) -> Vec<Frame> {
    let frames = corpus::rich();
    frames
        .iter()
        .cycle()
        .take(times * frames.len())
        .cloned()
        .collect()
}

#[test]
fn no_file_exceeds_its_size_and_together_they_are_the_capture() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-C", "64K"])
        .write(&scratch.path("x.pcapng"))
        .start();
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 20);
    let finished = capture.stop();
    let files = files(scratch.folder());
    assert!(files.len() > 3, "{files:?}");
    for (number, file) in (1..).zip(&files) {
        assert_eq!(*file, scratch.path(&format!("x.{number:05}.pcapng")));
        let metadata = fs::metadata(file).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
        assert!(metadata.len() <= 65_536, "{file:?} has {}", metadata.len());
        // The next packet, with all that is written with it, would have been too much.
        assert!(
            number == files.len() || metadata.len() + 1_600 > 65_536,
            "{file:?}"
        );
    }
    assert_together(&read(&files), &repeated(20), finished.counts());
}

#[test]
fn a_file_that_is_full_ends_and_the_oldest_goes() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let run = |most: &str| {
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["-C", "32K", "-W", most])
            .write(&scratch.path("x.pcapng"))
            .start();
        replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 20);
        let finished = capture.stop();
        assert_eq!(finished.counts().captured, repeated(20).len() as u64);
        files(scratch.folder())
    };
    let first = run("3");
    assert_eq!(first.len(), 3);
    let packets: Vec<_> = read(&first).into_iter().flat_map(|it| it.packets).collect();
    let sent = repeated(20);
    assert_same(&packets, &sent[sent.len() - packets.len()..]);
    // A second capture goes on behind the first, and has no more files with it.
    let second = run("3");
    assert_eq!(second.len(), 3);
    assert!(second[0] > first[2], "{first:?} {second:?}");
    read(&second);
}

#[test]
fn all_files_together_never_exceed_what_they_may_and_the_oldest_go() {
    let wire = Wire::new();
    for (ending, rounds) in [("pcapng", 20), ("pcapng.gz", 60)] {
        let scratch = Scratch::new();
        let total = 100_000;
        let bytes = || -> u64 {
            // A file may go while one looks.
            let lens = files(scratch.folder())
                .into_iter()
                .filter_map(|file| fs::metadata(file).ok());
            lens.map(|metadata| metadata.len()).sum()
        };
        let run = || {
            let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
                .args(["-C", "32K", "--rotate-total", "100000"])
                .write(&scratch.path(&format!("x.{ending}")))
                .start();
            for _ in 0..rounds / 5 {
                replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 5);
                assert!(bytes() <= total, "{} bytes", bytes());
            }
            let finished = capture.stop();
            assert_eq!(finished.counts().captured, repeated(rounds).len() as u64);
            assert!(bytes() <= total, "{} bytes", bytes());
            files(scratch.folder())
        };
        let first = run();
        // More could have stayed only by leaving no room for a whole file.
        assert!(bytes() + 2 * 32_768 > total, "{} bytes", bytes());
        assert!(
            first[0] > scratch.path(&format!("x.00001.{ending}")),
            "{first:?}"
        );
        if ending == "pcapng" {
            let packets: Vec<_> = read(&first).into_iter().flat_map(|it| it.packets).collect();
            let sent = repeated(rounds);
            assert_same(&packets, &sent[sent.len() - packets.len()..]);
        }
        // What an earlier capture left counts.
        let second = run();
        assert!(second[0] > first[0], "{first:?} {second:?}");
    }
}

#[test]
fn an_interval_begins_another_file_though_no_packet_comes() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-G", "1s"])
        .write(&scratch.path("x.pcapng"))
        .start();
    wire.send(&corpus::rich());
    wait_until("a third file", || files(scratch.folder()).len() >= 3);
    wire.send(&corpus::rich());
    capture.wait_until_captured(repeated(2).len() as u64);
    let finished = capture.stop();
    let written = read(&files(scratch.folder()));
    assert_eq!(written[1].packets.len(), 0);
    assert_together(&written, &repeated(2), finished.counts());
    // Neither a gap nor an overlap: one file's end is the next one's beginning.
    for two in written.windows(2) {
        assert_eq!(two[0].statistics[0].end_ns, two[1].statistics[0].start_ns);
    }
}

#[test]
fn a_hang_up_begins_another_file_when_rotating_and_ends_the_capture_otherwise() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-G", "1h"])
        .write(&scratch.path("x.pcapng"))
        .start();
    for round in 1..=3 {
        wire.send(&corpus::rich());
        capture.wait_until_captured((round * corpus::rich().len()) as u64);
        if round < 3 {
            capture.signal(Signal::SIGHUP);
            wait_until("another file", || files(scratch.folder()).len() > round);
        }
    }
    let finished = capture.stop();
    let written = read(&files(scratch.folder()));
    assert_eq!(written.len(), 3);
    for file in &written {
        assert_same(&file.packets, &corpus::rich());
    }
    assert_together(&written, &repeated(3), finished.counts());

    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-w", "/dev/null"])
        .start();
    capture.signal(Signal::SIGHUP);
    let finished = capture.wait();
    assert_eq!(
        (finished.code(), finished.stop_reason()),
        (Some(0), "signal HUP")
    );
}

#[test]
fn a_hang_up_does_the_same_while_interfaces_are_still_being_attached_to() {
    let (namespace, scratch) = (Namespace::silent(), Scratch::new());
    for number in 0..20 {
        add_wire(
            &namespace,
            &format!("in{number}"),
            &format!("pod{number}"),
            1_500,
        );
    }
    let capture = Nodecap::capture(&namespace, "pod*")
        .args(["-G", "1h"])
        .write(&scratch.path("x.pcapng"))
        .spawn();
    // Begun once there is a first interface; the others take their time.
    wait_until("a file that has begun", || {
        let first = files(scratch.folder()).pop();
        first.is_some_and(|file| fs::metadata(file).unwrap().len() > 0)
    });
    assert_eq!(capture.counts().captured, 0);
    capture.signal(Signal::SIGHUP);
    wait_until("another file", || files(scratch.folder()).len() > 1);
    capture.wait_until_listening();
    let finished = capture.stop();
    assert_eq!(finished.stop_reason(), "signal INT");
    let written = read(&files(scratch.folder()));
    assert_eq!(written.len(), 2);
    assert_eq!(written[1].interfaces.len(), 20);
}

#[test]
fn a_storm_of_hang_ups_loses_nothing() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-G", "1h", "-W", "1000000"])
        .write(&scratch.path("x.pcapng"))
        .start();
    for _ in 0..4 {
        for _ in 0..10 {
            capture.signal(Signal::SIGHUP);
        }
        wire.send(&corpus::rich());
    }
    let finished = capture.stop();
    assert_together(
        &read(&files(scratch.folder())),
        &repeated(4),
        finished.counts(),
    );
}

#[test]
fn the_limits_hold_over_all_files_together() {
    let wire = Wire::new();
    let run = |limit: &[&str]| {
        let scratch = Scratch::new();
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["-C", "16K"])
            .args(limit)
            .write(&scratch.path("x.pcapng"))
            .start();
        replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 20);
        (capture.wait(), scratch)
    };
    let (finished, scratch) = run(&["-c", "333"]);
    assert_eq!(finished.stop_reason(), "packet limit (333)");
    let written = read(&files(scratch.folder()));
    assert!(written.len() > 1);
    let packets: Vec<_> = written.into_iter().flat_map(|it| it.packets).collect();
    assert_same(&packets, &repeated(20)[..333]);

    let (finished, scratch) = run(&["--size", "100000"]);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(finished.stop_reason(), "size limit (100000 bytes)");
    let files = files(scratch.folder());
    let bytes: u64 = files
        .iter()
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
    // A last packet may have needed another file, with a header and statistics.
    assert!(bytes <= 100_000 && bytes + 2_600 > 100_000, "{bytes} bytes");
    assert!(read(&files).len() > 5);
}

#[test]
fn files_that_begin_later_have_the_interfaces_that_joined_and_not_those_that_went() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "one-in", "pod-one", 1_500);
    let scratch = Scratch::new();
    let capture = Nodecap::capture(&namespace, "pod-*")
        .args(["-G", "1h"])
        .write(&scratch.path("x.pcapng"))
        .start();
    let rotate = |files_then: usize| {
        capture.signal(Signal::SIGHUP);
        wait_until("another file", || {
            files(scratch.folder()).len() == files_then
        });
    };
    let send = |interface: &str, so_far: usize| {
        replay::send(&namespace, interface, &corpus::rich());
        capture.wait_until_captured((so_far * corpus::rich().len()) as u64);
    };
    send("one-in", 1);
    add_wire(&namespace, "two-in", "pod-two", 1_500);
    capture.wait_for_mention("listening on pod-two too");
    send("two-in", 2);
    rotate(2);
    send("two-in", 3);
    namespace.ip("link del pod-one");
    capture.wait_for_mention("pod-one is gone");
    rotate(3);
    send("two-in", 4);
    let counts = capture.stop().counts();
    let written = read(&files(scratch.folder()));
    let names = |file: &CaptureFile| -> Vec<String> {
        let names = file.interfaces.iter().map(|it| it.name.clone().unwrap());
        names.collect()
    };
    assert_eq!(names(&written[0]), ["pod-one", "pod-two"]);
    assert_eq!(names(&written[1]), ["pod-one", "pod-two"]);
    assert_eq!(names(&written[2]), ["pod-two"]);
    for file in &written {
        assert_same(&file.packets_of("pod-two"), &corpus::rich());
    }
    assert_together(&written, &repeated(4), counts);
}

#[test]
fn a_percent_sign_in_the_name_is_a_part_of_the_time() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-G", "1h"])
        .write(&scratch.path("x-%Y.pcapng"))
        .start();
    capture.signal(Signal::SIGHUP);
    wait_until("another file", || files(scratch.folder()).len() == 2);
    capture.stop();
    let files = files(scratch.folder());
    let name = |at: usize| files[at].file_name().unwrap().to_str().unwrap();
    let year: u32 = name(0)
        .strip_prefix("x-")
        .and_then(|rest| rest.strip_suffix(".pcapng"))
        .and_then(|year| year.parse().ok())
        .unwrap();
    assert!(year > 2000);
    assert_eq!(name(1), format!("x-{year}_00002.pcapng"));
    read(&files);
}

#[test]
fn a_link_in_the_place_of_the_next_file_ends_the_capture_and_is_not_followed() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-G", "1h"])
        .write(&scratch.path("x.pcapng"))
        .start();
    let target = scratch.path("precious");
    fs::write(&target, "precious").unwrap();
    symlink(&target, scratch.path("x.00002.pcapng")).unwrap();
    wire.send(&corpus::rich());
    capture.wait_until_captured(corpus::rich().len() as u64);
    capture.signal(Signal::SIGHUP);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("symbolic link"),
        "{}",
        finished.stderr
    );
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    let written = read(&[scratch.path("x.00001.pcapng")]);
    assert_same(&written[0].packets, &corpus::rich());
}

#[test]
fn a_folder_that_is_removed_ends_the_capture_with_the_folder_named() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let folder = scratch.path("gone");
    fs::create_dir(&folder).unwrap();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-G", "1h"])
        .write(&folder.join("x.pcapng"))
        .start();
    fs::remove_dir_all(&folder).unwrap();
    wire.send(&corpus::rich());
    capture.wait_until_captured(corpus::rich().len() as u64);
    capture.signal(Signal::SIGHUP);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    let complaint = finished.stderr.lines().last().unwrap();
    assert!(complaint.contains(folder.to_str().unwrap()), "{complaint}");
    assert!(!folder.exists());
}

#[test]
fn options_that_contradict_are_wrong_usage() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let path = |name: &str| scratch.path(name).display().to_string();
    let (file, strange) = (path("x"), path("x-%!"));
    for (arguments, said) in [
        (&["-w", "-", "-C", "1M"][..], "standard output"),
        (&["-w", "/dev/null", "-G", "1m"], "files"),
        (&["-C", "1M"], "--write"),
        (&["-G", "1m", "--flows", "/dev/null"], "--write"),
        (&["-w", &file, "-W", "3"], "--rotate-size"),
        (&["-w", &file, "-C", "1M", "-W", "0"], "0 files"),
        (&["-w", &file, "-C", "0"], "0 bytes"),
        (&["-w", &file, "--rotate-total", "1M"], "--rotate-size"),
        (
            &["-w", &file, "-C", "2M", "--rotate-total", "1M"],
            "--rotate-total",
        ),
        (&["-w", &file, "-C", "10"], "10M for tcpdump"),
        (&["-w", &strange, "-G", "1m"], "file name"),
    ] {
        Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(arguments)
            .assert_refused(said);
    }
    assert_eq!(files(scratch.folder()), [""; 0].map(PathBuf::from));
}
