//! What the packets alone can say.
//!
//! Little: most resets look alike. Each rule here asks for what nothing else is known to produce,
//! or says openly that it is a heuristic.

use std::time::Duration;

use super::cause::Finding;
use super::shape::{
    ACK, SYN, Signs, answered, came_in, delay, has, is_active, is_bare, is_syn, may_be_passive,
    sent,
};
use super::{Case, Cause, Confidence, OriginSide, Phase, injected};

const SECOND: u64 = 1_000_000_000;

/// After how long a known box forgets a silent connection.
pub(super) struct IdleLimit {
    pub(super) time: u64,
    whose: &'static str,
}

/// Documented by their makers: Azure's load balancer (4 minutes), AWS's NAT gateway and network
/// load balancer, and IPVS (`ipvsadm --set`, established connections).
pub(super) const IDLE_LIMITS: [IdleLimit; 3] = [
    IdleLimit {
        time: 240 * SECOND,
        whose: "Azure's load balancer",
    },
    IdleLimit {
        time: 350 * SECOND,
        whose: "AWS's NAT gateway and network load balancer",
    },
    IdleLimit {
        time: 900 * SECOND,
        whose: "IPVS",
    },
];

/// Windows keeps TIME-WAIT longest of those in use (TcpTimedWaitDelay, 4 minutes); Linux 1 minute.
const LONGEST_TIME_WAIT: u64 = 240 * SECOND;

/// An answer over any network comes within this.
const ANSWER: u64 = 3 * SECOND;

/// A connection that was used this recently hasn't been forgotten for its silence.
pub(super) const LIVELY: u64 = 60 * SECOND;

/// Keep-alive probes that must have gone unanswered. Linux sends 9 before it gives up.
const PROBES: u32 = 2;

/// Retransmissions that must have gone unanswered: as many as Windows sends
/// (TcpMaxDataRetransmissions). Linux gives up without a reset.
const RETRANSMISSIONS: u32 = 5;

pub(super) fn find(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    time_wait(case)
        .or_else(|| data_after_close(case))
        .or_else(|| idle_expiry(case))
        .or_else(|| injected::find(case))
        .or_else(|| backlog_overflow(case, side))
        .or_else(|| timeout(case))
        .or_else(|| closed_port(case))
        .or_else(|| no_connection(case))
        .or_else(|| application_abort(case))
}

/// `350.2 s without a packet before it`.
pub(super) fn silence(case: &Case<'_>) -> String {
    let seconds = Duration::from_nanos(case.idle).as_secs_f64();
    format!("{seconds:.1} s without a packet before it")
}

/// The other side, which closed an earlier connection with these ports first and so keeps it in
/// TIME-WAIT, answered this one's SYN with an acknowledgement of the earlier one.
pub(super) fn met_time_wait(case: &Case<'_>) -> bool {
    case.phase == Phase::SynSent
        && case
            .receiver
            .closed_first
            .is_some_and(|ago| ago <= LONGEST_TIME_WAIT)
        && answered(case).is_some_and(|segment| has(segment, ACK) && !has(segment, SYN))
}

fn time_wait(case: &Case<'_>) -> Option<Finding> {
    (met_time_wait(case) && is_bare(&case.reset)).then(|| {
        Finding::new(
            Cause::TimeWait,
            Confidence::Packet,
            [
                "its SYN was answered from the earlier connection of these ports",
                "the other side had closed that one first and still waits",
            ],
        )
    })
}

fn data_after_close(case: &Case<'_>) -> Option<Finding> {
    let answers_data = answered(case).is_some_and(|segment| has(segment, ACK));
    (case.sender.sent_fin
        && case.sender.bytes_after_fin > 0
        && answers_data
        && is_bare(&case.reset)
        && is_its_own(case))
    .then(|| {
        Finding::new(
            Cause::DataAfterClose,
            Confidence::Packet,
            [
                "its sender had sent FIN before",
                "it answers what came after that",
            ],
        )
        .and([format!(
            "{} payload bytes came after the FIN",
            case.sender.bytes_after_fin
        )])
    })
}

fn idle_expiry(case: &Case<'_>) -> Option<Finding> {
    let signs = Signs::of(case);
    let limit = IDLE_LIMITS.iter().rfind(|limit| case.idle >= limit.time)?;
    if sent(case).is_some()
        || case.sender.sent_fin
        || case.receiver.sent_fin
        || !matches!(case.phase, Phase::Established | Phase::Unknown)
        || !signs.is_from_elsewhere()
    {
        return None;
    }
    let forgets = format!(
        "{} forgets a connection after {} s",
        limit.whose,
        limit.time / SECOND
    );
    // Answered at once, so that the silence was before what it answers.
    if answered(case).is_some() && delay(case)? <= ANSWER {
        let clause = "it answers the first packet after a long silence";
        // That it came sooner than its sender's answers ever did may be due to those.
        let confidence = if signs.ttl.is_some() {
            Confidence::Packet
        } else {
            Confidence::Heuristic
        };
        let finding = Finding::new(Cause::IdleExpiry, confidence, [clause]);
        return Some(
            finding
                .and([silence(case)])
                .and(signs.clauses())
                .and([forgets]),
        );
    }
    // Some boxes reset by themselves when the time has come.
    let by_the_clock = case.idle - limit.time <= 2 * SECOND
        && delay(case).is_none_or(|delay| delay >= limit.time - SECOND);
    by_the_clock.then(|| {
        let clause = "it came by itself when the time was up";
        Finding::new(Cause::IdleExpiry, Confidence::Heuristic, [clause])
            .and([silence(case)])
            .and(signs.clauses())
            .and([forgets])
    })
}

