//! From a reset's first sighting to its verdict.
//!
//! What the connection was like is noted when the reset is first seen; where else it was seen,
//! and what the kernel says of it, when its packet is written.

use super::super::comment;
use super::super::connection::Flow;
use super::super::happening::Kind;
use super::super::live::{FlowRef, Hook, Live};
use super::super::pending::{Judged, OwnedCase, Pending};
use super::super::record::{Record, ResetRecord};
use super::super::reset::{self, Cause, Confidence, Segment, Stop, Verdict};
use super::super::tcp;
use super::super::tunnel::Tunnel;
use super::super::tuple::{Endpoint, Tuple};
use super::{Annotations, Tracker};
use crate::packet::Direction;

/// Verdicts on one flow.
const MAX_VERDICTS: u8 = 4;

/// Resets that wait or are remembered, before the oldest must be judged.
const MAX_PENDING: usize = 1 << 16;

/// How long a verdict is kept for further sightings of its packet: nanoseconds.
const KEPT: u64 = 1_000_000_000;

impl Tracker {
    /// Notes a reset that is seen for the first time, before its flow learns of it. Whether there
    /// is to be a verdict on it: one that repeats the same side's has none.
    pub(super) fn note_reset(
        &mut self,
        packet: u64,
        flow: FlowRef,
        from: usize,
        segment: &Segment,
        hook: Hook,
    ) -> bool {
        let side = u8::from(from != 0);
        let Some(more) = self.table.more(flow) else {
            return false;
        };
        if more.reset_by == Some(side) || more.verdicts >= MAX_VERDICTS {
            return false;
        }
        more.reset_by = Some(side);
        more.verdicts += 1;
        more.due.push(packet);
        let mapping = more.mapping;
        let Some(found) = self.table.get(flow) else {
            return false;
        };
        let other = 1 - from;
        let turned_back = match hook.direction() {
            Direction::In => Direction::Out,
            Direction::Out => Direction::In,
        };
        let mut sender = found.sides[from].summary();
        sender.ttl = found.ttl_at(hook, from);
        sender.segments_after_reset = 0;
        let mut receiver = found.sides[other].summary();
        receiver.ttl = found.ttl_at(Hook::new(hook.interface(), turned_back), other);
        receiver.segments_after_reset = 0;
        receiver.bytes += found.sides[other].unseen(segment);
        let waited = u64::from(found.shared.waited) * 1_000_000;
        for (side, summary) in [(from, &mut sender), (other, &mut receiver)] {
            summary.closed_first = (usize::from(found.shared.waiting) == side).then_some(waited);
        }
        let case = OwnedCase {
            reset: *segment,
            path: Vec::new(),
            answered: found.sides[other].latest(),
            answered_path: Vec::new(),
            answered_dropped: None,
            sender,
            receiver,
            phase: found.phase(),
            from_its_start: found.shared.from_its_start,
            idle: tcp::idle(&found.sides, from, segment.time),
            round_trip: tcp::round_trip(&found.sides, from),
            handshake_timed: tcp::handshake_timed(&found.sides, from),
            tuples: Vec::new(),
            sent: None,
            received: None,
            told_all: false,
            mapping,
        };
        let pending = Pending {
            packet,
            time: segment.time,
            flow,
            from,
            after_reset: found.sides[from].after_reset(),
            answered_packet: found.sides[other].latest_packet(),
            case: Some(Box::new(case)),
            comment: String::new(),
        };
        if self.pending.len() >= MAX_PENDING {
            self.judge(0);
            self.pending.pop_front();
        }
        self.pending.push_back(pending);
        self.happened(Kind::Reset, segment.time, flow.id, packet);
        true
    }

    /// Adds the verdict's comment, made now if it wasn't yet.
    pub(super) fn comment_reset(&mut self, packet: u64, annotations: &mut Annotations) {
        let Ok(index) = self.pending_of(packet) else {
            return;
        };
        self.judge(index);
        let pending = &self.pending[index];
        if !pending.comment.is_empty() {
            annotations.comments.push(pending.comment.clone());
        }
        if annotations.flow.is_none() {
            annotations.flow = Some(pending.flow.id);
        }
    }

