//! Attaching by clsact filters, as on kernels without TCX: they see what TCX programs see, stand
//! beside others' filters, and go when the capture goes.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;
#[path = "common/filters.rs"]
mod filters;

use attached::wait_until_nothing_is_attached;
use filters::{PASS, filters, has_clsact, our_filters};
use lab::Signal;
use lab::compare::assert_same;
use lab::frames::{self, Frame, corpus};
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::process::Stdout;
use lab::read::CaptureFile;
use lab::replay;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::{Pair, Wire, add_wire};
use lab::wait::wait_until;

/// A classic BPF program for `tc … bpf da bytecode` that drops every packet (`TC_ACT_SHOT`).
const DROP: &str = "'1,6 0 0 2,'";

const CLSACT: [&str; 2] = ["--hook", "clsact"];

#[track_caller]
fn assert_equals_tcpdumps(interface: &str, sent: Vec<Frame>) {
    let sent = frames::then_end_marker(sent);
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("ours.pcapng");
    let capture = Nodecap::capture(&wire.namespace, interface)
        .args(CLSACT)
        .write(&file)
        .start();
    let tcpdump = Tcpdump::start(&wire.namespace, interface, &[]);
    wire.send(&sent);
    let theirs = tcpdump.finish();
    capture.wait_until_captured(theirs.counts.captured);
    let counts = capture.stop().counts();
    assert_eq!(
        (counts.captured, counts.received, counts.dropped),
        (theirs.counts.captured, theirs.counts.captured, 0)
    );
    let ours = CaptureFile::read(&file);
    assert_same(&ours.packets, &theirs.file.packets);
    assert_same(&ours.packets, &sent);
    wait_until_nothing_is_attached(&wire.namespace);
    assert!(!has_clsact(&wire.namespace, interface));
}

#[test]
fn a_clsact_filter_sees_frames_of_every_kind_come_in() {
    let comes_in = corpus::everything().into_iter().filter(corpus::comes_in);
    assert_equals_tcpdumps(Wire::CATCHER, comes_in.collect());
}

#[test]
fn a_clsact_filter_sees_frames_of_every_kind_go_out() {
    assert_equals_tcpdumps(Wire::SENDER, corpus::everything());
}

#[test]
fn another_filter_that_drops_goes_on_to_work_and_we_see_what_it_drops() {
    let pair = Pair::new();
    let host = &pair.right;
    host.tc("qdisc add dev link0 clsact");
    // At our own priority, which it shares with us then, and at a later one.
    for priority in [1, 5] {
        let others = format!("dev link0 ingress pref {priority} bpf da bytecode {DROP}");
        host.tc(&format!("filter add {others}"));
        let before = filters(host, Pair::LINK);
        let receiver = host.udp(&format!("{}:9", Pair::RIGHT_V4));
        let sender = pair.left.udp(&format!("{}:0", Pair::LEFT_V4));
        let to = receiver.local_addr().unwrap();
        let capture = Nodecap::capture(host, Pair::LINK)
            .args(CLSACT)
            .args(["-Q", "in", "--proto", "udp", "-w", "/dev/null"])
            .start();
        sender.send_to(b"dropped", to).unwrap();
        capture.wait_until_captured(1);
        host.tc(&format!(
            "filter del dev link0 ingress pref {priority} handle 1 bpf"
        ));
        sender.send_to(b"arrives", to).unwrap();
        let mut datagram = [0; 16];
        let length = receiver.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"arrives");
        capture.wait_until_captured(2);
        host.tc(&format!("filter add {others}"));
        assert_eq!(capture.stop().counts().captured, 2);
        // The qdisc was there before, and so it stays.
        assert_eq!(filters(host, Pair::LINK), before);
        host.tc(&format!("filter del dev link0 ingress pref {priority}"));
    }
    assert!(has_clsact(host, Pair::LINK));
}

#[test]
fn where_the_first_priority_is_taken_by_another_kind_of_filter_the_next_is_ours_and_that_is_said() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    host.tc(&format!("qdisc add dev {link} clsact"));
    host.tc(&format!(
        "filter add dev {link} ingress protocol ip pref 1 bpf da bytecode {PASS}"
    ));
    let capture = Nodecap::capture(host, link)
        .args(CLSACT)
        .args(["-w", "/dev/null"])
        .start();
    let ours = our_filters(host, link);
    assert_eq!(ours.len(), 2, "{ours:?}");
    assert!(ours[0].contains("ingress") && ours[0].contains("pref 2 "));
    assert!(ours[1].contains("egress") && ours[1].contains("pref 1 "));
    let finished = capture.stop();
    assert!(
        finished.stderr.contains("priority 2"),
        "{}",
        finished.stderr
    );
}

