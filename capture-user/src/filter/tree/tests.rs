//! Whatever the lists hold, an address is found to be on those that it is on.

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
pub(in crate::filter) fn net() -> impl Strategy<Value = IpNet> {
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
pub(in crate::filter) fn edges(net: &IpNet) -> Vec<IpAddr> {
    let (first, last) = match net {
        IpNet::V4(net) => (
            net.network().to_bits().into(),
            net.broadcast().to_bits().into(),
        ),
        IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
    };
    let address = |bits: u128| match net {
        // The lowest 32 bits.
        IpNet::V4(_) => IpAddr::from(Ipv4Addr::from_bits(bits as u32)),
        IpNet::V6(_) => Ipv6Addr::from_bits(bits).into(),
    };
    [
        first,
        last,
        first.wrapping_sub(1),
        last.wrapping_add(1),
        first ^ 1,
    ]
    .map(address)
    .into()
}

/// Sets of 16 bits in clusters of clusters: of each block of four some parts are empty, and what is in the
/// others is of the same kind. No table of one width fits all of it.
fn clusters() -> impl Strategy<Value = Vec<u16>> {
    vec(1..16u8, 8).prop_map(|levels| {
        let mut all = vec![0u16];
        for parts in levels {
            let parts = (0..4).filter(|part| parts >> part & 1 != 0);
            all = (all.iter())
                .flat_map(|begun| parts.clone().map(move |part| begun << 2 | part))
                .collect();
        }
        all
    })
}

proptest! {
    // Each looks up 65,536 addresses.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn however_addresses_cluster_each_is_found_within_the_steps_that_there_are(
        chosen in clusters(),
        others in clusters(),
    ) {
        let of = |last: u16| IpAddr::from([10, 77, (last >> 8) as u8, (last & 0xff) as u8]);
        let nets = |all: &[u16]| all.iter().map(|last| of(*last).into()).collect::<Vec<IpNet>>();
        let lists = [(EITHER, nets(&chosen)), (SRC, nets(&others))];
        let (v4, _) = trees(&lists);
        let mut bits = vec![0; 1 << 16];
        for (bit, all) in [(EITHER, &chosen), (SRC, &others)] {
            for last in all {
                bits[usize::from(*last)] |= bit;
            }
        }
        for (last, bits) in (0..=u16::MAX).zip(bits) {
            prop_assert_eq!(v4.bits(of(last)), bits, "{}", of(last));
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
fn many_near_each_other_are_told_apart_by_tables() {
    let spread = |n: u32| n.wrapping_mul(2_654_435_761);
    // Under one beginning of 16 bits: some hundreds, some thousands, and so many that a table of
    // 16 bits pays; next to each other, and behind more bits that they have in common.
    for (count, behind) in [(100, 16), (3_000, 16), (20_000, 16), (3_000, 40)] {
        let own: u128 = 0x2600_1f14_aa00_0000_0000_0000_0000_0000;
        let v6 = (0..count).map(|n| {
            let bits = own & !(u128::MAX >> behind) | u128::from(spread(n)) << (96 - behind);
            IpNet::new(Ipv6Addr::from_bits(bits).into(), behind as u8 + 24).unwrap()
        });
        let v4 = (0..count).map(|n| {
            let bits = 10 << 24 | 77 << 16 | spread(n) >> 16;
            IpAddr::from(Ipv4Addr::from_bits(bits)).into()
        });
        let lists = [(EITHER, v4.chain(v6).map(|net: IpNet| net.trunc()).collect())];
        let (v4, v6) = trees(&lists);
        for tree in [&v4, &v6] {
            let is_table = |entry: u32| entry & KIND == TABLE;
            // At once, or behind a split that makes sure of what all have in common.
            let behind = tree.slots().iter().any(|slot| is_table(entry(slot, 1)));
            assert!(behind || tree.front().iter().any(|entry| is_table(*entry)));
        }
        for net in lists[0].1.iter().step_by(count as usize / 50) {
            for address in edges(net) {
                let tree = if address.is_ipv4() { &v4 } else { &v6 };
                assert_eq!(tree.bits(address), expected(&lists, address), "{address}");
            }
        }
    }
}

#[test]
fn no_prefix_takes_no_slot_and_many_take_less_than_four_each() {
    assert_eq!(Tree::v4(&[]), Tree::default());
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
        let slots = tree.slots().len();
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
    assert_eq!(v4.slots().len(), 0);
    assert_eq!(v4.bits("10.1.2.3".parse().unwrap()), EITHER);
    assert_eq!(v4.bits("11.1.2.3".parse().unwrap()), 0);
}
