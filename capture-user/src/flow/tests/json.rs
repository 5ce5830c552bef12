//! The lines of the flows file, against the contract's own examples.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::names::Names;
use super::super::record::Record;
use super::super::record::ResetRecord;
use super::super::reset::{Cause, Confidence, Origin, OriginSide, Phase};
use super::super::tuple::Endpoint;
use super::{Node, POD, Packet, SERVER};

fn names<'a>(interface: u32) -> &'a str {
    ["veth2482a36", "eth0", "docker0", "veth77"][interface as usize]
}

fn line(record: &Record) -> Value {
    line_with(record, &Names::default())
}

fn line_with(record: &Record, called: &Names) -> Value {
    // The capture began at 2026-11-21T00:00:00Z, a second after the sightings' clock.
    let text = record
        .to_json(|time| time + 1_795_219_199_000_000_000, names, called)
        .unwrap();
    assert!(!text.contains('\n'));
    serde_json::from_str(&text).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_translation_and_its_flow_have_the_contract_s_fields() {
    let mut node = Node::new();
    node.connect();
    node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0));
    node.conclude();
    let now = node.now;
    node.tracker.finish(now);
    let lines: Vec<Value> = node.tracker.take_records().iter().map(line).collect();
    let [nat, reset, flow] = &lines[..] else {
        panic!("{lines:#?}")
    };

    assert_eq!(nat["type"], "nat");
    assert_eq!(nat["schema"], 1);
    assert_eq!(nat["flow"], 1);
    assert_eq!(nat["kind"], "snat");
    assert_eq!(nat["proto"], "tcp");
    assert_eq!(nat["before"]["src"], POD);
    assert_eq!(nat["before"]["dst"], SERVER);
    assert_eq!(nat["after"]["src"], "192.0.2.1:41022");
    assert_eq!(nat["seen"][0]["interface"], "veth2482a36");
    assert_eq!(nat["seen"][0]["direction"], "in");
    assert_eq!(nat["seen"][1]["direction"], "out");
    assert_eq!(nat["evidence"][0], "same-packet");
    assert_eq!(nat["time"], "2026-11-21T00:00:00.00004Z");

    assert_eq!(
        keys(reset),
        [
            "type",
            "schema",
            "time",
            "flow",
            "from",
            "to",
            "origin",
            "cause",
            "confidence",
            "evidence",
            "phase",
            "idle_seconds"
        ]
        .into()
    );

    assert!(
        keys(flow).is_superset(
            &[
                "type",
                "schema",
                "id",
                "proto",
                "client",
                "server",
                "first",
                "last",
                "state",
                "packets",
                "bytes",
                "handshake_us",
                "retransmits",
                "path",
                "nat",
                "resets"
            ]
            .into()
        )
    );
    assert_eq!(flow["packets"]["to_server"], 2);
    assert_eq!(flow["packets"]["to_client"], 2);
    assert_eq!(flow["path"][1]["interface"], "eth0");
    assert_eq!(flow["path"][1]["tuple"]["src"], "192.0.2.1:41022");
    assert_eq!(flow["path"][1]["after_us"]["p50"], 20);
    assert!(flow["path"][0].get("after_us").is_none());
    assert_eq!(flow["nat"][0]["kind"], "snat");
    assert_eq!(flow["resets"][0]["from"], SERVER);
    assert_eq!(flow["state"], "reset");
}

#[test]
fn a_reset_s_line_is_the_contract_s_example() {
    let end = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
    let reset = Record::Reset(Box::new(ResetRecord {
        time: 1_000_000_000,
        flow: 17,
        from: end(SERVER),
        to: end(POD),
        origin: Origin {
            side: OriginSide::Uplink,
            interface: 1,
        },
        cause: Cause::IdleExpiry,
        confidence: Confidence::Packet,
        evidence: vec!["first seen entering at eth0".into()],
        phase: Phase::Established,
        idle: 350_200_000_000,
        tunnel: None,
    }));
    let expected = serde_json::json!({
        "type": "reset", "schema": 1, "time": "2026-11-21T00:00:00Z", "flow": 17,
        "from": "192.0.2.9:443", "to": "172.17.0.2:41022",
        "origin": {"side": "uplink", "interface": "eth0"},
        "cause": "idle-expiry", "confidence": "packet",
        "evidence": ["first seen entering at eth0"],
        "phase": "established", "idle_seconds": 350.2,
    });
    assert_eq!(line(&reset), expected);
}

