//! Tunnels, as flows within them name them.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::live::Hook;

/// A tunnel, in the direction of a packet within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// What it is made by.
    pub kind: TunnelKind,
    /// The network identifier of VXLAN and GENEVE (24 bits), GRE's key where it has one.
    pub id: Option<u32>,
    /// Who wrapped the packet: the outer source.
    pub source: IpAddr,
    /// For whom.
    pub destination: IpAddr,
}

/// The protocols that are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// RFC 7348, also on Linux's older port.
    Vxlan,
    /// RFC 8926.
    Geneve,
    /// RFC 2784 and 2890, so NVGRE (RFC 7637) too.
    Gre,
    /// IP in IP, of either version (RFC 2003, 2473, 4213).
    Ipip,
}

impl Tunnel {
    /// The same tunnel for what goes the other way.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            ..*self
        }
    }

    /// Whether packets with equal addresses in both are of one network. Where there is an
    /// identifier it decides, whoever wraps them.
    fn is_one_network(&self, other: &Self) -> bool {
        (self.kind, self.id) == (other.kind, other.id)
            && (self.id.is_some()
                || (self.source, self.destination) == (other.source, other.destination))
    }
}

impl TunnelKind {
    /// The name that the flows file has.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::Ipip => "ipip",
        }
    }
}

/// As comments and the report say it: `VXLAN 42 from 192.0.2.1 to 192.0.2.9`.
impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TunnelKind::Vxlan => "VXLAN",
            TunnelKind::Geneve => "GENEVE",
            TunnelKind::Gre => "GRE",
            TunnelKind::Ipip => "IP in IP",
        })?;
        if let Some(id) = self.id {
            write!(f, " {id}")?;
        }
        write!(f, " from {} to {}", self.source, self.destination)
    }
}

/// Tunnels of one flow that are remembered.
const MAX: usize = 16;

/// The tunnels that a flow's packets were seen in, by place and sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Tunnels {
    seen: Vec<(Hook, u8, Tunnel)>,
    /// At one place, one side's packets came in tunnels of several networks: with the same
    /// addresses in each they needn't be of one connection.
    pub(super) differ: bool,
}

impl Tunnels {
    /// Notes that a side's packet was seen in a tunnel. Each direction may have an identifier of
    /// its own (Cilium's is the sender's identity), and so may each place (a gateway's two sides).
    pub(super) fn note(&mut self, hook: Hook, from: u8, tunnel: Tunnel) {
        let known = self
            .seen
            .iter()
            .find(|seen| (seen.0, seen.1) == (hook, from));
        match known {
            Some((.., known)) => self.differ |= !known.is_one_network(&tunnel),
            None if self.seen.len() < MAX => self.seen.push((hook, from, tunnel)),
            None => {}
        }
    }

    /// Takes in those of a flow that turned out to be part of this one.
    pub(super) fn join(&mut self, others: Self) {
        self.differ |= others.differ;
        for (hook, from, tunnel) in others.seen {
            self.note(hook, from, tunnel);
        }
    }

    /// Client and server change places.
    pub(super) fn flip(&mut self) {
        for (_, from, _) in &mut self.seen {
            *from = 1 - (*from).min(1);
        }
    }

    /// The one of a side's packets at a place.
    pub(super) fn at(&self, hook: Hook, from: u8) -> Option<Tunnel> {
        let seen = self
            .seen
            .iter()
            .find(|seen| (seen.0, seen.1) == (hook, from));
        seen.map(|(.., tunnel)| *tunnel)
    }

    /// The first one of a side's packets; else of the other side's, the other way.
    pub(super) fn of(&self, from: u8) -> Option<Tunnel> {
        let own = self.seen.iter().find(|seen| seen.1 == from);
        let other = || self.seen.first().map(|(.., tunnel)| tunnel.reversed());
        own.map(|(.., tunnel)| *tunnel).or_else(other)
    }
}
