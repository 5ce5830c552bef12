//! `nodecap interfaces` tells what can be captured here.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::tool;
use lab::topology::{Node, add_wire};
use serde_json::Value;

/// The entry of each interface, by its name.
#[track_caller]
fn entry(namespace: &Namespace, name: &str) -> Value {
    let finished = Nodecap::new(namespace, &["interfaces", "--json"]).run();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let all: Value = serde_json::from_slice(&finished.stdout).unwrap();
    let list = all.as_array().expect("a list");
    let entry = list.iter().find(|entry| entry["name"] == name);
    entry
        .unwrap_or_else(|| panic!("no {name} in {all:#}"))
        .clone()
}

#[test]
fn kinds_addresses_and_who_belongs_to_whom() {
    let lab = Node::new();
    let port = entry(&lab.node, Node::POD_PORT);
    assert_eq!(port["kind"], "bridge port", "{port:#}");
    assert_eq!(port["device"], "veth", "{port:#}");
    assert_eq!(port["master_name"], Node::BRIDGE, "{port:#}");
    assert!(
        port["index"].as_u64().is_some_and(|index| index > 1),
        "{port:#}"
    );
    assert_eq!(port["mtu"], 1_500);
    // The peer is in another namespace: its index there and the namespace's id.
    let peer = entry(&lab.pod, Node::POD_LINK);
    assert_eq!(port["peer"]["index"], peer["index"], "{port:#}");
    assert!(port["peer"]["netns_id"].is_u64(), "{port:#}");
    // And who is in there: no container, so a process; it runs, so it has a name.
    let behind = &port["behind"];
    assert_eq!(behind["interface"], Node::POD_LINK, "{port:#}");
    assert_eq!(behind["process"]["pid"], lab.pod.pid(), "{port:#}");
    let label = behind["label"].as_str().unwrap_or_default();
    assert!(
        label.ends_with(&format!("(pid {})", lab.pod.pid())),
        "{port:#}"
    );
    let addresses = behind["addresses"].to_string();
    assert!(addresses.contains("10.88.0.2/24"), "{port:#}");

    let bridge = entry(&lab.node, Node::BRIDGE);
    assert_eq!(bridge["kind"], "bridge", "{bridge:#}");
    assert_eq!(bridge["index"], port["master"], "{bridge:#}");
    let addresses = bridge["addresses"].to_string();
    for address in ["10.88.0.1", "2001:db8:88::1"] {
        assert!(addresses.contains(address), "{bridge:#}");
    }

    let loopback = entry(&lab.node, "lo");
    assert_eq!(loopback["kind"], "loopback", "{loopback:#}");
    assert_eq!(loopback["index"], 1);
}

#[test]
fn a_veth_whose_peer_is_here_says_which_it_is() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "one-in", "one-out", 9_000);
    let one = entry(&namespace, "one-in");
    assert_eq!(one["peer"]["index"], entry(&namespace, "one-out")["index"]);
    assert!(one["peer"]["netns_id"].is_null(), "{one:#}");
    assert_eq!(one["mtu"], 9_000);
    assert_eq!(one["state"], "up", "{one:#}");
    namespace.ip("link set one-in down");
    let one = entry(&namespace, "one-in");
    assert_eq!(one["state"], "down", "{one:#}");
}

#[test]
fn anybody_may_ask_and_sees_a_line_for_each() {
    let lab = Node::new();
    let finished = Nodecap::new(&lab.node, &["interfaces"]).as_nobody().run();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let text = finished.stdout_text();
    let port = format!("└─ {}", Node::POD_PORT);
    for name in ["lo", Node::BRIDGE, &port, Node::UPLINK] {
        assert!(
            text.lines().any(|line| line.contains(name)),
            "no {name} in:\n{text}"
        );
    }
}

#[test]
fn what_was_learned_and_counted_there_is_told_under_each_interface() {
    let lab = Node::new();
    tool::run(
        lab.pod
            .command("ping")
            .args(["-c1", "-W5", Node::OUTSIDE_V4]),
    );
    lab.node.ip(&format!(
        "link add vx0 type vxlan id 42 dstport 4789 remote 192.0.2.9 dev {}",
        Node::UPLINK
    ));
    let peer = "fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.10";
    tool::run(lab.node.command("bridge").args(peer.split(' ')));
    let mac = entry(&lab.pod, Node::POD_LINK)["mac"].clone();

    let port = entry(&lab.node, Node::POD_PORT);
    assert!(
        port["statistics"]["rx_packets"].as_u64().unwrap() >= 1,
        "{port:#}"
    );
    let learned = port["fdb"].as_array().unwrap();
    assert!(
        learned
            .iter()
            .any(|it| it["mac"] == mac && it["learned"] == true),
        "{port:#}"
    );
    let bridge = entry(&lab.node, Node::BRIDGE);
    let neighbours = bridge["neighbours"].as_array().unwrap();
    assert!(
        neighbours
            .iter()
            .any(|it| it["address"] == "10.88.0.2" && it["mac"] == mac),
        "{bridge:#}"
    );
    let vxlan = &entry(&lab.node, "vx0")["vxlan"];
    assert_eq!(vxlan["vni"], 42, "{vxlan:#}");
    assert_eq!(vxlan["port"], 4_789, "{vxlan:#}");
    let peers = serde_json::json!(["192.0.2.9", "192.0.2.10"]);
    assert_eq!(vxlan["peers"], peers, "{vxlan:#}");

    let drawn = Nodecap::new(&lab.node, &["interfaces"]).run().stdout_text();
    let mac = mac.as_str().unwrap();
    for line in [
        format!("MAC {mac} learned"),
        format!("neighbour 10.88.0.2 is at {mac}, "),
        "VNI 42, UDP port 4789, to 192.0.2.9, peers 192.0.2.9 192.0.2.10".to_owned(),
    ] {
        assert!(drawn.contains(&line), "no `{line}` in\n{drawn}");
    }
}
