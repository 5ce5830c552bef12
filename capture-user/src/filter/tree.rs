//! Address lists as a tree in which an address is found in a few steps.
//!
//! Built here, once, and written into the kernel as it is: how it is laid out is told at
//! `capture_common::filter::Slot`. The first 16 bits of an address lead to an entry at once. Behind
//! it, a branch tells 16 ways apart by the next four bits, and a skip passes over bits that all
//! prefixes behind it have in common. So most addresses that are on no list are done with the
//! first look, and of a hundred thousand the others take three or four steps.

use std::net::IpAddr;

use capture_common::filter::{
    BRANCH, HALF_SHIFT, KIND, LEAF, LOWER_HALF, MASK_HIGH, MASK_LOW, NEXT, PLACE_SHIFT, ROOT_SLOTS,
    SKIP, SLOT, STEPS_V6, Slot, WANT_HIGH, WANT_LOW, place,
};
use ipnet::{Ipv4Net, Ipv6Net};

/// How many networks there may be on all lists together. Each takes four slots at the most, so
/// that an entry can name every slot.
pub const MAX_NETWORKS: usize = 1 << 22;

/// Bits that are looked up directly.
const DIRECT: u32 = 16;
/// Bits that a branch looks at.
const STRIDE: u32 = 4;

/// A prefix: its bits from the left of 128, its length, and the options whose list it is on.
type Prefix = (u128, u32, u8);

/// The addresses of one IP version, each with the bits of the options whose list it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    slots: Vec<Slot>,
}

impl Tree {
    /// From prefixes as [`super::addresses::merge`] makes them: sorted, each with the bits of all
    /// around it.
    #[must_use]
    pub fn v4(prefixes: &[(Ipv4Net, u8)]) -> Self {
        let prefixes: Vec<Prefix> = prefixes
            .iter()
            .map(|(net, bits)| {
                let key = u128::from(net.network().to_bits()) << 96;
                (key, net.prefix_len().into(), *bits)
            })
            .collect();
        Self::build(&prefixes)
    }

    /// Likewise.
    #[must_use]
    pub fn v6(prefixes: &[(Ipv6Net, u8)]) -> Self {
        let prefixes: Vec<Prefix> = prefixes
            .iter()
            .map(|(net, bits)| (net.network().to_bits(), net.prefix_len().into(), *bits))
            .collect();
        Self::build(&prefixes)
    }

