//! Puts frames on an interface, by tcpreplay.
//!
//! It is kept on one CPU. A veth pair delivers on the CPU that sends, so the frames come in at the
//! other end one after another, in the order in which they were sent, and whoever listens there
//! hears them in that order.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;

use crate::frames::Frame;
use crate::namespace::Namespace;
use crate::tool;

/// Sends the frames once, as fast as it goes, and waits until they are sent.
///
/// # Panics
///
/// When one couldn't be sent.
#[track_caller]
pub fn send(namespace: &Namespace, interface: &str, frames: &[Frame]) {
    if frames.is_empty() {
        return;
    }
    let mut command = replay(namespace, interface);
    command
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{command:?} can't be started: {error}"),
    };
    // A failure to write has its reason in what tcpreplay says, which is looked at below.
    let written = child
        .stdin
        .take()
        .map(|mut pipe| pipe.write_all(&pcap(frames)));
    let output = match child.wait_with_output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && sent(&said) == Some(frames.len() as u64),
        "{command:?} of {} frames ended with {}, {written:?}\n{said}{}",
        frames.len(),
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
}

/// Sends the frames `times` times over, as fast as it goes, and returns how many were sent.
///
/// # Panics
///
/// When that isn't how many should have been.
#[track_caller]
pub fn flood(namespace: &Namespace, interface: &str, frames: &[Frame], times: u64) -> u64 {
    let file = scratch_pcap(frames);
    let mut command = replay(namespace, interface);
    command
        .args(["--preload-pcap", "--loop", &times.to_string()])
        .arg(file.path());
    let output = tool::run(&mut command);
    let said = String::from_utf8_lossy(&output.stdout);
    let count = sent(&said).unwrap_or(0);
    assert_eq!(count, times * frames.len() as u64, "{command:?}\n{said}");
    count
}

fn replay(namespace: &Namespace, interface: &str) -> Command {
    let mut command = namespace.command("taskset");
    command.args(["--cpu-list", &first_cpu().to_string()]);
    command.arg(tool::path("tcpreplay")).args([
        "--quiet",
        "--no-flow-stats",
        "--topspeed",
        "--intf1",
        interface,
    ]);
    command
}

/// The first CPU that this process may run on.
pub(crate) fn first_cpu() -> usize {
    let Ok(allowed) = sched_getaffinity(Pid::this()) else {
        return 0;
    };
    (0..4_096)
        .find(|cpu| allowed.is_set(*cpu).unwrap_or(false))
        .unwrap_or(0)
}

/// How many packets tcpreplay says it has sent; none if it failed to send one.
fn sent(said: &str) -> Option<u64> {
    let figure = |label: &str| {
        said.lines()
            .find_map(|line| line.trim().strip_prefix(label)?.trim().parse::<u64>().ok())
    };
    (figure("Failed packets:")? == 0).then(|| figure("Successful packets:"))?
}

/// A file with the frames in it, that goes when the value does.
#[track_caller]
fn scratch_pcap(frames: &[Frame]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new()
        .suffix(".pcap")
        .tempfile()
        .and_then(|mut file| {
            file.write_all(&pcap(frames))?;
            Ok(file)
        });
    match file {
        Ok(file) => file,
        Err(error) => panic!("no scratch file for the frames: {error}"),
    }
}

/// The frames as a pcap file's bytes.
#[must_use]
pub fn pcap(frames: &[Frame]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4u32.to_ne_bytes());
    file.extend([2u16.to_ne_bytes(), 4u16.to_ne_bytes()].concat());
    // No time zone, no accuracy; the largest snapshot length; Ethernet.
    for field in [0, 0, 262_144, 1u32] {
        file.extend(field.to_ne_bytes());
    }
    for (index, frame) in frames.iter().enumerate() {
        let len = frame.len() as u32;
        for field in [0, index as u32, len, len] {
            file.extend(field.to_ne_bytes());
        }
        file.extend(frame);
    }
    file
}

/// Writes the frames to a pcap file.
///
/// # Panics
///
/// When it can't be written.
#[track_caller]
pub fn write_pcap(path: &Path, frames: &[Frame]) {
    if let Err(error) = std::fs::write(path, pcap(frames)) {
        panic!("{}: {error}", path.display());
    }
}
