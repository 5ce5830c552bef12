//! Records into time order, while they lie in the ring.
//!
//! The kernel side stamps a record after it reserved it. So once the ring was found empty at some
//! moment, whatever appears later is stamped later: all that was found up to then can go on, in
//! order, and nothing can come that belongs before it. Only while the ring never runs empty a
//! window must do: a record can be late by no more than the time that a CPU took from reserving
//! to stamping.

/// Nanoseconds that a record may be late by while the ring doesn't run empty. Reserving and
/// stamping are some 20 ns apart, unless the hypervisor takes the CPU away in between.
pub const WINDOW: u64 = 5_000_000;

/// A record that waits: when it was stamped, and where in the ring it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The kernel side's stamp.
    pub stamp: u64,
    /// Its position in the ring.
    pub position: u64,
}

/// The records that wait for their turn.
#[derive(Debug, Default)]
pub struct Order {
    waiting: Vec<Waiting>,
    /// The latest stamp seen.
    latest: u64,
}

/// What is known about records that haven't appeared yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// The ring was found empty, at a time no earlier than this: they are stamped later.
    EmptyAt(u64),
    /// It wasn't: [`WINDOW`] must do.
    Unknown,
}

impl Order {
    /// Takes a record.
    pub fn push(&mut self, record: Waiting) {
        self.latest = self.latest.max(record.stamp);
        self.waiting.push(record);
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
    pub fn take(&mut self, horizon: Horizon, ready: &mut Vec<Waiting>) {
        // Nearly sorted already: this sort takes a single pass then.
        self.waiting.sort();
        let count = match horizon {
            Horizon::EmptyAt(time) => self.waiting.partition_point(|record| record.stamp <= time),
            Horizon::Unknown => {
                let time = self.latest.saturating_sub(WINDOW);
                self.waiting.partition_point(|record| record.stamp <= time)
            }
        };
        ready.extend(self.waiting.drain(..count));
    }

    /// The position before which no waiting record lies: the ring up to there can be given back.
    #[must_use]
    pub fn oldest_position(&self) -> Option<u64> {
        self.waiting.iter().map(|record| record.position).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(stamp: u64, position: u64) -> Waiting {
        Waiting { stamp, position }
    }

    #[test]
    fn what_was_found_before_the_ring_was_empty_comes_out_in_order() {
        let mut order = Order::default();
        for (position, stamp) in [(0, 30), (8, 10), (16, 20), (24, 99)] {
            order.push(record(stamp, position));
        }
        let mut ready = Vec::new();
        order.take(Horizon::EmptyAt(40), &mut ready);
        assert_eq!(ready, [record(10, 8), record(20, 16), record(30, 0)]);
        assert_eq!(order.oldest_position(), Some(24));
        order.take(Horizon::EmptyAt(u64::MAX), &mut ready);
        assert_eq!(ready[3], record(99, 24));
        assert!(order.is_empty() && order.oldest_position().is_none());
    }

    #[test]
    fn records_of_one_instant_keep_the_order_of_the_ring() {
        let mut order = Order::default();
        order.push(record(7, 16));
        order.push(record(7, 8));
        let mut ready = Vec::new();
        order.take(Horizon::EmptyAt(u64::MAX), &mut ready);
        assert_eq!(ready, [record(7, 8), record(7, 16)]);
    }

    proptest! {
        #[test]
        fn records_late_by_less_than_the_window_come_out_in_order_and_none_is_lost(
            records in prop::collection::vec((0..100_000u64, 0..WINDOW), 1..300),
            batch in 1..20usize,
        ) {
            // Reserved in this order; stamped up to a window later.
            let mut reserved = 0;
            let stamped: Vec<_> = records
                .iter()
                .enumerate()
                .map(|(index, (gap, delay))| {
                    reserved += gap;
                    record(reserved + delay, index as u64 * 8)
                })
                .collect();
            let mut order = Order::default();
            let mut ready = Vec::new();
            for batch in stamped.chunks(batch) {
                batch.iter().for_each(|record| order.push(*record));
                order.take(Horizon::Unknown, &mut ready);
            }
            order.take(Horizon::EmptyAt(u64::MAX), &mut ready);
            prop_assert_eq!(ready.len(), stamped.len());
            prop_assert!(ready.is_sorted_by_key(|record| record.stamp));
        }
    }
}
