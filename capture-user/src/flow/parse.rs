//! A frame's bytes as what the tracker asks about: who talks to whom, the TCP segment, the packet
//! that an ICMP error quotes, and what of it no translation changes.
//!
//! Own code instead of a general decoder: it runs once a sighting, wants a handful of fields, and
//! a truncated frame must still give all that is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::fast::RandomState;

use super::fingerprint::{Fingerprint, Ingredients};
use super::reset::Segment;
use super::tuple::{Endpoint, Tuple};
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
    /// A TCP segment whose fixed header is whole. Its time is left at zero.
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

const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// An IP header, and what follows it.
struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ttl: u8,
    /// The IPv4 identification.
    id: Option<u16>,
    /// What tells packets of one sender apart: the identification, or IPv6's flow label.
    label: u32,
    dont_fragment: bool,
    /// Not the first fragment: no transport header follows. The number goes into the fingerprint.
    later_fragment: u16,
    /// What was captured of the transport header and payload.
    rest: &'a [u8],
    /// The length of both on the wire.
    rest_len: u32,
}

/// Reads a frame. `None` if not even its type is there.
pub(super) fn parse(
    link: Link,
    frame: &[u8],
    original_len: u32,
    hash: &RandomState,
) -> Option<Parsed> {
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
    let ip = match ethertype {
        0x0800 => ipv4(packet, wire_len),
        0x86dd => ipv6(packet, wire_len),
        _ => None,
    };
    let Some(ip) = ip else {
        // Not IP, or not enough of it: told apart by its type, length and first bytes alone.
        let ingredients = Ingredients {
            kind: u64::from(ethertype) << 32 | u64::from(wire_len),
            ..Ingredients::default()
        };
        return Some(Parsed {
            tuple: None,
            content: Content::Other,
            fingerprint: ingredients.fingerprint(packet, wire_len, false, hash),
            ttl: 0,
        });
    };
    Some(transport(&ip, hash))
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

fn ipv4(packet: &[u8], wire_len: u32) -> Option<Ip<'_>> {
    let header: &[u8; 20] = packet.first_chunk()?;
    #[rustfmt::skip]
    let [
        version, _, total0, total1,
        id0, id1, fragment0, fragment1,
        ttl, protocol, _, _,
        source @ .., _, _, _, _
    ] = *header;
    let [.., d0, d1, d2, d3] = *header;
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
    let source: [u8; 4] = source;
    Some(Ip {
        source: Ipv4Addr::from(source).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        protocol,
        ttl,
        id: Some(id),
        label: u32::from(id),
        dont_fragment: fragment & 0x4000 != 0,
        later_fragment: fragment & 0x1fff,
        rest: within(packet, header_len, total),
        rest_len: total.saturating_sub(u32::try_from(header_len).unwrap_or(u32::MAX)),
    })
}

/// What is captured of the bytes from `start` up to `end`, counted from the packet's first.
fn within(packet: &[u8], start: usize, end: u32) -> &[u8] {
    let end = usize::try_from(end).map_or(packet.len(), |end| end.min(packet.len()));
    packet.get(start..end).unwrap_or_default()
}

fn ipv6(packet: &[u8], wire_len: u32) -> Option<Ip<'_>> {
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
    let mut later_fragment = 0;
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
                later_fragment = be16(packet, at + 2).map_or(0, |field| field >> 3);
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
        rest: within(packet, at, total),
        rest_len: total.saturating_sub(u32::try_from(at).unwrap_or(u32::MAX)),
    })
}

fn transport(ip: &Ip<'_>, hash: &RandomState) -> Parsed {
    let mut ingredients = Ingredients {
        kind: u64::from(ip.protocol)
            | u64::from(ip.later_fragment) << 8
            | u64::from(ip.rest_len) << 32,
        label: ip.label,
        ..Ingredients::default()
    };
    // Alone, bytes and a length that many packets share prove nothing.
    let mut telling = ip.label != 0;
    let mut content = Content::Other;
    let mut header_len = 0usize;
    let mut tuple = None;
    if ip.later_fragment != 0 {
        return Parsed {
            tuple,
            content,
            fingerprint: ingredients.fingerprint(ip.rest, ip.rest_len, telling, hash),
            ttl: ip.ttl,
        };
    }
    match ip.protocol {
        TCP => {
            tuple = ports(ip);
            if let Some((segment, options)) = tcp(ip) {
                header_len = usize::from(segment.header_len);
                ingredients.numbers =
                    u64::from(segment.sequence) << 32 | u64::from(segment.acknowledgement);
                ingredients.shape = u64::from(segment.flags)
                    | u64::from(segment.window) << 8
                    | u64::from(segment.header_len) << 24;
                ingredients.stamps = options.stamps;
                telling = true;
                content = Content::Tcp {
                    segment,
                    scale: options.scale,
                };
            }
        }
        UDP => {
            tuple = ports(ip);
            header_len = 8;
        }
        SCTP => {
            tuple = ports(ip);
            // The verification tag; the checksum covers the ports.
            ingredients.numbers = be32(ip.rest, 4).map_or(0, u64::from);
            header_len = 12;
        }
        ICMP | ICMP6 => {
            let (found, error, stable) = icmp(ip);
            tuple = found;
            if matches!(
                (ip.protocol, ip.rest.first()),
                (ICMP, Some(0)) | (ICMP6, Some(129))
            ) {
                content = Content::EchoReply;
            }
            if let Some(quoted) = error {
                content = Content::IcmpError(quoted);
            }
            ingredients.shape = stable;
            header_len = 8;
            if error.is_some() {
                // What it quotes is translated along with it.
                header_len = ip.rest.len();
            }
        }
        _ => tuple = Some(addresses(ip, 0)),
    }
    let payload = ip.rest.get(header_len..).unwrap_or_default();
    let payload_len = match content {
        Content::Tcp { segment, .. } => segment.payload,
        Content::IcmpError(_) => 0,
        Content::EchoReply | Content::Other => ip
            .rest_len
            .saturating_sub(u32::try_from(header_len).unwrap_or(u32::MAX)),
    };
    Parsed {
        tuple,
        content,
        fingerprint: ingredients.fingerprint(payload, payload_len, telling, hash),
        ttl: ip.ttl,
    }
}

