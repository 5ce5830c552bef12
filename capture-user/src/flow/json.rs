//! Records as the lines of the flows file. The names of all fields are the contract with those
//! who read it: add, never rename.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::names::Names as Called;
use super::nat::{NatEvidence, NatKind};
use super::record::{FlowRecord, NatRecord, PathRecord, Place, Record, ResetRecord};
use super::reset::{Cause, Confidence, OriginSide, Phase};
use super::tunnel::{Tunnel, TunnelKind};
use super::tuple::{Endpoint, Tuple};
use crate::packet::{Direction, InterfaceId};

/// The version of the lines' form.
const SCHEMA: u32 = 1;

/// An IP protocol by the name that users know it by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol(pub(super) u8);

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("icmp"),
            6 => f.write_str("tcp"),
            17 => f.write_str("udp"),
            58 => f.write_str("icmp6"),
            132 => f.write_str("sctp"),
            number => number.fmt(f),
        }
    }
}

impl Record {
    /// The line, without its end. `wall` turns a sighting's time into nanoseconds since the Unix
    /// epoch, `name` names an interface, and `called` knows what addresses were called.
    ///
    /// # Errors
    /// None in practice: a record has nothing that JSON can't hold.
    pub fn to_json<'n>(
        &self,
        wall: impl Fn(u64) -> u64,
        name: impl Fn(InterfaceId) -> &'n str,
        called: &'n Called,
    ) -> serde_json::Result<String> {
        let names = Names {
            wall: &wall,
            name: &name,
            called,
        };
        match self {
            Self::Flow(flow) => serde_json::to_string(&names.flow(flow)),
            Self::Nat(nat) => serde_json::to_string(&Line {
                kind: "nat",
                schema: SCHEMA,
                time: names.time(nat.time),
                flow: nat.flow,
                what: names.nat(nat),
            }),
            Self::Reset(reset) => serde_json::to_string(&Line {
                kind: "reset",
                schema: SCHEMA,
                time: names.time(reset.time),
                flow: reset.flow,
                what: names.reset(reset),
            }),
        }
    }
}

/// How times, interfaces and addresses are called.
struct Names<'a, 'n> {
    wall: &'a dyn Fn(u64) -> u64,
    name: &'a dyn Fn(InterfaceId) -> &'n str,
    called: &'n Called,
}

/// A line about one event of a flow.
#[derive(Serialize)]
struct Line<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: u32,
    time: String,
    flow: u64,
    #[serde(flatten)]
    what: T,
}

/// An event within its flow's line: no type, no flow, but its time.
#[derive(Serialize)]
struct Within<T> {
    time: String,
    #[serde(flatten)]
    what: T,
}

/// A tunnel, in the direction of the packets that the line is about.
#[derive(Serialize)]
struct Wrapped {
    kind: TunnelKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    src: IpAddr,
    dst: IpAddr,
    /// Others of the flow's packets were in another network's tunnel.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    others: bool,
}

impl Wrapped {
    fn new(tunnel: Option<Tunnel>, others: bool) -> Option<Self> {
        let Tunnel {
            kind,
            id,
            source,
            destination,
        } = tunnel?;
        Some(Self {
            kind,
            id,
            src: source,
            dst: destination,
            others,
        })
    }
}

#[derive(Serialize)]
struct Nat<'a> {
    kind: NatKind,
    #[serde(serialize_with = "display")]
    proto: Protocol,
    before: Ends<'a>,
    after: Ends<'a>,
    seen: Vec<At<'a>>,
    evidence: &'a [NatEvidence],
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Wrapped>,
}

#[derive(Serialize)]
struct Reset<'a> {
    #[serde(serialize_with = "display")]
    from: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_name: Option<&'a str>,
    #[serde(serialize_with = "display")]
    to: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_name: Option<&'a str>,
    origin: From<'a>,
    cause: Cause,
    confidence: Confidence,
    evidence: &'a [String],
    phase: Phase,
    idle_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Wrapped>,
}

#[derive(Serialize)]
struct From<'a> {
    side: OriginSide,
    interface: &'a str,
    /// Who is behind it, where that is the side.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Flow<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: u32,
    id: u64,
    #[serde(serialize_with = "display")]
    proto: Protocol,
    #[serde(serialize_with = "display")]
    client: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(serialize_with = "display")]
    server: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    first: String,
    last: String,
    state: &'static str,
    packets: Ways<u64>,
    bytes: Ways<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake_us: Option<u32>,
    #[serde(flatten)]
    tcp: Option<Tcp>,
    #[serde(skip_serializing_if = "is_zero")]
    icmp_errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Wrapped>,
    path: Vec<Stop<'a>>,
    nat: Vec<Within<Nat<'a>>>,
    resets: Vec<Within<Reset<'a>>>,
}

#[derive(Serialize)]
struct Tcp {
    retransmits: Ways<u32>,
    out_of_order: Ways<u32>,
    zero_windows: Ways<u16>,
    keepalives: Ways<u16>,
}

#[derive(Serialize)]
struct Stop<'a> {
    #[serde(flatten)]
    at: At<'a>,
    packets: u64,
    tuple: Ends<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Wrapped>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_us: Option<Quantiles>,
}

#[derive(Serialize)]
struct Quantiles {
    p50: u32,
    p99: u32,
}

