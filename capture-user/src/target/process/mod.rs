//! Processes, as far as they tell whose a network namespace is.
//!
//! - [`Process`]: one, told apart from a later one with its id; [`scan`]: all of them
//! - [`cgroup`]: the container that a process is in

use std::fs;

use super::name;

pub mod cgroup;
mod scan;

pub use self::scan::{Seen, scan};

/// A process, told apart from a later one that gets its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it was started, in clock ticks since the boot (field 22 of proc_pid_stat(5)).
    started: u64,
}

impl Process {
    /// The process with this id; none where there is none, or none that can be seen.
    #[must_use]
    pub fn find(pid: u32) -> Option<Self> {
        // The second field, the name, may hold anything; the others don't hold a parenthesis.
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some(Self {
            pid,
            started: start_time(&stat)?,
        })
    }

    /// When it was started: the smaller, the earlier.
    pub(super) fn started(self) -> u64 {
        self.started
    }

    /// A process that needn't exist, started in the order of the ids.
    #[cfg(test)]
    pub(crate) fn example(pid: u32) -> Self {
        Self {
            pid,
            started: u64::from(pid),
        }
    }

    /// Whether it is still there.
    #[must_use]
    pub fn lives(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// What it is called (its `comm`: at most 15 bytes, which it chose itself). Print it through
    /// [`crate::target::name::printable`].
    #[must_use]
    pub fn name(self) -> String {
        let comm = fs::read(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        name::from_kernel(comm.strip_suffix(b"\n").unwrap_or(&comm))
    }
}

/// The 22nd field of proc_pid_stat(5): the 20th after the name, which ends with the last `)`.
fn start_time(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_start_time() {
        let fields = (3..=30).map(|field| field.to_string());
        let stat = format!("17 (a) (b 1 2) {}", fields.collect::<Vec<_>>().join(" "));
        assert_eq!(start_time(stat.as_bytes()), Some(22));
        assert_eq!(start_time(b"17 (cut) S 1 2"), None);
        assert_eq!(start_time(b""), None);
    }

    #[test]
    fn this_very_process_lives_and_has_a_name() {
        let process = Process::find(std::process::id()).expect("it runs");
        assert!(process.lives());
        assert!(!process.name().is_empty());
        let another = Process {
            started: process.started + 1,
            ..process
        };
        assert!(!another.lives(), "its number was given to a later one");
    }
}
