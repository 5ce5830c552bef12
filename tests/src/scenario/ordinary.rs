//! A thousand connections that nothing is wrong with, over a network where packets get lost and
//! overtake each other.
//!
//! Each port of the pod's is used several times over. The server closes first and keeps each
//! connection in TIME-WAIT, where the next one of that port finds it.
//!
//! A segment that comes late to a client which is gone is rightly reset. So clients keep their
//! side open until nothing is on its way any more, and close then.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;

use super::OUTSIDE_SERVER;
use crate::namespace::Namespace;
use crate::sockets::{connect, hear, listen, say};
use crate::tool;
use crate::topology::Node;
use crate::wait::{wait_for, wait_until};

/// Clients at work at the same time.
const CLIENTS: u16 = 10;
/// The ports that each of them has.
const PORTS: u16 = 25;
/// How often each port is used.
const ROUNDS: u16 = 4;
const FIRST_PORT: u16 = 20_000;

/// How many connections there are.
pub const CONNECTIONS: usize = (CLIENTS * PORTS * ROUNDS) as usize;

const QUESTION: &[u8] = b"a question";
/// Enough for a dozen segments, so that there are some to be lost and overtaken.
const ANSWER_LEN: usize = 20_000;

/// Readies the network: one packet in a hundred gets lost at the node, and of what the outside
/// sends, every fourth full segment waits until the others have gone.
pub fn prepare(lab: &Node) {
    // Before conntrack sees it: as if it had been lost on the way to the node.
    lab.node.nft(
        "table inet loss {\n\
         chain in {\n\
         type filter hook prerouting priority -400;\n\
         meta l4proto tcp numgen random mod 100 == 0 drop\n\
         }\n\
         }",
    );
    // pfifo_fast has a fast, a middle and a slow band, and priority 2 (bulk) goes into the last.
    // They fill up only behind a bottleneck.
    let link = Node::OUTSIDE_LINK;
    let qdisc = |words: &str| {
        let mut tc = lab.outside.command("tc");
        tool::run(tc.args(words.split_whitespace()));
    };
    qdisc(&format!(
        "qdisc add dev {link} root handle 1: tbf rate 100mbit burst 16kb limit 4mb"
    ));
    qdisc(&format!(
        "qdisc add dev {link} parent 1:1 handle 2: pfifo_fast"
    ));
    let mut offloads = lab.outside.command("ethtool");
    tool::run(offloads.args(["-K", link, "tso", "off", "gso", "off"]));
    lab.outside.nft(
        "table inet overtake {\n\
         chain out {\n\
         type filter hook postrouting priority 0;\n\
         tcp sport 443 meta length > 1000 numgen random mod 4 == 0 meta priority set 2\n\
         }\n\
         }",
    );
}

/// Makes and ends them all, and returns the addresses under which the server saw them.
///
/// # Panics
///
/// When one fails.
#[track_caller]
pub fn happen(lab: &Node) -> BTreeSet<SocketAddr> {
    let listener = listen(&lab.outside, OUTSIDE_SERVER, i32::from(CLIENTS * PORTS));
    let peers = Mutex::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..CONNECTIONS {
                serve(scope, &listener, &peers);
            }
        });
        for _ in 0..ROUNDS {
            round(lab);
        }
    });
    peers.into_inner().unwrap_or_default()
}

/// Takes the next connection, answers it and closes it.
fn serve<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    listener: &TcpListener,
    peers: &Mutex<BTreeSet<SocketAddr>>,
) {
    let (mut stream, peer) = match listener.accept() {
        Ok(accepted) => accepted,
        Err(error) => panic!("accept: {error}"),
    };
    if let Ok(mut peers) = peers.lock() {
        peers.insert(peer);
    }
    scope.spawn(move || {
        hear(&mut stream, QUESTION);
        say(&mut stream, &[7; ANSWER_LEN]);
    });
}

/// Uses each port once.
#[track_caller]
fn round(lab: &Node) {
    let kept: Vec<TcpStream> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let first = FIRST_PORT + client * PORTS;
                    (first..first + PORTS)
                        .map(|port| converse(lab, port))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| match client.join() {
                Ok(streams) => streams,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    // Established, FIN-WAIT-1, CLOSING: those that may still send something again.
    wait_until("the server has had its last word", || {
        !any_in_state(&lab.outside, &["01", "04", "0B"]) && nothing_queued(&lab.outside)
    });
    drop(kept);
    // LAST-ACK.
    wait_until("the clients have had theirs", || {
        !any_in_state(&lab.pod, &["09"])
    });
}

/// One connection, to the end that the server makes.
#[track_caller]
fn converse(lab: &Node, port: u16) -> TcpStream {
    let from = format!("{}:{port}", Node::POD_V4);
    let mut stream = match connect(&lab.pod, &from, OUTSIDE_SERVER) {
        Ok(stream) => stream,
        Err(error) => panic!("{from}: {error}"),
    };
    say(&mut stream, QUESTION);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(ANSWER_LEN) => stream,
        other => panic!("{from} was to be answered: {other:?}"),
    }
}

/// Whether a connection of the namespace is in one of these states, which are numbers of the
/// kernel's include/net/tcp_states.h in hexadecimal.
#[track_caller]
fn any_in_state(namespace: &Namespace, states: &[&str]) -> bool {
    let table = wait_for("the table of sockets", || {
        namespace
            .run(|| fs::read_to_string("/proc/thread-self/net/tcp"))
            .ok()
    });
    table.lines().any(|line| {
        line.split_whitespace()
            .nth(3)
            .is_some_and(|state| states.contains(&state))
    })
}

/// Whether the bottleneck is free.
#[track_caller]
fn nothing_queued(outside: &Namespace) -> bool {
    let mut tc = outside.command("tc");
    let shown = tool::run(tc.args(["-s", "qdisc", "show", "dev", Node::OUTSIDE_LINK]));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    shown
        .lines()
        .filter_map(|line| line.trim().strip_prefix("backlog "))
        .all(|backlog| backlog.starts_with("0b "))
}

/// Shows by the kernels' own counters that the network was as bad as it was meant to be.
///
/// # Panics
///
/// When it was better.
#[track_caller]
pub fn assert_was_bad(lab: &Node) {
    let again = counter(&lab.outside, "RetransSegs");
    let disordered = counter(&lab.pod, "TCPOFOQueue");
    assert!(
        again > 10 && disordered > 10,
        "{again} segments sent again, {disordered} out of order"
    );
}

/// A counter of the namespace's TCP, from `/proc/net/snmp` or `/proc/net/netstat`.
#[track_caller]
fn counter(namespace: &Namespace, name: &str) -> u64 {
    let tables = namespace.run(|| {
        ["snmp", "netstat"]
            .map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")))
            .into_iter()
            .flatten()
            .collect::<String>()
    });
    let lines: Vec<&str> = tables.lines().collect();
    let value = lines.chunks(2).find_map(|pair| {
        let place = pair[0].split(' ').position(|column| column == name)?;
        pair.get(1)?.split(' ').nth(place)?.parse().ok()
    });
    match value {
        Some(value) => value,
        None => panic!("no counter {name}"),
    }
}
