//! Translations: what a flow's tuple was before, and what it became.

use serde::Serialize;

use super::live::Hook;
use super::tuple::Tuple;

/// ICMP and ICMPv6: a translation of an echo's identifier shows at both ends.
const ICMP: [u8; 2] = [1, 58];

/// Which end was translated, in the direction from client to server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatKind {
    /// The source.
    Snat,
    /// The destination.
    Dnat,
    /// Both.
    Both,
}

impl NatKind {
    /// How the two differ; `None` if they don't.
    pub(super) fn between(before: &Tuple, after: &Tuple) -> Option<Self> {
        if before.protocol != after.protocol {
            return None;
        }
        let (source, destination) = if ICMP.contains(&before.protocol) {
            let destination = before.destination.address != after.destination.address;
            (
                before.source.address != after.source.address
                    || (!destination && before.source.port != after.source.port),
                destination,
            )
        } else {
            (
                before.source != after.source,
                before.destination != after.destination,
            )
        };
        match (source, destination) {
            (true, false) => Some(Self::Snat),
            (false, true) => Some(Self::Dnat),
            (true, true) => Some(Self::Both),
            (false, false) => None,
        }
    }

    /// As in the flows file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snat => "snat",
            Self::Dnat => "dnat",
            Self::Both => "both",
        }
    }
}

/// What shows a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatEvidence {
    /// One packet was seen before and after it.
    SamePacket,
    /// conntrack has both tuples, or has a translation of which this is the step that no packet showed.
    Conntrack,
    /// Two packets were alike in all that a translation leaves alone.
    Fingerprint,
}

impl NatEvidence {
    pub(super) const ALL: [Self; 3] = [Self::SamePacket, Self::Conntrack, Self::Fingerprint];

    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::SamePacket => 1,
            Self::Conntrack => 2,
            Self::Fingerprint => 4,
        }
    }

    /// As in the flows file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SamePacket => "same-packet",
            Self::Conntrack => "conntrack",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// A translation of a flow, in its direction from client to server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nat {
    /// When it first showed.
    pub(super) time: u64,
    pub(super) kind: NatKind,
    pub(super) before: Tuple,
    pub(super) after: Tuple,
    /// Where it showed: before, after. [`Hook::NONE`] where only conntrack tells.
    pub(super) seen: [Hook; 2],
    /// Bits of [`NatEvidence`].
    pub(super) evidence: u8,
    /// A packet was chosen to carry the comment.
    pub(super) shown: bool,
    /// Its record was given out.
    pub(super) told: bool,
}

impl Nat {
    /// What shows it.
    pub(super) fn evidence(&self) -> impl Iterator<Item = NatEvidence> {
        let bits = self.evidence;
        NatEvidence::ALL
            .into_iter()
            .filter(move |evidence| bits & evidence.bit() != 0)
    }
}
