//! Which flow a tuple belongs to.
//!
//! A flow has one binding for each tuple that it has somewhere on this node; one binding serves
//! both directions. Keys are kept apart by IP version, because an IPv4 key takes a third of the
//! room, and hash chains are indexes into one vector: nothing is allocated per flow.
//!
//! A key has no network namespace in it: all of a capture's interfaces are in one, where a tuple
//! is one conversation at a time. Interfaces of several would take one more field here and in
//! [`super::sighting`].

use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
    four: Table<u32>,
    six: Table<[u64; 2]>,
    hash: RandomState,
}

/// A tuple as it is searched for, made once for all that is asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sought {
    key: Either,
    /// Whether the tuple's source is the key's second end.
    turned: bool,
    hash: u64,
}

/// A tuple without its direction: the lower end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key<A> {
    addresses: [A; 2],
    ports: [u16; 2],
    protocol: u8,
}

/// A place in one of the two tables: a bucket, or an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Four(u32),
    Six(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Either {
    Four(Key<u32>),
    Six(Key<[u64; 2]>),
}

/// An address as a key holds it: numbers, which compare at once.
trait Address: Copy + Ord {
    /// Takes two of them into a hash.
    fn write(pair: &[Self; 2], hasher: &mut impl Hasher);
    fn address(self) -> IpAddr;
}

impl Address for u32 {
    fn write([low, high]: &[Self; 2], hasher: &mut impl Hasher) {
        hasher.write_u64(u64::from(*low) << 32 | u64::from(*high));
    }

    fn address(self) -> IpAddr {
        Ipv4Addr::from_bits(self).into()
    }
}

/// Not a `u128`, which would have to lie on a boundary of sixteen bytes.
impl Address for [u64; 2] {
    fn write(pair: &[Self; 2], hasher: &mut impl Hasher) {
        for half in pair.as_flattened() {
            hasher.write_u64(*half);
        }
    }

    fn address(self) -> IpAddr {
        let [high, low] = self;
        Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into()
    }
}

/// An IPv6 address as two numbers.
const fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = address.to_bits();
    // Truncation on purpose: the lower half.
    [(bits >> 64) as u64, bits as u64]
}

/// The key, and whether the tuple's source is its second end. `None` for a tuple that mixes IP
/// versions: no packet has one.
fn key(tuple: &Tuple) -> Option<(Either, bool)> {
    let Tuple {
        source,
        destination,
        protocol,
    } = *tuple;
    let ports = [source.port, destination.port];
    match (source.address, destination.address) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (key, turned) = ordered([from.to_bits(), to.to_bits()], ports, protocol);
            Some((Either::Four(key), turned))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (key, turned) = ordered([halves(from), halves(to)], ports, protocol);
            Some((Either::Six(key), turned))
        }
        _ => None,
    }
}

fn ordered<A: Ord + Copy>([from, to]: [A; 2], ports: [u16; 2], protocol: u8) -> (Key<A>, bool) {
    let [sport, dport] = ports;
    let turned = (from, sport) > (to, dport);
    let (addresses, ports) = if turned {
        ([to, from], [dport, sport])
    } else {
        ([from, to], ports)
    };
    let key = Key {
        addresses,
        ports,
        protocol,
    };
    (key, turned)
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

fn hash_of<A: Address>(seed: &RandomState, key: &Key<A>) -> u64 {
    let mut hasher = seed.build_hasher();
    A::write(&key.addresses, &mut hasher);
    hasher.write_u64(
        u64::from(key.ports[0]) | u64::from(key.ports[1]) << 16 | u64::from(key.protocol) << 32,
    );
    hasher.finish()
}

impl<A: Address> Key<A> {
    /// The lower end as the source.
    fn tuple(&self) -> Tuple {
        let [low, high] = self.addresses.map(A::address);
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
