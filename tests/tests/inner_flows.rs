//! With `--inner` flows, comments and verdicts are about the connection within a tunnel, and name the
//! tunnel: over a VXLAN between two nodes, one of them with a pod.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;

use lab::flows::{FlowsFile, Tunnel};
use lab::namespace::Namespace;
use lab::nodecap::{Capture, Nodecap};
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::sockets;
use lab::topology::Pair;

const POD: &str = "10.99.0.2";
const SERVER: &str = "10.42.0.2";

/// The pod is the left node's.
struct Overlay {
    nodes: Pair,
    pod: Namespace,
}

impl Overlay {
    fn new() -> Self {
        let nodes = Pair::new();
        let ends = [
            (&nodes.left, Pair::LEFT_V4, Pair::RIGHT_V4, "10.42.0.1"),
            (&nodes.right, Pair::RIGHT_V4, Pair::LEFT_V4, SERVER),
        ];
        for (node, local, remote, address) in ends {
            node.ip(&format!(
                "link add vxlan42 type vxlan id 42 dstport 4789 local {local} remote {remote} dev {}",
                Pair::LINK
            ));
            node.ip(&format!("addr add {address}/24 dev vxlan42"));
            node.ip("link set vxlan42 up");
        }
        nodes.right.ip("route add 10.99.0.0/24 via 10.42.0.1");
        let (node, pod) = (&nodes.left, Namespace::new());
        node.sysctl("net.ipv4.ip_forward", "1");
        node.ip(&format!(
            "link add veth-pod type veth peer name eth0 netns {}",
            pod.pid()
        ));
        node.ip("addr add 10.99.0.1/24 dev veth-pod");
        node.ip("link set veth-pod up");
        pod.ip(&format!("addr add {POD}/24 dev eth0"));
        pod.ip("link set eth0 up");
        pod.ip("route add default via 10.99.0.1");
        Self { nodes, pod }
    }

    fn capture(&self, scratch: &Scratch, options: &[&str]) -> Capture {
        Nodecap::capture(&self.nodes.left, Pair::LINK)
            .args(["-i", "vxlan42", "-i", "veth-pod", "--inner", "-q"])
            .args(options)
            .args(["--flows".as_ref(), scratch.path("flows").as_os_str()])
            .write(&scratch.path("file.pcapng"))
            .start()
    }

    /// The pod asks the other node something.
    fn talk(&self) {
        let listener = sockets::listen(&self.nodes.right, &format!("{SERVER}:80"), 8);
        let to = format!("{SERVER}:80");
        let mut client = sockets::connect(&self.pod, &format!("{POD}:40000"), &to).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for _ in 0..5 {
            sockets::say(&mut client, b"question");
            sockets::hear(&mut server, b"question");
            sockets::say(&mut server, b"answer");
            sockets::hear(&mut client, b"answer");
        }
        drop(client);
        sockets::hear_the_end(&mut server);
    }

    /// … where nobody listens.
    fn ask_in_vain(&self) {
        sockets::refused(&self.pod, &format!("{POD}:40001"), &format!("{SERVER}:81"));
    }
}

fn tunnel() -> Tunnel {
    Tunnel {
        kind: "vxlan".to_owned(),
        id: Some(42),
        src: Pair::LEFT_V4.to_owned(),
        dst: Pair::RIGHT_V4.to_owned(),
    }
}

