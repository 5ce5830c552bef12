//! The tracker in virtual time: packets are made here, and seen on the hooks of a small node.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

mod bounds;
mod entries;
mod happenings;
mod json;
mod look_alikes;
mod ordinary;
mod out_of_sight;
mod parsing;
mod paths;
mod properties;
mod resets;
mod steps;
mod tcp;
mod translations;
mod tunnels;

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, PacketBuilderStep};

use super::evidence::{Change, Evidence, Fact, Mapping};
use super::record::{FlowRecord, NatRecord, Record, ResetRecord};
use super::reset::Environment;
use super::role::Role;
use super::sighting::Sighting;
use super::tracker::{Annotations, Config, Interface, Ticket, Tracker};
use super::tuple::Tuple;
use crate::packet::{Direction, InterfaceId};
use crate::session::frame::Link;

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000 * MS;

/// A container's interface, the uplink, a bridge, another container's interface.
pub(super) const VETH: InterfaceId = 0;
pub(super) const ETH0: InterfaceId = 1;
pub(super) const BRIDGE: InterfaceId = 2;
pub(super) const OTHER_VETH: InterfaceId = 3;

pub(super) const IN: Direction = Direction::In;
pub(super) const OUT: Direction = Direction::Out;

/// A container, what it is translated to, and whom it talks to.
pub(super) const POD: &str = "172.17.0.2:41022";
pub(super) const MASQUERADED: &str = "192.0.2.1:41022";
pub(super) const SERVER: &str = "192.0.2.9:443";

pub(super) fn tuple(protocol: u8, from: &str, to: &str) -> Tuple {
    Tuple {
        source: from.parse::<SocketAddr>().unwrap().into(),
        destination: to.parse::<SocketAddr>().unwrap().into(),
        protocol,
    }
}

/// A packet to be made.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) ip_id: u16,
    pub(super) ttl: u8,
    pub(super) flow_label: u32,
    pub(super) carries: Carries,
    pub(super) payload: Vec<u8>,
    /// The frame is cut here.
    pub(super) snaplen: usize,
    pub(super) stamps: Option<(u32, u32)>,
}

#[derive(Clone, Debug)]
pub(super) enum Carries {
    Tcp {
        sequence: u32,
        acknowledgement: u32,
        flags: &'static str,
        window: u16,
    },
    Udp,
    /// Identifier (in the ports), sequence number, whether it is a reply.
    Echo(u16, bool),
    /// An error about another packet.
    Unreachable(Box<Packet>),
}

impl Packet {
    fn new(from: &str, to: &str, carries: Carries) -> Self {
        Self {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            ip_id: 7,
            ttl: 64,
            flow_label: 0,
            carries,
            payload: Vec::new(),
            snaplen: usize::MAX,
            stamps: None,
        }
    }

    /// `flags` as tcpdump writes them: `S`, `S.`, `.`, `P.`, `F.`, `R`, `R.`.
    pub(super) fn tcp(
        from: &str,
        to: &str,
        flags: &'static str,
        sequence: u32,
        acknowledgement: u32,
    ) -> Self {
        Self::new(
            from,
            to,
            Carries::Tcp {
                sequence,
                acknowledgement,
                flags,
                window: 64_000,
            },
        )
    }

    pub(super) fn udp(from: &str, to: &str, payload: &[u8]) -> Self {
        let mut packet = Self::new(from, to, Carries::Udp);
        packet.payload = payload.to_vec();
        packet
    }

    /// Both ports are the identifier.
    pub(super) fn echo(from: &str, to: &str, sequence: u16, reply: bool) -> Self {
        Self::new(from, to, Carries::Echo(sequence, reply))
    }

    pub(super) fn unreachable(from: &str, to: &str, about: &Self) -> Self {
        Self::new(from, to, Carries::Unreachable(Box::new(about.clone())))
    }

    pub(super) fn data(mut self, len: usize) -> Self {
        self.payload = (0..len).map(|at| (at % 251) as u8).collect();
        self
    }

    pub(super) fn id(mut self, ip_id: u16) -> Self {
        self.ip_id = ip_id;
        self
    }

    pub(super) fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    pub(super) fn window(mut self, size: u16) -> Self {
        if let Carries::Tcp { window, .. } = &mut self.carries {
            *window = size;
        }
        self
    }

