//! `cargo xtask vm test`: every kernel of the matrix, side by side as the processors allow.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::choice::Choice;
use super::emulator::{Accelerator, PROCESSORS};
use super::guest::{self, End, Report};
use super::kernels::{self, Kernel, MATRIX, Series};
use super::results::Verdict;
use super::table::DOCTOR;
use super::{image, programs};
use crate::command::say;
use crate::packages::Need;
use crate::test::SKIPPED;
use crate::{setup, workspace};

/// What `test` can be asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A kernel: a version such as 5.10, or newest; repeatable. By default the whole matrix
    #[arg(long = "kernel", value_name = "VERSION")]
    kernels: Vec<Series>,
    /// Asks Debian's mirror for newer kernels than those in the cache
    #[arg(long)]
    refresh: bool,
    /// How long one guest may take, in seconds: far more than it does on a machine that isn't busy
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    limit: u64,
    /// How many guests run at once; by default as many as there are processors for
    #[arg(long)]
    jobs: Option<usize>,
    /// Test files (`limits`), tests in one (`limits::exact`), or a part of tests' names in those of
    /// the matrix
    filters: Vec<String>,
}

/// How long one test file may take in a guest: only what hangs takes so long.
const FILE_LIMIT: Duration = Duration::from_secs(1_200);

/// Runs the matrix.
pub(crate) fn run(options: &Options) -> Result<()> {
    let choice = Choice::new(&options.filters)?;
    setup::ensure_tools(Need::Vm)?;
    let wanted = if options.kernels.is_empty() {
        MATRIX
            .into_iter()
            .filter_map(|name| name.parse().ok())
            .collect()
    } else {
        options.kernels.clone()
    };
    let kernels = kernels::get(&wanted, options.refresh)?;
    let Some(first) = kernels.first() else {
        bail!("no kernel to be run");
    };
    let nodecap = programs::nodecap()?;
    let programs = programs::tests(&choice)?;
    let folder = super::folder()?;
    let accelerator = Accelerator::probe(first, &folder);
    let base = image::base(&folder, &nodecap, &programs, &[])?;
    let plan = plan(&choice);

    let side_by_side = options.jobs.unwrap_or_else(side_by_side);
    // The newer a kernel, the longer it takes, emulated. What is begun last had better be short.
    let queue: Mutex<VecDeque<&Kernel>> = Mutex::new(kernels.iter().rev().collect());
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let work = || {
        let mut reports = Vec::new();
        while let Some(kernel) = next() {
            say(format!("{} ({})", kernel.series, kernel.release));
            let limit = Duration::from_secs(options.limit);
            let files = [
                ("/vm/environment", ENVIRONMENT),
                ("/vm/plan", plan.as_str()),
            ];
            let start = Instant::now();
            let hear = |line: &str| {
                if ["test ", SKIPPED].iter().any(|word| line.starts_with(word)) {
                    println!(
                        "[{} {:>3}s] {line}",
                        kernel.series,
                        start.elapsed().as_secs()
                    );
                }
            };
            let report = guest::folder_of(kernel).and_then(|folder| {
                guest::run(&folder, kernel, accelerator, &base, &files, limit, hear)
            });
            reports.push(report);
        }
        reports
    };
    let reports: Vec<Result<Report>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..side_by_side.max(1))
            .map(|_| scope.spawn(work))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(reports) => reports,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    let mut reports = reports.into_iter().collect::<Result<Vec<_>>>()?;
    let place = |report: &Report| wanted.iter().position(|it| *it == report.kernel.series);
    reports.sort_by_key(place);
    summarise(&reports)
}

/// What the tests find in their environment.
const ENVIRONMENT: &str = "export NODECAP_BIN=/usr/bin/nodecap NODECAP_GUEST=1 RUST_BACKTRACE=0\n";

/// Guests that the processors can carry: their work is mostly waiting, so each processor has one.
fn side_by_side() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (2 * processors / PROCESSORS).max(1)
}

