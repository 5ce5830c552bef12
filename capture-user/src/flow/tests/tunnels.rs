//! Flows of the packets within tunnels.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::names::Names;
use super::super::record::Record;
use super::super::reset::Cause;
use super::super::tracker::Ticket;
use super::super::tunnel::{Tunnel, TunnelKind};
use super::{
    BRIDGE, Config, Direction, ETH0, IN, Link, Node, OUT, POD, Packet, SERVER, Sighting, VETH,
};
use crate::packet::InterfaceId;

/// The tunnel's ends.
const HERE: &str = "192.0.2.1:50000";
const THERE: &str = "192.0.2.7:4789";

fn node() -> Node {
    Node::with(Config {
        inner: true,
        ..Config::default()
    })
}

fn outside(way: Direction, port: u16, payload: &[u8]) -> Vec<u8> {
    let (here, there) = (format!("192.0.2.1:{port}"), format!("192.0.2.7:{port}"));
    match way {
        Direction::Out => Packet::udp(HERE, &there, payload).frame(),
        Direction::In => Packet::udp("192.0.2.7:50001", &here, payload).frame(),
    }
}

/// A packet within VXLAN, on its way out of the node or into it.
fn vxlan(way: Direction, id: u32, packet: &Packet) -> Vec<u8> {
    let mut payload = vec![8, 0, 0, 0];
    payload.extend((id << 8).to_be_bytes());
    payload.extend(packet.frame());
    outside(way, 4_789, &payload)
}

/// A packet between the tunnel's ends that carries another protocol.
fn raw(protocol: u8, message: &[u8]) -> Vec<u8> {
    // UDP's frame without its header.
    let mut outer = Packet::udp(HERE, THERE, message).frame();
    outer.drain(34..42);
    outer[23] = protocol;
    let total = u16::try_from(outer.len() - 14).unwrap();
    outer[16..18].copy_from_slice(&total.to_be_bytes());
    outer
}

fn see(node: &mut Node, at: (InterfaceId, Direction), skb: Option<u64>, frame: &[u8]) -> Ticket {
    node.now += 20_000;
    let (interface, direction) = at;
    let ticket = node.tracker.see(&Sighting {
        time: node.now,
        interface,
        direction,
        identity: skb,
        link: Link::Ethernet,
        frame,
        original_len: u32::try_from(frame.len()).unwrap(),
        gso: None,
    });
    node.waiting.extend(ticket);
    ticket.unwrap()
}

/// A connection through VXLAN, seen at the uplink alone.
fn connect(node: &mut Node, there: u32, back: u32) {
    for (way, id, packet) in [
        (OUT, there, Packet::tcp(POD, SERVER, "S", 1_000, 0)),
        (IN, back, Packet::tcp(SERVER, POD, "S.", 9_000, 1_001)),
        (OUT, there, Packet::tcp(POD, SERVER, ".", 1_001, 9_001)),
    ] {
        see(node, (ETH0, way), None, &vxlan(way, id, &packet));
    }
}

fn tunnel(kind: TunnelKind, id: Option<u32>) -> Tunnel {
    Tunnel {
        kind,
        id,
        source: "192.0.2.1".parse().unwrap(),
        destination: "192.0.2.7".parse().unwrap(),
    }
}

#[test]
fn the_connection_within_is_the_flow_and_its_tunnel_is_named() {
    let mut node = node();
    connect(&mut node, 42, 42);
    let told = node.end();
    let flow = told.flow();
    assert_eq!(flow.protocol, 6);
    assert_eq!(flow.client.to_string(), POD);
    assert_eq!(flow.server.to_string(), SERVER);
    assert_eq!(flow.state, "established");
    assert_eq!(flow.packets, [2, 1]);
    assert!(flow.tcp.unwrap().handshake_us.is_some());
    assert_eq!(flow.tunnel, Some(tunnel(TunnelKind::Vxlan, Some(42))));
    assert!(!flow.tunnels_differ);
    let line = Record::Flow(Box::new(flow.clone()))
        .to_json(|time| time, |_| "eth0", &Names::default())
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let expected = serde_json::json!(
        {"kind": "vxlan", "id": 42, "src": "192.0.2.1", "dst": "192.0.2.7"}
    );
    assert_eq!(line["tunnel"], expected);
    assert_eq!(line["path"][0]["tunnel"], expected);
    assert_eq!(line["path"][1]["tunnel"]["src"], "192.0.2.7");
}

#[test]
fn without_being_asked_for_it_is_the_tunnel_that_is_the_flow() {
    let mut node = Node::new();
    connect(&mut node, 42, 42);
    let told = node.end();
    assert!(
        told.flows
            .iter()
            .all(|flow| flow.protocol == 17 && flow.tunnel.is_none())
    );
}

