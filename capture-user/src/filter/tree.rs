//! Address lists as a tree in which an address is found in a few steps.
//!
//! Built here, once, and written into the kernel as it is: how it is laid out is told at
//! `capture_common::filter::Slot`. What the lists say of all addresses changes only at some places,
//! where a network begins or ends, so an address is looked up by searching for the place before it.
//! Its first 16 bits lead at once to the few places that there are, or to what there is to say; a
//! split tells six ways apart, and where places are many and near each other, a table leads to each
//! directly. Both go by one half of the address, first the upper one.

use std::net::IpAddr;

use capture_common::filter::{
    BOUNDS, HALF_SHIFT, KIND, LEAF, LOWER_HALF, PLACE_SHIFT, SLOT, SPLIT, STEPS_V4, STEPS_V6, Slot,
    TABLE, WAYS, WIDTH,
};
use ipnet::{Ipv4Net, Ipv6Net};

use super::few;

/// How many networks there may be on all lists together. Each takes four slots at the most, so
/// that an entry can name every slot.
pub const MAX_NETWORKS: usize = 1 << 22;

/// Bits that are looked up directly.
const DIRECT: u32 = 16;
/// Bits that a table may look up.
const WIDTHS: [u32; 3] = [16, 12, 8];
/// How many entries a table may have for each place at which something begins.
const ROOMY: usize = 4;
/// Entries in a slot of a table.
const ENTRIES: usize = 16;

/// A prefix: its bits from the left of 128, its length, and the options whose list it is on.
type Prefix = (u128, u32, u8);

/// Where an entry begins to count, up to the next one's beginning. That of the first of several may
/// lie before what they are all about.
pub(super) type Place<T> = (T, u32);

/// The addresses of one IP version, each with the bits of the options whose list it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By the address as a number; empty, if they are many.
    places: Vec<Place<u128>>,
    front: Vec<u32>,
    slots: Vec<Slot>,
}

impl Tree {
    /// From prefixes as [`super::addresses::merge`] makes them: sorted, each with the bits of all
    /// around it.
    #[must_use]
    pub fn v4(prefixes: &[(Ipv4Net, u8)]) -> Self {
        let prefixes = prefixes.iter().map(|(net, bits)| {
            let key = u128::from(net.network().to_bits()) << 96;
            (key, net.prefix_len().into(), *bits)
        });
        let mut tree = Self::build(prefixes);
        for (start, _) in &mut tree.places {
            *start >>= 96;
        }
        tree
    }

    /// Likewise.
    #[must_use]
    pub fn v6(prefixes: &[(Ipv6Net, u8)]) -> Self {
        let prefixes = prefixes
            .iter()
            .map(|(net, bits)| (net.network().to_bits(), net.prefix_len().into(), *bits));
        Self::build(prefixes)
    }

    /// From which address on there is what to say, if that is few enough to be code: see
    /// [`super::few`]. None at all if there is no prefix.
    pub(super) fn places(&self) -> Option<&[Place<u128>]> {
        (self.slots.is_empty() || !self.places.is_empty()).then_some(&self.places)
    }

    /// The entries for the first 16 bits. None at all if there is no prefix: then no address has a
    /// bit.
    #[must_use]
    pub fn front(&self) -> &[u32] {
        &self.front
    }

