//! Who talks to whom, and what of a packet stays the same when that is translated.

use capture_common::event::EventTuple;

use capture_common::flows;

use crate::packet::{Bytes, Packet, clamp};
use crate::parse::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Transport};

/// IP protocol numbers.
pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;

/// The bit of a fingerprint that says that the packet is a TCP segment.
pub const SEGMENT: u64 = 1;

/// One direction of a flow, as the key of a map: without padding, every byte set.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FlowKey {
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
    /// 4 or 6.
    pub version: u16,
    pub protocol: u16,
}

/// An address as it lies in the packet; an IPv4 address in the first four bytes, then zeros.
pub type Address = [u64; 2];

impl FlowKey {
    /// The other direction.
    #[inline(always)]
    pub fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..*self
        }
    }

    /// All but the addresses.
    #[inline(always)]
    fn rest(&self) -> u64 {
        rest(
            self.source_port,
            self.destination_port,
            self.version,
            self.protocol,
        )
    }

    /// Its bucket in the table of learned ones.
    #[inline(always)]
    pub fn bucket(&self) -> u32 {
        flows::bucket(self.source, self.destination, self.rest())
    }

    /// A number for it, the same each time.
    #[inline(always)]
    pub fn digest(&self) -> u64 {
        let mut digest = self.rest();
        digest = mix(digest, self.source[0]);
        digest = mix(digest, self.source[1]);
        digest = mix(digest, self.destination[0]);
        mix(digest, self.destination[1])
    }

    /// As events have it.
    #[inline(always)]
    pub fn tuple(&self) -> EventTuple {
        EventTuple {
            source: bytes(self.source),
            destination: bytes(self.destination),
            source_port: self.source_port,
            destination_port: self.destination_port,
        }
    }
}

#[inline(always)]
fn rest(source_port: u16, destination_port: u16, version: u16, protocol: u16) -> u64 {
    u64::from(source_port)
        | u64::from(destination_port) << 16
        | u64::from(version) << 32
        | u64::from(protocol) << 48
}

#[inline(always)]
fn bytes(address: Address) -> [u8; 16] {
    // SAFETY: sixteen bytes either way.
    unsafe { core::mem::transmute(address) }
}

/// An IP packet's headers, found once.
pub struct Headers {
    /// Where the IP header is.
    ip: u32,
    version: u16,
    transport: Transport,
}

/// Of an IPv4 header's bytes 2 to 9: total length, identification, fragment offset with the
/// more-fragments bit, protocol; not the TTL.
const V4_MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0, 0xff]);

/// Bytes of an Ethernet header without a tag.
const LINK_LEN: u32 = 14;

/// No frame that anybody sends has its headers' end further out; the verifier wants a bound well
/// below 65,536.
const MAX_TRANSPORT_OFFSET: u32 = 0x7fff;

impl Headers {
    /// Looks for them behind the link header.
    #[inline(always)]
    pub fn find<P: Bytes>(packet: &P, ethertype: u16, ip: u32) -> Option<Self> {
        let (version, transport) = match ethertype {
            ETHERTYPE_IPV4 => (4, parse::transport_v4(packet, ip)?),
            ETHERTYPE_IPV6 => (6, parse::transport_v6(packet, ip, |_| {})?),
            _ => return None,
        };
        Some(Self {
            ip,
            version,
            transport,
        })
    }

    /// The headers of an ordinary packet: untagged, without options or extensions, with ports.
    /// Nothing is looked for; of any other packet nothing is said.
    #[inline(always)]
    pub fn plain(packet: &impl Packet) -> Option<Self> {
        let headers = |version, protocol, offset| Self {
            ip: LINK_LEN,
            version,
            transport: Transport {
                protocol,
                offset,
                later_fragment: false,
            },
        };
        match u16::from_be(packet.half_word(12)?) {
            ETHERTYPE_IPV4 => {
                let [version_ihl, _] = packet.half_word(LINK_LEN)?.to_ne_bytes();
                let fragment = u16::from_be(packet.half_word(LINK_LEN + 6)?);
                let [_, protocol] = packet.half_word(LINK_LEN + 8)?.to_ne_bytes();
                if version_ihl & 0xf != 5 || fragment & 0x1fff != 0 {
                    return None;
                }
                // A constant for each, so that less is asked of the same packet again.
                match protocol {
                    TCP => Some(headers(4, TCP, LINK_LEN + 20)),
                    UDP => Some(headers(4, UDP, LINK_LEN + 20)),
                    _ => None,
                }
            }
            ETHERTYPE_IPV6 => match packet.half_word(LINK_LEN + 6)?.to_ne_bytes()[0] {
                TCP => Some(headers(6, TCP, LINK_LEN + 40)),
                UDP => Some(headers(6, UDP, LINK_LEN + 40)),
                _ => None,
            },
            _ => None,
        }
    }

