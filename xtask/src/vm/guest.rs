//! One guest, from its boot to its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::console::{self, Trouble};
use super::emulator::{Accelerator, Guest, Machine};
use super::image::{self, Base};
use super::kernels::Kernel;
use super::results::Results;

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The plan was carried out.
    Done,
    /// Its kernel was in trouble.
    Trouble(Trouble),
    /// It ran longer than it may.
    TimeLimit(Duration),
    /// It went away in the middle of the plan.
    Gone,
}

/// What is known after a guest has ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) kernel: Kernel,
    pub(super) end: End,
    pub(super) results: Results,
    pub(super) took: Duration,
    /// The processor time that it took: see [`Guest::processor_time`].
    pub(super) processor_time: Duration,
    /// The folder with the console's and the results' logs.
    pub(super) folder: PathBuf,
}

impl Report {
    /// Whether the guest ended as it should and no test failed.
    pub(super) fn is_good(&self) -> bool {
        self.end == End::Done && self.results.counts().1 == 0
    }

    pub(super) fn console(&self) -> PathBuf {
        console_log(&self.folder)
    }

    pub(super) fn log(&self) -> PathBuf {
        results_log(&self.folder)
    }
}

/// What a guest of this kernel said in the last run.
pub(super) fn last_results(kernel: &Kernel) -> Result<Results> {
    let log = results_log(&folder_of(kernel)?);
    let said = fs::read(&log).with_context(|| format!("can't read {}", log.display()))?;
    Ok(Results::read(&String::from_utf8_lossy(&said)))
}

/// Where a matrix run leaves a kernel's guest.
pub(super) fn folder_of(kernel: &Kernel) -> Result<PathBuf> {
    Ok(super::folder()?.join(kernel.series.to_string()))
}

fn console_log(folder: &Path) -> PathBuf {
    folder.join("console.log")
}

fn results_log(folder: &Path) -> PathBuf {
    folder.join("results.log")
}

/// Boots a guest, has it carry out the plan, and waits for its end. `hear` gets what the guest
/// says, line by line, as it comes. What it is made of and what it says are left in the folder.
pub(super) fn run(
    folder: &Path,
    kernel: &Kernel,
    accelerator: Accelerator,
    base: &Base,
    files: &[(&str, &str)],
    limit: Duration,
    mut hear: impl FnMut(&str),
) -> Result<Report> {
    fs::create_dir_all(folder)?;
    // Another run's guest of the same kernel writes to the same places.
    let in_use = File::create(folder.join("lock"))?;
    in_use.lock().context("can't wait for another run")?;
    let initramfs = image::of_guest(folder, base, kernel, files)?;
    for log in [console_log(folder), results_log(folder)] {
        fs::write(&log, "").with_context(|| format!("can't write {}", log.display()))?;
    }
    let machine = Machine {
        accelerator,
        kernel,
        initramfs: Some(&initramfs),
    };
    let start = Instant::now();
    let mut command = machine.command(&[
        &format!("file:{}", console_log(folder).display()),
        &format!("file:{}", results_log(folder).display()),
    ])?;
    let mut guest = Guest(command.spawn().context("can't start qemu")?);
    let mut heard = 0;
    let mut has_ended = false;
    let mut processor_time = Duration::ZERO;
    let end = loop {
        processor_time = guest.processor_time().unwrap_or(processor_time);
        let said = read(&results_log(folder));
        while let Some((line, _)) = said.get(heard..).and_then(|rest| rest.split_once('\n')) {
            hear(line.trim_end_matches('\r'));
            heard += line.len() + 1;
        }
        // Looked at once more after its end: the last words may have come since.
        if has_ended {
            let console = read(&console_log(folder));
            break match console::trouble(&console) {
                Some(trouble) => End::Trouble(trouble),
                None if Results::read(&said).is_complete => End::Done,
                None => End::Gone,
            };
        }
        if start.elapsed() > limit {
            let console = read(&console_log(folder));
            break console::trouble(&console).map_or(End::TimeLimit(limit), End::Trouble);
        }
        has_ended = guest.0.try_wait()?.is_some() || console::is_over(&read(&console_log(folder)));
        if !has_ended {
            sleep(Duration::from_millis(100));
        }
    };
    drop(guest);
    // A hundred megabytes that tell nothing.
    drop(fs::remove_file(&initramfs));
    Ok(Report {
        kernel: kernel.clone(),
        end,
        results: Results::read(&read(&results_log(folder))),
        took: start.elapsed(),
        processor_time,
        folder: folder.to_path_buf(),
    })
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}
