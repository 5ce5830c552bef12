//! Every routine of nodecap's development, each of them once: `cargo xtask --help`.
//!
//! One file a command. What they share: [`command`] runs programs, [`workspace`] knows the
//! places, [`compiler`] and [`linker`] find what makes an eBPF object, [`libpcap`] builds what
//! compiles filter expressions, [`packages`] knows the distribution's names for things, [`elf`] looks
//! at what was built.

mod bench;
mod build;
mod command;
mod compiler;
mod demo;
mod elf;
mod fuzz;
mod libpcap;
mod linker;
mod lint;
mod packages;
mod run;
mod setup;
mod soak;
mod test;
mod vm;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::packages::Need;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Builds, runs, shows and tests nodecap")]
struct Xtask {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Finds an eBPF compiler and the test tools, and installs what is missing
    Setup,
    /// Builds the kernel object and the binary with it inside: target/release/nodecap
    Build(build::Options),
    /// Builds nodecap and runs it as root: cargo xtask run -- capture -i eth0
    Run {
        /// What nodecap is given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Captures real connections in a small network of its own
    Demo(demo::Options),
    /// Runs every test of the workspace, as root
    Test {
        /// What `cargo test` is given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Boots the kernels that nodes run, and tests nodecap on each
    #[command(subcommand)]
    Vm(vm::Vm),
    /// Measures nodecap beside tcpdump
    Bench {
        /// What the benchmark is given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Runs a capture under everything at once, and looks whether it grows, leaks or loses count
    Soak(soak::Options),
    /// Feeds mutated input to the flow core and to whatever reads others' bytes
    Fuzz {
        /// What the fuzzer is given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Checks what needs no test: formatting, clippy on both sides, documentation, licences
    Lint,
    #[command(flatten)]
    Part(demo::Part),
}

fn main() -> ExitCode {
    let done = match Xtask::parse().command {
        Task::Setup => setup::run(),
        Task::Build(options) => setup::ensure(Need::Build).and_then(|c| build::run(&c, &options)),
        Task::Run { arguments } => run::run(&arguments),
        Task::Demo(options) => demo::run(&options),
        Task::Test { arguments } => test::run(&arguments),
        Task::Vm(vm) => vm.run(),
        Task::Bench { arguments } => bench::run(&arguments),
        Task::Soak(options) => soak::run(&options),
        Task::Fuzz { arguments } => fuzz::run(&arguments),
        Task::Lint => lint::run(),
        Task::Part(part) => part.play(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
