//! `nodecap capture`: what can be typed; `resolve` makes of it what will be done.

mod resolve;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use capture_common::record::MAX_SNAPLEN;
use clap::ValueEnum;

use super::matching::Matching;
use super::values;
use crate::error::{Error, Result};
use crate::flow::happening::Kind;
use crate::recorder::Reach;
use crate::session::outside::Outside;
use crate::session::{self, Outcome};
use crate::sink::files::exec::Exec;
use crate::target::entering::enter_where_needed;

/// The ring unless told otherwise: at a million small packets a second it holds a sixth of a
/// second.
const DEFAULT_RING: u64 = 32 << 20;
/// The flight recorder's memory unless told otherwise.
const DEFAULT_RECORDER: u64 = 64 << 20;
/// What `nodecap capture` was given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to capture: a name, #INDEX, a glob (veth*) or `any`. Repeatable, or separated by
    /// commas. Globs and `any` also take interfaces that appear later. Without it, the first
    /// interface that is up and isn't loopback
    #[arg(
        short,
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "What to capture"
    )]
    interface: Vec<String>,

    /// Where to attach
    #[arg(long, value_enum, default_value_t, help_heading = "What to capture")]
    hook: At,
    /// A bridge and all its ports, those that join later too. Repeatable
    #[arg(long, value_name = "NAME", help_heading = "What to capture")]
    bridge: Vec<String>,

    /// The interfaces that lead to this container, also after it was restarted: by its name in
    /// Docker or podman, its id, or the beginning of that. Repeatable
    #[arg(long, value_name = "ID-OR-NAME", help_heading = "What to capture")]
    container: Vec<String>,

    /// The interfaces that lead to this pod of Kubernetes, also after it was made anew. Repeatable
    #[arg(long, value_name = "NAMESPACE/NAME", help_heading = "What to capture")]
    pod: Vec<String>,

    /// The interfaces that lead to this process's network namespace. Repeatable
    #[arg(long, value_name = "PID", help_heading = "What to capture")]
    pid: Vec<u32>,

    /// The interfaces that lead to this network namespace, by its name (`ip netns`) or its file. A
    /// namespace that none leads to is entered. Repeatable
    #[arg(long, value_name = "PATH-OR-NAME", help_heading = "What to capture")]
    netns: Vec<String>,

    /// Which way, seen from the node
    #[arg(
        short = 'Q',
        long,
        value_enum,
        default_value_t,
        help_heading = "What to capture"
    )]
    direction: Way,

    #[command(flatten)]
    matching: Matching,

    /// Only what matches by itself: not the same packet or its replies beyond a translation
    #[arg(long, help_heading = "What to capture")]
    no_follow: bool,

    /// Bytes of each packet to keep; 0 means the default
    #[arg(short, long, value_name = "BYTES", default_value_t = u64::from(MAX_SNAPLEN), value_parser = values::size, help_heading = "What to capture")]
    snaplen: u64,

    /// Stop after N packets were written
    #[arg(short, long, value_name = "N", value_parser = values::positive, help_heading = "When to stop")]
    count: Option<u64>,

    /// Stop before the output exceeds BYTES (K, M, G: powers of 1024)
    #[arg(long, value_name = "BYTES", value_parser = values::positive_size, help_heading = "When to stop")]
    size: Option<u64>,

    /// Stop after TIME (90s, 5m, 1h30m; a bare number is seconds)
    #[arg(long, value_name = "TIME", value_parser = values::duration, help_heading = "When to stop")]
    duration: Option<Duration>,

    /// Write a pcapng file; - is standard output. A name that ends in .zst or .gz is compressed;
    /// sizes are those before compression
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    write: Option<PathBuf>,

    /// Begin another file before one exceeds BYTES. Files are numbered: x.pcapng becomes
    /// x.00001.pcapng and so on, behind those that are there; a % in FILE is strftime's
    #[arg(short = 'C', long, value_name = "BYTES", value_parser = values::positive_size, requires = "write", help_heading = "Output")]
    rotate_size: Option<u64>,

    /// Begin another file every TIME, also when no packet comes
    #[arg(short = 'G', long, value_name = "TIME", value_parser = values::duration, requires = "write", help_heading = "Output")]
    rotate_interval: Option<Duration>,

    /// Keep N files: the oldest is removed, also what an earlier capture left of that name
    #[arg(short = 'W', long, value_name = "N", value_parser = values::files, help_heading = "Output")]
    rotate_files: Option<usize>,

    /// Keep at most BYTES of files together, as they are on the disk: before a file begins, the
    /// oldest are removed so that it can become as long as --rotate-size
    #[arg(long, value_name = "BYTES", value_parser = values::positive_size, requires = "rotate_size", help_heading = "Output")]
    rotate_total: Option<u64>,

    /// Run CMD FILE for each finished file, the last one included; CMD may have arguments,
    /// separated by spaces, and is no shell's
    #[arg(short = 'z', long, value_name = "CMD", value_parser = values::command, requires = "write", help_heading = "Output")]
    exec: Option<Exec>,

    /// Stop before the file system has less than BYTES free
    #[arg(long, value_name = "BYTES", value_parser = values::positive_size, requires = "write", help_heading = "When to stop")]
    min_free: Option<u64>,

    /// Write packets to the file as they come, for whoever reads along
    #[arg(short = 'U', long, help_heading = "Output")]
    packet_buffered: bool,

    /// Bring what was captured to the disk every TIME, so that it survives a loss of power
    #[arg(long, value_name = "TIME", value_parser = values::duration, requires = "write", help_heading = "Output")]
    flush_interval: Option<Duration>,

    /// Write flows, resets and translations, one JSON object a line; - is standard output
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "no_track",
        help_heading = "Output"
    )]
    flows: Option<PathBuf>,

    /// Write the state of the network stack before and after the capture, and what has changed, as
    /// JSON: links and their counters, addresses, routes, rules, neighbours, forwarding databases,
    /// conntrack, nftables, IPVS and kernel parameters, of the node and of the containers, pods,
    /// processes and namespaces that are captured
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    snapshot: Option<PathBuf>,

    /// Keep recent packets in memory, and write those of a flow only around an event in it
    #[arg(
        long,
        value_name = "EVENT",
        value_delimiter = ',',
        value_enum,
        conflicts_with = "no_track",
        help_heading = "Flight recorder"
    )]
    on: Vec<What>,

    /// How far before the event: a time (30s), or a number of packets
    #[arg(long, value_name = "TIME|PACKETS", default_value = "30s", value_parser = values::reach, requires = "on", help_heading = "Flight recorder")]
    before: Reach,

    /// How far after it
    #[arg(long, value_name = "TIME|PACKETS", default_value = "5s", value_parser = values::reach, requires = "on", help_heading = "Flight recorder")]
    after: Reach,

    /// Memory for the packets that wait. Default 64M
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_RECORDER, hide_default_value = true, value_parser = values::size, requires = "on", help_heading = "Flight recorder")]
    recorder_size: u64,

    /// Print packets also when writing a file
    #[arg(long, help_heading = "Output", conflicts_with = "quiet")]
    print: bool,

    /// Print no packets
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,

    /// More detail: of packets, and the whole ledger at the end; twice: diagnostics
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,

    /// Numbers instead of names
    #[arg(short, long, help_heading = "Output")]
    numeric: bool,

    /// Memory for packets on their way from the kernel; rounded up to a power of two. Default 32M
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_RING, hide_default_value = true, value_parser = values::size, help_heading = "Resources")]
    ring_size: u64,

    /// Flows remembered at a time; the longest idle ones are forgotten first
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = values::flows, help_heading = "Resources")]
    max_flows: usize,

    /// Packets only: no flows, translations or resets
    #[arg(long, help_heading = "Resources")]
    no_track: bool,

    /// Serve figures for Prometheus at http://ADDR:PORT/metrics; a port alone is one of 127.0.0.1
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::endpoint, help_heading = "Running for long")]
    metrics: Option<SocketAddr>,

    /// Become USER once everything is attached and open, with no more privileges than the capture
    /// goes on to need. Output files are that user's; a name, a number, or UID:GID
    #[arg(
        short = 'Z',
        long,
        value_name = "USER",
        help_heading = "Running for long"
    )]
    relinquish: Option<String>,

    /// Exit with status 3 if any matched packet was lost
    #[arg(long, help_heading = "Resources")]
    fail_on_loss: bool,
}

