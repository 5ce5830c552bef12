//! A stack answered that isn't the connection's end.
//!
//! Where an address is translated, each end knows one tuple and the node between them both. When
//! a segment passes untranslated, because conntrack called it invalid or had forgotten the
//! connection, it reaches a stack that never heard of it, and that stack resets a tuple that only
//! the translating node could know. conntrack's entry tells which tuple is whose.

use super::cause::Finding;
use super::packets::{IDLE_LIMITS, LIVELY, silence};
use super::shape::{AT_ONCE, delay, first, may_be_passive, sent};
use super::{Case, Cause, Confidence, OriginSide, Phase};
use crate::flow::evidence::{Change, Mapping};
use crate::flow::role::Role;
use crate::flow::tuple::Tuple;
use crate::packet::Direction;

const SECOND: u64 = 1_000_000_000;

/// Where the stack that sent it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// It is the end of the connection that the tuple belongs to.
    End,
    /// It has the other side's view of a translated end: a segment came to it untranslated.
    Between,
    /// The tuple is none of the entry's.
    Unclear,
}

fn seat(tuple: &Tuple, mapping: &Mapping) -> Seat {
    if *tuple == mapping.original || *tuple == mapping.reply {
        Seat::End
    } else if *tuple == mapping.original.reversed() || *tuple == mapping.reply.reversed() {
        Seat::Between
    } else {
        Seat::Unclear
    }
}

pub(super) fn find(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    // While a connection opens, an answer may have taken another way than the question, past the
    // node that translates: that looks the same and is a fault of routing.
    if !matches!(
        case.phase,
        Phase::Established | Phase::Closing | Phase::Unknown
    ) || !may_be_passive(&case.reset)
    {
        return None;
    }
    let own = own_tuple(case, side)?;
    let Some(mapping) = &case.mapping else {
        return forgotten(case, side);
    };
    if seat(&own, mapping) != Seat::Between {
        return None;
    }
    let finding = match mapping.change {
        Change::Present | Change::Made => still_there(case, mapping),
        Change::Removed => gone(case),
    };
    Some(finding.and([translates(mapping)]))
}

fn translates(mapping: &Mapping) -> String {
    let (from, to) = if mapping.original.destination == mapping.reply.source {
        (mapping.original.source, mapping.reply.destination)
    } else {
        (mapping.original.destination, mapping.reply.source)
    };
    format!("a stack that isn't the connection's end sent it: conntrack translates {from} to {to}")
}

/// The entry is there, and a segment passed it by; if it is there.
fn still_there(case: &Case<'_>, mapping: &Mapping) -> Finding {
    let at_once = delay(case).is_some_and(|delay| delay <= AT_ONCE.max(within(case)));
    if case.phase == Phase::Unknown || !at_once {
        return Finding::unknown(["a segment reached it untranslated"]);
    }
    // That an older entry goes isn't told. It doesn't as long as the connection is used.
    let told = mapping.change == Change::Made && case.environment.removals_lost.is_none();
    if !told && case.idle >= LIVELY {
        return Finding::unknown([
            "a segment reached it untranslated",
            "conntrack had the connection and may have forgotten it",
        ])
        .and([silence(case)]);
    }
    let confidence = if told {
        Confidence::Conntrack
    } else {
        Confidence::Heuristic
    };
    let clause = "a segment passed untranslated although conntrack has the connection";
    match case.environment.conntrack_be_liberal {
        Some(false) => Finding::new(
            Cause::ConntrackInvalid,
            confidence,
            [clause, "nf_conntrack_tcp_be_liberal is 0"],
        ),
        None => Finding::new(Cause::ConntrackInvalid, Confidence::Heuristic, [clause]),
        Some(true) => Finding::unknown([clause, "nf_conntrack_tcp_be_liberal is 1"]),
    }
}

fn within(case: &Case<'_>) -> u64 {
    case.round_trip.unwrap_or(0).saturating_mul(2)
}

