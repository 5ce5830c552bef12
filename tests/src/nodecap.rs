//! The binary under test, as a user runs it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Signal;
use crate::ability;
use crate::namespace::Namespace;
use crate::process::{Finished, Process, Stdout};
use crate::wait::wait_for;

/// The three numbers under a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets written.
    pub captured: u64,
    /// Packets that matched in the kernel.
    pub received: u64,
    /// Packets that matched and were lost.
    pub dropped: u64,
}

/// A command line to be run in a namespace.
#[derive(Debug)]
pub struct Nodecap<'a> {
    namespace: &'a Namespace,
    arguments: Vec<OsString>,
    stdout: Stdout,
    environment: Vec<(OsString, OsString)>,
    privilege: Privilege<'a>,
}

/// As whom it runs.
#[derive(Debug)]
enum Privilege<'a> {
    Root,
    Nobody,
    /// An ordinary user with these capabilities.
    Capabilities(&'a [&'a str]),
}

impl<'a> Nodecap<'a> {
    /// `nodecap` with these arguments. Paths among them must be absolute: it runs at the root.
    #[must_use]
    pub fn new(namespace: &'a Namespace, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(OsString::from).collect();
        Self {
            namespace,
            arguments,
            stdout: Stdout::Collected,
            environment: Vec::new(),
            privilege: Privilege::Root,
        }
    }

    /// `nodecap capture -i INTERFACE`.
    #[must_use]
    pub fn capture(namespace: &'a Namespace, interface: &str) -> Self {
        Self::new(namespace, &["capture", "-i", interface])
    }

    /// With more arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// With `-w FILE`.
    #[must_use]
    pub fn write(self, file: &Path) -> Self {
        self.args(["-w".as_ref(), file.as_os_str()])
    }

    /// With standard output treated like this.
    #[must_use]
    pub fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let variable = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.environment.push(variable);
        self
    }

    /// Run by a user without any privilege.
    #[must_use]
    pub fn as_nobody(mut self) -> Self {
        self.privilege = Privilege::Nobody;
        self
    }

    /// Run by an ordinary user who holds these capabilities and no others (`net_admin`). The
    /// binary is one that everybody may read.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: &'a [&'a str]) -> Self {
        self.privilege = Privilege::Capabilities(capabilities);
        self
    }

    /// An emulated machine takes half a second to clear the memory of rings of the usual size.
    fn wants_small_rings(&self) -> bool {
        ability::is_guest()
            && self.arguments.first().is_some_and(|it| it == "capture")
            && !self.arguments.iter().any(|it| it == "--ring-size")
    }

    /// Starts it, and doesn't wait for anything.
    #[must_use]
    #[track_caller]
    pub fn spawn(mut self) -> Capture {
        let binary = binary();
        let mut command: Command = match self.privilege {
            Privilege::Root => self.namespace.command(binary),
            Privilege::Nobody => self.namespace.command_as_nobody(binary),
            Privilege::Capabilities(held) => self.namespace.command_with_capabilities(held, binary),
        };
        if self.wants_small_rings() {
            let size = ["--ring-size", "2M"].map(OsString::from);
            self.arguments.splice(1..1, size);
        }
        command.args(&self.arguments);
        command.envs(self.environment);
        Capture {
            process: Process::start(&mut command, self.stdout),
        }
    }

    /// Starts it and waits until it is listening.
    ///
    /// # Panics
    ///
    /// When it ends before that.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Capture {
        let capture = self.spawn();
        capture.wait_until_listening();
        capture
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When it doesn't end by itself.
    #[must_use]
    #[track_caller]
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Runs it, and makes sure that it is refused as wrong usage, in one line that has these words.
    ///
    /// # Panics
    ///
    /// When it isn't.
    #[track_caller]
    pub fn assert_refused(self, words: &str) {
        let arguments = format!("{:?}", self.arguments);
        let finished = self.run();
        let said = &finished.stderr;
        assert_eq!(finished.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(words), "{arguments}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments}: {said}");
    }
}

/// A `nodecap` that is running.
#[derive(Debug)]
pub struct Capture {
    process: Process,
}

impl Capture {
    /// Waits until it has said that everything is attached and open.
    ///
    /// # Panics
    ///
    /// When it ends before that.
    #[track_caller]
    pub fn wait_until_listening(&self) {
        self.wait_for_line("listening on");
    }

