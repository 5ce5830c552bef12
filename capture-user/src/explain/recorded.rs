//! The verdicts that a file of ours already has in its comments.
//!
//! They were made with the node's own evidence at hand, which the packets alone don't hold. So
//! where one is there and says more than can be found out again, it stands.

use std::collections::HashMap;

use serde::Serialize;

use crate::flow::record::{Record, ResetRecord};
use crate::flow::reset::{Cause, Confidence, OriginSide};

/// The most verdicts that are remembered.
const RECORDED_MAX: usize = 1 << 16;

/// The verdicts by the wall-clock time of the packet and who sent it.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    verdicts: HashMap<(u64, String), Verdict, foldhash::fast::RandomState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    side: OriginSide,
    cause: Cause,
    confidence: Confidence,
}

const CAUSES: [Cause; 13] = [
    Cause::ClosedPort,
    Cause::NoConnection,
    Cause::RejectRule,
    Cause::ApplicationAbort,
    Cause::UnreadData,
    Cause::DataAfterClose,
    Cause::BacklogOverflow,
    Cause::Timeout,
    Cause::TimeWait,
    Cause::ConntrackInvalid,
    Cause::IdleExpiry,
    Cause::Injected,
    Cause::Unknown,
];
const SIDES: [OriginSide; 4] = [
    OriginSide::Uplink,
    OriginSide::Pod,
    OriginSide::Local,
    OriginSide::Unknown,
];
const CONFIDENCES: [Confidence; 4] = [
    Confidence::Kernel,
    Confidence::Conntrack,
    Confidence::Packet,
    Confidence::Heuristic,
];

/// A value's stable name, as the flows file has it.
pub(super) fn name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

fn named<T: Copy + Serialize>(all: &[T], wanted: &str) -> Option<T> {
    all.iter().copied().find(|value| name(*value) == wanted)
}

impl Recorded {
    /// Notes a comment, if it holds a verdict: its keys are those of the flow core's comments.
    pub(super) fn note(&mut self, wall: u64, comment: &str) {
        if self.verdicts.len() >= RECORDED_MAX {
            return;
        }
        if let Some((from, verdict)) = parse(comment) {
            self.verdicts.insert((wall, from.to_owned()), verdict);
        }
    }

    /// Puts the recorded verdicts into a record.
    pub(super) fn amend(&self, record: &mut Record, wall: impl Fn(u64) -> u64) {
        if self.verdicts.is_empty() {
            return;
        }
        match record {
            Record::Reset(reset) => self.amend_reset(reset, &wall),
            Record::Flow(flow) => {
                for reset in &mut flow.resets {
                    self.amend_reset(reset, &wall);
                }
            }
            Record::Nat(_) => {}
        }
    }

    fn amend_reset(&self, reset: &mut ResetRecord, wall: impl Fn(u64) -> u64) {
        let key = (wall(reset.time), reset.from.to_string());
        let Some(verdict) = self.verdicts.get(&key) else {
            return;
        };
        if reset.origin.side == OriginSide::Unknown {
            reset.origin.side = verdict.side;
        }
        // What the packets alone prove now, they proved then.
        let same = (reset.cause, reset.confidence) == (verdict.cause, verdict.confidence);
        if same || verdict.cause == Cause::Unknown {
            return;
        }
        // A forgery often shows in what follows only, when the comment was already written. What the
        // node's own tables said isn't refuted by that: the sender goes on after a rule's reset, too.
        let by_the_node = matches!(
            verdict.confidence,
            Confidence::Kernel | Confidence::Conntrack
        );
        if reset.cause == Cause::Injected && !by_the_node {
            return;
        }
        (reset.cause, reset.confidence) = (verdict.cause, verdict.confidence);
        let source = match verdict.confidence {
            Confidence::Kernel => "the kernel told so",
            Confidence::Conntrack => "conntrack told so",
            Confidence::Packet | Confidence::Heuristic => "judged so",
        };
        reset
            .evidence
            .insert(0, format!("{source} when it was captured"));
    }
}

fn parse(comment: &str) -> Option<(&str, Verdict)> {
    let (_, keys) = comment.strip_suffix(']')?.rsplit_once(" [nodecap reset ")?;
    let value = |key: &str| {
        keys.split(' ')
            .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
    };
    let verdict = Verdict {
        side: named(&SIDES, value("origin")?)?,
        cause: named(&CAUSES, value("cause")?)?,
        confidence: named(&CONFIDENCES, value("confidence")?)?,
    };
    Some((value("from")?, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_in_a_comment_is_understood() {
        let comment = "Connection reset by 192.0.2.9:443. [nodecap reset from=192.0.2.9:443 \
                       origin=uplink interface=eth0 cause=closed-port confidence=kernel flow=3]";
        let verdict = Verdict {
            side: OriginSide::Uplink,
            cause: Cause::ClosedPort,
            confidence: Confidence::Kernel,
        };
        assert_eq!(parse(comment), Some(("192.0.2.9:443", verdict)));
        for other in [
            "GSO. [nodecap gso_size=1448]",
            " [nodecap reset from=x origin=uplink cause=boredom confidence=kernel]",
            " [nodecap reset origin=uplink cause=timeout confidence=kernel]",
            "[nodecap reset",
            "",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_the_kernel_said_stands_though_the_sender_goes_on() {
        use crate::flow::reset::{Origin, Phase};

        let end = |text: &str| text.parse::<std::net::SocketAddr>().map(Into::into);
        let (Ok(from), Ok(to)) = (end("192.0.2.9:443"), end("192.0.2.1:5000")) else {
            panic!("both are addresses")
        };
        for (cause, confidence, stands) in [
            ("reject-rule", "kernel", true),
            ("conntrack-invalid", "conntrack", true),
            ("closed-port", "heuristic", false),
        ] {
            let mut recorded = Recorded::default();
            recorded.note(
                7,
                &format!("x [nodecap reset from=192.0.2.9:443 origin=local interface=eth0 cause={cause} confidence={confidence} flow=3]"),
            );
            let mut reset = ResetRecord {
                time: 7,
                flow: 3,
                from,
                to,
                origin: Origin {
                    side: OriginSide::Local,
                    interface: 0,
                },
                cause: Cause::Injected,
                confidence: Confidence::Packet,
                evidence: Vec::new(),
                phase: Phase::Established,
                idle: 0,
                tunnel: None,
            };
            recorded.amend_reset(&mut reset, |time| time);
            assert_eq!(reset.cause != Cause::Injected, stands, "{cause}");
        }
    }

    #[test]
    fn every_value_has_a_name_of_its_own() {
        let mut names: Vec<_> = CAUSES.into_iter().map(name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), CAUSES.len());
        assert!(names.contains(&"time-wait".to_owned()));
    }
}
