//! The state of the network stack before and after a capture, and what became of it.
//!
//! - here: what a snapshot holds, and taking one
//! - `section`: each part of it, read through [`crate::node`]
//! - [`difference`]: what has changed from one to the other
//! - [`file`](mod@file): how both come into one file
//!
//! docs/snapshot.md has the form of the file, for those who read it.

pub mod difference;
pub mod file;
mod section;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::node;

/// The version of the file's form.
pub const SCHEMA: u32 = 1;
/// What the network namespace is called that the capture is in.
pub const NODE: &str = "node";
/// The most entries of a section that are told. A table of the whole Internet's routes has more.
pub const ENTRIES_MAX: usize = 50_000;

/// A network namespace that a snapshot is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What it is called in the file.
    pub name: String,
    /// A file that stands for it.
    pub file: PathBuf,
}

/// The state of some namespaces at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// When it was taken.
    pub time: String,
    /// Each namespace; the one that the capture is in comes first.
    pub namespaces: Vec<Namespace>,
}

/// The state of one namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Namespace {
    /// What it is called.
    pub name: String,
    /// What tells it apart from another one of the name: the inode of the file that stands for it.
    pub netns: Option<u64>,
    /// Why nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_available: Option<String>,
    /// Its parts.
    pub sections: BTreeMap<&'static str, Section>,
}

/// One part of the state.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Section {
    /// What there is, by what tells it apart.
    pub entries: BTreeMap<String, Value>,
    /// Why that isn't known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_available: Option<String>,
    /// How many entries there were no room for.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Section {
    /// Adds an entry. One that can't be told apart from another gets a number.
    fn add(&mut self, key: String, value: impl Serialize) {
        if self.entries.len() >= ENTRIES_MAX {
            self.left_out += 1;
            return;
        }
        // Nothing that is read here can't be JSON.
        let value = serde_json::to_value(value).unwrap_or_default();
        let mut numbered = key.clone();
        let mut number = 2;
        while self.entries.contains_key(&numbered) {
            numbered = format!("{key} #{number}");
            number += 1;
        }
        self.entries.insert(numbered, value);
    }

    fn missing(why: impl ToString) -> Self {
        Self {
            not_available: Some(why.to_string()),
            ..Self::default()
        }
    }
}

impl Snapshot {
    /// Reads the namespace that the thread is in, and those of the targets.
    #[must_use]
    pub fn take(targets: &[Target]) -> Self {
        let time = Timestamp::now().to_string();
        let own = Path::new("/proc/thread-self/ns/net");
        let mut namespaces = vec![Namespace {
            name: NODE.to_owned(),
            netns: inode(own).ok(),
            not_available: None,
            sections: section::all(),
        }];
        for target in targets {
            let read = inode(&target.file)
                .and_then(|inode| Ok((inode, node::inside(&target.file, section::all)?)));
            namespaces.push(match read {
                Ok((inode, sections)) => Namespace {
                    name: target.name.clone(),
                    netns: Some(inode),
                    not_available: None,
                    sections,
                },
                Err(error) => Namespace {
                    name: target.name.clone(),
                    netns: None,
                    not_available: Some(not_entered(&error)),
                    sections: BTreeMap::new(),
                },
            });
        }
        Self { time, namespaces }
    }

    /// Whether a target is still the namespace that it was.
    #[must_use]
    pub fn is_of(&self, target: &Target) -> bool {
        let mut known = self.namespaces.iter();
        let known = known.find(|known| known.name == target.name);
        known.is_some_and(|known| known.netns.is_some() && known.netns == inode(&target.file).ok())
    }
}

fn not_entered(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("its namespace can't be entered: {error}: it takes CAP_SYS_ADMIN")
        }
        io::ErrorKind::NotFound => "it is gone".to_owned(),
        _ => format!("its namespace can't be entered: {error}"),
    }
}

fn inode(file: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(file)?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_look_alike_are_numbered_and_too_many_are_counted() {
        let mut section = Section::default();
        for _ in 0..3 {
            section.add("inet6 local ff00::/8".to_owned(), 1);
        }
        let keys: Vec<_> = section.entries.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "inet6 local ff00::/8",
                "inet6 local ff00::/8 #2",
                "inet6 local ff00::/8 #3"
            ]
        );
        for number in 0..ENTRIES_MAX {
            section.add(number.to_string(), 1);
        }
        assert_eq!((section.entries.len(), section.left_out), (ENTRIES_MAX, 3));
    }

    #[test]
    fn a_target_that_is_gone_is_said_to_be() {
        let gone = Target {
            name: "container web".to_owned(),
            file: "/proc/4194305/ns/net".into(),
        };
        let taken = Snapshot::take(std::slice::from_ref(&gone));
        let said = taken.namespaces[1].not_available.as_deref();
        assert_eq!(said, Some("it is gone"));
        assert!(!taken.is_of(&gone));
    }
}
