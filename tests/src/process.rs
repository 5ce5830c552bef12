//! A program that runs beside the test: what it says is read as it says it, and it doesn't
//! outlive the value.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::wait::{patience, wait_for};

/// What becomes of the program's standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdout {
    /// It is read and kept for the end.
    #[default]
    Collected,
    /// It is a pipe that nobody reads, and that fills up.
    Unread,
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    description: String,
    stderr: Arc<Mutex<Heard>>,
    stderr_reader: Option<JoinHandle<()>>,
    stdout_reader: Option<JoinHandle<Vec<u8>>>,
}

/// What has come over standard error so far.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    closed: bool,
}

/// How a program ended and what it had said.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of standard output; empty if it wasn't collected.
    pub stdout: Vec<u8>,
    /// All of standard error.
    pub stderr: String,
}

impl Process {
    /// Starts it with both its outputs in pipes.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    #[track_caller]
    pub fn start(command: &mut Command, stdout: Stdout) -> Self {
        let description = format!("{command:?}");
        let spawned = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => panic!("{description} can't be started: {error}"),
        };
        let stderr = Arc::default();
        let stderr_reader = child.stderr.take().map(|pipe| {
            let heard = Arc::clone(&stderr);
            std::thread::spawn(move || listen(pipe, &heard))
        });
        let stdout_reader = match stdout {
            Stdout::Unread => None,
            Stdout::Collected => child.stdout.take().map(|mut pipe| {
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    // What was read before an error is still what it said.
                    drop(pipe.read_to_end(&mut bytes));
                    bytes
                })
            }),
        };
        Self {
            child,
            description,
            stderr,
            stderr_reader,
            stdout_reader,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What has come over standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        locked(&self.stderr).text.clone()
    }

    /// Waits until `find` finds something in what has come over standard error.
    ///
    /// # Panics
    ///
    /// When the program ends first, or takes too long.
    #[track_caller]
    pub fn wait_for_stderr<T>(&self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let what = format!("{what} from {}", self.description);
        wait_for(&what, || {
            let heard = locked(&self.stderr);
            let found = find(&heard.text);
            assert!(
                found.is_some() || !heard.closed,
                "it ended before there was {what}:\n{}",
                heard.text
            );
            found
        })
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it is there no more.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        if let Err(error) = kill(self.nix_pid(), signal) {
            panic!(
                "{signal} to {}: {error}\n{}",
                self.description,
                self.stderr()
            );
        }
    }

    /// Holds the thread of that name up, and no other, until the value is dropped.
    ///
    /// # Panics
    ///
    /// When there is none, or it can't be traced.
    #[must_use]
    #[track_caller]
    pub fn hold(&self, thread: &str) -> Held {
        let thread = wait_for(&format!("a thread {thread}"), || {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).ok()?;
            tasks.flatten().find_map(|task| {
                let name = fs::read_to_string(task.path().join("comm")).ok()?;
                let id = task.file_name().to_str()?.parse().ok()?;
                (name.trim_end() == thread).then(|| Pid::from_raw(id))
            })
        });
        let held = ptrace::seize(thread, ptrace::Options::empty())
            .and_then(|()| ptrace::interrupt(thread))
            .and_then(|()| waitpid(thread, Some(WaitPidFlag::__WALL)));
        if let Err(error) = held {
            panic!("a thread of {} can't be held up: {error}", self.description);
        }
        Held { thread }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it doesn't come.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let deadline = Instant::now() + patience();
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => panic!("{}: {error}", self.description),
            }
            assert!(
                Instant::now() < deadline,
                "{} doesn't end\n{}",
                self.description,
                self.stderr()
            );
            std::thread::sleep(std::time::Duration::from_millis(2));
        };
        let stdout = self
            .stdout_reader
            .take()
            .and_then(|reader| reader.join().ok());
        if let Some(reader) = self.stderr_reader.take() {
            drop(reader.join());
        }
        Finished {
            status,
            stdout: stdout.unwrap_or_default(),
            stderr: self.stderr(),
        }
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

/// A thread that stands still. It goes on when the value is dropped, by the thread that made it.
#[derive(Debug)]
pub struct Held {
    thread: Pid,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Its process may be gone.
        let _ = ptrace::detach(self.thread, None);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended, which is what they are for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Finished {
    /// The exit status; none if a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Standard output as text.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

fn listen(pipe: impl Read, heard: &Mutex<Heard>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        locked(heard).text.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    locked(heard).closed = true;
}

/// What was heard is whole at every moment, also if a thread panicked while it looked at it.
fn locked(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
