//! A firewall's rule answered: netfilter's REJECT with tcp-reset.
//!
//! `nf_send_reset` writes the same header as a socket that knows no such connection, so nothing
//! on the wire proves it. What does: the kernel says that netfilter dropped the very packet that
//! the reset answers. A packet that was dropped reached nobody else who could have answered.

use super::cause::Finding;
use super::shape::{AT_ONCE, answered, delay, first, is_bare, sent};
use super::{Case, Cause, Confidence, OriginSide};
use crate::packet::Direction;

/// Netfilter dropped what it answers.
pub(super) fn told(case: &Case<'_>) -> Option<Finding> {
    if case.answered_dropped != Some("NETFILTER_DROP") || !like_netfilter(case) {
        return None;
    }
    let reset = first(case)?;
    let offender = case.answered_path.last();
    let here = match (reset.direction, offender) {
        // Made on this node: a reset from elsewhere, passing through, has lost at least one hop.
        (Direction::Out, None) => is_fresh(case),
        (Direction::Out, Some(stop)) => stop.direction == Direction::In && is_fresh(case),
        // Dropped behind the interface that it comes back from: in the pod.
        (Direction::In, Some(stop)) => {
            stop.direction == Direction::Out && stop.interface == reset.interface
        }
        (Direction::In, None) => false,
    };
    here.then(|| {
        Finding::new(
            Cause::RejectRule,
            Confidence::Kernel,
            [
                "netfilter dropped the packet that it answers (NETFILTER_DROP)",
                "no socket sent it",
            ],
        )
    })
}

/// Drops aren't told, but it was made here, no socket made it, and what it answers went no
/// further.
pub(super) fn unheard(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    let environment = case.environment;
    let went_no_further = !case.answered_path.is_empty()
        && case
            .answered_path
            .iter()
            .all(|stop| stop.direction == Direction::In);
    let rejected = side == OriginSide::Local
        && case.would_have_been_seen()
        && !environment.drops_told
        && case.answered_dropped.is_none()
        && first(case)?.direction == Direction::Out
        && went_no_further
        && like_netfilter(case)
        && is_fresh(case)
        && case.sender.segments_after_reset == 0;
    rejected.then(|| {
        Finding::new(
            Cause::RejectRule,
            Confidence::Heuristic,
            [
                "this node made it and no socket of it did",
                "the packet that it answers went no further",
            ],
        )
    })
}

/// All that the packets must have in common with `nf_send_reset`.
pub(super) fn like_netfilter(case: &Case<'_>) -> bool {
    answered(case).is_some()
        && is_bare(&case.reset)
        && case.reset.dont_fragment
        && case.reset.ip_id.is_none_or(|id| id == 0)
        && delay(case).is_some_and(|delay| delay <= AT_ONCE)
        && sent(case).is_none()
}

/// No router has lowered its TTL yet, which starts at one of these (net.ipv4.ip_default_ttl).
const fn is_fresh(case: &Case<'_>) -> bool {
    matches!(case.reset.ttl, 64 | 128 | 255)
}
