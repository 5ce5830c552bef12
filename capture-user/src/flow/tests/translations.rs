//! Which address became which.

use super::super::evidence::Change;
use super::super::nat::NatEvidence::{Conntrack, Fingerprint, SamePacket};
use super::super::nat::NatKind;
use super::super::record::Record;
use super::{ETH0, IN, MASQUERADED, MS, Node, OTHER_VETH, OUT, POD, Packet, SERVER, VETH, tuple};

#[test]
fn masquerading_shows_on_the_first_packet_and_replies_are_no_other_translation() {
    let mut node = Node::new();
    node.connect();
    let comments = node.comments();
    assert_eq!(
        comments,
        [
            "Translated on the way to 192.0.2.9:443: source 172.17.0.2:41022 becomes \
          192.0.2.1:41022 [nodecap nat kind=snat proto=tcp \
          before=172.17.0.2:41022>192.0.2.9:443 after=192.0.2.1:41022>192.0.2.9:443 \
          evidence=same-packet flow=1]"
        ]
    );
    let told = node.end();
    assert_eq!(told.nats.len(), 1);
    let nat = &told.nats[0];
    assert_eq!(nat.kind, NatKind::Snat);
    assert_eq!(nat.before, tuple(6, POD, SERVER));
    assert_eq!(nat.after, tuple(6, MASQUERADED, SERVER));
    assert_eq!(nat.evidence, [SamePacket]);
    assert_eq!(
        (nat.seen[0].interface, nat.seen[0].direction),
        (VETH, Some(IN))
    );
    assert_eq!(
        (nat.seen[1].interface, nat.seen[1].direction),
        (ETH0, Some(OUT))
    );
    let flow = told.flow();
    assert_eq!(flow.packets, [2, 1]);
    assert_eq!(flow.nat.len(), 1);
    assert_eq!(flow.path.len(), 4);
    assert_eq!(flow.path[2].tuple, tuple(6, SERVER, MASQUERADED));
    assert_eq!(flow.path[3].tuple, tuple(6, SERVER, POD));
    assert_eq!(flow.client.to_string(), POD);
}

#[test]
fn a_published_port_is_a_destination_translated() {
    let mut node = Node::new();
    let (outside, published, inside) = ("203.0.113.5:6000", "192.0.2.1:8080", "172.17.0.2:80");
    let syn = Packet::tcp(outside, published, "S", 1_000, 0);
    node.pass(&[
        (ETH0, IN, &syn),
        (VETH, OUT, &syn.translated(outside, inside)),
    ]);
    let reply = Packet::tcp(inside, outside, "S.", 5_000, 1_001);
    node.pass(&[
        (VETH, IN, &reply),
        (ETH0, OUT, &reply.translated(published, outside)),
    ]);
    let told = node.end();
    assert_eq!(told.nats.len(), 1);
    assert_eq!(told.nats[0].kind, NatKind::Dnat);
    assert_eq!(told.nats[0].before, tuple(6, outside, published));
    assert_eq!(told.nats[0].after, tuple(6, outside, inside));
    assert_eq!(told.flow().server.to_string(), published);
    assert_eq!(told.flow().packets, [1, 1]);
}

#[test]
fn a_hairpin_translates_both_ends() {
    let mut node = Node::new();
    let syn = Packet::tcp(POD, "10.96.0.1:443", "S", 1_000, 0);
    node.pass(&[
        (VETH, IN, &syn),
        (
            OTHER_VETH,
            OUT,
            &syn.translated("172.17.0.1:61000", "172.17.0.3:6443"),
        ),
    ]);
    let told = node.end();
    assert_eq!(told.nats[0].kind, NatKind::Both);
    assert_eq!(told.flow().packets, [1, 0]);
}

#[test]
fn a_translation_first_seen_on_a_reply_is_told_in_the_client_s_direction() {
    let mut node = Node::new();
    let reply = Packet::tcp(SERVER, POD, "P.", 9_000, 1_001).data(5);
    node.arrives(&reply);
    let told = node.end();
    let nat = &told.nats[0];
    assert_eq!(nat.kind, NatKind::Snat);
    assert_eq!(nat.before, tuple(6, POD, SERVER));
    assert_eq!(nat.after, tuple(6, MASQUERADED, SERVER));
    assert_eq!(nat.seen[0].interface, VETH);
    assert_eq!(told.flow().packets, [0, 1]);
    assert_eq!(told.flow().client.to_string(), POD);
}

