//! The verdict on a reset: who sent it, why, how sure that is, and what it rests on.
//!
//! [`Case`] holds all that the tracker knows at the moment; [`judge`] is a pure function of it. A
//! wrong verdict is the worst bug this project can have: where the evidence doesn't decide, it
//! says `unknown`.
//!
//! - `origin`: who sent it, from where it was first seen
//! - `cause`: why; the order in which the rules are asked, and what is left when none answers
//! - `kernel`: what the kernel's own reasons mean; `reject`: a firewall's answer;
//!   `translation`: a stack answered that isn't the connection's end; `packets`: what can be
//!   known from the packets alone; `injected`: somebody in between made it
//! - `shape`: how a segment that resets looks, and what that says; `words`: all of it for
//!   people and for files
//!
//! docs/verdicts.md explains the same to its users: change both together.

mod cause;
mod injected;
mod kernel;
mod origin;
mod packets;
mod reject;
mod shape;
#[cfg(test)]
mod tests;
mod translation;
mod words;

use serde::Serialize;

use super::evidence::{KernelReset, Mapping};
use super::interfaces::Interfaces;
use super::role::Role;
use super::tuple::Tuple;
use crate::packet::{Direction, InterfaceId};

/// Decides who sent a reset and why, from nothing but the case.
///
/// Never claims a side that the capture couldn't see, and no cause that the evidence leaves open.
#[must_use]
pub fn judge(case: &Case<'_>) -> Verdict {
    let (origin, seen) = origin::find(case);
    let finding = cause::find(case, origin.side);
    let mut evidence = finding.evidence;
    evidence.push(seen);
    if case.received.is_some() {
        evidence.push("a socket on this machine received it".to_owned());
    }
    Verdict {
        origin,
        cause: finding.cause,
        confidence: finding.confidence,
        evidence,
    }
}

/// How long a packet may stay on a node between the hooks: nanoseconds. One whose neighbour has to
/// be found first waits for three probes, a second apart (net.ipv4.neigh's `mcast_solicit` and
/// `retrans_time`); nothing else that Linux does takes as long.
const LONGEST_STAY: u64 = 3_000_000_000;

impl Case<'_> {
    /// Whether the reset would have been seen coming in, had it come from elsewhere: it came after
    /// the time from which nothing was missed, by causality (what it answers was already seen) or
    /// since no packet stays on the node for so long.
    fn would_have_been_seen(&self) -> bool {
        let Some(since) = self.environment.complete_since else {
            return false;
        };
        let after = |time: u64, stay: u64| time >= since.saturating_add(stay);
        self.answered.is_some_and(|segment| after(segment.time, 0))
            || self
                .path
                .first()
                .is_some_and(|stop| after(stop.time, LONGEST_STAY))
    }
}

/// A reset with all that is known about it and its connection.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// The segment that resets, as it was first seen.
    pub reset: Segment,
    /// Where it was seen, earliest first. Never empty.
    pub path: &'a [Stop],
    /// The last segment of the connection that its receiver sent before it (so, what it may
    /// answer), if one was seen.
    pub answered: Option<Segment>,
    /// Where that segment was seen, earliest first. Empty if there is none, or if it was so long
    /// ago that this is forgotten: then nothing follows from where it wasn't seen.
    pub answered_path: &'a [Stop],
    /// Why the kernel dropped that segment, if it did and told.
    pub answered_dropped: Option<&'static str>,
    /// The side that sent the reset, before it.
    pub sender: Side,
    /// The side that it was sent to.
    pub receiver: Side,
    /// How far the connection had come.
    pub phase: Phase,
    /// Whether the capture saw the connection's first segment.
    pub from_its_start: bool,
    /// How long before the reset (or the segment that it answers) the connection was silent:
    /// nanoseconds.
    pub idle: u64,
    /// The smallest handshake or acknowledgement round trip seen, in nanoseconds: from where the
    /// reset was first seen to the reset's sender and back, never the other way round.
    pub round_trip: Option<u64>,
    /// Whether its handshake is one of them. A stack answers a SYN at once; data it acknowledges up
    /// to half a second later (RFC 9293, 3.8.6.3), or with what the application answers.
    pub handshake_timed: bool,
    /// Every tuple that the connection is known to have somewhere on this node, in the reset's
    /// own direction; the first is that of the reset's first sighting.
    pub tuples: &'a [Tuple],
    /// What the kernel told about a reset with one of these tuples, sent within the window.
    pub sent: Option<KernelReset>,
    /// Likewise, received.
    pub received: Option<KernelReset>,
    /// Whether nothing of what the kernel told around that time had to be forgotten: an event that
    /// isn't there counts as evidence then, as far as [`Environment`] says so.
    pub told_all: bool,
    /// What conntrack knows of the connection.
    pub mapping: Option<Mapping>,
    /// What this capture can see, and how the node is set.
    pub environment: &'a Environment,
}

/// What decides about a TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// When it was first seen: nanoseconds on the sightings' clock.
    pub time: u64,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number; meaningless without the ACK flag.
    pub acknowledgement: u32,
    /// The flags byte: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
    /// The window as it stands in the header.
    pub window: u16,
    /// Payload bytes.
    pub payload: u32,
    /// The TCP header's length in bytes: 20 without options.
    pub header_len: u8,
    /// Whether a timestamps option is there.
    pub timestamps: bool,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// The don't-fragment flag; always true for IPv6.
    pub dont_fragment: bool,
}

/// One place where a packet was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// When: nanoseconds on the sightings' clock.
    pub time: u64,
    /// Where.
    pub interface: InterfaceId,
    /// What lies behind it.
    pub role: Role,
    /// Which way it was going there.
    pub direction: Direction,
    /// Its tuple there.
    pub tuple: Tuple,
}

