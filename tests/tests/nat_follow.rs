//! A capture that names a pod's address holds its packets beyond the translation too, the replies
//! among them, and nobody else's.

use lab::compare::assert_same;
use lab::frames::end_marker;
use lab::frames::transport::{ACK, SYN};
use lab::nodecap::{Capture, Nodecap};
use lab::read::{CaptureFile, Captured};
use lab::replay;
use lab::scenario::{OUTSIDE_SERVER, outside_with_published, pod_with_outside, published};
use lab::scratch::Scratch;
use lab::segment::Segment;
use lab::sockets::Connection;
use lab::tcpdump::{Dumped, Tcpdump};
use lab::topology::Node;

/// A capture of the pod's address at both its ends of the node, and tcpdump beside it.
struct Watch<'a> {
    lab: &'a Node,
    scratch: Scratch,
    capture: Capture,
    tcpdumps: [Tcpdump; 2],
}

const WATCHED: [&str; 2] = [Node::POD_PORT, Node::UPLINK];

impl<'a> Watch<'a> {
    #[track_caller]
    fn start(lab: &'a Node, arguments: &[&str]) -> Self {
        Self::of(lab, &[&["--host", Node::POD_V4], arguments].concat())
    }

    /// The same with a filter of its own.
    #[track_caller]
    fn of(lab: &'a Node, arguments: &[&str]) -> Self {
        let scratch = Scratch::new();
        let tcpdumps = WATCHED.map(|interface| Tcpdump::start(&lab.node, interface, &[]));
        let capture = Nodecap::capture(&lab.node, Node::POD_PORT)
            .args(["-i", Node::UPLINK])
            .args(arguments)
            .write(&scratch.path("followed.pcapng"))
            .start();
        Self {
            lab,
            scratch,
            capture,
            tcpdumps,
        }
    }

    /// What the capture holds, and what tcpdump saw at the pod's port and at the uplink.
    #[track_caller]
    fn finish(self) -> (CaptureFile, [Dumped; 2]) {
        let finished = self.capture.stop();
        assert_eq!(finished.counts().dropped, 0, "{}", finished.stderr);
        for interface in WATCHED {
            replay::send(&self.lab.node, interface, &[end_marker()]);
        }
        let dumped = self.tcpdumps.map(Tcpdump::finish);
        (
            CaptureFile::read(&self.scratch.path("followed.pcapng")),
            dumped,
        )
    }
}

/// The node's own talk with the same server, which looks the same on the uplink but for its port.
#[track_caller]
fn noise(lab: &Node, port: u16) -> Connection {
    let from = format!("{}:{port}", Node::NODE_V4);
    let mut connection = Connection::open(
        (&lab.node, &from),
        OUTSIDE_SERVER,
        (&lab.outside, OUTSIDE_SERVER),
    );
    connection.exchange();
    connection
}

/// Two captures may see what goes in and what goes out at the same time in either order.
fn sorted(mut packets: Vec<Captured>) -> Vec<Captured> {
    packets.sort_by(|one, other| one.data.cmp(&other.data));
    packets
}

/// What the uplink sees of the pod's connection that uses these ports of the outside's and the
/// node's.
const POD_AT_UPLINK: &str = "tcp port 40000";

#[test]
fn beyond_the_masquerade_the_pods_packets_and_their_replies_are_there_and_nothing_else() {
    let lab = Node::new();
    let before = noise(&lab, 41_000);
    let watch = Watch::start(&lab, &[]);
    let during = noise(&lab, 41_001);
    let connection = pod_with_outside(&lab);
    let after = noise(&lab, 41_002);
    let (file, [pod_port, uplink]) = watch.finish();
    drop((before, during, after, connection));
    assert_same(
        &sorted(file.packets_of(Node::POD_PORT)),
        &sorted(pod_port.matching(&format!("host {}", Node::POD_V4)).packets),
    );
    let beyond = uplink.matching(POD_AT_UPLINK).packets;
    assert!(beyond.len() >= 5, "{} packets", beyond.len());
    assert_same(&sorted(file.packets_of(Node::UPLINK)), &sorted(beyond));
}

