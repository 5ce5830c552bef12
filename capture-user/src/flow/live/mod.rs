//! A packet while more may be learned of it: where it was seen, and whose it is.
//!
//! - `ring`: the packets of the last moments

mod ring;

use std::num::NonZeroU64;

pub(super) use self::ring::Ring;
use super::fingerprint::Fingerprint;
use crate::packet::{Direction, InterfaceId};

/// Hooks that one packet is followed over. A route with more of them is possible and rare: the
/// packet then counts again.
pub(super) const MAX_STOPS: usize = 6;

/// No translation: [`Live::nat`].
pub(super) const NO_NAT: u8 = u8::MAX;

/// A hook: an interface and a direction, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook(u32);

impl Hook {
    /// No hook.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) const fn new(interface: InterfaceId, direction: Direction) -> Self {
        Self(interface << 1 | matches!(direction, Direction::Out) as u32)
    }

    pub(super) const fn interface(self) -> InterfaceId {
        self.0 >> 1
    }

    pub(super) const fn direction(self) -> Direction {
        if self.0 & 1 == 0 {
            Direction::In
        } else {
            Direction::Out
        }
    }
}

/// A flow's slot, and the flow's number to tell whether it still is that flow's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowRef {
    pub(super) slot: u32,
    pub(super) id: u64,
}

impl FlowRef {
    /// No flow: flows are numbered from 1.
    pub(super) const NONE: Self = Self {
        slot: u32::MAX,
        id: 0,
    };
}

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// When it was first seen: nanoseconds.
    pub(super) first: u64,
    pub(super) identity: Option<NonZeroU64>,
    pub(super) fingerprint: Fingerprint,
    pub(super) flow: FlowRef,
    /// Where it was seen.
    pub(super) hooks: [Hook; MAX_STOPS],
    /// When, in nanoseconds after the first; saturating.
    pub(super) after: [u32; MAX_STOPS],
    /// As which of its flow's tuples.
    pub(super) legs: [u8; MAX_STOPS],
    pub(super) stops: u8,
    /// Which side of its flow sent it: 0 the client.
    pub(super) from: u8,
    /// Belongs to its flow, and isn't one of its packets: an ICMP error.
    pub(super) about: bool,
    /// A verdict on it is due or made.
    pub(super) reset: bool,
    /// The flow's translation to be told with it, as an index.
    pub(super) nat: u8,
    /// … at which of its stops.
    pub(super) nat_stop: u8,
    /// Its TTL at its last stop.
    pub(super) ttl: u8,
}

impl Live {
    pub(super) fn new(
        first: u64,
        identity: Option<u64>,
        fingerprint: Fingerprint,
        hook: Hook,
        ttl: u8,
    ) -> Self {
        let mut hooks = [Hook::NONE; MAX_STOPS];
        hooks[0] = hook;
        Self {
            first,
            identity: identity.and_then(NonZeroU64::new),
            fingerprint,
            flow: FlowRef::NONE,
            hooks,
            after: [0; MAX_STOPS],
            legs: [0; MAX_STOPS],
            stops: 1,
            from: 0,
            about: false,
            reset: false,
            nat: NO_NAT,
            nat_stop: 0,
            ttl,
        }
    }

    /// The stops so far.
    pub(super) fn hooks(&self) -> &[Hook] {
        &self.hooks[..usize::from(self.stops).clamp(1, MAX_STOPS)]
    }

    /// The index of the last stop.
    pub(super) fn last_stop(&self) -> usize {
        self.hooks().len() - 1
    }

    /// When it was last seen.
    pub(super) fn last(&self) -> u64 {
        self.time_at(self.last_stop())
    }

    /// When it was seen at a stop.
    pub(super) fn time_at(&self, stop: usize) -> u64 {
        self.first
            .saturating_add(self.after.get(stop).copied().unwrap_or(0).into())
    }

    /// Whether nothing is told with the packet at a stop that was just made: what is to be told of
    /// a packet is known by then, or is told with a later stop of it.
    pub(super) const fn is_settled_at(&self, stop: usize) -> bool {
        !self.reset && (self.nat == NO_NAT || self.nat_stop as usize != stop)
    }

    /// Takes one more stop; the caller has seen that there is room.
    pub(super) fn stop(&mut self, hook: Hook, time: u64, leg: u8, ttl: u8) -> usize {
        let at = usize::from(self.stops).min(MAX_STOPS - 1);
        self.hooks[at] = hook;
        self.after[at] = u32::try_from(time.saturating_sub(self.first)).unwrap_or(u32::MAX);
        self.legs[at] = leg;
        self.ttl = ttl;
        self.stops = u8::try_from(at + 1).unwrap_or(u8::MAX);
        at
    }
}
