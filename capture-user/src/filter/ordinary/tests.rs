//! The code says of an ordinary packet what the tables say, and of others that it doesn't know.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::machine::run_on;
use super::super::ports::PortRange;
use super::super::protocols::Protocol;
use super::super::tree::tests::{edges, net};
use super::super::{Barred, Filter};
use super::*;
use crate::flow::tuple::{Endpoint, Tuple};

const XDP: Hook = Hook::Xdp { fragments: false };

/// The network header and the ports behind it.
fn packet(tuple: &Tuple) -> Vec<u8> {
    let mut packet = match (tuple.source.address, tuple.destination.address) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, tuple.protocol, 0, 0];
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0, 0, 8, tuple.protocol, 64];
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        _ => panic!("of two versions"),
    };
    packet.extend(tuple.source.port.to_be_bytes());
    packet.extend(tuple.destination.port.to_be_bytes());
    packet.extend([0; 4]);
    packet
}

fn ethertype(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 }
}

fn frame(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

/// The code for each kind of packet.
struct Codes {
    frame: Vec<Instruction>,
    under_xdp: Vec<Instruction>,
    bare: Vec<Instruction>,
}

impl Codes {
    fn of(tables: &Tables) -> Self {
        Self {
            frame: code(tables, Framing::Ethernet, Hook::Tc).unwrap(),
            under_xdp: code(tables, Framing::Ethernet, XDP).unwrap(),
            bare: code(tables, Framing::Bare, Hook::Tc).unwrap(),
        }
    }

    /// What the code says of a frame.
    fn say_of_frame(&self, frame: &[u8]) -> u32 {
        let on_tc = run_on(&self.frame, frame, Hook::Tc.bounds(), &[]);
        assert_eq!(run_on(&self.under_xdp, frame, XDP.bounds(), &[]), on_tc);
        on_tc as u32
    }

    /// What all three of them say of a packet, which is the same.
    fn say(&self, packet: &[u8]) -> u32 {
        let ethertype = ethertype(packet);
        let framed = self.say_of_frame(&frame(ethertype, packet));
        let protocol = [(PROTOCOL, u32::from(ethertype.to_be()))];
        let bare = run_on(&self.bare, packet, Hook::Tc.bounds(), &protocol);
        assert_eq!(bare as u32, framed);
        framed
    }
}

fn tuple(text: &str) -> Tuple {
    let [protocol, from, to] = text.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let end = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
    Tuple {
        source: end(from),
        destination: end(to),
        protocol: protocol.parse().unwrap(),
    }
}

fn filter(hosts: &str, ports: &str) -> Filter {
    Filter {
        hosts: hosts.split(' ').map(|it| it.parse().unwrap()).collect(),
        ports: ports.split(' ').flat_map(str::parse).collect(),
        ..Filter::default()
    }
}

fn ports() -> impl Strategy<Value = Vec<PortRange>> {
    let range = (0..8u16, 0..4u16).prop_map(|(first, more)| {
        let text = format!("{}-{}", first * 3, first * 3 + more);
        text.parse().unwrap()
    });
    vec(range, 0..3)
}

fn protocols() -> impl Strategy<Value = Vec<Protocol>> {
    let names = prop_oneof![
        Just("tcp"),
        Just("udp"),
        Just("icmp"),
        Just("51"),
        Just("arp")
    ];
    vec(names.prop_map(|name| name.parse().unwrap()), 0..3)
}

prop_compose! {
    fn filters()(
        lists in vec(vec(net(), 0..5), 6),
        ports in vec(ports(), 3),
        protocols in protocols(),
    ) -> Filter {
        let [hosts, sources, destinations, no_hosts, no_sources, no_destinations] =
            lists.try_into().unwrap();
        let [ports, source_ports, destination_ports] = ports.try_into().unwrap();
        Filter {
            hosts,
            sources,
            destinations,
            ports,
            source_ports,
            destination_ports,
            protocols,
            barred: Barred {
                hosts: no_hosts,
                sources: no_sources,
                destinations: no_destinations,
            },
            ..Filter::default()
        }
    }
}

proptest! {
    #[test]
    fn an_ordinary_packet_matches_the_code_where_it_matches_the_tables(
        filter in filters(),
        others in vec(net(), 1..6),
        ends in vec((0..30u16, 0..30u16), 8),
        protocol in prop_oneof![Just(6u8), Just(17), Just(132), Just(1), Just(58)],
    ) {
        let tables = filter.tables();
        prop_assume!(tables.address_options != 0);
        let codes = Codes::of(&tables);
        let lists = [&filter.hosts, &filter.sources, &filter.destinations, &filter.barred.hosts];
        let nets: Vec<IpNet> = lists.into_iter().flatten().chain(&others).copied().collect();
        let addresses: Vec<_> = nets.iter().flat_map(edges).collect();
        for version in [false, true] {
            let addresses: Vec<_> =
                addresses.iter().filter(|it| it.is_ipv6() == version).collect();
            for (pair, (from, to)) in addresses.windows(2).zip(ends.iter().cycle()) {
                let end = |address: &IpAddr, port| Endpoint { address: *address, port };
                let tuple = Tuple {
                    source: end(pair[0], *from),
                    destination: end(pair[1], *to),
                    protocol,
                };
                let expected = if tables.takes(&tuple) { MATCHES } else { FAILS };
                prop_assert_eq!(codes.say(&packet(&tuple)), expected, "{:?}", tuple);
            }
        }
    }
}

#[test]
fn what_is_not_ordinary_is_asked_about() {
    let by_address = Codes::of(&filter("192.0.2.1/32 2001:db8::1/128", "").tables());
    let by_port = Codes::of(&filter("192.0.2.1/32 2001:db8::1/128", "80").tables());
    let v4 = packet(&tuple("6 192.0.2.1:40000 198.51.100.2:80"));
    let v6 = packet(&tuple("6 [2001:db8::1]:40000 [2001:db8::2]:80"));
    for packet in [&v4, &v6] {
        assert_eq!(by_address.say(packet), MATCHES);
        assert_eq!(by_port.say(packet), MATCHES);
        // Cut off within what is asked for.
        let end = packet.len() - 5;
        assert_eq!(by_port.say(&packet[..end]), ASK);
        assert_eq!(by_address.say(&packet[..end]), MATCHES);
        assert_eq!(by_address.say(&packet[..end - 4]), ASK);
    }
    // IPv4 options are in the way of the ports only.
    let mut longer = v4.clone();
    longer[0] = 0x46;
    assert_eq!(by_port.say(&longer), ASK);
    assert_eq!(by_address.say(&longer), MATCHES);
    // As are extension headers.
    for header in [0, 43, 44, 51, 60, 135, 139, 140] {
        let mut longer = v6.clone();
        longer[6] = header;
        assert_eq!(by_port.say(&longer), ASK);
        assert_eq!(by_address.say(&longer), MATCHES);
    }
    for ethertype in [0x0806, 0x8100, 0x88a8, 0x9100] {
        assert_eq!(by_address.say_of_frame(&frame(ethertype, &v4)), ASK);
    }
}

#[test]
fn what_can_not_match_fails_at_once() {
    let by_port = Codes::of(&filter("192.0.2.1/32", "80").tables());
    let first = packet(&tuple("17 192.0.2.1:40000 198.51.100.2:80"));
    // The first fragment has its ports, the next one hasn't.
    for (fragment, expected) in [([0x20, 0], MATCHES), ([0x20, 1], FAILS), ([0x01, 0], FAILS)] {
        let mut packet = first.clone();
        packet[6..8].copy_from_slice(&fragment);
        assert_eq!(by_port.say(&packet), expected, "{fragment:?}");
    }
    assert_eq!(by_port.say_of_frame(&frame(0x88cc, &first)), FAILS);
    let v6 = packet(&tuple("6 [2001:db8::1]:40000 [2001:db8::2]:80"));
    assert_eq!(by_port.say(&v6), FAILS);
}

#[test]
fn ports_in_many_pieces_are_asked_about_where_the_address_matches() {
    let many: Vec<String> = (0..40).map(|n| (2 * n).to_string()).collect();
    let codes = Codes::of(&filter("192.0.2.1/32", &many.join(" ")).tables());
    let listed = packet(&tuple("17 192.0.2.1:40000 198.51.100.2:80"));
    assert_eq!(codes.say(&listed), ASK);
    let other = packet(&tuple("17 192.0.2.2:40000 198.51.100.2:80"));
    assert_eq!(codes.say(&other), FAILS);
}

#[test]
fn there_is_no_code_where_it_would_be_no_help() {
    let made = |filter: &Filter| code(&filter.tables(), Framing::Ethernet, Hook::Tc).is_some();
    let short = filter("192.0.2.1/32", "80");
    assert!(made(&short));
    assert!(!made(&Filter {
        hosts: Vec::new(),
        ..short.clone()
    }));
    assert!(!made(&Filter {
        inner: true,
        ..short.clone()
    }));
    assert!(!made(&Filter {
        reread: true,
        ..short
    }));
    let many: Vec<String> = (0..40).map(|n| format!("192.0.2.{}/32", 2 * n)).collect();
    assert!(!made(&filter(&many.join(" "), "")));
}