    /// As a number that is never 0.
    #[inline(always)]
    pub fn pack(&self) -> u64 {
        u64::from(self.version)
            | u64::from(self.transport.later_fragment) << 8
            | u64::from(self.transport.protocol) << 16
            | u64::from(self.ip & 0xff) << 24
            | u64::from(self.transport.offset) << 32
    }

    /// From such a number.
    #[inline(always)]
    pub fn unpack(packed: u64) -> Option<Self> {
        if packed == 0 {
            return None;
        }
        Some(Self {
            version: packed as u16 & 0xff,
            ip: (packed >> 24) as u32 & 0xff,
            transport: Transport {
                protocol: (packed >> 16) as u8,
                offset: (packed >> 32) as u32 & MAX_TRANSPORT_OFFSET,
                later_fragment: packed >> 8 & 1 != 0,
            },
        })
    }

    /// Who talks to whom, for what has ports or is an echo. An ICMP error has the tuple of the
    /// packet that it quotes.
    #[inline(always)]
    pub fn key<P: Bytes>(&self, packet: &P) -> Option<FlowKey> {
        let Transport {
            protocol,
            offset,
            later_fragment,
        } = self.transport;
        if later_fragment {
            return None;
        }
        if !matches!(protocol, ICMP | ICMPV6) {
            return self.key_at(packet, self.ip, protocol, offset);
        }
        let [kind, _] = packet.half_word(offset)?.to_ne_bytes();
        let quoted = offset + 8;
        match (protocol, kind) {
            // Behind an IPv4 header without options, as nearly all are.
            (ICMP, 3..=5 | 11 | 12) => {
                let [_, inner] = packet.half_word(quoted + 8)?.to_ne_bytes();
                self.key_at(packet, quoted, inner, quoted + 20)
            }
            // Likewise, behind an IPv6 header without extensions.
            (ICMPV6, 0..=127) => {
                let [inner, _] = packet.half_word(quoted + 6)?.to_ne_bytes();
                self.key_at(packet, quoted, inner, quoted + 40)
            }
            _ => self.key_at(packet, self.ip, protocol, offset),
        }
    }

    #[inline(always)]
    fn key_at<P: Bytes>(&self, packet: &P, ip: u32, protocol: u8, offset: u32) -> Option<FlowKey> {
        let ports = match protocol {
            TCP | UDP | SCTP => packet.word(offset)?,
            ICMP | ICMPV6 => {
                let [kind, _] = packet.half_word(offset)?.to_ne_bytes();
                // Echo and its reply: RFC 792, RFC 4443.
                if !matches!((protocol, kind), (ICMP, 0 | 8) | (ICMPV6, 128 | 129)) {
                    return None;
                }
                let identifier = u32::from(packet.half_word(offset + 4)?);
                identifier << 16 | identifier
            }
            _ => return None,
        };
        let [a, b, c, d] = ports.to_ne_bytes();
        let (source, destination) = if self.version == 4 {
            (widen(packet.word(ip + 12)?), widen(packet.word(ip + 16)?))
        } else {
            (address(packet, ip + 8)?, address(packet, ip + 24)?)
        };
        Some(FlowKey {
            source,
            destination,
            source_port: u16::from_be_bytes([a, b]),
            destination_port: u16::from_be_bytes([c, d]),
            version: self.version,
            protocol: u16::from(protocol),
        })
    }

    /// A number made of what NAT leaves alone, and a router too: not addresses, ports, echo
    /// identifiers, checksums, TTL. Two packets have the same one if one is a copy of the other,
    /// or hardly ever. Its lowest bit is [`SEGMENT`].
    #[inline(always)]
    pub fn fingerprint<P: Bytes>(&self, packet: &P) -> Option<u64> {
        let print = self.print(packet)? & !SEGMENT;
        let is_segment = self.transport.protocol == TCP && !self.transport.later_fragment;
        Some(print | u64::from(is_segment))
    }