/// The entry is gone.
fn gone(case: &Case<'_>) -> Finding {
    // conntrack counts in seconds; and it forgets a connection that was closed by itself.
    if case.idle < SECOND || case.sender.sent_fin || case.receiver.sent_fin {
        return Finding::unknown(["conntrack's entry for the connection is gone"]);
    }
    Finding::new(
        Cause::IdleExpiry,
        Confidence::Conntrack,
        ["conntrack's entry for the connection is gone"],
    )
    .and([silence(case)])
}

/// Nobody knows of an entry (IPVS and others keep their own), but this node is known to have
/// passed the connection on, and now answers by itself.
fn forgotten(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    let sent = sent(case)?;
    let by_itself = side == OriginSide::Local
        && sent.netns != 0
        && sent.netns == case.environment.netns
        && sent.reason == Some("NO_SOCKET")
        && is_translated(case)
        && case
            .answered_path
            .iter()
            .all(|stop| stop.direction == Direction::In)
        && !case.sender.sent_fin
        && !case.receiver.sent_fin;
    if !by_itself {
        return None;
    }
    if IDLE_LIMITS.iter().any(|limit| case.idle >= limit.time) {
        let clause = "this node passed the connection on before, now it answers by itself";
        let finding = Finding::new(Cause::IdleExpiry, Confidence::Heuristic, [clause]);
        return Some(finding.and([silence(case)]));
    }
    Some(Finding::unknown([
        "this node passed the connection on before, now it answers by itself",
    ]))
}

/// The tuple as the stack that sent it has it, before any translation on the way.
fn own_tuple(case: &Case<'_>, side: OriginSide) -> Option<Tuple> {
    if let Some(sent) = sent(case) {
        // For these alone a stack sends it that doesn't know the tuple.
        let stranger = matches!(sent.reason, Some("NO_SOCKET" | "TCP_FLAGS"));
        return stranger.then_some(sent.tuple);
    }
    let environment = case.environment;
    if environment.live && environment.resets_told && environment.reasons_told {
        return None;
    }
    // Where it left its sender's stack, nothing has translated it yet.
    let stop = first(case)?;
    (side == OriginSide::Pod && stop.role == Role::Pod && arrived_as_answered(case))
        .then_some(stop.tuple)
}

/// What it answers was seen arriving where it came from, with the same tuple.
fn arrived_as_answered(case: &Case<'_>) -> bool {
    first(case).is_some_and(|reset| {
        case.answered_path.iter().any(|stop| {
            stop.interface == reset.interface
                && stop.direction == Direction::Out
                && stop.tuple == reset.tuple.reversed()
        })
    })
}

/// The connection has several tuples on this node.
fn is_translated(case: &Case<'_>) -> bool {
    case.mapping
        .is_some_and(|mapping| mapping.original.reversed() != mapping.reply)
        || case
            .tuples
            .iter()
            .any(|tuple| Some(tuple) != case.tuples.first())
}

/// The stack that sent it is the connection's end, as far as anybody can tell: it isn't
/// translated, conntrack says so, or what it answers was translated on its way there.
pub(super) fn is_end(case: &Case<'_>, side: OriginSide) -> bool {
    if !is_translated(case) {
        return true;
    }
    let by_entry = sent(case)
        .zip(case.mapping.as_ref())
        .map(|(sent, mapping)| seat(&sent.tuple, mapping));
    match by_entry {
        Some(Seat::End) => return true,
        Some(Seat::Between) => return false,
        Some(Seat::Unclear) | None => {}
    }
    let path = case.answered_path;
    let translated = path
        .iter()
        .any(|stop| Some(stop.tuple) != path.first().map(|s| s.tuple));
    let passed_on = path.iter().any(|stop| stop.direction == Direction::Out);
    translated || (side == OriginSide::Uplink && !passed_on)
}
