//! A thousand connections that nothing is wrong with: no reset, and no translation but the
//! masquerade that is there.

use std::collections::BTreeSet;

use lab::flows::FlowsFile;
use lab::frames::end_marker;
use lab::nodecap::Nodecap;
use lab::replay;
use lab::scenario::{OUTSIDE_SERVER, ordinary};
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::Node;

/// Only resets.
const RESETS: &str = "tcp[tcpflags] & tcp-rst != 0 or ether proto 0x88b5";

#[test]
fn a_thousand_connections_over_a_bad_network_are_just_that() {
    let lab = Node::new();
    ordinary::prepare(&lab);
    let scratch = Scratch::new();
    let flows = scratch.path("flows.jsonl");
    let tcpdumps = [Node::POD_PORT, Node::UPLINK]
        .map(|interface| (interface, Tcpdump::start(&lab.node, interface, &[RESETS])));
    let capture = Nodecap::capture(&lab.node, "any")
        .args(["-s", "128", "--flows"])
        .args([&flows])
        .args(["-w", "/dev/null"])
        .start();
    let peers = ordinary::happen(&lab);
    let finished = capture.stop();
    for (interface, tcpdump) in tcpdumps {
        replay::send(&lab.node, interface, &[end_marker()]);
        let dumped = tcpdump.finish();
        // Otherwise this shows nothing about the verdicts.
        assert_eq!(
            dumped.counts.captured, 1,
            "a reset at {interface}: {:?}",
            dumped.file
        );
    }
    ordinary::assert_was_bad(&lab);
    assert_eq!(finished.counts().dropped, 0, "{}", finished.stderr);

    let said = FlowsFile::read(&flows);
    assert!(said.resets.is_empty(), "{:#?}", said.resets);
    let tcp = || said.flows.iter().filter(|flow| flow.proto == "tcp");
    for flow in tcp() {
        assert!(flow.client.starts_with("10.88.0.2:"), "{flow:#?}");
        assert_eq!(flow.server, OUTSIDE_SERVER, "{flow:#?}");
        assert_eq!(flow.nat.len(), 1, "{flow:#?}");
        assert!(flow.resets.is_empty(), "{flow:#?}");
    }
    assert_eq!(tcp().count(), ordinary::CONNECTIONS);
    let peers: BTreeSet<String> = peers.iter().map(ToString::to_string).collect();
    for nat in said.nats.iter().filter(|nat| nat.proto == "tcp") {
        assert_eq!(nat.kind, "snat", "{nat:#?}");
        assert!(nat.before.src.starts_with("10.88.0.2:"), "{nat:#?}");
        assert!(peers.contains(&nat.after.src), "{nat:#?}");
        assert_eq!(nat.before.dst, OUTSIDE_SERVER, "{nat:#?}");
        assert_eq!(nat.after.dst, OUTSIDE_SERVER, "{nat:#?}");
    }
    assert!(
        said.nats.iter().all(|nat| nat.proto == "tcp"),
        "{:#?}",
        said.nats
    );
}
