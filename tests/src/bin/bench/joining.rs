//! How soon an interface that appears is captured on, and what many of them take at the start.
//!
//! Attaching to one takes the kernel a grace period each way, during which whoever attaches waits:
//! it is that, and no work of anybody's, that these figures are made of.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
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
    for (what, names) in [
        ("a veth that comes up", "-q"),
        ("the same, with a file that names what is behind it", "-w"),
    ] {
        let waits = waits(scale.joining_rounds(), names == "-w")?;
        report.add(Row {
            what: what.to_owned(),
            unit: "ms",
            ours: Some(median(&waits)),
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

/// Milliseconds from before a pod's interface is taken up, by a process of its own, until it is
/// captured on both ways.
fn waits(rounds: usize, with_file: bool) -> Result<Vec<f64>, Failure> {
    let (node, pod, scratch) = (Namespace::silent(), Namespace::silent(), Scratch::new());
    add_wire(&node, "in-0", "pod-0", 1_500);
    let capture = Nodecap::capture(&node, "pod-*");
    let capture = if with_file {
        capture.write(&scratch.path("x.pcapng")).start()
    } else {
        capture.args(["-q"]).start()
    };
    let mut waits = Vec::new();
    for n in 1..=rounds {
        let far = format!("eth{n}");
        node.ip(&format!(
            "link add pod-{n} type veth peer name {far} netns {}",
            pod.pid()
        ));
        pod.ip(&format!("link set {far} up"));
        let said = format!("listening on pod-{n} too");
        let begun = Instant::now();
        node.ip(&format!("link set pod-{n} up"));
        while !capture.process().stderr().contains(&said) {
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(format!("pod-{n} isn't captured on").into());
            }
            sleep(BETWEEN_LOOKS);
        }
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    capture.stop();
    Ok(waits)
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
