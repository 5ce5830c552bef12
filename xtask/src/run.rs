//! `cargo xtask run -- ARGS`: nodecap as root.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::packages::Need;
use crate::{build, command, setup};

/// Builds nodecap and becomes it, so that signals and the exit status are its own.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    build::kernel_object(&setup::ensure(Need::Build)?)?;
    let nodecap = build::binary()?;
    let mut command = command::as_root(&nodecap)?;
    // `exec` returns only if it fails.
    Err(command.args(arguments).exec()).with_context(|| format!("can't run {}", nodecap.display()))
}
