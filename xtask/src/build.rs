//! `cargo xtask build`: the kernel object, then the binary with the object inside.
//!
//! Two compilers work here, so each has a folder of its own below `target/`: neither touches what
//! the other built, and a tree that hasn't changed builds nothing.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::{self, say};
use crate::compiler::Compiler;
use crate::{elf, workspace};

/// What `build` can be asked for.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// A binary that needs nothing of the node it runs on: target/static/nodecap
    #[arg(long = "static", conflicts_with = "kernel_only")]
    fixed: bool,
    /// Only the kernel object, which everything in capture-user needs to compile
    #[arg(long)]
    kernel_only: bool,
}

/// Builds what the options say.
pub(crate) fn run(compiler: &Compiler, options: &Options) -> Result<()> {
    kernel_object(compiler)?;
    if options.kernel_only {
        return Ok(());
    }
    let binary = if options.fixed {
        static_binary()?
    } else {
        binary()?
    };
    say(format!("built {}", workspace::short(&binary)));
    Ok(())
}

/// The kernel object, checked, where capture-user's build script finds it.
pub(crate) fn kernel_object(compiler: &Compiler) -> Result<()> {
    command::run(&mut kernel_cargo(compiler, "build"))?;
    let built = workspace::target("ebpf-build/bpfel-unknown-none/ebpf/capture-ebpf");
    let mut object = fs::read(&built).with_context(|| format!("can't read {}", built.display()))?;
    elf::place_sections(&mut object)?;
    elf::check_kernel_object(&object)?;
    let place = workspace::target("ebpf/nodecap.o");
    // An object of the same content must not look newer, or capture-user is built again.
    if fs::read(&place).ok().as_deref() != Some(&object) {
        fs::create_dir_all(workspace::target("ebpf"))?;
        fs::write(&place, &object).with_context(|| format!("can't write {}", place.display()))?;
    }
    Ok(())
}

/// A cargo command on the kernel side: `build` or `clippy`.
pub(crate) fn kernel_cargo(compiler: &Compiler, subcommand: &str) -> Command {
    let flags = [
        // aya-ebpf's tracing programs read registers, which have the node's names.
        &format!("--cfg=bpf_target_arch=\"{ARCH}\""),
        "-Clink-arg=--btf",
    ];
    let mut command = compiler.cargo(subcommand);
    command
        .args(["--locked", "--package", "capture-ebpf", "--profile", "ebpf"])
        .args(["--target", "bpfel-unknown-none", "-Zbuild-std=core"])
        .arg("--target-dir")
        .arg(workspace::target("ebpf-build"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    command
}

/// The binary, for this machine.
pub(crate) fn binary() -> Result<PathBuf> {
    command::run(
        release_cargo()
            .arg("--target-dir")
            .arg(workspace::target("")),
    )?;
    Ok(workspace::nodecap())
}

fn release_cargo() -> Command {
    let mut command = command::cargo("build");
    command.args([
        "--locked",
        "--release",
        "--package",
        "capture-user",
        "--bin",
        "nodecap",
    ]);
    command
}

/// The binary with the C library inside, proved to need no other file.
fn static_binary() -> Result<PathBuf> {
    let triple = format!("{ARCH}-unknown-linux-gnu");
    let folder = workspace::target("static-build");
    let mut cargo = release_cargo();
    // Naming the target keeps the flag from build scripts and procedural macros, which can't be
    // static.
    cargo
        .args(["--target", &triple])
        .arg("--target-dir")
        .arg(&folder);
    command::run(cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static"))?;
    let built = folder.join(triple).join("release/nodecap");
    elf::check_static(&fs::read(&built).with_context(|| format!("can't read {built:?}"))?)?;
    if command::is_root() {
        check_in_bare_root(&built)?;
    } else {
        say("not root: whether it runs in an empty root was not tried");
    }
    let place = workspace::target("static/nodecap");
    fs::create_dir_all(workspace::target("static"))?;
    fs::copy(&built, &place).with_context(|| format!("can't write {}", place.display()))?;
    Ok(place)
}

/// Runs the binary in a root directory that holds nothing else.
fn check_in_bare_root(binary: &Path) -> Result<()> {
    let root = workspace::target("static-build/bare-root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fs::create_dir_all(&root)?;
    fs::copy(binary, root.join("nodecap"))?;
    let chroot = command::find("chroot").context("there is no chroot to try the binary in")?;
    let version = command::output(
        Command::new(chroot)
            .arg(&root)
            .args(["/nodecap", "--version"])
            .env_clear(),
    );
    fs::remove_dir_all(&root)?;
    let version = version.context("the static binary doesn't run in an empty root")?;
    ensure!(
        version.starts_with("nodecap "),
        "the static binary says `{version}` of itself"
    );
    say(format!(
        "in a root with nothing else in it: {}",
        version.trim()
    ));
    Ok(())
}
