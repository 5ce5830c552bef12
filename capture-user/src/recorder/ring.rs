//! The recorder's memory: one run of bytes, in which packets lie one behind the other, the newest
//! in the oldest one's place. Nothing is allocated a packet.
//!
//! A packet's *place* is how many bytes had been handed out before it since the beginning: it only
//! grows, so a place that has left the ring is told by its number.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// No place.
pub(super) const NOWHERE: u64 = u64::MAX;

/// What stands in front of each packet's bytes.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub(super) struct Head {
    pub(super) stamp: u64,
    pub(super) flow: u64,
    pub(super) packet: u64,
    /// The place of the flow's packet before it; it may have left the ring.
    pub(super) older: u64,
    pub(super) interface: u32,
    /// See [`state`].
    pub(super) state: u32,
    /// Bytes behind the head; this and the next the ring fills in.
    pub(super) len: u32,
    /// Bytes to the next one's head.
    pub(super) span: u32,
}

const HEAD: usize = size_of::<Head>();
const _: () = assert!(HEAD == 48);
/// Heads begin at multiples of this.
const STEP: usize = 8;

/// Values of [`Head::state`].
pub(super) mod state {
    /// Nobody has asked for it so far.
    pub(in crate::recorder) const HELD: u32 = 0;
    /// It is to be given out.
    pub(in crate::recorder) const WANTED: u32 = 1;
    /// It was given out.
    pub(in crate::recorder) const GIVEN: u32 = 2;
    /// No packet: the end of the memory, where the next one didn't fit.
    pub(super) const FILLER: u32 = 3;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Vec<u8>,
    /// The place of the oldest, and the one that the next gets.
    tail: u64,
    head: u64,
    packets: u64,
}

impl Ring {
    /// A ring of so many bytes, less what is over eight.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            // Pages are taken from the system when they are first written to.
            bytes: vec![0; (bytes / STEP * STEP).max(HEAD)],
            tail: 0,
            head: 0,
            packets: 0,
        }
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where a place lies in the memory.
    fn offset(&self, place: u64) -> usize {
        // Below the memory's size, so it fits.
        (place % self.size()) as usize
    }

    /// Bytes from a packet's head to the next one's, and those to be left out before it because it
    /// would not lie in one piece. `None` if it can't lie anywhere.
    fn spans(&self, len: usize) -> Option<(u64, u64)> {
        let span = HEAD.checked_add(len)?.checked_next_multiple_of(STEP)? as u64;
        u32::try_from(span).ok()?;
        let left = self.size() - self.head % self.size();
        (span <= self.size()).then_some((span, if left < span { left } else { 0 }))
    }

    /// Whether a packet of so many bytes finds room without another's going.
    pub(super) fn fits(&self, len: usize) -> bool {
        match self.spans(len) {
            // With nothing in it, it begins anew.
            Some(_) if self.packets == 0 => true,
            Some((span, skipped)) => self.head + skipped + span - self.tail <= self.size(),
            None => false,
        }
    }

    /// Takes a packet, whose bytes come in parts, and says where it is. `None` if there is no room.
    pub(super) fn push(&mut self, head: Head, parts: &[&[u8]]) -> Option<u64> {
        let len = parts.iter().map(|part| part.len()).sum();
        if !self.fits(len) {
            return None;
        }
        if self.packets == 0 {
            self.head = self.head.next_multiple_of(self.size());
            self.tail = self.head;
        }
        let (span, skipped) = self.spans(len)?;
        if skipped >= HEAD as u64 {
            let filler = Head {
                state: state::FILLER,
                span: u32::try_from(skipped).ok()?,
                ..Head::default()
            };
            self.write(self.head, &filler);
        }
        self.head += skipped;
        let place = self.head;
        let head = Head {
            len: u32::try_from(len).ok()?,
            span: u32::try_from(span).ok()?,
            ..head
        };
        self.write(place, &head);
        let mut at = self.offset(place) + HEAD;
        for part in parts {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.head += span;
        self.packets += 1;
        Some(place)
    }

    fn write(&mut self, place: u64, head: &Head) {
        let at = self.offset(place);
        self.bytes[at..at + HEAD].copy_from_slice(head.as_bytes());
    }

    /// The head at a place, also of a packet that was just taken out.
    pub(super) fn read(&self, place: u64) -> Head {
        let at = self.offset(place);
        self.bytes
            .get(at..)
            .and_then(|bytes| Head::read_from_prefix(bytes).ok())
            .map_or(Head::default(), |(head, _)| head)
    }

    /// A packet's head, while the packet is in the ring.
    pub(super) fn get(&self, place: u64) -> Option<Head> {
        (self.tail..self.head)
            .contains(&place)
            .then(|| self.read(place))
    }

    /// Changes a packet's head.
    pub(super) fn set(&mut self, place: u64, head: &Head) {
        if (self.tail..self.head).contains(&place) {
            self.write(place, head);
        }
    }

    /// A packet's bytes. Also of one that was just taken out: they are there until the next comes.
    pub(super) fn bytes(&self, place: u64) -> &[u8] {
        let at = self.offset(place) + HEAD;
        let len = self.read(place).len as usize;
        self.bytes.get(at..at + len).unwrap_or_default()
    }

    /// The oldest packet.
    pub(super) fn oldest(&mut self) -> Option<(u64, Head)> {
        if self.packets == 0 {
            return None;
        }
        loop {
            let left = self.size() - self.tail % self.size();
            if left < HEAD as u64 {
                self.tail += left;
                continue;
            }
            let head = self.read(self.tail);
            if head.state == state::FILLER {
                self.tail += u64::from(head.span);
                continue;
            }
            return Some((self.tail, head));
        }
    }

    /// Takes the oldest packet out.
    pub(super) fn pop(&mut self) {
        if let Some((_, head)) = self.oldest() {
            self.tail += u64::from(head.span);
            self.packets -= 1;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order_and_whole(
            size in 100..2_000usize,
            lens in prop::collection::vec(0..400usize, 1..200),
        ) {
            let mut ring = Ring::new(size);
            let mut model = VecDeque::new();
            for (number, len) in (1u64..).zip(lens) {
                let bytes = vec![number as u8; len];
                while !ring.fits(len) && !model.is_empty() {
                    let (place, head) = ring.oldest().unwrap();
                    let (stamp, expected): (u64, Vec<u8>) = model.pop_front().unwrap();
                    ring.pop();
                    prop_assert_eq!(head.stamp, stamp);
                    prop_assert_eq!(ring.bytes(place), expected);
                    prop_assert_eq!(ring.get(place), None);
                }
                let head = Head { stamp: number, ..Head::default() };
                let (front, back) = bytes.split_at(len / 3);
                // Only one that is longer than all of the memory finds no room in an empty ring.
                let pushed = ring.push(head, &[front, back]);
                prop_assert_eq!(pushed.is_some(), (len + HEAD).next_multiple_of(STEP) <= size / STEP * STEP);
                if let Some(place) = pushed {
                    prop_assert_eq!(ring.get(place).unwrap().stamp, number);
                    model.push_back((number, bytes));
                }
                prop_assert_eq!(ring.packets, model.len() as u64);
            }
        }
    }
}
