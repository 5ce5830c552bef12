//! Where each TCP connection's sequence numbers began, so that they can be shown from there.
//!
//! As in tcpdump: the first packet of a connection that carries an acknowledgement, and every
//! SYN,ACK, shows its numbers as they are and sets the beginning for both ends; later packets
//! count from it. A packet without ACK always shows its own number.
//!
//! The table is bounded: at most [`MAX_CONNECTIONS`], in two generations. A connection that is
//! seen moves to the young one; when that is full, the old one is forgotten whole. So what was
//! seen lately stays, at the cost of one extra lookup and nothing to keep sorted. A forgotten
//! connection shows its true numbers once more and counts from there.

use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;

use foldhash::fast::RandomState;

/// How many connections are remembered: about 7 MB when full.
pub(super) const MAX_CONNECTIONS: usize = 65_536;

/// One end of a connection.
pub(super) type End = (IpAddr, u16);

/// Both ends, the lower first: one entry for both directions.
type Key = (End, End);

/// The sequence number that each end counts from, in the key's order.
type Beginnings = [u32; 2];

/// A packet's numbers as they are to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    /// What to subtract from the edges of SACK blocks: they count the other end's bytes.
    pub(super) sack_base: u32,
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    young: HashMap<Key, Beginnings, RandomState>,
    old: HashMap<Key, Beginnings, RandomState>,
}

impl Connections {
    /// The numbers to show for a packet with the ACK bit; `syn` if it has the SYN bit as well.
    pub(super) fn numbers(
        &mut self,
        from: End,
        to: End,
        syn: bool,
        sequence: u32,
        acknowledgement: u32,
    ) -> Numbers {
        let reversed = from > to;
        let key = if reversed { (to, from) } else { (from, to) };
        if !syn && let Some([low, high]) = self.recall(&key) {
            let (own, peer) = if reversed { (high, low) } else { (low, high) };
            return Numbers {
                sequence: sequence.wrapping_sub(own),
                acknowledgement: acknowledgement.wrapping_sub(peer),
                sack_base: peer,
            };
        }
        let peer = acknowledgement.wrapping_sub(1);
        let beginnings = if reversed {
            [peer, sequence]
        } else {
            [sequence, peer]
        };
        self.remember(key, beginnings);
        Numbers {
            sequence,
            acknowledgement,
            sack_base: peer,
        }
    }

    fn recall(&mut self, key: &Key) -> Option<Beginnings> {
        if let Some(beginnings) = self.young.get(key) {
            return Some(*beginnings);
        }
        let beginnings = self.old.remove(key)?;
        self.remember(*key, beginnings);
        Some(beginnings)
    }

    fn remember(&mut self, key: Key, beginnings: Beginnings) {
        if self.young.len() >= MAX_CONNECTIONS / 2 && !self.young.contains_key(&key) {
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(key, beginnings);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
