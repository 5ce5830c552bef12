//! Which sightings are of one packet.

use super::super::tracker::Ticket;
use super::{BRIDGE, ETH0, IN, MS, Node, OTHER_VETH, OUT, POD, Packet, SERVER, VETH};

fn ids(tickets: &[Ticket]) -> Vec<u64> {
    tickets.iter().map(|ticket| ticket.packet_id()).collect()
}

#[test]
fn a_packet_over_three_hooks_is_one_packet_with_the_time_between() {
    let mut node = Node::new();
    for step in 0..10 {
        let packet = Packet::tcp(POD, SERVER, "P.", 1_000 + step * 10, 5).data(10);
        let tickets = node.pass(&[
            (VETH, IN, &packet),
            (BRIDGE, IN, &packet),
            (ETH0, OUT, &packet),
        ]);
        assert_eq!(ids(&tickets), [u64::from(step) + 1; 3]);
    }
    let told = node.end();
    let flow = told.flow();
    assert_eq!(flow.packets, [10, 0]);
    let path: Vec<_> = flow
        .path
        .iter()
        .map(|stop| (stop.place.interface, stop.place.direction, stop.packets))
        .collect();
    let ways = [(VETH, IN), (BRIDGE, IN), (ETH0, OUT)];
    assert_eq!(
        path,
        ways.map(|(interface, way)| (interface, Some(way), 10))
    );
    assert_eq!(flow.path[0].after, None);
    assert_eq!(flow.path[2].after, Some([20_000, 20_000]));
    assert!(told.nats.is_empty());
}

#[test]
fn between_two_containers_on_a_bridge_it_is_still_one() {
    let mut node = Node::new();
    let packet = Packet::tcp(POD, "172.17.0.3:80", "S", 1_000, 0);
    let tickets = node.pass(&[
        (VETH, IN, &packet),
        (BRIDGE, IN, &packet),
        (OTHER_VETH, OUT, &packet),
    ]);
    assert_eq!(ids(&tickets), [1; 3]);
    assert_eq!(node.end().flow().packets, [1, 0]);
}

#[test]
fn packets_that_are_all_alike_are_told_apart_by_their_skb_in_whatever_order_they_go_on() {
    let mut node = Node::new();
    let packet = Packet::udp(POD, SERVER, &[7; 20]);
    let skbs: Vec<u64> = (0..300).map(|_| node.skb()).collect();
    let came_in: Vec<_> = skbs
        .iter()
        .map(|skb| node.see(VETH, IN, Some(*skb), &packet))
        .collect();
    // The latest of them overtake each other on their way out, a few at a time.
    for (skb, before) in skbs.iter().zip(&came_in).skip(250).rev() {
        let out = node.see(ETH0, OUT, Some(*skb), &packet);
        assert_eq!(out.packet_id(), before.packet_id());
    }
    // On the hook where all of them were, one more is another one.
    let (skb, next) = (node.skb(), came_in.len() as u64 + 1);
    assert_eq!(node.see(VETH, IN, Some(skb), &packet).packet_id(), next);
    assert_eq!(node.end().flow().packets, [301, 0]);
}

#[test]
fn a_retransmission_is_another_packet_even_in_the_same_skb() {
    let mut node = Node::new();
    let packet = Packet::tcp(POD, SERVER, "P.", 1_000, 5).data(10);
    let skb = node.skb();
    let first = node.see(VETH, IN, Some(skb), &packet);
    let first_out = node.see(ETH0, OUT, Some(skb), &packet);
    node.wait(5 * MS);
    let again = node.see(VETH, IN, Some(skb), &packet);
    let again_out = node.see(ETH0, OUT, Some(skb), &packet);
    assert_eq!(ids(&[first, first_out, again, again_out]), [1, 1, 2, 2]);
    let told = node.end();
    assert_eq!(told.flow().packets, [2, 0]);
    assert_eq!(told.flow().tcp.unwrap().retransmits, [1, 0]);
}

#[test]
fn duplicate_acknowledgements_stay_apart_with_and_without_the_skb_s_address() {
    for known in [true, false] {
        let mut node = Node::new();
        let packet = Packet::tcp("[2001:db8::1]:5000", "[2001:db8::2]:443", ".", 1_000, 5);
        let mut found = Vec::new();
        for place in [(VETH, IN), (ETH0, OUT)] {
            for skb in 1..=3 {
                let identity = known.then_some(skb);
                found.push(node.see(place.0, place.1, identity, &packet));
            }
        }
        assert_eq!(ids(&found), [1, 2, 3, 1, 2, 3], "{known}");
        assert_eq!(node.end().flow().packets, [3, 0]);
    }
}

