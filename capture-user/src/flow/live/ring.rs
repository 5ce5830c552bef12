//! The packets of the last moments, so that the next sighting of one can be told from a packet
//! that only looks like it.
//!
//! A ring: the newest takes the oldest one's place. Nothing is ever removed; a packet is found
//! through a chain of those whose fingerprints share a bucket, newest first, and a chain ends
//! where it leaves the ring. The links lie apart from the packets: a search that finds nothing,
//! as most do, reads only them. The ring grows, up to a bound, while its oldest packet is still
//! needed.
//!
//! Packets that come one after the other on one hook, as all do in a capture of one direction, aren't
//! linked before one comes on another: none of them is on a hook twice, so nobody looks for them.

use std::num::NonZeroU64;

use super::super::fingerprint::Fingerprint;
use super::{FlowRef, Hook, Live};

/// How far down a chain of look-alikes to search.
const MAX_SEARCH: usize = 64;

/// How many packets the ring starts with …
const SMALLEST: usize = 1024;
/// … and how many times as many it has room for when it grows: in two steps it is at its largest. With more
/// and smaller ones a capture that runs for weeks would still take more memory whenever a burst is a little
/// faster than all before it.
const GROWTH: usize = 16;

/// A packet's place in its chain.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// The low bits of the next older packet's number. The ring is far smaller than 2^32.
    older: u32,
    /// The high bits of the fingerprint: the low ones are the bucket's.
    tag: u32,
    /// Where it was first seen.
    hook: Hook,
    /// The next older one that has another tag or was first seen elsewhere. Packets that are all
    /// alike would make every search on their hook long, and none of them is on it twice.
    other: u32,
}

/// No packet's place.
const UNLINKED: Link = Link {
    older: 0,
    tag: 0,
    hook: Hook::NONE,
    other: 0,
};

const fn tag(core: u64) -> u32 {
    (core >> 32) as u32
}

/// The ring. Packets are numbered from 1: 0 is none.
#[derive(Debug)]
pub(in crate::flow) struct Ring {
    packets: Vec<Live>,
    /// As many, in the same places.
    links: Vec<Link>,
    /// The low bits of the newest packet's number, for each bucket of fingerprints.
    heads: Vec<u32>,
    /// The number that the next packet gets.
    next: u64,
    /// The first number that the ring still held when it last grew.
    floor: u64,
    /// From this number on packets aren't linked: all of them were first seen on this hook …
    unlinked: u64,
    hook: Hook,
    /// … and nothing was seen elsewhere after this time.
    elsewhere: u64,
    /// The latest time that anything was seen.
    latest: u64,
    /// A power of two.
    max: usize,
    /// How long a packet is needed after it was first seen: nanoseconds.
    keep: u64,
}

impl Ring {
    /// `max` packets at most, rounded to a power of two.
    pub(in crate::flow) fn new(max: usize, keep: u64) -> Self {
        let max = max.clamp(64, 1 << 24).next_power_of_two();
        let size = SMALLEST.min(max);
        Self {
            packets: Vec::with_capacity(size),
            links: vec![UNLINKED; size],
            heads: vec![0; size],
            next: 1,
            floor: 1,
            unlinked: 1,
            hook: Hook::NONE,
            elsewhere: 0,
            latest: 0,
            max,
            keep,
        }
    }

    /// A packet is seen on a hook, to be looked for among the others or to be pushed.
    #[inline]
    pub(in crate::flow) fn turn_to(&mut self, hook: Hook, time: u64) {
        if hook != self.hook {
            self.link_all();
            self.hook = hook;
            self.elsewhere = self.latest;
        }
        self.latest = self.latest.max(time);
    }

    /// Whether what is seen on a hook at that time can have been seen on another one no more than
    /// `window` before.
    #[inline]
    pub(in crate::flow) const fn can_know(&self, hook: Hook, time: u64, window: u64) -> bool {
        hook.0 != self.hook.0 || time.saturating_sub(self.elsewhere) <= window
    }

    /// Links those that aren't.
    fn link_all(&mut self) {
        for number in self.oldest().max(self.unlinked)..self.next {
            let live = &self.packets[self.place(number)];
            let (core, [hook, ..]) = (live.fingerprint.core, live.hooks);
            self.link(number, core, hook);
        }
        self.unlinked = self.next;
    }

    /// Takes a packet, first seen on the hook that was turned to, and returns its number.
    pub(in crate::flow) fn push(&mut self, live: Live) -> u64 {
        let replaced = self.next.checked_sub(self.heads.len() as u64);
        if self.heads.len() < self.max
            && let Some(replaced) = replaced.and_then(|number| self.get(number))
            && replaced.first.saturating_add(self.keep) > live.first
        {
            self.grow();
        }
        let number = self.next;
        let place = self.place(number);
        if let Some(old) = self.packets.get_mut(place) {
            *old = live;
        } else {
            // Filled in order at first, so this is its place.
            self.packets.push(live);
        }
        self.next += 1;
        number
    }

    /// Makes it larger and links the packets again, each at its number modulo the new size.
    fn grow(&mut self) {
        let oldest = self.oldest();
        let old = std::mem::take(&mut self.packets);
        let mask = self.heads.len() - 1;
        let size = (self.heads.len() * GROWTH).min(self.max);
        self.heads.clear();
        self.heads.resize(size, 0);
        // Places without a packet hold any; `get` refuses their numbers.
        self.packets = Vec::with_capacity(size);
        while self.packets.len() < size {
            self.packets.extend_from_slice(&old);
        }
        self.floor = oldest;
        self.links.resize(size, UNLINKED);
        for number in oldest..self.next {
            let live = old[(number - 1) as usize & mask];
            if number < self.unlinked {
                self.link(number, live.fingerprint.core, live.hooks[0]);
            }
            let place = self.place(number);
            self.packets[place] = live;
        }
    }