    /// As the kernel has them.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Bytes that it takes in the kernel.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of_val(self.front()) + size_of_val(self.slots())
    }

    /// The bits of an address of this tree's version.
    #[must_use]
    pub fn bits(&self, address: IpAddr) -> u8 {
        let (key, steps) = match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, STEPS_V4),
            IpAddr::V6(address) => (address.to_bits(), STEPS_V6),
        };
        let slot = |index: u32| self.slots.get(index as usize).copied().unwrap_or_default();
        let first = self.front.get((key >> (128 - DIRECT)) as usize);
        let mut entry = first.copied().unwrap_or(LEAF);
        for _ in 0..steps {
            if entry & KIND == LEAF {
                break;
            }
            // The lower half of the key, or the upper one.
            let lower = entry & LOWER_HALF != 0;
            let half = if lower { key as u64 } else { upper(key) };
            entry = if entry & KIND == TABLE {
                let mask = (1 << ((entry & WIDTH) * 4)) - 1;
                let index = half >> (entry >> PLACE_SHIFT & HALF_SHIFT) & mask;
                let slot = slot((entry & SLOT & !WIDTH) + (index >> 4) as u32);
                self::entry(&slot, index as usize & 15)
            } else {
                let slot = slot(entry & SLOT);
                let way = slot[BOUNDS..].iter().filter(|bound| half >= **bound);
                self::entry(&slot, way.count())
            };
        }
        // A leaf's lowest eight bits. What isn't found by then is on no list, for the kernel too.
        if entry & KIND == LEAF {
            (entry & 0xff) as u8
        } else {
            0
        }
    }

    fn build(prefixes: impl Iterator<Item = Prefix>) -> Self {
        let places = places(prefixes);
        let mut tree = Self::default();
        if places.len() <= 1 && places.iter().all(|(_, entry)| *entry == LEAF) {
            return tree;
        }
        // By the upper half: what is to say there, or a search by the lower one.
        let mut uppers = Vec::new();
        let mut before = LEAF;
        for group in places.chunk_by(|one, next| upper(one.0) == upper(next.0)) {
            let at = upper(group[0].0);
            // The lower half of the key.
            let mut lowers: Vec<_> = group.iter().map(|(key, e)| (*key as u64, *e)).collect();
            if lowers[0].0 != 0 {
                lowers.insert(0, (0, before));
            }
            before = lowers[lowers.len() - 1].1;
            let entry = tree.search(&lowers, LOWER_HALF, 0, u64::MAX);
            put(&mut uppers, at, entry);
            if let Some(next) = at.checked_add(1) {
                put(&mut uppers, next, before);
            }
        }
        tree.front = tree.ways(&uppers, 0, 0, 64 - DIRECT, DIRECT);
        if places.len() <= few::MOST {
            tree.places = places;
        }
        tree
    }

    /// The entry for what lies between two values of a half, `last` included.
    fn search(&mut self, places: &[Place<u64>], half: u32, first: u64, last: u64) -> u32 {
        if places.len() <= WAYS {
            return self.split(places, half);
        }
        if let Some(entry) = self.table(places, half, first, last) {
            return entry;
        }
        let mut ways = Vec::new();
        let size = places.len().div_ceil(WAYS);
        for (index, part) in places.chunks(size).enumerate() {
            let from = if index == 0 { first } else { part[0].0 };
            let next = places.get((index + 1) * size);
            let to = next.map_or(last, |next| next.0 - 1);
            ways.push((from, self.search(part, half, from, to)));
        }
        self.split(&ways, half)
    }

    /// Up to six ways.
    fn split(&mut self, ways: &[Place<u64>], half: u32) -> u32 {
        let [.., (_, last)] = ways else { return LEAF };
        if ways.len() == 1 {
            return *last;
        }
        // Ways that there aren't are as the last one.
        let mut entries = [*last; WAYS];
        let mut bounds = [u64::MAX; WAYS - 1];
        for (index, (start, entry)) in ways.iter().enumerate() {
            entries[index] = *entry;
            if index > 0 {
                bounds[index - 1] = *start;
            }
        }
        let mut slot = slot_of(&entries);
        slot[BOUNDS..].copy_from_slice(&bounds);
        let index = self.slots.len();
        self.slots.push(slot);
        SPLIT | half | number(index)
    }

    /// A table, where that leads further than a split: it leaves a sixth of the places at the most,
    /// and a sixth of that where a split must lead to it.
    fn table(&mut self, places: &[Place<u64>], half: u32, first: u64, last: u64) -> Option<u32> {
        let (before, bounds) = places.split_first()?;
        let [(low, _), .., (high, behind)] = bounds else {
            return None;
        };
        // Bits that all bounds have in common need no look, if no other address comes here.
        let common = (low ^ high).leading_zeros() / 4 * 4;
        let block = u64::MAX.checked_shr(common).unwrap_or(0);
        let (from, to) = (low & !block, low | block);
        let exact = from <= first && last <= to;
        let sixth = places.len().div_ceil(WAYS);
        let most = if exact { sixth } else { sixth.div_ceil(WAYS) };
        let leads_far = |width: &u32| {
            let Some(shift) = (64 - common).checked_sub(*width) else {
                return false;
            };
            let mut ways = bounds.chunk_by(|one, next| one.0 >> shift == next.0 >> shift);
            // Each way has one more, which began before it.
            1 << width <= places.len() * ROOMY && ways.all(|way| way.len() < most)
        };
        let width = WIDTHS.into_iter().find(leads_far)?;
        let shift = 64 - common - width;
        let entries = self.ways(places, half, from, shift, width);
        let index = self.slots.len().next_multiple_of(ENTRIES);
        self.slots.resize(index, Slot::default());
        self.slots.extend(entries.chunks(ENTRIES).map(slot_of));
        let place = shift << PLACE_SHIFT | (width / 4);
        let table = TABLE | half | place | number(index);
        if exact {
            return Some(table);
        }
        let mut ways = vec![*before, (from, table)];
        ways.extend(to.checked_add(1).map(|next| (next, *behind)));
        Some(self.split(&ways, half))
    }

    /// The entries for each value of `width` bits, `shift` from the right, of what comes from
    /// `first` on.
    fn ways(
        &mut self,
        mut places: &[Place<u64>],
        half: u32,
        first: u64,
        shift: u32,
        width: u32,
    ) -> Vec<u32> {
        let mut entries = Vec::with_capacity(1 << width);
        for way in 0..1 << width {
            let first = first + (way << shift);
            let last = first | ((1 << shift) - 1);
            let end = places.partition_point(|(start, _)| *start <= last).max(1);
            entries.push(self.search(&places[..end], half, first, last));
            // The last one goes on, unless another begins with the next way.
            let begins = places.get(end).is_some_and(|next| next.0 - 1 == last);
            places = &places[if begins { end } else { end - 1 }..];
        }
        entries
    }
}

