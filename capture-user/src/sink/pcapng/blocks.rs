//! Walking the blocks of bytes that were encoded here: which are whole, and whose packets they
//! hold. Needed where a write stopped half-way.

use crate::packet::InterfaceId;

/// The type code of an interface description block.
pub(super) const INTERFACE_DESCRIPTION: u32 = 1;
/// The type code of an enhanced packet block.
pub(super) const ENHANCED_PACKET: u32 = 6;
/// Type and length in front, the length again behind.
const SHORTEST: usize = 12;

/// A whole block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its type code.
    pub kind: u32,
    /// All of its bytes, type and both lengths included.
    pub bytes: &'a [u8],
}

impl Block<'_> {
    /// The interface that a packet block's packet was seen on; `None` for other blocks.
    #[must_use]
    pub fn packet_interface(&self) -> Option<InterfaceId> {
        (self.kind == ENHANCED_PACKET)
            .then(|| word(self.bytes, 8))
            .flatten()
    }
}

/// The whole blocks at the front of little-endian bytes that begin where a block begins. Ends where
/// a block isn't whole, or where none can begin.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    rest: &'a [u8],
}

impl<'a> Blocks<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let kind = word(self.rest, 0)?;
        let len = usize::try_from(word(self.rest, 4)?).ok()?;
        if len < SHORTEST {
            return None;
        }
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(Block { kind, bytes })
    }
}

/// How many of `bytes` are whole blocks: where to cut what a failed write left.
#[must_use]
pub fn whole_blocks(bytes: &[u8]) -> usize {
    Blocks::new(bytes).map(|block| block.bytes.len()).sum()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(kind: u32, body: &[u32]) -> Vec<u8> {
        let len = 12 + 4 * body.len() as u32;
        [&[kind, len], body, &[len]]
            .concat()
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .collect()
    }

    #[test]
    fn only_whole_blocks_count() {
        let bytes = [block(6, &[3, 0]), block(5, &[]), block(6, &[1])].concat();
        for (cut, whole) in [
            (0, 0),
            (7, 0),
            (19, 0),
            (20, 20),
            (31, 20),
            (32, 32),
            (47, 32),
        ] {
            assert_eq!(whole_blocks(&bytes[..cut]), whole, "of {cut} bytes");
        }
        assert_eq!(whole_blocks(&bytes), bytes.len());
    }

    #[test]
    fn a_packet_s_interface_is_found() {
        let bytes = [block(6, &[3, 0]), block(5, &[7])].concat();
        let found: Vec<_> = Blocks::new(&bytes)
            .map(|it| it.packet_interface())
            .collect();
        assert_eq!(found, [Some(3), None]);
    }

    #[test]
    fn a_length_that_no_block_has_ends_the_walk() {
        assert_eq!(whole_blocks(&[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 0);
        assert_eq!(whole_blocks(&[0xff; 64]), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_run_past_the_end(bytes: Vec<u8>) {
            prop_assert!(whole_blocks(&bytes) <= bytes.len());
        }
    }
}