/// Without the kernel's reason: only on this node, whose setting is known.
fn backlog_overflow(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    (side == OriginSide::Local
        && case.environment.abort_on_overflow == Some(true)
        && !case.environment.reasons_told
        && answers_handshake(case)
        && is_bare(&case.reset)
        && is_its_own(case))
    .then(|| {
        Finding::new(
            Cause::BacklogOverflow,
            Confidence::Heuristic,
            [
                "it answers the handshake's last segment",
                "net.ipv4.tcp_abort_on_overflow is 1",
            ],
        )
    })
}

/// It answers the segment that completes a handshake, or what was sent before anything was heard
/// of the sender after it.
pub(super) fn answers_handshake(case: &Case<'_>) -> bool {
    answered(case).is_some_and(|segment| has(segment, ACK) && !has(segment, SYN))
        && matches!(case.phase, Phase::SynReceived | Phase::Established)
        && case.from_its_start
        && case.sender.bytes == 0
        && !case.sender.sent_fin
        && case.sender.acknowledged == 0
        && case.receiver.acknowledged == 0
}

fn timeout(case: &Case<'_>) -> Option<Finding> {
    let probes = case.sender.keepalives_unanswered;
    let again = case.sender.retransmissions_unanswered;
    if !has(&case.reset, ACK) || !case.receiver.seen || is_refusal(case) || !is_its_own(case) {
        return None;
    }
    let clause = if probes >= PROBES {
        format!("{probes} keep-alive probes before it had no answer")
    } else if again >= RETRANSMISSIONS && sent(case).is_none() && came_in(case) {
        format!("{again} retransmissions before it had no answer")
    } else {
        return None;
    };
    Some(Finding::new(
        Cause::Timeout,
        Confidence::Heuristic,
        [&*clause],
    ))
}

/// A SYN was refused where it arrived. Nothing on the wire tells this from a rule that rejects
/// with a reset, which is much rarer; never said of one that may be this node's own.
fn closed_port(case: &Case<'_>) -> Option<Finding> {
    let refusal = is_refusal(case)
        && came_in(case)
        && is_bare(&case.reset)
        && case.phase == Phase::SynSent
        && case.sender.closed_first.is_none()
        && sent(case).is_none()
        && is_its_own(case);
    refusal.then(|| {
        Finding::new(
            Cause::ClosedPort,
            Confidence::Heuristic,
            [
                "it refuses the SYN as a port does where nobody listens",
                "a firewall's reject rule would look the same",
            ],
        )
    })
}

/// It answers a SYN, by its numbers.
fn is_refusal(case: &Case<'_>) -> bool {
    answered(case).is_some_and(is_syn)
}

/// A segment in mid-stream met a stack that doesn't know the connection. That it is the sender's
/// own, and not a box on the way, shows in the TTL. One whose stack knew the connection a moment
/// ago has rather found its backlog full.
fn no_connection(case: &Case<'_>) -> Option<Finding> {
    let unknown_there = answered(case).is_some_and(|segment| has(segment, ACK))
        && came_in(case)
        && is_bare(&case.reset)
        && !answers_handshake(case)
        && case.sender.ttl == Some(case.reset.ttl)
        && !case.sender.sent_fin
        && !case.receiver.sent_fin
        && case.idle < LIVELY
        && delay(case).is_some_and(|delay| delay <= ANSWER)
        && case.mapping.is_none()
        && case
            .tuples
            .iter()
            .all(|tuple| Some(tuple) == case.tuples.first())
        && matches!(case.phase, Phase::Established | Phase::Unknown)
        && is_its_own(case);
    unknown_there.then(|| {
        Finding::new(
            Cause::NoConnection,
            Confidence::Heuristic,
            [
                "it answers a segment as a stack does that doesn't know the connection",
                "its ttl is that of the sender's other segments",
            ],
        )
    })
}

/// A socket gave up, and it can't have left anything unread: nothing was ever sent to it.
fn application_abort(case: &Case<'_>) -> Option<Finding> {
    let told = sent(case).is_some();
    let gave_up = is_active(&case.reset)
        && case.from_its_start
        && matches!(
            case.phase,
            Phase::SynReceived | Phase::Established | Phase::Closing
        )
        && case.receiver.seen
        && case.receiver.bytes == 0
        && case.sender.keepalives_unanswered == 0
        && case.sender.retransmissions_unanswered == 0
        && case.reset.timestamps == case.sender.timestamps
        && (told || case.sender.ttl == Some(case.reset.ttl))
        && is_its_own(case);
    if !gave_up {
        return None;
    }
    // An imitation rarely carries the connection's own timestamps.
    let confidence = if told || case.reset.timestamps {
        Confidence::Packet
    } else {
        Confidence::Heuristic
    };
    Some(Finding::new(
        Cause::ApplicationAbort,
        confidence,
        [
            "a socket that gave up sent it: it acknowledges, with a window",
            "there was nothing to read that it could have left unread",
        ],
    ))
}

/// Nothing says that somebody else made it in its sender's name.
fn is_its_own(case: &Case<'_>) -> bool {
    case.sender.segments_after_reset == 0 && Signs::of(case).count() == 0
}

/// It can be somebody's honest answer to the last segment, made at once.
pub(super) fn may_be_an_answer(case: &Case<'_>) -> bool {
    let usual = case.round_trip.map_or(SECOND, |time| {
        time.saturating_mul(4).max(super::shape::AT_ONCE * 2)
    });
    may_be_passive(&case.reset) && delay(case).is_none_or(|delay| delay <= usual)
}
