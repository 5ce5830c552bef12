//! `--exec`: a command for each finished file.
//!
//! On a thread of its own, one file after the other, so that a slow command holds up neither the
//! packets nor the writing. Each is waited for: none is left behind as a zombie.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::Tell;

/// A command that can't be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    /// Nothing was given.
    #[error("there is no command in it")]
    Empty,
    /// There is no such program.
    #[error("there is no program `{0}` to run")]
    NotFound(String),
}

/// A program and what it is given before the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    program: OsString,
    arguments: Vec<OsString>,
}

impl Exec {
    /// Takes a command line apart at its spaces; there is no shell in between. The program must be
    /// there.
    ///
    /// # Errors
    ///
    /// [`BadCommand`].
    pub fn parse(line: &str) -> Result<Self, BadCommand> {
        let mut words = line.split_whitespace().map(OsString::from);
        let program = words.next().ok_or(BadCommand::Empty)?;
        if !is_there(&program) {
            let name = program.to_string_lossy().into_owned();
            return Err(BadCommand::NotFound(name));
        }
        Ok(Self {
            program,
            arguments: words.collect(),
        })
    }

    /// Runs it on a file, to its end.
    fn run(&self, file: &Path) -> std::io::Result<ExitStatus> {
        Command::new(&self.program)
            .args(&self.arguments)
            .arg(file)
            .stdin(Stdio::null())
            // The capture's own standard output may be full of packets.
            .stdout(Stdio::null())
            // An interrupt from the terminal ends the capture, not what is done with its files.
            .process_group(0)
            .status()
    }
}

fn is_there(program: &OsStr) -> bool {
    let executable = |path: &Path| {
        path.metadata()
            .is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    if program.as_encoded_bytes().contains(&b'/') {
        return executable(Path::new(program));
    }
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| executable(&folder.join(program)))
    })
}

/// The thread that runs the command.
#[derive(Debug)]
pub struct Runner {
    files: Sender<PathBuf>,
    thread: JoinHandle<()>,
}

impl Runner {
    /// Starts the thread. What fails is told to `tell`.
    ///
    /// # Errors
    ///
    /// When the system has no thread for us.
    pub fn start(exec: Exec, tell: Tell) -> std::io::Result<Self> {
        let (files, finished) = channel();
        let thread = std::thread::Builder::new()
            .name("exec".to_owned())
            .spawn(move || work(&exec, &finished, &tell))?;
        Ok(Self { files, thread })
    }

    /// Runs the command on that file when it is done with those before.
    pub fn run(&self, file: PathBuf) {
        // It ends by itself only when this end is dropped.
        let _ = self.files.send(file);
    }

    /// Waits until it has run on every file.
    pub fn finish(self) {
        drop(self.files);
        // A panic was told of where it happened.
        let _ = self.thread.join();
    }
}

fn work(exec: &Exec, finished: &Receiver<PathBuf>, tell: &Tell) {
    for file in finished {
        let program = exec.program.to_string_lossy();
        let shown = file.display();
        match exec.run(&file) {
            Ok(status) if status.success() => {}
            Ok(status) => tell(format!("{program} {shown} {}", how(status))),
            Err(error) => tell(format!("{program} {shown} can't be run: {error}")),
        }
    }
}

/// How a command that failed ended.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed: exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_command_is_a_program_and_words() {
        let exec = Exec::parse(" sh  -e x ").unwrap();
        assert_eq!(exec.program, "sh");
        assert_eq!(exec.arguments, ["-e", "x"]);
        assert!(Exec::parse("/bin/sh").is_ok());
        assert_eq!(Exec::parse(" "), Err(BadCommand::Empty));
        for name in ["no-such-program-anywhere", "/etc/passwd", "/"] {
            assert_eq!(
                Exec::parse(name),
                Err(BadCommand::NotFound(name.to_owned()))
            );
        }
    }

    #[test]
    fn it_runs_on_each_file_in_turn_and_what_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let said = Arc::new(Mutex::new(Vec::new()));
        let tell: Tell = Box::new({
            let said = Arc::clone(&said);
            move |note| said.lock().unwrap().push(note)
        });
        std::fs::write(path("one"), "").unwrap();
        let runner = Runner::start(Exec::parse("rm").unwrap(), tell).unwrap();
        runner.run(path("one"));
        runner.run(path("two"));
        runner.finish();
        assert!(!path("one").exists());
        let expected = format!("rm {} failed: exit status 1", path("two").display());
        assert_eq!(*said.lock().unwrap(), [expected]);
    }
}