#[test]
fn datagrams_and_echoes_are_translated_too() {
    let mut node = Node::new();
    let question = Packet::udp(POD, "192.0.2.9:53", b"question");
    node.pass(&[
        (VETH, IN, &question),
        (
            ETH0,
            OUT,
            &question.translated("192.0.2.1:7000", "192.0.2.9:53"),
        ),
    ]);
    let ping = Packet::echo("172.17.0.2:77", "192.0.2.9:77", 1, false);
    node.pass(&[
        (VETH, IN, &ping),
        (ETH0, OUT, &ping.translated("192.0.2.1:78", "192.0.2.9:78")),
    ]);
    let pong = Packet::echo("192.0.2.9:78", "192.0.2.1:78", 1, true);
    node.pass(&[
        (ETH0, IN, &pong),
        (VETH, OUT, &pong.translated("192.0.2.9:77", "172.17.0.2:77")),
    ]);
    let told = node.end();
    assert_eq!(told.flows.len(), 2);
    let kinds: Vec<_> = told.nats.iter().map(|nat| nat.kind).collect();
    assert_eq!(kinds, [NatKind::Snat, NatKind::Snat]);
}

#[test]
fn what_many_send_alike_to_a_group_is_no_translation_though_an_skb_is_used_again() {
    for (one, other, group) in [
        ("172.17.0.2:5353", "192.0.2.1:5353", "224.0.0.251:5353"),
        ("0.0.0.0:68", "192.0.2.1:68", "255.255.255.255:67"),
        ("[fe80::1]:5353", "[fe80::2]:5353", "[ff02::fb]:5353"),
        ("[::]:5353", "[fe80::2]:5353", "[ff02::fb]:5353"),
        ("[fe80::1]:7", "[2001:db8::2]:7", "[2001:db8::9]:7"),
    ] {
        let mut node = Node::new();
        let packet = Packet::udp(one, group, b"the same question");
        node.pass(&[
            (VETH, IN, &packet),
            (ETH0, OUT, &packet.translated(other, group)),
        ]);
        let told = node.end();
        assert!(told.nats.is_empty(), "{one} and {other} to {group}");
        assert_eq!(told.flows.len(), 2);
    }
}

#[test]
fn what_a_relay_sends_on_is_no_translation_though_an_skb_is_used_again() {
    let (outside, published) = ("203.0.113.5:6000", "192.0.2.1:53");
    let question = Packet::udp(outside, published, b"question").id(0).ttl(57);
    // By the node's stack, and by a process on it.
    for (ttl, flows) in [(56, 1), (64, 2)] {
        let mut node = Node::new();
        let sent_on = question.translated("172.17.0.1:7000", "172.17.0.2:53");
        node.pass(&[(ETH0, IN, &question), (VETH, OUT, &sent_on.ttl(ttl))]);
        let told = node.end();
        assert_eq!(told.flows.len(), flows);
        assert_eq!(told.nats.len(), 2 - flows);
    }
}

#[test]
fn a_rule_that_raises_the_ttl_hides_no_translation_of_packets_that_tell_flows_apart() {
    let mut node = Node::new();
    let syn = Packet::tcp(POD, SERVER, "S", 1_000, 0);
    let behind = syn.translated(MASQUERADED, SERVER).ttl(65);
    node.pass(&[(VETH, IN, &syn), (ETH0, OUT, &behind)]);
    let told = node.end();
    assert_eq!(told.nats.len(), 1);
    assert_eq!(told.flow().packets, [1, 0]);
}

#[test]
fn a_rebuilt_skb_shows_a_translation_by_its_fingerprint_if_it_is_like_one_packet_only() {
    let packet = Packet::tcp(POD, SERVER, "P.", 1_000, 5).data(10);
    let behind = packet.translated(MASQUERADED, SERVER);
    let mut node = Node::new();
    node.see(VETH, IN, Some(1), &packet);
    node.see(ETH0, OUT, Some(2), &behind);
    let told = node.end();
    assert_eq!(told.nats[0].evidence, [Fingerprint]);
    assert_eq!(told.flow().packets, [1, 0]);

    let mut node = Node::new();
    node.see(VETH, IN, Some(1), &packet);
    node.see(VETH, IN, Some(2), &packet);
    node.see(ETH0, OUT, Some(3), &behind);
    let told = node.end();
    assert!(told.nats.is_empty());
    assert_eq!(told.flows.len(), 2);
}

#[test]
fn conntrack_confirms_what_a_packet_showed() {
    for before in [true, false] {
        let mut node = Node::new();
        let tell = |node: &mut Node| {
            node.conntrack(
                tuple(6, POD, SERVER),
                tuple(6, SERVER, MASQUERADED),
                Change::Present,
            );
        };
        if before {
            tell(&mut node);
        }
        node.connect();
        if !before {
            tell(&mut node);
        }
        let comments = node.comments();
        assert_eq!(comments.len(), 1, "{comments:?}");
        assert!(
            comments[0].contains("evidence=same-packet,conntrack"),
            "{comments:?}"
        );
        let told = node.end();
        assert_eq!(told.nats.len(), 1);
        assert_eq!(told.nats[0].evidence, [SamePacket, Conntrack]);
        assert_eq!(told.nats[0].seen.len(), 2);
    }
}