    /// As it is behind a translation: other addresses, one hop less.
    pub(super) fn translated(&self, from: &str, to: &str) -> Self {
        Self {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            ttl: self.ttl - 1,
            ..self.clone()
        }
    }

    /// The IP packet.
    fn network(&self) -> PacketBuilderStep<IpHeaders> {
        let start = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header =
                    Ipv4Header::new(0, self.ttl, IpNumber::TCP, from.octets(), to.octets())
                        .unwrap();
                header.identification = self.ip_id;
                header.dont_fragment = true;
                start.ip(IpHeaders::Ipv4(
                    header,
                    etherparse::Ipv4Extensions::default(),
                ))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = Ipv6Header {
                    flow_label: self.flow_label.try_into().unwrap(),
                    hop_limit: self.ttl,
                    source: from.octets(),
                    destination: to.octets(),
                    ..Ipv6Header::default()
                };
                start.ip(IpHeaders::Ipv6(
                    header,
                    etherparse::Ipv6Extensions::default(),
                ))
            }
            _ => panic!("one IP version a packet"),
        }
    }

    /// Its bytes, with an Ethernet header.
    pub(super) fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        let v6 = self.from.is_ipv6();
        match &self.carries {
            Carries::Tcp {
                sequence,
                acknowledgement,
                flags,
                window,
            } => {
                let mut tcp =
                    self.network()
                        .tcp(self.from.port(), self.to.port(), *sequence, *window);
                for flag in flags.chars() {
                    tcp = match flag {
                        'S' => tcp.syn(),
                        'F' => tcp.fin(),
                        'R' => tcp.rst(),
                        'P' => tcp.psh(),
                        '.' => tcp.ack(*acknowledgement),
                        other => panic!("no such flag: {other}"),
                    };
                }
                if let Some((value, echo)) = self.stamps {
                    tcp = tcp
                        .options(&[etherparse::TcpOptionElement::Timestamp(value, echo)])
                        .unwrap();
                }
                tcp.write(&mut frame, &self.payload).unwrap();
            }
            Carries::Udp => self
                .network()
                .udp(self.from.port(), self.to.port())
                .write(&mut frame, &self.payload)
                .unwrap(),
            Carries::Echo(sequence, reply) => {
                let id = self.from.port();
                let step = self.network();
                match (v6, reply) {
                    (false, false) => step
                        .icmpv4_echo_request(id, *sequence)
                        .write(&mut frame, &self.payload),
                    (false, true) => step
                        .icmpv4_echo_reply(id, *sequence)
                        .write(&mut frame, &self.payload),
                    (true, false) => step
                        .icmpv6_echo_request(id, *sequence)
                        .write(&mut frame, &self.payload),
                    (true, true) => step
                        .icmpv6_echo_reply(id, *sequence)
                        .write(&mut frame, &self.payload),
                }
                .unwrap();
            }
            Carries::Unreachable(about) => {
                let quoted = about.frame();
                let quoted = &quoted[14..quoted.len().min(14 + 60)];
                if v6 {
                    self.network()
                        .icmpv6_raw(1, 4, [0; 4])
                        .write(&mut frame, quoted)
                        .unwrap();
                } else {
                    self.network()
                        .icmpv4_raw(3, 3, [0; 4])
                        .write(&mut frame, quoted)
                        .unwrap();
                }
            }
        }
        frame
    }
}

/// A node with its tracker and its time.
pub(super) struct Node {
    pub(super) tracker: Tracker,
    pub(super) now: u64,
    /// All that was seen and not concluded.
    waiting: Vec<Ticket>,
    next_skb: u64,
}

impl Node {
    pub(super) fn new() -> Self {
        Self::with(Config {
            environment: Environment {
                live: true,
                ..Environment::default()
            },
            ..Config::default()
        })
    }

    pub(super) fn with(config: Config) -> Self {
        let mut tracker = Tracker::new(config);
        for (name, role) in [
            ("veth2482a36", Role::Pod),
            ("eth0", Role::Uplink),
            ("docker0", Role::Shared),
            ("veth77", Role::Pod),
        ] {
            tracker.add_interface(Interface {
                name: name.into(),
                role,
            });
        }
        Self {
            tracker,
            now: SECOND,
            waiting: Vec::new(),
            next_skb: 0x1000,
        }
    }

    /// A new skb's address.
    pub(super) fn skb(&mut self) -> u64 {
        self.next_skb += 0x100;
        self.next_skb
    }

