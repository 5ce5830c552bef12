//! A packet on a hook.

use crate::packet::{Direction, Gso, InterfaceId};
use crate::session::frame::Link;

/// One packet, seen on one hook.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// When, in nanoseconds on a clock that never goes back: `CLOCK_MONOTONIC` live, the file's
    /// time in `explain`.
    pub time: u64,
    /// Where.
    pub interface: InterfaceId,
    /// Which way it was going there.
    pub direction: Direction,
    /// The same number on every hook that sees this very skb, and on other packets too after a
    /// short while: the kernel reuses it. `None` where the kernel doesn't say. Opaque: it must
    /// never be shown or written.
    pub identity: Option<u64>,
    /// What the frame starts with.
    pub link: Link,
    /// The bytes that were kept.
    pub frame: &'a [u8],
    /// The frame's length before truncation, in bytes.
    pub original_len: u32,
    /// What a super-frame stands for.
    pub gso: Option<Gso>,
}
