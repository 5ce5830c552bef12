//! The code says of each address what the tree says.

use std::net::IpAddr;

use capture_common::filter::{DST, EITHER, NOT_SRC, SRC};
use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::addresses::merge;
use super::super::machine::run;
use super::super::tree::tests::{edges, net};
use super::*;

fn halves(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(it) => [it.to_bits().into(), 0],
        IpAddr::V6(it) => [(it.to_bits() >> 64) as u64, it.to_bits() as u64],
    }
}

proptest! {
    #[test]
    fn each_address_of_a_pair_has_the_bits_of_its_lists(
        lists in vec((prop_oneof![Just(EITHER), Just(SRC), Just(DST), Just(NOT_SRC)], vec(net(), 0..5)), 0..4),
        others in vec(net(), 0..20),
    ) {
        let by_list: Vec<_> = lists.iter().map(|(bit, list)| (*bit, list)).collect();
        let (prefixes_v4, prefixes_v6) = merge(&by_list);
        let trees = [Tree::v4(&prefixes_v4), Tree::v6(&prefixes_v6)];
        let codes = [v4(&trees[0]).unwrap(), v6(&trees[1]).unwrap()];
        let nets: Vec<IpNet> = lists.iter().flat_map(|(_, list)| list).copied().collect();
        let addresses: Vec<_> = nets.iter().chain(&others).flat_map(edges).collect();
        for version in 0..2 {
            let is = |address: &&IpAddr| usize::from(address.is_ipv6()) == version;
            let addresses: Vec<_> = addresses.iter().filter(is).copied().collect();
            // Each as a source, with the next one as the destination.
            for pair in addresses.windows(2) {
                let [source, destination] = [halves(pair[0]), halves(pair[1])];
                let arguments = match version {
                    // The registers' upper halves can hold anything.
                    0 => [source[0] | 7 << 32, destination[0] | 9 << 32, 0, 0],
                    _ => [source[0], source[1], destination[0], destination[1]],
                };
                let bits = [0, 1].map(|end| u64::from(trees[version].bits(pair[end])));
                prop_assert_eq!(run(&codes[version], &arguments), bits[0] | bits[1] << 8, "{:?}", pair);
            }
        }
    }
}

#[test]
fn a_long_list_is_no_code() {
    let nets = |count: u8| -> Vec<IpNet> {
        let net = |n| format!("192.0.2.{}/32", 2 * n).parse().unwrap();
        (0..count).map(net).collect()
    };
    let code = |count| {
        let (prefixes, _) = merge(&[(EITHER, &nets(count))]);
        v4(&Tree::v4(&prefixes))
    };
    assert!(code(31).is_some());
    assert!(code(33).is_none());
}

#[test]
fn without_any_network_no_address_has_a_bit() {
    let code = v6(&Tree::default()).unwrap();
    assert_eq!(code.len(), 2);
    assert_eq!(run(&code, &[u64::MAX; 4]), 0);
}
