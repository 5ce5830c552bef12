//! A stretch of a packet: the bytes that were captured, and how many there were on the wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bytes end before the field does, in the protocol named: cut by the snapshot length, or
/// never sent. Shown as tcpdump does, `[|tcp]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Truncated(pub(super) &'static str);

/// Captured bytes with their length on the wire, read as one protocol's.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    bytes: &'a [u8],
    /// At least `bytes.len()`.
    len: usize,
    protocol: &'static str,
}

impl<'a> View<'a> {
    /// `bytes` are the first of `len` bytes on the wire.
    pub(super) fn new(bytes: &'a [u8], len: usize, protocol: &'static str) -> Self {
        Self {
            bytes,
            len: len.max(bytes.len()),
            protocol,
        }
    }

    /// The same bytes, read as another protocol's.
    pub(super) fn of(self, protocol: &'static str) -> Self {
        Self { protocol, ..self }
    }

    /// Length on the wire.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there was nothing on the wire.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was captured.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether all of it was captured.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes.len() == self.len
    }

    /// What comes after the first `n` bytes; nothing if there are fewer.
    pub(super) fn skip(self, n: usize) -> Self {
        Self {
            bytes: self.bytes.get(n..).unwrap_or_default(),
            len: self.len.saturating_sub(n),
            ..self
        }
    }

    /// Its first `n` bytes; all of it if there are fewer.
    pub(super) fn limit(self, n: usize) -> Self {
        Self {
            bytes: self.bytes.get(..n).unwrap_or(self.bytes),
            len: self.len.min(n),
            ..self
        }
    }

    /// The same bytes as the beginning of a quoted IPv4 packet, which may have gone on as far as
    /// its header says.
    pub(super) fn as_quote(self) -> Self {
        let declared = self.be16(2).map_or(0, usize::from);
        Self {
            len: self.len.max(declared),
            ..self
        }
    }

    /// The error for a field that isn't there.
    pub(super) fn truncated(&self) -> Truncated {
        Truncated(self.protocol)
    }

    /// The `N` bytes at `at`.
    pub(super) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Truncated> {
        self.bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or(self.truncated())
    }

    /// The `len` bytes at `at`.
    pub(super) fn slice(&self, at: usize, len: usize) -> Result<&'a [u8], Truncated> {
        self.bytes
            .get(at..)
            .and_then(|rest| rest.get(..len))
            .ok_or(self.truncated())
    }

    /// The byte at `at`.
    pub(super) fn u8(&self, at: usize) -> Result<u8, Truncated> {
        self.array(at).map(|[byte]| byte)
    }

    /// The 16 bits at `at`, network byte order.
    pub(super) fn be16(&self, at: usize) -> Result<u16, Truncated> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// The 24 bits at `at`, network byte order.
    pub(super) fn be24(&self, at: usize) -> Result<u32, Truncated> {
        self.array(at)
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// The 32 bits at `at`, network byte order.
    pub(super) fn be32(&self, at: usize) -> Result<u32, Truncated> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// The IPv4 address at `at`.
    pub(super) fn ipv4(&self, at: usize) -> Result<IpAddr, Truncated> {
        self.array::<4>(at)
            .map(|octets| Ipv4Addr::from(octets).into())
    }

    /// The IPv6 address at `at`.
    pub(super) fn ipv6(&self, at: usize) -> Result<IpAddr, Truncated> {
        self.array::<16>(at)
            .map(|octets| Ipv6Addr::from(octets).into())
    }
}
