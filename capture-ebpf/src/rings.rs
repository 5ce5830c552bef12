//! Which ring a record goes into.
//!
//! Reserving takes the ring's lock, and its positions are written with each record. So each CPU
//! has a ring of its own, as far as there are so many: then no packet waits for another CPU, and
//! no cache line goes back and forth between two. Records carry the time; user space merges them.
//!
//! The memory is one for all: a CPU whose ring is full goes on in another's. Only then it takes a
//! lock that isn't its own, and nothing is lost before all of it is full.

use core::ptr;

use aya_ebpf::bindings::{
    BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE,
};
use aya_ebpf::btf_maps::RingBuf;
use aya_ebpf::helpers::bpf_ringbuf_query;
use aya_ebpf::maps::ring_buf::RingBufEntry;

use crate::globals::{RING_MASK, WAKE_AT};
use crate::maps::{CPU_STATE, RINGS};

/// A ring; how large it is, user space decides.
pub type Ring = RingBuf<u8, 4096>;

/// What a CPU remembers between two records.
#[repr(C)]
pub struct CpuState {
    /// Bytes that it has put into rings since it last woke user space.
    unannounced: u64,
    spill: Spill,
}

/// Where it goes on when its own ring is full.
#[repr(C)]
struct Spill {
    /// The ring in which there was room last.
    last: u32,
    /// How many records are given up without looking: all rings were full a moment ago, and
    /// looking at each of them for each packet would cost where there is least to spare.
    blind: u32,
}

/// No ring.
const NONE: u32 = u32::MAX;

/// Which rings a record may go into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rings {
    /// The CPU's own, or another one.
    All,
    /// Not the CPU's own: something waits for room there that comes before.
    Others,
}

/// Room for a `T` in one of these rings. `None` if there is none.
#[inline(always)]
pub fn reserve<T: 'static>(cpu: u32, rings: Rings) -> Option<RingBufEntry<T>> {
    let home = cpu & RING_MASK.load();
    if rings == Rings::All
        && let Some(entry) = RINGS.get(home)?.reserve_untyped::<T>(0)
    {
        return Some(entry);
    }
    if RING_MASK.load() == 0 {
        return None;
    }
    let ring = RINGS.get(nodecap_spill(home, size_of::<T>() as u32))?;
    ring.reserve_untyped::<T>(0)
}

/// Finds a ring besides `home` with room for a record of `len` bytes: its index, or [`NONE`]. By
/// itself for the verifier, as is [`crate::look::nodecap_look`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_spill(home: u32, len: u32) -> u32 {
    let mask = RING_MASK.load();
    let Some(state) = state() else {
        return NONE;
    };
    let spill = &mut state.spill;
    if spill.blind > 0 {
        spill.blind -= 1;
        return NONE;
    }
    let mut index = spill.last;
    let mut left = mask + 1;
    // Written out, as the walk over IPv6 headers is.
    macro_rules! eight_times {
        ($once:block) => {
            $once $once $once $once $once $once $once $once
        };
    }
    'search: {
        eight_times!({
            eight_times!({
                if left == 0 {
                    break 'search;
                }
                left -= 1;
                index = crate::parse::meet(index) & mask;
                if index != home
                    && let Some(ring) = RINGS.get(index)
                    && has_room(ring, len)
                {
                    spill.last = index;
                    return index;
                }
                index += 1;
            });
        });
    }
    spill.blind = mask;
    NONE
}

/// Whether a record of `len` bytes and its header fit in: `__bpf_ringbuf_reserve`.
#[inline(always)]
fn has_room(ring: &Ring, len: u32) -> bool {
    query(ring, BPF_RB_AVAIL_DATA) + u64::from(len) + 8 < query(ring, BPF_RB_RING_SIZE)
}

/// How a record of `len` bytes is to be submitted: each time as much has come in by this CPU as
/// user space wants to be woken at, it is. Never for each packet; below that it comes by itself, by its
/// timer.
///
/// Counted here, since asking the ring how much waits in it takes a helper call for each packet.
#[inline(always)]
pub fn wake_up(len: u64) -> u64 {
    let Some(state) = state() else {
        return u64::from(BPF_RB_FORCE_WAKEUP);
    };
    state.unannounced += len + 8;
    if state.unannounced < WAKE_AT.load() {
        return u64::from(BPF_RB_NO_WAKEUP);
    }
    state.unannounced = 0;
    u64::from(BPF_RB_FORCE_WAKEUP)
}

#[inline(always)]
fn state() -> Option<&'static mut CpuState> {
    let state = CPU_STATE.get_ptr_mut(0)?;
    // SAFETY: a per-CPU value, and no program that uses it is interrupted by another one on its
    // CPU (see record::counters); nobody keeps a reference over a call that makes another.
    Some(unsafe { &mut *state })
}

#[inline(always)]
fn query(ring: &Ring, what: u32) -> u64 {
    // SAFETY: the helper only reads of a ring, which the map of them gave.
    unsafe { bpf_ringbuf_query(ptr::from_ref(ring).cast_mut().cast(), u64::from(what)) }
}
