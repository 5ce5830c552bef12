//! The command line: what was typed, and what the program will do about it.
//!
//! One file a command. Each has the arguments as they are typed, and resolves them into what the
//! library takes, so that nothing behind here ever sees a raw flag.

pub mod capture;
mod destination;
pub mod doctor;
pub mod explain;
pub mod filter;
pub mod help;
pub mod interfaces;
mod matching;
pub mod repair;
mod stdout;
pub mod sweep;
mod user;
mod values;

use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// Captures packets on a Linux node: filtered in the kernel, with exact limits and an honest
/// count, written as pcapng.
#[derive(Debug, Parser)]
#[command(
    name = "nodecap",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture on live interfaces
    Capture(Box<capture::Args>),
    /// Explain a saved capture: its flows, resets and translations
    Explain(explain::Args),
    /// Show what a filter becomes in the kernel, and try it on a file
    Filter(filter::Args),
    /// Close a capture file that a kill or a loss of power cut off
    Repair(repair::Args),
    /// Show what can be captured here
    Interfaces(interfaces::Args),
    /// Show what this kernel and these privileges allow
    Doctor(doctor::Args),
    /// Remove what killed captures left behind, and print it
    ///
    /// With TCX and XDP nothing stays behind. Where the kernel has no TCX (before Linux 6.6), a
    /// capture that was killed leaves its filters on the interfaces of its network namespace, where
    /// they cost each packet a little time and do nothing else. This removes those whose capture is
    /// gone, and the clsact qdisc under them if a capture had added it and nothing else hangs on
    /// it. Those of running captures, and anybody else's, stay. Each capture does the same when it
    /// starts.
    Sweep(sweep::Args),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Tells what clap refused, in one line like every other error; help and version, which also come
/// as an error, it prints as they are.
#[must_use]
pub fn refuse(error: &clap::Error) -> ExitCode {
    let whole =
        !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    // A closed pipe, or nobody left to tell: neither changes the exit status.
    if whole {
        let _ = error.print();
    } else {
        let _ = writeln!(
            std::io::stderr(),
            "nodecap: {}",
            in_one_line(&error.to_string())
        );
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Clap's message without its heading, and without the usage that follows it.
fn in_one_line(message: &str) -> String {
    let lines: Vec<_> = message
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    // A line that ends in a colon leads to the next one.
    let line = lines.join("; ").replace(":; ", ": ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(words: &str) -> String {
        match Cli::try_parse_from(words.split(' ')) {
            Err(error) => in_one_line(&error.to_string()),
            Ok(parsed) => panic!("`{words}` gave {parsed:?}"),
        }
    }

    #[test]
    fn what_clap_refuses_is_told_in_one_line_with_its_remedy() {
        assert_eq!(
            refusal("nodecap capture -c0"),
            "invalid value '0' for '--count <N>': 0 packets is no capture: leave the option out for no limit"
        );
        assert_eq!(
            refusal("nodecap capture -C 1M"),
            "the following required arguments were not provided: --write <FILE>"
        );
        let misspelt = refusal("nodecap capture --prot tcp");
        assert!(
            misspelt.contains("'--prot'") && misspelt.contains("'--proto'"),
            "{misspelt}"
        );
        for words in [
            "nodecap captur",
            "nodecap capture -w",
            "nodecap capture -qw x --print",
        ] {
            assert_eq!(refusal(words).lines().count(), 1, "{words}");
        }
    }
}
