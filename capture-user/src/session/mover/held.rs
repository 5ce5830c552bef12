//! Packets that were looked at and wait to be written.

use std::collections::VecDeque;

use crate::flow::tracker::Ticket;
use crate::session::order::Waiting;

/// A packet that was looked at, and waits for what may still be learned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) waiting: Waiting,
    pub(super) ticket: Option<Ticket>,
}

/// Those packets, in the order of time, and how far back in the ring they reach.
#[derive(Debug, Default)]
pub(super) struct Queue {
    held: VecDeque<Held>,
    /// The positions that nobody behind them in the queue undercuts, ascending: the first is the
    /// lowest of all. The order of time is nearly that of the ring, so nearly all are in here.
    lowest: VecDeque<u64>,
}

impl Queue {
    /// Takes the next one.
    pub(super) fn push(&mut self, held: Held) {
        let position = held.waiting.position;
        while self
            .lowest
            .pop_back_if(|lowest| *lowest > position)
            .is_some()
        {}
        self.lowest.push_back(position);
        self.held.push_back(held);
    }

    /// The first.
    pub(super) fn front(&self) -> Option<&Held> {
        self.held.front()
    }

    /// Takes the first out.
    pub(super) fn pop(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.lowest
            .pop_front_if(|lowest| *lowest == held.waiting.position);
        Some(held)
    }

    /// The position before which none of them lies in the ring.
    pub(super) fn oldest_position(&self) -> Option<u64> {
        self.lowest.front().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.lowest.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_lowest_position_is_that_of_all_that_wait(
            // Positions nearly in order, each once, and how many are taken out after each.
            steps in prop::collection::vec((0..40u64, 0..3usize), 1..200),
        ) {
            let mut queue = Queue::default();
            let mut model: VecDeque<u64> = VecDeque::new();
            for (index, (jitter, taken)) in steps.into_iter().enumerate() {
                let position = (index as u64 * 7 + jitter) * 1_000 + index as u64;
                let waiting = Waiting { stamp: 0, position };
                queue.push(Held { waiting, ticket: None });
                model.push_back(position);
                for _ in 0..taken {
                    prop_assert_eq!(
                        queue.pop().map(|held| held.waiting.position),
                        model.pop_front()
                    );
                }
                prop_assert_eq!(queue.oldest_position(), model.iter().copied().min());
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}
