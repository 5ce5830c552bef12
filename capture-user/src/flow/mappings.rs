//! The translations that conntrack has and whose flows haven't been seen yet.
//!
//! Bounded, in two generations as a table of its kind may be: a mapping goes to the young one;
//! when that is full, the old one is forgotten whole.

use std::collections::HashMap;
use std::mem;

use foldhash::fast::RandomState;

use super::evidence::Mapping;
use super::tuple::Tuple;

/// See the module.
#[derive(Debug)]
pub(super) struct Mappings {
    young: HashMap<Tuple, Mapping, RandomState>,
    old: HashMap<Tuple, Mapping, RandomState>,
    /// Of both generations together.
    max: usize,
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
    /// At most `max` tuples, two a mapping.
    pub(super) fn new(max: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            max: max.max(4),
        }
    }

    /// Takes a mapping. Returns how many tuples were forgotten for it.
    pub(super) fn insert(&mut self, mapping: &Mapping) -> usize {
        let mut forgotten = 0;
        if self.young.len() + 2 > self.max / 2 {
            mem::swap(&mut self.young, &mut self.old);
            forgotten = self.young.len();
            self.young.clear();
        }
        for tuple in [&mapping.original, &mapping.reply] {
            self.young.insert(canonical(tuple), *mapping);
        }
        forgotten
    }

    /// Forgets one that has gone.
    pub(super) fn remove(&mut self, mapping: &Mapping) {
        for tuple in [&mapping.original, &mapping.reply] {
            let key = canonical(tuple);
            for generation in [&mut self.young, &mut self.old] {
                if generation
                    .get(&key)
                    .is_some_and(|known| same(known, mapping))
                {
                    generation.remove(&key);
                }
            }
        }
    }

    /// The mapping of a tuple, whichever side of it.
    pub(super) fn get(&self, tuple: &Tuple) -> Option<Mapping> {
        if self.young.is_empty() && self.old.is_empty() {
            return None;
        }
        let key = canonical(tuple);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }
}

/// Whether both are of one entry, whatever became of it.
pub(super) fn same(one: &Mapping, other: &Mapping) -> bool {
    (one.original, one.reply) == (other.original, other.reply)
}
