//! `cargo xtask vm shell`: one guest to type in, or to run one command in.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::emulator::{Accelerator, Guest, Machine};
use super::guest::{self, End};
use super::kernels::{self, Series};
use super::{image, programs};
use crate::command::say;
use crate::packages::Need;
use crate::setup;

/// What `shell` can be asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The kernel: a version such as 5.10, or newest
    #[arg(long)]
    kernel: Series,
    /// A file to take along, to /vm/files, with the libraries it needs; repeatable
    #[arg(long = "take", value_name = "FILE")]
    taken: Vec<PathBuf>,
    /// How long a command may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,
    /// A command to be run instead of a shell; its status is the guest's
    #[arg(last = true)]
    command: Vec<String>,
}

/// Handed to init: a shell on the console, which is this terminal.
const SHELL: &str = "cd /root\n\
    echo; echo \"nodecap is on the path; files taken along are in /vm/files; exit ends the guest\"\n\
    setsid sh -c 'exec bash -i < /dev/ttyS0 > /dev/ttyS0 2>&1'\n";

/// Boots it.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure_tools(Need::Vm)?;
    let kernels = kernels::get(std::slice::from_ref(&options.kernel), false)?;
    let kernel = kernels.first().context("no kernel")?;
    let folder = super::folder()?;
    let nodecap = programs::nodecap()?;
    let accelerator = Accelerator::probe(kernel, &folder);
    let folder = folder.join(format!("shell-{}", options.kernel));
    std::fs::create_dir_all(&folder)?;
    let base = image::base(&folder, &nodecap, &[], &options.taken)?;
    let environment = ("/vm/environment", "");

    if options.command.is_empty() {
        let files = [environment, ("/vm/shell", SHELL)];
        let initramfs = image::of_guest(&folder, &base, kernel, &files)?;
        let machine = Machine {
            accelerator,
            kernel,
            initramfs: Some(&initramfs),
        };
        say("ctrl-A X ends the guest by force");
        let mut command = machine.command(&["mon:stdio"])?;
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit());
        Guest(command.spawn().context("can't start qemu")?)
            .0
            .wait()?;
        return Ok(());
    }
    let words: Vec<String> = options.command.iter().map(|word| quoted(word)).collect();
    let plan = format!(
        "echo '@vm start command'\n(cd /root; {})\necho \"@vm end $?\"\necho '@vm done'\n",
        words.join(" ")
    );
    let report = guest::run(
        &folder,
        kernel,
        accelerator,
        &base,
        &[environment, ("/vm/plan", &plan)],
        Duration::from_secs(options.limit),
        |line| {
            if !line.starts_with("@vm ") {
                println!("{line}");
            }
        },
    )?;
    if report.end != End::Done {
        bail!("{}; console: {}", report.end, report.console().display());
    }
    match report.results.steps.first().and_then(|step| step.status) {
        Some(0) => Ok(()),
        status => bail!("the command ended with status {}", status.unwrap_or(-1)),
    }
}

/// A word as a shell takes it literally; one alone is taken as a line for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
