//! What an IP packet carries, and what of it stays the same on its way.

use foldhash::fast::RandomState;

use super::icmp::icmp;
use super::ip::Ip;
use super::tcp::tcp;
use super::{Content, Parsed, be16, be32};
use crate::flow::fingerprint::Ingredients;
use crate::flow::reset::Segment;
use crate::flow::tuple::{Endpoint, Tuple};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const SCTP: u8 = 132;
pub(super) const ICMP: u8 = 1;
pub(super) const ICMP6: u8 = 58;

pub(super) fn transport(ip: &Ip<'_>, hash: &RandomState) -> Parsed {
    let mut ingredients = Ingredients::of(ip);
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
                ingredients.add_segment(&segment, options.stamps);
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

impl Ingredients {
    #[inline]
    pub(super) fn of(ip: &Ip<'_>) -> Self {
        Self {
            kind: u64::from(ip.protocol)
                | u64::from(ip.later_fragment) << 8
                | u64::from(ip.rest_len) << 32,
            label: ip.label,
            ..Self::default()
        }
    }

    #[inline]
    pub(super) fn add_segment(&mut self, segment: &Segment, stamps: u64) {
        self.numbers = u64::from(segment.sequence) << 32 | u64::from(segment.acknowledgement);
        self.shape = u64::from(segment.flags)
            | u64::from(segment.window) << 8
            | u64::from(segment.header_len) << 24;
        self.stamps = stamps;
    }
}

pub(super) const fn addresses(ip: &Ip<'_>, port: u16) -> Tuple {
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
#[inline]
pub(super) fn ports(ip: &Ip<'_>) -> Option<Tuple> {
    let mut tuple = addresses(ip, 0);
    tuple.source.port = be16(ip.rest, 0)?;
    tuple.destination.port = be16(ip.rest, 2)?;
    Some(tuple)
}
