//! All processes at once.

use std::fs;

use super::Process;
use super::cgroup::{self, Owner};

/// A process and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The process.
    pub process: Process,
    /// What its control groups tell.
    pub owner: Owner,
}

/// Every process that can be seen from here, by id: those of the process namespace that `/proc`
/// shows, as far as it isn't mounted with `hidepid`. One that ends meanwhile is left out.
#[must_use]
pub fn scan() -> Vec<Seen> {
    let mut seen: Vec<_> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(look)
        .collect();
    seen.sort_by_key(|seen| seen.process.pid);
    seen
}

fn look(pid: u32) -> Option<Seen> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    Some(Seen {
        process: Process::find(pid)?,
        owner: cgroup::owner(&groups),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_is_among_them() {
        let own = Process::find(std::process::id()).expect("it runs");
        assert!(scan().iter().any(|seen| seen.process == own));
    }
}
