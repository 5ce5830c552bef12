//! A running `nodecap capture`, from its readiness to its count lines.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A child that doesn't outlive this value.
#[derive(Debug)]
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Far more than attaching takes, or ending.
const PATIENCE: Duration = Duration::from_secs(20);

/// A capture that has said that it listens.
#[derive(Debug)]
pub(super) struct Capture {
    child: Running,
    /// What it says on standard error, as it comes.
    said: Receiver<String>,
    reader: JoinHandle<()>,
}

impl Capture {
    /// Starts the command and waits until it says that everything is attached and open.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start the capture")?;
        let mut child = Running(child);
        let errors = child
            .0
            .stderr
            .take()
            .context("the capture has no standard error")?;
        let (tell, said) = channel();
        let reader = thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                // Nobody listens any more once the demo failed; the pipe is emptied all the same.
                drop(tell.send(line));
            }
        });
        let mut capture = Self {
            child,
            said,
            reader,
        };
        capture.wait_until_listening()?;
        Ok(capture)
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) => {
                    println!("{line}");
                    if line.starts_with("listening on ") {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the capture doesn't say `listening on` within {PATIENCE:?}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "the capture ended before it listened ({})",
                        self.child.0.wait()?
                    )
                }
            }
        }
    }

    /// Interrupts the capture as Ctrl-C would, and returns what it says in the end.
    pub(super) fn stop(mut self) -> Result<Vec<String>> {
        let id = i32::try_from(self.child.0.id()).context("no such process id")?;
        kill(Pid::from_raw(id), Signal::SIGINT).context("can't interrupt the capture")?;
        let deadline = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the capture doesn't end within {PATIENCE:?} of being interrupted")
                }
            }
        }
        // It has nothing more to read: the channel is closed.
        drop(self.reader.join());
        let status = self.child.0.wait()?;
        ensure!(
            status.success(),
            "the capture failed ({status}): {}",
            lines.join("; ")
        );
        Ok(lines)
    }
}

/// The number in the count line `N packets captured`.
pub(super) fn captured(lines: &[String]) -> Option<u64> {
    lines
        .iter()
        .find_map(|line| line.strip_suffix(" packets captured")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::captured;

    #[test]
    fn the_count_is_found_among_the_last_words() {
        let lines = ["", "31 packets captured", "0 packets dropped by kernel"].map(str::to_owned);
        assert_eq!(captured(&lines), Some(31));
        assert_eq!(captured(&[]), None);
    }
}
