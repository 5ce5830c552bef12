//! Why: the order in which the rules are asked.
//!
//! The kernel's word comes first, what conntrack knows next, the packets last. A rule that isn't
//! sure says nothing and leaves it to the next one; when none answers, it is unknown.

use super::shape::{self, Signs, answered, came_in, is_syn, sent};
use super::{Case, Cause, Confidence, OriginSide, injected, kernel, packets, reject, translation};

/// What a rule found.
pub(super) struct Finding {
    pub(super) cause: Cause,
    pub(super) confidence: Confidence,
    /// The decisive clause first.
    pub(super) evidence: Vec<String>,
}

impl Finding {
    pub(super) fn new<const N: usize>(
        cause: Cause,
        confidence: Confidence,
        evidence: [&str; N],
    ) -> Self {
        Self {
            cause,
            confidence,
            evidence: evidence.iter().map(|&clause| clause.to_owned()).collect(),
        }
    }

    /// The evidence says something, and not what the cause is.
    pub(super) fn unknown<const N: usize>(evidence: [&str; N]) -> Self {
        Self::new(Cause::Unknown, Confidence::Heuristic, evidence)
    }

    pub(super) fn and(mut self, clauses: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(clauses);
        self
    }
}

pub(super) fn find(case: &Case<'_>, side: OriginSide) -> Finding {
    reject::told(case)
        .or_else(|| translation::find(case, side))
        .or_else(|| kernel::reset(case, side))
        .or_else(|| kernel::drop(case, side))
        .or_else(|| {
            if no_socket_here_sent_it(case, side) {
                reject::unheard(case, side).or_else(|| injected::unheard(case, side))
            } else {
                packets::find(case, side)
            }
        })
        .unwrap_or_else(|| open(case, side))
}

/// It was made on this machine, whose kernel tells of every reset that it makes for a connection,
/// and told of none: a firewall's rule made it, a raw socket, or another kernel or stack behind
/// the interface (a virtual machine, a sandbox).
fn no_socket_here_sent_it(case: &Case<'_>, side: OriginSide) -> bool {
    let environment = case.environment;
    matches!(side, OriginSide::Local | OriginSide::Pod)
        && environment.live
        && environment.resets_told
        && environment.reasons_told
        && case.told_all
        && sent(case).is_none()
}

/// What can be said all the same.
fn open(case: &Case<'_>, side: OriginSide) -> Finding {
    let mut clauses = Vec::new();
    if no_socket_here_sent_it(case, side) {
        clauses.push("no socket of this kernel sent it".to_owned());
    } else if sent(case).is_some() {
        clauses.push("a socket sent it, the kernel gives no reason".to_owned());
    }
    if let Some(reason) = case.answered_dropped {
        clauses.push(format!("the kernel dropped what it answers: {reason}"));
    }
    match answered(case) {
        Some(segment) if is_syn(segment) => clauses.push(if came_in(case) {
            "it refuses a connection".to_owned()
        } else {
            "it refuses a connection: a closed port and a reject rule look the same".to_owned()
        }),
        Some(_) if packets::answers_handshake(case) => clauses.push(
            "it answers the handshake: a full backlog and a lost connection look the same"
                .to_owned(),
        ),
        Some(_) => clauses.push("it answers a segment of the connection".to_owned()),
        None if shape::is_active(&case.reset) => clauses.push(
            "it looks like a socket that gave up: an abort and unread data look the same"
                .to_owned(),
        ),
        None => {}
    }
    if case.sender.segments_after_reset > 0 {
        clauses.push("its sender went on sending".to_owned());
    }
    Finding::unknown([])
        .and(clauses)
        .and(Signs::of(case).clauses())
}