/// What one side of the connection did before the reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// A segment of it was seen: else it did not do nothing, it is out of sight (a capture of one
    /// direction, an answer that takes another way).
    pub seen: bool,
    /// It sent a FIN.
    pub sent_fin: bool,
    /// Payload bytes it sent, with those that were not seen and that the other side, or its
    /// reset, acknowledged.
    pub bytes: u64,
    /// Payload bytes of it that the other side acknowledged.
    pub acknowledged: u64,
    /// Payload bytes that reached it after its own FIN.
    pub bytes_after_fin: u64,
    /// Times it sent its oldest unacknowledged segment again without an answer.
    pub retransmissions_unanswered: u32,
    /// Keep-alive probes it sent since it last heard of the other side.
    pub keepalives_unanswered: u32,
    /// The TTL of its segments, where all that were seen at the reset's first place had the same.
    pub ttl: Option<u8>,
    /// Whether its IPv4 identifications were all zero (a socket's are, with DF, on a SYN-ACK or
    /// a reset only), where that was seen.
    pub ip_ids_zero: Option<bool>,
    /// Segments it sent after the reset, which a side that had reset wouldn't. Those with a
    /// sequence number below the reset's don't count (the reset may have overtaken them), nor
    /// resets, nor those of a new connection (after a SYN of its own).
    pub segments_after_reset: u32,
    /// Whether its segments had timestamps options.
    pub timestamps: bool,
    /// Whether its segments had the don't-fragment flag, where all that were seen agree. `None`
    /// for IPv6.
    pub dont_fragment: Option<bool>,
    /// How long ago it closed an earlier connection with this tuple: nanoseconds from that
    /// connection's last segment to this one's first. Only where both FINs were seen, its own
    /// first: such a side is in TIME-WAIT. `None` otherwise.
    pub closed_first: Option<u64>,
}

/// How far a connection had come, by RFC 9293's states of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A SYN was seen, and no answer.
    SynSent,
    /// A SYN-ACK was seen, and not its acknowledgement.
    SynReceived,
    /// Both directions are open.
    Established,
    /// One side has sent FIN.
    Closing,
    /// Both sides have sent FIN.
    Closed,
    /// Its beginning wasn't seen, nor enough since.
    Unknown,
}

/// What the capture can see, and how the node is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Live on this node, with its kernel's evidence; not a saved file.
    pub live: bool,
    /// Resets sent by sockets are told (`tcp:tcp_send_reset` is attached), and no event was lost:
    /// an event that isn't there counts as evidence.
    pub resets_told: bool,
    /// … with a reason (since 6.10), also those that belong to no socket.
    pub reasons_told: bool,
    /// Dropped packets are told (`skb:kfree_skb` with a reason), and no event was lost.
    pub drops_told: bool,
    /// Of a file that doesn't say which way packets went: that they came in is only assumed then.
    pub undirected: bool,
    /// When conntrack's word on entries that went was lost last, on the sightings' clock: one that
    /// was made before, though somebody listened, may be gone all the same.
    pub removals_lost: Option<u64>,
    /// Since when, on the sightings' clock, every interface of this namespace that is up has been
    /// captured, in both directions, without a loss: a packet that came in later and goes out was
    /// seen coming in, so one that wasn't was made here. `None` as well with a direction limit,
    /// with a filter, and with interfaces of several namespaces in one capture.
    pub complete_since: Option<u64>,
    /// The inode number of the network namespace that this node's own stack is in, the one that
    /// the captured interfaces belong to. 0 if not known.
    pub netns: u32,
    /// The interfaces. One that isn't there is called by its number.
    pub interfaces: Interfaces,
    /// `net.ipv4.tcp_abort_on_overflow` of this namespace.
    pub abort_on_overflow: Option<bool>,
    /// `net.netfilter.nf_conntrack_tcp_be_liberal` of this namespace.
    pub conntrack_be_liberal: Option<bool>,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Who sent it.
    pub origin: Origin,
    /// Why.
    pub cause: Cause,
    /// How sure the cause is.
    pub confidence: Confidence,
    /// What it rests on, each a short clause in plain words; the decisive one first.
    pub evidence: Vec<String>,
}

impl Verdict {
    /// Without the cause, for a reason that outweighs all that speaks for it. Where it came from
    /// stays: that is about this packet alone.
    pub(super) fn undecided(mut self, why: &str) -> Self {
        self.cause = Cause::Unknown;
        self.confidence = Confidence::Heuristic;
        self.evidence.insert(0, why.to_owned());
        self
    }
}

/// Where a reset came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Which side.
    pub side: OriginSide,
    /// The interface of its first sighting.
    #[serde(skip)]
    pub interface: InterfaceId,
}

/// The side that a reset came from. Never one that the capture could not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginSide {
    /// It came into the node.
    Uplink,
    /// It came out of a container or namespace.
    Pod,
    /// This node's own stack made it.
    Local,
    /// The capture can't tell.
    Unknown,
}

/// Why a reset was sent; docs/verdicts.md explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "one table explains them all: docs/verdicts.md")]
pub enum Cause {
    ClosedPort,
    NoConnection,
    RejectRule,
    ApplicationAbort,
    UnreadData,
    DataAfterClose,
    BacklogOverflow,
    Timeout,
    TimeWait,
    ConntrackInvalid,
    IdleExpiry,
    Injected,
    Unknown,
}

/// How sure a verdict's cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The kernel said so.
    Kernel,
    /// conntrack's tables say so.
    Conntrack,
    /// The packets alone prove it.
    Packet,
    /// It fits, and something else could fit too.
    Heuristic,
}