    /// Puts a packet at the head of its chain.
    fn link(&mut self, number: u64, core: u64, hook: Hook) {
        let bucket = self.bucket(core);
        let tag = tag(core);
        let older = self.heads[bucket];
        // Where the older one has left the ring, so have those behind it, whatever is read here.
        let next = self.links[self.place(self.number(older).max(1))];
        let other = if (next.tag, next.hook) == (tag, hook) {
            next.other
        } else {
            older
        };
        let place = self.place(number);
        self.links[place] = Link {
            older,
            tag,
            hook,
            other,
        };
        // Truncation on purpose: see `number`.
        self.heads[bucket] = number as u32;
    }

    fn oldest(&self) -> u64 {
        self.next
            .saturating_sub(self.packets.len() as u64)
            .max(self.floor)
    }

    fn place(&self, number: u64) -> usize {
        // The size is a power of two; truncation doesn't reach the bits that count.
        (number - 1) as usize & (self.heads.len() - 1)
    }

    fn bucket(&self, core: u64) -> usize {
        core as usize & (self.heads.len() - 1)
    }

    /// A packet, while it is remembered.
    pub(in crate::flow) fn get(&self, number: u64) -> Option<&Live> {
        if number < self.oldest() || number >= self.next {
            return None;
        }
        self.packets.get(self.place(number))
    }

    /// Likewise, to change it.
    pub(in crate::flow) fn get_mut(&mut self, number: u64) -> Option<&mut Live> {
        if number < self.oldest() || number >= self.next {
            return None;
        }
        let place = self.place(number);
        self.packets.get_mut(place)
    }

    /// The packet whose number ends in these 32 bits.
    pub(in crate::flow) fn number(&self, low: u32) -> u64 {
        let newest = self.next.saturating_sub(1);
        // The difference modulo 2^32: the ring is far smaller.
        let back = (newest as u32).wrapping_sub(low);
        newest.saturating_sub(u64::from(back))
    }

    /// Looks at where the search for such a packet begins: the low bits of a packet's number.
    pub(in crate::flow) fn peek(&self, fingerprint: Fingerprint) -> u32 {
        self.heads[self.bucket(fingerprint.core)]
    }

    /// Looks at that packet's place in its chain.
    pub(in crate::flow) fn peek_link(&self, low: u32) -> u32 {
        // The low bits are all that a place takes.
        self.links[low.wrapping_sub(1) as usize & (self.heads.len() - 1)].tag
    }

    /// The packets that may be one that is now seen on `hook`, newest first. Those that were first
    /// seen there are none of them.
    pub(in crate::flow) fn look_alikes(
        &self,
        fingerprint: Fingerprint,
        hook: Hook,
    ) -> impl Iterator<Item = (u64, &Live)> {
        let oldest = self.oldest();
        let tag = tag(fingerprint.core);
        let mut before = self.next;
        let mut at = self.heads[self.bucket(fingerprint.core)];
        let mut steps = 0;
        std::iter::from_fn(move || {
            while steps < MAX_SEARCH {
                steps += 1;
                // An empty chain's end reads as a number far back, or as the next one.
                let number = self.number(at);
                if number < oldest || number >= before {
                    return None;
                }
                before = number;
                let link = &self.links[self.place(number)];
                if link.tag != tag {
                    at = link.older;
                } else if link.hook == hook {
                    at = link.other;
                } else {
                    at = link.older;
                    if let Some(live) = self.get(number)
                        && live.fingerprint.agrees(fingerprint)
                    {
                        return Some((number, live));
                    }
                }
            }
            None
        })
    }

    /// The first packet after `number` that had `identity` by `time`.
    pub(in crate::flow) fn reused(&self, number: u64, identity: u64, time: u64) -> bool {
        (number + 1..self.next)
            .map_while(|later| self.get(later))
            .take_while(|live| live.first <= time)
            .any(|live| live.identity == NonZeroU64::new(identity))
    }

    /// The flow of the packet that had `identity` last by `time`, among the newest `most`.
    pub(in crate::flow) fn holder(&self, identity: u64, time: u64, most: usize) -> Option<FlowRef> {
        let identity = NonZeroU64::new(identity)?;
        (self.oldest()..self.next)
            .rev()
            .take(most)
            .map_while(|number| self.get(number))
            .find(|live| live.first <= time && live.identity == Some(identity))
            .map(|live| live.flow)
    }

    /// Those first seen at or after `since`, newest first.
    pub(in crate::flow) fn each_since(&mut self, since: u64, mut change: impl FnMut(&mut Live)) {
        let oldest = self.oldest();
        for number in (oldest..self.next).rev() {
            let place = self.place(number);
            let live = &mut self.packets[place];
            if live.first < since {
                return;
            }
            change(live);
        }
    }

    /// How many packets there were.
    pub(in crate::flow) const fn count(&self) -> u64 {
        self.next - 1
    }

    /// Room in use: packets.
    #[cfg(test)]
    pub(in crate::flow) fn capacity(&self) -> usize {
        self.heads.len()
    }
}
