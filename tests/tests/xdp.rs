//! Capturing by XDP: what comes in as tcpdump sees it, in the driver and in the stack, in frames
//! of one buffer and of many; and what XDP can't do is said.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use attached::{attached, wait_until_nothing_is_attached};
use lab::Signal;
use lab::ability::is_guest;
use lab::compare::{Truncated, assert_same};
use lab::frames::{self, Flow, Frame, corpus};
use lab::namespace::Namespace;
use lab::nodecap::{Capture, Nodecap};
use lab::read::{CaptureFile, Captured};
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::Wire;
use lab::{replay, tools};

const XDP: [&str; 2] = ["--hook", "xdp"];

fn by_xdp<'a>(namespace: &'a Namespace, interface: &str) -> Nodecap<'a> {
    Nodecap::capture(namespace, interface).args(XDP)
}

/// Where the driver runs it: said at the start, so said by now.
#[track_caller]
fn mode(capture: &Capture, interface: &str) -> String {
    let said = capture.process().stderr();
    let start = format!("nodecap: {interface}: ");
    let mode = said.lines().find_map(|line| line.strip_prefix(&start));
    match mode {
        Some(mode) => mode.to_owned(),
        None => panic!("no mode of {interface} in:\n{said}"),
    }
}

#[test]
fn native_xdp_sees_frames_of_every_kind_as_tcpdump_does() {
    let comes_in = corpus::everything().into_iter().filter(corpus::comes_in);
    let sent = frames::then_end_marker(comes_in.collect());
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("xdp.pcapng");
    let capture = by_xdp(&wire.namespace, Wire::CATCHER).write(&file).start();
    assert_eq!(mode(&capture, Wire::CATCHER), "native XDP");
    let tcpdump = Tcpdump::start(&wire.namespace, Wire::CATCHER, &[]);
    wire.send(&sent);
    let theirs = tcpdump.finish();
    capture.wait_until_captured(theirs.counts.captured);
    let counts = capture.stop().counts();
    assert_eq!(
        (counts.captured, counts.received, counts.dropped),
        (theirs.counts.captured, theirs.counts.captured, 0)
    );
    assert_same(&CaptureFile::read(&file).packets, &theirs.file.packets);
    tools::assert_readable(&file);
    wait_until_nothing_is_attached(&wire.namespace);
}

#[test]
fn a_filter_matches_alike_by_xdp_and_by_tc() {
    let comes_in = corpus::everything().into_iter().filter(corpus::comes_in);
    let sent = frames::then_end_marker(comes_in.collect());
    let filters = [
        &["--port", "443"][..],
        // An expression finds a tag where it is: under XDP in the frame.
        &["ip6 and not vlan and greater 80", "--host", "2001:db8:1::1"],
        &["tcp port 443 and tcp[tcpflags] & tcp-syn != 0 and not vlan"],
        &["--proto", "udp,arp"],
        &["--src", "198.51.100.0/24,2001:db8::/32", "--proto", "tcp"],
    ];
    // An emulated machine takes ten seconds over each.
    let few = if is_guest() { 2 } else { filters.len() };
    for filter in &filters[..few] {
        let wire = Wire::new();
        let scratch = Scratch::new();
        let files = ["xdp", "tc"].map(|hook| (hook, scratch.path(&format!("{hook}.pcapng"))));
        let captures = files.each_ref().map(|(hook, file)| {
            Nodecap::capture(&wire.namespace, Wire::CATCHER)
                .args(["--hook", hook, "-Q", "in", "--no-follow"])
                .args(*filter)
                .write(file)
                .start()
        });
        // Once it has seen the last frame, everything has come in.
        let tcpdump = Tcpdump::start(&wire.namespace, Wire::CATCHER, &[]);
        wire.send(&sent);
        drop(tcpdump.finish());
        for capture in captures {
            assert!(capture.stop().counts().captured > 0, "{filter:?}");
        }
        let [xdp, tc] = files.map(|(_, file)| CaptureFile::read(&file).packets);
        assert_same(&xdp, &tc);
    }
}

#[test]
fn frames_larger_than_a_page_are_captured_whole() {
    let wire = Wire::with_mtu(9_000);
    let payload: Vec<u8> = (0..8_900_u32).map(|at| at as u8).collect();
    let flow = Flow::new("198.51.100.1:7", "198.51.100.2:8");
    let sent: Vec<Frame> = [1, 1_400, 4_000, 8_900]
        .iter()
        .map(|length| flow.udp(&payload[..*length]))
        .collect();
    let scratch = Scratch::new();
    for arguments in [&["--port", "8"][..], &["-s", "6000"]] {
        let file = scratch.path(&format!("{}.pcapng", arguments[0]));
        let capture = by_xdp(&wire.namespace, Wire::CATCHER)
            .args(arguments)
            .write(&file)
            .start();
        wire.send(&sent);
        capture.wait_until_captured(sent.len() as u64);
        assert_eq!(capture.stop().counts().dropped, 0);
        let written = CaptureFile::read(&file).packets;
        if arguments[0] == "-s" {
            let cut: Vec<_> = sent
                .iter()
                .map(|frame| Truncated {
                    frame,
                    snap_len: 6_000,
                })
                .collect();
            assert_same(&written, &cut);
        } else {
            assert_same(&written, &sent);
        }
    }
}