#[test]
fn conntrack_supplies_the_tuple_that_no_hook_shows() {
    let mut node = Node::new();
    node.conntrack(
        tuple(6, POD, SERVER),
        tuple(6, SERVER, MASQUERADED),
        Change::Present,
    );
    node.at(
        ETH0,
        OUT,
        &Packet::tcp(MASQUERADED, SERVER, "P.", 1_000, 5).data(3),
    );
    node.at(ETH0, IN, &Packet::tcp(SERVER, MASQUERADED, ".", 5, 1_003));
    let comments = node.comments();
    assert_eq!(comments.len(), 1);
    assert!(comments[0].contains("evidence=conntrack"), "{comments:?}");
    let told = node.end();
    assert_eq!(told.flow().client.to_string(), POD);
    assert_eq!(told.flow().packets, [1, 1]);
    assert_eq!(told.nats[0].seen, []);
}

#[test]
fn conntrack_tells_who_the_client_is_of_a_flow_joined_late() {
    let mut node = Node::new();
    // Both ports are high: the first sender was taken for the client.
    let (client, server, inside) = ("203.0.113.5:6000", "192.0.2.1:30080", "172.17.0.2:8080");
    let reply = Packet::tcp(inside, client, "P.", 5, 1_000).data(3);
    node.pass(&[
        (VETH, IN, &reply),
        (ETH0, OUT, &reply.translated(server, client)),
    ]);
    node.conntrack(
        tuple(6, client, server),
        tuple(6, inside, client),
        Change::Present,
    );
    let told = node.end();
    assert_eq!(told.nats.len(), 1);
    assert_eq!(told.nats[0].kind, NatKind::Dnat);
    assert_eq!(told.flow().client.to_string(), client);
    assert_eq!(told.flow().packets, [0, 1]);
    assert_eq!(told.flow().path[0].tuple, tuple(6, inside, client));
}

#[test]
fn a_mapping_that_has_gone_binds_nothing() {
    let mut node = Node::new();
    let (original, reply) = (tuple(6, POD, SERVER), tuple(6, SERVER, MASQUERADED));
    node.conntrack(original, reply, Change::Present);
    node.conntrack(original, reply, Change::Removed);
    node.at(ETH0, OUT, &Packet::tcp(MASQUERADED, SERVER, "S", 1_000, 0));
    let told = node.end();
    assert!(told.nats.is_empty());
    assert_eq!(told.flow().client.to_string(), MASQUERADED);
}

#[test]
fn flows_that_turn_out_to_be_one_are_merged() {
    let mut node = Node::new();
    // Two like packets of it at once, their skbs rebuilt: it can't be said which is which.
    let packet = Packet::tcp(POD, SERVER, "P.", 1_000, 5).data(10);
    let behind = packet.translated(MASQUERADED, SERVER);
    for skb in 1..=2 {
        node.see(VETH, IN, Some(skb), &packet);
    }
    for skb in 3..=4 {
        node.see(ETH0, OUT, Some(skb), &behind);
    }
    assert_eq!(node.tracker.flows(), 2);
    // The reply keeps its skb, and settles it.
    node.arrives(&Packet::tcp(SERVER, POD, ".", 5, 1_010));
    assert_eq!(node.tracker.flows(), 1);
    let told = node.end();
    assert_eq!(told.flow().packets, [4, 1]);
    assert_eq!(told.nats.len(), 1);
    assert_eq!(told.nats[0].kind, NatKind::Snat);
    assert_eq!(node.tracker.summary().flows, 1);
}

#[test]
fn a_node_s_port_that_another_container_gets_later_is_that_one_s_flow() {
    let mut node = Node::new();
    let to = "192.0.2.9:53";
    for (pod, interface) in [("172.17.0.2:5000", VETH), ("172.17.0.3:5000", OTHER_VETH)] {
        let question = Packet::udp(pod, to, pod.as_bytes());
        node.pass(&[
            (interface, IN, &question),
            (ETH0, OUT, &question.translated("192.0.2.1:5000", to)),
        ]);
        let answer = Packet::udp(to, "192.0.2.1:5000", b"answer").id(9);
        node.pass(&[
            (ETH0, IN, &answer),
            (interface, OUT, &answer.translated(to, pod)),
        ]);
        node.wait(500 * MS);
    }
    let told = node.end();
    assert_eq!(told.flows.len(), 2);
    for flow in &told.flows {
        assert_eq!(flow.packets, [1, 1]);
        assert_eq!(flow.nat.len(), 1);
    }
}

#[test]
fn a_translation_is_told_before_its_flow_even_if_no_packet_is_written() {
    let mut node = Node::new();
    node.connect();
    node.wait(200 * MS);
    let now = node.now;
    node.tracker.expire(now);
    let records = node.tracker.take_records();
    assert!(matches!(records[..], [Record::Nat(_)]), "{records:?}");
}
