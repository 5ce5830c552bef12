//! `cargo xtask fuzz [ARGS]`: mutated input for the core and for all that reads what others wrote.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::packages::Need;
use crate::{build, command, setup, workspace};

/// Builds the fuzzer, fast and with every check on, and becomes it.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    // Not that it was needed: the crate under test has the object inside.
    build::kernel_object(&setup::ensure(Need::Build)?)?;
    let mut cargo = command::cargo("build");
    cargo.args([
        "--locked",
        "--profile",
        "fuzz",
        "--package",
        "nodecap-tests",
    ]);
    cargo.args(["--bin", "fuzz", "--features", "fuzz"]);
    command::run(cargo.arg("--target-dir").arg(workspace::target("")))?;
    let fuzz = workspace::target("fuzz/fuzz");
    let mut command = Command::new(&fuzz);
    command.args(arguments);
    if !arguments.iter().any(|argument| argument == "--finds") {
        command.arg("--finds").arg(workspace::target("fuzz/finds"));
    }
    Err(command.exec()).with_context(|| format!("can't run {}", fuzz.display()))
}
