//! What a program looks at: whether it asks only for what all packets of a flow have in common.

use super::classic::{Op, Place, Program, Size};
use crate::target::links::Framing;

/// Where the fields lie that make a flow, counted from the network header. `libpcap` reads them in
/// these sizes: addresses in words, ports behind an IPv4 header as `x` says, and behind an IPv6
/// header of 40 bytes.
const FIELDS: [(Size, u32); 15] = [
    // IPv4: fragment, protocol, source, destination.
    (Size::Half, 6),
    (Size::Byte, 9),
    (Size::Word, 12),
    (Size::Word, 16),
    // IPv6: next header, addresses, the next header behind a fragment header, ports.
    (Size::Byte, 6),
    (Size::Word, 8),
    (Size::Word, 20),
    (Size::Word, 24),
    (Size::Word, 28),
    (Size::Word, 32),
    (Size::Word, 36),
    (Size::Byte, 40),
    (Size::Half, 40),
    (Size::Half, 42),
    // ARP: the sender's and the target's address; the former is where IPv6's destination starts.
    (Size::Word, 14),
];

/// Whether every packet of a flow, in one direction, matches if one does: the program reads
/// nothing but protocols, addresses and ports.
#[must_use]
pub fn only_the_flow(program: &Program, framing: Framing) -> bool {
    let link = match framing {
        Framing::Bare => 0,
        _ => 14,
    };
    let reachable = program.reachable();
    let ops = program.ops().iter().zip(reachable);
    ops.filter(|(_, reachable)| *reachable)
        .all(|(op, _)| match *op {
            Op::Load(size, Place::At(k)) => is_field(size, k, link),
            Op::Load(size, Place::BehindX(k)) => size == Size::Half && (k == link || k == link + 2),
            Op::LoadXHeaderLen(k) => k == link,
            Op::LoadLen | Op::LoadXLen | Op::LoadMeta(_) => false,
            _ => true,
        })
}

fn is_field(size: Size, k: u32, link: u32) -> bool {
    // The EtherType, or without one the version in the first byte.
    let protocol = match link {
        0 => (Size::Byte, 0),
        _ => (Size::Half, 12),
    };
    (size, k) == protocol
        || k.checked_sub(link)
            .is_some_and(|offset| FIELDS.contains(&(size, offset)))
}
