//! What the kernel tells besides packets: resets with their reason, and drops.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/watcher.rs"]
mod watcher;

use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::linux::fs::MetadataExt as _;
use std::time::Duration;

use capture_user::filter::Filter;
use capture_user::flow::evidence::{Fact, KernelReset};
use lab::namespace::Namespace;
use lab::need;
use lab::topology::{Node, Pair};
use socket2::{Domain, Socket, Type};
use watcher::{Watcher, setup};

fn inode(namespace: &Namespace) -> u32 {
    let inode = fs::metadata(namespace.path()).unwrap().st_ino();
    u32::try_from(inode).unwrap()
}

/// The reset that a socket of `namespace` sent with this tuple's source. Other tests run at the
/// same time, with the same addresses, and the tracepoints tell of all.
fn sent(watcher: &mut Watcher, namespace: &Namespace, from: SocketAddr) -> KernelReset {
    let netns = inode(namespace);
    watcher.wait_for_fact("a reset sent", |fact| match fact {
        Fact::ResetSent(reset) if reset.tuple.source == from.into() && reset.netns == netns => {
            Some(*reset)
        }
        _ => None,
    })
}

/// The same reset, received by a socket of `namespace`.
fn received(watcher: &mut Watcher, namespace: &Namespace, sent: &KernelReset) -> KernelReset {
    let netns = inode(namespace);
    watcher.wait_for_fact("a reset received", |fact| match fact {
        Fact::ResetReceived(reset) if reset.tuple == sent.tuple && reset.netns == netns => {
            Some(*reset)
        }
        _ => None,
    })
}

