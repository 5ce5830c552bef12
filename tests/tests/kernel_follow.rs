//! A packet that matches on one link is captured on the others too, whatever it is translated to
//! on the way, and so are its replies; and nothing else is.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/watcher.rs"]
mod watcher;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use capture_user::filter::Filter;
use capture_user::flow::evidence::Fact;
use capture_user::kernel::{Kernel, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::frames::{Flow, corpus};
use lab::namespace::Namespace;
use lab::topology::Node;
use watcher::{Seen, Watcher, setup};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn host(address: &str) -> Filter {
    Filter {
        hosts: vec![ip(address).into()],
        ..Filter::default()
    }
}

fn source(address: &str) -> Filter {
    Filter {
        sources: vec![ip(address).into()],
        ..Filter::default()
    }
}

/// A host that answers each connection with what it is sent, once.
fn echo_server(host: &Namespace, address: SocketAddr) -> std::thread::JoinHandle<()> {
    let listener = host.run(|| TcpListener::bind(address)).unwrap();
    std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }
    })
}

/// Connects, says something, and hears it back.
fn talk(from: &Namespace, to: SocketAddr) {
    let mut stream = from.run(|| TcpStream::connect(to)).unwrap();
    stream.write_all(b"ping").unwrap();
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ping");
}

/// A pod talks to the outside, and so does the node itself; what a watcher saw of it on the pod's
/// port and on the uplink until the pod's connection was answered there.
fn watch(setup: &Setup, outside: &str) -> Vec<Seen> {
    let net = Node::new();
    let mut watcher = Watcher::start(setup, &net.node, &[Node::POD_PORT, Node::UPLINK]);
    let server = SocketAddr::new(ip(outside), 7_777);
    let serving = echo_server(&net.outside, server);
    talk(&net.pod, server);
    talk(&net.node, server);
    serving.join().unwrap();
    watcher.wait_for("the answer on the pod's port", |seen| {
        seen.link == Node::POD_PORT && seen.source == ip(outside) && seen.protocol == TCP
    });
    watcher.seen().to_vec()
}

fn on<'a>(seen: &'a [Seen], link: &'a str, direction: Direction) -> impl Iterator<Item = &'a Seen> {
    seen.iter()
        .filter(move |seen| seen.link == link && seen.direction == direction)
}

#[test]
fn beyond_masquerading_the_pods_packets_and_their_answers_are_captured() {
    for (pod, node, outside) in [
        (Node::POD_V4, Node::NODE_V4, Node::OUTSIDE_V4),
        (Node::POD_V6, Node::NODE_V6, Node::OUTSIDE_V6),
    ] {
        let seen = watch(&setup(&host(pod)), outside);
        let left: Vec<_> = on(&seen, Node::UPLINK, Direction::Out).collect();
        let came: Vec<_> = on(&seen, Node::UPLINK, Direction::In).collect();
        assert!(left.len() >= 3 && came.len() >= 2, "{seen:#?}");
        for packet in &left {
            assert!(packet.followed, "{packet:?}");
            assert_eq!((packet.source, packet.destination), (ip(node), ip(outside)));
            assert!(
                on(&seen, Node::POD_PORT, Direction::In)
                    .any(|before| before.identity == packet.identity && !before.followed),
                "{packet:?} in {seen:#?}"
            );
        }
        for packet in &came {
            assert!(packet.followed, "{packet:?}");
            assert_eq!((packet.source, packet.destination), (ip(outside), ip(node)));
        }
        let on_port = on(&seen, Node::POD_PORT, Direction::In).count();
        assert!(left.len() <= on_port, "{seen:#?}");
        // The node's own connection, as long as the pod's, is not among them.
        assert!(came.len() <= on(&seen, Node::POD_PORT, Direction::Out).count());
    }
}

#[test]
fn without_following_only_what_matches_by_itself_is_captured() {
    let plain = Setup {
        follow: false,
        ..setup(&host(Node::POD_V4))
    };
    let seen = watch(&plain, Node::OUTSIDE_V4);
    assert!(seen.iter().all(|packet| packet.link == Node::POD_PORT));
    assert!(seen.iter().all(|packet| !packet.followed));
    assert!(seen.iter().all(|packet| packet.identity != 0));
}

