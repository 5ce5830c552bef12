//! `nodecap interfaces` tells what can be captured here.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
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
