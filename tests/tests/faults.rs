//! What a capture that runs for weeks meets one day, and what must survive it. A full disk and a
//! slow one have files of their own (`disk_full`, `slow_output`), and so have the limits.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use attached::{attached, wait_until_nothing_is_attached};
use lab::ability::is_guest;
use lab::compare::assert_same;
use lab::frames::{Frame, corpus};
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::{CaptureFile, Captured};
use lab::scratch::Scratch;
use lab::topology::{Wire, add_wire};
use lab::wait::wait_until;
use lab::{Signal, need, replay, tool, tools};

/// The capture files of a folder in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Their packets, one file after the other; each must be whole.
fn together(files: &[PathBuf]) -> Vec<Captured> {
    let read = files.iter().map(|file| {
        let written = CaptureFile::read(file);
        assert_eq!(
            written.statistics.len(),
            written.interfaces.len(),
            "{file:?}"
        );
        written.packets
    });
    read.flatten().collect()
}

fn repeated(count: usize) -> Vec<Frame> {
    corpus::rich().iter().cycle().take(count).cloned().collect()
}

#[test]
fn a_folder_that_is_taken_away_ends_the_capture_and_what_was_written_is_whole() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (folder, moved) = (scratch.path("here"), scratch.path("there"));
    fs::create_dir(&folder).unwrap();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-C", "64K"])
        .write(&folder.join("x.pcapng"))
        .start();
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 10);
    wait_until("several files", || files(&folder).len() > 2);
    fs::rename(&folder, &moved).unwrap();
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 20);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    let complaint = finished.stderr.lines().last().unwrap();
    assert!(complaint.contains(folder.to_str().unwrap()), "{complaint}");
    wait_until_nothing_is_attached(&wire.namespace);
    let written = together(&files(&moved));
    assert_same(&written, &repeated(written.len()));
    let counts = finished.counts();
    assert_eq!(counts.captured, written.len() as u64);
    // The rest was lost, or is past the end.
    assert!(counts.captured + counts.dropped <= counts.received);
}

#[test]
fn a_file_that_is_removed_under_it_costs_nobody_but_its_reader() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    fs::remove_file(&file).unwrap();
    wire.send(&corpus::rich());
    let count = corpus::rich().len() as u64;
    capture.wait_until_captured(count);
    assert_eq!(capture.stop().counts().captured, count);
    assert_eq!(fs::read_dir(scratch.folder()).unwrap().count(), 0);
}

/// Some milliseconds, up to so many.
fn any_time(up_to: u64) -> Duration {
    Duration::from_millis(RandomState::new().build_hasher().finish() % up_to)
}

#[test]
fn a_kill_at_any_moment_leaves_files_that_can_be_read_and_closed() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    // With those of `repair`, a hundred. Several at a time, each of which writes in its own way.
    let ways: [&[&str]; 4] = [&[], &["-U"], &["-C", "64K"], &["-U", "--no-track"]];
    for round in 0..15 {
        let folders: Vec<_> = (0..ways.len())
            .map(|way| scratch.path(&format!("{round}-{way}")))
            .collect();
        folders
            .iter()
            .for_each(|folder| fs::create_dir(folder).unwrap());
        let captures: Vec<_> = folders
            .iter()
            .zip(ways)
            .map(|(folder, way)| {
                Nodecap::capture(&wire.namespace, Wire::CATCHER)
                    .args(way)
                    .write(&folder.join("x.pcapng"))
                    .spawn()
            })
            .collect();
        // Most die while packets come, some before the first and some after the last.
        if round % 5 > 0 {
            captures[round % 4].wait_until_listening();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 30));
            for capture in captures {
                sleep(any_time(60));
                capture.signal(Signal::SIGKILL);
                assert_eq!(capture.wait().code(), None);
            }
        });
        for folder in &folders {
            for file in files(folder) {
                assert_closes(&wire, &file);
            }
            fs::remove_dir_all(folder).unwrap();
        }
    }
    wait_until_nothing_is_attached(&wire.namespace);
}

/// The file reads up to the cut, and `nodecap repair` makes it whole without losing a packet.
#[track_caller]
fn assert_closes(wire: &Wire, file: &Path) {
    if fs::metadata(file).unwrap().len() == 0 {
        // Killed before it had begun.
        return;
    }
    let before = CaptureFile::read_cut(file).packets;
    let repaired = Nodecap::new(&wire.namespace, &["repair"])
        .args([file])
        .run();
    assert_eq!(repaired.code(), Some(0), "{}", repaired.stderr);
    let after = CaptureFile::read(file);
    assert_eq!(after.packets, before);
    assert_eq!(after.statistics.len(), after.interfaces.len());
    // In the order in which they were sent, from wherever it began.
    if let Some(first) = before.first() {
        let sent = corpus::rich();
        let follows = |start: usize| {
            let expected = sent.iter().cycle().skip(start);
            before
                .iter()
                .zip(expected)
                .all(|(packet, sent)| packet.data == **sent)
        };
        let mut starts = (0..sent.len()).filter(|start| first.data == *sent[*start]);
        assert!(starts.any(follows), "{file:?} has not what was sent");
    }
}

