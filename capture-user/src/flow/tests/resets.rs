//! What a verdict gets to see. The verdicts themselves have tests of their own.

use super::super::evidence::{Drop, Fact, KernelReset};
use super::super::reset::Phase;
use super::super::role::Role;
use super::{ETH0, IN, MASQUERADED, MS, Node, OUT, POD, Packet, SECOND, SERVER, VETH, tuple};

#[test]
fn every_sighting_of_a_reset_carries_its_comment_and_only_those() {
    let mut node = Node::new();
    node.connect();
    node.conclude();
    node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0));
    let annotations = node.conclude();
    assert_eq!(annotations.len(), 2);
    assert_eq!(annotations[0].comments, annotations[1].comments);
    let comment = &annotations[0].comments[0];
    assert!(
        comment.starts_with("Connection reset by 192.0.2.9:443, "),
        "{comment}"
    );
    assert!(
        comment.contains(" [nodecap reset from=192.0.2.9:443 origin="),
        "{comment}"
    );
    assert!(comment.ends_with(" flow=1]"), "{comment}");
    let told = node.end();
    assert_eq!(told.resets.len(), 1);
    // By the container's own address, though the node's was on the first sighting.
    assert_eq!(told.resets[0].to.to_string(), POD);
    assert_eq!(told.resets[0].from.to_string(), SERVER);
    assert_eq!(told.flow().resets, told.resets);
    assert_eq!(told.flow().state, "reset");
}

#[test]
fn a_side_s_repeated_resets_have_one_verdict_and_the_other_side_s_another() {
    let mut node = Node::new();
    node.connect();
    for _ in 0..3 {
        node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0));
        node.wait(5 * MS);
    }
    node.leaves(&Packet::tcp(POD, SERVER, "R.", 1_001, 9_001));
    let told = node.end();
    let from: Vec<_> = told
        .resets
        .iter()
        .map(|reset| reset.from.to_string())
        .collect();
    assert_eq!(from, [SERVER, POD]);
    assert_eq!(told.flow().packets, [3, 4]);
}

#[test]
fn a_reset_of_a_connection_that_nobody_saw_is_judged_too() {
    let mut node = Node::new();
    node.at(ETH0, IN, &Packet::tcp(SERVER, POD, "R.", 0, 1_001));
    let told = node.end();
    assert_eq!(told.resets.len(), 1);
    assert_eq!(told.flow().state, "reset");
}

#[test]
fn a_reset_is_judged_even_if_its_port_is_used_again_at_once() {
    let mut node = Node::new();
    node.connect();
    node.leaves(&Packet::tcp(POD, SERVER, "R.", 1_001, 9_001));
    node.leaves(&Packet::tcp(POD, SERVER, "S", 77_000, 0));
    let comments = node.comments();
    let resets = comments
        .iter()
        .filter(|comment| comment.contains("nodecap reset"));
    assert_eq!(resets.count(), 2);
    let told = node.end();
    assert_eq!(told.flows.len(), 2);
    assert_eq!(told.resets.len(), 1);
    assert_eq!(told.resets[0].flow, 1);
    // Both were translated.
    assert_eq!(told.nats.len(), 2);
}

#[test]
fn the_silence_before_the_answered_segment_counts() {
    let mut node = Node::new();
    node.connect();
    node.wait(350 * SECOND);
    node.leaves(&Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(5));
    node.wait(200 * MS);
    node.leaves(&Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(5).id(8));
    node.wait(MS);
    node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0));
    let told = node.end();
    assert_eq!(told.resets[0].idle / SECOND, 350);
}

