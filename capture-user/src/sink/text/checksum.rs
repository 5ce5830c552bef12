//! The Internet checksum (RFC 1071) over headers and segments.

use std::net::IpAddr;

use etherparse::IpNumber;

/// What the checksum field of a TCP or UDP segment turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Correct,
    /// It holds the pseudo-header's sum alone: the stack left the rest to the device
    /// (`CHECKSUM_PARTIAL`). On a node that is so for nearly everything sent from here, and for
    /// what one container sends to another; nothing is wrong with it.
    Offloaded,
    /// It should be this.
    Incorrect(u16),
}

/// The ones' complement sum, folded to 16 bits but not complemented.
fn sum(bytes: &[u8], start: u32) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut total = u64::from(start);
    for pair in pairs {
        total += u64::from(u16::from_be_bytes(*pair));
    }
    if let [last] = rest {
        total += u64::from(*last) << 8;
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    // Folded above.
    total as u16
}

/// The pseudo-header's sum (RFC 9293, 3.1 and RFC 8200, 8.1).
fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: IpNumber, len: usize) -> u16 {
    let mut total = u32::from(protocol.0);
    for address in [source, destination] {
        total += u32::from(match address {
            IpAddr::V4(address) => sum(&address.octets(), 0),
            IpAddr::V6(address) => sum(&address.octets(), 0),
        });
    }
    // A length beyond 32 bits can't be: the frame's own length has 32.
    let len = u32::try_from(len).unwrap_or_default();
    sum(&len.to_be_bytes(), total)
}

/// Judges `bytes`, whose checksum field is `field`, given what else is summed.
fn judge(bytes: &[u8], field: u16, start: u16) -> Verdict {
    let total = sum(bytes, start.into());
    if total == 0xffff {
        return Verdict::Correct;
    }
    if start != 0 && field == start {
        return Verdict::Offloaded;
    }
    let without = sum(&(!field).to_be_bytes(), total.into());
    Verdict::Incorrect(!without)
}

/// Judges a header or message that is summed by itself: IPv4's, ICMP's, IGMP's.
pub(super) fn of_message(bytes: &[u8], field: u16) -> Verdict {
    judge(bytes, field, 0)
}

/// Judges a segment or message that is summed with a pseudo-header: TCP's, UDP's, ICMPv6's.
pub(super) fn of_segment(
    source: IpAddr,
    destination: IpAddr,
    protocol: IpNumber,
    bytes: &[u8],
    field: u16,
) -> Verdict {
    let start = pseudo_header(source, destination, protocol, bytes.len());
    judge(bytes, field, start)
}
