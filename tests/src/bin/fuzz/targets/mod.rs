//! What is fuzzed, and what must hold.
//!
//! - [`core`]: the flow core, by sightings, evidence and the passing of time in any order
//! - [`file`]: a capture file and what `explain` makes of it
//! - [`repair`]: a file that was cut off or damaged, and what `repair` makes of it
//! - [`netlink`]: what conntrack and rtnetlink tell
//! - [`line`]: a frame as a line of text

mod core;
mod file;
mod line;
mod netlink;
mod repair;

use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::engine::Target;

/// All of them.
pub(crate) fn all() -> [&'static dyn Target; 5] {
    [
        &core::Core,
        &file::File,
        &repair::Repair,
        &netlink::Netlink,
        &line::Line,
    ]
}

/// A result as a number.
fn number(result: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    result.hash(&mut hasher);
    hasher.finish()
}

/// A count by its order of magnitude: inputs that differ in nothing else did alike.
fn about(count: u64) -> u32 {
    count.checked_ilog2().map_or(0, |power| power + 1)
}
