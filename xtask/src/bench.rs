//! `cargo xtask bench [ARGS]`: nodecap measured beside tcpdump.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::packages::Need;
use crate::{build, command, setup, workspace};

/// Builds nodecap, then builds and becomes the benchmark.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    build::kernel_object(&setup::ensure(Need::Test)?)?;
    let nodecap = build::binary()?;
    let mut cargo = command::cargo("build");
    cargo.args([
        "--locked",
        "--release",
        "--package",
        "nodecap-tests",
        "--bin",
        "bench",
        "--features",
        "bench",
    ]);
    command::run(cargo.arg("--target-dir").arg(workspace::target("")))?;
    let bench = workspace::target("release/bench");
    let mut command = command::as_root(&bench)?;
    command.args(arguments).env("NODECAP_BIN", nodecap);
    Err(command.exec()).with_context(|| format!("can't run {}", bench.display()))
}