#[test]
fn an_skb_s_address_that_is_used_again_makes_no_packets_one() {
    let mut node = Node::new();
    let skb = Some(0xabc);
    let one = Packet::tcp(POD, SERVER, "P.", 1_000, 5).data(10);
    let two = Packet::tcp("172.17.0.3:1000", "192.0.2.77:80", "P.", 70_000, 9).data(10);
    let first = node.see(VETH, IN, skb, &one);
    let second = node.see(OTHER_VETH, IN, skb, &two);
    let third = node.see(ETH0, OUT, skb, &two);
    assert_eq!(ids(&[first, second, third]), [1, 2, 2]);
    let told = node.end();
    assert_eq!(told.flows.len(), 2);
    assert!(told.nats.is_empty());
}

#[test]
fn like_datagrams_of_two_containers_in_one_skb_are_no_translation() {
    let mut node = Node::new();
    let skb = Some(0xabc);
    // Unconnected sockets with DF: the identification is zero, and nothing tells them apart.
    let one = Packet::udp("172.17.0.2:5000", "192.0.2.9:8125", b"hits:1|c").id(0);
    let two = Packet::udp("172.17.0.3:5000", "192.0.2.9:8125", b"hits:1|c").id(0);
    node.see(VETH, IN, skb, &one);
    node.see(OTHER_VETH, IN, skb, &two);
    node.see(ETH0, OUT, skb, &two);
    // And again, the first container's by way of the uplink only.
    node.see(ETH0, OUT, skb, &one);
    node.see(OTHER_VETH, IN, skb, &two);
    let told = node.end();
    assert_eq!(told.flows.len(), 2);
    assert!(told.nats.is_empty(), "{:?}", told.nats);
}

#[test]
fn a_rebuilt_skb_is_known_by_its_fingerprint() {
    let mut node = Node::new();
    let packet = Packet::tcp(POD, SERVER, "P.", 1_000, 5).data(10);
    let first = node.see(VETH, IN, Some(1), &packet);
    let second = node.see(ETH0, OUT, Some(2), &packet);
    assert_eq!(ids(&[first, second]), [1, 1]);
}

#[test]
fn after_the_window_a_look_alike_is_another_packet() {
    let mut node = Node::new();
    let packet = Packet::tcp(POD, SERVER, "P.", 1_000, 5).data(10);
    let first = node.see(VETH, IN, Some(1), &packet);
    node.wait(60 * MS);
    let second = node.see(ETH0, OUT, Some(1), &packet);
    assert_eq!(ids(&[first, second]), [1, 2]);
}

#[test]
fn a_loop_shows_as_many_packets_and_none_is_on_a_hook_twice() {
    let mut node = Node::new();
    let packet = Packet::udp("192.0.2.5:5000", "192.0.2.6:6000", b"round and round");
    for _ in 0..5 {
        node.see(VETH, IN, Some(1), &packet);
        node.see(OTHER_VETH, OUT, Some(1), &packet);
    }
    let told = node.end();
    assert_eq!(told.flow().packets, [5, 0]);
    for stop in &told.flow().path {
        assert_eq!(stop.packets, 5);
    }
}

#[test]
fn what_is_not_ip_has_a_packet_number_too() {
    let mut node = Node::new();
    let mut frame = vec![0xff; 12];
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.resize(42, 9);
    let mut see = |interface, direction, identity| {
        node.now += 1_000;
        node.tracker
            .see(&super::Sighting {
                time: node.now,
                interface,
                direction,
                identity: Some(identity),
                link: super::Link::Ethernet,
                frame: &frame,
                original_len: 42,
                gso: None,
            })
            .unwrap()
            .packet_id()
    };
    assert_eq!(see(VETH, IN, 1), 1);
    assert_eq!(see(BRIDGE, IN, 1), 1);
    assert_eq!(see(VETH, IN, 1), 2);
    assert_eq!(node.end().flows.len(), 0);
    assert_eq!(node.tracker.summary().untracked, 2);
}
