//! The filter's tables, as the kernel side looks things up in them.

use std::collections::HashSet;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData};
use capture_common::filter::{PORT_TABLE_LEN, PROTOCOL_TABLE_LEN};
use capture_common::names;
use ipnet::{Ipv4Net, Ipv6Net};

use super::error::KernelError;
use super::program::{Kernel, map_error};
use crate::filter::{Filter, Tables};

/// A trie of no entries can't be created.
pub(super) fn entries(prefixes: usize) -> u32 {
    u32::try_from(prefixes).unwrap_or(u32::MAX).max(1)
}

/// How many prefixes there may be at a time where lists are read again: memory is taken for those
/// that there are.
const ROOM: u32 = 1 << 22;

/// The most entries that a trie for this many prefixes may get.
pub(super) fn room(prefixes: usize, reread: bool) -> u32 {
    let least = if reread { ROOM } else { 1 };
    entries(prefixes).max(least)
}

/// Puts the prefixes in.
fn addresses(ebpf: &mut Ebpf, tables: &Tables) -> Result<(), KernelError> {
    let mut trie = trie_v4(ebpf)?;
    for (net, bits) in &tables.addresses_v4 {
        trie.insert(&key_v4(net), bits, 0)
            .map_err(map_error(names::ADDRESSES_V4))?;
    }
    let mut trie = trie_v6(ebpf)?;
    for (net, bits) in &tables.addresses_v6 {
        trie.insert(&key_v6(net), bits, 0)
            .map_err(map_error(names::ADDRESSES_V6))?;
    }
    Ok(())
}

fn trie_v4(ebpf: &mut Ebpf) -> Result<LpmTrie<&mut MapData, [u8; 4], u8>, KernelError> {
    let map = ebpf
        .map_mut(names::ADDRESSES_V4)
        .ok_or(KernelError::Missing(names::ADDRESSES_V4))?;
    map.try_into().map_err(map_error(names::ADDRESSES_V4))
}

fn trie_v6(ebpf: &mut Ebpf) -> Result<LpmTrie<&mut MapData, [u8; 16], u8>, KernelError> {
    let map = ebpf
        .map_mut(names::ADDRESSES_V6)
        .ok_or(KernelError::Missing(names::ADDRESSES_V6))?;
    map.try_into().map_err(map_error(names::ADDRESSES_V6))
}

fn key_v4(net: &Ipv4Net) -> Key<[u8; 4]> {
    Key::new(u32::from(net.prefix_len()), net.network().octets())
}

fn key_v6(net: &Ipv6Net) -> Key<[u8; 16]> {
    Key::new(u32::from(net.prefix_len()), net.network().octets())
}

impl Kernel {
    /// Goes over from one filter's addresses to another's while the programs run. A packet that
    /// both match is matched at every moment.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`], for which some of either may be there.
    pub fn replace_addresses(&mut self, from: &Filter, to: &Filter) -> Result<(), KernelError> {
        let between = from.between(to).tables();
        self.go_over(&from.tables(), &between)?;
        self.go_over(&between, &to.tables())
    }

    /// First what is new, then away with what isn't wanted any more.
    fn go_over(&mut self, from: &Tables, to: &Tables) -> Result<(), KernelError> {
        addresses(&mut self.ebpf, to)?;
        let kept: HashSet<_> = to.addresses_v4.iter().map(|(net, _)| *net).collect();
        let mut trie = trie_v4(&mut self.ebpf)?;
        for (net, _) in from
            .addresses_v4
            .iter()
            .filter(|(net, _)| !kept.contains(net))
        {
            trie.remove(&key_v4(net))
                .map_err(map_error(names::ADDRESSES_V4))?;
        }
        let kept: HashSet<_> = to.addresses_v6.iter().map(|(net, _)| *net).collect();
        let mut trie = trie_v6(&mut self.ebpf)?;
        for (net, _) in from
            .addresses_v6
            .iter()
            .filter(|(net, _)| !kept.contains(net))
        {
            trie.remove(&key_v6(net))
                .map_err(map_error(names::ADDRESSES_V6))?;
        }
        Ok(())
    }
}

/// Fills the filter's tables.
pub(super) fn fill(ebpf: &mut Ebpf, tables: &Tables) -> Result<(), KernelError> {
    addresses(ebpf, tables)?;
    let map = ebpf
        .map_mut(names::PORTS)
        .ok_or(KernelError::Missing(names::PORTS))?;
    Array::<_, [u8; PORT_TABLE_LEN]>::try_from(map)
        .and_then(|mut array| array.set(0, tables.ports.as_bytes(), 0))
        .map_err(map_error(names::PORTS))?;
    let map = ebpf
        .map_mut(names::PROTOCOLS)
        .ok_or(KernelError::Missing(names::PROTOCOLS))?;
    Array::<_, [u8; PROTOCOL_TABLE_LEN]>::try_from(map)
        .and_then(|mut array| array.set(0, tables.protocols.as_bytes(), 0))
        .map_err(map_error(names::PROTOCOLS))
}
