//! conntrack's entries, and the flows before and after those that they were made for.

use super::super::evidence::{Change, Fact};
use super::{
    ETH0, IN, MASQUERADED, Node, OTHER_VETH, OUT, POD, Packet, SECOND, SERVER, VETH, tuple,
};

const ASKED: &str = "192.0.2.9:53";
const NODES: &str = "192.0.2.1:5000";

/// A container's question, masqueraded, with conntrack's word on it before it is seen.
fn asks(node: &mut Node, pod: &str, interface: u32, entry_is_new: bool) {
    if entry_is_new {
        node.conntrack(tuple(17, pod, ASKED), tuple(17, ASKED, NODES), Change::Made);
    }
    let question = Packet::udp(pod, ASKED, pod.as_bytes());
    node.pass(&[
        (interface, IN, &question),
        (ETH0, OUT, &question.translated(NODES, ASKED)),
    ]);
}

#[test]
fn a_node_s_port_that_another_container_gets_later_is_that_one_s_by_conntracks_word_too() {
    let mut node = Node::new();
    let pods = ["172.17.0.2:5000", "172.17.0.3:5000"];
    asks(&mut node, pods[0], VETH, true);
    node.wait(30 * SECOND);
    node.conntrack(
        tuple(17, pods[0], ASKED),
        tuple(17, ASKED, NODES),
        Change::Removed,
    );
    node.wait(30 * SECOND);
    asks(&mut node, pods[1], OTHER_VETH, true);
    asks(&mut node, pods[1], OTHER_VETH, false);
    let told = node.end();
    assert_eq!(told.flows.len(), 2, "{:#?}", told.flows);
    for (flow, (pod, packets)) in told.flows.iter().zip(pods.iter().zip([1, 2])) {
        assert_eq!(flow.client.to_string(), *pod);
        assert_eq!(flow.packets, [packets, 0]);
        assert_eq!(flow.nat.len(), 1);
        assert_eq!(flow.nat[0].before, tuple(17, pod, ASKED));
    }
    assert_eq!(told.nats.len(), 2);
}

#[test]
fn the_same_question_after_a_while_is_one_flow_though_its_entry_is_new() {
    let mut node = Node::new();
    for _ in 0..3 {
        asks(&mut node, "172.17.0.2:5000", VETH, true);
        node.wait(60 * SECOND);
    }
    let told = node.end();
    assert_eq!(told.flow().packets, [3, 0]);
    assert_eq!(told.nats.len(), 1);
}

#[test]
fn a_question_that_gets_another_port_of_the_node_s_is_one_flow_with_both() {
    // Beyond the node nobody looks: conntrack alone tells.
    let (mut node, pod) = (Node::new(), "172.17.0.2:5000");
    for port in [5_000, 6_000] {
        let behind = format!("192.0.2.1:{port}");
        node.conntrack(
            tuple(17, pod, ASKED),
            tuple(17, ASKED, &behind),
            Change::Made,
        );
        node.at(VETH, IN, &Packet::udp(pod, ASKED, b"question"));
        node.wait(60 * SECOND);
    }
    let told = node.end();
    assert_eq!(told.flow().packets, [2, 0]);
    assert_eq!(told.flow().nat.len(), 2);
}

#[test]
fn a_connection_of_the_node_s_own_port_before_a_container_got_it_keeps_its_client() {
    let mut node = Node::new();
    // The node's own, closed by nobody as far as was seen.
    node.at(ETH0, OUT, &Packet::tcp(MASQUERADED, SERVER, "S", 500, 0));
    node.at(ETH0, IN, &Packet::tcp(SERVER, MASQUERADED, "S.", 70, 501));
    node.at(ETH0, OUT, &Packet::tcp(MASQUERADED, SERVER, ".", 501, 71));
    node.wait(30 * SECOND);
    node.conntrack(
        tuple(6, POD, SERVER),
        tuple(6, SERVER, MASQUERADED),
        Change::Made,
    );
    node.connect();
    let told = node.end();
    assert_eq!(told.flows.len(), 2, "{:#?}", told.flows);
    assert_eq!(told.flows[0].client.to_string(), MASQUERADED);
    assert!(told.flows[0].nat.is_empty());
    assert_eq!(told.flows[1].client.to_string(), POD);
    assert_eq!(told.flows[1].nat.len(), 1);
}

