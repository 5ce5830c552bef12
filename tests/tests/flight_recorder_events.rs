//! What the flight recorder waits for: each kind of event, as it really happens.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeSet;
use std::fs;

use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scenario::masqueraded;
use lab::scratch::Scratch;
use lab::sockets::{Connection, connect, listen};
use lab::topology::Node;
use lab::wait::wait_until;

/// Runs a capture on the node around what `happen` does. Which flows were written, by their clients'
/// ports, and what was said.
fn on(
    events: &str,
    prepare: impl FnOnce(&Node),
    happen: impl FnOnce(&Node),
) -> (BTreeSet<u16>, String) {
    let (lab, scratch) = (Node::new(), Scratch::new());
    prepare(&lab);
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&lab.node, "any")
        .args(["--on", events, "--proto", "tcp,udp,icmp"])
        .write(&file)
        .start();
    happen(&lab);
    let finished = capture.stop();
    let written = CaptureFile::read(&file);
    let ports = written.packets.iter().filter_map(|packet| {
        let ip = packet
            .data
            .get(14..)
            .filter(|_| packet.data[12..14] == [8, 0])?;
        let port = |at: usize| Some(u16::from_be_bytes(*ip.get(at..)?.first_chunk()?));
        let ports = [port(20)?, port(22)?];
        matches!(ip[9], 6 | 17).then_some(*ports.iter().max()?)
    });
    (ports.collect(), finished.stderr)
}

fn exchange(lab: &Node, port: u16) {
    let server = "192.0.2.9:443";
    let client = format!("10.88.0.2:{port}");
    Connection::open((&lab.pod, &client), server, (&lab.outside, server)).exchange();
}

#[test]
fn a_translation_is_an_event() {
    let (ports, said) = on("nat", masqueraded, |lab| {
        exchange(lab, 41_000);
        // The node's own connection isn't translated.
        let listener = listen(&lab.outside, "192.0.2.9:444", 1);
        drop(connect(&lab.node, "192.0.2.1:42000", "192.0.2.9:444"));
        drop(listener);
    });
    assert_eq!(ports, BTreeSet::from([41_000]), "{said}");
    assert!(said.contains("1 event: 1 nat"), "{said}");
}

#[test]
fn a_drop_and_the_retransmission_that_follows_it_are_events() {
    let refuse = |lab: &Node| {
        lab.node.nft(
            "table inet refuse { chain forward { type filter hook forward priority 0; \
             tcp dport 8080 drop\n}\n}",
        );
    };
    for (events, expected) in [("drop", "drop"), ("retransmit", "retransmit")] {
        let (ports, said) = on(events, refuse, |lab| {
            exchange(lab, 41_000);
            let socket = lab.pod.run(|| {
                use socket2::{Domain, Socket, Type};
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
                    .bind(&lab::sockets::address("10.88.0.2:42000").into())
                    .unwrap();
                let _ = socket.connect(&lab::sockets::address("192.0.2.9:8080").into());
                socket
            });
            // The SYN is sent again after a second.
            wait_until("a second SYN", || {
                let stat = lab
                    .pod
                    .run(|| fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
                let values: Vec<_> = stat
                    .lines()
                    .filter(|line| line.starts_with("Tcp:"))
                    .collect();
                let at = values[0]
                    .split(' ')
                    .position(|name| name == "RetransSegs")
                    .unwrap();
                values[1].split(' ').nth(at).unwrap() != "0"
            });
            drop(socket);
        });
        assert_eq!(ports, BTreeSet::from([42_000]), "{events}: {said}");
        assert!(said.contains(&format!(" {expected}\n")), "{said}");
    }
}

#[test]
fn an_icmp_error_is_an_event_of_the_flow_that_it_quotes() {
    let (ports, said) = on("icmp-error", masqueraded, |lab| {
        exchange(lab, 41_000);
        let socket = lab.pod.udp("10.88.0.2:43000");
        socket.connect("192.0.2.9:33434").unwrap();
        socket.send(b"anybody?").unwrap();
        wait_until("the refusal", || socket.recv(&mut [0]).is_err());
    });
    assert_eq!(ports, BTreeSet::from([43_000]), "{said}");
    assert!(said.contains("1 event: 1 icmp-error"), "{said}");
}
