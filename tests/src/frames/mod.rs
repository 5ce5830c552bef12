//! Frames made by hand: the lab must be able to say exactly which bytes were sent, also where no
//! stack would send them.
//!
//! - here: Ethernet, VLAN tags, ARP, and the [`Flow`] that most frames belong to
//! - [`ip`]: IPv4 and IPv6 headers with options, extension headers and fragments
//! - [`transport`]: TCP, UDP, SCTP, ICMP
//! - [`corpus`]: collections, the well-formed and the broken

pub mod corpus;
pub mod ip;
pub mod transport;
pub mod uncommon;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ip::{Ipv4, Ipv6};

/// An Ethernet frame, without its check sequence.
pub type Frame = Vec<u8>;

/// The link address that frames come from.
pub const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// The link address that frames go to.
pub const DESTINATION_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of an 802.1Q tag.
pub const DOT1Q: u16 = 0x8100;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of an 802.1ad service tag.
pub const DOT1AD: u16 = 0x88a8;
/// EtherType for local experiments (IEEE 802), which nothing listens to.
pub const EXPERIMENT: u16 = 0x88b5;

/// A frame with this EtherType and payload.
#[must_use]
pub fn ethernet(ethertype: u16, payload: &[u8]) -> Frame {
    let mut frame = Vec::with_capacity(14 + payload.len());
    frame.extend(DESTINATION_MAC);
    frame.extend(SOURCE_MAC);
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A frame around an IP packet, whose own version field says which EtherType it takes.
#[must_use]
pub fn ethernet_ip(packet: &[u8]) -> Frame {
    let six = packet.first().is_some_and(|first| first >> 4 == 6);
    ethernet(if six { IPV6 } else { IPV4 }, packet)
}

/// The frame with one more tag, outside those that it has: `protocol` is [`DOT1Q`] or [`DOT1AD`],
/// `tci` priority, drop bit and VLAN id.
#[must_use]
pub fn tagged(protocol: u16, tci: u16, frame: &[u8]) -> Frame {
    let mut tagged = frame[..12].to_vec();
    tagged.extend(protocol.to_be_bytes());
    tagged.extend(tci.to_be_bytes());
    tagged.extend(&frame[12..]);
    tagged
}

/// An ARP packet of Ethernet and IPv4 (RFC 826); `operation` is 1 to ask and 2 to answer.
#[must_use]
pub fn arp(operation: u16, sender: Ipv4Addr, target: Ipv4Addr) -> Frame {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    packet.extend(operation.to_be_bytes());
    packet.extend(SOURCE_MAC);
    packet.extend(sender.octets());
    packet.extend(if operation == 1 {
        [0; 6]
    } else {
        DESTINATION_MAC
    });
    packet.extend(target.octets());
    let mut frame = ethernet(ARP, &packet);
    if operation == 1 {
        frame[..6].fill(0xff);
    }
    frame
}

/// The payload of [`end_marker`].
pub const END_MARKER: &[u8] = b"end of what the lab has sent";

/// A frame to be sent last, so that a capture which holds it holds all that went before. No
/// address, port or protocol option matches it.
#[must_use]
pub fn end_marker() -> Frame {
    ethernet(EXPERIMENT, END_MARKER)
}

/// The frames, and [`end_marker`] after them.
#[must_use]
pub fn then_end_marker(mut frames: Vec<Frame>) -> Vec<Frame> {
    frames.push(end_marker());
    frames
}

/// Who talks to whom. Both ends are of one IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The sender.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
}

impl Flow {
    /// A flow between two written as `192.0.2.1:80` or `[2001:db8::1]:80`.
    ///
    /// # Panics
    ///
    /// When one isn't written like that.
    #[must_use]
    #[track_caller]
    pub fn new(source: &str, destination: &str) -> Self {
        let parse = |text: &str| match text.parse() {
            Ok(address) => address,
            Err(error) => panic!("{text}: {error}"),
        };
        Self {
            source: parse(source),
            destination: parse(destination),
        }
    }

    /// The other direction.
    #[must_use]
    pub fn back(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
        }
    }

    /// A TCP segment with these flags and this payload.
    #[must_use]
    pub fn tcp(self, flags: u8, payload: &[u8]) -> Frame {
        self.around(transport::TCP, &transport::tcp(self, flags, payload))
    }

    /// A UDP datagram.
    #[must_use]
    pub fn udp(self, payload: &[u8]) -> Frame {
        self.around(transport::UDP, &transport::udp(self, payload))
    }

    /// An SCTP packet with one chunk of this payload.
    #[must_use]
    pub fn sctp(self, payload: &[u8]) -> Frame {
        self.around(transport::SCTP, &transport::sctp(self, payload))
    }

    /// An echo request of the flow's IP version; its ports mean nothing here.
    #[must_use]
    pub fn echo(self, payload: &[u8]) -> Frame {
        let (protocol, message) = transport::echo(self, payload);
        self.around(protocol, &message)
    }

    /// A frame with a plain IP header around this payload of `protocol`.
    ///
    /// # Panics
    ///
    /// When the two ends aren't of one IP version.
    #[must_use]
    #[track_caller]
    pub fn around(self, protocol: u8, payload: &[u8]) -> Frame {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => ethernet(
                IPV4,
                &Ipv4::new(source, destination).packet(protocol, payload),
            ),
            (IpAddr::V6(source), IpAddr::V6(destination)) => ethernet(
                IPV6,
                &Ipv6::new(source, destination).packet(protocol, payload),
            ),
            (source, destination) => panic!("{source} and {destination} don't meet"),
        }
    }
}
