//! Taking away what killed captures left behind: clsact filters of ours whose process is gone,
//! and the qdiscs that came with them. Nothing else is touched.

use std::collections::HashMap;
use std::fmt;

use super::super::error::KernelError;
use super::clsact::{Removed, is_gone, ours, remove};
use super::owner::{self, Heir, Name};
use super::refused::Refused;
use super::rtnetlink::{At, Rtnetlink};
use crate::packet::Direction;

/// Something that a sweep found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A filter that runs a capture's program.
    Filter {
        /// The interface's name.
        interface: String,
        /// Which way.
        direction: Direction,
        /// Of the capture, as that knew itself (in its own pid namespace).
        process: u32,
    },
    /// A clsact qdisc that a capture had added.
    Qdisc {
        /// The interface's name.
        interface: String,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter {
                interface,
                direction,
                process,
            } => {
                let way = match direction {
                    Direction::In => "ingress",
                    Direction::Out => "egress",
                };
                write!(f, "{interface}: {way} filter of process {process}")
            }
            Self::Qdisc { interface } => write!(f, "{interface}: clsact qdisc"),
        }
    }
}

/// What became of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Left behind, and now gone.
    pub removed: Vec<Found>,
    /// Of captures that are still running.
    pub running: Vec<Found>,
}

/// Sweeps every interface of the network namespace that the thread is in.
///
/// # Errors
///
/// [`KernelError::Sweep`], when the kernel doesn't tell what there is, or something can't be
/// removed, for lack of privilege most likely.
pub fn sweep() -> Result<Swept, KernelError> {
    let failed = |error: std::io::Error| KernelError::Sweep {
        what: "the interfaces' filters".to_owned(),
        source: Box::new(Refused::from(error)),
    };
    let netlink = Rtnetlink::open().map_err(failed)?;
    let mut sweep = Sweep {
        netlink: &netlink,
        heirs: HashMap::new(),
        swept: Swept::default(),
    };
    let qdiscs = netlink
        .qdiscs()
        .map_err(|refused| cannot("the interfaces' qdiscs", refused))?;
    for qdisc in qdiscs.iter().filter(|qdisc| qdisc.takes_filters()) {
        // An ingress qdisc takes filters for egress, and runs them at ingress.
        let ways: &[Direction] = if qdisc.kind == b"clsact" {
            &[Direction::In, Direction::Out]
        } else {
            &[Direction::In]
        };
        sweep.interface(qdisc.index, ways)?;
    }
    Ok(sweep.swept)
}

struct Sweep<'a> {
    netlink: &'a Rtnetlink,
    /// For each token the right to its filters, if its process is gone.
    heirs: HashMap<u64, Option<Heir>>,
    swept: Swept,
}

impl Sweep<'_> {
    fn interface(&mut self, index: u32, ways: &[Direction]) -> Result<(), KernelError> {
        let mut left_behind = Vec::new();
        for direction in ways.iter().copied() {
            let filters = match self.netlink.filters(index, direction) {
                Ok(filters) => filters,
                Err(refused) if is_gone(&refused) => return Ok(()),
                Err(refused) => return Err(cannot(&name_of(index), refused)),
            };
            for filter in filters {
                let Some(name) = ours(&filter) else {
                    continue;
                };
                let found = Found::Filter {
                    interface: name_of(index),
                    direction,
                    process: name.process,
                };
                let at = At {
                    index,
                    direction,
                    priority: filter.priority,
                    handle: filter.handle,
                };
                if self.is_left_behind(&name)? {
                    left_behind.push((at, name, found));
                } else {
                    self.swept.running.push(found);
                }
            }
        }
        if left_behind.is_empty() {
            return Ok(());
        }
        let turn = owner::turn();
        let with_qdisc = matches!(turn, Ok(Some(_)))
            && left_behind.iter().any(|(_, name, _)| name.brought_qdisc);
        for (at, name, found) in left_behind {
            let removed = remove(self.netlink, &at, &name, with_qdisc)
                .map_err(|refused| cannot(&found.to_string(), refused))?;
            if removed != Removed::Nothing {
                self.swept.removed.push(found);
            }
            if removed == Removed::FilterAndQdisc {
                self.swept.removed.push(Found::Qdisc {
                    interface: name_of(index),
                });
            }
        }
        Ok(())
    }

    fn is_left_behind(&mut self, name: &Name) -> Result<bool, KernelError> {
        if let Some(heir) = self.heirs.get(&name.token) {
            return Ok(heir.is_some());
        }
        let heir = owner::inherit(name.token).map_err(|error| cannot("a capture", error.into()))?;
        let left_behind = heir.is_some();
        self.heirs.insert(name.token, heir);
        Ok(left_behind)
    }
}

fn cannot(what: &str, refused: Refused) -> KernelError {
    KernelError::Sweep {
        what: what.to_owned(),
        source: Box::new(refused),
    }
}

/// An interface's name, or its number if it has gone meanwhile.
fn name_of(index: u32) -> String {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    socket(AddressFamily::INET, SocketType::DGRAM, None)
        .and_then(|socket| netdevice::index_to_name(socket, index))
        .unwrap_or_else(|_| format!("#{index}"))
}
