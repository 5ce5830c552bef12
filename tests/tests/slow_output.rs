//! An output that takes its time, or nothing at all: the capture goes on, and what it cost is told.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs::File;
use std::io::Read;
use std::process::Command;

use lab::frames::{Frame, corpus};
use lab::nodecap::Nodecap;
use lab::packet_socket::{Announced, PacketSocket};
use lab::process::Stdout;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::{Signal, replay, tool};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[test]
fn a_reader_that_sleeps_costs_packets_that_are_counted_and_nothing_else() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let fifo = scratch.path("fifo");
    tool::run(Command::new(tool::path("mkfifo")).arg(&fifo));
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", "512K"])
        .write(&fifo)
        .spawn();
    // It waits for a reader, which then reads nothing.
    let mut reader = File::open(&fifo).unwrap();
    capture.wait_until_listening();
    let sent = replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 900);
    // Orders are obeyed meanwhile, and the loss is told.
    let counts = capture.counts();
    assert_eq!(counts.received, sent);
    assert!(counts.dropped > 0 && counts.captured < sent, "{counts:?}");
    // It wakes up, and everything goes on.
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    capture.wait_until_captured(sent - counts.dropped);
    wire.send(&corpus::rich());
    let all = sent + corpus::rich().len() as u64;
    capture.wait_until_captured(all - counts.dropped);
    let finished = capture.stop();
    let last = finished.counts();
    assert_eq!((last.received, last.dropped), (all, counts.dropped));
    assert_eq!(last.captured + last.dropped, last.received);
    let written = CaptureFile::parse(&reading.join().unwrap(), "the FIFO");
    assert_eq!(written.packets.len() as u64, last.captured);
    assert_eq!(written.statistics[0].dropped, Some(last.dropped));
    let told: u64 = written.packets.iter().map(|packet| packet.dropcount).sum();
    assert_eq!(told, last.dropped);
}

#[test]
fn a_capture_that_slept_until_its_rings_were_full_goes_on_and_ends_when_told() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let path = scratch.path("x.pcapng");
    // Enough that each CPU has a ring of its own and gathers small records, where there are two.
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", "1M"])
        .write(&path)
        .start();
    capture.signal(Signal::SIGSTOP);
    // Small ones, so that some are left over that find no room in the end.
    let small: Vec<_> = corpus::rich()
        .into_iter()
        .filter(|frame| frame.len() <= 200)
        .collect();
    let times = 20_000 / small.len() as u64;
    let sent = replay::flood(&wire.namespace, Wire::SENDER, &small, times);
    capture.signal(Signal::SIGCONT);
    let dropped = capture.counts().dropped;
    assert!(dropped > 0);
    capture.wait_until_captured(sent - dropped);
    wire.send(&small);
    let finished = capture.stop();
    let counts = finished.counts();
    assert_eq!(counts.received, sent + small.len() as u64);
    assert_eq!(counts.captured + counts.dropped, counts.received);
    let written = CaptureFile::read(&path);
    assert_eq!(written.packets.len() as u64, counts.captured);
    let times = written.packets.iter().map(|packet| packet.time_ns);
    assert!(times.is_sorted());
}

/// Sends frames from the last CPU that there is, and says whether floods come from another one.
fn send_from_the_last_cpu(wire: &Wire, frames: &[Frame]) -> bool {
    let allowed = sched_getaffinity(None).unwrap();
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let (first, last) = (cpus.next(), cpus.next_back());
    let mut one = CpuSet::new();
    one.set(last.or(first).unwrap());
    let sender = PacketSocket::new(&wire.namespace, Wire::SENDER, Announced::ByHeader);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sched_setaffinity(None, &one).unwrap();
            for frame in frames {
                sender.send(frame);
            }
        });
    });
    last.is_some()
}

#[test]
fn what_finds_no_room_since_others_filled_the_ring_is_written_late_and_counted_so() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let path = scratch.path("x.pcapng");
    let cpus = std::thread::available_parallelism().unwrap().get();
    let rings = cpus.next_power_of_two() as u64;
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-v", "--ring-size", &format!("{}K", 512 * rings)])
        .write(&path)
        .start();
    capture.signal(Signal::SIGSTOP);
    let small: Vec<_> = corpus::rich()
        .into_iter()
        .filter(|frame| frame.len() <= 200)
        .collect();
    // They are gathered on their CPU while another one goes on in its ring, until there is no room.
    let few = &small[..10];
    let waits = send_from_the_last_cpu(&wire, few);
    let times = 10_000 * rings / small.len() as u64;
    let sent = replay::flood(&wire.namespace, Wire::SENDER, &small, times);
    let all = sent + few.len() as u64;
    capture.signal(Signal::SIGCONT);
    let dropped = capture.counts().dropped;
    assert!(dropped > 0);
    capture.wait_until_captured(all - dropped);
    let finished = capture.stop();
    let counts = finished.counts();
    assert_eq!((counts.received, counts.captured), (all, all - dropped));
    let late = format!("{} packets came too late to be put in order", few.len());
    assert_eq!(
        finished.stderr.contains(&late),
        waits,
        "{}",
        finished.stderr
    );
    let written = CaptureFile::read(&path);
    assert_eq!(written.packets.len() as u64, counts.captured);
}

#[test]
fn the_time_limit_holds_though_nobody_reads() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let fifo = scratch.path("fifo");
    tool::run(Command::new(tool::path("mkfifo")).arg(&fifo));
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", "512K", "--duration", "1500ms"])
        .write(&fifo)
        .spawn();
    let mut reader = File::open(&fifo).unwrap();
    capture.wait_until_listening();
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 900);
    // The time is over, and it says what keeps it.
    capture.wait_for_mention("still writing what was captured");
    wire.send(&corpus::rich());
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(finished.stop_reason(), "time limit (1s 500ms)");
    let written = CaptureFile::parse(&reading.join().unwrap(), "the FIFO");
    let times = written.packets.iter().map(|packet| packet.time_ns);
    let [first, last] = [times.clone().min(), times.max()].map(Option::unwrap);
    assert!(last - first <= 1_500_000_000, "{first} to {last}");
    assert_eq!(written.packets.len() as u64, finished.counts().captured);
}

#[test]
fn lines_that_nobody_reads_hold_up_no_order() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", "512K", "-vv"])
        .stdout(Stdout::Unread)
        .start();
    let sent = replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 900);
    let counts = capture.counts();
    assert_eq!(counts.received, sent);
    capture.signal(Signal::SIGINT);
    capture.wait_for_mention("an interrupt now stops at once");
    capture.signal(Signal::SIGINT);
    assert_eq!(capture.wait().code(), Some(1));
}