/// `--on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// A connection was reset
    Reset,
    /// A translation of an address or port was recognised
    Nat,
    /// A TCP segment was sent again
    Retransmit,
    /// The kernel dropped a TCP segment that had been captured
    Drop,
    /// An ICMP error quotes one of the flow's packets
    IcmpError,
    /// A side closed its TCP window
    ZeroWindow,
}

impl From<What> for Kind {
    fn from(what: What) -> Self {
        match what {
            What::Reset => Self::Reset,
            What::Nat => Self::Nat,
            What::Retransmit => Self::Retransmit,
            What::Drop => Self::Drop,
            What::IcmpError => Self::IcmpError,
            What::ZeroWindow => Self::ZeroWindow,
        }
    }
}

/// `--hook`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum At {
    /// TC: by TCX, or by a clsact filter where the kernel has no TCX
    #[default]
    Tc,
    /// TC by a clsact filter, as where the kernel has no TCX
    Clsact,
    /// XDP, in the driver where it can: only what comes in, without a VLAN tag that the card took
    /// out, and nothing is followed
    Xdp,
}

/// `-Q`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Packets that come into the node through the interface
    In,
    /// Packets that leave it
    Out,
    /// Both
    #[default]
    Inout,
}

impl Args {
    /// How often `-v` was given.
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }
}

/// Captures, and tells the exit status.
///
/// # Errors
///
/// What keeps the capture from starting, or cuts it short.
pub fn run(args: Args) -> Result<ExitCode> {
    let mut plan = args.resolve()?;
    // Before the namespace is entered: whoever asks, and the service manager, are in this one.
    let outside = Outside::open(&plan)?;
    if let Some(entered) = enter_where_needed(&mut plan.interfaces, &mut plan.workloads)? {
        plan.notes.push(entered.note());
        plan.entered = Some(entered);
    }
    let fail_on_loss = plan.fail_on_loss;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failure(format!("can't start: {error}")))?;
    let Outcome { lost, failure } = runtime.block_on(session::run(plan, outside))?;
    match failure {
        Some(error) => Err(error),
        None if fail_on_loss && lost > 0 => Ok(ExitCode::from(3)),
        None => Ok(ExitCode::SUCCESS),
    }
}
