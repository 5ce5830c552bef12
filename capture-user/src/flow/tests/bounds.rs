//! Memory has a ceiling, and what had to go is counted.

use super::super::connection::Flow;
use super::super::live::Live;
use super::super::tracker::Config;
use super::{IN, MS, Node, OUT, POD, Packet, SECOND, SERVER, VETH};

fn node(max_flows: usize) -> Node {
    Node::with(Config {
        max_flows,
        ..Config::default()
    })
}

#[test]
fn an_ordinary_flow_takes_no_more_than_it_may() {
    // Together with a binding of 24 bytes and its share of the buckets: below 300.
    assert!(size_of::<Flow>() <= 264, "{}", size_of::<Flow>());
}

#[test]
fn a_packet_takes_no_more_than_it_may() {
    assert!(size_of::<Live>() <= 112, "{}", size_of::<Live>());
}

#[test]
fn the_table_never_holds_more_than_its_bound_and_counts_what_it_gave_up() {
    let mut node = node(100);
    for port in 1..=1_000u16 {
        let from = format!("172.17.0.2:{port}");
        node.at(VETH, IN, &Packet::udp(&from, "192.0.2.9:53", b"?"));
        assert!(node.tracker.flows() <= 100);
    }
    let told = node.end();
    assert_eq!(told.flows.len(), 1_000);
    assert_eq!(node.tracker.summary().evicted, 900);
    let packets: u64 = told.flows.iter().flat_map(|flow| flow.packets).sum();
    assert_eq!(packets, 1_000);
}

#[test]
fn a_scan_does_not_push_out_a_connection_that_is_in_use() {
    let mut node = node(64);
    node.connect();
    for port in 1..=2_000u16 {
        if port % 10 == 0 {
            let sequence = 1_001 + u32::from(port);
            node.leaves(&Packet::tcp(POD, SERVER, "P.", sequence, 9_001).data(10));
        }
        node.wait(50 * MS);
        let to = format!("192.0.2.77:{port}");
        node.at(VETH, IN, &Packet::tcp("172.17.0.9:999", &to, "S", 1, 0));
    }
    let told = node.end();
    let ours: Vec<_> = told
        .flows
        .iter()
        .filter(|flow| flow.client.to_string() == POD)
        .collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].packets, [202, 1]);
}

#[test]
fn flows_go_when_they_were_silent_for_long_enough() {
    let mut node = Node::new();
    node.at(VETH, IN, &Packet::udp(POD, "192.0.2.9:53", b"?"));
    node.connect();
    node.leaves(&Packet::tcp(POD, SERVER, "F.", 1_001, 9_001));
    node.arrives(&Packet::tcp(SERVER, POD, "F.", 9_001, 1_002));
    node.leaves(&Packet::tcp("172.17.0.2:9", SERVER, "S", 5, 0));
    node.conclude();
    let mut left = Vec::new();
    for seconds in [30, 40, 100, 100] {
        node.wait(seconds * SECOND);
        let now = node.now;
        node.tracker.expire(now);
        left.push(node.tracker.flows());
    }
    // The closed one after 61 seconds, the opening one after 150, the datagrams' after 180.
    assert_eq!(left, [3, 2, 1, 0]);
}

#[test]
fn the_packets_remembered_are_bounded_and_grow_only_as_needed() {
    let mut node = Node::with(Config {
        max_packets: 4_096,
        ..Config::default()
    });
    let mut tickets = Vec::new();
    for step in 0..20_000u32 {
        let packet = Packet::tcp(POD, SERVER, ".", step, 1).id(step as u16);
        node.now -= 19_000;
        tickets.push((node.at(VETH, OUT, &packet), step));
    }
    for (ticket, step) in tickets {
        assert_eq!(ticket.packet_id(), u64::from(step) + 1);
        assert_eq!(node.tracker.conclude(ticket).packet_id, u64::from(step) + 1);
    }
    assert!(node.tracker.remembered() <= 4_096);
}

#[test]
fn a_packet_is_still_found_while_the_ring_grows_around_it() {
    let mut node = Node::new();
    let marked = Packet::tcp(POD, SERVER, "P.", 77, 1).data(40);
    let first = node.see(VETH, IN, Some(1), &marked);
    for step in 0..9_000u32 {
        let packet = Packet::tcp("172.17.0.3:1", SERVER, ".", step, 1).id(step as u16);
        node.now -= 19_000;
        node.at(VETH, OUT, &packet);
    }
    let second = node.see(super::ETH0, OUT, Some(1), &marked);
    assert_eq!(first.packet_id(), second.packet_id());
    assert!(node.tracker.remembered() > 9_000);
}

#[test]
fn a_reset_of_a_flow_that_has_to_go_is_judged_before() {
    let mut node = node(1);
    node.connect();
    node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0));
    node.at(VETH, IN, &Packet::udp(POD, "192.0.2.9:53", b"the next"));
    let told = node.end();
    assert_eq!((told.flows.len(), told.resets.len()), (2, 1));
    assert_eq!(told.flows[0].resets, told.resets);
}

#[test]
fn a_word_of_the_kernel_that_found_no_room_is_no_word_that_is_not_there() {
    use super::super::evidence::{Fact, KernelReset};
    use super::super::reset::{Environment, OriginSide};

    // A reset out of a container, with as many others at the same moment as the tracker remembers, and more.
    for (others, told) in [(10, true), (5_000, false)] {
        let mut node = Node::with(Config {
            environment: Environment {
                live: true,
                resets_told: true,
                reasons_told: true,
                drops_told: true,
                ..Environment::default()
            },
            ..Config::default()
        });
        node.connect();
        node.leaves(&Packet::tcp(POD, SERVER, "R", 1_001, 0));
        for port in 0..others {
            let from = format!("198.51.100.7:{}", port + 1);
            node.learn(Fact::ResetSent(KernelReset {
                tuple: super::tuple(6, &from, SERVER),
                reason: Some("NO_SOCKET"),
                netns: 1,
            }));
        }
        let told_of = node.end();
        let reset = &told_of.resets[0];
        assert_eq!(reset.origin.side, OriginSide::Pod);
        let silent = reset
            .evidence
            .iter()
            .any(|it| it == "no socket of this kernel sent it");
        assert_eq!(silent, told, "{reset:#?}");
    }
}
