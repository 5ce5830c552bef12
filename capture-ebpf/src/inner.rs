//! The packet within a tunnel's: VXLAN (RFC 7348), GENEVE (RFC 8926), GRE (RFC 2784 and 2890, so
//! NVGRE too) and IP in IP of either version, one level deep.

use capture_common::filter::MAX_VLAN_TAGS;

use crate::globals::INNER;
use crate::packet::Packet;
use crate::parse::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Network, meet};
use crate::tuple::UDP;

/// IP protocol numbers of tunnels.
const IPV4_WITHIN: u8 = 4;
const IPV6_WITHIN: u8 = 41;
const GRE: u8 = 47;

/// VXLAN's port: IANA's, and the one that Linux had before there was one.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
const GENEVE_PORT: u16 = 6081;

/// An Ethernet frame in GRE and GENEVE: transparent Ethernet bridging.
const ETHERTYPE_FRAME: u16 = 0x6558;

const UDP_LEN: u32 = 8;
/// VXLAN's header, and GENEVE's without options.
const TUNNEL_LEN: u32 = 8;

/// Looks for the inner packet: [`pack`]ed, or 0. For functions that the verifier takes by
/// themselves; in line it would follow the options' look-ups for every kind of tunnel.
#[inline(always)]
pub fn find<const BARE: bool>(packet: &impl Packet) -> u64 {
    // Asked again, since kernels before 6.8 verify it even where nobody calls it.
    if INNER.load() == 0 {
        return 0;
    }
    match behind::<BARE>(packet) {
        Some(network) => pack(&network),
        None => 0,
    }
}

/// A place as a number that is never 0.
#[inline(always)]
fn pack(network: &Network) -> u64 {
    1 << 63 | u64::from(network.ethertype) << 32 | u64::from(network.offset)
}

/// From such a number.
#[inline(always)]
pub fn unpack(packed: u64) -> Option<Network> {
    if packed == 0 {
        return None;
    }
    Some(Network {
        ethertype: (packed >> 32) as u16,
        // The verifier has lost the bound.
        offset: meet(packed as u32),
    })
}

#[inline(always)]
fn behind<const BARE: bool>(packet: &impl Packet) -> Option<Network> {
    let outer = parse::network::<BARE>(packet)?;
    let transport = match outer.ethertype {
        ETHERTYPE_IPV4 => parse::transport_v4(packet, outer.offset)?,
        ETHERTYPE_IPV6 => parse::transport_v6(packet, outer.offset, |_| {})?,
        _ => return None,
    };
    if transport.later_fragment {
        return None;
    }
    let at = meet(transport.offset);
    let (ethertype, offset) = match transport.protocol {
        IPV4_WITHIN => (ETHERTYPE_IPV4, at),
        IPV6_WITHIN => (ETHERTYPE_IPV6, at),
        GRE => gre(packet, at)?,
        UDP => over_udp(packet, at)?,
        _ => return None,
    };
    let inner = Network {
        ethertype,
        offset: meet(offset),
    };
    if ethertype == ETHERTYPE_FRAME {
        return frame(packet, inner.offset);
    }
    Some(inner)
}

/// What a GRE header announces, and where.
#[inline(always)]
fn gre(packet: &impl Packet, at: u32) -> Option<(u16, u32)> {
    let flags = packet.read_u16(at)?;
    // Version 0, and no source routing: that has no length of its own.
    if flags & 0x4007 != 0 {
        return None;
    }
    // Checksum, key and sequence number, four bytes each where there is one.
    let optional = (flags >> 15 & 1) + (flags >> 13 & 1) + (flags >> 12 & 1);
    Some((packet.read_u16(at + 2)?, at + 4 + u32::from(optional) * 4))
}

/// What a tunnel over UDP announces, and where.
#[inline(always)]
fn over_udp(packet: &impl Packet, at: u32) -> Option<(u16, u32)> {
    let port = packet.read_u16(at + 2)?;
    let header = at + UDP_LEN;
    let [first, _] = packet.read::<[u8; 2]>(header)?;
    if port == VXLAN_PORTS[0] || port == VXLAN_PORTS[1] {
        // The flag that says that there is a network identifier: always set.
        return (first & 0x08 != 0).then_some((ETHERTYPE_FRAME, header + TUNNEL_LEN));
    }
    // GENEVE version 0; its options' length is in words.
    if port != GENEVE_PORT || first & 0xc0 != 0 {
        return None;
    }
    let options = u32::from(first & 0x3f) * 4;
    Some((packet.read_u16(header + 2)?, header + TUNNEL_LEN + options))
}

/// What an inner Ethernet frame announces behind its tags, and where.
#[inline(always)]
fn frame(packet: &impl Packet, at: u32) -> Option<Network> {
    let mut network = Network {
        ethertype: packet.read_u16(at + 12)?,
        offset: at + 14,
    };
    for _ in 0..MAX_VLAN_TAGS {
        if !parse::is_tag(network.ethertype) {
            break;
        }
        network.ethertype = packet.read_u16(network.offset + 2)?;
        network.offset += 4;
    }
    network.offset = meet(network.offset);
    Some(network)
}
