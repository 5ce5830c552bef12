//! Where a CPU gathers small records, so that a ring is asked for room once for some dozen of them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::RecordHeader;

/// A CPU's batch. Only that CPU writes it; user space looks into its first members.
///
/// What it holds are the bytes of one record of the ring: one record header and frame after the
/// other, each from a multiple of eight bytes on. What was put in here isn't lost any more: it stays
/// until there is room for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Batch {
    /// How many bytes of `records` are taken: a multiple of eight.
    pub used: u32,
    /// Not 0 while a program is at it, so that another one that interrupts this one stays away.
    pub busy: u32,
    /// How many small records are put into the ring one by one, since large ones come in between.
    pub singly: u32,
    /// Zero.
    pub reserved: u32,
    /// The records.
    pub records: [u8; BATCH_BYTES],
}

/// Room for records in a batch: with the rest two pages, so that no two CPUs' share one.
pub const BATCH_BYTES: usize = 8_192 - 16;

const _: () = assert!(size_of::<Batch>() == 8_192);

/// Frames of which no more is kept go through a batch, in bytes. What a larger one takes by itself
/// hardly counts, and it would be copied twice.
pub const LARGEST_IN_BATCH: u32 = 264;

/// Above so many bytes a batch goes into the ring before the next record: that may not fit.
pub const BATCH_FULL: u32 =
    BATCH_BYTES as u32 - size_of::<RecordHeader>() as u32 - LARGEST_IN_BATCH;

const _: () = assert!(BATCH_FULL.is_multiple_of(8) && LARGEST_IN_BATCH.is_multiple_of(8));