    /// Judges a reset that wasn't yet.
    fn judge(&mut self, index: usize) {
        let Some(pending) = self.pending.get_mut(index) else {
            return;
        };
        let Some(mut case) = pending.case.take() else {
            return;
        };
        let (packet, flow, from) = (pending.packet, pending.flow, pending.from);
        let (answered, after_reset) = (pending.answered_packet, pending.after_reset);
        let Some((id, ends)) = self.complete(&mut case, packet, flow, from, answered, after_reset)
        else {
            return;
        };
        let mut verdict = reset::judge(&case.case(&self.config.environment));
        let found = self.table.get(flow);
        let tunnel = found.and_then(|flow| flow.tunnel(from));
        if found.is_some_and(Flow::may_be_several) {
            verdict = verdict.undecided(SEVERAL);
        }
        // As the flow's own record names them, whatever the reset's packet had there.
        let (source, to) = (ends[from.min(1)], ends[1 - from.min(1)]);
        let first = case.path.first().map(|stop| stop.direction);
        let record = reset_record(id, &case, source, to, verdict, tunnel);
        let text = comment::reset(
            &record,
            self.interface_name(record.origin.interface),
            first.unwrap_or(Direction::In),
            &self.names,
        );
        if let Some(pending) = self.pending.get_mut(index) {
            pending.comment = text;
        }
        self.summary.count_reset(record.cause, record.origin.side);
        if self.config.records {
            self.tell(Record::Reset(Box::new(record.clone())));
        }
        if let Some(more) = self.table.more(flow) {
            more.resets.push(Judged {
                record,
                case,
                from,
                after_reset,
            });
        }
    }

    /// Fills in what was learned since the reset was first seen. Returns the flow's number and
    /// whom the reset is for; `None` if nothing is left to tell of.
    fn complete(
        &mut self,
        case: &mut OwnedCase,
        packet: u64,
        flow: FlowRef,
        from: usize,
        answered: u32,
        after_reset: u16,
    ) -> Option<(u64, [Endpoint; 2])> {
        let found = self.table.get(flow)?;
        case.path = self
            .packets
            .get(packet)
            .map(|live| self.stops_of(live))
            .unwrap_or_default();
        let window = self.config.window;
        if let Some(segment) = case.answered {
            let number = self.packets.number(answered);
            // The number is known by its low bits alone.
            if let Some(live) = self.packets.get(number)
                && live.first == segment.time
            {
                case.answered_path = self.stops_of(live);
                if let Some(identity) = live.identity
                    && let Some((told, reason)) =
                        self.recent.drop_of(identity.get(), live.last(), window)
                    && !self.packets.reused(number, identity.get(), told)
                {
                    case.answered_dropped = reason;
                }
            }
        }
        let side = found.sides[from].summary();
        case.sender.segments_after_reset =
            side.segments_after_reset.saturating_sub(after_reset.into());
        let first = case.path.first()?.tuple;
        case.tuples = vec![first];
        let legs = found.more.as_ref().map_or(1, |more| more.legs.len());
        for leg in 0..u8::try_from(legs).unwrap_or(u8::MAX) {
            let tuple = directed(self.table.leg(found, leg), from);
            if !case.tuples.contains(&tuple) {
                case.tuples.push(tuple);
            }
        }
        let time = case.reset.time;
        case.sent = self.recent.sent_as(&case.tuples, time, window);
        case.received = self.recent.received_as(&case.tuples, time, window);
        case.told_all = self.recent.has_all_of(time, window);
        case.mapping = found
            .more
            .as_ref()
            .and_then(|more| more.mapping)
            .or(case.mapping);
        let named = found.outermost(self.table.primary(found));
        Some((found.id, [named.source, named.destination]))
    }

    /// Where a packet was seen, as a verdict wants it.
    fn stops_of(&self, live: &Live) -> Vec<Stop> {
        let Some(flow) = self.table.get(live.flow) else {
            return Vec::new();
        };
        live.hooks()
            .iter()
            .enumerate()
            .map(|(index, hook)| Stop {
                time: live.time_at(index),
                interface: hook.interface(),
                role: self.role(hook.interface()),
                direction: hook.direction(),
                tuple: directed(
                    self.table.leg(flow, live.legs[index]),
                    usize::from(live.from),
                ),
            })
            .collect()
    }

