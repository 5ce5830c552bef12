//! A control group in which memory is short: what the capture reads and writes is charged to it, so
//! the kernel takes pages back all the time, and ends the capture should it ask for more than it may.

use std::fs;
use std::path::{Path, PathBuf};

/// What it may have: flow table, queues and the rest, at the sizes that are chosen here, and little
/// for the file cache. The maps are its own from before, and charged elsewhere.
const LIMIT: u64 = 64 << 20;

/// The group. It is removed with the value, which must outlive the process.
pub(crate) struct Confines {
    folder: PathBuf,
    events: &'static str,
}

impl Confines {
    /// Puts a process into a group of its own; says so if there are none here.
    pub(crate) fn around(pid: u32) -> Option<Self> {
        // Control groups of the first version, alone or beside the second; then the second.
        let name = format!("nodecap-soak-{}", std::process::id());
        let kinds = [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.failcnt",
            ),
            ("/sys/fs/cgroup", "memory.max", "memory.events"),
        ];
        for (root, limit, events) in kinds {
            let folder = Path::new(root).join(&name);
            if !Path::new(root).join("cgroup.procs").exists() || fs::create_dir(&folder).is_err() {
                continue;
            }
            let confines = Self { folder, events };
            let confined = fs::write(confines.folder.join(limit), LIMIT.to_string())
                .and_then(|()| fs::write(confines.folder.join("cgroup.procs"), pid.to_string()));
            if confined.is_ok() {
                return Some(confines);
            }
        }
        eprintln!("soak: no control group with a memory limit here: memory isn't short");
        None
    }

    /// How short it was.
    pub(crate) fn said(&self) -> String {
        let text = fs::read_to_string(self.folder.join(self.events)).unwrap_or_default();
        // A number of its own, or one of several with a name each.
        let hits = text
            .lines()
            .find_map(|line| {
                line.strip_prefix("max ")
                    .or_else(|| line.parse::<u64>().ok().map(|_| line))
            })
            .unwrap_or("?");
        format!("memory short {} times of {} MiB", hits.trim(), LIMIT >> 20)
    }
}

impl Drop for Confines {
    fn drop(&mut self) {
        // Its process has ended, or the group stays: empty, and named after us.
        let _ = fs::remove_dir(&self.folder);
    }
}
