//! What the kernel told lately: resets sent and received, packets dropped.
//!
//! It comes from another ring than the packets, a little before or after them, so it is kept for
//! a while and looked up when a reset is judged.

use std::collections::VecDeque;

use super::evidence::{Drop, KernelReset};
use super::tuple::Tuple;

/// Facts kept of each kind.
const MAX: usize = 4096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recent {
    sent: VecDeque<(u64, KernelReset)>,
    received: VecDeque<(u64, KernelReset)>,
    drops: VecDeque<(u64, Drop)>,
    /// The latest fact that had to go for others.
    forgotten: Option<u64>,
}

/// Takes one fact; when the one was that had to go for it.
fn keep<T>(facts: &mut VecDeque<(u64, T)>, time: u64, fact: T) -> Option<u64> {
    let gone = (facts.len() >= MAX).then(|| facts.pop_front()).flatten();
    facts.push_back((time, fact));
    gone.map(|(told, _)| told)
}

/// The reset of one of these tuples that was told nearest to `time`, within `window`.
fn nearest(
    facts: &VecDeque<(u64, KernelReset)>,
    tuples: &[Tuple],
    time: u64,
    window: u64,
) -> Option<KernelReset> {
    facts
        .iter()
        .filter(|(told, reset)| told.abs_diff(time) <= window && tuples.contains(&reset.tuple))
        .min_by_key(|(told, reset)| (told.abs_diff(time), reset.reason.is_none()))
        .map(|(_, reset)| *reset)
}

impl Recent {
    /// A socket sent a reset. Whether an older fact was forgotten; so do the others.
    pub(super) fn sent(&mut self, time: u64, reset: KernelReset) -> bool {
        let gone = keep(&mut self.sent, time, reset);
        self.forgets(gone)
    }

    /// A socket received a reset.
    pub(super) fn received(&mut self, time: u64, reset: KernelReset) -> bool {
        keep(&mut self.received, time, reset).is_some()
    }

    /// A packet was dropped.
    pub(super) fn dropped(&mut self, time: u64, drop: Drop) -> bool {
        let gone = keep(&mut self.drops, time, drop);
        self.forgets(gone)
    }

    fn forgets(&mut self, gone: Option<u64>) -> bool {
        self.forgotten = self.forgotten.max(gone);
        gone.is_some()
    }

    /// Whether no reset sent and no drop of around `time` had to go for others: only then does it mean
    /// anything that one isn't there.
    pub(super) fn has_all_of(&self, time: u64, window: u64) -> bool {
        self.forgotten
            .is_none_or(|forgotten| forgotten.saturating_add(window) < time)
    }

    /// The reset that a socket sent as one of `tuples` around `time`.
    pub(super) fn sent_as(&self, tuples: &[Tuple], time: u64, window: u64) -> Option<KernelReset> {
        nearest(&self.sent, tuples, time, window)
    }

    /// Likewise, received.
    pub(super) fn received_as(
        &self,
        tuples: &[Tuple],
        time: u64,
        window: u64,
    ) -> Option<KernelReset> {
        nearest(&self.received, tuples, time, window)
    }

    /// The first drop of this skb at or after `time`, within `window`: when, and why.
    pub(super) fn drop_of(
        &self,
        identity: u64,
        time: u64,
        window: u64,
    ) -> Option<(u64, Option<&'static str>)> {
        self.drops
            .iter()
            .filter(|(told, drop)| {
                drop.identity == identity && *told >= time && *told - time <= window
            })
            .min_by_key(|(told, _)| *told)
            .map(|(told, drop)| (*told, drop.reason))
    }

    /// Forgets what is older.
    pub(super) fn forget_before(&mut self, time: u64) {
        // Nearly in order: one that isn't goes with its neighbours.
        while self.sent.front().is_some_and(|(told, _)| *told < time) {
            self.sent.pop_front();
        }
        while self.received.front().is_some_and(|(told, _)| *told < time) {
            self.received.pop_front();
        }
        while self.drops.front().is_some_and(|(told, _)| *told < time) {
            self.drops.pop_front();
        }
    }
}
