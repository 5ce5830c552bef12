//! What the kernel's own reasons mean.
//!
//! A reset's reason (`enum sk_rst_reason`, since 6.10; those of an active reset since 6.12) names
//! the place in the code that sent it, which isn't always what its name suggests. Each line here
//! follows the places in net/ipv4 that use it.

use super::cause::Finding;
use super::shape::{ACK, AT_ONCE, FIN, SYN, answered, delay, has, is_bare, is_syn, sent};
use super::{Case, Cause, Confidence, OriginSide, Phase, packets, translation};

/// What the reason of the event says. `None` where there is none.
pub(super) fn reset(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    let reason = sent(case)?.reason?;
    let told = format!("the kernel sent it for {reason}");
    let finding = match reason {
        // tcp_v4_rcv: nothing for this tuple, no listener either.
        "NO_SOCKET" => no_socket(case, side),
        // tcp_rcv_state_process, LISTEN: only a listener returns it for a reset, for a segment
        // that acknowledges something. The connection that it belonged to is no more.
        // (Where nothing was heard of it after the handshake it may have met a full queue, whose
        // half-open connection is given up after a minute, or had a bad SYN cookie.)
        "TCP_FLAGS" if case.phase == Phase::SynReceived || packets::answers_handshake(case) => {
            Finding::unknown(["the listening socket doesn't know this handshake"])
        }
        "TCP_FLAGS" => unknown_connection(
            case,
            side,
            "a listening socket got a segment of no connection that it knows",
        ),
        // tcp_disconnect (SO_LINGER 0, connect to AF_UNSPEC, a listener that goes with
        // connections waiting in its queue) and tcp_abort (`ss -K`).
        "TCP_STATE" => because(
            Cause::ApplicationAbort,
            "its socket was aborted, not closed",
        ),
        // __tcp_close with a negative TCP_LINGER2.
        "TCP_ABORT_ON_LINGER" => because(
            Cause::ApplicationAbort,
            "its socket was closed with TCP_LINGER2 below zero",
        ),
        // tcp_disconnect with data still to be sent after the FIN was due.
        "TCP_DISCONNECT_WITH_DATA" => because(
            Cause::ApplicationAbort,
            "its socket was aborted with data still unsent",
        ),
        // __tcp_close.
        "TCP_ABORT_ON_CLOSE" => because(
            Cause::UnreadData,
            "its socket was closed with data in it that nobody had read",
        ),
        // tcp_keepalive_timer; TCP_USER_TIMEOUT ends there as well.
        "TCP_KEEPALIVE_TIMEOUT" => because(
            Cause::Timeout,
            "the other side answered no keep-alive probe",
        ),
        "TCP_ABORT_ON_DATA" => abort_on_data(case),
        "TCP_TIMEWAIT_SOCKET" => wait_socket(case),
        "INVALID_SYN" => invalid_syn(case),
        "TCP_INVALID_ACK_SEQUENCE"
        | "TCP_RFC7323_PAWS"
        | "TCP_TOO_OLD_ACK"
        | "TCP_OLD_ACK"
        | "TCP_ACK_UNSENT_DATA" => older_connection(case),
        "NOT_SPECIFIED" => return None,
        // Out of memory, multipath TCP's own, and whatever comes later: said, not interpreted.
        _ => Finding::unknown([]),
    };
    Some(finding.and([told]))
}

fn because(cause: Cause, clause: &str) -> Finding {
    Finding::new(cause, Confidence::Kernel, [clause])
}

/// What the reason for dropping the answered packet says, where the reset itself has none: before
/// 6.10 a reset by no socket isn't told, yet the drop is (since 5.17).
pub(super) fn drop(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    let reason = case.answered_dropped?;
    answered(case)?;
    if !is_bare(&case.reset) || delay(case)? > AT_ONCE || case.sender.segments_after_reset > 0 {
        return None;
    }
    let finding = match reason {
        "NO_SOCKET" => no_socket(case, side),
        // tcp_check_req, since 6.16; it resets only with tcp_abort_on_overflow.
        "TCP_LISTEN_OVERFLOW" => because(
            Cause::BacklogOverflow,
            "the listener's queue of connections to accept was full",
        ),
        _ => return None,
    };
    Some(finding.and([format!("the kernel dropped what it answers: {reason}")]))
}

