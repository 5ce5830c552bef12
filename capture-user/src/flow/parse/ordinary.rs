//! The frames that nearly all are, read without asking what else they could be.

use std::net::Ipv4Addr;

use foldhash::fast::RandomState;

use super::Content;
use super::ip::{Ip, within};
use super::tcp::tcp;
use super::transport::{TCP, UDP};
use crate::flow::fingerprint::{Fingerprint, Ingredients};

/// Who talks to whom, in IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) struct Ends {
    pub(in crate::flow) addresses: [u32; 2],
    pub(in crate::flow) ports: [u16; 2],
    pub(in crate::flow) protocol: u8,
}

/// An Ethernet header and an IPv4 header without options.
const HEADERS: usize = 34;
const LINK: usize = 14;

/// An ordinary frame, read: as [`super::Parsed`] says it.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Ordinary {
    pub(in crate::flow) ends: Ends,
    pub(in crate::flow) content: Content,
    pub(in crate::flow) fingerprint: Fingerprint,
    pub(in crate::flow) ttl: u8,
}

/// Reads an Ethernet frame with an IPv4 packet that has no IP options, is no fragment, and carries
/// a TCP segment whose fixed header is whole, or UDP. `None` for any other: [`super::parse`] reads all, and
/// what it makes of these is the same.
#[inline(always)]
pub(in crate::flow) fn ordinary(
    frame: &[u8],
    original_len: u32,
    hash: &RandomState,
) -> Option<Ordinary> {
    let headers: &[u8; HEADERS] = frame.first_chunk()?;
    let half = |at: usize| u16::from_be_bytes([headers[at], headers[at + 1]]);
    let word = |at: usize| {
        u32::from_be_bytes([
            headers[at],
            headers[at + 1],
            headers[at + 2],
            headers[at + 3],
        ])
    };
    // Its type; version and header length; neither more fragments nor one before.
    if half(12) != 0x0800 || headers[14] != 0x45 || half(20) & 0x3fff != 0 {
        return None;
    }
    let packet = &frame[LINK..];
    let captured = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    let wire_len = original_len.saturating_sub(LINK as u32).max(captured);
    let total = match half(16) {
        0 => wire_len,
        total => u32::from(total).min(wire_len),
    };
    let (id, ttl, protocol) = (half(18), headers[22], headers[23]);
    let addresses = [word(26), word(30)];
    let [source, destination] = addresses.map(|address| Ipv4Addr::from_bits(address).into());
    let ip = Ip {
        source,
        destination,
        protocol,
        ttl,
        id: Some(id),
        label: u32::from(id),
        dont_fragment: headers[20] & 0x40 != 0,
        later_fragment: 0,
        more_fragments: false,
        rest: within(packet, HEADERS - LINK, total),
        rest_len: total.saturating_sub((HEADERS - LINK) as u32),
    };
    let mut ingredients = Ingredients::of(&ip);
    let (content, header_len, payload_len, telling) = match protocol {
        TCP => {
            let (segment, options) = tcp(&ip)?;
            ingredients.add_segment(&segment, options.stamps);
            let content = Content::Tcp {
                segment,
                scale: options.scale,
            };
            (content, segment.header_len as usize, segment.payload, true)
        }
        UDP => (Content::Other, 8, ip.rest_len.saturating_sub(8), id != 0),
        _ => return None,
    };
    let [s0, s1, d0, d1] = *ip.rest.first_chunk()?;
    let payload = ip.rest.get(header_len..).unwrap_or_default();
    Some(Ordinary {
        ends: Ends {
            addresses,
            ports: [u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])],
            protocol,
        },
        content,
        fingerprint: ingredients.fingerprint(payload, payload_len, telling, hash),
        ttl,
    })
}
