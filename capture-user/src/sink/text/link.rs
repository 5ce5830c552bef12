//! The link layer: Ethernet, VLAN tags, LLC, and what an EtherType leads to.

use etherparse::EtherType;

use super::context::Context;
use super::view::{Truncated, View};
use super::{arp, ip, ipv6};

/// How many VLAN tags of one frame are shown.
const MAX_TAGS: usize = 8;

/// Below this the type field is a length (IEEE 802.3, 3.2.6).
const FIRST_ETHERTYPE: u16 = 0x0600;

/// A packet that begins with its IP header.
pub(super) fn bare_ip(cx: &mut Context<'_>, packet: View<'_>) -> Result<(), Truncated> {
    match packet.of("ip").u8(0)? >> 4 {
        4 => ip::packet(cx, packet),
        6 => ipv6::packet(cx, packet),
        version => {
            cx.put(format_args!(
                "IP version {version} unknown, length {}",
                packet.len()
            ));
            Ok(())
        }
    }
}

/// An Ethernet frame.
///
/// VLAN tags are always shown: with several capture places on one node they tell the places
/// apart. tcpdump shows them with `-e` only.
pub(super) fn ethernet(cx: &mut Context<'_>, frame: View<'_>) -> Result<(), Truncated> {
    let frame = frame.of("ether");
    let destination = frame.array(0)?;
    let source = frame.array(6)?;
    let mut ether_type = frame.be16(12)?;
    let mut payload = frame.skip(14);
    for _ in 0..MAX_TAGS {
        match EtherType(ether_type) {
            EtherType::VLAN_TAGGED_FRAME
            | EtherType::PROVIDER_BRIDGING
            | EtherType::VLAN_DOUBLE_TAGGED_FRAME => {}
            _ => break,
        }
        payload = payload.of("vlan");
        let tci = payload.be16(0)?;
        cx.field("vlan ", tci & 0x0fff);
        cx.field(", p ", tci >> 13);
        if tci & 0x1000 != 0 {
            cx.text(", DEI");
        }
        cx.text(", ");
        ether_type = payload.be16(2)?;
        payload = payload.skip(4);
    }
    if ether_type < FIRST_ETHERTYPE {
        return llc(cx, payload.limit(ether_type.into()));
    }
    if !network(cx, ether_type, payload)? {
        cx.mac(source);
        cx.text(" > ");
        cx.mac(destination);
        cx.put(format_args!(
            ", ethertype {} (0x{ether_type:04x}), length {}",
            name(ether_type),
            frame.len()
        ));
    }
    Ok(())
}

/// What an EtherType stands for, if it is decoded; `false` if it isn't.
pub(super) fn network(
    cx: &mut Context<'_>,
    ether_type: u16,
    payload: View<'_>,
) -> Result<bool, Truncated> {
    match EtherType(ether_type) {
        EtherType::IPV4 => ip::packet(cx, payload)?,
        EtherType::IPV6 => ipv6::packet(cx, payload)?,
        EtherType::ARP => arp::packet(cx, "ARP", payload)?,
        EtherType(0x8035) => arp::packet(cx, "RARP", payload)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The names of EtherTypes that a node's links carry and that aren't decoded.
pub(super) fn name(ether_type: u16) -> &'static str {
    match ether_type {
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x6558 => "TEB",
        0x8100 => "802.1Q",
        0x86dd => "IPv6",
        0x8808 => "MPCP",
        0x8809 => "Slow Protocols",
        0x8847 => "MPLS unicast",
        0x8848 => "MPLS multicast",
        0x8863 => "PPPoE D",
        0x8864 => "PPPoE S",
        0x888e => "EAPOL",
        0x88a8 => "802.1Q-QinQ",
        0x88cc => "LLDP",
        0x88e5 => "MACsec",
        0x88f7 => "PTP",
        0x9000 => "Loopback",
        _ => "Unknown",
    }
}

/// IEEE 802.2. Only spanning tree is told apart, since bridges speak it.
fn llc(cx: &mut Context<'_>, pdu: View<'_>) -> Result<(), Truncated> {
    let pdu = pdu.of("llc");
    let (dsap, ssap) = (pdu.u8(0)?, pdu.u8(1)?);
    if (dsap, ssap) != (0x42, 0x42) {
        cx.put(format_args!(
            "LLC, dsap 0x{dsap:02x}, ssap 0x{ssap:02x}, length {}",
            pdu.len()
        ));
        return Ok(());
    }
    let bpdu = pdu.skip(3).of("stp");
    let version = match bpdu.u8(2)? {
        0 => "802.1d",
        2 => "802.1w",
        3 => "802.1s",
        _ => "unknown version",
    };
    let kind = match bpdu.u8(3)? {
        0x00 => "Config",
        0x02 => "Rapid STP",
        0x80 => "Topology Change",
        _ => "unknown type",
    };
    cx.put(format_args!("STP {version}, {kind}, length {}", bpdu.len()));
    Ok(())
}
