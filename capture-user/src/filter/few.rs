//! Short address lists as code: comparisons with where networks begin and end, and nothing read
//! from memory.
//!
//! What comes of it is what the kernel side's search in a [`Tree`] gives: the option bits of the
//! source, and eight bits further those of the destination.

use super::ebpf::{Instruction, Math, R0, R1, R2, R3, R4, Value};
use super::search::{Key, Search, Way};
use super::tree::Tree;

/// The most places at which something begins for a tree to be code: a network has two, unless
/// another begins where it ends. It is six or seven comparisons for an address then.
pub const MOST: usize = 64;

/// The code `(source, destination) → bits` of IPv4 addresses, numbers of 32 bits. None, if they are
/// too many.
#[must_use]
pub fn v4(tree: &Tree) -> Option<Vec<Instruction>> {
    code(&ways(tree)?, Key::Half(R1), Key::Half(R2))
}

/// The same of IPv6 addresses: the halves of the source, the upper one first, then the
/// destination's.
#[must_use]
pub fn v6(tree: &Tree) -> Option<Vec<Instruction>> {
    code(&ways(tree)?, Key::Pair(R1, R2), Key::Pair(R3, R4))
}

/// From which address on which option bits are to be had. None, if that changes too often.
pub(super) fn ways(tree: &Tree) -> Option<Vec<Way<u8>>> {
    let places = tree.places().filter(|places| places.len() <= MOST)?;
    let ways = places.iter().map(|(start, leaf)| (*start, *leaf as u8));
    // Without any network there is nothing to find anywhere.
    let none = places.is_empty().then_some((0, 0));
    Some(none.into_iter().chain(ways).collect())
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    /// The source's bits are found.
    Source(u8),
    Destination,
    /// The destination's, too.
    Found(u8),
}

fn code(ways: &[Way<u8>], source: Key, destination: Key) -> Option<Vec<Instruction>> {
    let mut kinds: Vec<u8> = ways.iter().map(|(_, bits)| *bits).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let to = |label: fn(u8) -> Label| -> Vec<Way<Label>> {
        let ways = ways.iter().map(|(start, bits)| (*start, label(*bits)));
        ways.collect()
    };
    let number = |math, bits| Instruction::math32(math, R0, Value::Number(bits));
    let mut code = Search::new();
    code.search(source, &to(Label::Source));
    for bits in &kinds {
        code.label(Label::Source(*bits));
        code.emit(number(Math::Move, i32::from(*bits)));
        code.jump_on(Label::Destination);
    }
    code.label(Label::Destination);
    code.search(destination, &to(Label::Found));
    for bits in &kinds {
        code.label(Label::Found(*bits));
        if *bits != 0 {
            code.emit(number(Math::Or, i32::from(*bits) << 8));
        }
        code.emit(Instruction::exit());
    }
    code.link()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;
