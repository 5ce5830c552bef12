//! Which tuples may be those of followed flows, told at a glance.
//!
//! The map of followed flows answers for sure, but it takes a call and a hash of 40 bytes for each
//! packet that doesn't match, and nearly none of them belongs to such a flow. So in front of it is
//! a table of times: when a tuple of this bucket was last learned.

/// Entries of that table: a power of two, as many as the map of flows has.
pub const LEARNED_LEN: u32 = 1 << 16;

/// In an entry: of a tuple that user space taught, which doesn't expire.
pub const TAUGHT: u64 = u64::MAX;

/// The bucket of a tuple: of the two addresses, each as two numbers as they lie in the packet (an
/// IPv4 address in the first four bytes, then zeros), and the other four, each of 16 bits, lowest
/// first: source port, destination port, IP version, protocol.
#[must_use]
#[inline(always)]
pub const fn bucket(source: [u64; 2], destination: [u64; 2], rest: u64) -> u32 {
    folded(
        source[0] ^ destination[0].rotate_left(32),
        source[1] ^ destination[1].rotate_left(32),
        rest,
    )
}

/// The same of an IPv4 packet, whose two addresses are one number as they lie in it.
#[must_use]
#[inline(always)]
pub const fn bucket_v4(addresses: u64, rest: u64) -> u32 {
    folded(addresses, 0, rest)
}

#[inline(always)]
const fn folded(first: u64, second: u64, rest: u64) -> u32 {
    // 2⁶⁴ over the golden ratio spreads each bit upwards.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let addresses = (first ^ second.wrapping_mul(SPREAD)).wrapping_mul(SPREAD);
    let all = (addresses ^ (addresses >> 32) ^ rest).wrapping_mul(SPREAD);
    (all >> (64 - LEARNED_LEN.trailing_zeros())) as u32
}
