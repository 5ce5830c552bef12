//! A CPU's batch of small records. A ring takes its lock and tells its positions to other CPUs for
//! each record that is reserved and submitted; so small records are gathered first, and some dozen of
//! them become one record of the ring. User space has what is left put in whenever it looks.
//!
//! A record in here has its place for sure: nothing that was counted as recorded is lost.
//!
//! A CPU's own records stay in the order of time: before a record goes past the batch, the batch goes
//! into the ring.

use core::ptr;

use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use capture_common::batch::{BATCH_BYTES, BATCH_FULL, Batch, LARGEST_IN_BATCH};
use capture_common::record::RecordHeader;

use crate::globals::RING_MASK;
use crate::maps::{BATCHES, RINGS};
use crate::packet::clamp;
use crate::rings::{self, Rings};

/// Which way a record goes.
pub enum Way {
    /// Into the batch.
    Batch(Open),
    /// Past it, into one of these.
    Past(Rings),
}

/// A batch that takes records in which so little waits before a large record comes, isn't worth it:
/// bytes.
const TOO_LITTLE: u32 = 1_024;
/// How many go into the ring one by one then.
const SINGLY: u32 = 64;

/// The way of the next record of a frame of which `len` bytes are kept.
#[inline(always)]
pub fn way(cpu: u32, len: u32) -> Way {
    let Some(batch) = BATCHES.get_ptr_mut(cpu) else {
        return Way::Past(Rings::All);
    };
    // SAFETY: this CPU's own, as far as programs write it (user space only reads it, and runs
    // nodecap_flush here), and never through a reference: a program may be interrupted by that
    // one, so that each access is what it says.
    let (busy, used, singly) = unsafe {
        (
            (&raw const (*batch).busy).read_volatile(),
            (&raw const (*batch).used).read_volatile(),
            (&raw const (*batch).singly).read_volatile(),
        )
    };
    if busy != 0 {
        // This one interrupts another one.
        return Way::Past(Rings::All);
    }
    if len <= LARGEST_IN_BATCH && singly == 0 {
        if used > BATCH_FULL && nodecap_put_batch(cpu) != Flushed::EMPTY {
            return Way::Past(Rings::Others);
        }
        // SAFETY: as above.
        unsafe { (&raw mut (*batch).busy).write_volatile(1) };
        return Way::Batch(Open(batch));
    }
    let singly = if used == 0 {
        if len > LARGEST_IN_BATCH {
            return Way::Past(Rings::All);
        }
        singly - 1
    } else if nodecap_put_batch(cpu) != Flushed::EMPTY {
        return Way::Past(Rings::Others);
    } else if used < TOO_LITTLE {
        SINGLY
    } else {
        0
    };
    // SAFETY: as above.
    unsafe { (&raw mut (*batch).singly).write_volatile(singly) };
    Way::Past(Rings::All)
}

/// A batch that is busy with this record.
pub struct Open(*mut Batch);

/// Where a record is written.
pub struct Room {
    /// The header's place; behind it is room for [`LARGEST_IN_BATCH`] bytes.
    pub header: *mut RecordHeader,
    /// Bytes in front of it.
    used: u32,
}

impl Open {
    /// The room for the record.
    #[inline(always)]
    pub fn room(&self) -> Room {
        // SAFETY: as in way().
        let used = unsafe { (&raw const (*self.0).used).read_volatile() };
        let used = at_most(used, BATCH_FULL);
        // SAFETY: at most BATCH_FULL bytes in, behind which there is room for a header and
        // LARGEST_IN_BATCH bytes; a multiple of eight, as each record takes.
        let header = unsafe { (&raw mut (*self.0).records).cast::<u8>().add(used as usize) };
        Room {
            header: header.cast(),
            used,
        }
    }

    /// The record is there, with so many bytes of its frame: from now on it belongs to the batch.
    #[inline(always)]
    pub fn keep(self, room: &Room, len: u32) {
        let len = (size_of::<RecordHeader>() as u32 + len + 7) & !7;
        // SAFETY: as in way().
        unsafe { (&raw mut (*self.0).used).write_volatile(room.used + len) };
        self.close();
    }

    /// There is no more to do.
    #[inline(always)]
    pub fn close(self) {
        // SAFETY: as in way().
        unsafe { (&raw mut (*self.0).busy).write_volatile(0) };
    }
}

/// Bounds a number in a way that LLVM can't see through, as [`clamp`] does.
#[inline(always)]
fn at_most(number: u32, most: u32) -> u32 {
    // One more on both sides, since clamp bounds from below as well.
    clamp(u64::from(number) + 1, u64::from(most) + 1) as u32 - 1
}

/// What became of an attempt to put a batch into its ring.
struct Flushed;

impl Flushed {
    /// There is nothing in it now.
    const EMPTY: u32 = 0;
    /// A program was at it.
    const BUSY: u32 = 1;
    /// The ring has no room.
    const NO_ROOM: u32 = 2;
}

/// Puts a CPU's batch into its ring: [`Flushed`]. By itself for the verifier, as is
/// [`crate::look::nodecap_look`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_put_batch(cpu: u32) -> u32 {
    let Some(batch) = BATCHES.get_ptr_mut(cpu) else {
        return Flushed::EMPTY;
    };
    // SAFETY: as in way().
    if unsafe { (&raw const (*batch).busy).read_volatile() } != 0 {
        return Flushed::BUSY;
    }
    // SAFETY: as in way(). What interrupts this one between the two has put it back.
    unsafe { (&raw mut (*batch).busy).write_volatile(1) };
    let flushed = put(batch, cpu & RING_MASK.load());
    // SAFETY: as in way().
    unsafe { (&raw mut (*batch).busy).write_volatile(0) };
    flushed
}

#[inline(always)]
fn put(batch: *mut Batch, ring: u32) -> u32 {
    // SAFETY: as in way().
    let used = unsafe { (&raw const (*batch).used).read_volatile() };
    if used == 0 {
        return Flushed::EMPTY;
    }
    let Some(ring) = RINGS.get(ring) else {
        return Flushed::NO_ROOM;
    };
    let used = clamp(u64::from(used), BATCH_BYTES as u64);
    // SAFETY: the clamp holds used <= BATCH_BYTES; the map of rings gave the ring.
    let put = unsafe {
        bpf_ringbuf_output(
            ptr::from_ref(ring).cast_mut().cast(),
            (&raw mut (*batch).records).cast(),
            used,
            rings::wake_up(used),
        )
    };
    if put != 0 {
        return Flushed::NO_ROOM;
    }
    // SAFETY: as in way().
    unsafe { (&raw mut (*batch).used).write_volatile(0) };
    Flushed::EMPTY
}

/// Never attached: see [`capture_common::names::FLUSH`]. What it returns, the macro throws away.
#[raw_tracepoint(tracepoint = "none")]
fn nodecap_flush(context: RawTracePointContext) -> u32 {
    nodecap_put_batch(context.arg::<u64>(0) as u32)
}
