//! nodecap: parses the command line, runs the command, and turns an error into an exit status.

use std::io::Write as _;
use std::process::ExitCode;

use capture_user::cli::{self, Cli, Command};
use clap::Parser as _;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::refuse(&error),
    };
    let result = match cli.command {
        Command::Capture(args) => {
            set_up_diagnostics(args.verbosity());
            cli::capture::run(*args)
        }
        Command::Explain(args) => cli::explain::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Filter(args) => cli::filter::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Repair(args) => cli::repair::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Interfaces(args) => cli::interfaces::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => cli::doctor::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Sweep(args) => cli::sweep::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => cli::help::completions(shell).map(|()| ExitCode::SUCCESS),
        Command::Man => cli::help::manual().map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        // Nobody is left to tell where standard error is closed.
        let _ = writeln!(std::io::stderr(), "nodecap: {error}");
        error.exit_code()
    })
}

/// Diagnostics go to standard error: warnings always, the kernel side's and our own with `-vv`.
fn set_up_diagnostics(verbosity: u8) {
    let level = match verbosity {
        0 | 1 => LevelFilter::WARN,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .init();
}
