//! What is kept by interface, where interfaces come and go for weeks.
//!
//! Ids are counted up and never given again, so that no two interfaces are ever taken for each other. What is
//! known of one is kept while it is there and while anything of it is under way: a [`Roster`]. Of those that
//! are gone the last [`GONE`] are still accounted for one by one, the others together: [`Gone`]. So memory
//! doesn't grow with the number of interfaces that there ever were.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::packet::InterfaceId;

/// How many interfaces that are gone are accounted for one by one. Where pods come and go for weeks, each
/// with an interface of its own name, whoever reads the ledger or the figures would drown in the others.
pub(super) const GONE: usize = 1_000;

/// Something for each interface that is known, by its id.
///
/// A list, since ids are given in ascending order: whoever asks for packet after packet, which are
/// mostly of one interface, finds its place where it was the last time.
#[derive(Clone, Debug)]
pub(super) struct Roster<T> {
    /// Ascending.
    ids: Vec<InterfaceId>,
    /// Of each id at its place.
    all: Vec<T>,
    /// The place that was asked for last.
    last: Cell<usize>,
}

impl<T> Default for Roster<T> {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            all: Vec::new(),
            last: Cell::new(0),
        }
    }
}

impl<T> Roster<T> {
    #[inline]
    fn place(&self, id: InterfaceId) -> Option<usize> {
        let last = self.last.get();
        if self.ids.get(last) == Some(&id) {
            return Some(last);
        }
        let place = self.ids.binary_search(&id).ok()?;
        self.last.set(place);
        Some(place)
    }

    pub(super) fn insert(&mut self, id: InterfaceId, what: T) {
        match self.ids.binary_search(&id) {
            Ok(place) => self.all[place] = what,
            Err(place) => {
                self.ids.insert(place, id);
                self.all.insert(place, what);
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, id: InterfaceId) -> Option<&T> {
        self.all.get(self.place(id)?)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: InterfaceId) -> Option<&mut T> {
        let place = self.place(id)?;
        self.all.get_mut(place)
    }

    pub(super) fn remove(&mut self, id: InterfaceId) -> Option<T> {
        let place = self.ids.binary_search(&id).ok()?;
        self.ids.remove(place);
        Some(self.all.remove(place))
    }

    /// All of them, in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (InterfaceId, &T)> {
        self.ids.iter().copied().zip(&self.all)
    }

    /// All of them, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.iter_mut()
    }
}

/// What several interfaces can have together.
pub(super) trait Together: Default {
    /// Adds another one's to it.
    fn add(&mut self, other: &Self);
}

impl Together for capture_common::counters::Counters {
    fn add(&mut self, other: &Self) {
        *self = self.plus(other);
    }
}

/// What the interfaces came to that are gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Gone<T> {
    last: VecDeque<(InterfaceId, String, T)>,
    older: (u64, T),
}

impl<T: Together> Gone<T> {
    /// One more is gone. The one that is gone for longest may join the others.
    pub(super) fn push(&mut self, id: InterfaceId, name: String, what: T) {
        self.last.push_back((id, name, what));
        while self.last.len() > GONE
            && let Some((_, _, oldest)) = self.last.pop_front()
        {
            self.older.0 += 1;
            self.older.1.add(&oldest);
        }
    }

    /// The last ones, in the order in which they went.
    pub(super) fn last(&self) -> impl Iterator<Item = (InterfaceId, &str, &T)> {
        let last = self.last.iter();
        last.map(|(id, name, what)| (*id, name.as_str(), what))
    }

    /// How many there were before those, and what they came to together.
    pub(super) fn older(&self) -> (u64, &T) {
        (self.older.0, &self.older.1)
    }

    /// Where what is learned of one that is gone belongs.
    pub(super) fn of(&mut self, id: InterfaceId) -> &mut T {
        match self.last.iter_mut().find(|(known, _, _)| *known == id) {
            Some((_, _, what)) => what,
            None => &mut self.older.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Together for u64 {
        fn add(&mut self, other: &Self) {
            *self += other;
        }
    }

    proptest! {
        #[test]
        fn a_roster_has_what_a_map_would_have(
            steps in prop::collection::vec((0..3u8, 0..20 as InterfaceId), 1..100),
        ) {
            let mut roster = Roster::default();
            let mut map = BTreeMap::new();
            for (index, (kind, id)) in steps.into_iter().enumerate() {
                match kind {
                    0 => {
                        roster.insert(id, index);
                        map.insert(id, index);
                    }
                    1 => prop_assert_eq!(roster.remove(id), map.remove(&id)),
                    _ => {
                        prop_assert_eq!(roster.get(id), map.get(&id));
                        prop_assert_eq!(roster.get_mut(id), map.get_mut(&id));
                    }
                }
                prop_assert!(roster.iter().eq(map.iter().map(|(id, what)| (*id, what))));
            }
        }
    }

    #[test]
    fn of_interfaces_that_are_gone_the_last_ones_are_told_apart_and_nothing_is_forgotten() {
        let mut gone = Gone::default();
        let all = 3 * GONE as u64;
        for id in 0..all {
            gone.push(id as InterfaceId, format!("veth{id}"), id);
        }
        *gone.of(0) += 5;
        *gone.of(all as InterfaceId - 1) += 7;
        let last: Vec<_> = gone.last().map(|(id, _, what)| (id, *what)).collect();
        assert_eq!(last.len(), GONE);
        assert_eq!(last[0], (2 * GONE as InterfaceId, 2 * GONE as u64));
        let (older, sum) = gone.older();
        assert_eq!(older, 2 * GONE as u64);
        let told: u64 = last.iter().map(|(_, what)| what).sum();
        assert_eq!(told + sum, all * (all - 1) / 2 + 5 + 7);
    }
}
