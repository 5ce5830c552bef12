//! `cargo xtask test [ARGS]`: every test of the workspace.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, SUDO_OPTIONS, say, shown};
use crate::packages::Need;
use crate::{build, setup, workspace};

/// Builds nodecap and runs the tests; they find it by `NODECAP_BIN`.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    build::kernel_object(&setup::ensure(Need::Test)?)?;
    let nodecap = build::binary()?;
    let mut cargo = command::cargo("test");
    cargo
        .args([
            "--locked",
            "--workspace",
            "--exclude",
            "capture-ebpf",
            "--target-dir",
        ])
        .arg(workspace::target(""))
        .env("NODECAP_BIN", nodecap);
    // One failure is no reason not to hear of the others.
    if !arguments.iter().any(|word| word == "--no-fail-fast") {
        cargo.arg("--no-fail-fast");
    }
    if !command::is_root() {
        // Only the tests run as root: what cargo writes stays the user's.
        let runner = format!("{} {}", command::sudo()?.display(), SUDO_OPTIONS.join(" "));
        let triple = format!(
            "{}_UNKNOWN_LINUX_GNU",
            std::env::consts::ARCH.to_uppercase()
        );
        cargo.env(format!("CARGO_TARGET_{triple}_RUNNER"), runner);
    }
    cargo.args(arguments).stdout(Stdio::piped());
    say(format!("$ {}", shown(&cargo)));

    let mut child = cargo.spawn().context("can't start cargo")?;
    let mut tally = Tally::default();
    if let Some(mut output) = child.stdout.take() {
        let mut buffer = [0; 8 << 10];
        loop {
            let read = match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("can't read what the tests say"),
            };
            let mut stdout = io::stdout().lock();
            stdout
                .write_all(read)
                .and_then(|()| stdout.flush())
                .context("can't show the tests")?;
            tally.take(read);
        }
    }
    let status = child.wait().context("can't wait for cargo")?;
    // cargo's own last words are those of the last crate's documentation tests: often none.
    println!(
        "\n{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.ignored
    );
    if !status.success() {
        bail!("tests failed ({status})");
    }
    Ok(())
}

/// How a line starts in which a test says that it can't run here: see `lab::ability`.
pub(crate) const SKIPPED: &str = "skipped: ";

/// Adds up the result lines of several test binaries, from their output as it comes.
#[derive(Debug, Default)]
struct Tally {
    line: Vec<u8>,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Since the last result line.
    skipped: u64,
}

impl Tally {
    fn take(&mut self, output: &[u8]) {
        for &byte in output {
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if line.starts_with(SKIPPED) {
            // libtest says of it that it passed.
            self.skipped += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            // `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`
            let mut words = result.split_ascii_whitespace().peekable();
            while let Some(word) = words.next() {
                let Ok(number) = word.parse::<u64>() else {
                    continue;
                };
                match words.peek().map(|what| what.trim_end_matches(';')) {
                    Some("passed") => self.passed += number,
                    Some("failed") => self.failed += number,
                    Some("ignored") => self.ignored += number,
                    _ => {}
                }
            }
            let skipped = std::mem::take(&mut self.skipped).min(self.passed);
            self.passed -= skipped;
            self.ignored += skipped;
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_are_added_up() {
        let mut tally = Tally::default();
        let output = "running 4 tests\ntest a ... ok\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished \
            in 0.00s\nnoise\ntest result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\n";
        tally.take(output.as_bytes());
        assert_eq!((tally.passed, tally.failed, tally.ignored), (5, 1, 1));
    }

    #[test]
    fn a_test_that_says_it_was_skipped_has_not_passed() {
        let mut tally = Tally::default();
        tally.take(b"skipped: a: ipvs: none\ntest a ... ok\ntest result: ok. 3 passed; 0 failed\n");
        assert_eq!((tally.passed, tally.ignored), (2, 1));
    }

    #[test]
    fn a_result_line_may_come_in_pieces() {
        let mut tally = Tally::default();
        for piece in ["test resu", "lt: ok. 1", "2 passed; 0 fai", "led\n"] {
            tally.take(piece.as_bytes());
        }
        assert_eq!((tally.passed, tally.failed), (12, 0));
    }

    #[test]
    fn what_a_test_prints_of_results_is_not_counted() {
        let mut tally = Tally::default();
        tally.take(b"it said: test result: ok. 7 passed\n");
        assert_eq!(tally.passed, 0);
    }
}
