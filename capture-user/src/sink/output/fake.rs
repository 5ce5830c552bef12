//! A destination in memory that fails as a disk or a pipe does.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::{cell::RefCell, rc::Rc};

use rustix::io::Errno;

use super::destination::Destination;

/// A destination with so much room. Clones share what was written, so that a test can look at it
/// while, and after, the code under test owns its own.
#[derive(Clone, Debug)]
pub(in crate::sink) struct Fake {
    bytes: Rc<RefCell<Vec<u8>>>,
    room: usize,
    at_once: usize,
    errno: Errno,
    cuts: bool,
    interrupts: bool,
    turn: usize,
}

impl Fake {
    /// A disk: takes `room` bytes, the last write partly, then fails with ENOSPC; can be cut.
    pub(in crate::sink) fn disk(room: usize) -> Self {
        Self {
            bytes: Rc::default(),
            room,
            at_once: usize::MAX,
            errno: Errno::NOSPC,
            cuts: true,
            interrupts: false,
            turn: 0,
        }
    }

    /// A pipe: its reader leaves after `room` bytes; can't be cut.
    pub(in crate::sink) fn pipe(room: usize) -> Self {
        Self {
            errno: Errno::PIPE,
            cuts: false,
            ..Self::disk(room)
        }
    }

    /// It takes at most so many bytes a call, and is interrupted before every second one.
    pub(in crate::sink) fn in_pieces_of(self, at_once: usize) -> Self {
        Self {
            at_once,
            interrupts: true,
            ..self
        }
    }

    /// It fails with this, rather than with what its kind fails with.
    pub(in crate::sink) fn failing_with(self, errno: Errno) -> Self {
        Self { errno, ..self }
    }

    /// What it has.
    pub(in crate::sink) fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }
}

impl Destination for Fake {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.turn += 1;
        if self.interrupts && self.turn % 2 == 1 {
            return Err(Errno::INTR);
        }
        let mut stored = self.bytes.borrow_mut();
        let count = bytes.len().min(self.at_once).min(self.room - stored.len());
        if count == 0 {
            return Err(self.errno);
        }
        stored.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn cut(&mut self, len: u64) -> Result<bool, Errno> {
        if self.cuts {
            self.bytes
                .borrow_mut()
                .truncate(usize::try_from(len).unwrap());
        }
        Ok(self.cuts)
    }
}
