//! `cargo xtask vm`: the kernels that nodes run, each booted in a virtual machine.
//!
//! - [`kernels`]: which there are; [`apt`]: how Debian's packages are had
//! - [`image`]: the guest's root, with [`modules`], [`libraries`], [`programs`]; [`cpio`]: its form
//! - [`choice`]: which tests a guest runs
//! - [`emulator`]: qemu; [`guest`]: one guest from boot to end; [`console`], [`results`]: what it
//!   says
//! - [`matrix`]: all guests, side by side, and the summary; [`table`]: docs/kernels.md; [`shell`]: one guest to type in

mod apt;
mod choice;
mod console;
mod cpio;
mod emulator;
mod guest;
mod image;
mod kernels;
mod libraries;
mod matrix;
mod modules;
mod programs;
mod results;
mod shell;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::workspace;

/// What can be done with virtual machines.
#[derive(Debug, Subcommand)]
pub(crate) enum Vm {
    /// Runs the tests whose outcome a kernel can change, on each kernel of the matrix
    Test(matrix::Options),
    /// Writes docs/kernels.md from the last run on each kernel of the matrix
    Table,
    /// Boots a kernel and gives a shell with nodecap in it, or runs one command
    Shell(shell::Options),
}

impl Vm {
    /// Does it.
    pub(crate) fn run(&self) -> Result<()> {
        match self {
            Self::Test(options) => matrix::run(options),
            Self::Table => table::run(),
            Self::Shell(options) => shell::run(options),
        }
    }
}

/// Where guests' archives and logs are kept.
fn folder() -> Result<PathBuf> {
    let folder = workspace::target("vm");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    Ok(folder)
}

/// Adds all regular files below a folder.
fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files_below(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
