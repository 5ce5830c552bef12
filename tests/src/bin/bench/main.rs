//! `cargo xtask bench`: nodecap measured beside tcpdump, on this machine, in this minute.
//!
//! Every comparison is made by turns within one run and given as a median, because machines differ
//! and minutes too: the ratios are what to look at. docs/performance.md says more on the method.
//!
//! - [`kernel`]: the kernel side's program alone, while the machine is [`steady`]
//! - [`filters`]: what matching costs, beside the kernel's own [`classic`] filter
//! - [`path`]: what a capture adds to the packet's path, and its own CPU time
//! - [`lossless`]: how much a capture can follow; [`many`]: one on very many interfaces
//! - [`tracking`]: the flow tracker alone; [`explain`]: the same over a file, next to tshark;
//!   [`traffic`] makes the packets for both
//! - [`joining`]: how soon an interface that appears is captured on
//! - [`router`], [`generator`], [`capture`]: where and by what that is measured; [`code`]: little programs
//!   for it, given as instructions
//! - [`report`]: the table; [`compare`]: the one that tells what became of an earlier run's
//!
//! Whatever happens, nothing is left behind: the networks and the files in memory are in
//! namespaces that end with this process.

mod capture;
mod classic;
mod code;
mod compare;
mod explain;
mod filters;
mod generator;
mod joining;
mod kernel;
mod lossless;
mod many;
mod path;
mod report;
mod router;
mod steady;
mod tracking;
mod traffic;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;

use crate::capture::{Keep, Tool, Tracking};
use crate::generator::Pace;
use crate::report::Report;
use crate::router::{Fate, Router};
use crate::steady::Steady;

/// Why it can't be measured.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where packets are made and forwarded.
const GENERATOR_CPU: usize = 0;
/// Where the process that captures them runs.
const CAPTURE_CPU: usize = 1;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", about = "Measures nodecap beside tcpdump")]
struct Arguments {
    /// Fewer and shorter runs: to see that it works, not to quote
    #[arg(long)]
    quick: bool,
    /// Also writes the figures to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compares with another nodecap binary instead of tcpdump: what did a change bring?
    #[arg(long, value_name = "BINARY")]
    against: Option<PathBuf>,
    /// Also says what became of the figures in FILE, which an earlier run wrote by --json
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,…")]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The kernel side's program alone
    Kernel,
    /// Expressions and address lists alone
    Filters,
    /// The flow tracker alone: time a packet, memory a flow
    Tracking,
    /// `nodecap explain` over a file, next to tshark
    Explain,
    /// The packet's path, and the process's CPU time for a packet
    Path,
    /// The process's CPU time where little happens
    Waiting,
    /// The highest rate without loss
    Lossless,
    /// How soon an interface that appears is captured on
    Joining,
    /// A capture on 500 interfaces: time to begin, CPU and memory while nothing happens
    Many,
}

/// How thoroughly it is measured.
#[derive(Clone, Copy, Debug)]
enum Scale {
    Quick,
    Full,
}

impl Scale {
    fn kernel_runs(self) -> usize {
        match self {
            Self::Quick => 5,
            Self::Full => 41,
        }
    }

    fn path_rounds(self) -> usize {
        match self {
            Self::Quick => 3,
            Self::Full => 7,
        }
    }

    fn path_packets(self, pace: Pace) -> u64 {
        match (self, pace) {
            (Self::Quick, Pace::PerSecond(_)) => 100_000,
            (Self::Full, Pace::PerSecond(_)) => 200_000,
            (Self::Quick, Pace::FullSpeed) => 500_000,
            (Self::Full, Pace::FullSpeed) => 1_000_000,
        }
    }

    fn tracked_packets(self) -> usize {
        match self {
            Self::Quick => 500_000,
            Self::Full => 4_000_000,
        }
    }

    fn explained_packets(self) -> usize {
        match self {
            Self::Quick => 100_000,
            Self::Full => 500_000,
        }
    }

    fn explain_rounds(self) -> usize {
        match self {
            Self::Quick => 1,
            Self::Full => 3,
        }
    }

    fn joining_rounds(self) -> usize {
        match self {
            Self::Quick => 10,
            Self::Full => 40,
        }
    }

    fn waiting_seconds(self) -> u64 {
        match self {
            Self::Quick => 1,
            Self::Full => 5,
        }
    }

    fn lossless_seconds(self) -> f64 {
        match self {
            Self::Quick => 0.5,
            Self::Full => 2.0,
        }
    }

