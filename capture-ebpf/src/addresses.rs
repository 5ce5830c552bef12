//! The address sets: which options' lists an address is on, in a few steps however long they are.
//!
//! How they are laid out is told at [`Slot`]. Short lists are code of their own that user space puts
//! in the place of stand-ins, as it does for an expression. Functions that the verifier takes by
//! themselves, once for all programs; both addresses of a packet in one call.

use aya_ebpf::maps::Array;
use capture_common::filter::{
    BASE, BOUNDS, Front, HALF_SHIFT, KIND, LEAF, LOWER_HALF, PLACE_SHIFT, SLOT, STEPS_V4, STEPS_V6,
    Slot, TABLE, WAYS, WIDTH,
};

use crate::globals::{ADDRESS_CODE, ADDRESS_OPTIONS};
use crate::maps::{ADDRESS_FRONTS, ADDRESS_SET, ADDRESSES_V4, ADDRESSES_V6};
use crate::stand_in::stand_in;

/// The option bits of an IPv4 packet's source, and eight bits further those of its destination.
#[inline(always)]
pub fn lists_v4(source: u32, destination: u32) -> u32 {
    if ADDRESS_CODE.load() != 0 {
        nodecap_few_v4(source, destination)
    } else {
        nodecap_addresses_v4(source, destination)
    }
}

/// The same of an IPv6 packet, whose addresses come in halves, the upper one first.
#[inline(always)]
pub fn lists_v6(
    source_high: u64,
    source_low: u64,
    destination_high: u64,
    destination_low: u64,
) -> u32 {
    if ADDRESS_CODE.load() != 0 {
        nodecap_few_v6(source_high, source_low, destination_high, destination_low)
    } else {
        nodecap_addresses_v6(source_high, source_low, destination_high, destination_low)
    }
}

stand_in! {
    /// Short lists' code: the bits of both addresses.
    fn nodecap_few_v4(source: u32, destination: u32) -> u32 in ".text.few_v4" is "0"
}
stand_in! {
    /// The same of IPv6.
    fn nodecap_few_v6(
        source_high: u64,
        source_low: u64,
        destination_high: u64,
        destination_low: u64
    ) -> u32 in ".text.few_v6" is "0"
}

/// [`lists_v4`], by a search.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_addresses_v4(source: u32, destination: u32) -> u32 {
    // Asked again, since kernels before 6.8 verify it even where nobody calls it.
    if ADDRESS_OPTIONS.load() == 0 {
        return 0;
    }
    let Some(front) = front(0) else {
        return 0;
    };
    let source = v4(front, u64::from(source) << 32);
    let destination = v4(front, u64::from(destination) << 32);
    source | destination << 8
}

/// [`lists_v6`], by a search.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_addresses_v6(
    source_high: u64,
    source_low: u64,
    destination_high: u64,
    destination_low: u64,
) -> u32 {
    if ADDRESS_OPTIONS.load() == 0 {
        return 0;
    }
    let Some(front) = front(1) else {
        return 0;
    };
    let source = v6(front, source_high, source_low);
    let destination = v6(front, destination_high, destination_low);
    source | destination << 8
}

/// Where the search begins, of IPv4 (0) or IPv6 (1). None of it waits for the packet's bytes.
#[inline(always)]
fn front(version: u32) -> Option<&'static Front> {
    let set = ADDRESS_SET.get(0)?;
    ADDRESS_FRONTS.get(*set * 2 + version)
}

/// Steps are written out, not left to LLVM: a loop that it keeps as one never ends for a verifier
/// that follows speculation, as it does without CAP_PERFMON.
macro_rules! times {
    (6 $once:block) => { $once $once $once $once $once $once };
    (7 $once:block) => { times!(6 $once); $once };
    (18 $once:block) => { times!(6 $once); times!(6 $once); times!(6 $once) };
}

#[inline(always)]
fn v4(front: &Front, address: u64) -> u32 {
    const _: () = assert!(STEPS_V4 == 7);
    let mut entry = front[(address >> 48) as usize];
    times!(7 {
        if entry & KIND == LEAF {
            return entry & 0xff;
        }
        entry = step(&ADDRESSES_V4, front[BASE], entry, address);
    });
    bits(entry)
}

#[inline(always)]
fn v6(front: &Front, high: u64, low: u64) -> u32 {
    const _: () = assert!(STEPS_V6 == 18);
    let mut entry = front[(high >> 48) as usize];
    times!(18 {
        if entry & KIND == LEAF {
            return entry & 0xff;
        }
        let half = if entry & LOWER_HALF == 0 { high } else { low };
        entry = step(&ADDRESSES_V6, front[BASE], entry, half);
    });
    bits(entry)
}

/// What user space builds has come to a leaf by now.
#[inline(always)]
fn bits(entry: u32) -> u32 {
    if entry & KIND == LEAF {
        entry & 0xff
    } else {
        0
    }
}

/// The entry that comes behind one that isn't a leaf.
#[inline(always)]
fn step(sets: &Array<Slot>, base: u32, entry: u32, half: u64) -> u32 {
    if entry & KIND == TABLE {
        let width = (entry & WIDTH) * 4;
        let index = half >> (entry >> PLACE_SHIFT & HALF_SHIFT) & ((1 << width) - 1);
        let slot = (entry & SLOT & !WIDTH) + (index >> 4) as u32;
        return match sets.get(base + slot) {
            Some(slot) => entry_of(slot, index),
            None => LEAF,
        };
    }
    let Some(slot) = sets.get(base + (entry & SLOT)) else {
        return LEAF;
    };
    way(slot, half)
}

/// A split's entry for the half, by its bounds one after another: most slots have few.
#[inline(always)]
fn way(slot: &Slot, half: u64) -> u32 {
    const _: () = assert!(WAYS == 6 && BOUNDS == 3);
    if half < slot[3] {
        slot[0] as u32
    } else if half < slot[4] {
        (slot[0] >> 32) as u32
    } else if half < slot[5] {
        slot[1] as u32
    } else if half < slot[6] {
        (slot[1] >> 32) as u32
    } else if half < slot[7] {
        slot[2] as u32
    } else {
        (slot[2] >> 32) as u32
    }
}

/// One of a slot's entries, by the lowest four bits.
#[inline(always)]
fn entry_of(slot: &Slot, index: u64) -> u32 {
    let mut index = index;
    #[cfg(target_arch = "bpf")]
    // SAFETY: arithmetic on the block's own register. Where LLVM puts the mask elsewhere, Linux
    // 5.10's verifier knows no bound.
    unsafe {
        core::arch::asm!(
            "{0} &= 15",
            inout(reg) index,
            options(pure, nomem, nostack),
        );
    }
    index &= 15;
    let entries = core::ptr::from_ref(slot).cast::<u32>();
    // SAFETY: a slot has room for 16 entries of 32 bits each, and is aligned for more. On the
    // little-endian targets that this is built for, the even one of two is a word's lower half.
    unsafe { *entries.add(index as usize) }
}
