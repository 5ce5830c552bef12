//! Whatever comes in, in whatever order: no panic, bounded memory, every packet counted once.

use foldhash::fast::RandomState;
use proptest::prelude::*;

use super::super::bindings::Bindings;
use super::super::evidence::{Change, Drop, Evidence, Fact, KernelReset, Mapping};
use super::super::names::Names;
use super::super::parse::{Ordinary, Parsed, ordinary, parse};
use super::super::sighting::Sighting;
use super::super::tracker::{Annotations, Config};
use super::super::tuple::Tuple;
use super::{Carries, Node, Packet, Told, tuple};
use crate::packet::Direction;
use crate::session::frame::Link;

const HOSTS: [&str; 6] = [
    "172.17.0.2:1000",
    "172.17.0.3:1000",
    "192.0.2.1:1000",
    "192.0.2.9:80",
    "[2001:db8::1]:1000",
    "[2001:db8::2]:80",
];

const FLAGS: [&str; 8] = ["S", "S.", ".", "P.", "F.", "R", "R.", ""];

#[derive(Clone, Debug)]
enum Step {
    See {
        packet: Packet,
        interface: u32,
        out: bool,
        identity: Option<u64>,
        later: i64,
        cut: Option<usize>,
        damage: Option<(usize, u8)>,
        link: Link,
    },
    Learn(Fact, i64),
    Conclude(usize),
    Expire(u64),
}

fn any_tuple() -> impl Strategy<Value = Tuple> {
    (
        0..HOSTS.len(),
        0..HOSTS.len(),
        prop::sample::select(&[1u8, 6, 17][..]),
    )
        .prop_map(|(from, to, protocol)| tuple(protocol, HOSTS[from], HOSTS[to]))
}

fn packet() -> impl Strategy<Value = Packet> {
    let ends = (0..HOSTS.len(), 0..HOSTS.len()).prop_filter_map("one version", |(from, to)| {
        let same = HOSTS[from].starts_with('[') == HOSTS[to].starts_with('[');
        same.then_some((HOSTS[from], HOSTS[to]))
    });
    (
        ends,
        0..5u8,
        prop::sample::select(&FLAGS[..]),
        prop_oneof![0..40u32, any::<u32>(), (u32::MAX - 40)..=u32::MAX],
        prop_oneof![0..40u32, any::<u32>()],
        0..40usize,
        0..3u16,
    )
        .prop_map(|((from, to), kind, flags, sequence, ack, data, id)| {
            match kind {
                0 => Packet::udp(from, to, &[1; 8]),
                1 => Packet::echo(from, to, id, data % 2 == 0),
                2 => {
                    let about = Packet::tcp(to, from, "S", sequence, 0);
                    Packet::unreachable(from, to, &about)
                }
                _ => Packet::tcp(from, to, flags, sequence, ack).data(data),
            }
            .id(id)
        })
}

