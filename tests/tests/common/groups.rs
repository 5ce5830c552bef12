//! Control groups like kubelet's, for pods that no kubelet makes.

use std::fs;

/// A hierarchy of them. What is empty of it goes with the value.
pub(crate) struct Groups {
    top: String,
}

impl Groups {
    /// With a topmost group of this name, made one's own by the process's id.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            top: format!("{name}-{}", std::process::id()),
        }
    }

    /// The group of a pod with this uid, as a container engine takes it.
    pub(crate) fn of_pod(&self, uid: &str) -> String {
        format!("/{}/burstable/pod{uid}", self.top)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
        let hierarchies = hierarchies.flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain(["/sys/fs/cgroup".into()]) {
            let top = hierarchy.join(&self.top);
            let class = top.join("burstable");
            let pods = fs::read_dir(&class).into_iter().flatten().flatten();
            let pods: Vec<_> = pods.map(|entry| entry.path()).collect();
            for folder in pods.iter().chain([&class, &top]) {
                // The kernel's own files in it go with it.
                drop(fs::remove_dir(folder));
            }
        }
    }
}