#[test]
fn wrapped_on_its_way_out_or_unwrapped_on_its_way_in_it_is_one_packet() {
    // By the skb, and by what is in it where the skb isn't known.
    for known in [true, false] {
        let mut node = node();
        let mut ids = Vec::new();
        for step in 0..4 {
            let there = Packet::tcp(POD, SERVER, "P.", 1_000 + step * 10, 5).data(10);
            let back = Packet::tcp(SERVER, POD, ".", 5, 1_010 + step * 10);
            for (way, packet) in [(OUT, there), (IN, back)] {
                let skb = known.then(|| node.skb());
                let (bare, wrapped) = (packet.frame(), vxlan(way, 42, &packet));
                let path = match way {
                    OUT => [
                        (VETH, IN, &bare),
                        (BRIDGE, OUT, &bare),
                        (ETH0, OUT, &wrapped),
                    ],
                    IN => [
                        (ETH0, IN, &wrapped),
                        (BRIDGE, IN, &bare),
                        (VETH, OUT, &bare),
                    ],
                };
                for (interface, direction, frame) in path {
                    let ticket = see(&mut node, (interface, direction), skb, frame);
                    ids.push(ticket.packet_id());
                }
            }
        }
        let expected: Vec<u64> = (1..=8).flat_map(|id| [id; 3]).collect();
        assert_eq!(ids, expected, "skb known: {known}");
        let told = node.end();
        assert!(told.nats.is_empty());
        let flow = told.flow();
        assert_eq!(flow.packets, [4, 4]);
        let path: Vec<_> = flow
            .path
            .iter()
            .map(|stop| (stop.place.interface, stop.packets, stop.tunnel.is_some()))
            .collect();
        let expected = [
            (VETH, 4, false),
            (BRIDGE, 4, false),
            (ETH0, 4, true),
            (ETH0, 4, true),
            (BRIDGE, 4, false),
            (VETH, 4, false),
        ];
        assert_eq!(path, expected);
    }
}

#[test]
fn every_kind_of_tunnel_is_looked_into_and_named() {
    let packet = Packet::tcp(POD, SERVER, "S", 1_000, 0);
    let (frame, six) = (
        packet.frame(),
        Packet::tcp("[2001:db8::1]:4000", "[2001:db8::2]:80", "S", 1, 0).frame(),
    );
    let gre = |header: &[u8], within: &[u8]| raw(47, &[header, within].concat());
    let geneve = [&[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 4][..], &frame].concat();
    let keyed = [0x20, 0, 0x08, 0, 0, 0, 1, 0];
    let all = [0xb0, 0, 0x86, 0xdd, 9, 9, 9, 9, 0, 0, 0, 3, 8, 8, 8, 8];
    for (name, frame, kind, id) in [
        ("vxlan", vxlan(OUT, 7, &packet), TunnelKind::Vxlan, Some(7)),
        (
            "geneve",
            outside(OUT, 6_081, &geneve),
            TunnelKind::Geneve,
            Some(7),
        ),
        (
            "gre",
            gre(&[0, 0, 8, 0], &frame[14..]),
            TunnelKind::Gre,
            None,
        ),
        (
            "gre, key",
            gre(&keyed, &frame[14..]),
            TunnelKind::Gre,
            Some(256),
        ),
        ("gre, all", gre(&all, &six[14..]), TunnelKind::Gre, Some(3)),
        (
            "nvgre",
            gre(&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0], &frame),
            TunnelKind::Gre,
            Some(256),
        ),
        ("ip in ip", raw(4, &frame[14..]), TunnelKind::Ipip, None),
        ("ip6 in ip", raw(41, &six[14..]), TunnelKind::Ipip, None),
    ] {
        let mut node = node();
        see(&mut node, (ETH0, OUT), None, &frame);
        let told = node.end();
        let flow = told.flow();
        assert_eq!(flow.state, "syn-sent", "{name}");
        assert_eq!(flow.tunnel, Some(tunnel(kind, id)), "{name}");
    }
    // One level deep: what is in a tunnel within a tunnel is a packet of the outer one.
    let mut node = node();
    see(
        &mut node,
        (ETH0, OUT),
        None,
        &raw(4, &vxlan(OUT, 7, &packet)[14..]),
    );
    assert_eq!(node.end().flow().protocol, 17);
}

#[test]
fn an_error_about_a_tunnels_packet_belongs_to_the_flow_within_where_it_quotes_that_much() {
    // All of it, and UDP's header alone, which is what RFC 792 asks for.
    for (quoted, errors) in [(usize::MAX, 1), (20 + 8, 0)] {
        let mut node = node();
        connect(&mut node, 42, 42);
        let wrapped = vxlan(OUT, 42, &Packet::tcp(POD, SERVER, ".", 1_001, 9_001));
        let quote = &wrapped[14..wrapped.len().min(quoted.saturating_add(14))];
        // Port unreachable.
        let error = raw(1, &[&[3, 3, 0, 0, 0, 0, 0, 0], quote].concat());
        see(&mut node, (ETH0, IN), None, &error);
        let told = node.end();
        assert_eq!(told.flow().icmp_errors, errors);
        assert_eq!(told.flow().packets, [2, 1]);
    }
}