/// The script that init runs, and that [`super::results`] reads the output of.
///
/// What failed is run once more, one test after the other, and the summary says so. An emulated
/// machine's processors take turns of 100 ms (`TCG_KICK_PERIOD`, accel/tcg in qemu), and code is
/// translated when it first runs: nodecap may no longer know a packet again that took so long from
/// hook to hook. What rests on the moment can fail there and nowhere else.
fn plan(choice: &Choice) -> String {
    let mut plan = format!(
        "cd /tmp\n\
         echo '@vm start {DOCTOR}'\n\
         nodecap doctor --json || true\n\
         echo \"@vm end 0\"\n"
    );
    for (file, arguments) in choice.runs() {
        let program = |threads: u8| {
            format!(
                "timeout -k 5 {} {} --test-threads {threads} {}",
                FILE_LIMIT.as_secs(),
                image::place_of(file),
                arguments.join(" ")
            )
        };
        let (side_by_side, one_by_one) = (program(2), program(1));
        plan.push_str(&format!(
            "echo '@vm start {file}'\n\
             {side_by_side}\n\
             status=$?\n\
             echo \"@vm end $status\"\n\
             if [ $status -ne 0 ]; then\n\
             echo '@vm again {file}'\n\
             {one_by_one}\n\
             echo \"@vm end $?\"\n\
             fi\n"
        ));
    }
    plan.push_str("echo '@vm done'\n");
    plan
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Trouble(trouble) => trouble.fmt(f),
            Self::TimeLimit(limit) => write!(f, "ended after {limit:?}, the time limit"),
            Self::Gone => f.write_str("the guest went away before its plan was carried out"),
        }
    }
}

/// How much of what a test file says of its failures is shown: a verifier's log has thousands of
/// lines. All of it is in the guest's log.
const SHOWN_LINES: usize = 120;
const SHOWN_COLUMNS: usize = 400;

/// What libtest tells of failures, or the last words if it didn't come to that.
fn show_failures(output: &str) {
    let told = output
        .find("\nfailures:\n")
        .map_or(output, |at| &output[at..]);
    let lines: Vec<&str> = told.lines().filter(|line| !line.is_empty()).collect();
    for line in lines.iter().take(SHOWN_LINES) {
        println!("{}", line.chars().take(SHOWN_COLUMNS).collect::<String>());
    }
    if lines.len() > SHOWN_LINES {
        println!("… {} lines more in the log", lines.len() - SHOWN_LINES);
    }
}

/// What failed, with what it said; what was skipped, with why; a table; the sum.
fn summarise(reports: &[Report]) -> Result<()> {
    let mut sum = (0, 0, 0);
    for report in reports.iter().filter(|report| !report.is_good()) {
        for step in &report.results.steps {
            let has_failed = step
                .tests
                .values()
                .any(|verdict| *verdict == Verdict::Failed);
            if let Some(why) = step.broken() {
                println!("\n[{}] {} {why}", report.kernel.series, step.name);
            }
            if has_failed || step.broken().is_some() {
                println!("\n[{}] {} said:", report.kernel.series, step.name);
                show_failures(&step.output);
            }
        }
    }
    println!();
    for report in reports {
        for step in &report.results.steps {
            for (name, verdict) in &step.tests {
                if let Verdict::Skipped(why) = verdict {
                    println!(
                        "[{}] skipped: {}::{name}: {why}",
                        report.kernel.series, step.name
                    );
                }
            }
        }
    }
    for report in reports {
        for step in &report.results.steps {
            for name in &step.failed_before {
                println!(
                    "[{}] failed at first: {}::{name}",
                    report.kernel.series, step.name
                );
            }
        }
    }
    println!(
        "\n{:<10}{:<28}{:>8}{:>8}{:>9}{:>9}{:>9}",
        "kernel", "release", "passed", "failed", "skipped", "seconds", "of a CPU"
    );
    for report in reports {
        let (passed, mut failed, skipped) = report.results.counts();
        // One that ended badly has failed, also if no test was to blame.
        if report.end != End::Done && failed == 0 {
            failed = 1;
        }
        sum = (sum.0 + passed, sum.1 + failed, sum.2 + skipped);
        println!(
            "{:<10}{:<28}{passed:>8}{failed:>8}{skipped:>9}{:>9}{:>9}",
            report.kernel.series.to_string(),
            report.kernel.release,
            report.took.as_secs(),
            report.processor_time.as_secs()
        );
    }
    for report in reports.iter().filter(|report| !report.is_good()) {
        println!(
            "{}: {}; {} and {}",
            report.kernel.series,
            report.end,
            workspace::short(&report.console()),
            workspace::short(&report.log())
        );
    }
    println!("\n{} passed, {} failed, {} skipped", sum.0, sum.1, sum.2);
    if sum.1 > 0 {
        bail!("tests failed in the guests");
    }
    if sum.0 == 0 {
        bail!("no test was run");
    }
    Ok(())
}
