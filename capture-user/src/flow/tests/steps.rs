//! Both ends translated, one at a time and at once: a container reaches itself by the node's port.
//!
//! The first packet of such a connection passes the bridge's own device between its two steps; those
//! behind it don't. What conntrack says of it may come before, between, or after any of them.

use super::super::evidence::Change;
use super::super::nat::NatEvidence::{Conntrack, SamePacket};
use super::super::nat::NatKind::{self, Both, Dnat, Snat};
use super::super::tuple::Tuple;
use super::{BRIDGE, IN, MS, Node, OUT, Packet, Told, VETH, tuple};

const CLIENT: &str = "172.17.0.2:40000";
const PUBLISHED: &str = "192.0.2.1:8080";
const SERVER: &str = "172.17.0.2:80";
const HIDDEN: &str = "172.17.0.1:40000";

/// As the container sends it, behind the first step, and as it gets it back.
fn tuples() -> [Tuple; 3] {
    [
        tuple(6, CLIENT, PUBLISHED),
        tuple(6, CLIENT, SERVER),
        tuple(6, HIDDEN, SERVER),
    ]
}

fn conntrack(node: &mut Node) {
    let reply = tuple(6, SERVER, HIDDEN);
    node.conntrack(tuples()[0], reply, Change::Present);
}

/// The container opens a connection. Before each of the packet's sightings, and behind the last,
/// whatever `before` does.
fn opens(node: &mut Node, mut before: impl FnMut(&mut Node, usize)) {
    let syn = Packet::tcp(CLIENT, PUBLISHED, "S", 1_000, 0);
    let between = syn.translated(CLIENT, SERVER);
    let behind = between.translated(HIDDEN, SERVER);
    let skb = node.skb();
    let places = [
        (VETH, IN, &syn),
        (BRIDGE, OUT, &between),
        (VETH, OUT, &behind),
    ];
    for (at, (interface, direction, packet)) in places.into_iter().enumerate() {
        before(node, at);
        node.see(interface, direction, Some(skb), packet);
    }
    before(node, places.len());
}

/// … and answers itself, in one step.
fn answers(node: &mut Node) {
    let answer = Packet::tcp(SERVER, HIDDEN, "S.", 9_000, 1_001);
    let back = answer.translated(PUBLISHED, CLIENT);
    node.pass(&[(VETH, IN, &answer), (VETH, OUT, &back)]);
}

fn kinds(told: &Told) -> Vec<NatKind> {
    told.nats.iter().map(|nat| nat.kind).collect()
}

/// That the steps were told, one behind the other, and nothing else.
fn assert_steps(told: &Told) {
    assert_eq!(kinds(told), [Dnat, Snat]);
    let [sent, between, received] = tuples();
    let ways: Vec<_> = told
        .nats
        .iter()
        .map(|nat| (nat.before, nat.after))
        .collect();
    assert_eq!(ways, [(sent, between), (between, received)]);
    assert_eq!(told.flow().nat.len(), 2);
}

#[test]
fn two_steps_are_not_told_again_by_a_packet_that_takes_both_at_once() {
    let mut node = Node::new();
    opens(&mut node, |_, _| {});
    answers(&mut node);
    let told = node.end();
    assert_steps(&told);
    assert_eq!(told.flow().packets, [1, 1]);
    let counted = node.tracker.summary().translations;
    assert_eq!(counted, [(Dnat, 1), (Snat, 1)]);
}

#[test]
fn the_second_step_s_comment_is_on_the_packet_behind_the_one_that_showed_both() {
    let mut node = Node::new();
    opens(&mut node, |_, _| {});
    answers(&mut node);
    let comments: Vec<_> = node.conclude().into_iter().map(|it| it.comments).collect();
    let kinds = comments.iter().map(|comments| match &comments[..] {
        [] => "",
        [one] if one.contains("kind=dnat") => "dnat",
        [one] if one.contains("kind=snat") => "snat",
        other => panic!("{other:?}"),
    });
    assert!(kinds.eq(["", "dnat", "", "snat", ""]), "{comments:?}");
}