#[test]
fn an_expression_about_one_end_is_met_by_what_tcpdump_says_and_its_packets_are_followed() {
    let pod = Node::POD_V4;
    for (expression, beyond) in [
        (format!("src host {pod}"), "src"),
        (format!("dst host {pod}"), "dst"),
        (format!("host {pod} and not dst port 40000"), "src"),
    ] {
        let lab = Node::new();
        let watch = Watch::of(&lab, &[&expression]);
        let connection = pod_with_outside(&lab);
        let (file, [pod_port, uplink]) = watch.finish();
        drop(connection);
        assert_same(
            &sorted(file.packets_of(Node::POD_PORT)),
            &sorted(pod_port.matching(&expression).packets),
        );
        // What comes in from beyond matches only once it is translated.
        let beyond = match beyond {
            "src" => uplink.matching("tcp src port 40000").packets,
            _ => Vec::new(),
        };
        assert_same(&sorted(file.packets_of(Node::UPLINK)), &sorted(beyond));
    }
}

#[test]
fn without_following_only_what_names_the_pod_is_there() {
    let lab = Node::new();
    let watch = Watch::start(&lab, &["--no-follow"]);
    let connection = pod_with_outside(&lab);
    let (file, [pod_port, uplink]) = watch.finish();
    drop(connection);
    assert_same(
        &sorted(file.packets_of(Node::POD_PORT)),
        &sorted(pod_port.matching(&format!("host {}", Node::POD_V4)).packets),
    );
    assert!(!uplink.matching(POD_AT_UPLINK).packets.is_empty());
    assert!(file.packets_of(Node::UPLINK).is_empty());
}

#[test]
fn a_connection_to_a_published_port_is_followed_back_to_where_it_came_in() {
    let lab = Node::new();
    published(&lab);
    let watch = Watch::start(&lab, &[]);
    let connection = outside_with_published(&lab);
    let (file, [_, uplink]) = watch.finish();
    drop(connection);
    // When the first packet comes in nobody can know yet whom it is for.
    let first_in = |packet: &Captured| {
        Segment::of(&packet.data).is_some_and(|segment| segment.flags & (SYN | ACK) == SYN)
    };
    let mut passed = uplink.matching("tcp port 8080").packets;
    let all = passed.len();
    passed.retain(|packet| !first_in(packet));
    assert_eq!(passed.len(), all - 1);
    let mut ours = file.packets_of(Node::UPLINK);
    ours.retain(|packet| !first_in(packet));
    assert_same(&sorted(ours), &sorted(passed));
}

#[test]
fn one_packet_has_one_id_on_both_sides_of_the_translation() {
    let lab = Node::new();
    let watch = Watch::start(&lab, &[]);
    let connection = pod_with_outside(&lab);
    let (file, _) = watch.finish();
    drop(connection);
    let ids = |interface| {
        let mut ids: Vec<_> = file
            .packets_of(interface)
            .into_iter()
            .filter(|packet| Segment::of(&packet.data).is_some())
            .map(|packet| packet.packet_id.expect("epb_packetid"))
            .collect();
        ids.sort_unstable();
        ids
    };
    let (inside, beyond) = (ids(Node::POD_PORT), ids(Node::UPLINK));
    assert!(
        inside.windows(2).all(|pair| pair[0] != pair[1]),
        "{inside:?}"
    );
    assert_eq!(inside, beyond);
}

#[test]
fn a_published_connection_older_than_the_capture_is_followed_from_its_first_packet_on() {
    let lab = Node::new();
    published(&lab);
    let mut connection = outside_with_published(&lab);
    let watch = Watch::start(&lab, &[]);
    connection.exchange();
    let (file, [pod_port, uplink]) = watch.finish();
    drop(connection);
    let passed = uplink.matching("tcp port 8080").packets;
    assert!(passed.len() >= 2, "{} packets", passed.len());
    assert_same(&sorted(file.packets_of(Node::UPLINK)), &sorted(passed));
    assert_same(
        &sorted(file.packets_of(Node::POD_PORT)),
        &sorted(pod_port.matching(&format!("host {}", Node::POD_V4)).packets),
    );
}
