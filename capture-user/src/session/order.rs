//! Records into time order, while they lie in the rings.
//!
//! The kernel side stamps a record after it reserved it. So what isn't there when a ring is looked
//! at, is stamped later. Once all is read that was there, nothing can come that is stamped before
//! that look. Only while there is more than is read at a time, or a record is still being written,
//! a window must do: behind the latest record that was seen in it, one can be late by no more than
//! the time that a CPU took from reserving to stamping.
//!
//! So of each ring it is known up to when all of it was seen. What is older than that in every
//! ring can go on, in order, and nothing can come that belongs before it.

use crate::kernel::ring::Place;

/// Nanoseconds that a record may be late by while its ring isn't read to the end. Reserving and
/// stamping are some 20 ns apart, unless the hypervisor takes the CPU away in between.
pub const WINDOW: u64 = 5_000_000;

/// A record that waits: when it was stamped, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The kernel side's stamp.
    pub stamp: u64,
    /// Its place in its ring.
    pub place: Place,
}

/// What is known about a ring.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The latest stamp seen in it.
    latest: u64,
    /// When it was looked at what there is, or before.
    looked: u64,
    /// All that was stamped by then was seen.
    until: u64,
}

/// The records that wait for their turn.
#[derive(Debug)]
pub struct Order {
    waiting: Vec<Waiting>,
    /// By the rings' numbers.
    rings: Vec<Known>,
}

/// What is known about records that haven't appeared yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// All was read that was in the rings when they were looked at, none of them before this: they
    /// are stamped later.
    EmptyAt(u64),
    /// There is more in one of them: [`WINDOW`] must do.
    Unknown,
}

impl Order {
    /// An order for the records of so many rings.
    #[must_use]
    pub fn new(rings: usize) -> Self {
        Self {
            waiting: Vec::new(),
            rings: vec![Known::default(); rings],
        }
    }

    /// Takes a record. `in_order`: none comes later in its ring that is older by more than [`WINDOW`].
    pub fn push(&mut self, record: Waiting, in_order: bool) {
        if in_order && let Some(known) = self.rings.get_mut(record.place.ring()) {
            known.latest = known.latest.max(record.stamp);
        }
        self.waiting.push(record);
    }

    /// What there is in a ring is looked at, at a time no earlier than `time`.
    pub fn look(&mut self, ring: usize, time: u64) {
        if let Some(known) = self.rings.get_mut(ring) {
            known.looked = known.looked.max(time);
        }
    }

    /// All was taken that was in a ring when it was looked at. Returns when that was.
    pub fn found_all(&mut self, ring: usize) -> u64 {
        self.rings.get_mut(ring).map_or(0, |known| {
            known.until = known.until.max(known.looked);
            known.looked
        })
    }

    /// There is more in a ring than could be taken now.
    pub fn found_more(&mut self, ring: usize) {
        if let Some(known) = self.rings.get_mut(ring) {
            known.until = known.until.max(known.latest.saturating_sub(WINDOW));
        }
    }

    /// The stamp of the first that still waits after [`Order::take`].
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.waiting.first().map(|record| record.stamp)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Moves those whose turn has come to the end of `ready`, by time, and by place in the ring
    /// where the time is the same.
    pub fn take(&mut self, ready: &mut Vec<Waiting>) {
        // Each ring's are nearly sorted already: this sort finds such runs and merges them.
        self.waiting.sort();
        let until = self.rings.iter().map(|known| known.until).min();
        let until = until.unwrap_or(0);
        let count = self.waiting.partition_point(|record| record.stamp <= until);
        ready.extend(self.waiting.drain(..count));
    }

