//! How much more the file system takes before it has less free than it must have.
//!
//! The side that has the packets must know before it hands one over, and can't ask the disk. So the
//! writing side says up to which length of all files together there was room when it last looked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sink::output::Descriptor;

/// What a file system may take besides the bytes themselves: the rest of a block, the blocks that
/// say where blocks are.
const MARGIN: u64 = 128 << 10;

/// Up to which length of all files together there is room, seen from either side.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Arc<AtomicU64>);

impl Allowance {
    /// The most bytes that all files together may have, their statistics included.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// So many, whatever the disk has.
    #[cfg(test)]
    pub(crate) fn of(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }
}

/// Looks at the file system as files grow.
#[derive(Debug)]
pub struct Room {
    /// Bytes that must stay free.
    least: u64,
    allowance: Allowance,
    /// Bytes that the files have so far, before packing.
    dealt_with: u64,
}

impl Room {
    /// Keeps `least` bytes free. `so_far` bytes of files were written before it looks.
    #[must_use]
    pub fn new(least: u64, so_far: u64) -> Self {
        Self {
            least,
            allowance: Allowance::default(),
            dealt_with: so_far,
        }
    }

    /// For the other side.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        self.allowance.clone()
    }

    /// Looks again, after so many bytes more.
    pub(super) fn look(&mut self, at: &Descriptor, dealt_with: u64) {
        self.dealt_with += dealt_with;
        // One that doesn't say is no reason to stop.
        let free = at.free().unwrap_or(u64::MAX);
        let more = free.saturating_sub(self.least.saturating_add(MARGIN));
        let allowed = self.dealt_with.saturating_add(more);
        self.allowance.0.store(allowed, Ordering::Relaxed);
    }
}
