//! IPVS: connections that the node balances, and what is said when it has forgotten one.

use std::fs;

use lab::need;
use lab::nodecap::Nodecap;
use lab::scenario::ipvs;
use lab::scenario::proof::{assert_occurs, assert_translates};
use lab::scenario::verdict::{assert_followed, assert_judged};
use lab::scratch::Scratch;
use lab::tool;
use lab::topology::Node;
use serde_json::Value;

#[test]
fn the_scenario_balances_a_connection() {
    need!("ipvs", "program ipvsadm");
    assert_translates(&ipvs::BALANCED);
}

#[test]
fn a_balanced_connection_is_followed_to_the_server() {
    need!("ipvs", "program ipvsadm");
    assert_followed(&ipvs::BALANCED);
}

#[test]
fn the_scenario_forgets_a_silent_connection() {
    need!("ipvs", "program ipvsadm");
    assert_occurs(&ipvs::EXPIRED_BALANCED);
}

#[test]
fn a_reset_for_a_connection_that_the_balancer_forgot_is_judged() {
    need!("ipvs", "program ipvsadm");
    assert_judged(&ipvs::EXPIRED_BALANCED);
}

fn ipvsadm(lab: &Node, words: &str) {
    tool::run(
        lab.node
            .command("ipvsadm")
            .args(words.split_ascii_whitespace()),
    );
}

#[test]
fn services_and_the_servers_behind_them_are_shown_with_what_changes_of_them() {
    need!("ipvs", "program ipvsadm");
    let lab = Node::new();
    // A published address of the node's own, and, as in Swarm's ingress, packets with a mark.
    ipvsadm(&lab, "-A -t 192.0.2.1:8080 -s wrr");
    ipvsadm(&lab, "-a -t 192.0.2.1:8080 -r 10.88.0.2:80 -m -w 3");
    ipvsadm(&lab, "-A -f 256 -s rr");
    ipvsadm(&lab, "-a -f 256 -r 10.88.0.2 -m");

    let shown = Nodecap::new(&lab.node, &["interfaces", "--json"]).run();
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let rows = shown.as_array().expect("a list");
    let services_at = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name);
        row.map(|row| row["services"].clone()).unwrap_or_default()
    };
    let at_uplink = services_at(Node::UPLINK);
    assert_eq!(at_uplink[0]["service"], "tcp 192.0.2.1:8080", "{shown:#}");
    assert_eq!(at_uplink[0]["scheduler"], "wrr");
    let server = &at_uplink[0]["backends"][0];
    assert_eq!(server["address"], "10.88.0.2:80", "{shown:#}");
    assert_eq!(
        (&server["method"], &server["weight"]),
        (&"masquerade".into(), &3.into())
    );
    // Nobody has that one as an address.
    let others = services_at("lo");
    assert_eq!(others[0]["service"], "fwmark 256", "{shown:#}");
    assert_eq!(others[0]["backends"][0]["address"], "10.88.0.2:0");
    let drawn = Nodecap::new(&lab.node, &["interfaces"]).run().stdout_text();
    let said = "IPVS tcp 192.0.2.1:8080 balances over 10.88.0.2:80 (wrr)";
    assert!(drawn.contains(said), "{drawn}");

    let scratch = Scratch::new();
    let file = scratch.path("state.json");
    let name = file.display().to_string();
    let arguments = [
        "capture",
        "-i",
        Node::UPLINK,
        "-w",
        "/dev/null",
        "--snapshot",
        &name,
    ];
    let running = Nodecap::new(&lab.node, &arguments).start();
    ipvsadm(&lab, "-a -t 192.0.2.1:8080 -r 10.88.0.3:80 -m");
    ipvsadm(&lab, "-D -f 256");
    running.stop();
    let bytes = fs::read(&file).expect("a file");
    let snapshots: Value = serde_json::from_slice(&bytes).expect("JSON");
    let changes = snapshots["difference"]["changes"]
        .as_array()
        .expect("a list");
    let of = |entry: &str| {
        let mut changes = changes.iter().filter(|change| change["section"] == "ipvs");
        changes.find(|change| change["entry"] == entry)
    };
    let changed = of("tcp 192.0.2.1:8080").expect("a change");
    let added = &changed["fields"]["backends.10.88.0.3:80"]["after"];
    assert_eq!(added["method"], "masquerade", "{changes:#?}");
    assert_eq!(of("fwmark 256").expect("a change")["change"], "removed");
}
