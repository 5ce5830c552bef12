//! IPv4 and IPv6 headers, with what may stand between them and the transport.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Next header: hop-by-hop options (RFC 8200, 4.3).
pub const HOP_BY_HOP: u8 = 0;
/// Next header: routing (RFC 8200, 4.4).
pub const ROUTING: u8 = 43;
/// Next header: fragment (RFC 8200, 4.5).
pub const FRAGMENT: u8 = 44;
/// Next header: authentication (RFC 4302).
pub const AUTHENTICATION: u8 = 51;
/// Next header: nothing follows (RFC 8200, 4.7).
pub const NO_NEXT_HEADER: u8 = 59;
/// Next header: destination options (RFC 8200, 4.6).
pub const DESTINATION_OPTIONS: u8 = 60;

/// The Internet checksum (RFC 1071).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An IPv4 header to be (RFC 791).
#[derive(Clone, Debug)]
pub struct Ipv4 {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    identification: u16,
    /// Flags and fragment offset as they stand in the header.
    fragment: u16,
    ttl: u8,
    options: Vec<u8>,
}

impl Ipv4 {
    /// A header without options that doesn't fragment.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            identification: 0,
            fragment: 0,
            ttl: 64,
            options: Vec::new(),
        }
    }

    /// With options, padded here to a multiple of four bytes with the end-of-list option.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self.options.resize(options.len().next_multiple_of(4), 0);
        self
    }

    /// With this identification and time to live.
    #[must_use]
    pub fn marks(mut self, identification: u16, ttl: u8) -> Self {
        self.identification = identification;
        self.ttl = ttl;
        self
    }

    /// As the fragment of datagram `identification` that starts at byte `offset`, a multiple of
    /// eight; `more` follow it or none do.
    #[must_use]
    pub fn fragment(mut self, identification: u16, offset: u16, more: bool) -> Self {
        self.identification = identification;
        self.fragment = (offset / 8) | (u16::from(more) << 13);
        self
    }

    /// The packet.
    #[must_use]
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let total_len = (header_len + payload.len()) as u16;
        let mut packet = vec![0x40 | (header_len / 4) as u8, 0];
        packet.extend(total_len.to_be_bytes());
        packet.extend(self.identification.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.ttl, protocol, 0, 0]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(&self.options);
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// An IPv6 header to be, and the extension headers behind it (RFC 8200).
#[derive(Clone, Debug)]
pub struct Ipv6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    /// Each with the number by which the header before it announces it; the byte that announces
    /// the one after it is still to be filled in.
    extensions: Vec<(u8, Vec<u8>)>,
}

impl Ipv6 {
    /// A header with nothing between it and its payload.
    #[must_use]
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            extensions: Vec::new(),
        }
    }

    /// With one more header of options or routing, `len` bytes of it: a multiple of eight. What
    /// is in it is padding (RFC 8200, 4.2: PadN) or, in a routing header, zero segments left.
    #[must_use]
    pub fn extension(mut self, kind: u8, len: usize) -> Self {
        let mut header = vec![0; len];
        header[1] = (len / 8 - 1) as u8;
        if kind != ROUTING {
            header[2] = 1;
            header[3] = (len - 4) as u8;
        }
        self.extensions.push((kind, header));
        self
    }

    /// With an authentication header of `len` bytes, a multiple of eight. Its length field counts
    /// words of four and leaves out two, unlike the others' (RFC 4302, 2.2).
    #[must_use]
    pub fn authentication(mut self, len: usize) -> Self {
        let mut header = vec![0; len];
        header[1] = (len / 4 - 2) as u8;
        self.extensions.push((AUTHENTICATION, header));
        self
    }

    /// With a fragment header: the part of datagram `identification` that starts at byte `offset`,
    /// a multiple of eight; `more` follow it or none do.
    #[must_use]
    pub fn fragment(mut self, identification: u32, offset: u16, more: bool) -> Self {
        let mut header = vec![0, 0];
        header.extend((offset | u16::from(more)).to_be_bytes());
        header.extend(identification.to_be_bytes());
        self.extensions.push((FRAGMENT, header));
        self
    }

    /// The packet.
    #[must_use]
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut kinds = self
            .extensions
            .iter()
            .map(|(kind, _)| *kind)
            .chain([protocol]);
        let first = kinds.next().unwrap_or(protocol);
        let mut behind = Vec::new();
        for ((_, header), next) in self.extensions.iter().zip(kinds) {
            behind.push(next);
            behind.extend(&header[1..]);
        }
        behind.extend(payload);
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((behind.len() as u16).to_be_bytes());
        packet.extend([first, 64]);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        packet.extend(behind);
        packet
    }
}
