//! What came of a capture, in numbers.

use super::nat::NatKind;
use super::reset::{Cause, OriginSide};

/// Counts since the tracker began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Flows that were begun, less those that turned out to be part of another.
    pub flows: u64,
    /// Flows that turned out to be part of another. With [`Summary::flows`], all that were begun.
    pub merged: u64,
    /// Flows that had to make room for others before they were over.
    pub evicted: u64,
    /// Sightings taken.
    pub sightings: u64,
    /// Packets, each once.
    pub packets: u64,
    /// Of these, ICMP errors that belong to the flow they quote.
    pub icmp_errors: u64,
    /// Of these, packets of no flow: not IP, later fragments, errors that quote nothing known.
    pub untracked: u64,
    /// Sightings too short to say anything of.
    pub unreadable: u64,
    /// Judged resets by cause and origin, each pair once.
    pub resets: Vec<(Cause, OriginSide, u64)>,
    /// Verdicts that gave way to another when more was known, as they were first: they
    /// are no longer in [`Summary::resets`]. Together with those, what only grows.
    pub amended: Vec<(Cause, OriginSide, u64)>,
    /// Translations by kind, each kind once.
    pub translations: Vec<(NatKind, u64)>,
    /// Evidence that found no room.
    pub evidence_ignored: u64,
}

impl Summary {
    pub(super) fn count_reset(&mut self, cause: Cause, side: OriginSide) {
        count(&mut self.resets, cause, side);
    }

    /// A reset that was judged anew.
    pub(super) fn uncount_reset(&mut self, cause: Cause, side: OriginSide) {
        for (c, s, count) in &mut self.resets {
            if (*c, *s) == (cause, side) {
                *count = count.saturating_sub(1);
            }
        }
        self.resets.retain(|(_, _, count)| *count > 0);
        count(&mut self.amended, cause, side);
    }

    pub(super) fn count_nat(&mut self, kind: NatKind) {
        match self
            .translations
            .iter_mut()
            .find(|(known, _)| *known == kind)
        {
            Some((_, count)) => *count += 1,
            None => self.translations.push((kind, 1)),
        }
    }
}

fn count(verdicts: &mut Vec<(Cause, OriginSide, u64)>, cause: Cause, side: OriginSide) {
    let known = verdicts
        .iter_mut()
        .find(|(c, s, _)| (*c, *s) == (cause, side));
    match known {
        Some((_, _, count)) => *count += 1,
        None => verdicts.push((cause, side, 1)),
    }
}
