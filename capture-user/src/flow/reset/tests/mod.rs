//! The verdicts, rule by rule, and near-misses that must not lead to them.
//!
//! [`Scene`] is a connection from a pod (172.17.0.2) to a server outside (192.0.2.9) that was
//! reset, without anything that would say why; each test adds what its name says.

mod injected;
mod kernel;
mod origin;
mod packets;
mod properties;
mod reject;
mod translation;
mod words;

use super::*;
use crate::flow::evidence::{Change, KernelReset, Mapping};
use crate::flow::interfaces::Interface;
use crate::flow::role::Role;
use crate::flow::tuple::{Endpoint, Tuple};
use crate::packet::Direction::{self, In, Out};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1000 * MS;

pub(super) const ETH0: InterfaceId = 0;
pub(super) const VETH: InterfaceId = 1;
pub(super) const BRIDGE: InterfaceId = 2;
pub(super) const LO: InterfaceId = 3;

pub(super) const NODE: u32 = 4_026_531_840;
pub(super) const POD: u32 = 4_026_532_001;

pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// What a case borrows, and the case's own parts.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) reset: Segment,
    pub(super) path: Vec<Stop>,
    pub(super) answered: Option<Segment>,
    pub(super) answered_path: Vec<Stop>,
    pub(super) answered_dropped: Option<&'static str>,
    pub(super) sender: Side,
    pub(super) receiver: Side,
    pub(super) phase: Phase,
    pub(super) from_its_start: bool,
    pub(super) idle: u64,
    pub(super) round_trip: Option<u64>,
    pub(super) handshake_timed: bool,
    pub(super) tuples: Vec<Tuple>,
    pub(super) sent: Option<KernelReset>,
    pub(super) received: Option<KernelReset>,
    pub(super) told_all: bool,
    pub(super) mapping: Option<Mapping>,
    pub(super) environment: Environment,
}

