//! The translations that conntrack has, for flows that are yet to be seen.
//!
//! A bounded number, each kept once and found by either of its tuples. The one that came longest
//! ago goes for a new one: a flow is mostly seen soon after its entry is made, if ever.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Found;

use super::evidence::Mapping;
use super::tuple::Tuple;

/// No place.
const NONE: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct Mappings {
    /// In places that are used again.
    entries: Vec<Entry>,
    /// Of each tuple, whichever way round, what came last with it.
    by_tuple: HashTable<Side>,
    hash: RandomState,
    /// The first free place; from there on by `newer`.
    free: u32,
    oldest: u32,
    newest: u32,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    mapping: Mapping,
    /// When it was last told of: nanoseconds on the sightings' clock.
    told: u64,
    /// The places of its neighbours, in the order in which they came.
    older: u32,
    newer: u32,
}

/// One of the two tuples of the entry at a place, packed: the place, and whether it is the reply's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side(u32);

impl Side {
    fn both(place: u32) -> [Self; 2] {
        [Self(place << 1), Self(place << 1 | 1)]
    }

    const fn place(self) -> u32 {
        self.0 >> 1
    }

    fn tuple(self, entries: &[Entry]) -> Tuple {
        let mapping = &entries[self.place() as usize].mapping;
        canonical(if self.0 & 1 == 0 {
            &mapping.original
        } else {
            &mapping.reply
        })
    }
}

/// One tuple for both directions.
fn canonical(tuple: &Tuple) -> Tuple {
    if tuple.source > tuple.destination {
        tuple.reversed()
    } else {
        *tuple
    }
}

impl Mappings {
    /// At most `max` of them.
    pub(super) fn new(max: usize) -> Self {
        Self {
            entries: Vec::new(),
            by_tuple: HashTable::new(),
            hash: RandomState::default(),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            // A place is packed with one bit more.
            max: max.clamp(1, 1 << 30),
        }
    }

    /// Takes a mapping that was told of at `time`. Returns whether another was forgotten for it.
    pub(super) fn insert(&mut self, mapping: &Mapping, time: u64) -> bool {
        let known = self.find(mapping);
        let mapping = &mapping.after(known.map(|place| &self.entries[place as usize].mapping));
        if let Some(place) = known {
            self.release(place);
        }
        let full = self.free == NONE && self.entries.len() >= self.max;
        if full {
            self.release(self.oldest);
        }
        let place = self.occupy(mapping, time);
        for side in Side::both(place) {
            let Self {
                entries,
                by_tuple,
                hash,
                ..
            } = &mut *self;
            let key = side.tuple(entries);
            let found = by_tuple.entry(
                hash.hash_one(key),
                |known| known.tuple(entries) == key,
                |known| hash.hash_one(known.tuple(entries)),
            );
            match found {
                Found::Occupied(mut known) => *known.get_mut() = side,
                Found::Vacant(room) => drop(room.insert(side)),
            }
        }
        full
    }

    /// Forgets one that has gone.
    pub(super) fn remove(&mut self, mapping: &Mapping) {
        if let Some(place) = self.find(mapping) {
            self.release(place);
        }
    }

    /// The mapping of a tuple, whichever side of it, and when it was last told of.
    pub(super) fn get(&self, tuple: &Tuple) -> Option<(Mapping, u64)> {
        if self.by_tuple.is_empty() {
            return None;
        }
        let Entry { mapping, told, .. } = self.entries[self.place(tuple)? as usize];
        Some((mapping, told))
    }

    fn find(&self, mapping: &Mapping) -> Option<u32> {
        // One of its tuples may have become another's since.
        [&mapping.original, &mapping.reply]
            .into_iter()
            .filter_map(|tuple| self.place(tuple))
            .find(|place| same(&self.entries[*place as usize].mapping, mapping))
    }

    fn place(&self, tuple: &Tuple) -> Option<u32> {
        let key = canonical(tuple);
        let known = self.by_tuple.find(self.hash.hash_one(key), |known| {
            known.tuple(&self.entries) == key
        });
        known.map(|side| side.place())
    }

