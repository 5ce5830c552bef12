//! Attaching the programs to interfaces, and detaching them.
//!
//! - `tcx`: by a link that dies with the process
//! - `clsact`: by a filter, where there is no TCX; `owner` knows whose a filter is, and
//!   [`mod@sweep`] takes away what a killed process left; `rtnetlink` speaks with the kernel,
//!   `refused` is its refusal
//! - [`xdp`]: before the stack, for what comes in

mod clsact;
mod owner;
mod refused;
mod rtnetlink;
pub mod sweep;
mod tcx;
pub mod xdp;

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use self::clsact::{Clsact, ClsactLink};
pub(super) use self::refused::Refused;
use self::tcx::TcxLink;
use self::xdp::{XdpLink, XdpMode};
use super::error::KernelError;
use super::probe;
use super::program::Kernel;
use crate::packet::Direction;
use crate::target::links::Framing;

/// Where a capture was told to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    /// TC: by TCX where the kernel has it, else by clsact.
    #[default]
    Tc,
    /// TC by clsact, also where the kernel has TCX.
    Clsact,
    /// XDP: only what comes in.
    Xdp,
}

/// How a program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// By a TCX link, first in the interface's chain.
    Tcx,
    /// By a filter on the interface's clsact qdisc.
    Clsact {
        /// 1, unless another kind of filter has that: those before it run first, and what they
        /// end isn't seen.
        priority: u16,
        /// The interface has TCX programs, which run before all filters; what they end isn't seen.
        behind_tcx: bool,
    },
    /// By an XDP link.
    Xdp(XdpMode),
}

/// What holds the programs where they are attached. Dropping it detaches them.
#[derive(Default)]
pub(super) struct Links {
    held: HashMap<(u32, Direction), Link>,
    hook: Hook,
    /// Known from the first attachment on.
    tc: Option<Tc>,
}

/// Detaches when it is dropped.
#[expect(dead_code, reason = "links are there to be dropped")]
enum Link {
    Tcx(TcxLink),
    Clsact(ClsactLink),
    Xdp(XdpLink),
}

/// How programs are attached to TC here.
#[derive(Clone)]
enum Tc {
    Tcx,
    Clsact(Arc<Clsact>),
}

impl Links {
    pub(super) fn hook(&self) -> Hook {
        self.hook
    }

    /// How to attach to TC. Tried out with a program that is attached nowhere.
    fn tc(&mut self, interface: &str) -> Result<Tc, KernelError> {
        if let Some(tc) = &self.tc {
            return Ok(tc.clone());
        }
        let tc = if self.hook == Hook::Tc && has_tcx() {
            Tc::Tcx
        } else {
            Tc::Clsact(Clsact::new().map_err(|source| KernelError::Attach {
                interface: interface.to_owned(),
                source: Box::new(source),
            })?)
        };
        self.tc = Some(tc.clone());
        Ok(tc)
    }

    fn is_on(&self, index: u32) -> bool {
        [Direction::In, Direction::Out]
            .iter()
            .any(|direction| self.held.contains_key(&(index, *direction)))
    }
}

/// Whether this kernel attaches programs by TCX. If that can't be told it is taken to: then
/// attaching says why it can't.
fn has_tcx() -> bool {
    let attempt = probe::Classifier::load().and_then(|program| program.attach_nowhere());
    !matches!(attempt, Err(error) if error.raw_os_error() == Some(libc::EINVAL))
}

impl Kernel {
    /// Where [`Kernel::attach`] attaches from now on: [`Hook::Tc`] unless told otherwise.
    ///
    /// [`Kernel::test_run`] runs the program for that hook.
    pub fn set_hook(&mut self, hook: Hook) {
        self.links.hook = hook;
        self.links.tc = None;
    }

    /// Attaches to an interface of this network namespace, one way, ahead of all others there:
    /// a program before ours that ends the chain would hide packets from it.
    ///
    /// # Errors
    ///
    /// [`KernelError::Attach`]; [`KernelError::is_gone`] tells whether the interface has vanished.
    /// [`KernelError::NoEgress`], and with [`Hook::Xdp`] those of XDP.
    pub fn attach(
        &mut self,
        index: u32,
        name: &str,
        framing: Framing,
        direction: Direction,
    ) -> Result<Attachment, KernelError> {
        if !self.is_attached(index) {
            self.count_from_zero(index)?;
        }
        if self.links.hook == Hook::Xdp {
            return self.attach_xdp(index, name, framing, direction);
        }
        let tc = self.links.tc(name)?;
        let program = self.program(direction, framing)?;
        let program = program.fd().map_err(|source| KernelError::Attach {
            interface: name.to_owned(),
            source: Box::new(source),
        })?;
        let (link, attachment) = match tc {
            Tc::Tcx => {
                let link = tcx::attach(program.as_fd(), index, name, direction)?;
                (Link::Tcx(link), Attachment::Tcx)
            }
            Tc::Clsact(clsact) => {
                let link = clsact.attach(program.as_fd(), index, name, direction)?;
                let priority = link.priority();
                let behind_tcx = tcx::is_used(index, direction);
                let how = Attachment::Clsact {
                    priority,
                    behind_tcx,
                };
                (Link::Clsact(link), how)
            }
        };
        self.links.held.insert((index, direction), link);
        Ok(attachment)
    }

    fn attach_xdp(
        &mut self,
        index: u32,
        name: &str,
        framing: Framing,
        direction: Direction,
    ) -> Result<Attachment, KernelError> {
        let interface = name.to_owned();
        if direction == Direction::Out {
            return Err(KernelError::XdpEgress { interface });
        }
        if framing == Framing::Bare {
            return Err(KernelError::XdpFraming { interface });
        }
        let program = self.xdp_program()?;
        let program = program.fd().map_err(|source| KernelError::Attach {
            interface,
            source: Box::new(source),
        })?;
        let (link, mode) = xdp::attach(program.as_fd(), index, name)?;
        self.links.held.insert((index, direction), Link::Xdp(link));
        Ok(Attachment::Xdp(mode))
    }

    /// Whether anything is attached to the interface.
    #[must_use]
    pub fn is_attached(&self, index: u32) -> bool {
        self.links.is_on(index)
    }

    /// Detaches from an interface, if attached. Its counters stay.
    pub fn detach(&mut self, index: u32) {
        for direction in [Direction::In, Direction::Out] {
            self.links.held.remove(&(index, direction));
        }
    }

    /// Detaches from everywhere, the tracepoints included. When it returns no program runs any
    /// more, but for one on a clsact filter that had begun: with TCX the kernel waits for a grace
    /// period for each (`tcx_entry_sync`).
    pub fn detach_all(&mut self) {
        self.links.held.clear();
        self.tracepoints.clear();
    }
}
