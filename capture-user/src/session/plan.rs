//! What a capture will do: resolved from what was typed, complete and consistent.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::limits::Limits;
use crate::filter::Filter;
use crate::filter::lists::Lists;
use crate::flow::happening::Kinds;
use crate::kernel::attach::Hook;
use crate::kernel::relinquish::Identity;
use crate::packet::Direction;
use crate::recorder::{Order, Reach};
use crate::sink::files::exec::Exec;
use crate::sink::files::retention::{Bounds, Total};
use crate::target::entering::Entered;
use crate::target::inhabitants::Here;
use crate::target::select::Pattern;
use crate::target::workload::Workload;

/// One capture, before it starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which interfaces; none is the usual one, unless workloads are named.
    pub interfaces: Vec<Pattern>,
    /// Where to attach.
    pub hook: Hook,
    /// What is captured by the interfaces that lead to it.
    pub workloads: Vec<Workload>,
    /// What the namespace that the capture is in was entered for, if it was.
    pub entered: Option<Entered>,
    /// What the user should know of how the interfaces were found, one line each.
    pub notes: Vec<String>,
    /// Which ways.
    pub directions: Vec<Direction>,
    /// What to match.
    pub filter: Filter,
    /// The address lists, if there are files of them that can be read again.
    pub lists: Option<Lists>,
    /// Bytes of each packet to keep.
    pub snaplen: u32,
    /// When to stop.
    pub limits: Limits,
    /// The capture file; `-` is standard output.
    pub write: Option<PathBuf>,
    /// When another capture file begins; `None`: there is one only.
    pub rotate: Option<Rotate>,
    /// How much the file system must still have, in bytes.
    pub min_free: Option<u64>,
    /// When what was captured goes from our buffers to the file.
    pub flush: Flush,
    /// What is run on each finished file.
    pub exec: Option<Exec>,
    /// The flows file; `-` is standard output.
    pub flows: Option<PathBuf>,
    /// The file for the state of the network stack before and after.
    pub snapshot: Option<PathBuf>,
    /// Whether flows, translations and resets are told.
    pub track: bool,
    /// Whether a matched packet is captured beyond a translation too, and its replies.
    pub follow: bool,
    /// Flows remembered at a time.
    pub max_flows: usize,
    /// The flight recorder: packets wait in memory, and only those around an event are written.
    /// Needs `track`.
    pub record: Option<Record>,
    /// Whether packets are printed.
    pub print: bool,
    /// Addresses and ports by name.
    pub names: bool,
    /// How often `-v` was given.
    pub verbosity: u8,
    /// The ring's size in bytes: a power of two.
    pub ring_bytes: u32,
    /// Whether a lost packet is a failure.
    pub fail_on_loss: bool,
    /// Where figures are served.
    pub metrics: Option<SocketAddr>,
    /// Whom the process becomes once everything is attached and open.
    pub relinquish: Option<Identity>,
}

/// When what was captured goes from our buffers to the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flush {
    /// At once, as far as the file keeps up (`-U`).
    pub at_once: bool,
    /// At the latest after so long, and then on to the disk. `None`: before it is noticed, and
    /// when the system thinks fit.
    pub interval: Option<Duration>,
}

/// What the flight recorder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Around what.
    pub on: Kinds,
    /// How far before it.
    pub before: Reach,
    /// How far after it.
    pub after: Reach,
    /// When: by time only if `before` is a time.
    pub order: Order,
    /// Memory for it, in bytes.
    pub bytes: usize,
}

/// When another file begins, and what becomes of the old ones. A hang-up begins one too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotate {
    /// Before a file exceeds so many bytes.
    pub size: Option<u64>,
    /// After so long.
    pub interval: Option<Duration>,
    /// How many files there are at the most; the oldest go.
    pub files: Option<usize>,
    /// How many bytes all files together have at the most; the oldest go. Only with `size`.
    pub total: Option<u64>,
}

impl Rotate {
    /// What of the files is kept.
    #[must_use]
    pub fn keeps(&self) -> Bounds {
        Bounds {
            files: self.files,
            bytes: self
                .total
                .zip(self.size)
                .map(|(all, each)| Total { all, each }),
        }
    }
}

impl Plan {
    /// Whether containers and pods are called by their names.
    #[must_use]
    pub fn wants_names(&self) -> bool {
        self.names && (self.print || self.write.is_some() || self.flows.is_some())
    }

    /// Whose the namespace is that the capture is in, if it was entered for that.
    #[must_use]
    pub fn here(&self) -> Option<&Here> {
        self.entered.as_ref().map(|entered| &entered.here)
    }

    /// Whether it matters who is behind an interface: the file says so also where addresses are
    /// told as numbers.
    #[must_use]
    pub fn wants_inhabitants(&self) -> bool {
        self.wants_names() || self.write.is_some()
    }
}

#[cfg(test)]
impl Plan {
    /// A capture of everything, without limits, to a file.
    pub(crate) fn example() -> Self {
        Self {
            interfaces: Vec::new(),
            hook: Hook::Tc,
            workloads: Vec::new(),
            entered: None,
            notes: Vec::new(),
            directions: vec![Direction::In, Direction::Out],
            filter: Filter::default(),
            lists: None,
            snaplen: capture_common::record::MAX_SNAPLEN,
            limits: Limits::default(),
            write: Some(PathBuf::from("example.pcapng")),
            rotate: None,
            min_free: None,
            flush: Flush::default(),
            exec: None,
            flows: None,
            snapshot: None,
            track: true,
            follow: true,
            max_flows: 1_000_000,
            record: None,
            print: false,
            names: true,
            verbosity: 0,
            ring_bytes: 1 << 24,
            fail_on_loss: false,
            metrics: None,
            relinquish: None,
        }
    }
}