fn step() -> impl Strategy<Value = Step> {
    let see = (
        packet(),
        0..5u32,
        any::<bool>(),
        prop::option::of(0..4u64),
        -2_000_000..80_000_000i64,
        prop::option::weighted(0.2, 0..90usize),
        prop::option::weighted(0.1, (0..90usize, any::<u8>())),
        prop::sample::select(&[Link::Ethernet, Link::Ethernet, Link::Bare][..]),
    )
        .prop_map(
            |(packet, interface, out, identity, later, cut, damage, link)| Step::See {
                packet,
                interface,
                out,
                identity,
                later,
                cut,
                damage,
                link,
            },
        );
    let fact = prop_oneof![
        (any_tuple(), any_tuple(), any::<bool>()).prop_map(|(original, reply, there)| {
            Fact::Conntrack(Mapping {
                original,
                reply,
                change: if there {
                    Change::Present
                } else {
                    Change::Removed
                },
            })
        }),
        any_tuple().prop_map(|tuple| Fact::ResetSent(KernelReset {
            tuple,
            reason: Some("NO_SOCKET"),
            netns: 0
        })),
        (0..4u64).prop_map(|identity| Fact::Dropped(Drop {
            tuple: None,
            identity,
            reason: None
        })),
    ];
    prop_oneof![
        8 => see,
        2 => (fact, -60_000_000..60_000_000i64).prop_map(|(fact, at)| Step::Learn(fact, at)),
        2 => (0..20usize).prop_map(Step::Conclude),
        1 => (0..40_000_000_000u64).prop_map(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_sequence_of_sightings_and_evidence_is_taken_and_every_packet_counted_once(
        steps in prop::collection::vec(step(), 1..200),
        max_flows in 1..12usize,
    ) {
        let mut node = Node::with(Config {
            max_flows,
            max_packets: 64,
            max_mappings: 8,
            ..Config::default()
        });
        let mut waiting = std::collections::VecDeque::new();
        let mut told = Vec::new();
        let mut ids = std::collections::BTreeSet::new();
        let mut hooks = std::collections::BTreeSet::new();
        for step in steps {
            match step {
                Step::See { packet, interface, out, identity, later, cut, damage, link } => {
                    node.now = node.now.saturating_add_signed(later);
                    let mut frame = packet.frame();
                    if let Some((at, value)) = damage
                        && let Some(byte) = frame.get_mut(at)
                    {
                        *byte = value;
                    }
                    let original_len = frame.len() as u32;
                    frame.truncate(cut.unwrap_or(usize::MAX));
                    let ticket = node.tracker.see(&Sighting {
                        time: node.now,
                        interface,
                        direction: if out { Direction::Out } else { Direction::In },
                        identity,
                        link,
                        frame: &frame,
                        original_len,
                        gso: None,
                    });
                    if let Some(ticket) = ticket {
                        ids.insert(ticket.packet_id());
                        // Never the same packet twice on a hook.
                        prop_assert!(hooks.insert((ticket.packet_id(), interface, out)));
                        waiting.push_back(ticket);
                    }
                }
                Step::Learn(fact, at) => {
                    let time = node.now.saturating_add_signed(at);
                    node.tracker.learn(Evidence { time, fact });
                }
                Step::Conclude(count) => {
                    for ticket in waiting.drain(..count.min(waiting.len())) {
                        let Annotations { packet_id, comments, .. } =
                            node.tracker.conclude(ticket);
                        prop_assert_eq!(packet_id, ticket.packet_id());
                        // Whatever was learned in between.
                        prop_assert!(comments.is_empty() || !ticket.is_settled());
                    }
                }
                Step::Expire(later) => {
                    node.now += later;
                    node.tracker.expire(node.now);
                }
            }
            prop_assert!(node.tracker.flows() <= max_flows);
            prop_assert!(node.tracker.remembered() <= 64);
            told.extend(node.tracker.take_records());
        }
        node.tracker.finish(node.now);
        told.extend(node.tracker.take_records());
        for record in &told {
            prop_assert!(record.to_json(|time| time, |_| "x", &Names::default()).is_ok());
        }
        let told = Told::from(told);
        let summary = node.tracker.summary();
        prop_assert_eq!(node.tracker.flows(), 0);
        prop_assert_eq!(summary.packets, ids.len() as u64);
        let of_flows: u64 = told.flows.iter().flat_map(|flow| flow.packets).sum();
        let about: u64 = told.flows.iter().map(|flow| flow.icmp_errors).sum();
        prop_assert_eq!(about, summary.icmp_errors);
        prop_assert_eq!(of_flows + about + summary.untracked, summary.packets);
        prop_assert_eq!(told.flows.len() as u64, summary.flows);
        let resets: u64 = summary.resets.iter().map(|(_, _, count)| count).sum();
        prop_assert_eq!(told.resets.len() as u64, resets);
    }

    #[test]
    fn an_ordinary_frame_says_at_once_what_it_says_when_all_is_asked(
        packet in packet(),
        stamps in prop::option::of(any::<(u32, u32)>()),
        cut in prop::option::weighted(0.5, 0..100usize),
        // Mostly where it decides what the frame is.
        damage in prop::collection::vec((prop_oneof![12..48usize, 0..100usize], any::<u8>()), 0..3),
        longer in prop_oneof![Just(0), 0..2_000u32, any::<u32>()],
    ) {
        let hash = RandomState::default();
        let mut frame = Packet { stamps, ..packet }.frame();
        for (at, value) in damage {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        let len = (frame.len() as u32).wrapping_add(longer);
        frame.truncate(cut.unwrap_or(usize::MAX));
        if let Some(Ordinary { ends, content, fingerprint, ttl }) = ordinary(&frame, len, &hash) {
            let bindings = Bindings::default();
            let sought = bindings.sought_of(&ends);
            let tuple = Some(sought.tuple());
            let said = Parsed { tuple, content, fingerprint, ttl };
            prop_assert_eq!(Some(said), parse(Link::Ethernet, &frame, len, &hash));
            prop_assert_eq!(Some(sought), bindings.sought(&sought.tuple()));
        }
    }

    #[test]
    fn ordinary_frames_are_known_for_what_they_are(packet in packet()) {
        let is_ordinary = packet.from.is_ipv4()
            && matches!(packet.carries, Carries::Tcp { .. } | Carries::Udp);
        let frame = packet.frame();
        let read = ordinary(&frame, frame.len() as u32, &RandomState::default());
        prop_assert_eq!(read.is_some(), is_ordinary);
    }

    #[test]
    fn sightings_taken_together_come_to_what_they_come_to_one_by_one(
        steps in prop::collection::vec(
            (packet(), 0..3u32, any::<bool>(), prop::option::of(0..4u64), 0..5_000_000u64),
            1..120,
        ),
    ) {
        let (mut apart, mut together) = (Node::new(), Node::new());
        let mut now = apart.now;
        let frames: Vec<_> = steps.iter().map(|(packet, ..)| packet.frame()).collect();
        let sightings: Vec<_> = steps
            .iter()
            .zip(&frames)
            .map(|((_, interface, out, identity, later), frame)| {
                now += later;
                Sighting {
                    time: now,
                    interface: *interface,
                    direction: if *out { Direction::Out } else { Direction::In },
                    identity: *identity,
                    link: Link::Ethernet,
                    frame,
                    original_len: frame.len() as u32,
                    gso: None,
                }
            })
            .collect();
        let one_by_one: Vec<_> = sightings.iter().map(|it| apart.tracker.see(it)).collect();
        let mut at_once = Vec::new();
        together.tracker.see_all(&sightings, &mut at_once);
        prop_assert_eq!(one_by_one, at_once);
        apart.tracker.finish(now);
        together.tracker.finish(now);
        prop_assert_eq!(apart.tracker.take_records(), together.tracker.take_records());
        prop_assert_eq!(apart.tracker.summary(), together.tracker.summary());
    }

    #[test]
    fn a_path_without_ambiguity_is_followed_however_many_packets_are_on_it(
        order in prop::collection::vec(0..6usize, 20..120),
    ) {
        // Six connections' packets interleave over two hooks, all skbs of different addresses.
        let mut node = Node::new();
        let mut sent = [0u32; 6];
        let mut on_the_way: Vec<(usize, u32, u64)> = Vec::new();
        for (turn, which) in order.into_iter().enumerate() {
            let from = format!("172.17.0.2:{}", 1_000 + which);
            let packet = Packet::tcp(&from, "192.0.2.9:80", ".", sent[which], which as u32)
                .id(sent[which] as u16);
            let ticket = node.see(super::VETH, super::IN, Some(turn as u64), &packet);
            on_the_way.push((which, sent[which], ticket.packet_id()));
            sent[which] += 1;
            if turn % 3 == 2 {
                for (which, number, id) in on_the_way.drain(..) {
                    let from = format!("192.0.2.1:{}", 1_000 + which);
                    let packet = Packet::tcp(&from, "192.0.2.9:80", ".", number, which as u32)
                        .id(number as u16);
                    let identity = Some(1_000_000 + u64::from(number));
                    let ticket = node.see(super::ETH0, super::OUT, identity, &packet);
                    prop_assert_eq!(ticket.packet_id(), id);
                }
            }
        }
    }
}