    pub(super) fn wait(&mut self, time: u64) -> &mut Self {
        self.now += time;
        self
    }

    /// One sighting, 20 µs after what was before.
    pub(super) fn see(
        &mut self,
        interface: InterfaceId,
        direction: Direction,
        identity: Option<u64>,
        packet: &Packet,
    ) -> Ticket {
        self.now += 20_000;
        let frame = packet.frame();
        let ticket = self
            .tracker
            .see(&Sighting {
                time: self.now,
                interface,
                direction,
                identity,
                link: Link::Ethernet,
                frame: &frame[..packet.snaplen.min(frame.len())],
                original_len: u32::try_from(frame.len()).unwrap(),
                gso: None,
            })
            .unwrap();
        self.waiting.push(ticket);
        ticket
    }

    /// The same skb at each of these places; the packet as it is there.
    pub(super) fn pass(&mut self, places: &[(InterfaceId, Direction, &Packet)]) -> Vec<Ticket> {
        let skb = self.skb();
        places
            .iter()
            .map(|(interface, direction, packet)| {
                self.see(*interface, *direction, Some(skb), packet)
            })
            .collect()
    }

    /// A packet seen in one place.
    pub(super) fn at(
        &mut self,
        interface: InterfaceId,
        direction: Direction,
        packet: &Packet,
    ) -> Ticket {
        let skb = self.skb();
        self.see(interface, direction, Some(skb), packet)
    }

    /// A container's packet on its way out of the node through masquerading.
    pub(super) fn leaves(&mut self, packet: &Packet) -> Vec<Ticket> {
        let behind = packet.translated(MASQUERADED, &packet.to.to_string());
        self.pass(&[(VETH, IN, packet), (ETH0, OUT, &behind)])
    }

    /// A server's packet on its way to the container, as the container gets it.
    pub(super) fn arrives(&mut self, packet: &Packet) -> Vec<Ticket> {
        let mut before = packet.translated(&packet.from.to_string(), MASQUERADED);
        before.ttl = packet.ttl + 1;
        self.pass(&[(ETH0, IN, &before), (VETH, OUT, packet)])
    }

    pub(super) fn learn(&mut self, fact: Fact) {
        let time = self.now;
        self.tracker.learn(Evidence { time, fact });
    }

    pub(super) fn conntrack(&mut self, original: Tuple, reply: Tuple, change: Change) {
        self.learn(Fact::Conntrack(Mapping {
            original,
            reply,
            change,
        }));
    }

    /// All that waits is written.
    pub(super) fn conclude(&mut self) -> Vec<Annotations> {
        self.now += 50 * MS;
        let waiting = std::mem::take(&mut self.waiting);
        waiting
            .into_iter()
            .map(|ticket| self.tracker.conclude(ticket))
            .collect()
    }

    /// All comments that were made.
    pub(super) fn comments(&mut self) -> Vec<String> {
        self.conclude()
            .into_iter()
            .flat_map(|annotations| annotations.comments)
            .collect()
    }

    /// The capture ends: everything that was told.
    pub(super) fn end(&mut self) -> Told {
        self.conclude();
        self.now += 50 * MS;
        self.tracker.finish(self.now);
        Told::from(self.tracker.take_records())
    }

    /// A handshake of the container with the server.
    pub(super) fn connect(&mut self) {
        self.leaves(&Packet::tcp(POD, SERVER, "S", 1_000, 0));
        self.arrives(&Packet::tcp(SERVER, POD, "S.", 9_000, 1_001));
        self.leaves(&Packet::tcp(POD, SERVER, ".", 1_001, 9_001));
    }
}

/// Records by kind.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) flows: Vec<FlowRecord>,
    pub(super) nats: Vec<NatRecord>,
    pub(super) resets: Vec<ResetRecord>,
}

impl From<Vec<Record>> for Told {
    fn from(records: Vec<Record>) -> Self {
        let mut told = Self::default();
        for record in records {
            match record {
                Record::Flow(flow) => told.flows.push(*flow),
                Record::Nat(nat) => told.nats.push(*nat),
                Record::Reset(reset) => told.resets.push(*reset),
            }
        }
        told
    }
}

impl Told {
    /// The one flow that there was.
    pub(super) fn flow(&self) -> &FlowRecord {
        assert_eq!(self.flows.len(), 1, "{:#?}", self.flows);
        &self.flows[0]
    }
}
