//! Which flow a tuple belongs to.
//!
//! A flow has one binding for each tuple that it has somewhere on this node; one binding serves
//! both directions. Keys are kept apart by IP version, because an IPv4 key takes a third of the
//! room, and hash chains are indexes into one vector: nothing is allocated per flow.
//!
//! A key has no network namespace in it: all of a capture's interfaces are in one, where a tuple
//! is one conversation at a time. Interfaces of several would take one more field here and in
//! [`super::sighting`].
//!
//! `key` is what a tuple is searched by.

mod key;

use foldhash::fast::RandomState;

pub(super) use self::key::Sought;
use self::key::{Address, Either, Key, hash_of, key, key_of};
use super::parse::Ends;
use super::tuple::Tuple;

const NONE: u32 = u32::MAX;
/// The bit of a [`BindingId`] that tells the two tables apart.
const SIX: u32 = 1 << 31;

/// One binding, as long as it isn't removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BindingId(u32);

impl BindingId {
    /// No binding.
    pub(super) const GONE: Self = Self(NONE);
}

/// What a tuple was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) binding: BindingId,
    /// The flow's slot.
    pub(super) slot: u32,
    /// Whether the tuple's source is the key's second end: equal for tuples of one direction.
    pub(super) turned: bool,
}

/// Both tables.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    four: Table<u32>,
    six: Table<[u64; 2]>,
    hash: RandomState,
}

/// A place in one of the two tables: a bucket, or an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Four(u32),
    Six(u32),
}

impl Bindings {
    /// What a tuple is searched by.
    pub(super) fn sought(&self, tuple: &Tuple) -> Option<Sought> {
        let (key, turned) = key(tuple)?;
        let hash = match &key {
            Either::Four(key) => self.hash(key),
            Either::Six(key) => self.hash(key),
        };
        Some(Sought { key, turned, hash })
    }

    /// The same for ends in IPv4.
    #[inline]
    pub(super) fn sought_of(&self, ends: &Ends) -> Sought {
        let (key, turned) = key_of(ends);
        let hash = self.hash(&key);
        Sought {
            key: Either::Four(key),
            turned,
            hash,
        }
    }

    /// The flow of a tuple, either direction.
    pub(super) fn find(&self, sought: &Sought) -> Option<Found> {
        let (index, slot) = match &sought.key {
            Either::Four(key) => {
                let index = self.four.find(key, sought.hash)?;
                (index, self.four.entries.get(index as usize)?.slot)
            }
            Either::Six(key) => {
                let index = self.six.find(key, sought.hash)?;
                (index | SIX, self.six.entries.get(index as usize)?.slot)
            }
        };
        Some(Found {
            binding: BindingId(index),
            slot,
            turned: sought.turned,
        })
    }

    /// The bucket that a tuple is searched in: the first step of a search whose steps are made
    /// for several tuples by turns.
    pub(super) fn bucket(&self, sought: &Sought) -> Place {
        // Buckets are counted by u32.
        match &sought.key {
            Either::Four(_) => Place::Four(self.four.bucket(sought.hash) as u32),
            Either::Six(_) => Place::Six(self.six.bucket(sought.hash) as u32),
        }
    }

    /// The first entry of a bucket.
    pub(super) fn first(&self, bucket: Place) -> Option<Place> {
        Some(match bucket {
            Place::Four(bucket) => Place::Four(*self.four.heads.get(bucket as usize)?),
            Place::Six(bucket) => Place::Six(*self.six.heads.get(bucket as usize)?),
        })
    }

    /// The slot of an entry's flow.
    pub(super) fn slot_at(&self, entry: Place) -> Option<u32> {
        match entry {
            Place::Four(entry) => Some(self.four.entries.get(entry as usize)?.slot),
            Place::Six(entry) => Some(self.six.entries.get(entry as usize)?.slot),
        }
    }

    /// Binds a tuple that isn't bound.
    pub(super) fn insert(&mut self, sought: &Sought, slot: u32) -> Found {
        let seed = self.hash.clone();
        let index = match sought.key {
            Either::Four(key) => self
                .four
                .insert(key, slot, sought.hash, |key| hash_of(&seed, key)),
            Either::Six(key) => {
                SIX | self
                    .six
                    .insert(key, slot, sought.hash, |key| hash_of(&seed, key))
            }
        };
        Found {
            binding: BindingId(index),
            slot,
            turned: sought.turned,
        }
    }

