//! What the tracker tells: a flow that ended, a translation, a reset.
//!
//! Times are those of the sightings; whoever writes a record brings the wall clock, the
//! interfaces' names and what addresses were called: [`Record::to_json`].

use super::nat::{NatEvidence, NatKind};
use super::reset::{Cause, Confidence, Origin, Phase};
use super::tunnel::Tunnel;
use super::tuple::{Endpoint, Tuple};
use crate::packet::{Direction, InterfaceId};

/// One line of the flows file.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A flow that ended, went idle, had to make room, or outlived the capture.
    Flow(Box<FlowRecord>),
    /// A translation, once it is sure that it happens.
    Nat(Box<NatRecord>),
    /// A reset, once it was judged.
    Reset(Box<ResetRecord>),
}

/// A hook, as records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The interface.
    pub interface: InterfaceId,
    /// Which way the packets went there; `None` in a file that doesn't say.
    pub direction: Option<Direction>,
}

impl Record {
    /// Takes back which way packets went: it was only assumed.
    pub(super) fn forget_directions(&mut self) {
        let forget = |place: &mut Place| place.direction = None;
        match self {
            Self::Flow(flow) => {
                flow.path
                    .iter_mut()
                    .for_each(|stop| forget(&mut stop.place));
                flow.nat
                    .iter_mut()
                    .flat_map(|nat| &mut nat.seen)
                    .for_each(forget);
            }
            Self::Nat(nat) => nat.seen.iter_mut().for_each(forget),
            Self::Reset(_) => {}
        }
    }
}

/// A flow. Arrays hold the client's number, then the server's.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRecord {
    /// From 1, in the order in which flows were first seen.
    pub id: u64,
    /// Its IP protocol number.
    pub protocol: u8,
    /// Who began it, before any translation that is known.
    pub client: Endpoint,
    /// Whom the client talked to, as the client knew it.
    pub server: Endpoint,
    /// When its first packet was seen: nanoseconds on the sightings' clock.
    pub first: u64,
    /// When its last packet was first seen.
    pub last: u64,
    /// For TCP the phase by RFC 9293, or `reset`; else `answered` or `unanswered`.
    pub state: &'static str,
    /// Packets, each once however often it was sighted; a super-frame is one.
    pub packets: [u64; 2],
    /// Their frames' lengths where they were first seen, in bytes.
    pub bytes: [u64; 2],
    /// What is known of TCP alone.
    pub tcp: Option<TcpRecord>,
    /// ICMP errors that quoted one of its packets; they aren't among its packets.
    pub icmp_errors: u64,
    /// The tunnel that its packets were seen in, from client to server.
    pub tunnel: Option<Tunnel>,
    /// At one place they came in tunnels of several networks: it may be several connections.
    pub tunnels_differ: bool,
    /// Where its packets passed: the client's stops in their order, then the server's.
    pub path: Vec<PathRecord>,
    /// Its translations.
    pub nat: Vec<NatRecord>,
    /// Its resets.
    pub resets: Vec<ResetRecord>,
}

/// What is known of a TCP connection alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpRecord {
    /// From the client's first SYN to its acknowledgement of the server's, in microseconds.
    pub handshake_us: Option<u32>,
    /// Segments sent again.
    pub retransmits: [u32; 2],
    /// Segments that others overtook.
    pub out_of_order: [u32; 2],
    /// Times that the window closed.
    pub zero_windows: [u16; 2],
    /// Keep-alive probes.
    pub keepalives: [u16; 2],
}

/// One stop of a flow's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathRecord {
    /// Where.
    pub place: Place,
    /// Packets seen there.
    pub packets: u64,
    /// The packets' tuple there.
    pub tuple: Tuple,
    /// The tunnel that they were in there.
    pub tunnel: Option<Tunnel>,
    /// Nanoseconds since the stop before: the median, and what 99 % don't exceed.
    pub after: Option<[u32; 2]>,
}

/// A translation, in the direction from client to server.
#[derive(Clone, Debug, PartialEq)]
pub struct NatRecord {
    /// When it first showed.
    pub time: u64,
    /// The flow.
    pub flow: u64,
    /// Which end was translated.
    pub kind: NatKind,
    /// The tuple before.
    pub before: Tuple,
    /// The tuple behind.
    pub after: Tuple,
    /// Where it had each of them. Empty where conntrack alone tells.
    pub seen: Vec<Place>,
    /// What shows it.
    pub evidence: Vec<NatEvidence>,
    /// The tunnel that the flow's packets were seen in, from client to server.
    pub tunnel: Option<Tunnel>,
}

/// A reset with its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct ResetRecord {
    /// When it was first seen.
    pub time: u64,
    /// The flow.
    pub flow: u64,
    /// Whose reset it is, by its source.
    pub from: Endpoint,
    /// Whom it is for, by that one's own address where it is known.
    pub to: Endpoint,
    /// Where it came from.
    pub origin: Origin,
    /// Why.
    pub cause: Cause,
    /// How sure that is.
    pub confidence: Confidence,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// How far the connection had come.
    pub phase: Phase,
    /// The silence before it: nanoseconds.
    pub idle: u64,
    /// The tunnel that the flow's packets were seen in, in the reset's direction.
    pub tunnel: Option<Tunnel>,
}
