//! What happens to a flow is told to whoever waits for it, and nothing else is.

use super::super::evidence::{Change, Drop, Fact};
use super::super::happening::{Happening, Kind, Kinds};
use super::super::tracker::Config;
use super::{ETH0, IN, MASQUERADED, MS, Node, OUT, POD, Packet, SECOND, SERVER, VETH, tuple};

fn watching(kinds: &[Kind]) -> Node {
    let watch: Kinds = kinds.iter().copied().collect();
    Node::with(Config {
        watch,
        ..Config::default()
    })
}

/// The events so far: what, of which flow, shown by which packet.
fn events(node: &mut Node) -> Vec<(Kind, u64, u64)> {
    let told = node.tracker.take_happenings();
    let events = told.filter_map(|happening| match happening {
        Happening::Event {
            kind, flow, packet, ..
        } => Some((kind, flow, packet)),
        Happening::Joined { .. } | Happening::Ended { .. } => None,
    });
    events.collect()
}

/// A connection on which everything happens: a segment twice, a closed window, an error, a reset.
fn eventful(node: &mut Node) {
    node.connect();
    let data = Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(9);
    node.at(VETH, IN, &data);
    node.wait(SECOND).at(VETH, IN, &data.clone().id(8));
    node.at(
        VETH,
        OUT,
        &Packet::tcp(SERVER, POD, ".", 9_001, 1_010).window(0),
    );
    node.at(VETH, OUT, &Packet::unreachable("10.0.0.1:0", POD, &data));
    node.at(VETH, OUT, &Packet::tcp(SERVER, POD, "R", 9_001, 0));
    // The same side's next one adds nothing.
    node.at(VETH, OUT, &Packet::tcp(SERVER, POD, "R", 9_001, 0).id(9));
}

#[test]
fn each_kind_is_told_once_as_it_happens_with_its_flow_and_its_packet() {
    let mut node = watching(&Kind::ALL);
    eventful(&mut node);
    // Three packets opened it.
    assert_eq!(
        events(&mut node),
        [
            (Kind::Nat, 1, 0),
            (Kind::Retransmit, 1, 5),
            (Kind::ZeroWindow, 1, 6),
            (Kind::IcmpError, 1, 7),
            (Kind::Reset, 1, 8),
        ]
    );
    assert!(events(&mut node).is_empty());
}

#[test]
fn nobody_is_told_what_he_does_not_wait_for() {
    for kind in Kind::ALL {
        let mut node = watching(&[kind]);
        eventful(&mut node);
        let told = events(&mut node);
        let expected = usize::from(kind != Kind::Drop);
        assert_eq!(told.len(), expected, "{told:?}");
        assert!(told.iter().all(|(told, ..)| *told == kind), "{told:?}");
    }
    let mut node = watching(&[]);
    eventful(&mut node);
    node.tracker.finish(node.now);
    assert_eq!(node.tracker.take_happenings().count(), 0);
}

#[test]
fn a_drop_is_one_only_by_its_reason_and_is_found_by_its_tuple_or_its_skb() {
    let dropped = |identity, tuple, reason| {
        Fact::Dropped(Drop {
            identity,
            tuple,
            reason,
        })
    };
    let mut node = watching(&[Kind::Drop]);
    let data = Packet::tcp(POD, SERVER, "P.", 1_001, 9_001).data(9);
    node.see(VETH, IN, Some(0x77), &data);
    let here = Some(tuple(6, POD, SERVER));
    let nowhere = Some(tuple(6, SERVER, "192.0.2.77:1"));
    for (fact, told) in [
        (dropped(1, here, Some("NETFILTER_DROP")), 1),
        (dropped(1, here, Some("NOT_SPECIFIED")), 0),
        (dropped(1, here, Some("QUEUE_PURGE")), 0),
        (dropped(1, here, None), 0),
        (dropped(0x77, nowhere, Some("NO_SOCKET")), 1),
        (dropped(0x77, None, Some("NO_SOCKET")), 1),
        (dropped(0x78, None, Some("NO_SOCKET")), 0),
        (dropped(0, None, Some("NO_SOCKET")), 0),
    ] {
        node.learn(fact);
        // Its packet may not have been seen yet.
        assert!(events(&mut node).is_empty());
        node.wait(20 * MS);
        let now = node.now;
        node.tracker.expire(now);
        assert_eq!(events(&mut node).len(), told, "{fact:?}");
    }
}

#[test]
fn a_flow_that_ends_is_told_of_and_so_is_one_that_is_part_of_another() {
    let mut node = watching(&[Kind::Reset]);
    // Two packets, of which conntrack tells later that one connection is theirs.
    node.at(VETH, IN, &Packet::udp(POD, SERVER, b"one"));
    node.at(ETH0, OUT, &Packet::udp(MASQUERADED, SERVER, b"another"));
    node.conntrack(
        tuple(17, POD, SERVER),
        tuple(17, SERVER, MASQUERADED),
        Change::Present,
    );
    let now = node.now;
    node.tracker.finish(now);
    let told: Vec<_> = node.tracker.take_happenings().collect();
    assert_eq!(
        told,
        [
            Happening::Joined { gone: 2, kept: 1 },
            Happening::Ended { flow: 1 }
        ]
    );
}