    /// Lowers each ring's place in `lowest` to that of the first record that waits in it.
    pub fn lowest_places(&self, lowest: &mut [Option<Place>]) {
        lower(lowest, &self.waiting);
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// Lowers each ring's place in `lowest` to that of the first of these records that lies in it.
pub fn lower(lowest: &mut [Option<Place>], records: &[Waiting]) {
    for record in records {
        if let Some(place) = lowest.get_mut(record.place.ring()) {
            *place = Some(place.map_or(record.place, |place| place.min(record.place)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(stamp: u64, position: u64) -> Waiting {
        in_ring(0, stamp, position)
    }

    fn in_ring(ring: u32, stamp: u64, position: u64) -> Waiting {
        let place = Place::new(ring, position);
        Waiting { stamp, place }
    }

    fn found_empty(order: &mut Order, ring: usize, time: u64) {
        order.look(ring, time);
        order.found_all(ring);
    }

    #[test]
    fn what_was_found_before_the_ring_was_empty_comes_out_in_order() {
        let mut order = Order::new(1);
        for (position, stamp) in [(0, 30), (8, 10), (16, 20), (24, 99)] {
            order.push(record(stamp, position), true);
        }
        let mut ready = Vec::new();
        found_empty(&mut order, 0, 40);
        order.take(&mut ready);
        assert_eq!(ready, [record(10, 8), record(20, 16), record(30, 0)]);
        let mut lowest = [None];
        order.lowest_places(&mut lowest);
        assert_eq!(lowest, [Some(Place::new(0, 24))]);
        found_empty(&mut order, 0, u64::MAX);
        order.take(&mut ready);
        assert_eq!(ready[3], record(99, 24));
        assert!(order.is_empty());
    }

    #[test]
    fn records_of_one_instant_keep_the_order_of_the_ring() {
        let mut order = Order::new(1);
        order.push(record(7, 16), true);
        order.push(record(7, 8), true);
        let mut ready = Vec::new();
        found_empty(&mut order, 0, u64::MAX);
        order.take(&mut ready);
        assert_eq!(ready, [record(7, 8), record(7, 16)]);
    }

    #[test]
    fn a_ring_of_which_less_is_known_holds_the_others_back() {
        let mut order = Order::new(3);
        let late = 10 * WINDOW;
        order.push(in_ring(0, late, 0), true);
        order.push(in_ring(1, 40, 0), true);
        order.push(in_ring(1, 2 * WINDOW, 8), true);
        let mut ready = Vec::new();
        // Nothing is known of the third one yet.
        found_empty(&mut order, 0, late + 1);
        order.found_more(1);
        order.take(&mut ready);
        assert_eq!(ready, []);
        // The second one may still hold what belongs before its own last.
        found_empty(&mut order, 2, late + 1);
        order.take(&mut ready);
        assert_eq!(ready, [in_ring(1, 40, 0)]);
        found_empty(&mut order, 1, late + 1);
        order.take(&mut ready);
        assert_eq!(ready[1..], [in_ring(1, 2 * WINDOW, 8), in_ring(0, late, 0)]);
    }

    #[test]
    fn what_was_there_at_a_look_goes_on_though_more_has_come_since() {
        let mut order = Order::new(1);
        order.look(0, 50);
        order.push(record(20, 0), true);
        order.push(record(60, 8), true);
        order.found_more(0);
        let mut ready = Vec::new();
        order.take(&mut ready);
        assert_eq!(ready, []);
        assert_eq!(order.found_all(0), 50);
        order.take(&mut ready);
        assert_eq!(ready, [record(20, 0)]);
    }

    #[test]
    fn a_record_that_is_still_written_takes_back_nothing_of_what_was_known() {
        let mut order = Order::new(1);
        found_empty(&mut order, 0, 10 * WINDOW);
        order.push(record(10 * WINDOW, 0), true);
        order.found_more(0);
        let mut ready = Vec::new();
        order.take(&mut ready);
        assert_eq!(ready, [record(10 * WINDOW, 0)]);
    }

    proptest! {
        #[test]
        fn records_late_by_less_than_the_window_come_out_in_order_and_none_is_lost(
            records in prop::collection::vec((0..100_000u64, 0..WINDOW, 0..3u32), 1..300),
            batches in prop::collection::vec((0..3usize, 1..20usize), 1..60),
        ) {
            // In each ring reserved in this order; stamped up to a window later.
            let mut reserved = 0;
            let mut rings = [const { Vec::new() }; 3];
            for (index, (gap, delay, ring)) in records.iter().enumerate() {
                reserved += gap;
                let record = in_ring(*ring, reserved + delay, index as u64 * 8);
                rings[*ring as usize].push(record);
            }
            let count = records.len();
            let mut order = Order::new(3);
            let mut ready = Vec::new();
            let mut left = rings.map(Vec::into_iter);
            for (ring, batch) in batches {
                left[ring].by_ref().take(batch).for_each(|record| order.push(record, true));
                order.found_more(ring);
                order.take(&mut ready);
            }
            for (ring, left) in left.into_iter().enumerate() {
                left.for_each(|record| order.push(record, true));
                found_empty(&mut order, ring, u64::MAX);
                order.take(&mut ready);
            }
            prop_assert_eq!(ready.len(), count);
            prop_assert!(ready.is_sorted_by_key(|record| record.stamp));
        }
    }
}
