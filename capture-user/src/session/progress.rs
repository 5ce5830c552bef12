//! What the moving thread shows of itself while it works.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::recording::Recorded;
use crate::flow::summary::Summary;
use crate::packet::InterfaceId;

/// Counters that one thread raises and others read. Each is right by itself; two of them may be
/// of different moments.
#[derive(Debug, Default)]
pub struct Progress {
    packets: AtomicU64,
    bytes: AtomicU64,
    rounds: AtomicU64,
    forgotten: AtomicU64,
    board: Mutex<Board>,
}

/// What there is to tell besides, all of one moment, and that not long ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// What was written of each interface that is told of by itself, by the capture's ids.
    pub interfaces: Vec<(InterfaceId, Written)>,
    /// What was written of all others, which are gone.
    pub older: Written,
    /// Records that wait to be put in order.
    pub ordering: usize,
    /// Packets that wait for what may still be learned of them.
    pub held: usize,
    /// Bytes of the ring that are taken.
    pub ring: u64,
    /// Bytes that wait for the disk, the pipe or the terminal.
    pub unwritten: u64,
    /// Capture files that were begun.
    pub files: u64,
    /// Packets that came too late to be put in order.
    pub late: u64,
    /// Packets written before all that could be learned of them was.
    pub hurried: u64,
    /// What the flight recorder did, if there is one.
    pub(super) recorded: Option<Recorded>,
    /// What was found out about flows, and how many are remembered.
    pub flows: Option<(Summary, usize)>,
}

/// What was written of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets.
    pub packets: u64,
    /// Their length on the wire.
    pub bytes: u64,
}

impl Progress {
    /// One more packet was written.
    pub fn count_packet(&self) {
        self.count_packets(1);
    }

    /// So many more packets were written.
    pub fn count_packets(&self, more: u64) {
        // One writer: no need for an atomic addition.
        let packets = self.packets.load(Ordering::Relaxed);
        self.packets.store(packets + more, Ordering::Relaxed);
    }

    /// The output's length so far.
    pub fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The thread went round once more. It does so many times a second, whether packets come or
    /// not, and however slow the outputs are.
    pub fn count_round(&self) {
        let rounds = self.rounds.load(Ordering::Relaxed);
        self.rounds.store(rounds + 1, Ordering::Relaxed);
    }

    /// So many packets were let go by the flight recorder so far.
    pub fn set_forgotten(&self, packets: u64) {
        self.forgotten.store(packets, Ordering::Relaxed);
    }

    /// Packets that the flight recorder has let go.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Packets written so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Bytes of output so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How often the thread went round.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// The board to be written anew; none while somebody reads it: the moving thread doesn't wait.
    pub fn renew(&self) -> Option<MutexGuard<'_, Board>> {
        match self.board.try_lock() {
            Ok(board) => Some(board),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What the board says.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