#[test]
fn a_connection_whose_two_directions_have_identifiers_of_their_own_is_one() {
    let mut node = node();
    connect(&mut node, 1_001, 1_002);
    let reset = Packet::tcp(SERVER, POD, "R", 9_001, 0);
    see(&mut node, (ETH0, IN), None, &vxlan(IN, 1_002, &reset));
    let comments = node.comments();
    let [.., comment] = &comments[..] else {
        panic!("{comments:?}")
    };
    assert!(
        comment.contains("; within VXLAN 1002 from 192.0.2.7 to 192.0.2.1 [nodecap reset "),
        "{comment}"
    );
    assert!(
        comment.ends_with(" tunnel=vxlan tunnel_id=1002 outer=192.0.2.7>192.0.2.1]"),
        "{comment}"
    );
    let told = node.end();
    let flow = told.flow();
    assert!(!flow.tunnels_differ);
    assert_eq!(flow.state, "reset");
    assert_eq!(flow.resets[0].tunnel.unwrap().id, Some(1_002));
}

#[test]
fn where_the_same_addresses_come_in_two_networks_tunnels_no_cause_is_claimed() {
    let refused = Packet::tcp(SERVER, POD, "R.", 0, 1_001).window(0).id(0);
    let asked = Packet::tcp(POD, SERVER, "S", 1_000, 0);
    let mut alone = node();
    see(&mut alone, (ETH0, OUT), None, &vxlan(OUT, 5, &asked));
    see(&mut alone, (ETH0, IN), None, &vxlan(IN, 5, &refused));
    let told = alone.end();
    assert_eq!(told.flow().resets[0].cause, Cause::ClosedPort);

    // The other network's packet before the reset, and behind it: then only the record can say.
    for before in [true, false] {
        let mut node = node();
        let other = Packet::tcp(POD, SERVER, ".", 700_000, 8);
        see(&mut node, (ETH0, OUT), None, &vxlan(OUT, 5, &asked));
        if before {
            see(&mut node, (ETH0, OUT), None, &vxlan(OUT, 6, &other));
        }
        see(&mut node, (ETH0, IN), None, &vxlan(IN, 5, &refused));
        node.conclude();
        see(&mut node, (ETH0, OUT), None, &vxlan(OUT, 6, &other));
        let told = node.end();
        let flow = told.flow();
        assert!(flow.tunnels_differ);
        assert_eq!(flow.resets[0].cause, Cause::Unknown);
        assert!(flow.resets[0].evidence[0].contains("several tunnels"));
        let unknown = node.tracker.summary().resets;
        assert!(unknown.iter().all(|(cause, _, _)| *cause == Cause::Unknown));
    }
}

#[test]
fn of_a_wrapped_packet_that_was_fragmented_the_first_fragment_says_how_long_it_was() {
    let mut node = node();
    connect(&mut node, 42, 42);
    let long = Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(1_400);
    let mut first = vxlan(OUT, 42, &long);
    first.truncate(14 + 600);
    first[16..18].copy_from_slice(&600u16.to_be_bytes());
    // More fragments.
    first[20..22].copy_from_slice(&0x2000u16.to_be_bytes());
    see(&mut node, (ETH0, OUT), None, &first);
    let next = Packet::tcp(POD, SERVER, "P.", 2_401, 9_001).data(10);
    see(&mut node, (ETH0, OUT), None, &vxlan(OUT, 42, &next));
    let told = node.end();
    let tcp = told.flow().tcp.unwrap();
    assert_eq!((tcp.retransmits, tcp.out_of_order), ([0, 0], [0, 0]));
    assert_eq!(told.flow().packets, [4, 1]);
}

proptest! {
    #[test]
    fn no_bytes_within_a_tunnel_do_harm(
        within in vec(any::<u8>(), 0..120),
        port in prop_oneof![Just(4_789u16), Just(6_081)],
        cut in 14..200usize,
    ) {
        let mut node = node();
        let mut frame = outside(OUT, port, &within);
        let len = u32::try_from(frame.len()).unwrap();
        frame.truncate(cut);
        node.now += 1;
        node.tracker.see(&Sighting {
            time: node.now,
            interface: ETH0,
            direction: OUT,
            identity: None,
            link: Link::Ethernet,
            frame: &frame,
            original_len: len,
            gso: None,
        });
        node.end();
    }
}
