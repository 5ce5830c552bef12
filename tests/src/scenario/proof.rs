//! That resets and translations really occur, by tcpdump alone: which segments, on which interface
//! first, going which way, with which numbers.

use super::translations::Translation;
use super::{Reset, Scenario, Shape, Side};
use crate::frames::end_marker;
use crate::frames::transport::{ACK, FIN, RST, SYN};
use crate::read::CaptureFile;
use crate::replay;
use crate::scenario::strays::link_address;
use crate::segment::Segment;
use crate::sockets::address;
use crate::tcpdump::Tcpdump;
use crate::topology::Node;

/// A segment where tcpdump saw it.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    time_ns: u64,
    interface: &'static str,
    inbound: bool,
    segment: Segment,
}

/// Makes the scenario happen on a node of its own and shows that its resets are those that its
/// label says.
///
/// # Panics
///
/// When they aren't.
#[track_caller]
pub fn assert_occurs(scenario: &Scenario) {
    let lab = Node::new();
    (scenario.prepare)(&lab);
    let watched = [
        (Node::POD_PORT, &lab.pod, Node::POD_LINK),
        (Node::UPLINK, &lab.outside, Node::OUTSIDE_LINK),
    ];
    let tcpdumps = watched.map(|(interface, ..)| {
        Tcpdump::start(&lab.node, interface, &["tcp or ether proto 0x88b5"])
    });
    let kept = (scenario.happen)(&lab);
    let mut seen = Vec::new();
    for (tcpdump, (interface, far, far_link)) in tcpdumps.into_iter().zip(watched) {
        replay::send(&lab.node, interface, &[end_marker()]);
        let file = tcpdump.finish().file;
        seen.extend(sightings(&file, interface, link_address(far, far_link)));
    }
    drop(kept);
    seen.sort_by_key(|sighting| sighting.time_ns);

    let mut resets: Vec<&Sighting> = Vec::new();
    for sighting in seen.iter().filter(|one| one.segment.has(RST)) {
        let again = resets.iter().any(|one| is_same_packet(one, sighting));
        if !again {
            resets.push(sighting);
        }
    }
    let name = scenario.name;
    assert_eq!(
        resets.len(),
        scenario.resets.len(),
        "{name}: {resets:#?} of {seen:#?}"
    );
    for (reset, label) in resets.iter().zip(scenario.resets) {
        assert_matches(name, reset, label, &seen);
    }
}

/// A reset that was forwarded keeps its numbers, whatever its addresses became.
fn is_same_packet(one: &Sighting, other: &Sighting) -> bool {
    let numbers = |segment: &Segment| (segment.flags, segment.sequence, segment.acknowledgement);
    one.interface != other.interface && numbers(&one.segment) == numbers(&other.segment)
}

#[track_caller]
fn assert_matches(name: &str, reset: &Sighting, label: &Reset, seen: &[Sighting]) {
    let segment = &reset.segment;
    let (interface, inbound) = match label.side {
        Side::Uplink => (Node::UPLINK, true),
        Side::Pod => (Node::POD_PORT, true),
        Side::NodeToUplink => (Node::UPLINK, false),
        // The bridge isn't watched: its port sees it a moment later.
        Side::NodeToPod => (Node::POD_PORT, false),
    };
    assert_eq!(
        (reset.interface, reset.inbound),
        (interface, inbound),
        "{name}: {reset:?}"
    );
    let (source, destination) = label.seen;
    assert_eq!(
        (segment.source, segment.destination),
        (address(source), address(destination)),
        "{name}: {reset:?}"
    );
    assert_eq!(segment.flags, label.shape.flags(), "{name}: {reset:?}");
    let before = |like: &dyn Fn(&Segment) -> bool| {
        seen.iter()
            .filter(|one| one.time_ns <= reset.time_ns && one.interface == reset.interface)
            .rev()
            .map(|one| one.segment)
            .find(|one| like(one))
    };
    let answered =
        before(&|one| one.source == segment.destination && one.destination == segment.source);
    let own = before(&|one| {
        one.source == segment.source && one.destination == segment.destination && !one.has(RST)
    });
    let fits = match label.shape {
        Shape::RefusesSyn => answered.is_some_and(|one| one.has(SYN) && segment.refuses(&one)),
        Shape::RefusesAck => answered
            .is_some_and(|one| one.flags == ACK && one.payload == 0 && segment.refuses(&one)),
        Shape::RefusesData => answered.is_some_and(|one| one.payload > 0 && segment.refuses(&one)),
        // A keep-alive probe doesn't count: it has no data and a number from before.
        Shape::Active => own.is_some_and(|one| {
            one.has(ACK) && segment.sequence.wrapping_sub(one.next_sequence()) <= 1
        }),
        Shape::Forged => own.is_some_and(|one| {
            segment.ttl != one.ttl && segment.sequence == one.next_sequence() && !one.has(FIN)
        }),
    };
    assert!(
        fits,
        "{name}: {reset:?} isn't {:?} after {answered:?}, its own {own:?}",
        label.shape
    );
}

/// The TCP segments of a capture on an interface beyond which `far` is.
fn sightings(file: &CaptureFile, interface: &'static str, far: [u8; 6]) -> Vec<Sighting> {
    file.packets
        .iter()
        .filter_map(|packet| {
            let segment = Segment::of(&packet.data)?;
            Some(Sighting {
                time_ns: packet.time_ns,
                interface,
                inbound: segment.from_link == far,
                segment,
            })
        })
        .collect()
}

/// Makes the translation happen on a node of its own and shows that it is what its label says:
/// the packets before it where they are to show, and those after it likewise.
///
/// # Panics
///
/// When it isn't.
#[track_caller]
pub fn assert_translates(translation: &Translation) {
    let lab = Node::new();
    (translation.prepare)(&lab);
    let watched = [Node::POD_PORT, Node::UPLINK];
    let tcpdumps = watched.map(|interface| Tcpdump::start(&lab.node, interface, &[]));
    let kept = (translation.happen)(&lab);
    let dumped: Vec<_> = tcpdumps
        .into_iter()
        .zip(watched)
        .map(|(tcpdump, interface)| {
            replay::send(&lab.node, interface, &[end_marker()]);
            (interface, tcpdump.finish())
        })
        .collect();
    drop(kept);
    for view in [&translation.before, &translation.after] {
        let (src, dst) = (address(view.src), address(view.dst));
        let ports = if translation.proto == "icmp" {
            format!("icmp[4:2] == {}", src.port())
        } else {
            let proto = translation.proto;
            let (src, dst) = (src.port(), dst.port());
            format!("{proto} src port {src} and {proto} dst port {dst}")
        };
        let expression = format!(
            "src host {} and dst host {} and {ports}",
            src.ip(),
            dst.ip()
        );
        for (interface, dumped) in &dumped {
            let shows = !dumped.matching(&expression).packets.is_empty();
            let where_it_should = view.at.is_some_and(|(at, _)| at == *interface);
            assert_eq!(
                shows, where_it_should,
                "{}: `{expression}` at {interface}",
                translation.name
            );
        }
    }
}
