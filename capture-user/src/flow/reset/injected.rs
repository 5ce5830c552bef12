//! Somebody between the two ends made it in its sender's name: a firewall, an intrusion
//! prevention system, a censor, an attacker.
//!
//! One sign is never enough. A TTL may be off because the sender's stack has another one for
//! resets; and a sender goes on after its own stack's reset when that answered a segment that
//! belonged elsewhere (one that came to it untranslated, on another node).

use super::cause::Finding;
use super::packets::may_be_an_answer;
use super::shape::{Signs, answered, is_active, is_bare, sent};
use super::{Case, Cause, Confidence, OriginSide, Phase, reject};

pub(super) fn find(case: &Case<'_>) -> Option<Finding> {
    if sent(case).is_some() {
        return None;
    }
    let signs = Signs::of(case);
    if case.sender.segments_after_reset > 0 {
        // A socket that gave up is gone; an answer comes at once, or it is none.
        let proved = signs.count() > 0 || is_active(&case.reset) || !may_be_an_answer(case);
        return proved.then(|| goes_on(case).and(signs.clauses()));
    }
    let lively = matches!(case.phase, Phase::Established | Phase::Closing);
    // Another TTL and an early answer say the same, that it came from nearer. A translating hop that
    // has forgotten the connection answers like that, in its sender's name and honestly.
    let nearer = signs.ttl.is_some() && signs.early.is_some() && is_bare(&case.reset);
    (lively && signs.count() - usize::from(nearer) >= 2)
        .then(|| Finding::new(Cause::Injected, Confidence::Heuristic, []).and(signs.clauses()))
}

/// It was made on this machine and no socket of it did, so an honest answer is ruled out, but for
/// that of another stack behind the interface (a virtual machine, a sandbox); a reject rule is, where
/// dropped packets are told.
pub(super) fn unheard(case: &Case<'_>, side: OriginSide) -> Option<Finding> {
    let no_rule = case.environment.drops_told || !reject::like_netfilter(case);
    let signs = Signs::of(case);
    // A guest that is asked about an earlier connection of its ports answers like this, and then opens
    // the new one.
    let no_guest = side != OriginSide::Pod
        || signs.count() > 0
        || answered(case).is_none()
        || !may_be_an_answer(case);
    let goes_on_alone = case.sender.segments_after_reset > 0 && case.answered_dropped.is_none();
    (goes_on_alone && no_rule && no_guest).then(|| {
        goes_on(case)
            .and(["no socket of this kernel sent it".to_owned()])
            .and(signs.clauses())
    })
}

fn goes_on(case: &Case<'_>) -> Finding {
    let clause = match case.sender.segments_after_reset {
        1 => "its sender sent another segment after it".to_owned(),
        more => format!("its sender sent {more} segments more after it"),
    };
    Finding::new(Cause::Injected, Confidence::Packet, [&*clause])
}
