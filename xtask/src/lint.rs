//! `cargo xtask lint`: what is checked before any test is worth running.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, say};
use crate::compiler::{Compiler, Origin};
use crate::packages::{self, Need};
use crate::{build, setup, workspace};

/// The version whose configuration deny.toml is.
const DENY: &str = "0.20.2";

/// Every check, the quick ones first.
pub(crate) fn run() -> Result<()> {
    command::run(command::cargo("fmt").args(["--all", "--check"]))?;
    let compiler = setup::ensure(Need::Build)?;
    build::kernel_object(&compiler)?;
    let warnings_are_errors = ["--", "-Dwarnings"];
    command::run(
        in_user_space("clippy")
            // The benchmark is behind a feature of its own.
            .args(["--all-targets", "--features", "nodecap-tests/bench"])
            .args(warnings_are_errors),
    )?;
    kernel_clippy(&compiler)?;
    command::run(
        in_user_space("doc")
            .arg("--no-deps")
            .env("RUSTDOCFLAGS", "-Dwarnings"),
    )?;
    licences()
}

fn in_user_space(subcommand: &str) -> Command {
    let mut command = command::cargo(subcommand);
    command.args([
        "--locked",
        "--workspace",
        "--exclude",
        "capture-ebpf",
        "--target-dir",
    ]);
    command.arg(workspace::target(""));
    command
}

/// The kernel side takes a clippy that is as old as its compiler.
fn kernel_clippy(compiler: &Compiler) -> Result<()> {
    if compiler.found.origin == Origin::Distribution && !Path::new("/usr/bin/cargo-clippy").exists()
    {
        let package = [packages::clippy().to_owned()];
        if !packages::is_debian_like() || !command::is_root() {
            say("the kernel side's compiler has no clippy: left out");
            say(format!(
                "for it, as root, run: {}",
                packages::install_line(&package)
            ));
            return Ok(());
        }
        packages::refresh();
        packages::install(&package)?;
    }
    let mut clippy = build::kernel_cargo(compiler, "clippy");
    if compiler.found.origin == Origin::Distribution {
        // rustup's cargo-clippy comes first on many a path, and brings its own compiler.
        let path = std::env::var("PATH").unwrap_or_default();
        clippy.env("PATH", format!("/usr/bin:{path}"));
    }
    command::run(clippy.args(["--", "-Dwarnings"]))
}

/// Whether every dependency's licence is one that we can ship, and comes from where it should.
///
/// Known vulnerabilities are left out: that list is a repository to be cloned, and a check that
/// fails where it can't be reached is one that people learn to ignore.
fn licences() -> Result<()> {
    let mut deny = Command::new(cargo_deny()?);
    deny.current_dir(workspace::root());
    command::run(deny.args(["--all-features", "check", "bans", "licenses", "sources"]))
}

fn cargo_deny() -> Result<PathBuf> {
    let expected = format!("cargo-deny {DENY}");
    let fits = |program: &PathBuf| {
        command::output(Command::new(program).arg("--version")).is_ok_and(|v| v.trim() == expected)
    };
    if let Some(program) = command::find("cargo-deny").filter(fits) {
        return Ok(program);
    }
    let folder = workspace::cache()?.join(format!("cargo-deny-{DENY}"));
    let program = folder.join("bin/cargo-deny");
    if !program.is_file() {
        say(format!("building cargo-deny {DENY}: a few minutes, once"));
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let mut install = command::cargo("install");
        install
            .args(["cargo-deny", "--version", DENY, "--locked", "--root"])
            .arg(&folder);
        command::run(install.current_dir(&folder))?;
    }
    if !fits(&program) {
        bail!("{} doesn't run: remove it and try again", program.display());
    }
    Ok(program)
}
