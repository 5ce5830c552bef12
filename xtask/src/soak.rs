//! `cargo xtask soak --minutes N`: a capture under everything at once, and whether it stays the same.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::packages::Need;
use crate::{build, command, setup, workspace};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long. Resident memory is compared with what it was half-way, so five at least for it to mean
    /// much
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    minutes: f64,
}

/// Builds nodecap, then builds and becomes what soaks it.
pub(crate) fn run(options: &Options) -> Result<()> {
    build::kernel_object(&setup::ensure(Need::Test)?)?;
    let nodecap = build::binary()?;
    // As `cargo xtask test` builds it: nothing is built twice. Without a test among what is built cargo leaves
    // out what only tests depend on, and with it features of what both do.
    let mut cargo = command::cargo("build");
    cargo.args(["--locked", "--workspace", "--exclude", "capture-ebpf"]);
    cargo.args(["--bin", "soak", "--test", "lab_itself", "--target-dir"]);
    command::run(cargo.arg(workspace::target("")))?;
    let soak = workspace::target("debug/soak");
    let mut command = command::as_root(&soak)?;
    command
        .arg(options.minutes.to_string())
        .env("NODECAP_BIN", nodecap);
    Err(command.exec()).with_context(|| format!("can't run {}", soak.display()))
}