#[test]
fn that_tcx_programs_run_before_filters_is_said() {
    lab::need!("tcx");
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let first = Nodecap::capture(host, link)
        .args(["-w", "/dev/null"])
        .start();
    let second = Nodecap::capture(host, link)
        .args(CLSACT)
        .args(["-w", "/dev/null"])
        .start();
    let said = second.stop().stderr;
    assert!(
        said.contains(&format!(
            "{link}: TCX programs of others run before all filters"
        )),
        "{said}"
    );
    // Said once, though it is so both ways.
    assert_eq!(said.matches("TCX programs").count(), 1);
    // Nobody's programs are before the filters any more.
    drop(first.stop());
    let alone = Nodecap::capture(host, link)
        .args(CLSACT)
        .args(["-w", "/dev/null"])
        .start();
    assert!(!alone.stop().stderr.contains("TCX programs"));
}

#[test]
fn of_two_captures_at_one_interface_the_last_takes_the_qdisc_that_the_first_brought() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let start = || {
        Nodecap::capture(host, link)
            .args(CLSACT)
            .args(["-w", "/dev/null"])
            .start()
    };
    let (first, second) = (start(), start());
    assert_eq!(our_filters(host, link).len(), 4);
    let sent = corpus::rich();
    wire.send(&sent);
    for capture in [&first, &second] {
        capture.wait_until_captured(sent.len() as u64);
    }
    first.stop();
    assert_eq!(our_filters(host, link).len(), 2);
    wire.send(&sent);
    second.wait_until_captured(2 * sent.len() as u64);
    second.stop();
    assert!(!has_clsact(host, link));
}

#[test]
fn an_ingress_qdisc_serves_what_comes_in_and_for_the_rest_the_way_out_is_named() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    host.tc(&format!("qdisc add dev {link} ingress"));
    let capture = Nodecap::capture(host, link)
        .args(CLSACT)
        .args(["-Q", "in", "-w", "/dev/null"])
        .start();
    let sent = corpus::rich();
    wire.send(&sent);
    capture.wait_until_captured(sent.len() as u64);
    capture.stop();
    // The sender's filters were up already when this one was refused.
    let refused = Nodecap::capture(host, Wire::SENDER)
        .args(["-i", link])
        .args(CLSACT)
        .run();
    assert_eq!(refused.code(), Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("-Q in"), "{}", refused.stderr);
    for link in [Wire::SENDER, link] {
        assert!(filters(host, link).is_empty());
    }
    assert!(!has_clsact(host, Wire::SENDER));
    assert!(
        host.tc(&format!("qdisc show dev {link}"))
            .contains("ingress")
    );
}

#[test]
fn a_second_interrupt_takes_the_filters_away_too() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(CLSACT)
        .args(["-w", "-"])
        .stdout(Stdout::Unread)
        .start();
    // Far more than the 64 KiB that a pipe holds.
    replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 50);
    // Two that come at once count as one.
    wait_until("the filters gone", || {
        capture.signal(Signal::SIGINT);
        !has_clsact(&wire.namespace, Wire::CATCHER)
    });
    drop(capture.wait());
}

#[test]
fn an_interface_that_goes_takes_its_filters_along_and_the_others_go_on() {
    let host = Namespace::silent();
    add_wire(&host, "stays-in", "stays-out", 1_500);
    add_wire(&host, "goes-in", "goes-out", 1_500);
    let capture = Nodecap::capture(&host, "goes-out,stays-out")
        .args(CLSACT)
        .args(["-w", "/dev/null"])
        .start();
    host.ip("link del goes-out");
    capture.wait_for_mention("goes-out is gone");
    let sent = corpus::rich();
    replay::send(&host, "stays-in", &sent);
    capture.wait_until_captured(sent.len() as u64);
    let finished = capture.stop();
    // Nothing stayed, so there is nothing to complain of.
    assert!(!finished.stderr.contains("sweep"), "{}", finished.stderr);
    assert!(!has_clsact(&host, "stays-out"));
}

#[test]
fn filters_appear_on_interfaces_that_appear() {
    let host = Namespace::silent();
    add_wire(&host, "other-old", "veth-old", 1_500);
    let capture = Nodecap::capture(&host, "veth*")
        .args(CLSACT)
        .args(["-w", "/dev/null"])
        .start();
    add_wire(&host, "other", "veth-new", 1_500);
    capture.wait_for_mention("listening on veth-new too");
    wait_until("filters both ways", || {
        our_filters(&host, "veth-new").len() == 2
    });
    capture.stop();
    assert!(!has_clsact(&host, "veth-new"));
}

#[test]
fn that_somebody_took_the_filters_away_is_said_at_the_end() {
    let wire = Wire::new();
    let host = &wire.namespace;
    let capture = |directions: &[&str]| {
        Nodecap::capture(host, Wire::CATCHER)
            .args(CLSACT)
            .args(directions)
            .args(["-w", "/dev/null"])
            .start()
    };
    let notice = format!("{}: somebody took the ingress filter", Wire::CATCHER);
    let left_alone = capture(&["-Q", "in"]).stop();
    assert!(
        !left_alone.stderr.contains("somebody"),
        "{}",
        left_alone.stderr
    );
    let capture = capture(&["-Q", "in"]);
    host.tc(&format!("qdisc del dev {} clsact", Wire::CATCHER));
    let finished = capture.stop();
    assert!(finished.stderr.contains(&notice), "{}", finished.stderr);
}
