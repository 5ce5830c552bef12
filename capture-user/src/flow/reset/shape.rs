//! How a segment that resets looks.
//!
//! Linux makes a reset in two ways, and one can tell them apart. A *passive* one answers a segment
//! that fits nothing (`tcp_v4_send_reset`): a bare header, window 0, and its numbers come from the
//! segment that it answers. An *active* one is sent by a socket that gives up
//! (`tcp_send_active_reset`): it always acknowledges, and carries the socket's own window and
//! options. A firewall's answer (`nf_send_reset`) looks like a passive one in every field that
//! TCP or IPv4 has for it: sequence, flags, window, don't-fragment, identification 0, TTL.

use std::time::Duration;

use super::{Case, Segment, Stop};
use crate::flow::evidence::KernelReset;
use crate::packet::Direction;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const ACK: u8 = 16;

/// A reset that a stack or a firewall makes as an answer follows what it answers at once; more is
/// a network in between. Long enough for an emulated machine.
pub(super) const AT_ONCE: u64 = 100_000_000;

const MILLISECOND: u64 = 1_000_000;

pub(super) const fn has(segment: &Segment, flags: u8) -> bool {
    segment.flags & flags != 0
}

/// It asks for a connection.
pub(super) const fn is_syn(segment: &Segment) -> bool {
    has(segment, SYN) && !has(segment, ACK)
}

/// Nothing but the header, and no window.
pub(super) const fn is_bare(reset: &Segment) -> bool {
    reset.header_len == 20 && reset.window == 0 && reset.payload == 0
}

/// It can be an answer made without a connection. Options are left aside: an authenticated or
/// multipath connection has some even here.
pub(super) const fn may_be_passive(reset: &Segment) -> bool {
    reset.window == 0 && (!has(reset, ACK) || reset.sequence == 0)
}

/// It can only come from a socket that gave up, or from somebody who imitates one.
pub(super) const fn is_active(reset: &Segment) -> bool {
    has(reset, ACK) && reset.window != 0 && reset.sequence != 0
}

/// Whether its numbers are those with which RFC 9293 (3.10.7.1) has a closed port answer exactly
/// this segment.
pub(super) const fn answers(reset: &Segment, answered: &Segment) -> bool {
    if has(answered, ACK) {
        return !has(reset, ACK) && reset.sequence == answered.acknowledgement;
    }
    let mut end = answered.sequence.wrapping_add(answered.payload);
    if has(answered, SYN) {
        end = end.wrapping_add(1);
    }
    if has(answered, FIN) {
        end = end.wrapping_add(1);
    }
    has(reset, ACK) && reset.sequence == 0 && reset.acknowledgement == end
}

/// The segment that this reset exactly answers, if that was seen.
pub(super) fn answered<'a>(case: &'a Case<'_>) -> Option<&'a Segment> {
    case.answered
        .as_ref()
        .filter(|answered| answers(&case.reset, answered))
}

/// How long after what it may answer it came.
pub(super) fn delay(case: &Case<'_>) -> Option<u64> {
    case.answered
        .map(|answered| case.reset.time.saturating_sub(answered.time))
}

/// The kernel's event, if it can be about this very segment. Somebody may forge a reset of a
/// connection whose socket sends one as well.
pub(super) fn sent<'a>(case: &'a Case<'_>) -> Option<&'a KernelReset> {
    case.sent.as_ref().filter(|sent| match sent.reason {
        Some(
            "TCP_STATE"
            | "TCP_ABORT_ON_CLOSE"
            | "TCP_ABORT_ON_LINGER"
            | "TCP_ABORT_ON_MEMORY"
            | "TCP_KEEPALIVE_TIMEOUT"
            | "TCP_DISCONNECT_WITH_DATA",
        ) => has(&case.reset, ACK),
        Some("NOT_SPECIFIED") | None => true,
        Some(_) => may_be_passive(&case.reset),
    })
}

/// The first sighting was on the way in: whoever sent it is on that side.
pub(super) fn came_in(case: &Case<'_>) -> bool {
    first(case).is_some_and(|stop| stop.direction == Direction::In)
}

pub(super) fn first<'a>(case: &'a Case<'_>) -> Option<&'a Stop> {
    case.path.first()
}

/// What says that the sender's own stack didn't make it: each sign by itself may have another
/// reason.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    /// Its TTL, and that of all the sender's other segments.
    pub(super) ttl: Option<(u8, u8)>,
    /// It may be fragmented, and none of the sender's other segments may.
    pub(super) fragmentable: bool,
    /// It has an identification, and none of the sender's other segments has.
    pub(super) numbered: bool,
    /// It came back in less than half the time in which the sender ever answered: nanoseconds
    /// for it, and for the sender.
    pub(super) early: Option<(u64, u64)>,
}

impl Signs {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let reset = &case.reset;
        let sender = &case.sender;
        let usual = case.round_trip.filter(|_| case.handshake_timed);
        let early = answered(case).and(delay(case)).zip(usual);
        Self {
            ttl: sender
                .ttl
                .filter(|ttl| *ttl != reset.ttl)
                .map(|ttl| (reset.ttl, ttl)),
            fragmentable: !reset.dont_fragment && sender.dont_fragment == Some(true),
            numbered: reset.ip_id.is_some_and(|id| id != 0) && sender.ip_ids_zero == Some(true),
            // A millisecond more than the half, for jitter would look like distance otherwise.
            early: early.filter(|(taken, usual)| {
                taken.saturating_mul(2).saturating_add(MILLISECOND) < *usual
            }),
        }
    }

    pub(super) fn count(&self) -> usize {
        usize::from(self.ttl.is_some())
            + usize::from(self.fragmentable)
            + usize::from(self.numbered)
            + usize::from(self.early.is_some())
    }

    /// It seems to have come from somewhere else than the sender's segments do.
    pub(super) fn is_from_elsewhere(&self) -> bool {
        self.ttl.is_some() || self.early.is_some()
    }

    pub(super) fn clauses(&self) -> Vec<String> {
        let mut clauses = Vec::new();
        if let Some((its, usual)) = self.ttl {
            clauses.push(format!("ttl {its}, the flow's own is {usual}"));
        }
        if self.fragmentable {
            clauses.push("no don't-fragment flag, the sender's segments all have it".to_owned());
        }
        if self.numbered {
            clauses.push("an IP identification, the sender's segments have none".to_owned());
        }
        if let Some((taken, usual)) = self.early {
            clauses.push(format!(
                "it came back in {:.1?}, the sender never answered in less than {:.1?}",
                Duration::from_nanos(taken),
                Duration::from_nanos(usual)
            ));
        }
        clauses
    }
}