#[test]
fn the_judge_gets_both_paths_and_every_tuple_in_the_reset_s_direction() {
    let mut node = Node::new();
    node.connect();
    node.leaves(&Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(30));
    node.wait(10 * MS);
    node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0).ttl(50));
    node.conclude();
    let [case] = node.tracker.cases()[..] else {
        panic!()
    };
    let path: Vec<_> = case
        .path
        .iter()
        .map(|stop| (stop.interface, stop.role, stop.direction, stop.tuple))
        .collect();
    assert_eq!(
        path,
        [
            (ETH0, Role::Uplink, IN, tuple(6, SERVER, MASQUERADED)),
            (VETH, Role::Pod, OUT, tuple(6, SERVER, POD)),
        ]
    );
    let answered: Vec<_> = case
        .answered_path
        .iter()
        .map(|stop| (stop.interface, stop.tuple))
        .collect();
    assert_eq!(
        answered,
        [
            (VETH, tuple(6, POD, SERVER)),
            (ETH0, tuple(6, MASQUERADED, SERVER)),
        ]
    );
    let segment = case.answered.unwrap();
    assert_eq!((segment.sequence, segment.payload), (1_001, 30));
    assert_eq!(
        case.tuples,
        [tuple(6, SERVER, MASQUERADED), tuple(6, SERVER, POD)]
    );
    assert_eq!(case.phase, Phase::Established);
    assert!(case.from_its_start);
    // The server's own TTL at the uplink, the reset's left out.
    assert_eq!((case.sender.ttl, case.reset.ttl), (Some(65), 51));
    assert_eq!((case.receiver.bytes, case.receiver.acknowledged), (30, 0));
    assert_eq!((case.sender.bytes, case.sender.sent_fin), (0, false));
    assert!(case.round_trip.is_some_and(|time| time < MS));
}

#[test]
fn evidence_may_come_before_and_after_and_never_of_another_connection() {
    let mut node = Node::new();
    let reset = |from, to, reason| KernelReset {
        tuple: tuple(6, from, to),
        reason: Some(reason),
        netns: 1,
    };
    node.learn(Fact::ResetReceived(reset(SERVER, POD, "before")));
    node.connect();
    let syn_skb = Some(0x77);
    let segment = Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(9);
    node.see(VETH, IN, syn_skb, &segment);
    node.learn(Fact::Dropped(Drop {
        tuple: None,
        identity: 0x77,
        reason: Some("NETFILTER_DROP"),
    }));
    node.at(VETH, OUT, &Packet::tcp(SERVER, POD, "R", 9_001, 0));
    node.learn(Fact::ResetSent(reset("192.0.2.9:80", POD, "another's")));
    node.learn(Fact::ResetSent(reset(POD, SERVER, "the other way")));
    node.learn(Fact::ResetSent(reset(SERVER, POD, "after")));
    node.conclude();
    let case = node.tracker.cases()[0];
    assert_eq!(case.received.and_then(|reset| reset.reason), Some("before"));
    assert_eq!(case.sent.and_then(|reset| reset.reason), Some("after"));
    assert_eq!(case.answered_dropped, Some("NETFILTER_DROP"));
}

#[test]
fn a_drop_of_the_next_packet_in_the_same_skb_is_not_the_answered_segment_s() {
    let mut node = Node::new();
    node.connect();
    let segment = Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(9);
    node.see(VETH, IN, Some(0x77), &segment);
    node.see(
        VETH,
        IN,
        Some(0x77),
        &Packet::udp("172.17.0.2:5", "192.0.2.9:53", b"?"),
    );
    node.learn(Fact::Dropped(Drop {
        tuple: None,
        identity: 0x77,
        reason: Some("NETFILTER_DROP"),
    }));
    node.at(VETH, OUT, &Packet::tcp(SERVER, POD, "R", 9_001, 0));
    node.conclude();
    assert_eq!(node.tracker.cases()[0].answered_dropped, None);
}

#[test]
fn who_closed_the_connection_before_is_known_to_be_in_time_wait() {
    let mut node = Node::new();
    node.connect();
    node.leaves(&Packet::tcp(POD, SERVER, "F.", 1_001, 9_001));
    node.arrives(&Packet::tcp(SERVER, POD, "F.", 9_001, 1_002));
    node.leaves(&Packet::tcp(POD, SERVER, ".", 1_002, 9_002));
    node.wait(30 * SECOND);
    node.leaves(&Packet::tcp(POD, SERVER, "S", 500_000, 0));
    node.arrives(&Packet::tcp(SERVER, POD, "R.", 0, 500_001));
    node.conclude();
    let case = node.tracker.cases()[0];
    assert_eq!(case.sender.closed_first, None);
    assert_eq!(case.receiver.closed_first.unwrap() / SECOND, 30);
    assert!(case.from_its_start && case.phase == Phase::SynSent);
}

