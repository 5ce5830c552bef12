//! Who talks to whom: an IP protocol, two addresses and, where it has them, two ports.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// One direction of a flow.
///
/// TCP, UDP and SCTP have ports. An ICMP or ICMPv6 echo has its identifier in both ports; other
/// protocols have zeros. Of a tunnel it is the outer header's, unless the tracker was told to look at
/// what runs inside ([`super::tracker::Config::inner`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// The IP protocol number.
    pub protocol: u8,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address. Never an IPv4 address written in IPv6.
    pub address: IpAddr,
    /// Its port, or an echo's identifier, or zero.
    pub port: u16,
}

impl Tuple {
    /// The other direction of the same flow.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
        }
    }

    /// Whether such packets have no other addresses anywhere: what is sent to a group or to all, or
    /// from no address yet, and what IPv6 has on one link only (RFC 4291, 2.5.6). Many hosts send
    /// them byte for byte alike. IPv4's link-local addresses are no such: services of a node and of
    /// clouds have them, and are translated.
    pub(super) fn is_of_one_link(&self) -> bool {
        [self.source, self.destination]
            .iter()
            .any(|end| match end.address {
                IpAddr::V4(it) => it.is_multicast() || it.is_broadcast() || it.is_unspecified(),
                IpAddr::V6(it) => {
                    it.is_multicast() || it.is_unicast_link_local() || it.is_unspecified()
                }
            })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self {
            address: socket.ip().to_canonical(),
            port: socket.port(),
        }
    }
}

/// As people write it, and as the flows file has it: `192.0.2.9:443`, `[2001:db8::1]:443`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}
