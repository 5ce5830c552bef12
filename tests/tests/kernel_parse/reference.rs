//! What the options mean, written down a second time: from the documentation, for slices instead
//! of offsets, over the lists as they were typed instead of the kernel's tables.
//!
//! - Options of different names must all hold; within one, any entry will do.
//! - Of what is barred nothing may be there; where no address is, nothing says that it isn't.
//! - Addresses are those of the outermost IPv4, IPv6 or ARP header.
//! - Ports are TCP's, UDP's and SCTP's, behind IPv4 options and IPv6 extension headers, and not
//!   in a fragment other than the first.
//! - A protocol is IPv4's, ARP, or any in the chain of IPv6 headers.
//! - What the packet is cut off before isn't there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use capture_common::filter::{MAX_EXTENSION_HEADERS, MAX_VLAN_TAGS};
use capture_user::filter::Filter;
use capture_user::filter::addresses;
use ipnet::IpNet;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;

/// How a packet starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With an Ethernet header.
    Ethernet,
    /// With a network header, which the stack says is of this EtherType.
    Network(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Ip(u8),
    Arp,
}

/// The options, as lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    host: Vec<IpNet>,
    src: Vec<IpNet>,
    dst: Vec<IpNet>,
    no_host: Vec<IpNet>,
    no_src: Vec<IpNet>,
    no_dst: Vec<IpNet>,
    port: Vec<RangeInclusive<u16>>,
    sport: Vec<RangeInclusive<u16>>,
    dport: Vec<RangeInclusive<u16>>,
    proto: Vec<Protocol>,
}

/// Reads options as they are typed, for the kernel and for the reference.
///
/// # Panics
///
/// On a text that isn't a list of options.
pub(crate) fn options(text: &str) -> (Filter, Wanted) {
    let (mut filter, mut wanted) = (Filter::default(), Wanted::default());
    let mut words = text.split_whitespace();
    while let (Some(option), Some(list)) = (words.next(), words.next()) {
        for entry in list.split(',') {
            match option {
                "--host" if entry.starts_with('!') => both(
                    &mut filter.barred.hosts,
                    &mut wanted.no_host,
                    address(&entry[1..]),
                ),
                "--src" if entry.starts_with('!') => both(
                    &mut filter.barred.sources,
                    &mut wanted.no_src,
                    address(&entry[1..]),
                ),
                "--dst" if entry.starts_with('!') => both(
                    &mut filter.barred.destinations,
                    &mut wanted.no_dst,
                    address(&entry[1..]),
                ),
                "--host" => both(&mut filter.hosts, &mut wanted.host, address(entry)),
                "--src" => both(&mut filter.sources, &mut wanted.src, address(entry)),
                "--dst" => both(&mut filter.destinations, &mut wanted.dst, address(entry)),
                "--port" => {
                    filter.ports.push(entry.parse().unwrap());
                    wanted.port.push(range(entry));
                }
                "--sport" => {
                    filter.source_ports.push(entry.parse().unwrap());
                    wanted.sport.push(range(entry));
                }
                "--dport" => {
                    filter.destination_ports.push(entry.parse().unwrap());
                    wanted.dport.push(range(entry));
                }
                "--proto" => {
                    filter.protocols.push(entry.parse().unwrap());
                    wanted.proto.push(protocol(entry));
                }
                _ => panic!("{option} is no option"),
            }
        }
    }
    (filter, wanted)
}

fn both(filter: &mut Vec<IpNet>, wanted: &mut Vec<IpNet>, net: IpNet) {
    filter.push(net);
    wanted.push(net);
}

fn address(entry: &str) -> IpNet {
    addresses::parse(entry).unwrap()
}

fn range(entry: &str) -> RangeInclusive<u16> {
    let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
    first.parse().unwrap()..=last.parse().unwrap()
}

fn protocol(entry: &str) -> Protocol {
    match entry {
        "arp" => Protocol::Arp,
        "icmp" => Protocol::Ip(1),
        "tcp" => Protocol::Ip(6),
        "udp" => Protocol::Ip(17),
        "icmp6" => Protocol::Ip(58),
        "sctp" => Protocol::Ip(132),
        number => Protocol::Ip(number.parse().unwrap()),
    }
}

impl Wanted {
    /// Whether the packet is one that the options ask for.
    pub(crate) fn matches(&self, start: Start, packet: &[u8]) -> bool {
        let Self {
            host,
            src,
            dst,
            no_host,
            no_src,
            no_dst,
            port,
            sport,
            dport,
            proto,
        } = self;
        let headers = dissect(start, packet);
        let among = |list: &[IpNet], address: IpAddr| list.iter().any(|net| net.contains(&address));
        let addresses = |list: &[IpNet], sees: &dyn Fn(IpAddr, IpAddr) -> bool| {
            list.is_empty() || headers.addresses.is_some_and(|(from, to)| sees(from, to))
        };
        let within = |list: &[RangeInclusive<u16>], port: u16| {
            list.iter().any(|range| range.contains(&port))
        };
        let ports = |list: &[RangeInclusive<u16>], sees: &dyn Fn(u16, u16) -> bool| {
            list.is_empty() || headers.ports.is_some_and(|(from, to)| sees(from, to))
        };
        addresses(host, &|from, to| among(host, from) || among(host, to))
            && addresses(no_host, &|from, to| {
                !among(no_host, from) && !among(no_host, to)
            })
            && addresses(no_src, &|from, _| !among(no_src, from))
            && addresses(no_dst, &|_, to| !among(no_dst, to))
            && addresses(src, &|from, _| among(src, from))
            && addresses(dst, &|_, to| among(dst, to))
            && ports(port, &|from, to| within(port, from) || within(port, to))
            && ports(sport, &|from, _| within(sport, from))
            && ports(dport, &|_, to| within(dport, to))
            && (proto.is_empty() || headers.protocols.iter().any(|seen| proto.contains(seen)))
    }
}