#[test]
fn the_round_trip_is_to_the_reset_s_sender_and_back() {
    let mut node = Node::new();
    node.leaves(&Packet::tcp(POD, SERVER, "S", 1_000, 0));
    node.wait(20 * MS);
    node.arrives(&Packet::tcp(SERVER, POD, "S.", 9_000, 1_001));
    node.wait(2 * MS);
    node.leaves(&Packet::tcp(POD, SERVER, ".", 1_001, 9_001));
    for (packet, expected) in [
        (Packet::tcp(SERVER, POD, "R", 9_001, 0), 20),
        (Packet::tcp(POD, SERVER, "R", 1_001, 0), 2),
    ] {
        node.at(VETH, IN, &packet);
        node.conclude();
        let case = node.tracker.cases().pop().unwrap();
        assert_eq!(case.round_trip.unwrap() / MS, expected);
    }
}

#[test]
fn what_each_side_did_is_counted_for_the_judge() {
    let mut node = Node::new();
    node.connect();
    let client = |flags, sequence, ack| Packet::tcp(POD, SERVER, flags, sequence, ack);
    let server = |flags, sequence, ack| Packet::tcp(SERVER, POD, flags, sequence, ack);
    node.leaves(&client("P.", 1_001, 9_001).data(100));
    node.arrives(&server(".", 9_001, 1_101));
    // The client closes, the server goes on sending, and nobody answers any more.
    node.leaves(&client("F.", 1_101, 9_001));
    for _ in 0..3 {
        node.arrives(&server("P.", 9_001, 1_102).data(40).id(12));
        node.wait(300 * MS);
    }
    node.leaves(&client("R", 1_102, 0));
    node.conclude();
    let case = node.tracker.cases()[0];
    assert_eq!(case.phase, Phase::Closing);
    assert!(case.sender.sent_fin && !case.receiver.sent_fin);
    assert_eq!((case.sender.bytes, case.sender.acknowledged), (100, 100));
    assert_eq!(case.sender.bytes_after_fin, 40);
    assert_eq!((case.receiver.bytes, case.receiver.acknowledged), (40, 0));
    assert_eq!(case.receiver.retransmissions_unanswered, 2);
    assert_eq!(case.sender.ip_ids_zero, Some(false));
}

#[test]
fn a_side_that_goes_on_after_its_reset_did_not_send_it() {
    let mut node = Node::new();
    node.connect();
    node.arrives(&Packet::tcp(SERVER, POD, "R", 9_001, 0));
    node.arrives(&Packet::tcp(SERVER, POD, "P.", 9_001, 1_001).data(100));
    node.leaves(&Packet::tcp(POD, SERVER, "P.", 1_001, 9_101).data(10));
    let told = node.end();
    // Both went on, so the reset ended nothing.
    assert_eq!(told.flow().state, "established");
}

#[test]
fn what_a_reset_overtook_is_not_sent_after_it() {
    let mut node = Node::new();
    node.connect();
    node.at(VETH, OUT, &Packet::tcp(SERVER, POD, "R.", 9_101, 1_001));
    node.at(
        VETH,
        OUT,
        &Packet::tcp(SERVER, POD, "P.", 9_001, 1_001).data(100),
    );
    node.at(VETH, IN, &Packet::tcp(POD, SERVER, ".", 1_001, 9_001));
    assert_eq!(node.end().flow().state, "reset");
}

#[test]
fn whether_the_handshake_was_timed_is_known_and_from_where() {
    // (What is seen first, whether the time of each side's answer to the other's SYN is known.)
    for (joined_late, timed) in [(false, [true, true]), (true, [false, false])] {
        for (from, timed) in [(SERVER, timed[0]), (POD, timed[1])] {
            let mut node = Node::new();
            if !joined_late {
                node.leaves(&Packet::tcp(POD, SERVER, "S", 1_000, 0));
                node.wait(80 * MS);
                node.arrives(&Packet::tcp(SERVER, POD, "S.", 9_000, 1_001));
                node.leaves(&Packet::tcp(POD, SERVER, ".", 1_001, 9_001));
            }
            node.leaves(&Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(10));
            node.wait(200 * MS);
            node.arrives(&Packet::tcp(SERVER, POD, "P.", 9_001, 1_011).data(10));
            node.leaves(&Packet::tcp(POD, SERVER, ".", 1_011, 9_011));
            match from {
                SERVER => node.arrives(&Packet::tcp(SERVER, POD, "R", 9_011, 0)),
                _ => node.leaves(&Packet::tcp(POD, SERVER, "R", 1_011, 0)),
            };
            node.conclude();
            let cases = node.tracker.cases();
            assert_eq!(cases[0].handshake_timed, timed, "{joined_late} {from}");
            assert!(cases[0].round_trip.is_some());
        }
    }
}