    /// Packets a second, ascending.
    fn rates(self) -> &'static [u64] {
        match self {
            Self::Quick => &[100_000, 300_000, 600_000],
            Self::Full => &[
                50_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000,
                800_000, 1_000_000,
            ],
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scale = if arguments.quick {
        Scale::Quick
    } else {
        Scale::Full
    };
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let cpus = std::thread::available_parallelism()?.get();
    if cpus <= CAPTURE_CPU {
        return Err("this takes two CPUs: one sends, the other captures".into());
    }
    let other = match &arguments.against {
        Some(binary) => Tool::OtherNodecap(fs::canonicalize(binary)?, Tracking::On),
        None => Tool::Tcpdump,
    };
    let mut report = Report::beside(&other.to_string());
    report.circumstances = circumstances(cpus)?;
    let mut steady = Steady::new()?;
    if wanted(Part::Kernel) {
        progress("the kernel side's program alone");
        report.section("kernel side, one run by BPF_PROG_TEST_RUN, over an empty program");
        kernel::measure(scale, &mut steady, &mut report)?;
    }
    if wanted(Part::Filters) {
        progress("expressions and address lists");
        report.section_beside(
            "an expression's code, over an empty program",
            "classic filter",
        );
        filters::measure_expressions(scale, &mut steady, &mut report)?;
        report.section("a program with an address list and a port, over an empty program");
        filters::measure_lists(scale, &mut steady, &mut report)?;
    }
    if wanted(Part::Tracking) {
        report.section("the flow tracker alone");
        tracking::measure(scale, &mut report)?;
    }
    let full_speed = format!("{:.0} %", steady.full_speed());
    if wanted(Part::Kernel) || wanted(Part::Filters) {
        let what = "runs of the kernel side at the machine's full speed, which count";
        report.circumstances.push((what, full_speed));
    }
    let router = Router::new(Fate::Taken)?;
    if wanted(Part::Explain) {
        report.section_beside("a saved file", "tshark");
        explain::measure(scale, &router, &mut report)?;
    }
    if wanted(Part::Path) {
        let start = (Keep::Start, Tracking::On);
        report.section("forwarded packets, 96 bytes of each to a file in memory");
        path::measure(scale, &router, &other, start, &mut report)?;
        let dropping = Router::new(Fate::Dropped)?;
        report.section("the same where all are dropped in the end");
        path::measure(scale, &dropping, &other, start, &mut report)?;
        let untracked = (Keep::Start, Tracking::Off);
        report.section("the same without tracking");
        path::measure(scale, &router, &other, untracked, &mut report)?;
        let whole = (Keep::Whole, Tracking::On);
        report.section("whole packets of 1,400 bytes, with tracking");
        path::measure(scale, &router, &other, whole, &mut report)?;
    }
    if wanted(Part::Waiting) {
        report.section("little to do, 96 bytes");
        path::measure_waiting(scale, &router, &other, &mut report)?;
    }
    if wanted(Part::Lossless) {
        report.section("without loss, to a file in memory");
        lossless::measure(scale, &router, &other, &mut report)?;
    }
    if wanted(Part::Joining) {
        report.section("interfaces that appear");
        joining::measure(scale, &mut report)?;
    }
    if wanted(Part::Many) {
        report.section("idle on 500 interfaces");
        many::measure(scale, &mut report)?;
    }
    report.circumstances.push(("load at the end", load()?));
    print!("{report}");
    if let Some(file) = &arguments.compare {
        let before =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let before = serde_json::from_str(&before)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        print!("\n{}", compare::table(&report.json(), &before));
    }
    if let Some(file) = &arguments.json {
        fs::write(file, format!("{:#}\n", report.json()))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn circumstances(cpus: usize) -> Result<Vec<(&'static str, String)>, Failure> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let version = |command: &mut Command| {
        let output = lab::tool::run(command.arg("--version"));
        // nodecap answers on standard output, tcpdump on standard error on some systems.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        said.lines().next().unwrap_or_default().to_owned()
    };
    Ok(vec![
        ("CPUs", cpus.to_string()),
        ("kernel", kernel.trim().to_owned()),
        (
            "nodecap",
            version(&mut Command::new(lab::nodecap::binary())),
        ),
        (
            "tcpdump",
            version(&mut Command::new(lab::tool::path("tcpdump"))),
        ),
        ("load at the start", load()?),
    ])
}

/// The load average of the last minute: above one or so the machine has other things to do, and
/// the figures tell less.
fn load() -> Result<String, Failure> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

/// Says what is being done. Standard output is for the table.
fn progress(what: &str) {
    eprintln!("bench: {what}");
}

/// The middle of these figures.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
