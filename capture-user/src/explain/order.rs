//! A file's packets in the order of time.
//!
//! With several interfaces a file need not have them so: dumpcap writes what it has of one, then what
//! it has of another. Where a packet was first is found by time, so they wait here for those before
//! them: for as long as a step back is taken for disorder and not for a clock that was set. (What the
//! flight recorder writes with `-U` may be further back; each flow is in order there.)

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::flow::sighting::Sighting;
use crate::packet::{Direction, Gso, InterfaceId};
use crate::session::frame::Link;
use crate::source::file::Packet;

use super::timeline::STEP;

/// The most packets that wait, and the most memory for what they hold: of more, the oldest goes on early.
const PACKETS_MAX: usize = 1 << 17;
const BYTES_MAX: usize = 64 << 20;
/// Room that is kept for another packet: so much, and for so many. A super-frame's would make every packet
/// that waits as large in the end.
const SPARE_BYTES: usize = 2 << 10;
const SPARE_MAX: usize = 1 << 12;

/// A packet of its own, with its time in the file.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) time: u64,
    /// How many came before it, so that packets of one time stay as they are.
    number: u64,
    interface: InterfaceId,
    direction: Direction,
    identity: Option<u64>,
    link: Link,
    frame: Vec<u8>,
    original_len: u32,
    gso: Option<Gso>,
}

/// The sighting of a packet of a file, at a time of the tracker's clock.
pub(super) fn sighting<'a>(packet: &Packet<'a>, time: u64) -> Sighting<'a> {
    Sighting {
        time,
        interface: packet.interface,
        // Where the file doesn't say, it says nothing about the interface either: its role
        // is unknown, and no side is concluded from the direction.
        direction: packet.direction.unwrap_or(Direction::In),
        identity: packet.identity,
        link: packet.link,
        frame: packet.frame,
        original_len: packet.original_len,
        gso: packet.gso,
    }
}

impl Owned {
    /// Its sighting, at a time of the tracker's clock.
    pub(super) fn sighting(&self, time: u64) -> Sighting<'_> {
        Sighting {
            time,
            interface: self.interface,
            direction: self.direction,
            identity: self.identity,
            link: self.link,
            frame: &self.frame,
            original_len: self.original_len,
            gso: self.gso,
        }
    }

    fn key(&self) -> (u64, u64) {
        (self.time, self.number)
    }
}

impl PartialEq for Owned {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Owned {}

impl PartialOrd for Owned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Owned {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    waiting: BinaryHeap<Reverse<Owned>>,
    newest: u64,
    number: u64,
    bytes: usize,
    /// Room of packets that went on.
    spare: Vec<Vec<u8>>,
}

impl Sorter {
    /// Whether a packet of that time can't be in disorder: all that wait come before it.
    pub(super) fn is_cut_off(&self, time: u64) -> bool {
        !self.waiting.is_empty() && time.saturating_add(STEP) < self.newest
    }

    /// Takes a packet.
    pub(super) fn push(&mut self, packet: &Packet<'_>) {
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.extend_from_slice(packet.frame);
        let Sighting {
            interface,
            direction,
            identity,
            link,
            original_len,
            gso,
            ..
        } = sighting(packet, packet.time);
        self.newest = if self.waiting.is_empty() {
            packet.time
        } else {
            self.newest.max(packet.time)
        };
        self.bytes += frame.capacity();
        self.waiting.push(Reverse(Owned {
            time: packet.time,
            number: self.number,
            interface,
            direction,
            identity,
            link,
            frame,
            original_len,
            gso,
        }));
        self.number += 1;
    }

    /// The oldest packet, if none can come before it any more; or whatever may come.
    pub(super) fn pop(&mut self, whatever: bool) -> Option<Owned> {
        let Reverse(oldest) = self.waiting.peek()?;
        let due = whatever
            || oldest.time.saturating_add(STEP) < self.newest
            || self.waiting.len() > PACKETS_MAX
            || self.bytes > BYTES_MAX;
        let Reverse(oldest) = due.then(|| self.waiting.pop()).flatten()?;
        self.bytes -= oldest.frame.capacity();
        Some(oldest)
    }

    /// The packet was looked at: its room is for another.
    pub(super) fn give_back(&mut self, packet: Owned) {
        let mut frame = packet.frame;
        if frame.capacity() <= SPARE_BYTES && self.spare.len() < SPARE_MAX {
            frame.clear();
            self.spare.push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_super_frame_is_given_back_to_the_system() {
        let mut sorter = Sorter::default();
        for len in [60, 65_535] {
            sorter.give_back(Owned {
                time: 0,
                number: 0,
                interface: 0,
                direction: Direction::In,
                identity: None,
                link: Link::Ethernet,
                frame: vec![0; len],
                original_len: 0,
                gso: None,
            });
        }
        assert_eq!(sorter.spare.len(), 1);
        assert!(sorter.spare[0].is_empty() && sorter.spare[0].capacity() <= SPARE_BYTES);
    }
}
