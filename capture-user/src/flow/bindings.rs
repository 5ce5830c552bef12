//! Which flow a tuple belongs to.
//!
//! A flow has one binding for each tuple that it has somewhere on this node; one binding serves
//! both directions. Keys are kept apart by IP version, because an IPv4 key takes a third of the
//! room, and hash chains are indexes into one vector: nothing is allocated per flow.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::tuple::{Endpoint, Tuple};

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
    four: Table<[u8; 4]>,
    six: Table<[u8; 16]>,
    hash: RandomState,
}

/// A tuple without its direction: the lower end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key<A> {
    addresses: [A; 2],
    ports: [u16; 2],
    protocol: u8,
}

enum Either {
    Four(Key<[u8; 4]>),
    Six(Key<[u8; 16]>),
}

/// The key, and whether the tuple's source is its second end. `None` for a tuple that mixes IP
/// versions: no packet has one.
fn key(tuple: &Tuple) -> Option<(Either, bool)> {
    let Tuple {
        source,
        destination,
        protocol,
    } = *tuple;
    match (source.address, destination.address) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (key, turned) = ordered(
                from.octets(),
                source.port,
                to.octets(),
                destination.port,
                protocol,
            );
            Some((Either::Four(key), turned))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (key, turned) = ordered(
                from.octets(),
                source.port,
                to.octets(),
                destination.port,
                protocol,
            );
            Some((Either::Six(key), turned))
        }
        _ => None,
    }
}

fn ordered<A: Ord + Copy>(from: A, sport: u16, to: A, dport: u16, protocol: u8) -> (Key<A>, bool) {
    let turned = (from, sport) > (to, dport);
    let (addresses, ports) = if turned {
        ([to, from], [dport, sport])
    } else {
        ([from, to], [sport, dport])
    };
    (
        Key {
            addresses,
            ports,
            protocol,
        },
        turned,
    )
}

impl Bindings {
    /// The flow of a tuple, either direction.
    pub(super) fn find(&self, tuple: &Tuple) -> Option<Found> {
        let (key, turned) = key(tuple)?;
        let (index, slot, bit) = match key {
            Either::Four(key) => {
                let index = self.four.find(&key, self.hash(&key))?;
                (index, self.four.entries.get(index as usize)?.slot, 0)
            }
            Either::Six(key) => {
                let index = self.six.find(&key, self.hash(&key))?;
                (index, self.six.entries.get(index as usize)?.slot, SIX)
            }
        };
        Some(Found {
            binding: BindingId(index | bit),
            slot,
            turned,
        })
    }

    /// Binds a tuple that isn't bound. `None` if it can't be.
    pub(super) fn insert(&mut self, tuple: &Tuple, slot: u32) -> Option<Found> {
        let (key, turned) = key(tuple)?;
        let id = match key {
            Either::Four(key) => {
                let hash = self.hash(&key);
                let seed = self.hash.clone();
                self.four.insert(key, slot, hash, |key| hash_of(&seed, key))
            }
            Either::Six(key) => {
                let hash = self.hash(&key);
                let seed = self.hash.clone();
                self.six.insert(key, slot, hash, |key| hash_of(&seed, key)) | SIX
            }
        };
        Some(Found {
            binding: BindingId(id),
            slot,
            turned,
        })
    }

    /// The tuple with the key's first end as its source.
    pub(super) fn tuple(&self, id: BindingId) -> Option<Tuple> {
        let index = (id.0 & !SIX) as usize;
        Some(if id.0 & SIX == 0 {
            let key = &self.four.entries.get(index)?.key;
            key.tuple(key.addresses.map(IpAddr::from))
        } else {
            let key = &self.six.entries.get(index)?.key;
            key.tuple(key.addresses.map(IpAddr::from))
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

    fn hash<A: AsRef<[u8]>>(&self, key: &Key<A>) -> u64 {
        hash_of(&self.hash, key)
    }
}

fn hash_of<A: AsRef<[u8]>>(seed: &RandomState, key: &Key<A>) -> u64 {
    let mut hasher = seed.build_hasher();
    for address in &key.addresses {
        for part in address.as_ref().chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(part) {
                *to = *from;
            }
            hasher.write_u64(u64::from_ne_bytes(word));
        }
    }
    hasher.write_u64(
        u64::from(key.ports[0]) | u64::from(key.ports[1]) << 16 | u64::from(key.protocol) << 32,
    );
    hasher.finish()
}

impl<A> Key<A> {
    fn tuple(&self, [low, high]: [IpAddr; 2]) -> Tuple {
        Tuple {
            source: Endpoint {
                address: low,
                port: self.ports[0],
            },
            destination: Endpoint {
                address: high,
                port: self.ports[1],
            },
            protocol: self.protocol,
        }
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