impl Scene {
    pub(super) fn verdict(&self) -> Verdict {
        judge(&Case {
            reset: self.reset,
            path: &self.path,
            answered: self.answered,
            answered_path: &self.answered_path,
            answered_dropped: self.answered_dropped,
            sender: self.sender,
            receiver: self.receiver,
            phase: self.phase,
            from_its_start: self.from_its_start,
            idle: self.idle,
            round_trip: self.round_trip,
            handshake_timed: self.handshake_timed,
            tuples: &self.tuples,
            sent: self.sent,
            received: self.received,
            told_all: self.told_all,
            mapping: self.mapping,
            environment: &self.environment,
        })
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The kernel tells of a reset like this one, in that namespace.
    pub(super) fn told(mut self, reason: &'static str, netns: u32) -> Self {
        self.environment = told_everything();
        self.sent = Some(KernelReset {
            tuple: self.tuples[0],
            reason: Some(reason),
            netns,
        });
        self
    }

    pub(super) fn seen(mut self, interface: InterfaceId, role: Role, direction: Direction) -> Self {
        self.path = vec![stop(interface, role, direction, self.tuples[0])];
        self
    }

    #[track_caller]
    pub(super) fn is(&self, cause: Cause, confidence: Confidence) {
        let verdict = self.verdict();
        assert_eq!(
            (verdict.cause, verdict.confidence),
            (cause, confidence),
            "{verdict:#?}"
        );
        assert!(!verdict.evidence.is_empty());
    }

    #[track_caller]
    pub(super) fn is_unknown(&self) {
        self.is(Cause::Unknown, Confidence::Heuristic);
    }

    #[track_caller]
    pub(super) fn comes_from(&self, side: OriginSide) {
        let verdict = self.verdict();
        assert_eq!(verdict.origin.side, side, "{verdict:#?}");
    }
}

/// The other side's last segment, in mid-stream, half a millisecond before the reset.
pub(super) fn data() -> Segment {
    Segment {
        time: 10 * SECOND - MS / 2,
        sequence: 5000,
        acknowledgement: 9000,
        flags: ACK,
        window: 502,
        payload: 100,
        header_len: 32,
        timestamps: true,
        ttl: 64,
        ip_id: Some(77),
        dont_fragment: true,
    }
}

pub(super) fn syn() -> Segment {
    Segment {
        acknowledgement: 0,
        flags: SYN,
        payload: 0,
        header_len: 40,
        ..data()
    }
}

/// As a stack without the connection answers [`data`].
pub(super) fn passive() -> Segment {
    Segment {
        time: 10 * SECOND,
        sequence: 9000,
        acknowledgement: 0,
        flags: RST,
        window: 0,
        payload: 0,
        header_len: 20,
        timestamps: false,
        ttl: 57,
        ip_id: Some(0),
        dont_fragment: true,
    }
}

/// As a socket that gives up sends it.
pub(super) fn active() -> Segment {
    Segment {
        acknowledgement: 5100,
        flags: RST | ACK,
        window: 501,
        header_len: 32,
        timestamps: true,
        ip_id: Some(4242),
        ..passive()
    }
}

/// As a port where nobody listens answers [`syn`].
pub(super) fn refusal() -> Segment {
    Segment {
        sequence: 0,
        acknowledgement: 5001,
        flags: RST | ACK,
        ..passive()
    }
}

pub(super) fn tuple(from: &str, to: &str) -> Tuple {
    let end = |text: &str| {
        Endpoint::from(
            text.parse::<std::net::SocketAddr>()
                .expect("an address of a test"),
        )
    };
    Tuple {
        source: end(from),
        destination: end(to),
        protocol: 6,
    }
}

pub(super) const fn stop(
    interface: InterfaceId,
    role: Role,
    direction: Direction,
    tuple: Tuple,
) -> Stop {
    Stop {
        time: 10 * SECOND,
        interface,
        role,
        direction,
        tuple,
    }
}

pub(super) fn saved_file() -> Environment {
    Environment {
        interfaces: ["eth0", "veth1", "br0", "lo"]
            .map(|name| Interface {
                name: name.into(),
                role: Role::Unknown,
            })
            .into_iter()
            .collect(),
        ..Environment::default()
    }
}

pub(super) fn told_everything() -> Environment {
    Environment {
        live: true,
        resets_told: true,
        reasons_told: true,
        drops_told: true,
        netns: NODE,
        ..saved_file()
    }
}

/// A server outside answered a pod's segment in the middle of a connection.
pub(super) fn from_outside() -> Scene {
    let reset = tuple("192.0.2.9:443", "172.17.0.2:41022");
    Scene {
        reset: passive(),
        path: vec![stop(ETH0, Role::Uplink, In, reset)],
        answered: Some(data()),
        answered_path: vec![
            stop(VETH, Role::Pod, In, reset.reversed()),
            stop(ETH0, Role::Uplink, Out, reset.reversed()),
        ],
        answered_dropped: None,
        sender: Side {
            seen: true,
            bytes: 4000,
            acknowledged: 4000,
            timestamps: true,
            ..Side::default()
        },
        receiver: Side {
            seen: true,
            bytes: 800,
            acknowledged: 700,
            timestamps: true,
            ..Side::default()
        },
        phase: Phase::Established,
        from_its_start: true,
        idle: 10 * MS,
        round_trip: Some(MS),
        handshake_timed: true,
        tuples: vec![reset],
        sent: None,
        received: None,
        told_all: true,
        mapping: None,
        environment: saved_file(),
    }
}

/// A server in a pod answered a segment from outside.
pub(super) fn from_pod() -> Scene {
    let reset = tuple("172.17.0.2:80", "198.51.100.7:50000");
    let mut scene = from_outside().with(|s| s.reset.ttl = 64);
    scene.tuples = vec![reset];
    scene.answered_path = vec![
        stop(ETH0, Role::Uplink, In, reset.reversed()),
        stop(VETH, Role::Pod, Out, reset.reversed()),
    ];
    scene.seen(VETH, Role::Pod, In)
}

/// A connection that was refused: the server outside answered the SYN.
pub(super) fn refused() -> Scene {
    from_outside().with(|s| {
        s.reset = refusal();
        s.answered = Some(syn());
        s.phase = Phase::SynSent;
        s.sender = Side::default();
        s.receiver = Side {
            seen: true,
            ..Side::default()
        };
        s.round_trip = None;
    })
}