#[test]
fn stopped_and_continued_it_has_lost_what_found_no_room_and_says_so() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", "512K"])
        .write(&file)
        .start();
    wire.send(&corpus::rich());
    let before = corpus::rich().len() as u64;
    capture.wait_until_captured(before);
    capture.signal(Signal::SIGSTOP);
    let sent = before + replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 60);
    capture.signal(Signal::SIGCONT);
    let counts = capture.counts();
    assert_eq!(counts.received, sent);
    assert!(counts.dropped > 0, "{counts:?}");
    capture.wait_until_captured(sent - counts.dropped);
    wire.send(&corpus::rich());
    let all = sent + before;
    capture.wait_until_captured(all - counts.dropped);
    let last = capture.stop().counts();
    assert_eq!((last.received, last.dropped), (all, counts.dropped));
    let written = CaptureFile::read(&file);
    assert_eq!(written.packets.len() as u64, last.captured);
    assert_eq!(written.statistics[0].dropped, Some(last.dropped));
    let told: u64 = written.packets.iter().map(|packet| packet.dropcount).sum();
    assert_eq!(told, last.dropped);
}

#[test]
fn a_link_that_flaps_is_captured_on_whenever_it_is_up() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start();
    let state = format!("/sys/class/net/{}/operstate", Wire::SENDER);
    let state = wire.namespace.outside(Path::new(&state));
    let sent = corpus::rich();
    for _ in 0..6 {
        for state in ["down", "up", "down", "up"] {
            wire.namespace
                .ip(&format!("link set {} {state}", Wire::CATCHER));
        }
        wait_until("a carrier", || {
            fs::read_to_string(&state).unwrap() == "up\n"
        });
        // The kernel takes a lock for this that it still holds if it isn't through with it.
        wire.namespace
            .ip(&format!("link set {} mtu 1500", Wire::SENDER));
        wire.send(&sent);
    }
    let all = 6 * sent.len();
    capture.wait_until_captured(all as u64);
    let counts = capture.stop().counts();
    assert_eq!((counts.captured, counts.dropped), (all as u64, 0));
    let written = CaptureFile::read(&file);
    assert_same(&written.packets, &repeated(all));
    assert_eq!((written.interfaces.len(), written.statistics.len()), (1, 1));
}

#[test]
fn a_namespace_that_is_deleted_takes_its_interface_along_and_nothing_else() {
    let node = Namespace::silent();
    add_wire(&node, "stays-in", "pod-stays", 1_500);
    let pod = Namespace::silent();
    node.ip(&format!(
        "link add pod-goes type veth peer name eth0 netns {}",
        pod.pid()
    ));
    node.ip("link set pod-goes up");
    pod.ip("link set eth0 up");
    let scratch = Scratch::new();
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&node, "pod-*").write(&file).start();
    // And one that is in there itself, which so can't be deleted.
    let inside = Nodecap::capture(&pod, "eth0")
        .write(&scratch.path("inside.pcapng"))
        .start();
    let sent = corpus::rich();
    let count = sent.len() as u64;
    replay::send(&pod, "eth0", &sent);
    capture.wait_until_captured(count);
    assert_eq!(inside.stop().counts().captured, count);
    drop(pod);
    capture.wait_for_mention("pod-goes is gone");
    replay::send(&node, "stays-in", &sent);
    capture.wait_until_captured(2 * count);
    let counts = capture.stop().counts();
    assert_eq!((counts.captured, counts.dropped), (2 * count, 0));
    let written = CaptureFile::read(&file);
    for interface in ["pod-goes", "pod-stays"] {
        assert_same(&written.packets_of(interface), &sent);
        assert_eq!(written.statistics_of(interface).delivered, Some(count));
    }
}

#[test]
fn a_storm_of_hang_ups_begins_files_that_are_the_capture_together() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-C", "1M"])
        .write(&scratch.path("x.pcapng"))
        .start();
    let sent = std::thread::scope(|scope| {
        let sender =
            scope.spawn(|| replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 60));
        while !sender.is_finished() {
            capture.signal(Signal::SIGHUP);
            sleep(Duration::from_micros(300));
        }
        sender.join().unwrap()
    });
    let finished = capture.stop();
    assert_eq!(finished.counts().captured, sent);
    let files = files(scratch.folder());
    assert!(files.len() > 5, "{files:?}");
    assert_same(&together(&files), &repeated(sent as usize));
}

