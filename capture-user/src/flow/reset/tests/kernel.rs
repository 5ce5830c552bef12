use super::*;
use Cause::*;

#[track_caller]
fn says(reason: &'static str, scene: Scene, cause: Cause) {
    let confidence = if cause == Unknown {
        Confidence::Heuristic
    } else {
        Confidence::Kernel
    };
    let scene = scene.told(reason, POD);
    scene.is(cause, confidence);
    let evidence = scene.verdict().evidence;
    assert!(
        evidence.iter().any(|clause| clause.contains(reason)),
        "{evidence:?}"
    );
}

fn with_active(scene: Scene) -> Scene {
    scene.with(|s| s.reset = active())
}

fn closing() -> Scene {
    from_pod().with(|s| {
        s.phase = Phase::Closing;
        s.sender.sent_fin = true;
        s.sender.bytes_after_fin = 100;
    })
}

#[test]
fn no_socket_for_a_syn_is_a_closed_port() {
    says("NO_SOCKET", refused(), ClosedPort);
    says(
        "NO_SOCKET",
        refused().with(|s| s.answered = None),
        ClosedPort,
    );
}

#[test]
fn no_socket_for_a_refusal_after_something_else_than_a_syn_is_unknown() {
    says(
        "NO_SOCKET",
        refused().with(|s| s.answered = Some(data())),
        Unknown,
    );
}

#[test]
fn no_socket_for_a_segment_in_mid_stream_is_no_connection() {
    says("NO_SOCKET", from_pod(), NoConnection);
}

#[test]
fn no_socket_for_a_syn_ack_is_no_connection() {
    let scene = from_pod().with(|s| {
        s.phase = Phase::SynReceived;
        s.answered = Some(Segment {
            flags: SYN | ACK,
            payload: 0,
            ..data()
        });
    });
    says("NO_SOCKET", scene, NoConnection);
}

#[test]
fn no_socket_for_data_after_a_close_is_data_after_close() {
    says("NO_SOCKET", closing(), DataAfterClose);
}

#[test]
fn a_listener_that_gets_a_segment_in_mid_stream_has_no_such_connection() {
    says("TCP_FLAGS", from_pod(), NoConnection);
}

#[test]
fn a_listener_that_gets_a_handshakes_end_it_does_not_know_is_unknown() {
    says(
        "TCP_FLAGS",
        from_pod().with(|s| s.phase = Phase::SynReceived),
        Unknown,
    );
}

#[test]
fn a_listener_that_gets_what_follows_a_handshake_that_its_full_queue_took_no_more_is_unknown() {
    // The client went on sending, and nothing was ever heard of the server again.
    let unheard = from_pod().with(|s| {
        s.sender.bytes = 0;
        s.sender.acknowledged = 0;
        s.receiver.acknowledged = 0;
    });
    says("TCP_FLAGS", unheard, Unknown);
}

#[test]
fn an_aborted_socket_is_an_application_abort() {
    for reason in [
        "TCP_STATE",
        "TCP_ABORT_ON_LINGER",
        "TCP_DISCONNECT_WITH_DATA",
    ] {
        says(reason, with_active(from_pod()), ApplicationAbort);
    }
}

#[test]
fn an_abort_with_a_closed_window_is_still_what_the_kernel_says() {
    let scene = with_active(from_pod()).with(|s| s.reset.window = 0);
    says("TCP_STATE", scene, ApplicationAbort);
}

#[test]
fn a_close_with_unread_data_is_unread_data() {
    says("TCP_ABORT_ON_CLOSE", with_active(from_pod()), UnreadData);
}

#[test]
fn keep_alive_probes_without_an_answer_are_a_timeout() {
    says("TCP_KEEPALIVE_TIMEOUT", with_active(from_pod()), Timeout);
}

#[test]
fn data_for_a_closed_socket_is_data_after_close() {
    says("TCP_ABORT_ON_DATA", closing(), DataAfterClose);
    says("TCP_TIMEWAIT_SOCKET", closing(), DataAfterClose);
}

#[test]
fn an_abort_on_data_that_nobody_sent_is_unknown() {
    let scene = from_pod().with(|s| {
        s.answered = Some(Segment {
            payload: 0,
            ..data()
        })
    });
    says("TCP_ABORT_ON_DATA", scene, Unknown);
}

#[test]
fn a_syn_for_a_socket_that_waits_is_time_wait() {
    let scene = refused().with(|s| s.answered = Some(syn()));
    says("TCP_TIMEWAIT_SOCKET", scene, TimeWait);
}

#[test]
fn a_socket_that_waits_and_got_nobody_knows_what_is_unknown() {
    says(
        "TCP_TIMEWAIT_SOCKET",
        from_pod().with(|s| s.answered = None),
        Unknown,
    );
}

#[test]
fn an_answer_from_the_earlier_connection_is_time_wait_if_that_was_closed() {
    let challenged = from_pod().with(|s| {
        s.phase = Phase::SynSent;
        s.answered = Some(Segment {
            payload: 0,
            ..data()
        });
    });
    let closed = challenged
        .clone()
        .with(|s| s.receiver.closed_first = Some(5 * SECOND));
    says("TCP_INVALID_ACK_SEQUENCE", closed.clone(), TimeWait);
    says("TCP_RFC7323_PAWS", closed, TimeWait);
    // It may have been left half open just as well.
    says("TCP_INVALID_ACK_SEQUENCE", challenged, Unknown);
}

#[test]
fn a_full_accept_queue_is_backlog_overflow_in_spite_of_the_reasons_name() {
    let scene = from_pod().with(|s| {
        s.answered = Some(Segment {
            payload: 0,
            ..data()
        })
    });
    says("INVALID_SYN", scene, BacklogOverflow);
}

#[test]
fn a_bad_syn_is_not_backlog_overflow() {
    says("INVALID_SYN", refused(), Unknown);
    says(
        "INVALID_SYN",
        from_pod().with(|s| s.answered = None),
        Unknown,
    );
}

#[test]
fn a_reason_without_a_cause_of_ours_is_said_and_not_interpreted() {
    for reason in [
        "TCP_ABORT_ON_MEMORY",
        "MPTCP_RST_EMIDDLEBOX",
        "ERROR",
        "FROM_THE_FUTURE",
    ] {
        let scene = if reason == "TCP_ABORT_ON_MEMORY" {
            with_active(from_pod())
        } else {
            from_pod()
        };
        says(reason, scene, Unknown);
    }
}

#[test]
fn an_event_about_another_reset_of_the_same_tuple_does_not_count() {
    // A socket that knows nothing of it sends no window; a socket that gives up acknowledges.
    with_active(from_outside())
        .told("NO_SOCKET", POD)
        .is_unknown();
    from_outside().told("TCP_STATE", POD).is_unknown();
}

#[test]
fn before_reasons_the_drop_of_the_answered_packet_tells() {
    let old = |scene: Scene, reason| {
        scene.with(|s| {
            s.environment = told_everything();
            s.environment.reasons_told = false;
            s.answered_dropped = Some(reason);
        })
    };
    old(refused(), "NO_SOCKET").is(ClosedPort, Confidence::Kernel);
    old(from_pod(), "NO_SOCKET").is(NoConnection, Confidence::Kernel);
    old(from_pod(), "TCP_LISTEN_OVERFLOW").is(BacklogOverflow, Confidence::Kernel);
    old(from_pod(), "SOCKET_RCVBUFF").is_unknown();
    // Too late to be the answer to it.
    old(from_pod().with(|s| s.reset.time += SECOND), "NO_SOCKET").is_unknown();
}