fn no_socket(case: &Case<'_>, side: OriginSide) -> Finding {
    if !has(&case.reset, ACK) {
        return unknown_connection(case, side, "no socket there has this connection");
    }
    // With an acknowledgement it answers a segment that had none.
    match &case.answered {
        Some(segment) if !is_syn(segment) => {
            Finding::unknown(["no socket there has this connection"])
        }
        _ => because(Cause::ClosedPort, "nobody listens on that port"),
    }
}

fn unknown_connection(case: &Case<'_>, side: OriginSide, clause: &str) -> Finding {
    if case.sender.sent_fin && case.sender.bytes_after_fin > 0 {
        return because(
            Cause::DataAfterClose,
            "data reached a socket that was closed and gone",
        );
    }
    if translation::is_end(case, side) {
        because(Cause::NoConnection, clause)
    } else {
        Finding::unknown([
            "no socket where it arrived has this connection",
            "it is translated, and nothing shows that it arrived where it should",
        ])
    }
}

/// tcp_rcv_state_process, FIN-WAIT-1 and 2 of a closed socket, for data. (Or for an
/// acknowledgement, with a negative TCP_LINGER2.)
fn abort_on_data(case: &Case<'_>) -> Finding {
    let data = case
        .answered
        .is_none_or(|segment| segment.payload > 0 || has(&segment, FIN));
    if data || case.sender.bytes_after_fin > 0 {
        because(
            Cause::DataAfterClose,
            "data reached a socket after it was closed",
        )
    } else {
        Finding::unknown([])
    }
}

/// tcp_timewait_state_process returns it in FIN-WAIT-2 only: for data, or for a SYN.
fn wait_socket(case: &Case<'_>) -> Finding {
    match &case.answered {
        Some(segment) if has(segment, SYN) => because(
            Cause::TimeWait,
            "the earlier connection of these ports was not quite over",
        ),
        Some(segment) if segment.payload > 0 || has(segment, FIN) => because(
            Cause::DataAfterClose,
            "data reached a socket after it was closed",
        ),
        _ if case.sender.bytes_after_fin > 0 => because(
            Cause::DataAfterClose,
            "data reached a socket after it was closed",
        ),
        _ => Finding::unknown(["a socket that is closed already sent it"]),
    }
}

/// tcp_check_req: for a SYN in the window of a half-open connection; or, in spite of its name,
/// for the handshake's last segment when the queue is full and tcp_abort_on_overflow is set.
fn invalid_syn(case: &Case<'_>) -> Finding {
    match answered(case) {
        Some(segment) if has(segment, ACK) && !has(segment, SYN) => because(
            Cause::BacklogOverflow,
            "the listener's queue of connections to accept was full, tcp_abort_on_overflow is on",
        ),
        Some(segment) if has(segment, SYN) => {
            Finding::unknown(["a second SYN met a connection that was being opened"])
        }
        _ => Finding::unknown([]),
    }
}

/// tcp_rcv_synsent_state_process, and tcp_rcv_state_process in SYN-RECEIVED: what came in
/// acknowledges something else than what was sent. From the other side's TIME-WAIT only if it is
/// known to have been in it: a half-open connection left behind answers the same.
fn older_connection(case: &Case<'_>) -> Finding {
    if packets::met_time_wait(case) {
        return because(
            Cause::TimeWait,
            "the other side answered from the earlier connection of these ports",
        );
    }
    if case.phase == Phase::SynSent {
        Finding::unknown(["the answer to its SYN acknowledges something else"])
    } else {
        Finding::unknown(["a segment acknowledges what it never sent"])
    }
}
