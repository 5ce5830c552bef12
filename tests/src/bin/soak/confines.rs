//! A control group in which memory is short: the capture may have there what it said that it takes at the
//! most, and a neighbour in the group reads files all the time, more than there is room for. So the kernel
//! takes pages back without end, and ends the capture should it ask for more than it said.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::scratch::Scratch;
use lab::tool;

/// What the neighbour reads, in bytes: several times as much as there is.
const READ: u64 = 256 << 20;
/// The neighbour. It joins the group by itself, first of all: what is read before belongs to others, and
/// then nothing has to be read again.
const JOIN_AND_READ: &str = "echo $$ > \"$1\" && while cat \"$2\"; do sleep 1; done";
/// How long an emptied group may take to be let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where control groups are, and what their files are called.
struct Kind {
    root: &'static str,
    limit: &'static str,
    /// How often the limit was met.
    hits: &'static str,
}

/// Control groups of the first version, alone or beside the second; then the second.
const KINDS: [Kind; 2] = [
    Kind {
        root: "/sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        hits: "memory.failcnt",
    },
    Kind {
        root: "/sys/fs/cgroup",
        limit: "memory.max",
        hits: "memory.events",
    },
];

/// The group. It is removed with the value, which must outlive the capture.
pub(crate) struct Confines {
    folder: PathBuf,
    kind: &'static Kind,
    neighbour: Option<Child>,
}

impl Confines {
    /// Puts a process into a group of its own; says so if there are none here. The pages that it has by
    /// then stay charged elsewhere.
    pub(crate) fn around(pid: u32) -> Option<Self> {
        for (kind, folder) in KINDS.iter().zip(Self::folders()) {
            let there = Path::new(kind.root).join("cgroup.procs").exists();
            if !there || fs::create_dir(&folder).is_err() {
                continue;
            }
            let confines = Self {
                folder,
                kind,
                neighbour: None,
            };
            if confines.file(kind.limit).exists() && confines.take(pid) {
                return Some(confines);
            }
        }
        eprintln!("soak: no control group with a memory limit here: memory isn't short");
        None
    }

    /// Where the group may be.
    pub(crate) fn folders() -> [PathBuf; KINDS.len()] {
        let name = format!("nodecap-soak-{}", std::process::id());
        KINDS
            .each_ref()
            .map(|kind| Path::new(kind.root).join(&name))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn take(&self, pid: u32) -> bool {
        fs::write(self.file("cgroup.procs"), pid.to_string()).is_ok()
    }

    /// From now on there are so many bytes for all in the group. Whether the kernel agreed.
    pub(crate) fn tighten(&mut self, limit: u64, scratch: &Scratch) -> bool {
        self.start_neighbour(scratch);
        fs::write(self.file(self.kind.limit), limit.to_string()).is_ok()
    }

    /// It ends with this process, however that ends.
    fn start_neighbour(&mut self, scratch: &Scratch) {
        let path = scratch.path("neighbour");
        // Pages of nothing are read as well as others.
        let made = File::create(&path).and_then(|file| file.set_len(READ));
        let neighbour = made.and_then(|()| {
            Command::new(tool::path("setpriv"))
                .args(["--pdeathsig", "KILL", "sh", "-c"])
                .args([JOIN_AND_READ, "sh"])
                .args([&self.file("cgroup.procs"), &path])
                .stdout(Stdio::null())
                .spawn()
        });
        match neighbour {
            Ok(neighbour) => self.neighbour = Some(neighbour),
            Err(error) => eprintln!("soak: no neighbour: {error}"),
        }
    }

    /// How often memory was short, and of how much.
    pub(crate) fn hits(&self) -> (u64, u64) {
        let number = |name: &str, start: &str| {
            let text = fs::read_to_string(self.file(name)).unwrap_or_default();
            // A number of its own, or one of several with a name each.
            let mut lines = text
                .lines()
                .map(|line| line.strip_prefix(start).unwrap_or(line));
            lines.find_map(|line| line.trim().parse().ok()).unwrap_or(0)
        };
        (number(self.kind.hits, "max "), number(self.kind.limit, ""))
    }
}

impl Drop for Confines {
    fn drop(&mut self) {
        if let Some(neighbour) = &mut self.neighbour {
            // One that has ended is nothing to end.
            let _ = neighbour.kill().and_then(|()| neighbour.wait());
        }
        // What the neighbour had begun to read ends by itself.
        let begun = Instant::now();
        while fs::remove_dir(&self.folder).is_err() && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(20));
        }
    }
}
