//! One flow, as it lies in the table.

use super::bindings::BindingId;
use super::evidence::Mapping;
use super::live::Hook;
use super::nat::Nat;
use super::path::{self, Pass, PathStop};
use super::pending::Judged;
use super::reset::Phase;
use super::tcp::{self, Shared, Side};
use super::tunnel::{Tunnel, Tunnels};
use super::tuple::Tuple;

/// Tuples of one flow. Each translation adds one; more than a few are a loop.
pub(super) const MAX_LEGS: usize = 8;

const TCP: u8 = 6;

/// One flow. 256 bytes, as long as it is seen in one place each way.
#[derive(Debug)]
pub(super) struct Flow {
    /// From 1, in the order in which they were first seen.
    pub(super) id: u64,
    /// When its first packet was seen.
    pub(super) first: u64,
    /// Client and server.
    pub(super) sides: [Side; 2],
    pub(super) shared: Shared,
    /// The binding of its first tuple.
    pub(super) primary: BindingId,
    /// Whether the client is the second end of the binding's key.
    pub(super) turned: bool,
    pub(super) protocol: u8,
    /// No longer found by its tuples: another flow has them, or it is over. It stays until
    /// nothing can join it any more.
    pub(super) retired: bool,
    /// A translation waits for a packet to carry its comment.
    pub(super) to_show: bool,
    /// What only some flows need.
    pub(super) more: Option<Box<More>>,
}

/// What a flow needs that is seen in several places, translated, or reset.
#[derive(Debug, Default)]
pub(super) struct More {
    /// Its tuples from client to server, the first one's binding as in [`Flow::primary`].
    pub(super) legs: Vec<Leg>,
    /// Its places, if they are more than the sides hold.
    pub(super) stops: Vec<PathStop>,
    pub(super) nats: Vec<Nat>,
    pub(super) resets: Vec<Judged>,
    /// The sides whose resets had verdicts, latest last; -1 before.
    pub(super) reset_by: Option<u8>,
    pub(super) verdicts: u8,
    /// The packets whose verdicts are due.
    pub(super) due: Vec<u64>,
    pub(super) mapping: Option<Mapping>,
    /// ICMP errors that quote it.
    pub(super) icmp_errors: u64,
    /// What its packets were wrapped in.
    pub(super) tunnels: Tunnels,
}

/// One tuple of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    /// From client to server.
    pub(super) tuple: Tuple,
    pub(super) binding: BindingId,
}

impl Flow {
    /// A flow of one tuple.
    pub(super) fn new(id: u64, first: u64, primary: BindingId, turned: bool, protocol: u8) -> Self {
        Self {
            id,
            first,
            sides: [Side::default(); 2],
            shared: Shared::default(),
            primary,
            turned,
            protocol,
            retired: false,
            to_show: false,
            more: None,
        }
    }

    pub(super) const fn is_tcp(&self) -> bool {
        self.protocol == TCP
    }

    /// When something last happened.
    pub(super) fn last(&self) -> u64 {
        self.sides[0].last.max(self.sides[1].last).max(self.first)
    }

    pub(super) fn phase(&self) -> Phase {
        tcp::phase(&self.sides, &self.shared)
    }

    /// Whether a reset ended it: one was sent, and not both sides went on as if it hadn't been.
    pub(super) fn is_reset(&self) -> bool {
        let [client, server] = &self.sides;
        (client.has_reset() || server.has_reset())
            && (client.after_reset() == 0 || server.after_reset() == 0)
    }

    /// Whether nothing but stragglers can come.
    pub(super) fn is_over(&self) -> bool {
        self.is_tcp() && (self.is_reset() || self.phase() == Phase::Closed)
    }

    /// Whether one side alone has spoken.
    pub(super) const fn is_unanswered(&self) -> bool {
        self.sides[0].packets == 0 || self.sides[1].packets == 0
    }

    /// Its state, by the name that the flows file has for it.
    pub(super) fn state(&self) -> &'static str {
        if !self.is_tcp() {
            return if self.is_unanswered() {
                "unanswered"
            } else {
                "answered"
            };
        }
        if self.is_reset() {
            return "reset";
        }
        match self.phase() {
            Phase::SynSent => "syn-sent",
            Phase::SynReceived => "syn-received",
            Phase::Established => "established",
            Phase::Closing => "closing",
            Phase::Closed => "closed",
            Phase::Unknown => "unknown",
        }
    }

    /// Notes a packet at a place; called before it counts.
    pub(super) fn pass(&mut self, pass: &Pass) {
        let spilled = self
            .more
            .as_ref()
            .is_some_and(|more| !more.stops.is_empty());
        if !spilled && path::pass_alone(&mut self.sides, pass) {
            return;
        }
        path::pass(self.stops_mut(), pass);
    }

    /// Its stops in a list of their own.
    pub(super) fn stops_mut(&mut self) -> &mut Vec<PathStop> {
        let more = self.more.get_or_insert_default();
        if more.stops.is_empty() {
            more.stops = path::spill(&self.sides);
        }
        &mut more.stops
    }

    /// Its stops, in the order in which packets pass them, the client's first.
    pub(super) fn stops(&self) -> Vec<PathStop> {
        let mut stops = match &self.more {
            Some(more) if !more.stops.is_empty() => more.stops.clone(),
            _ => path::spill(&self.sides),
        };
        stops.sort_by_key(|stop| (stop.from, stop.position));
        stops
    }

    /// The TTL that a side's packets all have at a place, if it saw any.
    pub(super) fn ttl_at(&self, hook: Hook, from: usize) -> Option<u8> {
        let stops = match &self.more {
            Some(more) if !more.stops.is_empty() => &more.stops,
            _ => {
                let side = &self.sides[from];
                return (side.hook == hook && side.packets > 0 && !side.hook_ttl_varies)
                    .then_some(side.hook_ttl);
            }
        };
        let mut found = None;
        for stop in stops {
            if stop.hook != hook || usize::from(stop.from) != from || stop.packets == 0 {
                continue;
            }
            if stop.ttl_varies || found.is_some_and(|ttl| ttl != stop.ttl) {
                return None;
            }
            found = Some(stop.ttl);
        }
        found
    }

    /// The tuple from client to server before all translations that are known.
    pub(super) fn outermost(&self, primary: Tuple) -> Tuple {
        let mut at = primary;
        for nat in self.nats().iter().cycle().take(self.nats().len().pow(2)) {
            if nat.after == at {
                at = nat.before;
            }
        }
        at
    }

    /// The tunnel that a side's packets are in.
    pub(super) fn tunnel(&self, from: usize) -> Option<Tunnel> {
        let more = self.more.as_ref()?;
        more.tunnels.of(u8::from(from != 0))
    }

    /// Whether it may be several connections of several tunnels' networks.
    pub(super) fn may_be_several(&self) -> bool {
        self.more.as_ref().is_some_and(|more| more.tunnels.differ)
    }

    pub(super) fn nats(&self) -> &[Nat] {
        self.more.as_ref().map_or(&[], |more| &more.nats)
    }
}
