use super::*;

/// A connection whose sender's stack has the reset's TTL.
fn known_sender() -> Scene {
    from_outside().with(|s| s.sender.ttl = Some(57))
}

fn after_close() -> Scene {
    from_outside().with(|s| {
        s.phase = Phase::Closing;
        s.sender.sent_fin = true;
        s.sender.bytes_after_fin = 100;
    })
}

fn after_silence(seconds: u64) -> Scene {
    from_outside().with(|s| {
        s.idle = seconds * SECOND;
        s.reset.ttl = 63;
        s.sender.ttl = Some(57);
    })
}

fn aborted() -> Scene {
    known_sender().with(|s| {
        s.reset = active();
        s.receiver.bytes = 0;
    })
}

#[test]
fn a_refused_syn_is_likely_a_closed_port() {
    refused().is(Cause::ClosedPort, Confidence::Heuristic);
}

#[test]
fn a_refusal_that_may_be_this_nodes_own_rule_is_unknown() {
    refused().seen(VETH, Role::Pod, Out).is_unknown();
}

#[test]
fn a_refusal_with_other_numbers_than_a_closed_ports_is_unknown() {
    refused()
        .with(|s| s.reset.acknowledgement += 1)
        .is_unknown();
    refused().with(|s| s.reset.sequence = 1).is_unknown();
    refused().with(|s| s.reset.window = 1).is_unknown();
    refused().with(|s| s.reset.header_len = 32).is_unknown();
}

#[test]
fn a_refusal_by_a_side_in_time_wait_is_no_closed_port() {
    refused()
        .with(|s| s.sender.closed_first = Some(SECOND))
        .is_unknown();
}

#[test]
fn an_answer_in_mid_stream_from_the_senders_distance_is_likely_no_connection() {
    known_sender().is(Cause::NoConnection, Confidence::Heuristic);
}

#[test]
fn an_answer_in_mid_stream_from_nobody_knows_where_is_unknown() {
    from_outside().is_unknown();
    known_sender().with(|s| s.reset.sequence += 1).is_unknown();
    known_sender().seen(ETH0, Role::Uplink, Out).is_unknown();
    known_sender().with(|s| s.idle = 120 * SECOND).is_unknown();
    known_sender()
        .with(|s| s.receiver.sent_fin = true)
        .is_unknown();
}

#[test]
fn an_answer_to_the_handshake_is_unknown_for_a_full_backlog_looks_the_same() {
    let answers_handshake = || {
        known_sender().with(|s| {
            s.answered = Some(Segment {
                payload: 0,
                ..data()
            });
            (s.sender.bytes, s.sender.acknowledged) = (0, 0);
            (s.receiver.bytes, s.receiver.acknowledged) = (0, 0);
        })
    };
    answers_handshake().is_unknown();
    let said = answers_handshake().verdict().evidence;
    assert!(
        said.iter().any(|clause| clause.contains("full backlog")),
        "{said:?}"
    );
    // Joined late, nothing is known of a handshake.
    answers_handshake()
        .with(|s| s.from_its_start = false)
        .is(Cause::NoConnection, Confidence::Heuristic);
}

#[test]
fn data_after_the_senders_fin_is_data_after_close() {
    after_close().is(Cause::DataAfterClose, Confidence::Packet);
}

#[test]
fn a_reset_after_a_fin_without_data_is_not_data_after_close() {
    after_close()
        .with(|s| s.sender.bytes_after_fin = 0)
        .is_unknown();
    after_close().with(|s| s.reset = active()).is_unknown();
    after_close().with(|s| s.sender.ttl = Some(50)).is_unknown();
}

#[test]
fn an_answer_from_elsewhere_after_a_long_silence_is_idle_expiry() {
    let scene = after_silence(350);
    scene.is(Cause::IdleExpiry, Confidence::Packet);
    assert_eq!(
        scene.verdict().evidence,
        [
            "it answers the first packet after a long silence",
            "350.0 s without a packet before it",
            "ttl 63, the flow's own is 57",
            "AWS's NAT gateway and network load balancer forgets a connection after 350 s",
            "first seen entering at eth0",
        ]
    );
    after_silence(240).is(Cause::IdleExpiry, Confidence::Packet);
}

#[test]
fn an_answer_faster_than_the_sender_ever_was_is_from_elsewhere_too() {
    after_silence(1000)
        .with(|s| {
            s.reset.ttl = 57;
            s.round_trip = Some(80 * MS);
        })
        .is(Cause::IdleExpiry, Confidence::Heuristic);
}

