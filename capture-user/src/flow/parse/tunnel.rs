//! The packet within a tunnel's, one level deep: where the kernel side's `inner` module finds it,
//! and which tunnel it is.

use super::ip::Ip;
use super::transport::UDP;
use super::{be16, be32, ip, network_layer};
use crate::flow::tunnel::{Tunnel, TunnelKind};

/// IP protocol numbers of tunnels.
const IPV4_WITHIN: u8 = 4;
const IPV6_WITHIN: u8 = 41;
const GRE: u8 = 47;

/// VXLAN's port: IANA's, and the one that Linux had before there was one.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
const GENEVE_PORT: u16 = 6081;

/// An Ethernet frame in GRE and GENEVE: transparent Ethernet bridging.
const ETHERTYPE_FRAME: u16 = 0x6558;

/// What a first fragment's inner packet may be long: longer than any fragment.
const MAX_LEN: u32 = 0xffff;

/// A packet in a tunnel's.
pub(super) struct Within<'a> {
    pub(super) tunnel: Tunnel,
    pub(super) ethertype: u16,
    pub(super) packet: &'a [u8],
    /// Its length on the wire.
    pub(super) wire_len: u32,
}

/// Looks into a packet. `None` where it is no tunnel's.
pub(super) fn within(ethertype: u16, packet: &[u8], wire_len: u32) -> Option<Within<'_>> {
    let outer = ip(ethertype, packet, wire_len)?;
    if outer.later_fragment != 0 {
        return None;
    }
    let (kind, id, ethertype, at) = match outer.protocol {
        IPV4_WITHIN => (TunnelKind::Ipip, None, 0x0800, 0),
        IPV6_WITHIN => (TunnelKind::Ipip, None, 0x86dd, 0),
        GRE => gre(outer.rest)?,
        UDP => over_udp(outer.rest)?,
        _ => return None,
    };
    let (ethertype, at) = if ethertype == ETHERTYPE_FRAME {
        let (ethertype, offset) = network_layer(outer.rest.get(at..)?)?;
        (ethertype, at + offset)
    } else {
        (ethertype, at)
    };
    Some(Within {
        tunnel: Tunnel {
            kind,
            id,
            source: outer.source,
            destination: outer.destination,
        },
        ethertype,
        packet: outer.rest.get(at..)?,
        wire_len: rest_of(&outer, at),
    })
}

/// What a tunnel's header announces: an identifier, a type, and where that begins.
type Announced = (TunnelKind, Option<u32>, u16, usize);

fn gre(header: &[u8]) -> Option<Announced> {
    let flags = be16(header, 0)?;
    // Version 0, and no source routing: that has no length of its own.
    if flags & 0x4007 != 0 {
        return None;
    }
    let has = |bit: u16| usize::from(flags >> bit & 1) * 4;
    let (checksum, key, sequence) = (has(15), has(13), has(12));
    let id = if key == 0 {
        None
    } else {
        Some(be32(header, 4 + checksum)?)
    };
    let at = 4 + checksum + key + sequence;
    Some((TunnelKind::Gre, id, be16(header, 2)?, at))
}

fn over_udp(datagram: &[u8]) -> Option<Announced> {
    let port = be16(datagram, 2)?;
    let header: &[u8; 8] = datagram.get(8..)?.first_chunk()?;
    let id = Some(be32(header, 4)? >> 8);
    if VXLAN_PORTS.contains(&port) {
        // The flag that says that there is a network identifier: always set.
        return (header[0] & 0x08 != 0).then_some((TunnelKind::Vxlan, id, ETHERTYPE_FRAME, 16));
    }
    // GENEVE version 0; its options' length is in words.
    if port != GENEVE_PORT || header[0] & 0xc0 != 0 {
        return None;
    }
    let options = usize::from(header[0] & 0x3f) * 4;
    Some((TunnelKind::Geneve, id, be16(header, 2)?, 16 + options))
}

/// What is left behind the tunnel's headers. Of a packet that was fragmented on its way the first
/// fragment says nothing of it.
fn rest_of(outer: &Ip<'_>, at: usize) -> u32 {
    if outer.more_fragments {
        return MAX_LEN;
    }
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    outer.rest_len.saturating_sub(at)
}
