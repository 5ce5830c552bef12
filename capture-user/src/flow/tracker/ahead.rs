//! Sightings a few at a time, so that the memory they need is fetched at once.
//!
//! Where each packet is of another flow, what it touches is in no cache: a bucket, an entry, a
//! flow, one behind the other, each a wait of a hundred nanoseconds. Of packets that don't depend
//! on each other the processor waits for many at a time. So what a few packets are going to need
//! is looked at first, a step for all of them before the next step, and only then each is taken.
//! Looking changes nothing: what a packet changes for the one behind it costs that one a wait.

use std::hint::black_box;

use super::super::bindings::Sought;
use super::super::fingerprint::Fingerprint;
use super::super::live::Hook;
use super::super::parse::{Content, ordinary, parse, parse_inner};
use super::super::sighting::Sighting;
use super::super::tuple::Tuple;
use super::{Ticket, Tracker};
use crate::session::frame::Link;

/// Sightings in one go. Processors wait for ten to twenty cache lines at a time.
const AHEAD: usize = 32;

/// So many flows, at some 300 bytes each, stay in a processor's second cache.
const NEAR: usize = 1_000;

/// What a frame says: as [`super::super::parse::Parsed`], but for the tuple.
#[derive(Debug)]
pub(super) struct Read {
    /// What its flow is searched by, if it has one.
    pub(super) sought: Option<Sought>,
    pub(super) content: Content,
    pub(super) fingerprint: Fingerprint,
    pub(super) ttl: u8,
}

impl Read {
    /// Whom it belongs to.
    pub(super) fn tuple(&self) -> Option<Tuple> {
        self.sought.as_ref().map(Sought::tuple)
    }
}

impl Tracker {
    /// Takes sightings, in time order, as [`Tracker::see`] does each of them, and adds a ticket
    /// for each. With many flows it is several times faster.
    pub fn see_all(&mut self, sightings: &[Sighting<'_>], tickets: &mut Vec<Option<Ticket>>) {
        let mut ahead = std::mem::take(&mut self.ahead);
        for sightings in sightings.chunks(AHEAD) {
            if self.is_near(sightings) {
                tickets.extend(sightings.iter().map(|sighting| self.see(sighting)));
                continue;
            }
            ahead.clear();
            ahead.extend(sightings.iter().map(|sighting| self.read(sighting)));
            self.fetch(sightings, &ahead);
            for (sighting, read) in sightings.iter().zip(&ahead) {
                tickets.push(self.take(sighting, read.as_ref()));
            }
        }
        self.ahead = ahead;
    }

    /// Whether what these are going to need is in a cache, most likely: so few flows are, and of
    /// packets on one hook the others aren't needed.
    fn is_near(&self, sightings: &[Sighting<'_>]) -> bool {
        self.table.len() <= NEAR
            && sightings.first().is_none_or(|sighting| {
                let hook = Hook::new(sighting.interface, sighting.direction);
                let window = self.config.window;
                !self.packets.can_know(hook, sighting.time, window)
            })
    }

    /// Reads a frame. `None` if it is too short to say anything of.
    #[inline]
    pub(super) fn read(&self, sighting: &Sighting<'_>) -> Option<Read> {
        if sighting.link == Link::Ethernet
            && !self.config.inner
            && let Some(mut read) = ordinary(sighting.frame, sighting.original_len, &self.hash)
        {
            if let Content::Tcp { segment, .. } = &mut read.content {
                segment.time = sighting.time;
            }
            return Some(Read {
                sought: Some(self.table.bindings.sought_of(&read.ends)),
                content: read.content,
                fingerprint: read.fingerprint,
                ttl: read.ttl,
            });
        }
        self.read_any(sighting)
    }

    #[inline(never)]
    fn read_any(&self, sighting: &Sighting<'_>) -> Option<Read> {
        let parse = if self.config.inner {
            parse_inner
        } else {
            parse
        };
        let mut parsed = parse(
            sighting.link,
            sighting.frame,
            sighting.original_len,
            &self.hash,
        )?;
        if let Content::Tcp { segment, .. } = &mut parsed.content {
            segment.time = sighting.time;
        }
        let tuple = parsed.tuple.as_ref();
        Some(Read {
            sought: tuple.and_then(|tuple| self.table.bindings.sought(tuple)),
            content: parsed.content,
            fingerprint: parsed.fingerprint,
            ttl: parsed.ttl,
        })
    }

    /// Looks at what these packets are going to need.
    fn fetch(&self, sightings: &[Sighting<'_>], ahead: &[Option<Read>]) {
        let mut newest = [None; AHEAD];
        let mut buckets = [None; AHEAD];
        for (index, (sighting, read)) in sightings.iter().zip(ahead).enumerate().take(AHEAD) {
            let Some(read) = read else { continue };
            let hook = Hook::new(sighting.interface, sighting.direction);
            let can_know = self
                .packets
                .can_know(hook, sighting.time, self.config.window);
            newest[index] = can_know.then(|| self.packets.peek(read.fingerprint));
            if let Some(sought) = &read.sought {
                buckets[index] = self
                    .table
                    .bindings
                    .first(self.table.bindings.bucket(sought));
            }
        }
        let mut slots = [None; AHEAD];
        for index in 0..ahead.len().min(AHEAD) {
            black_box(newest[index].map(|newest| self.packets.peek_link(newest)));
            slots[index] = buckets[index].and_then(|entry| self.table.bindings.slot_at(entry));
        }
        for slot in slots.into_iter().flatten() {
            self.table.touch(slot);
        }
    }
}