#[test]
fn a_connection_is_one_flow_within_and_outside_of_its_tunnel() {
    let overlay = Overlay::new();
    let scratch = Scratch::new();
    let capture = overlay.capture(&scratch, &["--proto", "tcp"]);
    overlay.talk();
    capture.stop();
    let flows = FlowsFile::read(&scratch.path("flows"));
    let [flow] = &flows.flows[..] else {
        panic!("{flows:#?}")
    };
    assert_eq!(flow.proto, "tcp");
    assert_eq!(flow.client, format!("{POD}:40000"));
    assert_eq!(flow.server, format!("{SERVER}:80"));
    assert_eq!(flow.tunnel, Some(tunnel()));
    assert!(flow.handshake_us.is_some());
    assert_eq!(flow.retransmits.unwrap().to_server, 0);
    let stop = |interface: &str, direction: &str, client: bool| {
        let stop = flow.path.iter().find(|stop| {
            (stop.interface.as_str(), stop.direction.as_str()) == (interface, direction)
                && stop.tuple.src.starts_with(POD) == client
        });
        stop.unwrap_or_else(|| panic!("{interface} {direction}: {flow:#?}"))
    };
    // All of it passes the uplink, wrapped. Elsewhere nothing tells that it is about to be: so a
    // flow is known there once its first packet was seen in the tunnel.
    for (client, wrapped, packets) in [
        (true, ("link0", "out"), flow.packets.to_server),
        (false, ("link0", "in"), flow.packets.to_client),
    ] {
        let at = stop(wrapped.0, wrapped.1, client);
        assert_eq!(at.packets, packets);
        assert!(at.tunnel.is_some());
        let (inward, outward) = if client { ("in", "out") } else { ("out", "in") };
        let missed = u64::from(client);
        for (interface, direction) in [("veth-pod", inward), ("vxlan42", outward)] {
            let at = stop(interface, direction, client);
            assert_eq!(at.packets, packets - missed, "{at:?}");
            assert_eq!(at.tunnel, None);
        }
    }
    // Each sighting of a packet has its number.
    let file = CaptureFile::read(&scratch.path("file.pcapng"));
    let mut ids: Vec<_> = file.packets.iter().map(|packet| packet.packet_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let packets = flow.packets.to_server + flow.packets.to_client;
    assert_eq!(ids.len() as u64, packets);
}

#[test]
fn a_reset_within_a_tunnel_is_judged_and_its_comment_names_the_tunnel() {
    let overlay = Overlay::new();
    let scratch = Scratch::new();
    let capture = overlay.capture(&scratch, &["--proto", "tcp"]);
    overlay.ask_in_vain();
    capture.stop();
    let flows = FlowsFile::read(&scratch.path("flows"));
    let [reset] = &flows.resets[..] else {
        panic!("{flows:#?}")
    };
    assert_eq!(reset.cause, "closed-port");
    assert_eq!(reset.from, format!("{SERVER}:81"));
    let file = CaptureFile::read(&scratch.path("file.pcapng"));
    let comments = file.packets.iter().flat_map(|packet| &packet.comments);
    let comments: Vec<_> = comments
        .filter(|it| it.contains("[nodecap reset"))
        .collect();
    assert!(!comments.is_empty());
    let (from, to) = (Pair::RIGHT_V4, Pair::LEFT_V4);
    for comment in comments {
        assert!(
            comment.contains(&format!("within VXLAN 42 from {from} to {to} ")),
            "{comment}"
        );
        let keys = format!(" tunnel=vxlan tunnel_id=42 outer={from}>{to}]");
        assert!(comment.ends_with(&keys), "{comment}");
    }

    // The saved file says the same to who asks for what is within.
    let explain = |options: &[&str]| {
        let file = scratch.path("file.pcapng");
        let mut arguments = vec!["explain", file.to_str().unwrap_or_default(), "-n"];
        arguments.extend(options);
        let finished = Nodecap::new(&overlay.nodes.left, &arguments).run();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        finished.stdout_text()
    };
    let within = explain(&["--inner"]);
    assert!(within.contains("cause closed-port"), "{within}");
    assert!(
        within.contains(&format!("within VXLAN 42 from {from} to {to}")),
        "{within}"
    );
    let outside = explain(&[]);
    assert!(
        outside.contains("udp") && !outside.contains("VXLAN"),
        "{outside}"
    );
}

#[test]
fn without_other_options_everything_is_captured_and_flows_are_those_within() {
    let overlay = Overlay::new();
    let scratch = Scratch::new();
    let capture = overlay.capture(&scratch, &[]);
    overlay.talk();
    capture.stop();
    let flows = FlowsFile::read(&scratch.path("flows"));
    let tcp: Vec<_> = flows
        .flows
        .iter()
        .filter(|flow| flow.proto == "tcp")
        .collect();
    let [flow] = &tcp[..] else {
        panic!("{flows:#?}")
    };
    assert_eq!(flow.tunnel, Some(tunnel()));
    // From its first packet on, at all six places.
    assert_eq!(flow.path.len(), 6);
    for stop in &flow.path {
        let packets = if stop.tuple.src.starts_with(POD) {
            flow.packets.to_server
        } else {
            flow.packets.to_client
        };
        assert_eq!(stop.packets, packets, "{stop:?}");
    }
    assert!(
        !flows
            .flows
            .iter()
            .any(|flow| flow.proto == "udp" && flow.server.ends_with(":4789"))
    );
    let text = fs::read_to_string(scratch.path("flows")).unwrap_or_default();
    assert!(
        text.contains(r#""tunnel":{"kind":"vxlan","id":42,"#),
        "{text}"
    );
}

#[test]
fn an_error_about_the_tunnels_packet_counts_for_the_connection_within() {
    let overlay = Overlay::new();
    // There is no tunnel's end over there any more: so the node's stack answers the datagram.
    overlay.nodes.right.ip("link del vxlan42");
    overlay.nodes.left.ip(&format!(
        "neigh add {SERVER} lladdr 02:00:00:00:42:02 dev vxlan42 nud permanent"
    ));
    let scratch = Scratch::new();
    let capture = overlay.capture(&scratch, &["not arp and not ip6"]);
    let question = b"is anybody there?";
    overlay
        .pod
        .udp(&format!("{POD}:40002"))
        .send_to(question, format!("{SERVER}:53"))
        .unwrap();
    // The datagram at three places, and the error at one.
    capture.wait_until_captured(4);
    capture.stop();
    let flows = FlowsFile::read(&scratch.path("flows"));
    let flow = flows.flows.iter().find(|flow| flow.proto == "udp");
    let flow = flow.unwrap_or_else(|| panic!("{flows:#?}"));
    assert_eq!(flow.client, format!("{POD}:40002"));
    assert_eq!(flow.tunnel, Some(tunnel()));
    assert_eq!(flow.icmp_errors, Some(1), "{flow:#?}");
}