#[test]
fn without_identity_the_records_carry_none_and_packets_are_followed_all_the_same() {
    let plain = Setup {
        identity: false,
        ..setup(&host(Node::POD_V4))
    };
    let seen = watch(&plain, Node::OUTSIDE_V4);
    assert!(seen.iter().all(|packet| packet.identity == 0));
    assert!(on(&seen, Node::UPLINK, Direction::Out).count() >= 3);
}

#[test]
fn a_filter_on_the_sender_alone_gets_the_answers_too() {
    let seen = watch(&setup(&source(Node::POD_V4)), Node::OUTSIDE_V4);
    let answers: Vec<_> = on(&seen, Node::POD_PORT, Direction::Out).collect();
    assert!(answers.len() >= 2);
    assert!(answers.iter().all(|packet| packet.followed));
    assert!(on(&seen, Node::UPLINK, Direction::In).count() >= 2);
}

#[test]
fn datagrams_and_echoes_are_followed_like_connections() {
    let net = Node::new();
    let mut watcher = Watcher::start(
        &setup(&host(Node::POD_V4)),
        &net.node,
        &[Node::POD_PORT, Node::UPLINK],
    );
    let server = net.outside.udp("192.0.2.9:5353");
    let client = net.pod.udp("10.88.0.2:0");
    let mut bytes = [0; 16];
    // A slow machine may take longer over a flow's first packet, for which all of the translation
    // is set up, than a packet is known by its identity.
    for _ in 0..3 {
        client.send_to(b"question", "192.0.2.9:5353").unwrap();
        let (len, from) = server.recv_from(&mut bytes).unwrap();
        server.send_to(&bytes[..len], from).unwrap();
        client.recv_from(&mut bytes).unwrap();
    }
    lab::tool::run(
        net.pod
            .command("ping")
            .args(["-c", "3", "-i", "0.2", Node::OUTSIDE_V4]),
    );
    for protocol in [UDP, 1] {
        for direction in [Direction::Out, Direction::In] {
            let seen = watcher.wait_for("it on the uplink", |seen| {
                seen.link == Node::UPLINK
                    && seen.direction == direction
                    && seen.protocol == protocol
            });
            assert!(seen.followed);
        }
    }
}

#[test]
fn a_published_ports_packets_are_captured_from_the_first_answer_on_and_conntrack_tells_both_tuples()
{
    let net = Node::new();
    net.node.nft(
        "table ip publish {\nchain in {\ntype nat hook prerouting priority dstnat;\n\
         tcp dport 8080 dnat to 10.88.0.2:80\n}\n}",
    );
    net.outside.ip("route add 10.88.0.0/24 via 192.0.2.1");
    let mut watcher = Watcher::start(
        &setup(&host(Node::POD_V4)),
        &net.node,
        &[Node::POD_PORT, Node::UPLINK],
    );
    assert!(watcher.told.conntrack);
    let serving = echo_server(&net.pod, "10.88.0.2:80".parse().unwrap());
    let public = "192.0.2.1:8080".parse().unwrap();
    talk(&net.outside, public);
    talk(&net.outside, public);
    serving.join().unwrap();
    let mapping = watcher.wait_for_fact("conntrack's entry", |fact| match fact {
        Fact::Conntrack(mapping) => Some(*mapping),
        _ => None,
    });
    assert_eq!(mapping.original.source.address, ip(Node::OUTSIDE_V4));
    assert_eq!(mapping.original.destination.to_string(), "192.0.2.1:8080");
    assert_eq!(mapping.reply.source.to_string(), "10.88.0.2:80");
    assert_eq!(mapping.reply.destination, mapping.original.source);
    // The answer leaves with the public address, and what comes then is known by it.
    for direction in [Direction::Out, Direction::In] {
        watcher.wait_for("the public side", |seen| {
            seen.link == Node::UPLINK && seen.direction == direction && seen.followed
        });
    }
    let told = watcher
        .facts()
        .iter()
        .filter(|evidence| matches!(evidence.fact, Fact::Conntrack(_)))
        .count();
    assert_eq!(told, 2, "once for each connection");
    assert_eq!(watcher.kernel.events_lost().unwrap(), 0);
}

