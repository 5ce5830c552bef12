//! clsact: a qdisc on which filters hang, one of them ours, for kernels without TCX.
//!
//! The filter runs the program and does what that returns: `TC_ACT_UNSPEC`, go on to the next one
//! (`cls_bpf_classify`, net/sched/cls_bpf.c). It stands beside others' filters at the first
//! priority, where the kernel runs the newest first, so that none before it ends the chain. It
//! outlives the process; `owner` tells whose it is, and `sweep` takes it away then.
//!
//! The qdisc is added where there is none, and taken away with the last filter if it was one of us
//! who added it and nobody else has hung anything on it. Which of us leaves last can't be known,
//! so each capture that finds a qdisc which another one brought takes that over in its own name.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::Arc;

use super::super::error::KernelError;
use super::owner::{self, Name, Owner};
use super::refused::Refused;
use super::rtnetlink::{At, Filter, Rtnetlink};
use crate::packet::Direction;

/// The first byte of our handles, an N: far from those that others choose or the kernel deals out
/// (from 1), since asking for one that is there with `NLM_F_REPLACE` would replace the filter.
const OURS: u32 = 0x4e;
/// How many handles are tried.
const HANDLES: u32 = 16;
/// The last priority that is tried. The first is another's if it isn't of kind `bpf` for every
/// protocol: filters of one priority are all of one kind.
const LAST_PRIORITY: u16 = 16;

/// What it takes to put filters up in one network namespace, that of the thread that made it.
pub(super) struct Clsact {
    netlink: Rtnetlink,
    owner: Owner,
}

impl Clsact {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            netlink: Rtnetlink::open()?,
            owner: Owner::new()?,
        }))
    }

    /// Puts up a filter that runs the program.
    pub(super) fn attach(
        self: &Arc<Self>,
        program: BorrowedFd<'_>,
        index: u32,
        interface: &str,
        direction: Direction,
    ) -> Result<ClsactLink, KernelError> {
        let failed = |source: Refused| KernelError::Attach {
            interface: interface.to_owned(),
            source: Box::new(source),
        };
        // Should the turn not come, something is holding it that isn't one of us.
        let _turn = owner::turn().map_err(|error| failed(error.into()))?;
        let link = |at, name| ClsactLink {
            interface: interface.to_owned(),
            at,
            name,
            clsact: Arc::clone(self),
        };
        let mut qdisc = self.netlink.clsact(index).map_err(failed)?;
        if qdisc.is_none() {
            let name = self.owner.name(true);
            match self.put_with_qdisc(program, &name, index, direction) {
                Ok(at) => return Ok(link(at, name)),
                // Somebody else has brought one in this moment.
                Err(refused) if refused.errno() == libc::EEXIST => {
                    qdisc = self.netlink.clsact(index).map_err(failed)?;
                }
                Err(refused) => return Err(failed(refused)),
            }
        }
        if direction == Direction::Out && qdisc.is_some_and(|it| it.kind == b"ingress") {
            return Err(KernelError::NoEgress {
                interface: interface.to_owned(),
            });
        }
        let brought_qdisc = is_brought(&self.netlink, index).map_err(failed)?;
        let name = self.owner.name(brought_qdisc);
        let at = self.put(program, &name, index, direction).map_err(failed)?;
        Ok(link(at, name))
    }

    /// Into a qdisc that comes with it.
    fn put_with_qdisc(
        &self,
        program: BorrowedFd<'_>,
        name: &Name,
        index: u32,
        direction: Direction,
    ) -> Result<At, Refused> {
        let at = At {
            index,
            direction,
            priority: 1,
            handle: handle(name, 0),
        };
        let (qdisc, filter) =
            self.netlink
                .add_clsact_with_bpf(&at, &name.to_string(), program.as_raw_fd())?;
        match (&qdisc, &filter) {
            (Ok(()), Ok(())) => return Ok(at),
            (Ok(()), Err(_)) => {
                remove_unused_qdisc(&self.netlink, index);
            }
            // It stands in another's qdisc now, under a name that says otherwise.
            (Err(_), Ok(())) => self.netlink.delete_bpf(&at)?,
            (Err(_), Err(_)) => {}
        }
        qdisc.and(filter).map(|()| at)
    }

    /// The first refusal counts, whatever the later ones say.
    fn put(
        &self,
        program: BorrowedFd<'_>,
        name: &Name,
        index: u32,
        direction: Direction,
    ) -> Result<At, Refused> {
        let mut first_refusal = None;
        'priority: for priority in 1..=LAST_PRIORITY {
            for attempt in 0..HANDLES {
                let at = At {
                    index,
                    direction,
                    priority,
                    handle: handle(name, attempt),
                };
                let added = self
                    .netlink
                    .add_bpf(&at, &name.to_string(), program.as_raw_fd());
                match added {
                    Ok(()) => return Ok(at),
                    Err(refused) => match refused.errno() {
                        libc::EEXIST => {
                            first_refusal.get_or_insert(refused);
                        }
                        // Another kind of filter has this priority.
                        libc::EINVAL => {
                            first_refusal.get_or_insert(refused);
                            continue 'priority;
                        }
                        _ => return Err(first_refusal.unwrap_or(refused)),
                    },
                }
            }
        }
        Err(first_refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::EEXIST).into()))
    }
}

