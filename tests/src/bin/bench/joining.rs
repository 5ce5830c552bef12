//! How soon an interface that appears is captured on, and what many of them take at the start.
//!
//! Attaching to one takes the kernel a grace period each way, during which whoever attaches waits:
//! it is that, and no work of anybody's, that these figures are made of. A program sees packets before its
//! grace period is over, so the first way is captured on at once, the second one after the first one's,
//! and the line that says so comes after both.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::packet_socket::{Announced, PacketSocket};
use lab::read::{CaptureFile, Direction};
use lab::scratch::Scratch;
use lab::tool;
use lab::topology::add_wire;

use crate::report::{Aim, Report, Row};
use crate::{Failure, Scale, median, progress};

/// What a pod's first packets are worth waiting for: milliseconds.
const SOON: f64 = 50.0;
/// How often it is looked.
const BETWEEN_LOOKS: Duration = Duration::from_micros(200);
/// Veth pairs for the start; both ends are captured on.
const PAIRS: usize = 250;

pub(crate) fn measure(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    progress("interfaces that appear");
    let (said, _) = waits(scale.joining_rounds(), false)?;
    let (said_with_file, first) = waits(scale.joining_rounds(), true)?;
    for (what, waits) in [
        ("a veth that comes up: until it is said", &said),
        (
            "the same, with a file that names what is behind it",
            &said_with_file,
        ),
        ("the same: until what comes in is captured", &first[0]),
        ("the same: until what goes out is captured", &first[1]),
    ] {
        report.add(Row {
            what: what.to_owned(),
            unit: "ms",
            ours: Some(median(waits)),
            best: waits.iter().copied().reduce(f64::min),
            aim: Some(Aim::AtMost(SOON)),
            ..Row::default()
        });
    }
    progress("500 interfaces at the start");
    let (start, end) = many()?;
    let each = |time: f64| time / (4 * PAIRS) as f64;
    for (what, time) in [
        ("attaching to 500 interfaces, each way of each", start),
        ("detaching, likewise", end),
    ] {
        report.add(Row {
            what: what.to_owned(),
            unit: "ms",
            ours: Some(each(time)),
            ..Row::default()
        });
    }
    Ok(())
}

/// Milliseconds from when a pod's interface is up, by a process of its own, until it is said to be captured
/// on; and, with a file, until the first packet of each way that is in there. Packets are sent all the time.
fn waits(rounds: usize, with_file: bool) -> Result<(Vec<f64>, [Vec<f64>; 2]), Failure> {
    let (node, pod, scratch) = (Namespace::silent(), Namespace::silent(), Scratch::new());
    add_wire(&node, "in-0", "pod-0", 1_500);
    let capture = Nodecap::capture(&node, "pod-*");
    let file = scratch.path("x.pcapng");
    let capture = if with_file {
        capture.write(&file).start()
    } else {
        capture.args(["-q"]).start()
    };
    let (mut waits, mut begins) = (Vec::new(), Vec::new());
    let frame = [0xff; 60];
    for n in 1..=rounds {
        let far = format!("eth{n}");
        node.ip(&format!(
            "link add pod-{n} type veth peer name {far} netns {}",
            pod.pid()
        ));
        pod.ip(&format!("link set {far} up"));
        let said = format!("listening on pod-{n} too");
        // Opening these takes a grace period, too.
        let inward = PacketSocket::new(&pod, &far, Announced::Other);
        let outward = PacketSocket::new(&node, &format!("pod-{n}"), Announced::Other);
        let mut ip = node.command("ip");
        let mut up = ip
            .args(["link", "set", &format!("pod-{n}"), "up"])
            .spawn()?;
        while !outward.send_if_up(&frame) {
            sleep(BETWEEN_LOOKS / 4);
        }
        let (begun, begun_at) = (Instant::now(), SystemTime::now());
        begins.push(begun_at.duration_since(UNIX_EPOCH)?.as_nanos() as f64);
        while !capture.process().stderr().contains(&said) {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(format!("pod-{n} isn't captured on").into());
            }
            // Until its other end has a carrier nothing goes in.
            let _ = (inward.send_if_up(&frame), outward.send_if_up(&frame));
            sleep(BETWEEN_LOOKS);
        }
        let _ = (inward.send_if_up(&frame), outward.send_if_up(&frame));
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
        up.wait()?;
    }
    capture.stop();
    let mut first = [Vec::new(), Vec::new()];
    if with_file {
        let written = CaptureFile::read(&file);
        for (n, begun) in (1..).zip(begins) {
            let name = format!("pod-{n}");
            let packets = written.packets_of(&name);
            for (first, way) in first
                .iter_mut()
                .zip([Direction::Inbound, Direction::Outbound])
            {
                let mut that_way = packets.iter().filter(|it| it.direction == Some(way));
                let packet = that_way.next().ok_or("a way without a packet")?;
                first.push((packet.time_ns as f64 - begun) / 1e6);
            }
        }
    }
    Ok((waits, first))
}

/// Milliseconds until all of them are captured on, and from an interrupt to the end.
fn many() -> Result<(f64, f64), Failure> {
    let (namespace, scratch) = (Namespace::silent(), Scratch::new());
    let pairs = (0..PAIRS).map(|n| {
        format!(
            "link add left-{n} type veth peer name right-{n}\nlink set left-{n} up\nlink set right-{n} up\n"
        )
    });
    fs::write(scratch.path("batch"), pairs.collect::<String>())?;
    let mut ip = namespace.command("ip");
    tool::run(ip.arg("-batch").arg(scratch.path("batch")));
    let begun = Instant::now();
    let mut capture = Nodecap::capture(&namespace, "left-*")
        .args(["-i", "right-*", "-q"])
        .spawn();
    while !capture.process().stderr().contains("listening on") {
        if begun.elapsed() > Duration::from_secs(300) {
            return Err("500 interfaces take too long".into());
        }
        sleep(Duration::from_millis(1));
    }
    let start = begun.elapsed().as_secs_f64() * 1e3;
    let ending = Instant::now();
    capture.signal(lab::Signal::SIGINT);
    while !capture.has_ended() {
        sleep(Duration::from_millis(1));
    }
    Ok((start, ending.elapsed().as_secs_f64() * 1e3))
}
