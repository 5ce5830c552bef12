use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn any_segment() -> impl Strategy<Value = Segment> {
    // Numbers from a small range, so that segments often fit each other.
    let number = select(vec![0, 1, 5000, 5001, 5100, 9000, u32::MAX]);
    (
        (0..2000 * SECOND, number.clone(), number, any::<u8>()),
        (select(vec![0, 1, 502]), select(vec![0, 1, 100, u32::MAX])),
        (
            select(vec![0, 20, 32, 60]),
            any::<bool>(),
            select(vec![0, 57, 64, 128]),
        ),
        (option::of(select(vec![0, 7])), any::<bool>()),
    )
        .prop_map(
            |((time, sequence, acknowledgement, flags), sizes, head, ip)| Segment {
                time,
                sequence,
                acknowledgement,
                flags,
                window: sizes.0,
                payload: sizes.1,
                header_len: head.0,
                timestamps: head.1,
                ttl: head.2,
                ip_id: ip.0,
                dont_fragment: ip.1,
            },
        )
}

fn any_reset() -> impl Strategy<Value = Segment> {
    prop_oneof![
        any_segment(),
        Just(passive()),
        Just(active()),
        Just(refusal()),
    ]
}

fn any_answered() -> impl Strategy<Value = Option<Segment>> {
    option::of(prop_oneof![any_segment(), Just(data()), Just(syn())])
}

fn any_tuple() -> impl Strategy<Value = Tuple> {
    let ends = vec![
        "172.17.0.2:41022",
        "192.0.2.9:443",
        "192.0.2.1:41022",
        "[2001:db8::1]:80",
    ];
    (select(ends.clone()), select(ends)).prop_map(|(from, to)| tuple(from, to))
}

fn any_stop() -> impl Strategy<Value = Stop> {
    let roles = vec![
        Role::Uplink,
        Role::Pod,
        Role::Shared,
        Role::Local,
        Role::Unknown,
    ];
    (0..5_u32, select(roles), select(vec![In, Out]), any_tuple())
        .prop_map(|(interface, role, direction, tuple)| stop(interface, role, direction, tuple))
}

fn any_side() -> impl Strategy<Value = Side> {
    let bytes = || select(vec![0_u64, 1, 700, u64::MAX]);
    let times = || select(vec![0_u32, 1, 5, u32::MAX]);
    (
        (any::<[bool; 2]>(), bytes(), bytes(), bytes()),
        (times(), times(), times()),
        (option::of(select(vec![57, 64])), option::of(any::<bool>())),
        (
            any::<bool>(),
            option::of(any::<bool>()),
            option::of(0..400 * SECOND),
        ),
    )
        .prop_map(|(sent, counts, ip, more)| Side {
            seen: sent.0[0],
            sent_fin: sent.0[1],
            bytes: sent.1,
            acknowledged: sent.2,
            bytes_after_fin: sent.3,
            retransmissions_unanswered: counts.0,
            keepalives_unanswered: counts.1,
            segments_after_reset: counts.2,
            ttl: ip.0,
            ip_ids_zero: ip.1,
            timestamps: more.0,
            dont_fragment: more.1,
            closed_first: more.2,
        })
}

fn any_event() -> impl Strategy<Value = Option<KernelReset>> {
    let reasons = vec![
        "NOT_SPECIFIED",
        "NO_SOCKET",
        "TCP_FLAGS",
        "TCP_STATE",
        "TCP_ABORT_ON_CLOSE",
        "TCP_ABORT_ON_DATA",
        "TCP_TIMEWAIT_SOCKET",
        "TCP_KEEPALIVE_TIMEOUT",
        "TCP_INVALID_ACK_SEQUENCE",
        "INVALID_SYN",
        "SOMETHING_NEW",
    ];
    option::of(
        (
            any_tuple(),
            option::of(select(reasons)),
            select(vec![0, NODE, POD]),
        )
            .prop_map(|(tuple, reason, netns)| KernelReset {
                tuple,
                reason,
                netns,
            }),
    )
}

fn any_mapping() -> impl Strategy<Value = Option<Mapping>> {
    let changes = vec![Change::Present, Change::Removed];
    option::of(
        (any_tuple(), any_tuple(), select(changes)).prop_map(|(original, reply, change)| Mapping {
            original,
            reply,
            change,
        }),
    )
}

fn any_environment() -> impl Strategy<Value = Environment> {
    (
        (
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        ),
        select(vec![0, NODE]),
        (option::of(any::<bool>()), option::of(any::<bool>())),
    )
        .prop_map(|(flags, netns, settings)| Environment {
            live: flags.0,
            resets_told: flags.1,
            reasons_told: flags.2,
            drops_told: flags.3,
            complete_since: flags.4.then_some(0),
            netns,
            abort_on_overflow: settings.0,
            conntrack_be_liberal: settings.1,
            ..saved_file()
        })
}

