//! What a process has and holds.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;

/// At one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    descriptors: usize,
    maps: usize,
    programs: usize,
    threads: usize,
}

impl Vitals {
    /// Those of a process; nothing of one that has ended.
    pub(crate) fn of(pid: u32) -> Self {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        let pages: u64 = statm
            .split(' ')
            .nth(1)
            .and_then(|it| it.parse().ok())
            .unwrap_or(0);
        let mut vitals = Self {
            resident: pages * 4_096,
            threads: entries(&format!("/proc/{pid}/task")).count(),
            ..Self::default()
        };
        let (mut maps, mut programs) = (BTreeSet::new(), BTreeSet::new());
        for info in entries(&format!("/proc/{pid}/fdinfo")) {
            vitals.descriptors += 1;
            // What bpf(2) says of them there; a link names its program too.
            let text = fs::read_to_string(info).unwrap_or_default();
            for line in text.lines() {
                if let Some(id) = line.strip_prefix("map_id:") {
                    maps.insert(id.trim().to_owned());
                } else if let Some(id) = line.strip_prefix("prog_id:") {
                    programs.insert(id.trim().to_owned());
                }
            }
        }
        vitals.maps = maps.len();
        vitals.programs = programs.len();
        vitals
    }

    /// Whether nothing was added to what it held then.
    pub(crate) fn holds_no_more_than(&self, earlier: &Self) -> bool {
        self.descriptors <= earlier.descriptors
            && self.maps <= earlier.maps
            && self.programs <= earlier.programs
            && self.threads <= earlier.threads
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            descriptors,
            maps,
            programs,
            threads,
            ..
        } = self;
        write!(
            f,
            "{descriptors} descriptors, {maps} maps, {programs} programs, {threads} threads"
        )
    }
}

fn entries(folder: &str) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}
