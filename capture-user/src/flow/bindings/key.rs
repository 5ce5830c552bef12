//! A tuple as it is searched for: without its direction, as numbers that compare at once.

use std::hash::{BuildHasher as _, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::RandomState;

use crate::flow::parse::Ends;
use crate::flow::tuple::{Endpoint, Tuple};

/// A tuple as it is searched for, made once for all that is asked about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) struct Sought {
    pub(super) key: Either,
    /// Whether the tuple's source is the key's second end.
    pub(super) turned: bool,
    pub(super) hash: u64,
}

impl Sought {
    /// The tuple itself.
    pub(in crate::flow) fn tuple(&self) -> Tuple {
        let tuple = match &self.key {
            Either::Four(key) => key.tuple(),
            Either::Six(key) => key.tuple(),
        };
        if self.turned { tuple.reversed() } else { tuple }
    }
}

/// A tuple without its direction: the lower end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key<A> {
    addresses: [A; 2],
    ports: [u16; 2],
    protocol: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Either {
    Four(Key<u32>),
    Six(Key<[u64; 2]>),
}

/// An address as a key holds it: numbers, which compare at once.
pub(super) trait Address: Copy + Ord {
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
pub(super) fn key(tuple: &Tuple) -> Option<(Either, bool)> {
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

/// The same for ends in IPv4.
#[inline]
pub(super) fn key_of(ends: &Ends) -> (Key<u32>, bool) {
    ordered(ends.addresses, ends.ports, ends.protocol)
}

#[inline]
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

#[inline]
pub(super) fn hash_of<A: Address>(seed: &RandomState, key: &Key<A>) -> u64 {
    let mut hasher = seed.build_hasher();
    A::write(&key.addresses, &mut hasher);
    hasher.write_u64(
        u64::from(key.ports[0]) | u64::from(key.ports[1]) << 16 | u64::from(key.protocol) << 32,
    );
    hasher.finish()
}

impl<A: Address> Key<A> {
    /// The lower end as the source.
    pub(super) fn tuple(&self) -> Tuple {
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
