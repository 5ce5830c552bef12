//! The address sets: which options' lists an address is on, in a few steps however long they are.
//!
//! How they are laid out is told at [`Slot`]. Functions that the verifier takes by themselves,
//! once for all programs; both addresses of a packet in one call.

use aya_ebpf::maps::Array;
use capture_common::filter::{
    BRANCH, HALF_SHIFT, KIND, LEAF, LOWER_HALF, MASK_HIGH, MASK_LOW, NEXT, PLACE_SHIFT, SLOT,
    STEPS_V4, STEPS_V6, Slot, WANT_HIGH, WANT_LOW,
};

use crate::globals::ADDRESS_OPTIONS;
use crate::maps::{ADDRESS_ROOTS, ADDRESSES_V4, ADDRESSES_V6};

/// The option bits of an IPv4 packet's source, and eight bits further those of its destination.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_addresses_v4(source: u32, destination: u32) -> u32 {
    // Asked again, since kernels before 6.8 verify it even where nobody calls it.
    if ADDRESS_OPTIONS.load() == 0 {
        return 0;
    }
    let Some([base, _]) = ADDRESS_ROOTS.get(0) else {
        return 0;
    };
    let source = v4(*base, u64::from(source) << 32);
    let destination = v4(*base, u64::from(destination) << 32);
    source | destination << 8
}

/// The same of an IPv6 packet, whose addresses come in halves.
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
    let Some([_, base]) = ADDRESS_ROOTS.get(0) else {
        return 0;
    };
    let source = v6(*base, source_high, source_low);
    let destination = v6(*base, destination_high, destination_low);
    source | destination << 8
}

/// Steps are written out, not left to LLVM: a loop that it keeps as one never ends for a verifier
/// that follows speculation, as it does without CAP_PERFMON.
macro_rules! four_times {
    ($once:block) => {
        $once $once $once $once
    };
}

#[inline(always)]
fn v4(base: u32, address: u64) -> u32 {
    const _: () = assert!(STEPS_V4 == 4);
    let mut entry = first(&ADDRESSES_V4, base, address);
    four_times!({
        if entry & KIND == LEAF {
            return entry & 0xff;
        }
        entry = step(&ADDRESSES_V4, base, entry, address, None);
    });
    bits(entry)
}

#[inline(always)]
fn v6(base: u32, high: u64, low: u64) -> u32 {
    const _: () = assert!(STEPS_V6 == 4 * 7);
    let mut entry = first(&ADDRESSES_V6, base, high);
    macro_rules! seven_times {
        ($once:block) => {
            $once $once $once $once $once $once $once
        };
    }
    seven_times!({
        four_times!({
            if entry & KIND == LEAF {
                return entry & 0xff;
            }
            entry = step(&ADDRESSES_V6, base, entry, high, Some(low));
        });
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

/// The entry of an address's first 16 bits.
#[inline(always)]
fn first(sets: &Array<Slot>, base: u32, high: u64) -> u32 {
    match sets.get(base + (high >> 52) as u32) {
        Some(slot) => entry_of(slot, high >> 48),
        None => LEAF,
    }
}

/// The entry that comes behind one that isn't a leaf. There is a lower half only of IPv6.
#[inline(always)]
fn step(sets: &Array<Slot>, base: u32, entry: u32, high: u64, low: Option<u64>) -> u32 {
    let Some(slot) = sets.get(base + (entry & SLOT)) else {
        return LEAF;
    };
    if entry & KIND == BRANCH {
        let half = match low {
            Some(low) if entry & LOWER_HALF != 0 => low,
            _ => high,
        };
        return entry_of(slot, half >> (entry >> PLACE_SHIFT & HALF_SHIFT));
    }
    let mut differs = high & slot[MASK_HIGH] ^ slot[WANT_HIGH];
    if let Some(low) = low {
        differs |= low & slot[MASK_LOW] ^ slot[WANT_LOW];
    }
    if differs == 0 {
        slot[NEXT] as u32
    } else {
        (slot[NEXT] >> 32) as u32
    }
}

/// The entry for a nibble: the lowest four bits.
#[inline(always)]
fn entry_of(slot: &Slot, nibble: u64) -> u32 {
    let mut nibble = nibble;
    #[cfg(target_arch = "bpf")]
    // SAFETY: arithmetic on the block's own register. Where LLVM puts the mask elsewhere, Linux
    // 5.10's verifier knows no bound.
    unsafe {
        core::arch::asm!(
            "{0} &= 15",
            inout(reg) nibble,
            options(pure, nomem, nostack),
        );
    }
    nibble &= 15;
    let entries = core::ptr::from_ref(slot).cast::<u32>();
    // SAFETY: a slot has room for 16 entries of 32 bits each, and is aligned for more. On the
    // little-endian targets that this is built for, the even one of two is a word's lower half.
    unsafe { *entries.add(nibble as usize) }
}
