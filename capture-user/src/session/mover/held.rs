//! Packets that were looked at and wait to be written.

use std::collections::VecDeque;

use crate::flow::tracker::Ticket;
use crate::kernel::ring::Place;
use crate::session::order::Waiting;

/// A packet that was looked at, and waits for what may still be learned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) waiting: Waiting,
    pub(super) ticket: Option<Ticket>,
}

/// Those packets, in the order of time, and how far back in the rings they reach.
#[derive(Debug, Default)]
pub(super) struct Queue {
    held: VecDeque<Held>,
    /// Of each ring the places that nobody behind them in the queue undercuts, ascending: the first
    /// is the lowest of all. The order of time is nearly that of a ring, so nearly all are in here.
    lowest: Vec<VecDeque<Place>>,
}

impl Queue {
    /// A queue for the records of so many rings.
    pub(super) fn new(rings: usize) -> Self {
        Self {
            held: VecDeque::new(),
            lowest: vec![VecDeque::new(); rings],
        }
    }

    /// Takes the next one.
    pub(super) fn push(&mut self, held: Held) {
        let place = held.waiting.place;
        if let Some(lowest) = self.lowest.get_mut(place.ring()) {
            while lowest.pop_back_if(|lowest| *lowest > place).is_some() {}
            lowest.push_back(place);
        }
        self.held.push_back(held);
    }

    /// All of them, the first one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Held> {
        self.held.iter().copied()
    }

    /// The first.
    pub(super) fn front(&self) -> Option<&Held> {
        self.held.front()
    }

    /// Takes the first out.
    pub(super) fn pop(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        let place = held.waiting.place;
        if let Some(lowest) = self.lowest.get_mut(place.ring()) {
            lowest.pop_front_if(|lowest| *lowest == place);
        }
        Some(held)
    }

    /// Of each ring the place before which none of them lies.
    pub(super) fn lowest_places(&self) -> impl Iterator<Item = Option<Place>> {
        self.lowest.iter().map(|lowest| lowest.front().copied())
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.lowest.iter_mut().for_each(VecDeque::clear);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_lowest_places_are_those_of_all_that_wait(
            // Positions nearly in order, each once, and how many are taken out after each.
            steps in prop::collection::vec((0..40u64, 0..2u32, 0..3usize), 1..200),
        ) {
            let mut queue = Queue::new(2);
            let mut model: VecDeque<Place> = VecDeque::new();
            for (index, (jitter, ring, taken)) in steps.into_iter().enumerate() {
                let position = ((index as u64 * 7 + jitter) * 1_000 + index as u64) * 8;
                let place = Place::new(ring, position);
                let waiting = Waiting { stamp: 0, place };
                queue.push(Held { waiting, ticket: None });
                model.push_back(place);
                for _ in 0..taken {
                    prop_assert_eq!(
                        queue.pop().map(|held| held.waiting.place),
                        model.pop_front()
                    );
                }
                let lowest = [0, 1].map(|ring| {
                    model.iter().copied().filter(|place| place.ring() == ring).min()
                });
                prop_assert_eq!(queue.lowest_places().collect::<Vec<_>>(), lowest);
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}
