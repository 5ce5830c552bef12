//! The filter's tables, as the kernel side looks things up in them.

use aya::Ebpf;
use aya::maps::Array;
use aya::maps::lpm_trie::{Key, LpmTrie};
use capture_common::filter::{PORT_TABLE_LEN, PROTOCOL_TABLE_LEN};
use capture_common::names;

use super::error::KernelError;
use super::program::map_error;
use crate::filter::Tables;

/// A trie of no entries can't be created.
pub(super) fn entries(prefixes: usize) -> u32 {
    u32::try_from(prefixes).unwrap_or(u32::MAX).max(1)
}

/// Fills the filter's tables.
pub(super) fn fill(ebpf: &mut Ebpf, tables: &Tables) -> Result<(), KernelError> {
    let map = ebpf
        .map_mut(names::ADDRESSES_V4)
        .ok_or(KernelError::Missing(names::ADDRESSES_V4))?;
    let mut trie: LpmTrie<_, [u8; 4], u8> =
        map.try_into().map_err(map_error(names::ADDRESSES_V4))?;
    for (net, bits) in &tables.addresses_v4 {
        let key = Key::new(u32::from(net.prefix_len()), net.network().octets());
        trie.insert(&key, bits, 0)
            .map_err(map_error(names::ADDRESSES_V4))?;
    }
    let map = ebpf
        .map_mut(names::ADDRESSES_V6)
        .ok_or(KernelError::Missing(names::ADDRESSES_V6))?;
    let mut trie: LpmTrie<_, [u8; 16], u8> =
        map.try_into().map_err(map_error(names::ADDRESSES_V6))?;
    for (net, bits) in &tables.addresses_v6 {
        let key = Key::new(u32::from(net.prefix_len()), net.network().octets());
        trie.insert(&key, bits, 0)
            .map_err(map_error(names::ADDRESSES_V6))?;
    }
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