const fn addresses(ip: &Ip<'_>, port: u16) -> Tuple {
    Tuple {
        source: Endpoint {
            address: ip.source,
            port,
        },
        destination: Endpoint {
            address: ip.destination,
            port,
        },
        protocol: ip.protocol,
    }
}

/// The tuple of a protocol whose header starts with both ports.
fn ports(ip: &Ip<'_>) -> Option<Tuple> {
    let mut tuple = addresses(ip, 0);
    tuple.source.port = be16(ip.rest, 0)?;
    tuple.destination.port = be16(ip.rest, 2)?;
    Some(tuple)
}

/// What is of use in a segment's options.
#[derive(Clone, Copy, Default)]
struct Options {
    stamps: u64,
    has_stamps: bool,
    scale: Option<u8>,
}

fn tcp(ip: &Ip<'_>) -> Option<(Segment, Options)> {
    let header: &[u8; 20] = ip.rest.first_chunk()?;
    let header_len = (header[12] >> 4) * 4;
    if header_len < 20 {
        return None;
    }
    let options = options(within(ip.rest, 20, u32::from(header_len)));
    Some((
        Segment {
            time: 0,
            sequence: be32(header, 4)?,
            acknowledgement: be32(header, 8)?,
            flags: header[13],
            window: be16(header, 14)?,
            payload: ip.rest_len.saturating_sub(u32::from(header_len)),
            header_len,
            timestamps: options.has_stamps,
            ttl: ip.ttl,
            ip_id: ip.id,
            dont_fragment: ip.dont_fragment,
        },
        options,
    ))
}

fn options(mut bytes: &[u8]) -> Options {
    let mut found = Options::default();
    // As nearly all segments have them (RFC 7323, appendix A), and nothing else.
    if let [1, 1, 8, 10, stamps @ ..] = bytes
        && let Ok(stamps) = stamps.try_into()
    {
        found.stamps = u64::from_be_bytes(stamps);
        found.has_stamps = true;
        return found;
    }
    loop {
        match bytes {
            [1, rest @ ..] => bytes = rest,
            [kind, len, ..] if *kind != 0 && *len >= 2 => {
                let Some((option, rest)) = bytes.split_at_checked(usize::from(*len)) else {
                    return found;
                };
                match option {
                    [8, 10, a, b, c, d, e, f, g, h] => {
                        found.stamps = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                        found.has_stamps = true;
                    }
                    // RFC 7323, 2.3: a larger count is taken as 14.
                    [3, 3, shift] => found.scale = Some((*shift).min(14)),
                    _ => {}
                }
                bytes = rest;
            }
            _ => return found,
        }
    }
}

/// The tuple of an ICMP or ICMPv6 message, or what its error quotes, and what of its first eight
/// bytes no translation changes: an echo's identifier is one that does.
fn icmp(ip: &Ip<'_>) -> (Option<Tuple>, Option<Option<Tuple>>, u64) {
    let Some(header) = ip.rest.first_chunk::<8>() else {
        return (None, None, 0);
    };
    let [kind, code, _, _, id0, id1, sequence0, sequence1] = *header;
    let stable = u64::from_be_bytes([kind, code, 0, 0, 0, 0, sequence0, sequence1]);
    let (echo, error) = if ip.protocol == ICMP {
        // RFC 792: echo and its reply; unreachable, source quench, redirect, time exceeded,
        // parameter problem.
        (matches!(kind, 0 | 8), matches!(kind, 3 | 4 | 5 | 11 | 12))
    } else {
        // RFC 4443: errors are those below 128; four are in use.
        (matches!(kind, 128 | 129), matches!(kind, 1..=4))
    };
    if error {
        let packet = ip.rest.get(8..).unwrap_or_default();
        let quoted = if ip.protocol == ICMP {
            ipv4(packet, u32::MAX)
        } else {
            ipv6(packet, u32::MAX)
        };
        let Some(quoted) = quoted.filter(|quoted| quoted.later_fragment == 0) else {
            return (None, Some(None), stable);
        };
        let mut stable = stable ^ u64::from(quoted.label) << 16;
        let tuple = match quoted.protocol {
            TCP | UDP | SCTP => {
                if quoted.protocol == TCP {
                    stable ^= be32(quoted.rest, 4).map_or(0, |sequence| u64::from(sequence) << 24);
                }
                ports(&quoted)
            }
            ICMP | ICMP6 => match icmp_echo_id(&quoted) {
                Some(id) => Some(addresses(&quoted, id)),
                None => Some(addresses(&quoted, 0)),
            },
            _ => Some(addresses(&quoted, 0)),
        };
        return (None, Some(tuple), stable);
    }
    let id = if echo {
        u16::from_be_bytes([id0, id1])
    } else {
        0
    };
    (Some(addresses(ip, id)), None, stable)
}

fn icmp_echo_id(ip: &Ip<'_>) -> Option<u16> {
    matches!(
        (ip.protocol, ip.rest.first()?),
        (ICMP, 0 | 8) | (ICMP6, 128 | 129)
    )
    .then(|| be16(ip.rest, 4))
    .flatten()
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