#[test]
fn an_answer_faster_than_delayed_acknowledgements_says_nothing() {
    // The server's host failed over in the silence; all that was seen of it before were answers to data.
    after_silence(1000)
        .with(|s| {
            s.reset.ttl = 57;
            s.round_trip = Some(80 * MS);
            s.handshake_timed = false;
        })
        .is_unknown();
}

#[test]
fn a_silence_alone_is_not_idle_expiry() {
    after_silence(350).with(|s| s.reset.ttl = 57).is_unknown();
    after_silence(239).is_unknown();
    after_silence(350)
        .with(|s| s.sender.sent_fin = true)
        .is_unknown();
}

#[test]
fn a_box_that_resets_by_itself_when_its_time_is_up_is_likely_idle_expiry() {
    let by_itself = |seconds| after_silence(seconds).with(|s| s.answered = None);
    by_itself(241).is(Cause::IdleExpiry, Confidence::Heuristic);
    by_itself(300).is_unknown();
}

#[test]
fn a_socket_that_gives_up_with_nothing_to_read_is_an_application_abort() {
    aborted().is(Cause::ApplicationAbort, Confidence::Packet);
}

#[test]
fn an_abort_without_timestamps_could_be_imitated() {
    aborted()
        .with(|s| {
            s.reset.timestamps = false;
            s.reset.header_len = 20;
            s.sender.timestamps = false;
        })
        .is(Cause::ApplicationAbort, Confidence::Heuristic);
}

#[test]
fn an_abort_that_may_be_unread_data_is_unknown() {
    aborted().with(|s| s.receiver.bytes = 1).is_unknown();
    aborted().with(|s| s.from_its_start = false).is_unknown();
}

#[test]
fn an_abort_without_the_connections_timestamps_is_unknown() {
    aborted().with(|s| s.reset.timestamps = false).is_unknown();
}

#[test]
fn an_old_kernels_event_without_a_reason_still_proves_a_socket() {
    aborted()
        .with(|s| s.sender.ttl = None)
        .told("NOT_SPECIFIED", POD)
        .is(Cause::ApplicationAbort, Confidence::Packet);
}

#[test]
fn probes_without_an_answer_are_likely_a_timeout() {
    let silent = |probes| {
        aborted().with(|s| {
            s.receiver.bytes = 500;
            s.sender.keepalives_unanswered = probes;
        })
    };
    silent(3).is(Cause::Timeout, Confidence::Heuristic);
    silent(1).is_unknown();
    // A bare answer comes from a stack that has just been heard of.
    silent(3)
        .with(|s| s.reset = passive())
        .is(Cause::NoConnection, Confidence::Heuristic);
}

#[test]
fn retransmissions_without_an_answer_are_likely_a_timeout() {
    let silent = |times| aborted().with(|s| s.sender.retransmissions_unanswered = times);
    silent(5).is(Cause::Timeout, Confidence::Heuristic);
    silent(4).is_unknown();
}

#[test]
fn a_syn_answered_from_the_connection_before_it_is_time_wait() {
    let scene = from_pod().with(|s| {
        s.phase = Phase::SynSent;
        s.answered = Some(Segment {
            payload: 0,
            ..data()
        });
        s.receiver.closed_first = Some(20 * SECOND);
    });
    scene.is(Cause::TimeWait, Confidence::Packet);
    scene
        .clone()
        .with(|s| s.receiver.closed_first = None)
        .is_unknown();
    scene
        .clone()
        .with(|s| s.receiver.closed_first = Some(300 * SECOND))
        .is_unknown();
    scene.with(|s| s.phase = Phase::SynReceived).is_unknown();
}

#[test]
fn a_handshakes_end_that_this_node_resets_is_likely_backlog_overflow_where_that_is_set() {
    let overflow = from_outside().seen(ETH0, Role::Uplink, Out).with(|s| {
        s.environment.complete_since = Some(0);
        s.environment.abort_on_overflow = Some(true);
        s.phase = Phase::SynReceived;
        s.sender = Side::default();
        s.receiver = Side::default();
        s.answered = Some(Segment {
            payload: 0,
            ..data()
        });
    });
    overflow.is(Cause::BacklogOverflow, Confidence::Heuristic);
    for setting in [Some(false), None] {
        overflow
            .clone()
            .with(|s| s.environment.abort_on_overflow = setting)
            .is_unknown();
    }
    // A pod's setting is its own.
    overflow.clone().seen(VETH, Role::Pod, In).is_unknown();
    overflow.with(|s| s.sender.bytes = 10).is_unknown();
}

#[test]
fn a_reset_after_both_sides_closed_is_unknown() {
    known_sender()
        .with(|s| {
            s.phase = Phase::Closed;
            s.sender.sent_fin = true;
            s.receiver.sent_fin = true;
        })
        .is_unknown();
}
