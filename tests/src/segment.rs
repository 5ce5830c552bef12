//! TCP segments as they are found in frames.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::frames::transport::{ACK, FIN, RST, SYN, TCP};
use crate::frames::{IPV4, IPV6};

/// A TCP segment with what its IP header says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The link address it came from.
    pub from_link: [u8; 6],
    /// The sender.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The flags byte.
    pub flags: u8,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Payload bytes, also those that were cut off.
    pub payload: u32,
}

impl Segment {
    /// The segment in an Ethernet frame; none if there is no whole TCP header right behind an IP
    /// header.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let kind = u16::from_be_bytes(*frame.get(12..)?.first_chunk()?);
        let packet = frame.get(14..)?;
        let (source, destination, ttl, header_len, total_len) = match kind {
            IPV4 if packet.get(9) == Some(&TCP) => {
                let address = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk()?));
                let header_len = usize::from(packet.first()? & 15) * 4;
                let total_len = u16::from_be_bytes(*packet.get(2..)?.first_chunk()?);
                (
                    IpAddr::V4(address(12)?),
                    IpAddr::V4(address(16)?),
                    *packet.get(8)?,
                    header_len,
                    usize::from(total_len),
                )
            }
            IPV6 if packet.get(6) == Some(&TCP) => {
                let address = |at: usize| Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk()?));
                let payload_len = u16::from_be_bytes(*packet.get(4..)?.first_chunk()?);
                (
                    IpAddr::V6(address(8)?),
                    IpAddr::V6(address(24)?),
                    *packet.get(7)?,
                    40,
                    40 + usize::from(payload_len),
                )
            }
            _ => return None,
        };
        let header = packet.get(header_len..)?;
        let port = |at: usize| Some(u16::from_be_bytes(*header.get(at..)?.first_chunk()?));
        let number = |at: usize| Some(u32::from_be_bytes(*header.get(at..)?.first_chunk()?));
        let tcp_len = usize::from(header.get(12)? >> 4) * 4;
        Some(Self {
            from_link: *frame.get(6..)?.first_chunk()?,
            source: SocketAddr::new(source, port(0)?),
            destination: SocketAddr::new(destination, port(2)?),
            ttl,
            flags: *header.get(13)?,
            sequence: number(4)?,
            acknowledgement: number(8)?,
            payload: total_len.saturating_sub(header_len + tcp_len) as u32,
        })
    }

    /// Whether all of these flags are set.
    #[must_use]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The sequence number that the sender goes on with.
    #[must_use]
    pub fn next_sequence(&self) -> u32 {
        let controls = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.sequence
            .wrapping_add(self.payload)
            .wrapping_add(controls)
    }

    /// Whether this reset is what a kernel without a socket makes of that segment (RFC 9293,
    /// 3.5.2): it takes its number from the acknowledgement there or, where there is none,
    /// acknowledges everything.
    #[must_use]
    pub fn refuses(&self, answered: &Self) -> bool {
        let back = self.source == answered.destination && self.destination == answered.source;
        let numbers = if answered.has(ACK) {
            self.sequence == answered.acknowledgement && !self.has(ACK)
        } else {
            self.sequence == 0 && self.has(ACK) && self.acknowledgement == answered.next_sequence()
        };
        back && self.has(RST) && numbers
    }
}