#[test]
fn captures_of_one_interface_by_every_hook_see_all_and_outlive_each_other() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let start = |name: &str, hook: &str| {
        Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--hook", hook, "-Q", "in"])
            .write(&scratch.path(name))
            .start()
    };
    let first = start("first", "tc");
    let second = start("second", "tc");
    let third = start("third", "clsact");
    let count = corpus::rich().len() as u64;
    wire.send(&corpus::rich());
    for capture in [&first, &second, &third] {
        capture.wait_until_captured(count);
    }
    first.signal(Signal::SIGKILL);
    drop(first.wait());
    wire.send(&corpus::rich());
    third.wait_until_captured(2 * count);
    third.stop();
    wire.send(&corpus::rich());
    second.wait_until_captured(3 * count);
    second.stop();
    let packets = |name: &str| CaptureFile::read(&scratch.path(name)).packets;
    assert_same(&packets("second"), &repeated(3 * count as usize));
    assert_same(&packets("third"), &repeated(2 * count as usize));
    wait_until_nothing_is_attached(&wire.namespace);
}

#[test]
fn a_thousand_interfaces_are_captured_on_together_and_each_is_accounted_for() {
    // Each takes the kernel a grace period, when it is attached to and when it is detached from: that is
    // most of what this takes, and too long for an emulated kernel.
    let pairs = if is_guest() { 250 } else { 500 };
    let (namespace, scratch) = (Namespace::silent(), Scratch::new());
    let batch = (0..pairs).map(|n| {
        format!(
            "link add left-{n} type veth peer name right-{n}\n\
             link set left-{n} up\nlink set right-{n} up\n"
        )
    });
    fs::write(scratch.path("batch"), batch.collect::<String>()).unwrap();
    let mut ip = namespace.command("ip");
    tool::run(ip.arg("-batch").arg(scratch.path("batch")));
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&namespace, "left-*")
        .args(["-i", "right-*", "-Q", "in", "-v"])
        .write(&file)
        .spawn();
    let said = || capture.process().stderr();
    let listens = || said().contains("listening on");
    let open = format!("/proc/{}/fd", capture.process().pid());
    let descriptors = || fs::read_dir(&open).unwrap().count();
    while !listens() {
        let before = descriptors();
        wait_until("one more to be attached to", || {
            descriptors() > before || listens()
        });
    }
    let sent = corpus::rich();
    let last = pairs - 1;
    for from in ["left-0".to_owned(), format!("right-{last}")] {
        replay::send(&namespace, &from, &sent);
    }
    let all = 2 * sent.len() as u64;
    capture.wait_until_captured(all);
    capture.signal(Signal::SIGINT);
    // All is written and told before it detaches.
    capture.wait_for_line("stopped: ");
    let written = CaptureFile::read(&file);
    assert_eq!(written.interfaces.len(), 2 * pairs);
    assert_eq!(written.statistics.len(), 2 * pairs);
    for interface in ["right-0".to_owned(), format!("left-{last}")] {
        assert_same(&written.packets_of(&interface), &sent);
    }
    assert_eq!(written.packets.len() as u64, all);
    wait_until("a line in the ledger for each", || {
        let said = said();
        let lines = said.lines();
        lines
            .filter(|it| it.contains(" received by filter = "))
            .count()
            == 2 * pairs
    });
}

#[test]
fn an_index_that_is_used_again_is_another_interface() {
    need!("kernel 5.11");
    let (namespace, scratch) = (Namespace::silent(), Scratch::new());
    add_wire(&namespace, "stays-in", "pod-0", 1_500);
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&namespace, "pod-*").write(&file).start();
    let sent = corpus::rich();
    let rounds = 4;
    for n in 1..=rounds {
        // Whatever it has to do, that is with all that happens here: packets that wait of one
        // interface, and its successor.
        let held = (n % 2 == 1).then(|| capture.process().hold("mover"));
        for n in [2 * n - 1, 2 * n] {
            namespace.ip(&format!(
                "link add pod-{n} index 1000 type veth peer name in index 1001"
            ));
            namespace.ip(&format!("link set pod-{n} up"));
            namespace.ip("link set in up");
            capture.wait_for_mention(&format!("listening on pod-{n} too"));
            replay::send(&namespace, "in", &sent[..n]);
            namespace.ip(&format!("link del pod-{n}"));
            capture.wait_for_mention(&format!("pod-{n} is gone"));
        }
        drop(held);
    }
    let rounds = 2 * rounds;
    let finished = capture.stop();
    assert_eq!(finished.counts().captured, (1..=rounds as u64).sum::<u64>());
    let written = CaptureFile::read(&file);
    assert_eq!(written.interfaces.len(), 1 + rounds);
    for n in 1..=rounds {
        let name = format!("pod-{n}");
        assert_same(&written.packets_of(&name), &sent[..n]);
        let block = written.statistics_of(&name);
        assert_eq!((block.received, block.dropped), (Some(n as u64), Some(0)));
    }
    tools::assert_readable(&file);
    assert!(attached(&namespace).is_empty());
}