/// What changes where, from the first address on.
fn places(prefixes: impl Iterator<Item = Prefix>) -> Vec<Place<u128>> {
    let mut places = vec![(0, LEAF)];
    // The last address of each prefix around, outermost first.
    let mut around = Vec::new();
    for (key, len, bits) in prefixes {
        leave(&mut around, &mut places, key);
        put(&mut places, key, leaf(bits));
        let last = key | u128::MAX.checked_shr(len).unwrap_or(0);
        around.push((last, leaf(bits)));
    }
    // What goes on to the last address of all ends nowhere.
    leave(&mut around, &mut places, u128::MAX);
    places
}

/// Goes out of the prefixes whose last address is before `next`: what is around them counts again.
fn leave(around: &mut Vec<Place<u128>>, places: &mut Vec<Place<u128>>, next: u128) {
    while let Some((last, _)) = around.pop_if(|(last, _)| *last < next) {
        let outer = around.last().map_or(LEAF, |(_, entry)| *entry);
        put(places, last + 1, outer);
    }
}

/// Has an entry count from `start` on, which is not before what the last one counts from.
fn put<T: PartialEq>(places: &mut Vec<Place<T>>, start: T, entry: u32) {
    places.pop_if(|last| last.0 == start);
    if places.last().is_none_or(|last| last.1 != entry) {
        places.push((start, entry));
    }
}

const fn leaf(bits: u8) -> u32 {
    LEAF | bits as u32
}

/// A key's upper half.
const fn upper(key: u128) -> u64 {
    (key >> 64) as u64
}

/// A slot's number as entries have it, see [`MAX_NETWORKS`].
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(SLOT) & SLOT
}

/// Entries, two a word; zeros where there are fewer.
fn slot_of(entries: &[u32]) -> Slot {
    let mut slot = Slot::default();
    for (word, pair) in slot.iter_mut().zip(entries.chunks(2)) {
        *word = pair
            .iter()
            .rev()
            .fold(0, |word, entry| word << 32 | u64::from(*entry));
    }
    slot
}

/// One of a slot's entries.
const fn entry(slot: &Slot, index: usize) -> u32 {
    (slot[index / 2] >> (index % 2 * 32)) as u32
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
pub(super) mod tests;
