//! Records out of the rings into the order of time, and what is known of those that are still to come.

use super::{BATCH, Mover};
use crate::error::Error;
use crate::kernel::batches::Complete;
use crate::kernel::ring::Next;
use crate::kernel::rings::Walk;
use crate::session::clock::{self, Offset};
use crate::session::mover::messages::Event;
use crate::session::order::{Horizon, Waiting};
use crate::session::stop::StopReason;

/// What a ring's part in [`BATCH`] is no smaller than.
const PART: usize = 512;
/// Nanoseconds after which a CPU's writes are seen by all others, whatever it does: it takes a fraction
/// of a microsecond.
const SETTLED: u64 = 20_000;
/// After how many rounds in which nothing moves the oldest batch that finds no room is left behind, to be
/// written late. Other CPUs that went on in that ring may have filled it up.
const STUCK: u32 = 2;

impl Mover {
    /// Puts a batch of records in order, as far as the rings have any.
    pub(super) fn collect(&mut self) -> Horizon {
        if let Some(step) = self.clock.update(Offset::measure()) {
            let _ = self.events.send(Event::ClockStep(step));
        }
        // Both clocks are the kernel's. What a CPU wrote so long ago, it shows to all.
        let now = clock::monotonic().saturating_sub(SETTLED);
        let flushed = if self.ended.is_some() {
            // Past the limit: only make room.
            self.rings.drain(|_, _| {})
        } else {
            self.rings.flush(now)
        };
        if let Err(error) = flushed {
            self.end(StopReason::Failure(Error::failure(format!(
                "can't have the kernel give out packets: {error}"
            ))));
        }
        if self.ended.is_some() {
            return Horizon::EmptyAt(now);
        }
        let part = (BATCH / self.rings.count().max(1)).max(PART);
        let mut until = Some(now);
        self.busy = false;
        // Only what holds up all others.
        let left_behind = (self.stuck >= STUCK)
            .then(|| self.rings.first_without_room())
            .flatten();
        for ring in 0..self.rings.count() {
            if self.rings.look(ring) {
                let complete = match self.rings.complete(ring) {
                    Complete::Now => now,
                    Complete::Before(stamp) if Some(stamp) == left_behind => now,
                    Complete::Before(stamp) => now.min(stamp.saturating_sub(1)),
                    Complete::Unknown => 0,
                };
                self.order.look(ring, complete);
            }
            if self.collect_from(ring, part) {
                let looked = self.order.found_all(ring);
                until = until.map(|until| until.min(looked));
            } else {
                self.order.found_more(ring);
                until = None;
            }
        }
        until.map_or(Horizon::Unknown, Horizon::EmptyAt)
    }

    /// Counts the rounds in which nothing moves though a ring has no room for what its CPU has gathered:
    /// what is in the rings is later than that, and waits for it.
    pub(super) fn count_stuck(&mut self, waiting: usize, ready: &[Waiting]) {
        let moves = self.order.len() != waiting || !ready.is_empty() || !self.held.is_empty();
        self.stuck = if moves || !self.rings.are_lacking() {
            0
        } else {
            self.stuck + 1
        };
    }

    /// Takes up to so many records from a ring; whether that is all that was there at the last look.
    fn collect_from(&mut self, ring: usize, at_most: usize) -> bool {
        let owner = self.rings.owner(ring);
        let mut left = at_most;
        while left > 0 {
            let (ids, order) = (&mut self.ids, &mut self.order);
            let mut unknown = false;
            let next = self.rings.walk(ring, |place, heading| {
                left -= 1;
                let stamp = heading.stamp;
                let in_order = owner.is_none_or(|owner| owner == heading.cpu);
                order.push(Waiting { stamp, place }, in_order);
                unknown = !ids.is_known(heading.interface, stamp);
                if unknown || left == 0 {
                    Walk::Enough
                } else {
                    Walk::On
                }
            });
            if unknown {
                // It joined after the last look at the orders.
                self.obey();
            }
            match next {
                Next::Record(_) => {}
                Next::Empty => return true,
                Next::Busy => {
                    self.busy = true;
                    return false;
                }
            }
        }
        false
    }
}
