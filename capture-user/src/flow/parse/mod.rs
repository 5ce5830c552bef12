//! A frame's bytes as what the tracker asks about: who talks to whom, the TCP segment, the packet
//! that an ICMP error quotes, and what of it no translation changes.
//!
//! Own code instead of a general decoder: it runs once a sighting, wants a handful of fields, and
//! a truncated frame must still give all that is there.
//!
//! - `ordinary`: nearly all frames, at once
//! - here: the frame, down to its network layer; `ip`: both versions' headers; `transport`: what
//!   they carry; `tcp`: a segment with its options; `icmp`: echoes, and errors with what they quote
//! - `tunnel`: the packet within a tunnel's, where flows are those of what is in tunnels

mod icmp;
mod ip;
mod ordinary;
mod tcp;
mod transport;
mod tunnel;

use foldhash::fast::RandomState;

use self::ip::{Ip, ipv4, ipv6};
#[cfg(test)]
pub(super) use self::ordinary::Ordinary;
pub(super) use self::ordinary::{Ends, ordinary};
use self::transport::transport;
use super::fingerprint::{Fingerprint, Ingredients};
use super::reset::Segment;
use super::tunnel::Tunnel;
use super::tuple::Tuple;
use crate::session::frame::Link;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    /// Whom it belongs to. `None` for what has no flow: not IP, a fragment but the first, an ICMP
    /// error (that belongs to the flow it quotes).
    pub(super) tuple: Option<Tuple>,
    /// What it carries.
    pub(super) content: Content,
    /// What of it no translation changes.
    pub(super) fingerprint: Fingerprint,
    /// TTL or hop limit; 0 for what isn't IP.
    pub(super) ttl: u8,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A TCP segment whose fixed header is whole. Its time is left at zero, for the tracker to set.
    Tcp {
        /// The segment.
        segment: Segment,
        /// The window scale option's shift count (RFC 7323), where there is one.
        scale: Option<u8>,
    },
    /// An ICMP or ICMPv6 error, and the tuple of the packet that it quotes, if it says so much.
    IcmpError(Option<Tuple>),
    /// The answer to an echo request: its sender is the server.
    EchoReply,
    /// Anything else, or TCP that was cut too short.
    Other,
}

/// Reads a frame. `None` if not even its type is there.
pub(super) fn parse(
    link: Link,
    frame: &[u8],
    original_len: u32,
    hash: &RandomState,
) -> Option<Parsed> {
    let (ethertype, packet, wire_len) = link_layer(link, frame, original_len)?;
    Some(network(ethertype, packet, wire_len, hash))
}

/// Reads a frame; of one that is a tunnel's, the packet within.
pub(super) fn parse_inner(
    link: Link,
    frame: &[u8],
    original_len: u32,
    hash: &RandomState,
) -> Option<Parsed> {
    let (ethertype, packet, wire_len) = link_layer(link, frame, original_len)?;
    Some(match tunnel::within(ethertype, packet, wire_len) {
        Some(within) => network(within.ethertype, within.packet, within.wire_len, hash),
        None => {
            let mut parsed = network(ethertype, packet, wire_len, hash);
            if let Content::IcmpError(quoted) = &mut parsed.content {
                *quoted = quoted_within(ethertype, packet, wire_len, hash).or(*quoted);
            }
            parsed
        }
    })
}

/// Whose packet it is that an error quotes in its tunnel, where as much is quoted.
fn quoted_within(
    ethertype: u16,
    packet: &[u8],
    wire_len: u32,
    hash: &RandomState,
) -> Option<Tuple> {
    let quote = ip(ethertype, packet, wire_len)?.rest.get(8..)?;
    // ICMP is about packets of its own IP version.
    let within = tunnel::within(ethertype, quote, u32::MAX)?;
    network(within.ethertype, within.packet, within.wire_len, hash).tuple
}

/// The tunnel that a frame is one of, if it is.
pub(super) fn tunnel_of(link: Link, frame: &[u8], original_len: u32) -> Option<Tunnel> {
    let (ethertype, packet, wire_len) = link_layer(link, frame, original_len)?;
    Some(tunnel::within(ethertype, packet, wire_len)?.tunnel)
}

/// A frame's type, what was captured behind its link header, and how long that is on the wire.
fn link_layer(link: Link, frame: &[u8], original_len: u32) -> Option<(u16, &[u8], u32)> {
    let (ethertype, offset) = match link {
        Link::Ethernet => network_layer(frame)?,
        Link::Bare => match frame.first()? >> 4 {
            4 => (0x0800, 0),
            6 => (0x86dd, 0),
            _ => (0, 0),
        },
    };
    let packet = frame.get(offset..)?;
    let wire_len = original_len
        .saturating_sub(u32::try_from(offset).unwrap_or(u32::MAX))
        .max(u32::try_from(packet.len()).unwrap_or(u32::MAX));
    Some((ethertype, packet, wire_len))
}

fn network(ethertype: u16, packet: &[u8], wire_len: u32, hash: &RandomState) -> Parsed {
    let Some(ip) = ip(ethertype, packet, wire_len) else {
        // Not IP, or not enough of it: told apart by its type, length and first bytes alone.
        let ingredients = Ingredients {
            kind: u64::from(ethertype) << 32 | u64::from(wire_len),
            ..Ingredients::default()
        };
        return Parsed {
            tuple: None,
            content: Content::Other,
            fingerprint: ingredients.fingerprint(packet, wire_len, false, hash),
            ttl: 0,
        };
    };
    transport(&ip, hash)
}

/// The header of an IP packet of either version.
fn ip(ethertype: u16, packet: &[u8], wire_len: u32) -> Option<Ip<'_>> {
    match ethertype {
        0x0800 => ipv4(packet, wire_len),
        0x86dd => ipv6(packet, wire_len),
        _ => None,
    }
}

/// The EtherType behind up to four VLAN tags, and where its packet starts.
fn network_layer(frame: &[u8]) -> Option<(u16, usize)> {
    let mut at = 12;
    for _ in 0..=4 {
        let ethertype = be16(frame, at)?;
        at += 2;
        match ethertype {
            0x8100 | 0x88a8 | 0x9100 => at += 2,
            _ => return Some((ethertype, at)),
        }
    }
    Some((0, at.min(frame.len())))
}

#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[inline]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
