//! Sightings a few at a time, so that the memory they need is fetched at once.
//!
//! Where each packet is of another flow, what it touches is in no cache: a bucket, an entry, a
//! flow, one behind the other, each a wait of a hundred nanoseconds. Of packets that don't depend
//! on each other the processor waits for many at a time. So what a few packets are going to need
//! is looked at first, a step for all of them before the next step, and only then each is taken.
//! Looking changes nothing: what a packet changes for the one behind it costs that one a wait.

use std::hint::black_box;

use super::super::bindings::Sought;
use super::super::parse::{Parsed, parse, parse_inner};
use super::super::sighting::Sighting;
use super::{Ticket, Tracker};

/// Sightings in one go. Processors wait for ten to twenty cache lines at a time.
const AHEAD: usize = 32;

/// What a frame says, and what its flow is searched by.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) parsed: Parsed,
    pub(super) sought: Option<Sought>,
}

impl Tracker {
    /// Takes sightings, in time order, as [`Tracker::see`] does each of them, and adds a ticket
    /// for each. With many flows it is several times faster.
    pub fn see_all(&mut self, sightings: &[Sighting<'_>], tickets: &mut Vec<Option<Ticket>>) {
        let mut ahead = std::mem::take(&mut self.ahead);
        for sightings in sightings.chunks(AHEAD) {
            ahead.clear();
            ahead.extend(sightings.iter().map(|sighting| self.read(sighting)));
            self.fetch(&ahead);
            for (sighting, read) in sightings.iter().zip(&ahead) {
                tickets.push(self.take(sighting, read.as_ref()));
            }
        }
        self.ahead = ahead;
    }

    /// Reads a frame. `None` if it is too short to say anything of.
    pub(super) fn read(&self, sighting: &Sighting<'_>) -> Option<Read> {
        let parse = if self.config.inner {
            parse_inner
        } else {
            parse
        };
        let parsed = parse(
            sighting.link,
            sighting.frame,
            sighting.original_len,
            &self.hash,
        )?;
        let sought = match &parsed.tuple {
            Some(tuple) => self.table.bindings.sought(tuple),
            None => None,
        };
        Some(Read { parsed, sought })
    }

    /// Looks at what these packets are going to need.
    fn fetch(&self, ahead: &[Option<Read>]) {
        let mut newest = [0; AHEAD];
        let mut buckets = [None; AHEAD];
        for (index, read) in ahead.iter().enumerate().take(AHEAD) {
            let Some(read) = read else { continue };
            newest[index] = self.packets.peek(read.parsed.fingerprint);
            if let Some(sought) = &read.sought {
                buckets[index] = self
                    .table
                    .bindings
                    .first(self.table.bindings.bucket(sought));
            }
        }
        let mut slots = [None; AHEAD];
        for index in 0..ahead.len().min(AHEAD) {
            black_box(self.packets.peek_link(newest[index]));
            slots[index] = buckets[index].and_then(|entry| self.table.bindings.slot_at(entry));
        }
        for slot in slots.into_iter().flatten() {
            self.table.touch(slot);
        }
    }
}