#[test]
fn an_entry_that_may_have_gone_unheard_gives_no_later_flow_another_client() {
    // The node's own resolver asks, minutes after a container's entry was last heard of.
    for (change, lost) in [(Change::Present, false), (Change::Made, true)] {
        let mut node = Node::new();
        let pod = "172.17.0.2:5000";
        node.conntrack(tuple(17, pod, ASKED), tuple(17, ASKED, NODES), change);
        if lost {
            node.learn(Fact::RemovalsLost);
        }
        node.wait(200 * SECOND);
        node.at(ETH0, OUT, &Packet::udp(NODES, ASKED, b"question"));
        let told = node.end();
        assert!(told.nats.is_empty(), "{:#?}", told.nats);
        assert_eq!(told.flow().client.to_string(), NODES);
    }
}

#[test]
fn an_older_entry_says_nothing_of_a_connection_that_opens_later() {
    let mut node = Node::new();
    node.conntrack(
        tuple(6, POD, SERVER),
        tuple(6, SERVER, MASQUERADED),
        Change::Present,
    );
    node.wait(10 * SECOND);
    node.at(ETH0, OUT, &Packet::tcp(MASQUERADED, SERVER, "S", 1_000, 0));
    let told = node.end();
    assert!(told.nats.is_empty());
    assert_eq!(told.flow().client.to_string(), MASQUERADED);
}

#[test]
fn an_older_entry_is_that_of_a_connection_joined_late() {
    let mut node = Node::new();
    node.conntrack(
        tuple(6, POD, SERVER),
        tuple(6, SERVER, MASQUERADED),
        Change::Present,
    );
    node.wait(1_000 * SECOND);
    let data = Packet::tcp(MASQUERADED, SERVER, "P.", 1_000, 5).data(3);
    node.at(ETH0, OUT, &data);
    assert_eq!(node.end().flow().client.to_string(), POD);
}

#[test]
fn the_earlier_connection_of_a_port_keeps_its_own_though_a_packet_of_the_next_came_before_the_word_on_it()
 {
    let mut node = Node::new();
    // The node's own, of which the answers alone are seen: nobody knows whether it is over.
    let answer = Packet::tcp(SERVER, MASQUERADED, "P.", 70, 501).data(10);
    node.at(ETH0, IN, &answer);
    node.wait(30 * SECOND);
    let opens = Packet::tcp(POD, SERVER, "S", 1_000, 0);
    node.see(VETH, IN, Some(1), &opens);
    node.conntrack(
        tuple(6, POD, SERVER),
        tuple(6, SERVER, MASQUERADED),
        Change::Made,
    );
    node.see(ETH0, OUT, Some(1), &opens.translated(MASQUERADED, SERVER));
    node.arrives(&Packet::tcp(SERVER, POD, "S.", 9_000, 1_001));
    let told = node.end();
    assert_eq!(told.flows.len(), 2, "{:#?}", told.flows);
    assert_eq!(told.flows[0].packets, [0, 1]);
    assert!(told.flows[0].nat.is_empty());
    assert_eq!(told.flows[1].client.to_string(), POD);
    assert_eq!(told.flows[1].packets, [1, 1]);
    assert_eq!(told.flows[1].nat.len(), 1);
}

#[test]
fn an_entry_with_the_replies_of_another_ends_that_one_s_flow_whoever_tells_of_it() {
    // Beyond the node alone, where both containers look alike.
    let mut node = Node::new();
    for (pod, change) in [
        ("172.17.0.2:5000", Change::Made),
        ("172.17.0.3:5000", Change::Present),
    ] {
        node.conntrack(tuple(17, pod, ASKED), tuple(17, ASKED, NODES), change);
        node.at(ETH0, OUT, &Packet::udp(NODES, ASKED, pod.as_bytes()));
        node.wait(10 * SECOND);
    }
    let told = node.end();
    let clients: Vec<_> = told
        .flows
        .iter()
        .map(|flow| flow.client.to_string())
        .collect();
    assert_eq!(clients, ["172.17.0.2:5000", "172.17.0.3:5000"]);
}

#[test]
fn a_syn_that_is_let_through_only_when_it_is_sent_again_has_its_translation() {
    let mut node = Node::new();
    let opens = Packet::tcp(POD, SERVER, "S", 1_000, 0);
    node.at(VETH, IN, &opens);
    node.wait(7 * SECOND);
    node.at(VETH, IN, &opens);
    node.conntrack(
        tuple(6, POD, SERVER),
        tuple(6, SERVER, MASQUERADED),
        Change::Made,
    );
    let told = node.end();
    assert_eq!(told.flow().packets, [2, 0]);
    assert_eq!(told.nats.len(), 1);
}