#[derive(Serialize)]
struct At<'a> {
    interface: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
}

/// A number for each direction.
#[derive(Serialize)]
struct Ways<T> {
    to_server: T,
    to_client: T,
}

impl<T> std::convert::From<[T; 2]> for Ways<T> {
    fn from([to_server, to_client]: [T; 2]) -> Self {
        Self {
            to_server,
            to_client,
        }
    }
}

#[derive(Serialize)]
struct Ends<'a> {
    #[serde(serialize_with = "display")]
    src: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_name: Option<&'a str>,
    #[serde(serialize_with = "display")]
    dst: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_name: Option<&'a str>,
}

/// An end, with its port where its protocol has such a thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    end: Endpoint,
    protocol: u8,
}

impl End {
    pub(super) const fn new(end: Endpoint, protocol: u8) -> Self {
        Self { end, protocol }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            1 | 6 | 17 | 58 | 132 => self.end.fmt(f),
            _ => self.end.address.fmt(f),
        }
    }
}

impl<'n> Names<'_, 'n> {
    fn time(&self, time: u64) -> String {
        Timestamp::from_nanosecond((self.wall)(time).into())
            .unwrap_or_default()
            .to_string()
    }

    /// A tuple as it was in that time.
    fn ends(&self, tuple: &Tuple, first: u64, last: u64) -> Ends<'n> {
        let called = |end: Endpoint| self.called.during(end.address, first, last);
        Ends {
            src: End::new(tuple.source, tuple.protocol),
            src_name: called(tuple.source),
            dst: End::new(tuple.destination, tuple.protocol),
            dst_name: called(tuple.destination),
        }
    }

    fn at(&self, place: Place) -> At<'n> {
        At {
            interface: (self.name)(place.interface),
            direction: place.direction.map(|direction| match direction {
                Direction::In => "in",
                Direction::Out => "out",
            }),
        }
    }

    fn nat<'r>(&self, nat: &'r NatRecord) -> Nat<'r>
    where
        'n: 'r,
    {
        Nat {
            kind: nat.kind,
            proto: Protocol(nat.before.protocol),
            before: self.ends(&nat.before, nat.time, nat.time),
            after: self.ends(&nat.after, nat.time, nat.time),
            seen: nat.seen.iter().map(|place| self.at(*place)).collect(),
            evidence: &nat.evidence,
            tunnel: Wrapped::new(nat.tunnel, false),
        }
    }

    fn reset<'r>(&self, reset: &'r ResetRecord) -> Reset<'r>
    where
        'n: 'r,
    {
        Reset {
            from: reset.from,
            from_name: self.called.at(reset.from.address, reset.time),
            to: reset.to,
            to_name: self.called.at(reset.to.address, reset.time),
            origin: From {
                side: reset.origin.side,
                interface: (self.name)(reset.origin.interface),
                name: (reset.origin.side == OriginSide::Pod)
                    .then(|| self.called.behind(reset.origin.interface))
                    .flatten(),
            },
            cause: reset.cause,
            confidence: reset.confidence,
            evidence: &reset.evidence,
            phase: reset.phase,
            idle_seconds: (reset.idle / 1_000_000) as f64 / 1_000.0,
            tunnel: Wrapped::new(reset.tunnel, false),
        }
    }

    fn stop(&self, stop: &PathRecord, flow: &FlowRecord) -> Stop<'n> {
        Stop {
            at: self.at(stop.place),
            packets: stop.packets,
            tuple: self.ends(&stop.tuple, flow.first, flow.last),
            tunnel: Wrapped::new(stop.tunnel, false),
            after_us: stop.after.map(|[p50, p99]| Quantiles {
                p50: p50 / 1_000,
                p99: p99 / 1_000,
            }),
        }
    }

    fn flow<'r>(&self, flow: &'r FlowRecord) -> Flow<'r>
    where
        'n: 'r,
    {
        let called = |end: Endpoint| self.called.during(end.address, flow.first, flow.last);
        Flow {
            kind: "flow",
            schema: SCHEMA,
            id: flow.id,
            proto: Protocol(flow.protocol),
            client: End::new(flow.client, flow.protocol),
            client_name: called(flow.client),
            server: End::new(flow.server, flow.protocol),
            server_name: called(flow.server),
            first: self.time(flow.first),
            last: self.time(flow.last),
            state: flow.state,
            packets: flow.packets.into(),
            bytes: flow.bytes.into(),
            handshake_us: flow.tcp.and_then(|tcp| tcp.handshake_us),
            tcp: flow.tcp.map(|tcp| Tcp {
                retransmits: tcp.retransmits.into(),
                out_of_order: tcp.out_of_order.into(),
                zero_windows: tcp.zero_windows.into(),
                keepalives: tcp.keepalives.into(),
            }),
            icmp_errors: flow.icmp_errors,
            tunnel: Wrapped::new(flow.tunnel, flow.tunnels_differ),
            path: flow.path.iter().map(|stop| self.stop(stop, flow)).collect(),
            nat: flow
                .nat
                .iter()
                .map(|nat| Within {
                    time: self.time(nat.time),
                    what: self.nat(nat),
                })
                .collect(),
            resets: flow
                .resets
                .iter()
                .map(|reset| Within {
                    time: self.time(reset.time),
                    what: self.reset(reset),
                })
                .collect(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn display<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