    /// The tuple with the key's first end as its source.
    pub(super) fn tuple(&self, id: BindingId) -> Option<Tuple> {
        let index = (id.0 & !SIX) as usize;
        Some(if id.0 & SIX == 0 {
            self.four.entries.get(index)?.key.tuple()
        } else {
            self.six.entries.get(index)?.key.tuple()
        })
    }

    /// Whom it belongs to.
    pub(super) fn slot(&self, id: BindingId) -> Option<u32> {
        let index = (id.0 & !SIX) as usize;
        if id.0 & SIX == 0 {
            self.four.entries.get(index).map(|entry| entry.slot)
        } else {
            self.six.entries.get(index).map(|entry| entry.slot)
        }
    }

    /// Removes it, if it still is `slot`'s.
    pub(super) fn remove(&mut self, id: BindingId, slot: u32) {
        if id == BindingId::GONE || self.slot(id) != Some(slot) {
            return;
        }
        let index = id.0 & !SIX;
        if id.0 & SIX == 0 {
            if let Some(key) = self.four.entries.get(index as usize).map(|entry| entry.key) {
                let hash = self.hash(&key);
                self.four.remove(index, hash);
            }
        } else if let Some(key) = self.six.entries.get(index as usize).map(|entry| entry.key) {
            let hash = self.hash(&key);
            self.six.remove(index, hash);
        }
    }

    fn hash<A: Address>(&self, key: &Key<A>) -> u64 {
        hash_of(&self.hash, key)
    }
}

#[derive(Debug)]
struct Entry<A> {
    key: Key<A>,
    /// Of the bucket, or of the free ones.
    next: u32,
    /// [`NONE`] when it is free.
    slot: u32,
}

#[derive(Debug)]
struct Table<A> {
    /// The first entry of each bucket; a power of two of them.
    heads: Vec<u32>,
    entries: Vec<Entry<A>>,
    free: u32,
    used: usize,
}

impl<A> Default for Table<A> {
    fn default() -> Self {
        Self {
            heads: Vec::new(),
            entries: Vec::new(),
            free: NONE,
            used: 0,
        }
    }
}

impl<A: PartialEq + Copy> Table<A> {
    fn bucket(&self, hash: u64) -> usize {
        // Truncation on purpose: the low bits choose the bucket.
        hash as usize & self.heads.len().wrapping_sub(1)
    }

    fn find(&self, key: &Key<A>, hash: u64) -> Option<u32> {
        let mut at = *self.heads.get(self.bucket(hash))?;
        while let Some(entry) = self.entries.get(at as usize) {
            if entry.key == *key {
                return Some(at);
            }
            at = entry.next;
        }
        None
    }

    fn insert(
        &mut self,
        key: Key<A>,
        slot: u32,
        hash: u64,
        rehash: impl Fn(&Key<A>) -> u64,
    ) -> u32 {
        if self.used >= self.heads.len() {
            self.grow(rehash);
        }
        let bucket = self.bucket(hash);
        let entry = Entry {
            key,
            next: self.heads[bucket],
            slot,
        };
        let index = if let Some(place) = self.entries.get_mut(self.free as usize) {
            let index = self.free;
            self.free = place.next;
            *place = entry;
            index
        } else {
            self.entries.push(entry);
            // Flows are counted by u32, and have a bounded number of bindings each.
            u32::try_from(self.entries.len() - 1).unwrap_or(NONE)
        };
        self.heads[bucket] = index;
        self.used += 1;
        index
    }

    fn grow(&mut self, rehash: impl Fn(&Key<A>) -> u64) {
        let size = (self.heads.len() * 2).max(1024);
        self.heads.clear();
        self.heads.resize(size, NONE);
        for index in 0..self.entries.len() {
            if self.entries[index].slot == NONE {
                continue;
            }
            let bucket = self.bucket(rehash(&self.entries[index].key));
            self.entries[index].next = self.heads[bucket];
            self.heads[bucket] = u32::try_from(index).unwrap_or(NONE);
        }
    }

    fn remove(&mut self, index: u32, hash: u64) {
        let bucket = self.bucket(hash);
        let next = self.entries[index as usize].next;
        if self.heads[bucket] == index {
            self.heads[bucket] = next;
        } else {
            let mut at = self.heads[bucket];
            while let Some(entry) = self.entries.get_mut(at as usize) {
                if entry.next == index {
                    entry.next = next;
                    break;
                }
                at = entry.next;
            }
        }
        let entry = &mut self.entries[index as usize];
        entry.slot = NONE;
        entry.next = self.free;
        self.free = index;
        self.used -= 1;
    }
}