/// What a packet says of itself.
#[derive(Default)]
struct Headers {
    addresses: Option<(IpAddr, IpAddr)>,
    protocols: Vec<Protocol>,
    ports: Option<(u16, u16)>,
}

fn dissect(start: Start, packet: &[u8]) -> Headers {
    let network = match start {
        Start::Network(ethertype) => Some((ethertype, packet)),
        Start::Ethernet => behind_tags(packet),
    };
    match network {
        Some((IPV4, header)) => ipv4(header),
        Some((IPV6, header)) => ipv6(header),
        Some((ARP, header)) => Headers {
            addresses: arp(header),
            protocols: vec![Protocol::Arp],
            ports: None,
        },
        _ => Headers::default(),
    }
}

/// The EtherType behind the tags, and what it announces.
fn behind_tags(frame: &[u8]) -> Option<(u16, &[u8])> {
    let mut ethertype = be16(frame, 12)?;
    let mut rest = &frame[14..];
    for _ in 0..MAX_VLAN_TAGS {
        if ![0x8100, 0x88a8, 0x9100].contains(&ethertype) {
            break;
        }
        ethertype = be16(rest, 2)?;
        rest = &rest[4..];
    }
    Some((ethertype, rest))
}

fn ipv4(header: &[u8]) -> Headers {
    let address = |at: usize| header.get(at..at + 4).map(ipv4_address);
    let later_fragment = be16(header, 6).is_none_or(|field| field & 0x1fff != 0);
    let behind = header
        .first()
        .and_then(|first| header.get(usize::from(first & 15) * 4..));
    let protocol = header.get(9).copied();
    Headers {
        addresses: address(12).zip(address(16)),
        protocols: protocol.map(Protocol::Ip).into_iter().collect(),
        ports: protocol
            .filter(|_| !later_fragment)
            .zip(behind)
            .and_then(|(protocol, message)| ports(protocol, message)),
    }
}

fn ipv6(header: &[u8]) -> Headers {
    let address = |at: usize| header.get(at..at + 16).map(ipv6_address);
    let mut chain = Chain::default();
    if let Some(first) = header.get(6) {
        chain.announce(*first);
        chain.walk(header.get(40..).unwrap_or_default());
    }
    Headers {
        addresses: address(8).zip(address(24)),
        protocols: chain.announced.into_iter().map(Protocol::Ip).collect(),
        ports: chain.ports,
    }
}

/// The headers behind an IPv6 header.
#[derive(Default)]
struct Chain {
    /// Every next-header value so far.
    announced: Vec<u8>,
    ports: Option<(u16, u16)>,
}

impl Chain {
    fn announce(&mut self, next: u8) {
        self.announced.push(next);
    }

    /// Goes on with the header that was announced last, at the start of `rest`.
    fn walk(&mut self, rest: &[u8]) {
        let kind = *self.announced.last().unwrap();
        let is_extension = [0, 43, 44, 51, 60, 135, 139, 140].contains(&kind);
        if !is_extension || self.announced.len() > MAX_EXTENSION_HEADERS as usize {
            self.ports = ports(kind, rest);
            return;
        }
        // As much as is needed to know what comes next, and where.
        let needed = if kind == 44 { 4 } else { 2 };
        let Some(header) = rest.get(..needed) else {
            return;
        };
        self.announce(header[0]);
        let len = match kind {
            44 => 8,
            51 => 8 + 4 * usize::from(header[1]),
            _ => 8 + 8 * usize::from(header[1]),
        };
        let later_fragment = kind == 44 && u16::from_be_bytes([header[2], header[3]]) >> 3 != 0;
        if let (false, Some(rest)) = (later_fragment, rest.get(len..)) {
            self.walk(rest);
        }
    }
}

fn ports(protocol: u8, message: &[u8]) -> Option<(u16, u16)> {
    if ![6, 17, 132].contains(&protocol) {
        return None;
    }
    be16(message, 0).zip(be16(message, 2))
}

fn arp(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    // Ethernet and IPv4, with addresses of six and four bytes.
    packet.strip_prefix(&[0, 1, 8, 0, 6, 4])?;
    let address = |at: usize| packet.get(at..at + 4).map(ipv4_address);
    address(14).zip(address(24))
}

fn ipv4_address(bytes: &[u8]) -> IpAddr {
    let octets: [u8; 4] = bytes.try_into().unwrap();
    Ipv4Addr::from(octets).into()
}

fn ipv6_address(bytes: &[u8]) -> IpAddr {
    let octets: [u8; 16] = bytes.try_into().unwrap();
    Ipv6Addr::from(octets).into()
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([pair[0], pair[1]]))
}
