//! Control groups as container engines make them, for processes that no engine has started.
//!
//! The unified hierarchy (cgroups v2) is mounted in a lab's namespace, where nobody else sees it;
//! what is made in there is the whole machine's, so it lies below one group with a name of its own
//! and goes with the value.

use std::fs;
use std::path::{Path, PathBuf};

use crate::namespace::Namespace;
use crate::tool;

/// Where it is mounted in the namespace.
const MOUNT: &str = "/sys/fs/cgroup";

/// Groups below one of their own.
#[derive(Debug)]
pub struct Groups {
    /// The hierarchy, as it can be reached from outside of the namespace.
    mount: PathBuf,
    top: String,
}

impl Groups {
    /// With a topmost group of this name, made one's own by the process's id. `namespace` has to
    /// outlast it.
    ///
    /// # Panics
    ///
    /// When the kernel has no cgroups v2.
    #[must_use]
    #[track_caller]
    pub fn new(namespace: &Namespace, name: &str) -> Self {
        tool::run(
            namespace
                .command("mount")
                .args(["-t", "cgroup2", "cgroup2", MOUNT]),
        );
        Self {
            mount: namespace.outside(Path::new(MOUNT)),
            top: format!("{name}-{}", std::process::id()),
        }
    }

    /// Puts a process into the group with this path, and makes that if need be.
    ///
    /// # Panics
    ///
    /// When the kernel refuses it.
    #[track_caller]
    pub fn put(&self, pid: u32, path: &str) {
        let group = self.mount.join(&self.top).join(path);
        let put = fs::create_dir_all(&group)
            .and_then(|()| fs::write(group.join("cgroup.procs"), pid.to_string()));
        if let Err(error) = put {
            panic!(
                "process {pid} can't be put into {}: {error}",
                group.display()
            );
        }
    }

    /// Removes a group and all below it; who is still in it goes to the root.
    fn remove(&self, group: &Path) {
        for below in fs::read_dir(group).into_iter().flatten().flatten() {
            if below.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.remove(&below.path());
            }
        }
        let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for pid in processes.lines() {
            // It may have ended.
            drop(fs::write(self.mount.join("cgroup.procs"), pid));
        }
        drop(fs::remove_dir(group));
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.remove(&self.mount.join(&self.top));
    }
}