fn any_scene() -> impl Strategy<Value = Scene> {
    let drops = vec![
        "NETFILTER_DROP",
        "NO_SOCKET",
        "TCP_LISTEN_OVERFLOW",
        "TCP_FLAGS",
    ];
    let phases = vec![
        Phase::SynSent,
        Phase::SynReceived,
        Phase::Established,
        Phase::Closing,
        Phase::Closed,
        Phase::Unknown,
    ];
    let idle = select(vec![
        0,
        SECOND,
        240 * SECOND,
        350 * SECOND,
        1000 * SECOND,
        u64::MAX,
    ]);
    (
        (
            any_reset(),
            vec(any_stop(), 0..4),
            any_answered(),
            vec(any_stop(), 0..4),
        ),
        (
            any_side(),
            any_side(),
            select(phases),
            any::<bool>(),
            any::<[bool; 2]>(),
        ),
        (
            idle,
            option::of(select(vec![0, MS, SECOND, u64::MAX])),
            vec(any_tuple(), 0..3),
        ),
        (
            any_event(),
            any_event(),
            any_mapping(),
            option::of(select(drops)),
        ),
        any_environment(),
    )
        .prop_map(|(seen, sides, times, facts, environment)| Scene {
            reset: seen.0,
            path: seen.1,
            answered: seen.2,
            answered_path: seen.3,
            answered_dropped: facts.3,
            sender: sides.0,
            receiver: sides.1,
            phase: sides.2,
            from_its_start: sides.3,
            idle: times.0,
            round_trip: times.1,
            handshake_timed: sides.4[1],
            tuples: times.2,
            sent: facts.0,
            received: facts.1,
            told_all: sides.4[0],
            mapping: facts.2,
            environment,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_same_case_always_has_the_same_verdict_with_evidence(scene in any_scene()) {
        let verdict = scene.verdict();
        prop_assert!(!verdict.evidence.is_empty());
        prop_assert!(verdict.evidence.iter().all(|clause| !clause.is_empty()));
        prop_assert_eq!(verdict, scene.verdict());
    }

    #[test]
    fn no_side_is_claimed_that_the_capture_did_not_see(scene in any_scene()) {
        let first = scene.path.first();
        let came_in_at = |role| first.is_some_and(|s| s.direction == In && s.role == role);
        match scene.verdict().origin.side {
            OriginSide::Uplink => prop_assert!(came_in_at(Role::Uplink)),
            OriginSide::Pod => prop_assert!(came_in_at(Role::Pod)),
            OriginSide::Local => {
                let on_loopback = first.is_some_and(|s| s.role == Role::Local);
                let went_out = first.is_some_and(|s| s.direction == Out);
                let told = scene.sent.is_some_and(|sent| sent.netns == NODE);
                prop_assert!(
                    on_loopback || (went_out && (told || scene.environment.complete_since.is_some()))
                );
            }
            OriginSide::Unknown => {}
        }
    }

    #[test]
    fn the_kernel_and_conntrack_are_named_only_where_they_said_something(scene in any_scene()) {
        let verdict = scene.verdict();
        match verdict.confidence {
            Confidence::Kernel => {
                prop_assert!(scene.sent.is_some() || scene.answered_dropped.is_some());
            }
            Confidence::Conntrack => prop_assert!(scene.mapping.is_some()),
            Confidence::Packet | Confidence::Heuristic => {}
        }
        if verdict.cause == Cause::Unknown {
            prop_assert_eq!(verdict.confidence, Confidence::Heuristic);
        }
    }

    #[test]
    fn a_case_without_evidence_is_unknown(scene in any_scene()) {
        let bare = scene.with(|s| {
            s.answered = None;
            s.answered_path.clear();
            s.answered_dropped = None;
            s.sender = Side::default();
            s.receiver = Side::default();
            s.phase = Phase::Unknown;
            s.from_its_start = false;
            s.idle = 0;
            s.round_trip = None;
            s.sent = None;
            s.received = None;
            s.mapping = None;
        });
        prop_assert_eq!(bare.verdict().cause, Cause::Unknown);
    }

    #[test]
    fn a_saved_file_never_leads_to_a_reject_rule(scene in any_scene()) {
        let replayed = scene.with(|s| {
            s.environment = saved_file();
            s.answered_dropped = None;
        });
        prop_assert_ne!(replayed.verdict().cause, Cause::RejectRule);
    }

    #[test]
    fn a_reset_that_a_socket_here_sent_is_never_called_injected(scene in any_scene()) {
        let sent = scene.with(|s| {
            s.sent = Some(KernelReset {
                tuple: tuple("172.17.0.2:41022", "192.0.2.9:443"),
                reason: None,
                netns: POD,
            });
        });
        prop_assert_ne!(sent.verdict().cause, Cause::Injected);
        prop_assert_ne!(sent.verdict().cause, Cause::RejectRule);
    }
}