    /// Waits for a line on standard error that starts like this, and returns it.
    ///
    /// # Panics
    ///
    /// When it ends before that.
    #[track_caller]
    pub fn wait_for_line(&self, start: &str) -> String {
        self.process.wait_for_stderr(&format!("`{start}`"), |text| {
            text.lines()
                .find(|line| line.starts_with(start))
                .map(String::from)
        })
    }

    /// Waits until standard error speaks of this, anywhere.
    ///
    /// # Panics
    ///
    /// When it ends before that.
    #[track_caller]
    pub fn wait_for_mention(&self, of: &str) {
        self.process
            .wait_for_stderr(&format!("`{of}`"), |text| text.contains(of).then_some(()));
    }

    /// Asks it for its count lines (by USR1) and waits for them.
    ///
    /// # Panics
    ///
    /// When it doesn't answer.
    #[track_caller]
    pub fn counts(&self) -> Counts {
        let before = all_counts(&self.process.stderr()).len();
        self.process.signal(Signal::SIGUSR1);
        self.process.wait_for_stderr("count lines", |text| {
            let counts = all_counts(text);
            counts.last().filter(|_| counts.len() > before).copied()
        })
    }

    /// Waits until it has written at least `count` packets.
    ///
    /// # Panics
    ///
    /// When it doesn't get there.
    #[track_caller]
    pub fn wait_until_captured(&self, count: u64) -> Counts {
        wait_for(&format!("{count} packets captured"), || {
            let counts = self.counts();
            (counts.captured >= count).then_some(counts)
        })
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Waits until its filter has matched at least `count` packets.
    ///
    /// # Panics
    ///
    /// When it doesn't get there.
    #[track_caller]
    pub fn wait_until_received(&self, count: u64) -> Counts {
        wait_for(&format!("{count} packets received"), || {
            let counts = self.counts();
            (counts.received >= count).then_some(counts)
        })
    }

    /// The process, for what isn't nodecap's own.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    ///
    /// When it doesn't.
    #[track_caller]
    pub fn wait(self) -> Finished {
        self.process.wait()
    }

    /// Ends it as a user does, with an interrupt, and waits for the end.
    ///
    /// # Panics
    ///
    /// When it doesn't end, or not with success.
    #[track_caller]
    pub fn stop(self) -> Finished {
        self.signal(Signal::SIGINT);
        let finished = self.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        finished
    }
}

impl Finished {
    /// The count lines it ended with.
    ///
    /// # Panics
    ///
    /// When there are none.
    #[must_use]
    #[track_caller]
    pub fn counts(&self) -> Counts {
        match all_counts(&self.stderr).last() {
            Some(counts) => *counts,
            None => panic!("no count lines in:\n{}", self.stderr),
        }
    }

    /// Why it says it stopped.
    ///
    /// # Panics
    ///
    /// When it doesn't say.
    #[must_use]
    #[track_caller]
    pub fn stop_reason(&self) -> &str {
        match self
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("stopped: "))
        {
            Some(reason) => reason,
            None => panic!("no `stopped:` line in:\n{}", self.stderr),
        }
    }
}

/// Every set of three count lines in what was said, in order. As with tcpdump, one packet is
/// `packet`.
fn all_counts(said: &str) -> Vec<Counts> {
    let figure = |line: &str, what: &str| {
        let (number, rest) = line.split_once(' ')?;
        let rest = rest
            .strip_prefix("packets ")
            .or_else(|| rest.strip_prefix("packet "))?;
        (rest == what).then(|| number.parse::<u64>().ok())?
    };
    let mut all = Vec::new();
    let mut counts = Counts::default();
    for line in said.lines() {
        if let Some(captured) = figure(line, "captured") {
            counts.captured = captured;
        } else if let Some(received) = figure(line, "received by filter") {
            counts.received = received;
        } else if let Some(dropped) = figure(line, "dropped by kernel") {
            counts.dropped = dropped;
            all.push(counts);
        }
    }
    all
}

/// Where the binary is: `NODECAP_BIN`, or where `cargo xtask build` puts it.
///
/// # Panics
///
/// When there is none.
#[must_use]
#[track_caller]
pub fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/nodecap");
    let path = std::env::var_os("NODECAP_BIN").map_or(built, PathBuf::from);
    match path.canonicalize() {
        Ok(path) => path,
        Err(error) => panic!("{}: {error}: run `cargo xtask build` first", path.display()),
    }
}
