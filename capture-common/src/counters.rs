//! What the kernel side counts, for each interface on each CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One CPU's counts for one interface. Monotonic; only that CPU writes them.
///
/// A packet is counted as matched first and as what became of it last; user space reads the
/// fields in their order, `matched` last. So also a reading amid packets never shows more of them
/// accounted for than matched, and when none is under way `matched` = `recorded` +
/// [`Counters::lost`].
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Counters {
    /// Packets lost because the ring had no room for the record.
    pub ring_full: u64,
    /// Packets lost because the frame couldn't be read (`bpf_skb_load_bytes` failed).
    pub unreadable: u64,
    /// Packets whose record was submitted to the ring.
    pub recorded: u64,
    /// Packets that the filter matched: all of the above.
    pub matched: u64,
}

const _: () = assert!(size_of::<Counters>() == 32);

/// [`Counters`] in an array, found without a hash.
///
/// An interface's entry is its index modulo [`DIRECT_LEN`], if no other one had it first; the counters
/// of all others are in a hash map.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct DirectCounters {
    /// First, so that they are read in their order too.
    pub counters: Counters,
    /// Whose they are: an interface's index, or 0.
    pub interface: u32,
    /// Zero.
    pub reserved: u32,
}

/// Entries of that array: a power of two. They take 10 KiB for each CPU.
pub const DIRECT_LEN: u32 = 256;

const _: () = assert!(size_of::<DirectCounters>() == 40);

impl Counters {
    /// Packets that matched and were lost in the kernel, whatever the cause.
    #[must_use]
    #[inline(always)]
    pub const fn lost(&self) -> u64 {
        self.ring_full.wrapping_add(self.unreadable)
    }

    /// The sum of two CPUs' counts.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            matched: self.matched.wrapping_add(other.matched),
            recorded: self.recorded.wrapping_add(other.recorded),
            ring_full: self.ring_full.wrapping_add(other.ring_full),
            unreadable: self.unreadable.wrapping_add(other.unreadable),
        }
    }
}