#[test]
fn containers_are_named_beside_their_addresses() {
    let mut node = Node::new();
    let names = node.tracker.names_mut();
    names.learn("172.17.0.2".parse().unwrap(), "default/web", 0);
    names.is_behind(0, Some("default/web"));
    node.connect();
    node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0));
    let comments = node.comments();
    let [nat, reset, ..] = &comments[..] else {
        panic!("{comments:#?}")
    };
    assert!(
        nat.starts_with(
            "Translated on the way to 192.0.2.9:443: source default/web (172.17.0.2:41022) \
             becomes 192.0.2.1:41022 [nodecap nat kind=snat proto=tcp \
             before=172.17.0.2:41022>192.0.2.9:443"
        ),
        "{nat}"
    );
    assert!(nat.ends_with(" flow=1 src_name=default/web]"), "{nat}");
    assert!(
        reset.ends_with(" flow=1 to_name=default/web]") && reset.contains(" from=192.0.2.9:443 "),
        "{reset}"
    );
    let now = node.now;
    node.tracker.finish(now);
    let records = node.tracker.take_records();
    let names = node.tracker.names();
    let lines: Vec<Value> = records.iter().map(|it| line_with(it, names)).collect();
    let [nat, reset, flow] = &lines[..] else {
        panic!("{lines:#?}")
    };
    assert_eq!(nat["before"]["src_name"], "default/web");
    assert_eq!(nat["before"]["src"], POD);
    assert!(nat["after"].get("src_name").is_none());
    assert_eq!(reset["to_name"], "default/web");
    assert!(reset.get("from_name").is_none());
    assert_eq!(flow["client_name"], "default/web");
    assert_eq!(flow["client"], POD);
    assert!(flow.get("server_name").is_none());
    assert_eq!(flow["path"][0]["tuple"]["src_name"], "default/web");
    assert!(flow["path"][1]["tuple"].get("src_name").is_none());
}

#[test]
fn a_reset_out_of_a_container_is_told_with_whose_that_is() {
    let mut node = Node::new();
    node.tracker.names_mut().is_behind(0, Some("web"));
    node.connect();
    node.leaves(&Packet::tcp(POD, SERVER, "R.", 1_001, 9_001));
    let comments = node.comments();
    let reset = comments.last().unwrap();
    assert!(
        reset.contains(", first seen coming out of web at veth2482a36: "),
        "{reset}"
    );
    let now = node.now;
    node.tracker.finish(now);
    let records = node.tracker.take_records();
    let reset = records
        .iter()
        .find(|record| matches!(record, Record::Reset(_)));
    let reset = line_with(reset.unwrap(), node.tracker.names());
    assert_eq!(reset["origin"]["side"], "pod");
    assert_eq!(reset["origin"]["name"], "web");
}

#[test]
fn an_address_that_went_to_another_is_nobody_s_for_a_flow_that_saw_both() {
    let mut node = Node::new();
    let address = "172.17.0.2".parse().unwrap();
    node.tracker.names_mut().learn(address, "old", 0);
    node.connect();
    let now = node.now;
    node.tracker.names_mut().learn(address, "new", now + 1);
    node.leaves(&Packet::tcp(POD, SERVER, "R.", 1_001, 9_001));
    let comments = node.comments();
    let reset = comments.last().unwrap();
    assert!(reset.contains(" new (172.17.0.2:41022)"), "{reset}");
    let now = node.now;
    node.tracker.finish(now);
    let records = node.tracker.take_records();
    let line = line_with(records.last().unwrap(), node.tracker.names());
    assert_eq!(line["type"], "flow");
    assert!(line.get("client_name").is_none(), "{line:#}");
    assert_eq!(line["nat"][0]["before"]["src_name"], "old");
    assert_eq!(line["resets"][0]["from_name"], "new");
}