#[test]
fn whenever_conntrack_tells_of_both_ends_they_are_told_once() {
    // Over netlink and from the packet itself: twice.
    for first in 0..6 {
        for second in first..6 {
            let mut node = Node::new();
            let mut speak = |node: &mut Node, now| {
                for at in [first, second] {
                    if at == now {
                        conntrack(node);
                    }
                }
            };
            opens(&mut node, &mut speak);
            speak(&mut node, 4);
            answers(&mut node);
            speak(&mut node, 5);
            let told = node.end();
            if first < 2 {
                // Before the first step showed.
                assert_eq!(kinds(&told), [Both], "{first} {second}");
            } else {
                assert_steps(&told);
            }
            for nat in &told.nats {
                assert_eq!(nat.evidence, [SamePacket, Conntrack], "{first} {second}");
                assert_eq!(nat.seen.len(), 2, "{first} {second}");
            }
            assert_eq!(told.flow().client.to_string(), CLIENT);
            assert_eq!(told.flow().server.to_string(), PUBLISHED);
        }
    }
}

#[test]
fn conntrack_adds_the_step_that_no_packet_shows() {
    let mut node = Node::new();
    let syn = Packet::tcp(CLIENT, PUBLISHED, "S", 1_000, 0);
    node.pass(&[
        (VETH, IN, &syn),
        (BRIDGE, OUT, &syn.translated(CLIENT, SERVER)),
    ]);
    node.comments();
    conntrack(&mut node);
    node.wait(50 * MS);
    // What no hook showed, the next packet tells of.
    node.at(VETH, IN, &Packet::tcp(CLIENT, PUBLISHED, ".", 1_001, 9_001));
    let comments = node.comments();
    assert_eq!(comments.len(), 1, "{comments:?}");
    assert!(comments[0].contains("kind=snat"), "{comments:?}");
    assert!(comments[0].contains("evidence=conntrack"), "{comments:?}");
    let told = node.end();
    assert_steps(&told);
    assert_eq!(told.nats[1].evidence, [Conntrack]);
    assert_eq!(told.nats[1].seen, []);
}

#[test]
fn conntrack_adds_the_first_step_where_an_answer_was_seen_to_undo_the_last() {
    let mut node = Node::new();
    let answer = Packet::tcp(SERVER, HIDDEN, "S.", 9_000, 1_001);
    let between = answer.translated(SERVER, CLIENT);
    let back = between.translated(PUBLISHED, CLIENT);
    let skb = node.skb();
    node.see(VETH, IN, Some(skb), &answer);
    node.see(BRIDGE, OUT, Some(skb), &between);
    conntrack(&mut node);
    node.see(VETH, OUT, Some(skb), &back);
    let told = node.end();
    assert_eq!(kinds(&told), [Snat, Dnat]);
    let [sent, between, received] = tuples();
    assert_eq!(
        (told.nats[0].before, told.nats[0].after),
        (between, received)
    );
    assert_eq!((told.nats[1].before, told.nats[1].after), (sent, between));
    for nat in &told.nats {
        assert_eq!(nat.evidence, [SamePacket, Conntrack]);
    }
}

#[test]
fn a_step_to_elsewhere_is_none_of_what_conntrack_tells_of() {
    let mut node = Node::new();
    let syn = Packet::tcp(CLIENT, PUBLISHED, "S", 1_000, 0);
    node.pass(&[
        (VETH, IN, &syn),
        (BRIDGE, OUT, &syn.translated(CLIENT, "172.17.0.3:80")),
    ]);
    conntrack(&mut node);
    let told = node.end();
    assert_eq!(kinds(&told), [Dnat, Both]);
    assert_eq!(told.nats[0].evidence, [SamePacket]);
    assert_eq!(told.nats[1].before, tuples()[0]);
    assert_eq!(told.nats[1].after, tuples()[2]);
}