/// A connection from the left host to the right one: its two ends.
fn connect(pair: &Pair, to: SocketAddr) -> (TcpStream, TcpStream) {
    let listener = pair.right.run(|| TcpListener::bind(to)).unwrap();
    let client = pair.left.run(|| TcpStream::connect(to)).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

/// Closes so that the peer gets a reset.
fn abort(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

fn watch(pair: &Pair) -> Watcher {
    let watcher = Watcher::start(&setup(&Filter::default()), &pair.left, &[Pair::LINK]);
    assert!(watcher.told.resets_sent && watcher.told.resets_received);
    watcher
}

#[test]
fn a_port_that_nobody_listens_on_answers_with_a_reset_that_is_told_with_its_reason() {
    // Older kernels don't call the tracepoint where there is no socket.
    need!("reset-reasons", "drop-reasons");
    let pair = Pair::new();
    let mut watcher = watch(&pair);
    for address in [Pair::RIGHT_V4, Pair::RIGHT_V6] {
        let to = SocketAddr::new(address.parse().unwrap(), 4_711);
        let refused = pair.left.run(|| TcpStream::connect(to));
        assert_eq!(
            refused.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
        let reset = sent(&mut watcher, &pair.right, to);
        assert_eq!(reset.tuple.protocol, 6);
        if watcher.told.reasons {
            assert_eq!(reset.reason, Some("NO_SOCKET"));
        }
        received(&mut watcher, &pair.left, &reset);
        // The segment that nobody wanted was dropped, for the same reason.
        let identity = watcher.wait_for_fact("the drop", |fact| match fact {
            Fact::Dropped(drop) if drop.reason == Some("NO_SOCKET") => Some(drop.identity),
            _ => None,
        });
        watcher.wait_for("the segment itself", |seen| {
            seen.identity == identity && seen.protocol == 6
        });
    }
}

#[test]
fn a_connection_closed_without_lingering_is_told_with_both_ends() {
    let pair = Pair::new();
    let mut watcher = watch(&pair);
    let mapped: IpAddr = "::ffff:198.51.100.2".parse().unwrap();
    for address in [
        Pair::RIGHT_V4.parse().unwrap(),
        Pair::RIGHT_V6.parse().unwrap(),
        mapped,
    ] {
        let to = SocketAddr::new(address, 4_712);
        let (client, mut server) = connect(&pair, to);
        let here = client.local_addr().unwrap();
        abort(client);
        assert!(server.read(&mut [0]).is_err());
        let reset = sent(&mut watcher, &pair.left, here);
        assert_eq!(reset.tuple.destination, to.into());
        if watcher.told.reasons {
            let reason = reset.reason.unwrap();
            assert!(
                [
                    "TCP_STATE",
                    "TCP_ABORT_ON_LINGER",
                    "TCP_DISCONNECT_WITH_DATA"
                ]
                .contains(&reason),
                "{reason}"
            );
        }
        let got = received(&mut watcher, &pair.right, &reset);
        assert_eq!(got.reason, None);
    }
}

#[test]
fn a_connection_closed_with_data_unread_is_told_as_that() {
    let pair = Pair::new();
    let mut watcher = watch(&pair);
    let to = SocketAddr::new(Pair::RIGHT_V4.parse().unwrap(), 4_713);
    let (mut client, server) = connect(&pair, to);
    std::io::Write::write_all(&mut client, b"unread").unwrap();
    lab::wait::wait_until("the data", || {
        server.peek(&mut [0; 6]).is_ok_and(|n| n == 6)
    });
    drop(server);
    let reset = sent(&mut watcher, &pair.right, to);
    if watcher.told.reasons {
        assert_eq!(reset.reason, Some("TCP_ABORT_ON_CLOSE"));
    }
    drop(client.shutdown(Shutdown::Both));
}

#[test]
fn a_segment_that_a_firewall_drops_is_told_by_its_identity_and_a_datagram_is_not() {
    need!("drop-reasons");
    let net = Node::new();
    net.node.nft(
        "table inet wall {\nchain pass {\ntype filter hook forward priority 0;\n\
         meta l4proto { tcp, udp } th dport 9 drop\n}\n}",
    );
    let filter = Filter {
        hosts: vec![Node::POD_V4.parse::<IpAddr>().unwrap().into()],
        ..Filter::default()
    };
    let mut watcher = Watcher::start(&setup(&filter), &net.node, &[Node::POD_PORT]);
    let datagrams = net.pod.udp("10.88.0.2:0");
    datagrams.send_to(b"in vain", "192.0.2.9:9").unwrap();
    watcher.wait_for("the datagram", |seen| seen.protocol == 17);
    let segments = net.pod.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let to: SocketAddr = "192.0.2.9:9".parse().unwrap();
        assert!(socket.connect(&to.into()).is_err(), "it can't be open yet");
        socket
    });
    let seen = watcher.wait_for("the segment", |seen| seen.protocol == 6);
    let identity = watcher.wait_for_fact("the drop", |fact| match fact {
        Fact::Dropped(drop) if drop.reason == Some("NETFILTER_DROP") => Some(drop.identity),
        _ => None,
    });
    assert_eq!(identity, seen.identity);
    // The datagram was dropped before the segment, and nobody will ever ask why. The segment may
    // have been sent again meanwhile.
    let dropped =
        |fact| matches!(fact, Fact::Dropped(drop) if drop.reason == Some("NETFILTER_DROP"));
    let facts = watcher.facts().iter();
    let told = facts.filter(|evidence| dropped(evidence.fact)).count();
    let sent = watcher.seen().iter().filter(|seen| seen.protocol == 6);
    assert!(told <= sent.count());
    drop(segments);
}

#[test]
fn drops_of_what_was_not_captured_are_not_told() {
    // The reset of no socket is what tells when the drop would have been told.
    need!("reset-reasons", "drop-reasons");
    let pair = Pair::new();
    let filter = Filter {
        hosts: vec!["203.0.113.99".parse::<IpAddr>().unwrap().into()],
        ..Filter::default()
    };
    let mut watcher = Watcher::start(&setup(&filter), &pair.left, &[Pair::LINK]);
    let to = SocketAddr::new(Pair::RIGHT_V4.parse().unwrap(), 4_714);
    assert!(pair.left.run(|| TcpStream::connect(to)).is_err());
    sent(&mut watcher, &pair.right, to);
    let dropped = watcher
        .facts()
        .iter()
        .any(|evidence| matches!(evidence.fact, Fact::Dropped(_)));
    assert!(!dropped);
}
