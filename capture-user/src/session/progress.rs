//! What the moving thread shows of itself while it works.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that one thread raises and others read. Each is right by itself; two of them may be
/// of different moments.
#[derive(Debug, Default)]
pub struct Progress {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// One more packet was written.
    pub fn count_packet(&self) {
        // One writer: no need for an atomic addition.
        let packets = self.packets.load(Ordering::Relaxed);
        self.packets.store(packets + 1, Ordering::Relaxed);
    }

    /// The output's length so far.
    pub fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
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
}