    /// Judges what is due, and forgets what nobody asks for any more.
    pub(super) fn settle_resets(&mut self, now: u64) {
        let due = now.saturating_sub(self.config.window.saturating_mul(2));
        for index in 0..self.pending.len() {
            if self.pending[index].time >= due {
                break;
            }
            self.judge(index);
        }
        let kept = KEPT.max(self.config.window.saturating_mul(4));
        let before = now.saturating_sub(kept);
        while self
            .pending
            .front()
            .is_some_and(|pending| pending.case.is_none() && pending.time < before)
        {
            self.pending.pop_front();
        }
    }

    /// Judges all that there are.
    pub(super) fn judge_all(&mut self) {
        for index in 0..self.pending.len() {
            self.judge(index);
        }
    }

    /// Judges those of a flow: at the end of each that was reset, so not by a search among all.
    pub(super) fn judge_all_of(&mut self, flow: FlowRef) {
        let due = self.table.get_mut(flow).and_then(|flow| flow.more.as_mut());
        for packet in due
            .map(|more| std::mem::take(&mut more.due))
            .into_iter()
            .flatten()
        {
            if let Ok(index) = self.pending_of(packet) {
                self.judge(index);
            }
        }
    }

    fn pending_of(&self, packet: u64) -> Result<usize, usize> {
        self.pending
            .binary_search_by_key(&packet, |pending| pending.packet)
    }

    /// A flow's resets, those amended that what followed put in another light.
    pub(super) fn amended(
        &mut self,
        sides: &[tcp::Side; 2],
        judged: Vec<Judged>,
    ) -> Vec<ResetRecord> {
        judged
            .into_iter()
            .map(|mut judged| {
                let after = sides[judged.from.min(1)]
                    .after_reset()
                    .saturating_sub(judged.after_reset);
                if u32::from(after) > judged.case.sender.segments_after_reset {
                    judged.case.sender.segments_after_reset = after.into();
                    let verdict = reset::judge(&judged.case.case(&self.config.environment));
                    if verdict.cause == Cause::Injected && judged.record.cause != verdict.cause {
                        let side = judged.record.origin.side;
                        self.summary.uncount_reset(judged.record.cause, side);
                        self.summary.count_reset(verdict.cause, verdict.origin.side);
                        let ResetRecord {
                            flow,
                            from,
                            to,
                            tunnel,
                            ..
                        } = judged.record;
                        return reset_record(flow, &judged.case, from, to, verdict, tunnel);
                    }
                }
                judged.record
            })
            .collect()
    }
}

/// Why nothing can be said of a reset in a flow whose packets come in several tunnels.
const SEVERAL: &str = "packets with these addresses and ports come in several tunnels here: they \
                       may be of several connections";

impl Tracker {
    /// Takes back the causes of resets: it turned out that their flow may be several connections.
    pub(super) fn unsettle(&mut self, resets: &mut [ResetRecord]) {
        for reset in resets {
            if reset.cause != Cause::Unknown {
                self.summary.uncount_reset(reset.cause, reset.origin.side);
                reset.cause = Cause::Unknown;
                reset.confidence = Confidence::Heuristic;
                reset.evidence.insert(0, SEVERAL.to_owned());
                self.summary.count_reset(reset.cause, reset.origin.side);
            }
        }
    }
}

/// A flow's tuple as the packets of a side have it.
const fn directed(tuple: Tuple, from: usize) -> Tuple {
    if from == 0 { tuple } else { tuple.reversed() }
}

fn reset_record(
    flow: u64,
    case: &OwnedCase,
    from: Endpoint,
    to: Endpoint,
    verdict: Verdict,
    tunnel: Option<Tunnel>,
) -> ResetRecord {
    ResetRecord {
        time: case.reset.time,
        flow,
        from,
        to,
        origin: verdict.origin,
        cause: verdict.cause,
        confidence: verdict.confidence,
        evidence: verdict.evidence,
        phase: case.phase,
        idle: case.idle,
        tunnel,
    }
}
