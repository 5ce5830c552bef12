//! Teaches the kernel side which tuples to follow: those of flows that were translated before any
//! packet of theirs matched.

use aya::maps::{Array, HashMap};
use capture_common::flows::{self, TAUGHT};
use capture_common::names;

use super::error::KernelError;
use super::program::{Kernel, map_error};
use crate::flow::tuple::{Endpoint, Tuple};

/// A key of the map of followed flows (`FlowKey`, capture-ebpf/src/tuple.rs): both addresses in
/// 16 bytes each, as in the packet; both ports, the IP version and the protocol, two bytes each.
type KeyBytes = [u8; 40];

impl Kernel {
    /// Follows a tuple and its reverse from now on; `now` by `CLOCK_MONOTONIC`, in nanoseconds.
    /// Nothing, if this capture doesn't follow.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn follow(&mut self, tuple: &Tuple, now: u64) -> Result<(), KernelError> {
        if !self.follows {
            return Ok(());
        }
        // First what is looked at first.
        let map = self
            .ebpf
            .map_mut(names::LEARNED)
            .ok_or(KernelError::Missing(names::LEARNED))?;
        let mut learned: Array<_, u64> = map.try_into().map_err(map_error(names::LEARNED))?;
        for tuple in [*tuple, tuple.reversed()] {
            learned
                .set(bucket(&key(&tuple)), TAUGHT, 0)
                .map_err(map_error(names::LEARNED))?;
        }
        let map = self
            .ebpf
            .map_mut(names::FLOWS)
            .ok_or(KernelError::Missing(names::FLOWS))?;
        let mut flows: HashMap<_, KeyBytes, u64> =
            map.try_into().map_err(map_error(names::FLOWS))?;
        for tuple in [*tuple, tuple.reversed()] {
            flows
                .insert(key(&tuple), now, 0)
                .map_err(map_error(names::FLOWS))?;
        }
        Ok(())
    }
}

fn key(tuple: &Tuple) -> KeyBytes {
    let mut key = [0; 40];
    let version: u16 = if tuple.source.address.is_ipv4() { 4 } else { 6 };
    put_address(&mut key[..16], &tuple.source);
    put_address(&mut key[16..32], &tuple.destination);
    let rest = [
        tuple.source.port,
        tuple.destination.port,
        version,
        u16::from(tuple.protocol),
    ];
    for (bytes, number) in key[32..].chunks_exact_mut(2).zip(rest) {
        bytes.copy_from_slice(&number.to_ne_bytes());
    }
    key
}

/// Its bucket in the table of learned tuples.
fn bucket(key: &KeyBytes) -> u32 {
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&key[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    flows::bucket([number(0), number(8)], [number(16), number(24)], number(32))
}

fn put_address(bytes: &mut [u8], end: &Endpoint) {
    match end.address {
        std::net::IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        std::net::IpAddr::V6(address) => bytes.copy_from_slice(&address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The kernel side finds an ordinary packet's bucket by the eight bytes in which its IPv4
        /// addresses lie, and the one that a tuple was taught at by the tuple.
        #[test]
        fn a_packet_has_the_bucket_of_its_tuple(
            source: [u8; 4],
            destination: [u8; 4],
            ports: (u16, u16),
        ) {
            let end = |address: [u8; 4], port| Endpoint {
                address: address.into(),
                port,
            };
            let taught = key(&Tuple {
                source: end(source, ports.0),
                destination: end(destination, ports.1),
                protocol: 17,
            });
            let mut in_packet = [0; 8];
            in_packet[..4].copy_from_slice(&source);
            in_packet[4..].copy_from_slice(&destination);
            let rest = u64::from(ports.0) | u64::from(ports.1) << 16 | 4 << 32 | 17 << 48;
            let seen = flows::bucket_v4(u64::from_ne_bytes(in_packet), rest);
            prop_assert_eq!(bucket(&taught), seen);
            prop_assert!(seen < flows::LEARNED_LEN);
        }
    }

    #[test]
    fn a_key_has_addresses_as_in_the_packet_and_numbers_as_the_machine_has_them() {
        let end = |address: [u8; 4], port| Endpoint {
            address: address.into(),
            port,
        };
        let key = key(&Tuple {
            source: end([192, 0, 2, 9], 40_000),
            destination: end([192, 0, 2, 1], 8_080),
            protocol: 6,
        });
        assert_eq!(key[..5], [192, 0, 2, 9, 0]);
        assert_eq!(key[16..21], [192, 0, 2, 1, 0]);
        assert_eq!(key[32..34], 40_000_u16.to_ne_bytes());
        assert_eq!(key[34..36], 8_080_u16.to_ne_bytes());
        assert_eq!(
            key[36..40],
            [4_u16.to_ne_bytes(), 6_u16.to_ne_bytes()].concat()
        );
    }
}