    #[inline(always)]
    fn print<P: Bytes>(&self, packet: &P) -> Option<u64> {
        let Transport {
            protocol,
            offset,
            later_fragment,
        } = self.transport;
        let mut print = u64::from(protocol) << 8 | u64::from(self.version);
        if self.version == 4 {
            print = mix(print, packet.double_word(self.ip + 2)? & V4_MASK);
        } else {
            print = mix(print, u64::from(packet.half_word(self.ip + 4)?));
        }
        if later_fragment {
            return Some(mix(print, sample(packet, offset)));
        }
        match protocol {
            TCP => {
                // Sequence and acknowledgement number; then header length, flags, window.
                print = mix(print, packet.double_word(offset + 4)?);
                Some(mix(print, u64::from(packet.word(offset + 12)?)))
            }
            UDP => {
                // The payload's start and its end: of many protocols one of the two is always the
                // same. NAT changes the checksum alone.
                let len = u32::from(u16::from_be(packet.half_word(offset + 4)?)) & 0x7fff;
                print = mix(print, u64::from(len));
                print = mix(print, sample(packet, offset + 8));
                print = mix(print, sample(packet, offset + 16));
                if len >= 24 {
                    let end = clamp(u64::from(offset + len - 8), MAX_OFFSET) as u32;
                    print = mix(print, sample(packet, end));
                }
                Some(print)
            }
            ICMP | ICMPV6 => {
                let kind = packet.half_word(offset)?;
                print = mix(print, u64::from(kind));
                print = mix(print, u64::from(packet.half_word(offset + 6)?));
                let quoted = offset + 8;
                match (protocol, kind.to_ne_bytes()[0]) {
                    // What an error quotes is translated with it. RFC 792: unreachable, quench,
                    // redirect, time exceeded, parameter problem. RFC 4443: below 128.
                    (ICMP, 3..=5 | 11 | 12) => {
                        print = mix(print, sample(packet, quoted + 2) & V4_MASK);
                        // The sequence number of a TCP segment without IP options.
                        Some(mix(print, u64::from(packet.word(quoted + 24).unwrap_or(0))))
                    }
                    (ICMPV6, 0..=127) => {
                        // Payload length and next header; then a segment's two numbers, or what
                        // stands behind a datagram's checksum.
                        let [_, _, _, _, a, b, next, _] = packet.double_word(quoted)?.to_ne_bytes();
                        let head = u64::from_ne_bytes([a, b, next, 0, 0, 0, 0, 0]);
                        let rest = if next == TCP { 44 } else { 48 };
                        Some(mix(mix(print, head), sample(packet, quoted + rest)))
                    }
                    // An echo's payload; a neighbour's address; and so on.
                    _ => {
                        print = mix(print, sample(packet, offset + 8));
                        Some(mix(print, sample(packet, offset + 16)))
                    }
                }
            }
            SCTP => {
                // Verification tag; then the first chunk's header and what follows it.
                let tag = packet.word(offset + 4)?;
                Some(mix(mix(print, u64::from(tag)), sample(packet, offset + 12)))
            }
            // Mostly a header's fixed part: ESP's SPI and sequence number, GRE's flags and key.
            _ => Some(mix(print, sample(packet, offset))),
        }
    }

    /// Whether it is a TCP segment that opens a connection.
    #[inline(always)]
    pub fn opens<P: Bytes>(&self, packet: &P) -> bool {
        const SYN: u8 = 2;
        const ACK: u8 = 16;
        // Two bytes, for the reason in parse::transport_v4.
        self.transport.protocol == TCP
            && packet
                .read::<[u8; 2]>(self.transport.offset + 12)
                .is_some_and(|[_, flags]| flags & (SYN | ACK) == SYN)
    }
}

/// The bucket of an ordinary packet's tuple ([`Headers::plain`]) in the table of learned ones.
#[inline(always)]
pub fn plain_bucket(packet: &impl Packet) -> Option<u32> {
    let Headers {
        ip,
        version,
        transport: Transport {
            protocol, offset, ..
        },
    } = Headers::plain(packet)?;
    let [a, b, c, d] = packet.word(offset)?.to_ne_bytes();
    let rest = rest(
        u16::from_be_bytes([a, b]),
        u16::from_be_bytes([c, d]),
        version,
        u16::from(protocol),
    );
    if version == 4 {
        return Some(flows::bucket_v4(packet.double_word(ip + 12)?, rest));
    }
    let (source, destination) = (address(packet, ip + 8)?, address(packet, ip + 24)?);
    Some(flows::bucket(source, destination, rest))
}

/// An IPv4 address in the room of an IPv6 one.
#[inline(always)]
pub fn widen(address: u32) -> Address {
    let [a, b, c, d] = address.to_ne_bytes();
    [u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]), 0]
}

#[inline(always)]
pub fn address<P: Bytes>(packet: &P, offset: u32) -> Option<Address> {
    Some([packet.double_word(offset)?, packet.double_word(offset + 8)?])
}

/// Beyond any IP packet's last eight bytes. Linux 6.12 and older take no access to the packet whose
/// offset could come near 65,536 (`find_good_pkt_pointers`, kernel/bpf/verifier.c), and a sum of
/// two numbers has lost its bound by then.
const MAX_OFFSET: u64 = 0xfff0;

/// Eight bytes, or 0 where the packet doesn't have them.
#[inline(always)]
fn sample<P: Bytes>(packet: &P, offset: u32) -> u64 {
    packet.double_word(offset).unwrap_or(0)
}

/// Takes a number into another: a multiplication by 2⁶⁴ over the golden ratio spreads each bit
/// upwards, the shift brings them down again.
#[inline(always)]
pub fn mix(digest: u64, word: u64) -> u64 {
    let spread = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ (spread >> 32)
}