    /// As the kernel has them. None at all if there is no prefix: then no address has a bit.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The bits of an address of this tree's version.
    #[must_use]
    pub fn bits(&self, address: IpAddr) -> u8 {
        let key = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        };
        if self.slots.is_empty() {
            return 0;
        }
        // The upper half of the key, then the lower one.
        let (high, low) = ((key >> 64) as u64, key as u64);
        let slot = |index: u32| self.slots.get(index as usize).copied().unwrap_or_default();
        let mut entry = entry(&slot((high >> 52) as u32), (high >> 48) as usize & 15);
        for _ in 0..STEPS_V6 {
            if entry & KIND == LEAF {
                break;
            }
            let next = slot(entry & SLOT);
            entry = if entry & KIND == BRANCH {
                let half = if entry & LOWER_HALF != 0 { low } else { high };
                let nibble = half >> (entry >> PLACE_SHIFT & HALF_SHIFT) & 15;
                self::entry(&next, nibble as usize)
            } else if high & next[MASK_HIGH] == next[WANT_HIGH]
                && low & next[MASK_LOW] == next[WANT_LOW]
            {
                next[NEXT] as u32
            } else {
                (next[NEXT] >> 32) as u32
            };
        }
        // A leaf's lowest eight bits.
        (entry & 0xff) as u8
    }

    fn build(prefixes: &[Prefix]) -> Self {
        if prefixes.is_empty() {
            return Self::default();
        }
        let mut tree = Self {
            slots: vec![Slot::default(); ROOT_SLOTS as usize],
        };
        let mut root = vec![LEAF; 1 << DIRECT];
        // An inner prefix comes behind those around it, and has their bits too.
        for (key, len, bits) in prefixes.iter().filter(|(_, len, _)| *len <= DIRECT) {
            let first = (key >> (128 - DIRECT)) as usize;
            root[first..first + (1 << (DIRECT - len))].fill(leaf(*bits));
        }
        let long = |prefix: &&Prefix| prefix.1 > DIRECT;
        let long: Vec<Prefix> = prefixes.iter().filter(long).copied().collect();
        for group in long.chunk_by(|one, next| one.0 >> (128 - DIRECT) == next.0 >> (128 - DIRECT))
        {
            let at = (group[0].0 >> (128 - DIRECT)) as usize;
            root[at] = tree.node(group, DIRECT, root[at]);
        }
        for (slot, entries) in tree.slots.iter_mut().zip(root.chunks(16)) {
            *slot = branch(entries);
        }
        tree
    }

    /// The entry for the addresses that have their first `at` bits in common. `prefixes` are those
    /// among them, longer than that; other addresses have what `around` says.
    fn node(&mut self, prefixes: &[Prefix], at: u32, around: u32) -> u32 {
        let (Some(first), Some(last)) = (prefixes.first(), prefixes.last()) else {
            return around;
        };
        let shortest = prefixes.iter().map(|(_, len, _)| *len).min().unwrap_or(128);
        let common = (first.0 ^ last.0).leading_zeros().min(shortest) / STRIDE * STRIDE;
        if common >= at + 2 * STRIDE {
            return self.skip(prefixes, at, common, around);
        }
        let end = at + STRIDE;
        let mut entries = [around; 16];
        // Those that end in this branch; then each of the others in its own way.
        for (key, len, bits) in prefixes.iter().filter(|(_, len, _)| *len <= end) {
            let first = nibble(*key, at);
            entries[first..first + (1 << (end - len))].fill(leaf(*bits));
        }
        for group in prefixes.chunk_by(|one, next| nibble(one.0, at) == nibble(next.0, at)) {
            let way = nibble(group[0].0, at);
            entries[way] = self.node(longer(group, end), end, entries[way]);
        }
        if entries[0] & KIND == LEAF && entries.iter().all(|entry| *entry == entries[0]) {
            return entries[0];
        }
        BRANCH | place(at / STRIDE) | self.add(branch(&entries))
    }

    /// An entry that passes over the bits from `at` to `to`.
    fn skip(&mut self, prefixes: &[Prefix], at: u32, to: u32, around: u32) -> u32 {
        let (key, len, bits) = prefixes[0];
        let within = if len == to { leaf(bits) } else { around };
        let next = self.node(longer(prefixes, to), to, within);
        if next == around {
            return around;
        }
        // `at` is at least 16, and `to` at most 128.
        let mask = (u128::MAX >> at) & (u128::MAX << (128 - to));
        let want = key & mask;
        let mut slot = Slot::default();
        (slot[MASK_HIGH], slot[MASK_LOW]) = ((mask >> 64) as u64, mask as u64);
        (slot[WANT_HIGH], slot[WANT_LOW]) = ((want >> 64) as u64, want as u64);
        slot[NEXT] = u64::from(next) | u64::from(around) << 32;
        SKIP | self.add(slot)
    }

    fn add(&mut self, slot: Slot) -> u32 {
        let index = self.slots.len();
        self.slots.push(slot);
        // See MAX_NETWORKS.
        u32::try_from(index).unwrap_or(SLOT) & SLOT
    }
}

const fn leaf(bits: u8) -> u32 {
    LEAF | bits as u32
}

/// Four bits of a key.
const fn nibble(key: u128, at: u32) -> usize {
    (key >> (128 - STRIDE - at)) as usize & 15
}

/// Those behind the ones that end at `end` or before: they come first among those that have their
/// first `end` bits in common.
fn longer(prefixes: &[Prefix], end: u32) -> &[Prefix] {
    let first = prefixes.iter().position(|(_, len, _)| *len > end);
    &prefixes[first.unwrap_or(prefixes.len())..]
}

fn branch(entries: &[u32]) -> Slot {
    let mut slot = Slot::default();
    for (word, pair) in slot.iter_mut().zip(entries.chunks_exact(2)) {
        *word = u64::from(pair[0]) | u64::from(pair[1]) << 32;
    }
    slot
}

