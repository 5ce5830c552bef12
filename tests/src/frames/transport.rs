//! TCP, UDP, SCTP and ICMP messages, with the checksums that their IP header calls for.

use std::net::IpAddr;

use super::Flow;
use super::ip::checksum;

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IP protocol number of GRE.
pub const GRE: u8 = 47;
/// IP protocol number of ICMPv6.
pub const ICMP6: u8 = 58;
/// IP protocol number of SCTP.
pub const SCTP: u8 = 132;

/// TCP flag: no more data.
pub const FIN: u8 = 1;
/// TCP flag: opens a connection.
pub const SYN: u8 = 2;
/// TCP flag: ends it at once.
pub const RST: u8 = 4;
/// TCP flag: hand it to the application now.
pub const PSH: u8 = 8;
/// TCP flag: the acknowledgement number counts.
pub const ACK: u8 = 16;

/// A TCP segment without options (RFC 9293, 3.1).
#[must_use]
pub fn tcp(flow: Flow, flags: u8, payload: &[u8]) -> Vec<u8> {
    let acknowledgement = if flags & ACK == 0 { 0 } else { 2_000 };
    segment(flow, flags, 1_000, acknowledgement, payload)
}

/// A TCP segment without options that has these numbers (RFC 9293, 3.1).
#[must_use]
pub fn segment(
    flow: Flow,
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut segment = ports(flow);
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgement.to_be_bytes());
    segment.extend([5 << 4, flags]);
    segment.extend(64_240u16.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend(payload);
    fill_checksum(flow, TCP, &mut segment, 16);
    segment
}

/// A UDP datagram (RFC 768).
#[must_use]
pub fn udp(flow: Flow, payload: &[u8]) -> Vec<u8> {
    let mut datagram = ports(flow);
    datagram.extend(((8 + payload.len()) as u16).to_be_bytes());
    datagram.extend([0; 2]);
    datagram.extend(payload);
    fill_checksum(flow, UDP, &mut datagram, 6);
    datagram
}

/// An SCTP packet with one DATA chunk (RFC 9260, 3). Its checksum is left at zero: no receiver
/// sees it.
#[must_use]
pub fn sctp(flow: Flow, payload: &[u8]) -> Vec<u8> {
    let mut packet = ports(flow);
    packet.extend(7u32.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([0, 3]);
    packet.extend(((16 + payload.len()) as u16).to_be_bytes());
    packet.extend([0; 12]);
    packet.extend(payload);
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet
}

/// An echo request with the protocol number of the flow's IP version (RFC 792, RFC 4443).
#[must_use]
pub fn echo(flow: Flow, payload: &[u8]) -> (u8, Vec<u8>) {
    let mut message = vec![8, 0, 0, 0, 0, 7, 0, 1];
    message.extend(payload);
    if flow.source.is_ipv4() {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        return (ICMP, message);
    }
    message[0] = 128;
    fill_checksum(flow, ICMP6, &mut message, 2);
    (ICMP6, message)
}

fn ports(flow: Flow) -> Vec<u8> {
    [
        flow.source.port().to_be_bytes(),
        flow.destination.port().to_be_bytes(),
    ]
    .concat()
}

/// The checksum over the message and the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1).
fn fill_checksum(flow: Flow, protocol: u8, message: &mut [u8], at: usize) {
    let mut covered = Vec::new();
    for end in [flow.source.ip(), flow.destination.ip()] {
        match end {
            IpAddr::V4(address) => covered.extend(address.octets()),
            IpAddr::V6(address) => covered.extend(address.octets()),
        }
    }
    // The two pseudo-headers lay this out differently, but to the same sum.
    covered.extend((message.len() as u32).to_be_bytes());
    covered.extend([0, 0, 0, protocol]);
    covered.extend(&*message);
    let sum = match checksum(&covered) {
        // In UDP zero means that there is none (RFC 768); the other zero means the same number.
        0 if protocol == UDP => 0xffff,
        sum => sum,
    };
    message[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