/// Whether a packet was recorded by a run of the program.
fn is_recorded(kernel: &mut Kernel, direction: Direction, frame: &[u8]) -> bool {
    let before = kernel.counters(0).unwrap().recorded;
    let run = kernel.test_run(direction, Framing::Ethernet, frame, 1);
    assert_eq!(run.unwrap().verdict, -1);
    kernel.counters(0).unwrap().recorded > before
}

#[test]
fn a_port_that_somebody_else_takes_over_is_not_followed_any_more() {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let flow = Flow::new("198.51.100.1:443", "203.0.113.9:4430");
    let ours = flow.tcp(ACK, b"");
    let answer = flow.back().tcp(ACK, b"");
    let opening = flow.back().tcp(SYN, b"");
    let mut kernel = Kernel::load(&setup(&source("198.51.100.1"))).unwrap();
    assert!(!is_recorded(&mut kernel, Direction::In, &answer));
    assert!(is_recorded(&mut kernel, Direction::In, &ours));
    assert!(is_recorded(&mut kernel, Direction::In, &answer));
    // From outside it may be the flow's next connection, to a published port.
    assert!(is_recorded(&mut kernel, Direction::In, &opening));
    assert!(is_recorded(&mut kernel, Direction::In, &answer));
    // What opens a connection on its way out, and was never seen before, is somebody else's.
    let elsewhere = flow.back().tcp(SYN, b"elsewhere");
    assert!(!is_recorded(&mut kernel, Direction::Out, &elsewhere));
    let theirs = flow.back().tcp(ACK, b"theirs");
    assert!(!is_recorded(&mut kernel, Direction::Out, &theirs));
}

#[test]
fn an_error_about_a_followed_flow_is_followed_and_one_about_another_is_not() {
    let flow = Flow::new("198.51.100.1:443", "203.0.113.9:4430");
    let mut kernel = Kernel::load(&setup(&source("198.51.100.1"))).unwrap();
    assert!(is_recorded(&mut kernel, Direction::In, &flow.tcp(16, b"")));
    let unreachable = |about: Flow, payload: &[u8]| {
        let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0];
        error.extend(&about.tcp(16, payload)[14..]);
        Flow::new("192.0.2.50:0", "203.0.113.9:0").around(1, &error)
    };
    let ours = unreachable(flow.back(), b"");
    assert!(is_recorded(&mut kernel, Direction::In, &ours));
    let another = Flow::new("203.0.113.9:4431", "198.51.100.1:443");
    let other = unreachable(another, b"of another length");
    assert!(!is_recorded(&mut kernel, Direction::In, &other));
}

#[test]
fn headers_that_end_too_early_are_not_followed_and_stop_nothing() {
    let mut kernel = Kernel::load(&setup(&source("198.51.100.1"))).unwrap();
    let flows = [
        Flow::new("198.51.100.1:443", "203.0.113.9:4430"),
        Flow::new("203.0.113.9:4430", "198.51.100.1:443"),
        Flow::new("[2001:db8::1]:443", "[2001:db8::2]:4430"),
    ];
    for flow in flows {
        for frame in [
            flow.tcp(2, b"payload"),
            flow.udp(b"payload that is longer than the sample"),
            flow.sctp(b"payload"),
            flow.echo(b"payload"),
        ] {
            for len in 14..=frame.len() {
                for direction in [Direction::In, Direction::Out] {
                    // Some the kernel itself refuses to run on.
                    if let Ok(run) = kernel.test_run(direction, Framing::Ethernet, &frame[..len], 1)
                    {
                        assert_eq!(run.verdict, -1);
                    }
                }
            }
        }
    }
    for (_, frame) in corpus::malformed() {
        for direction in [Direction::In, Direction::Out] {
            if let Ok(run) = kernel.test_run(direction, Framing::Ethernet, &frame, 1) {
                assert_eq!(run.verdict, -1);
            }
        }
    }
}