/// One of a branch's entries.
const fn entry(slot: &Slot, nibble: usize) -> u32 {
    (slot[nibble / 2] >> (nibble % 2 * 32)) as u32
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use capture_common::filter::{DST, EITHER, NOT_SRC, SRC};
    use ipnet::IpNet;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::addresses::merge;
    use super::*;

    fn trees(lists: &[(u8, Vec<IpNet>)]) -> (Tree, Tree) {
        let lists: Vec<_> = lists.iter().map(|(bit, list)| (*bit, list)).collect();
        let (v4, v6) = merge(&lists);
        (Tree::v4(&v4), Tree::v6(&v6))
    }

    fn expected(lists: &[(u8, Vec<IpNet>)], address: IpAddr) -> u8 {
        lists
            .iter()
            .filter(|(_, list)| list.iter().any(|net| net.contains(&address)))
            .fold(0, |bits, (bit, _)| bits | bit)
    }

    /// Prefixes that share long beginnings, as those of one owner do.
    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (any::<u32>(), any::<u8>(), 0..=32u8).prop_map(|(bits, shared, len)| {
            let bits = match shared % 4 {
                0 => bits,
                1 => bits & 0x00ff_ffff | 10 << 24,
                2 => bits & 0x0000_ffff | 0xc000_0000,
                _ => bits & 0x0000_003f | 0xc000_0200,
            };
            IpNet::new(Ipv4Addr::from_bits(bits).into(), len).unwrap()
        });
        let v6 = (any::<u128>(), any::<u8>(), 0..=128u8).prop_map(|(bits, shared, len)| {
            let kept = [0, 7, 16, 32, 47, 64, 100, 122][usize::from(shared) % 8];
            let own: u128 = 0x2001_0db8_0000_0000_0000_0000_0000_0000;
            let mask = u128::MAX.checked_shr(kept).unwrap_or(0);
            IpNet::new(Ipv6Addr::from_bits(own & !mask | bits & mask).into(), len).unwrap()
        });
        prop_oneof![v4, v6]
    }

    /// The first and last address of a network, and their neighbours.
    fn edges(net: &IpNet) -> Vec<IpAddr> {
        match net {
            IpNet::V4(net) => {
                let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                [
                    first,
                    last,
                    first.wrapping_sub(1),
                    last.wrapping_add(1),
                    first ^ 1,
                ]
                .map(|bits| Ipv4Addr::from_bits(bits).into())
                .into()
            }
            IpNet::V6(net) => {
                let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                [
                    first,
                    last,
                    first.wrapping_sub(1),
                    last.wrapping_add(1),
                    first ^ 1,
                ]
                .map(|bits| Ipv6Addr::from_bits(bits).into())
                .into()
            }
        }
    }

    proptest! {
        #[test]
        fn every_address_has_the_bits_of_the_lists_that_it_is_on(
            hosts in vec(net(), 0..40),
            sources in vec(net(), 0..40),
            destinations in vec(net(), 0..4),
            barred in vec(net(), 0..10),
            others in vec(any::<u32>(), 20),
        ) {
            let lists = [(EITHER, hosts), (SRC, sources), (DST, destinations), (NOT_SRC, barred)];
            let (v4, v6) = trees(&lists);
            let edges = lists.iter().flat_map(|(_, list)| list.iter().flat_map(edges));
            let others = others.into_iter().map(|bits| Ipv4Addr::from_bits(bits).into());
            for address in edges.chain(others) {
                let tree = if address.is_ipv4() { &v4 } else { &v6 };
                prop_assert_eq!(tree.bits(address), expected(&lists, address), "{}", address);
            }
        }
    }

    #[test]
    fn the_deepest_tree_ends_within_the_steps_that_there_are() {
        // A prefix at each length, each the other's neighbour: a branch at every nibble.
        let v6 = (1..=128u8).map(|len| {
            let bits = u128::MAX << (128 - u32::from(len)) & !(1 << (128 - u32::from(len)));
            IpNet::new(Ipv6Addr::from_bits(bits).into(), len).unwrap()
        });
        let v4 = (1..=32u8).map(|len| {
            let bits = u32::MAX << (32 - u32::from(len)) & !(1 << (32 - u32::from(len)));
            IpNet::new(Ipv4Addr::from_bits(bits).into(), len).unwrap()
        });
        let lists = [(EITHER, v4.chain(v6).collect::<Vec<_>>())];
        let (v4, v6) = trees(&lists);
        for address in lists[0].1.iter().flat_map(edges) {
            let tree = if address.is_ipv4() { &v4 } else { &v6 };
            assert_eq!(tree.bits(address), expected(&lists, address), "{address}");
        }
    }

    #[test]
    fn no_prefix_takes_no_slot_and_many_take_less_than_four_each() {
        assert_eq!(Tree::v4(&[]).slots().len(), 0);
        // Spread as evenly as can be, which shares least.
        let spread = (0..20_000u32).map(|n| n.wrapping_mul(2_654_435_761));
        let v4: Vec<IpNet> = spread
            .clone()
            .map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)).into())
            .collect();
        let v6: Vec<IpNet> = spread
            .map(|bits| IpAddr::from(Ipv6Addr::from_bits(u128::from(bits) << 80)).into())
            .collect();
        let (v4, v6) = trees(&[(EITHER, [v4, v6].concat())]);
        for tree in [v4, v6] {
            let slots = tree.slots().len() - ROOT_SLOTS as usize;
            assert!(slots <= 4 * 20_000, "{slots}");
        }
    }

    #[test]
    fn what_lies_within_another_of_the_same_list_takes_nothing() {
        let all: Vec<IpNet> = ["10.0.0.0/8", "10.1.2.0/24", "10.1.2.3/32", "10.128.0.0/9"]
            .iter()
            .map(|net| net.parse().unwrap())
            .collect();
        let (v4, _) = trees(&[(EITHER, all)]);
        assert_eq!(v4.slots().len(), ROOT_SLOTS as usize);
        assert_eq!(v4.bits("10.1.2.3".parse().unwrap()), EITHER);
        assert_eq!(v4.bits("11.1.2.3".parse().unwrap()), 0);
    }
}