/// The handle of a filter of this name, the n-th to be tried.
fn handle(name: &Name, attempt: u32) -> u32 {
    OURS << 24 | (name.token as u32).wrapping_add(attempt) & 0xff_ffff
}

/// A filter that we put up. Dropping it takes it away.
pub(super) struct ClsactLink {
    /// As it was called then.
    interface: String,
    at: At,
    name: Name,
    clsact: Arc<Clsact>,
}

impl ClsactLink {
    pub(super) fn priority(&self) -> u16 {
        self.at.priority
    }
}

impl Drop for ClsactLink {
    fn drop(&mut self) {
        let _turn = owner::turn();
        let netlink = &self.clsact.netlink;
        match remove(netlink, &self.at, &self.name, self.name.brought_qdisc) {
            // The interface is there, so it isn't gone with that.
            Ok(Removed::Nothing) if netlink.clsact(self.at.index).is_ok() => tracing::warn!(
                "{}: somebody took the {} filter of this capture away before its end: what passed \
                 after that was neither captured nor counted",
                self.interface,
                match self.at.direction {
                    Direction::In => "ingress",
                    Direction::Out => "egress",
                }
            ),
            Ok(_) => {}
            Err(refused) => tracing::warn!(
                "a filter stays on the interface with index {}: {refused}; `nodecap sweep` \
                 removes it",
                self.at.index
            ),
        }
    }
}

/// A filter's name, if it is one of ours.
pub(super) fn ours(filter: &Filter) -> Option<Name> {
    if filter.kind != b"bpf" || filter.handle >> 24 != OURS {
        return None;
    }
    Name::parse(filter.name.as_deref()?)
}

/// Whether one of us has added the qdisc.
pub(super) fn is_brought(netlink: &Rtnetlink, index: u32) -> Result<bool, Refused> {
    for direction in [Direction::In, Direction::Out] {
        let filters = netlink.filters(index, direction)?;
        if filters
            .iter()
            .filter_map(ours)
            .any(|name| name.brought_qdisc)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What was taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    Nothing,
    Filter,
    FilterAndQdisc,
}

/// Takes a filter away, unless it is gone, or another's by now; and `with_qdisc` the qdisc too, if
/// nothing else hangs on it. The kernel takes a qdisc's filters away with it.
pub(super) fn remove(
    netlink: &Rtnetlink,
    at: &At,
    name: &Name,
    with_qdisc: bool,
) -> Result<Removed, Refused> {
    let attempt = || {
        let filters = netlink.filters(at.index, at.direction)?;
        let is_it = |filter: &Filter| {
            (filter.handle, filter.priority) == (at.handle, at.priority)
                && ours(filter).as_ref() == Some(name)
        };
        // What the filters of our priority have in common is listed too.
        let goes_with_it = |filter: &Filter| {
            is_it(filter)
                || (filter.handle, filter.priority) == (0, at.priority) && filter.kind == b"bpf"
        };
        let other_way = match at.direction {
            Direction::In => Direction::Out,
            Direction::Out => Direction::In,
        };
        if !filters.iter().any(is_it) {
            return Ok(Removed::Nothing);
        }
        if with_qdisc
            && filters.iter().all(goes_with_it)
            && netlink.filters(at.index, other_way)?.is_empty()
        {
            netlink.delete_clsact(at.index)?;
            return Ok(Removed::FilterAndQdisc);
        }
        netlink.delete_bpf(at)?;
        Ok(Removed::Filter)
    };
    match attempt() {
        // The interface, the qdisc or the filter is gone.
        Err(refused) if is_gone(&refused) => Ok(Removed::Nothing),
        other => other,
    }
}

/// Takes the clsact qdisc away if nothing hangs on it.
fn remove_unused_qdisc(netlink: &Rtnetlink, index: u32) {
    let unused = [Direction::In, Direction::Out]
        .into_iter()
        .all(|direction| {
            netlink
                .filters(index, direction)
                .is_ok_and(|filters| filters.is_empty())
        });
    if unused && let Err(refused) = netlink.delete_clsact(index) {
        tracing::warn!(
            "an unused clsact qdisc stays on the interface with index {index}: {refused}"
        );
    }
}

pub(super) fn is_gone(refused: &Refused) -> bool {
    matches!(
        refused.errno(),
        libc::ENODEV | libc::ENOENT | libc::ENXIO | libc::EINVAL
    )
}
