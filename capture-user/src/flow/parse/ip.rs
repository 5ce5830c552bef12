//! Both versions' headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::be16;

/// An IP header, and what follows it.
pub(super) struct Ip<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) ttl: u8,
    /// The IPv4 identification.
    pub(super) id: Option<u16>,
    /// What tells packets of one sender apart: the identification, or IPv6's flow label.
    pub(super) label: u32,
    pub(super) dont_fragment: bool,
    /// Not the first fragment: no transport header follows. The number goes into the fingerprint.
    pub(super) later_fragment: u16,
    /// Others follow: what is here may end early.
    pub(super) more_fragments: bool,
    /// What was captured of the transport header and payload.
    pub(super) rest: &'a [u8],
    /// The length of both on the wire.
    pub(super) rest_len: u32,
}

pub(super) fn ipv4(packet: &[u8], wire_len: u32) -> Option<Ip<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    #[rustfmt::skip]
    let [
        version, _, total0, total1,
        id0, id1, fragment0, fragment1,
        ttl, protocol, _, _,
        s0, s1, s2, s3,
        d0, d1, d2, d3,
    ] = *header;
    let header_len = usize::from(version & 15) * 4;
    if version >> 4 != 4 || header_len < 20 {
        return None;
    }
    let total = match u16::from_be_bytes([total0, total1]) {
        // BIG TCP writes 0 for what sixteen bits can't hold, and so do some segmenting cards.
        0 => wire_len,
        total => u32::from(total).min(wire_len),
    };
    let fragment = u16::from_be_bytes([fragment0, fragment1]);
    let id = u16::from_be_bytes([id0, id1]);
    Some(Ip {
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        protocol,
        ttl,
        id: Some(id),
        label: u32::from(id),
        dont_fragment: fragment & 0x4000 != 0,
        later_fragment: fragment & 0x1fff,
        more_fragments: fragment & 0x2000 != 0,
        rest: within(packet, header_len, total),
        rest_len: total.saturating_sub(u32::try_from(header_len).unwrap_or(u32::MAX)),
    })
}

/// What is captured of the bytes from `start` up to `end`, counted from the packet's first.
#[inline]
pub(super) fn within(packet: &[u8], start: usize, end: u32) -> &[u8] {
    let end = usize::try_from(end).map_or(packet.len(), |end| end.min(packet.len()));
    packet.get(start..end).unwrap_or_default()
}

pub(super) fn ipv6(packet: &[u8], wire_len: u32) -> Option<Ip<'_>> {
    let header: &[u8; 40] = packet.first_chunk()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let total = match be16(packet, 4)? {
        // A jumbogram (RFC 2675), which is also how BIG TCP looks.
        0 => wire_len,
        payload => (u32::from(payload) + 40).min(wire_len),
    };
    let mut protocol = header[6];
    let mut at = 40usize;
    let (mut later_fragment, mut more_fragments) = (0, false);
    // RFC 8200 allows each extension once (destination options twice).
    for _ in 0..9 {
        let len = match protocol {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
            0 | 43 | 60 | 135 | 139 | 140 => {
                packet.get(at + 1).map(|len| (usize::from(*len) + 1) * 8)
            }
            // Authentication header (RFC 4302): in four-byte units, less two.
            51 => packet.get(at + 1).map(|len| (usize::from(*len) + 2) * 4),
            44 => {
                let field = be16(packet, at + 2).unwrap_or(0);
                (later_fragment, more_fragments) = (field >> 3, field & 1 != 0);
                Some(8)
            }
            _ => break,
        };
        // Cut short within the chain: the protocol stays that of the extension.
        let (Some(len), Some(next)) = (len, packet.get(at)) else {
            break;
        };
        protocol = *next;
        at += len;
        if later_fragment != 0 {
            break;
        }
    }
    Some(Ip {
        source: Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?).into(),
        destination: Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?).into(),
        protocol,
        ttl: header[7],
        id: None,
        label: u32::from_be_bytes(*header.first_chunk()?) & 0x000f_ffff,
        dont_fragment: true,
        later_fragment,
        more_fragments,
        rest: within(packet, at, total),
        rest_len: total.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX)),
    })
}
