//! One capture beside the traffic: what it captured, what it cost the packets, what it cost itself.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use lab::Signal;
use lab::nodecap::{Counts, binary};
use lab::process::{Process, Stdout};

use crate::generator::Sent;
use crate::router::{Both, Router};
use crate::{CAPTURE_CPU, Failure};

/// Memory for packets on their way to the process: nodecap's own default, given to tcpdump too,
/// whose own is 2 MiB.
const BUFFER_KIB: u32 = 32 << 10;

/// How long a capture is given after the last packet. tcpdump takes packets from a block that
/// isn't full after a second.
const SETTLE: Duration = Duration::from_millis(1_200);

/// Which capture is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The nodecap that this is about.
    Nodecap,
    /// Another one, to compare with.
    OtherNodecap(PathBuf),
    /// What it is compared with otherwise.
    Tcpdump,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nodecap => "nodecap",
            Self::OtherNodecap(_) => "the other",
            Self::Tcpdump => "tcpdump",
        })
    }
}

/// How much of each frame is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The first 96 bytes, of frames of 1,400.
    Start,
    /// All 1,400.
    Whole,
}

/// A stretch of traffic with a capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<S> {
    pub(crate) sent: S,
    pub(crate) counts: Counts,
    /// CPU time of the capture's process, in user space and in the kernel.
    pub(crate) cpu: Duration,
}

impl<S> Outcome<S> {
    /// Nanoseconds of the process's CPU time for each packet in the file.
    pub(crate) fn cpu_per_packet(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.counts.captured.max(1) as f64
    }
}

impl Outcome<Both> {
    /// Nanoseconds that the capture added to the path of each packet that it was to capture.
    pub(crate) fn added(&self) -> f64 {
        self.sent.watched.nanoseconds() - self.sent.plain.nanoseconds()
    }

    /// The part of the packets sent that is in the file.
    pub(crate) fn share(&self) -> f64 {
        self.counts.captured as f64 / self.sent.watched.packets as f64
    }
}

impl Outcome<Sent> {
    /// Whether every packet sent is in the file.
    pub(crate) fn is_lossless(&self) -> bool {
        self.counts.dropped == 0 && self.counts.captured == self.sent.packets
    }

    /// The part of one CPU that the process used.
    pub(crate) fn cpu_share(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.sent.elapsed + SETTLE).as_secs_f64()
    }
}

/// Sends packets while a capture of them is running, to a file in memory.
pub(crate) fn beside<S>(
    router: &Router,
    tool: &Tool,
    keep: Keep,
    send: impl FnOnce() -> Result<S, Failure>,
) -> Result<Outcome<S>, Failure> {
    let file = Router::file("capture");
    let process = Process::start(
        command(router, tool, keep).arg("-w").arg(&file),
        Stdout::Collected,
    );
    process.wait_for_stderr("`listening on`", |said| {
        said.contains("listening on").then_some(())
    });
    let before = cpu(process.pid())?;
    let sent = send()?;
    thread::sleep(SETTLE);
    let cpu = cpu(process.pid())?.saturating_sub(before);
    process.signal(Signal::SIGINT);
    let finished = process.wait();
    if finished.code() != Some(0) {
        return Err(format!("{tool} failed:\n{}", finished.stderr).into());
    }
    fs::remove_file(router.node.outside(&file))?;
    let counts = finished.counts();
    Ok(Outcome { sent, counts, cpu })
}

fn command(router: &Router, tool: &Tool, keep: Keep) -> Command {
    let mut command = router.node.command("taskset");
    command.args(["--cpu-list", &CAPTURE_CPU.to_string()]);
    let nodecap = match tool {
        Tool::Nodecap => Some(binary()),
        Tool::OtherNodecap(path) => Some(path.clone()),
        Tool::Tcpdump => None,
    };
    if let Some(nodecap) = nodecap {
        command
            .arg(nodecap)
            .args(["capture", "-i", Router::WATCHED]);
        command.arg("--ring-size").arg(format!("{BUFFER_KIB}K"));
    } else {
        command.arg(lab::tool::path("tcpdump"));
        command.args(["-n", "-Z", "root", "-i", Router::WATCHED]);
        command.arg("-B").arg(BUFFER_KIB.to_string());
    }
    if keep == Keep::Start {
        command.args(["-s", "96"]);
    }
    command
}

/// CPU time of all threads of a process so far: the first figure of schedstat, in nanoseconds
/// (Documentation/scheduler/sched-stats.rst).
pub(crate) fn cpu(process: u32) -> Result<Duration, Failure> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread that has just ended had nothing to do with packets.
        let Ok(stat) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        sum += stat
            .split_whitespace()
            .next()
            .unwrap_or("0")
            .parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}
