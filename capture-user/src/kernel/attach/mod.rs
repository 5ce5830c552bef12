//! Attaching the programs to interfaces, and detaching them.
//!
//! - [`tcx`]: by a link that dies with the process

mod tcx;

use std::collections::HashMap;

use self::tcx::TcxLink;
use super::error::KernelError;
use super::program::Kernel;
use crate::packet::Direction;
use crate::target::links::Framing;

/// What holds the programs where they are attached. Dropping it detaches them.
#[derive(Default)]
pub(super) struct Links {
    held: HashMap<(u32, Direction), TcxLink>,
}

impl Links {
    fn is_on(&self, index: u32) -> bool {
        [Direction::In, Direction::Out]
            .iter()
            .any(|direction| self.held.contains_key(&(index, *direction)))
    }
}

impl Kernel {
    /// Attaches to an interface of this network namespace, one way, ahead of all others there:
    /// a program before ours that ends the chain would hide packets from it.
    ///
    /// # Errors
    ///
    /// [`KernelError::Attach`]; [`KernelError::is_gone`] tells whether the interface has vanished.
    pub fn attach(
        &mut self,
        index: u32,
        name: &str,
        framing: Framing,
        direction: Direction,
    ) -> Result<(), KernelError> {
        if !self.is_attached(index) {
            self.count_from_zero(index)?;
        }
        let program = self.program(direction, framing)?;
        let link = tcx::attach(program, name, direction)?;
        self.links.held.insert((index, direction), link);
        Ok(())
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
    /// more: the kernel waits for a grace period for each (`tcx_entry_sync`).
    pub fn detach_all(&mut self) {
        self.links.held.clear();
        self.tracepoints.clear();
    }
}