    /// Puts a mapping at a free place, as the newest.
    fn occupy(&mut self, mapping: &Mapping, time: u64) -> u32 {
        let entry = Entry {
            mapping: *mapping,
            told: time,
            older: self.newest,
            newer: NONE,
        };
        let place = if let Some(free) = self.entries.get_mut(self.free as usize) {
            let place = self.free;
            self.free = free.newer;
            *free = entry;
            place
        } else {
            self.entries.push(entry);
            // There are no more than `max`.
            (self.entries.len() - 1) as u32
        };
        match self.entries.get_mut(self.newest as usize) {
            Some(before) => before.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
        place
    }

    /// Frees the place of one.
    fn release(&mut self, place: u32) {
        for side in Side::both(place) {
            let hash = self.hash.hash_one(side.tuple(&self.entries));
            if let Ok(known) = self.by_tuple.find_entry(hash, |known| *known == side) {
                known.remove();
            }
        }
        let Entry { older, newer, .. } = self.entries[place as usize];
        match self.entries.get_mut(older as usize) {
            Some(before) => before.newer = newer,
            None => self.oldest = newer,
        }
        match self.entries.get_mut(newer as usize) {
            Some(behind) => behind.older = older,
            None => self.newest = older,
        }
        self.entries[place as usize].newer = self.free;
        self.free = place;
    }
}

/// Whether both are of one entry, whatever became of it.
pub(super) fn same(one: &Mapping, other: &Mapping) -> bool {
    (one.original, one.reply) == (other.original, other.reply)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::flow::evidence::Change;
    use crate::flow::tuple::Endpoint;

    /// Few enough for tuples to be shared by several, in either direction.
    fn tuple() -> impl Strategy<Value = Tuple> {
        let end = (0..3u8, 0..3u16).prop_map(|(host, port)| Endpoint {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
            port,
        });
        [end.clone(), end].prop_map(|[source, destination]| Tuple {
            source,
            destination,
            protocol: 6,
        })
    }

    fn mapping() -> impl Strategy<Value = Mapping> {
        [tuple(), tuple()].prop_map(|[original, reply]| Mapping {
            original,
            reply,
            change: Change::Present,
        })
    }

    /// The same by plain means.
    #[derive(Default)]
    struct Model {
        /// The oldest first.
        all: Vec<(usize, Mapping)>,
        last: HashMap<Tuple, usize>,
        next: usize,
    }

    impl Model {
        fn of(&self, tuple: &Tuple) -> Option<(usize, Mapping)> {
            let number = self.last.get(&canonical(tuple))?;
            self.all.iter().find(|(it, _)| it == number).copied()
        }

        fn forget(&mut self, number: usize) {
            self.all.retain(|(it, _)| *it != number);
            self.last.retain(|_, it| *it != number);
        }

        fn remove(&mut self, mapping: &Mapping) {
            let known = [&mapping.original, &mapping.reply].map(|tuple| self.of(tuple));
            let mut known = known.into_iter().flatten();
            if let Some((number, _)) = known.find(|(_, known)| same(known, mapping)) {
                self.forget(number);
            }
        }

        fn insert(&mut self, mapping: &Mapping, max: usize) -> bool {
            self.remove(mapping);
            let full = self.all.len() == max;
            if full {
                self.forget(self.all[0].0);
            }
            self.next += 1;
            self.all.push((self.next, *mapping));
            for tuple in [&mapping.original, &mapping.reply] {
                self.last.insert(canonical(tuple), self.next);
            }
            full
        }
    }

    #[test]
    fn an_entry_that_was_announced_stays_so_whoever_else_tells_of_it() {
        let end = |host| Endpoint {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
            port: 1,
        };
        let [original, reply] = [(1, 2), (2, 3)].map(|(from, to)| Tuple {
            source: end(from),
            destination: end(to),
            protocol: 17,
        });
        let entry = |change| Mapping {
            original,
            reply,
            change,
        };
        let mut mappings = Mappings::new(9);
        // A dump, the announcement, and then a packet's own.
        for (time, change, known) in [
            (1, Change::Present, Change::Present),
            (2, Change::Made, Change::Made),
            (3, Change::Present, Change::Made),
        ] {
            mappings.insert(&entry(change), time);
            assert_eq!(mappings.get(&original), Some((entry(known), time)));
        }
        mappings.remove(&entry(Change::Removed));
        mappings.insert(&entry(Change::Present), 4);
        assert_eq!(mappings.get(&reply), Some((entry(Change::Present), 4)));
    }

    proptest! {
        #[test]
        fn what_came_last_with_a_tuple_is_found_by_it_and_the_oldest_goes_first(
            steps in prop::collection::vec((0..4u8, mapping()), 1..200),
            max in 1..9usize,
        ) {
            let mut mappings = Mappings::new(max);
            let mut model = Model::default();
            for (kind, mapping) in steps {
                match kind {
                    0 => {
                        mappings.remove(&mapping);
                        model.remove(&mapping);
                    }
                    // One that is there, and so surely one that goes.
                    1 => {
                        let known = mappings.get(&mapping.original);
                        let told = known.map(|(known, _)| known);
                        prop_assert_eq!(told, model.of(&mapping.original).map(|(_, it)| it));
                        if let Some(known) = told {
                            mappings.remove(&known);
                            model.remove(&known);
                        }
                    }
                    _ => prop_assert_eq!(mappings.insert(&mapping, 7), model.insert(&mapping, max)),
                }
                for tuple in [&mapping.original, &mapping.reply.reversed()] {
                    prop_assert_eq!(mappings.get(tuple), model.of(tuple).map(|(_, it)| (it, 7)));
                }
                prop_assert!(mappings.entries.len() <= max);
                prop_assert_eq!(mappings.by_tuple.len(), model.last.len());
            }
        }
    }
}
