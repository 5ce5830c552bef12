//! What somebody waits for, told as it happens.

use std::collections::VecDeque;

use super::super::evidence::Drop;
use super::super::happening::{Happening, Kind};
use super::super::live::FlowRef;
use super::Tracker;

/// How long after a drop its packet's record may be taken: nanoseconds. Records wait to be put in
/// order for up to 5 ms, and the kernel tells of the drop through another ring.
const LAG: u64 = 10_000_000;
/// Drops that wait for that.
const MAX_DROPS: usize = 4096;
/// How many packets to look at for the one that was dropped, where its tuple isn't known.
const MAX_SEARCH: usize = 1024;

/// Reasons by which ordinary packets end (`enum skb_drop_reason`): none at all, as for what a socket
/// in TIME-WAIT receives (`tcp_v4_rcv`, at `discard_it`), and that a socket was closed which had it
/// in its queue (`sk_stream_kill_queues`).
const ORDINARY: [&str; 2] = ["NOT_SPECIFIED", "QUEUE_PURGE"];

/// What was told, and what is to be told of.
#[derive(Debug, Default)]
pub(super) struct Happenings {
    told: Vec<Happening>,
    /// Drops of which it isn't known yet whose they are.
    drops: VecDeque<(u64, Drop)>,
}

/// A side's counts before a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    retransmits: u32,
    zero_windows: u16,
}

impl Tracker {
    /// What happened since the last call, of what [`super::Config::watch`] names.
    pub fn take_happenings(&mut self) -> impl Iterator<Item = Happening> {
        self.happenings.told.drain(..)
    }

    /// No packet is taken any more: what was waited with is told at the next call of
    /// [`Tracker::take_happenings`].
    pub fn settle_happenings(&mut self) {
        self.place_drops(u64::MAX);
    }

    /// Notes what happened, if somebody waits for it.
    pub(super) fn happened(&mut self, kind: Kind, time: u64, flow: u64, packet: u64) {
        if self.config.watch.contains(kind) {
            self.happenings.told.push(Happening::Event {
                kind,
                time,
                flow,
                packet,
            });
        }
    }

    pub(super) fn flows_joined(&mut self, gone: u64, kept: u64) {
        if !self.config.watch.is_empty() {
            self.happenings.told.push(Happening::Joined { gone, kept });
        }
    }

    pub(super) fn flow_ended(&mut self, flow: u64) {
        if !self.config.watch.is_empty() {
            self.happenings.told.push(Happening::Ended { flow });
        }
    }

    /// The number of a flow that a packet is of, as it is now. A packet that is written late may
    /// refer to a flow that has become part of another since: whoever sorts packets by their flows
    /// must not take these for two.
    pub(super) fn number_now(&self, flow: FlowRef) -> u64 {
        if self.config.watch.is_empty() {
            return flow.id;
        }
        self.table.resolve(flow).map_or(flow.id, |now| now.id)
    }

    /// A side's counts before it sends a segment; `None` if nobody waits for what they tell.
    pub(super) fn counted(&self, flow: FlowRef, from: usize) -> Option<Counted> {
        let watch = self.config.watch;
        if !watch.contains(Kind::Retransmit) && !watch.contains(Kind::ZeroWindow) {
            return None;
        }
        let side = &self.table.get(flow)?.sides[from.min(1)];
        Some(Counted {
            retransmits: side.retransmits,
            zero_windows: side.zero_windows,
        })
    }

    /// Notes what the counts of the same side tell now.
    pub(super) fn compare(
        &mut self,
        before: Counted,
        flow: FlowRef,
        from: usize,
        time: u64,
        packet: u64,
    ) {
        let Some(now) = self.counted(flow, from) else {
            return;
        };
        if now.retransmits != before.retransmits {
            self.happened(Kind::Retransmit, time, flow.id, packet);
        }
        if now.zero_windows != before.zero_windows {
            self.happened(Kind::ZeroWindow, time, flow.id, packet);
        }
    }

    /// Takes the kernel's word that a packet was dropped.
    pub(super) fn note_drop(&mut self, time: u64, drop: &Drop) {
        let named = drop
            .reason
            .is_some_and(|reason| !ORDINARY.contains(&reason));
        if !named || !self.config.watch.contains(Kind::Drop) {
            return;
        }
        if self.happenings.drops.len() >= MAX_DROPS {
            // Whose it is may not be known yet, and then it can't be told.
            self.place_oldest_drop();
        }
        self.happenings.drops.push_back((time, *drop));
    }

    /// Finds the flows of the packets that were dropped, once these must have been seen.
    pub(super) fn place_drops(&mut self, now: u64) {
        while let Some((time, _)) = self.happenings.drops.front()
            && time.saturating_add(LAG) < now
        {
            self.place_oldest_drop();
        }
    }

    fn place_oldest_drop(&mut self) {
        let Some((time, drop)) = self.happenings.drops.pop_front() else {
            return;
        };
        let by_tuple = drop.tuple.and_then(|tuple| self.table.find(&tuple));
        // Translated on its way to where it was dropped, by a translation that nobody has told of.
        let flow = by_tuple
            .map(|(flow, ..)| flow)
            .or_else(|| self.packets.holder(drop.identity, time, MAX_SEARCH))
            .and_then(|flow| self.table.resolve(flow));
        match flow {
            Some(flow) => self.happened(Kind::Drop, time, flow.id, 0),
            None => self.summary.evidence_ignored += 1,
        }
    }
}
