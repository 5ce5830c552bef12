//! tcpdump, the capture that everybody trusts, beside the one under test.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::Signal;
use crate::frames::END_MARKER;
use crate::namespace::Namespace;
use crate::nodecap::Counts;
use crate::process::{Process, Stdout};
use crate::read::CaptureFile;
use crate::scratch::Scratch;
use crate::wait::wait_until;

/// A tcpdump that is running and writes to a file of its own.
#[derive(Debug)]
pub struct Tcpdump {
    process: Process,
    folder: Scratch,
}

/// What a tcpdump has captured, with the file as it left it.
#[derive(Debug)]
pub struct Dumped {
    /// What is in the file.
    pub file: CaptureFile,
    /// Its three numbers.
    pub counts: Counts,
    folder: Scratch,
}

/// Enough for any frame but those that stand for many.
const SNAP_LEN: &str = "16384";

const FILE: &str = "tcpdump.pcap";

impl Tcpdump {
    /// Starts it on an interface, with more arguments, and waits until it is listening.
    ///
    /// # Panics
    ///
    /// When it ends before that.
    #[must_use]
    #[track_caller]
    pub fn start(namespace: &Namespace, interface: &str, arguments: &[&str]) -> Self {
        let folder = Scratch::new();
        let mut command = namespace.command("tcpdump");
        // It hands over each packet at once and writes it at once, stays the user that it is, and
        // keeps the kernel's nanoseconds. There is room for 64 MiB of packets between two looks,
        // each of which takes as much of it as the longest would: hence a shorter snapshot length
        // than tcpdump's own, unless the arguments bring another.
        command.args(["-i", interface, "--immediate-mode", "-U", "-Z", "root"]);
        command
            .args(["-B", "65536", "--time-stamp-precision=nano", "-s", SNAP_LEN])
            .args(arguments);
        command.arg("-w").arg(folder.path(FILE));
        let process = Process::start(&mut command, Stdout::Collected);
        process.wait_for_stderr("`listening on`", |text| {
            text.contains("listening on").then_some(())
        });
        Self { process, folder }
    }

    /// Waits until it has written [`end_marker`](crate::frames::end_marker), and so everything
    /// that came in before.
    ///
    /// # Panics
    ///
    /// When that doesn't come.
    #[track_caller]
    pub fn wait_for_end_marker(&self) {
        let path = self.folder.path(FILE);
        wait_until("the end marker in tcpdump's file", || {
            tail(&path).is_ok_and(|bytes| {
                bytes
                    .windows(END_MARKER.len())
                    .any(|window| window == END_MARKER)
            })
        });
    }

    /// Waits for the end marker, ends it and reads its file.
    ///
    /// # Panics
    ///
    /// When it doesn't end well, or says that it lost packets: then it is no measure of anything.
    #[must_use]
    #[track_caller]
    pub fn finish(self) -> Dumped {
        self.wait_for_end_marker();
        self.process.signal(Signal::SIGINT);
        let finished = self.process.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        let counts = finished.counts();
        assert_eq!(
            counts.dropped, 0,
            "tcpdump lost packets:\n{}",
            finished.stderr
        );
        let file = CaptureFile::read(&self.folder.path(FILE));
        Dumped {
            file,
            counts,
            folder: self.folder,
        }
    }
}

impl Dumped {
    /// What of it matches a pcap-filter(7) expression, by tcpdump's own reading.
    ///
    /// # Panics
    ///
    /// When tcpdump refuses the expression.
    #[must_use]
    #[track_caller]
    pub fn matching(&self, expression: &str) -> CaptureFile {
        let chosen = self.folder.path("chosen.pcap");
        let mut command = std::process::Command::new(crate::tool::path("tcpdump"));
        command.args(["-Z", "root", "--time-stamp-precision=nano", "-r"]);
        command
            .arg(self.folder.path(FILE))
            .arg("-w")
            .arg(&chosen)
            .arg(expression);
        crate::tool::run(&mut command);
        CaptureFile::read(&chosen)
    }
}

/// The last quarter of a mebibyte of a file, or all of it.
fn tail(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    const TAIL: u64 = 256 << 10;
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}