/// A device whose driver has no XDP: the stack does it, on super-frames too.
#[test]
fn generic_xdp_sees_a_connection_as_tcpdump_does_and_is_called_so() {
    let host = Namespace::new();
    let scratch = Scratch::new();
    let file = scratch.path("lo.pcapng");
    let capture = by_xdp(&host, "lo").write(&file).start();
    let mode = mode(&capture, "lo");
    assert!(mode.starts_with("generic XDP"), "{mode}");
    let tcpdump = Tcpdump::start(&host, "lo", &["-Q", "in", "-s", "65535"]);
    let listener = host.run(|| TcpListener::bind("127.0.0.1:0")).unwrap();
    let to = listener.local_addr().unwrap();
    let sent: Vec<u8> = (0..500_000_u32).map(|at| (at / 7) as u8).collect();
    let mut client = host.run(|| TcpStream::connect(to)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let received = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut received = Vec::new();
            server.read_to_end(&mut received).map(|_| received)
        });
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Both).unwrap();
        reader.join().unwrap().unwrap()
    });
    assert!(received == sent, "the connection itself is unharmed");
    drop(client);
    replay::send(&host, "lo", &[frames::end_marker()]);
    let theirs = tcpdump.finish();
    capture.wait_until_captured(theirs.counts.captured);
    let counts = capture.stop().counts();
    assert_eq!(counts.dropped, 0);
    let ours: Vec<Captured> = CaptureFile::read(&file).packets;
    assert_eq!(ours.len(), theirs.file.packets.len());
    assert_same(&ours, &theirs.file.packets);
}

#[test]
fn limits_are_exact_and_the_account_adds_up() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("ten.pcapng");
    let capture = by_xdp(&wire.namespace, Wire::CATCHER)
        .args(["-c", "10", "-v"])
        .write(&file)
        .start();
    wire.send(&corpus::rich());
    wire.send(&corpus::rich());
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let counts = finished.counts();
    assert_eq!((counts.captured, counts.dropped), (10, 0));
    assert!(counts.received >= 10);
    assert_eq!(finished.stop_reason(), "packet limit (10)");
    let file = CaptureFile::read(&file);
    assert_eq!(file.packets.len(), 10);
    assert_eq!(file.statistics.len(), 1);
}

#[test]
fn a_program_that_is_there_is_named_and_goes_on_to_work() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let first = by_xdp(host, link).args(["-w", "/dev/null"]).start();
    let second = by_xdp(host, link).run();
    assert_eq!(second.code(), Some(1), "{}", second.stderr);
    assert_eq!(second.stderr.lines().count(), 1, "{}", second.stderr);
    for said in [link, "`nodecap_xdp", "number ", "--hook tc"] {
        assert!(second.stderr.contains(said), "{said}: {}", second.stderr);
    }
    let sent = corpus::rich();
    wire.send(&sent);
    first.wait_until_captured(sent.len() as u64);
    first.stop();
    wait_until_nothing_is_attached(host);
}

#[test]
fn a_kill_leaves_nothing_attached() {
    let wire = Wire::new();
    let capture = by_xdp(&wire.namespace, Wire::CATCHER)
        .args(["-w", "/dev/null"])
        .start();
    let there = attached(&wire.namespace);
    assert!(there.iter().any(|it| it.contains("xdp")), "{there:?}");
    capture.signal(Signal::SIGKILL);
    drop(capture.wait());
    wait_until_nothing_is_attached(&wire.namespace);
}

#[test]
fn what_xdp_cannot_do_is_said() {
    let wire = Wire::new();
    let host = &wire.namespace;
    let wrong = by_xdp(host, Wire::CATCHER).args(["-Q", "out"]).run();
    assert_eq!(wrong.code(), Some(2), "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("only what comes in"),
        "{}",
        wrong.stderr
    );

    host.ip("tuntap add name bare mode tun");
    host.ip("link set bare up");
    let wrong = by_xdp(host, "bare").run();
    assert_eq!(wrong.code(), Some(1), "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("no Ethernet header"),
        "{}",
        wrong.stderr
    );

    // Nobody asked for that one by its name, so the others are captured.
    let capture = by_xdp(host, "any").args(["-w", "/dev/null"]).start();
    capture.wait_for_mention("only what comes in");
    capture.wait_for_mention("bare by XDP");
    let listening = capture.wait_for_line("listening on");
    assert!(listening.contains(Wire::CATCHER) && !listening.contains("bare"));
    let sent = corpus::rich();
    wire.send(&sent);
    capture.wait_until_captured(sent.len() as u64);
    capture.stop();
    wait_until_nothing_is_attached(host);
}
