//! Which packets were seen a moment ago, by where their skb lies in memory.
//!
//! The same skb crosses every hook of the node, so its address tells a packet again after its
//! addresses have been translated. But an skb is freed and used again at once. So an address
//! counts for a short while only, and the packet's fingerprint must agree.
//!
//! The table is a plain array: an entry is written without a lock and overwritten by the next
//! skb with its index. Every part of it is checked, so an entry half of one packet and half of
//! another is none of both.

use core::ptr;

use crate::maps::PACKETS;
use crate::skb::Skb;
use crate::tuple::SEGMENT;

/// Nanoseconds for which a packet is known again. Between two hooks lie some ten microseconds
/// (measured), and a queue's delay.
const WINDOW: u64 = 50_000_000;

/// Entries of the table: a power of two. A host has rarely more packets between two hooks.
pub const PACKETS_LEN: u32 = 1 << 14;

/// A packet that was seen.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sighted {
    /// Where its skb lies; 0 in an entry that was never used.
    address: u64,
    fingerprint: u64,
    /// When: `CLOCK_MONOTONIC`, nanoseconds.
    time: u64,
}

impl Sighted {
    /// Whether it was within the window before `now`.
    #[inline(always)]
    fn is_recent(&self, now: u64) -> bool {
        now.wrapping_sub(self.time) <= WINDOW
    }
}

/// Notes that a packet was seen.
#[inline(always)]
pub fn remember(skb: &Skb, fingerprint: u64, time: u64) {
    if let Some(entry) = PACKETS.get_ptr_mut(index(low_half(skb))) {
        // SAFETY: an entry of the map, which is never freed. Others may write it at the same
        // time, hence volatile: what comes of that is told apart when it is read.
        unsafe {
            ptr::write_volatile(&raw mut (*entry).address, skb.address());
            ptr::write_volatile(&raw mut (*entry).fingerprint, fingerprint);
            ptr::write_volatile(&raw mut (*entry).time, time);
        }
    }
}

/// What is known of the skb under the hook: nothing, for nearly all.
#[inline(always)]
pub fn candidate(skb: &Skb) -> Option<Sighted> {
    let sighted = entry(index(low_half(skb)))?;
    same(skb, sighted.address).then_some(sighted)
}

/// The same for an skb by its address.
#[inline(always)]
pub fn candidate_at(address: u64) -> Option<Sighted> {
    let sighted = entry(index(address as u32))?;
    (sighted.address == address).then_some(sighted)
}

impl Sighted {
    /// Whether a packet with this fingerprint is that one.
    #[inline(always)]
    pub fn is(&self, fingerprint: u64, now: u64) -> bool {
        self.fingerprint == fingerprint && self.is_recent(now)
    }

    /// Whether that one is a TCP segment.
    #[inline(always)]
    pub fn is_segment(&self) -> bool {
        self.fingerprint & SEGMENT != 0
    }
}

#[inline(always)]
fn entry(index: u32) -> Option<Sighted> {
    let entry = PACKETS.get_ptr(index)?;
    // SAFETY: as in remember.
    Some(unsafe {
        Sighted {
            address: ptr::read_volatile(&raw const (*entry).address),
            fingerprint: ptr::read_volatile(&raw const (*entry).fingerprint),
            time: ptr::read_volatile(&raw const (*entry).time),
        }
    })
}

/// Skbs lie side by side, 256 bytes or more apart; the multiplication spreads them.
#[inline(always)]
fn index(low_half: u32) -> u32 {
    low_half.wrapping_mul(0x9e37_79b1) >> (32 - PACKETS_LEN.trailing_zeros())
}

/// The address's lower 32 bits, as a number. The verifier allows no arithmetic with a pointer to
/// the context; this copy it takes for a number from then on.
#[inline(always)]
fn low_half(skb: &Skb) -> u32 {
    #[cfg(target_arch = "bpf")]
    {
        let low: u64;
        // SAFETY: one copy between registers.
        unsafe {
            core::arch::asm!(
                "w0 = w1",
                in("r1") skb.address(),
                lateout("r0") low,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        low as u32
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        skb.address() as u32
    }
}

/// Whether the skb lies at this address. A comparison that LLVM can't turn into arithmetic.
#[inline(always)]
fn same(skb: &Skb, address: u64) -> bool {
    #[cfg(target_arch = "bpf")]
    {
        let differs: u64;
        // SAFETY: a forward jump inside the block, and a write to its own register.
        unsafe {
            core::arch::asm!(
                "{0} = 0",
                "if {1} == {2} goto +1",
                "{0} = 1",
                out(reg) differs,
                in(reg) skb.address(),
                in(reg) address,
                options(pure, nomem, nostack),
            );
        }
        differs == 0
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        skb.address() == address
    }
}
