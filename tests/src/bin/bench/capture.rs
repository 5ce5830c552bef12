//! One capture beside the traffic: what it captured, what it cost the packets, what it cost itself.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use lab::Signal;
use lab::nodecap::binary;
use lab::process::{Process, Stdout};

use crate::generator::Sent;
use crate::router::{Both, FRAME_LEN, Router};
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
    Nodecap(Tracking),
    /// Another one, to compare with.
    OtherNodecap(PathBuf, Tracking),
    /// What it is compared with otherwise.
    Tcpdump,
    /// Wireshark's.
    Dumpcap,
    /// netsniff-ng, which keeps whole frames only.
    NetsniffNg,
}

/// Whether a nodecap tracks flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracking {
    /// As it does by default.
    On,
    /// `--no-track`.
    Off,
}

impl Tool {
    /// The same with tracking so, if it has any.
    pub(crate) fn tracking(&self, tracking: Tracking) -> Self {
        match self {
            Self::Nodecap(_) => Self::Nodecap(tracking),
            Self::OtherNodecap(binary, _) => Self::OtherNodecap(binary.clone(), tracking),
            other => other.clone(),
        }
    }

    /// The other tools that are installed here.
    pub(crate) fn further() -> Vec<Self> {
        [
            (Self::Dumpcap, "dumpcap"),
            (Self::NetsniffNg, "netsniff-ng"),
        ]
        .into_iter()
        .filter(|(_, program)| lab::tool::is_here(program))
        .map(|(tool, _)| tool)
        .collect()
    }

    /// What it says on standard error once it captures.
    const fn ready(&self) -> &'static str {
        match self {
            Self::Dumpcap => "File: ",
            Self::NetsniffNg => "Running!",
            _ => "listening on",
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nodecap(_) => "nodecap",
            Self::OtherNodecap(..) => "the other",
            Self::Tcpdump => "tcpdump",
            Self::Dumpcap => "dumpcap",
            Self::NetsniffNg => "netsniff-ng",
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
    /// Packets in the file.
    pub(crate) captured: u64,
    /// CPU time of the capture's process, in user space and in the kernel.
    pub(crate) cpu: Duration,
}

impl<S> Outcome<S> {
    /// Nanoseconds of the process's CPU time for each packet in the file.
    pub(crate) fn cpu_per_packet(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.captured.max(1) as f64
    }
}

impl Outcome<Both> {
    /// Nanoseconds that the capture added to the path of each packet that it was to capture.
    pub(crate) fn added(&self) -> f64 {
        self.sent.watched.nanoseconds() - self.sent.plain.nanoseconds()
    }

    /// The part of the packets sent that is in the file.
    pub(crate) fn share(&self) -> f64 {
        self.captured as f64 / self.sent.watched.packets as f64
    }
}

impl Outcome<Sent> {
    /// Whether every packet sent is in the file.
    pub(crate) fn is_lossless(&self) -> bool {
        self.captured == self.sent.packets
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
    let process = Process::start(&mut command(router, tool, keep, &file), Stdout::Collected);
    let ready = tool.ready();
    process.wait_for_stderr(ready, |said| said.contains(ready).then_some(()));
    let before = cpu(process.pid())?;
    let sent = send()?;
    thread::sleep(SETTLE);
    let cpu = cpu(process.pid())?.saturating_sub(before);
    process.signal(Signal::SIGINT);
    let finished = process.wait();
    if finished.code() != Some(0) {
        return Err(format!("{tool} failed:\n{}", finished.stderr).into());
    }
    let file = router.node.outside(&file);
    let captured = match tool {
        Tool::Dumpcap => {
            let said = finished.stderr.split("Packets captured: ").last();
            let number = said.and_then(|said| said.split_whitespace().next());
            number.ok_or("dumpcap doesn't say how many")?.parse()?
        }
        // It counts what comes in before it has anything ready for it. The file has a header of 24
        // bytes, and 16 for each frame.
        Tool::NetsniffNg => (fs::metadata(&file)?.len() - 24) / (16 + FRAME_LEN as u64),
        _ => finished.counts().captured,
    };
    fs::remove_file(file)?;
    Ok(Outcome {
        sent,
        captured,
        cpu,
    })
}

fn command(router: &Router, tool: &Tool, keep: Keep, file: &Path) -> Command {
    let mut command = router.node.command("taskset");
    command.args(["--cpu-list", &CAPTURE_CPU.to_string()]);
    let whole = keep == Keep::Whole;
    let watched = Router::WATCHED;
    let buffer = BUFFER_KIB.to_string();
    match tool {
        Tool::Nodecap(tracking) | Tool::OtherNodecap(_, tracking) => {
            match tool {
                Tool::OtherNodecap(path, _) => command.arg(path),
                _ => command.arg(binary()),
            };
            command.args(["capture", "-i", watched, "--ring-size"]);
            command.arg(format!("{BUFFER_KIB}K"));
            if *tracking == Tracking::Off {
                command.arg("--no-track");
            }
        }
        Tool::Tcpdump => {
            command.arg(lab::tool::path("tcpdump"));
            command.args(["-n", "-Z", "root", "-i", watched, "-B", &buffer]);
        }
        Tool::Dumpcap => {
            command.arg(lab::tool::path("dumpcap"));
            command.args(["-q", "-i", watched, "-B"]);
            command.arg((BUFFER_KIB >> 10).to_string());
        }
        Tool::NetsniffNg => {
            // It says that it is running on standard output, which it doesn't flush.
            command.args(["sh", "-c", r#"exec "$@" >&2"#, "sh", "stdbuf", "-oL"]);
            command.arg(lab::tool::path("netsniff-ng"));
            // 0xa1b2c3d4: pcap with microseconds.
            command.args(["-s", "-T", "0xa1b2c3d4", "-i", watched, "-S"]);
            command.arg(format!("{buffer}KiB"));
            command.arg("-o").arg(file);
            return command;
        }
    }
    if !whole {
        command.args(["-s", "96"]);
    }
    command.arg("-w").arg(file);
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
