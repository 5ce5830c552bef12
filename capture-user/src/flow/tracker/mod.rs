//! Sightings and evidence in, annotations and records out.
//!
//! [`Tracker::see`] takes each sighting in time order and gives a ticket for it;
//! [`Tracker::conclude`] is called with the ticket when the packet is written, a few tens of
//! milliseconds later, so that evidence about it can arrive in between ([`Tracker::learn`]).
//!
//! - `ahead`: sightings a few at a time; `packets`: which of them are of one packet; `flows`: which
//!   flow a packet is of
//! - `translations`: as packets show them and conntrack tells of them; `merging`: flows with
//!   several tuples, and flows that turn out to be one
//! - `resets`: from a reset to its verdict; `ends`: what becomes of flows that are over;
//!   `happenings`: what somebody waits for

mod ahead;
mod ends;
mod flows;
mod happenings;
mod merging;
mod packets;
mod resets;
mod translations;

use std::collections::VecDeque;

use foldhash::fast::RandomState;

use self::ahead::Read;
use self::happenings::Happenings;
use super::comment;
use super::evidence::{Change, Evidence, Fact};
use super::happening::Kinds;
pub use super::interfaces::Interface;
use super::live::{FlowRef, Hook, NO_NAT, Ring};
use super::mappings::{self, Mappings};
use super::names::Names;
use super::parse;
use super::pending::Pending;
use super::recent::Recent;
use super::record::Record;
use super::reset::Environment;
use super::role::Role;
use super::sighting::Sighting;
use super::summary::Summary;
use super::table::Table;
use crate::packet::InterfaceId;

const SECOND: u64 = 1_000_000_000;

/// How a tracker is set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Flows remembered at a time.
    pub max_flows: usize,
    /// Packets remembered at a time, so that their next sightings are known: rounded up to a
    /// power of two. Must hold the packets of twice [`Config::window`].
    pub max_packets: usize,
    /// conntrack's translations remembered for flows that are yet to be seen.
    pub max_mappings: usize,
    /// How long after a sighting the next one of the same packet, or evidence about it, can
    /// come: nanoseconds.
    pub window: u64,
    /// When flows are over.
    pub timeouts: Timeouts,
    /// Whether somebody takes records; without, none is made.
    pub records: bool,
    /// What somebody waits for; nothing costs nothing.
    pub watch: Kinds,
    /// Whether flows are those of the packets within tunnels.
    pub inner: bool,
    /// What the capture can see.
    pub environment: Environment,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_flows: 1_000_000,
            max_packets: 1 << 17,
            max_mappings: 1 << 16,
            window: 50_000_000,
            timeouts: Timeouts::default(),
            records: true,
            watch: Kinds::default(),
            inner: false,
            environment: Environment::default(),
        }
    }
}

/// After how much silence a flow goes: nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A TCP connection that is open, or may be. Longer than any box on the way keeps it, so that
    /// its end can still be understood.
    pub connection: u64,
    /// One that is being opened. Linux gives up after 127 s.
    pub opening: u64,
    /// One that was reset: stragglers still join it.
    pub over: u64,
    /// One that both sides closed. One of them is in TIME-WAIT then, for 60 s on Linux, which
    /// decides what becomes of the next connection with these ports.
    pub closed: u64,
    /// UDP, SCTP and other protocols.
    pub datagrams: u64,
    /// ICMP and ICMPv6.
    pub echo: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connection: 3 * 3_600 * SECOND,
            opening: 150 * SECOND,
            over: 10 * SECOND,
            closed: 61 * SECOND,
            datagrams: 180 * SECOND,
            echo: 60 * SECOND,
        }
    }
}

/// Stands for one sighting until its packet is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    packet: u64,
    stop: u8,
    settled: bool,
}

impl Ticket {
    /// The packet's number: as [`Annotations::packet_id`], known at once.
    #[must_use]
    pub const fn packet_id(self) -> u64 {
        self.packet
    }

    /// Whether there is nothing to write with the sighting but its packet's number, whatever is
    /// still learned: so with all but resets and those that show a translation. Such a sighting
    /// needn't wait for evidence, nor [`Tracker::conclude`] be called for it, unless its flow's
    /// number matters, which may yet change.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.settled
    }
}

/// What is known about a sighting when its packet is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The same on every sighting of one packet, counted from 1.
    pub packet_id: u64,
    /// The flow it belongs to, or that it quotes.
    pub flow: Option<u64>,
    /// Each a sentence, then the keys for programs.
    pub comments: Vec<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Tracker {
    config: Config,
    hash: RandomState,
    packets: Ring,
    table: Table,
    recent: Recent,
    mappings: Mappings,
    /// Resets that were seen lately, by packet number.
    pending: VecDeque<Pending>,
    /// Translations to be told of: since when, whose.
    untold: VecDeque<(u64, FlowRef)>,
    records: Vec<Record>,
    names: Names,
    happenings: Happenings,
    summary: Summary,
    /// Flows that turned out to be part of another.
    merged: u64,
    /// The latest time seen.
    now: u64,
    /// The next slot to look at for flows that are over, and up to when that was done.
    sweep: (usize, u64),
    /// Working space for sightings that are taken together.
    ahead: Vec<Option<Read>>,
}

impl Tracker {
    /// A tracker that has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            packets: Ring::new(config.max_packets, config.window.saturating_mul(2)),
            table: Table::new(config.max_flows),
            mappings: Mappings::new(config.max_mappings),
            hash: RandomState::default(),
            recent: Recent::default(),
            pending: VecDeque::new(),
            untold: VecDeque::new(),
            records: Vec::new(),
            names: Names::default(),
            happenings: Happenings::default(),
            summary: Summary::default(),
            merged: 0,
            now: 0,
            sweep: (0, 0),
            ahead: Vec::new(),
            config,
        }
    }

    /// Takes the next interface, in the order of their [`InterfaceId`]s.
    pub fn add_interface(&mut self, interface: Interface) -> InterfaceId {
        self.config.environment.interfaces.add(interface)
    }

    /// Nothing more is seen of an interface. Flows that outlive it still call it by its name, unless
    /// thousands have gone since.
    pub fn interface_gone(&mut self, interface: InterfaceId) {
        self.config.environment.interfaces.gone(interface);
        self.names.is_behind(interface, None);
    }

    /// Changes what an interface stands for, as when it gets a default route.
    pub fn set_role(&mut self, interface: InterfaceId, role: Role) {
        self.config.environment.interfaces.set_role(interface, role);
    }

    /// What the capture can see, to be changed when that changes.
    pub const fn environment_mut(&mut self) -> &mut Environment {
        &mut self.config.environment
    }

    /// An interface's name; `?` if it was never added, or is gone for too long.
    #[must_use]
    pub fn interface_name(&self, interface: InterfaceId) -> &str {
        let interfaces = &self.config.environment.interfaces;
        interfaces.name(interface).unwrap_or("?")
    }

    /// What addresses are called.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// What addresses are called, to be told more of.
    pub const fn names_mut(&mut self) -> &mut Names {
        &mut self.names
    }

    fn role(&self, interface: InterfaceId) -> Role {
        self.config.environment.interfaces.role(interface)
    }

    /// Takes a sighting; in time order, as far as the source can. `None` if its frame is too short
    /// to say anything of.
    pub fn see(&mut self, sighting: &Sighting<'_>) -> Option<Ticket> {
        let read = self.read(sighting);
        self.take(sighting, read.as_ref())
    }

    fn take(&mut self, sighting: &Sighting<'_>, read: Option<&Read>) -> Option<Ticket> {
        self.now = self.now.max(sighting.time);
        self.summary.sightings += 1;
        let Some(read) = read else {
            self.summary.unreadable += 1;
            return None;
        };
        let hook = Hook::new(sighting.interface, sighting.direction);
        self.packets.turn_to(hook, sighting.time);
        let can_know = self
            .packets
            .can_know(hook, sighting.time, self.config.window);
        let same = can_know.then(|| self.same_packet(sighting, read, hook));
        let ticket = match same.flatten() {
            Some(same) => self.again(sighting, read, &same, hook),
            None => self.first(sighting, read, hook),
        };
        if self.config.inner {
            self.note_tunnel(sighting, ticket);
        }
        Some(ticket)
    }

    /// Notes for a packet's flow which tunnel the packet is seen in.
    fn note_tunnel(&mut self, sighting: &Sighting<'_>, ticket: Ticket) {
        let tunnel = parse::tunnel_of(sighting.link, sighting.frame, sighting.original_len);
        if let Some(tunnel) = tunnel
            && let Some(live) = self.packets.get(ticket.packet)
            && live.flow != FlowRef::NONE
            && !live.about
        {
            let (flow, from) = (live.flow, live.from);
            let hook = Hook::new(sighting.interface, sighting.direction);
            if let Some(more) = self.table.more(flow) {
                more.tunnels.note(hook, from, tunnel);
            }
        }
    }

    /// Takes a piece of evidence, as soon as it is there.
    pub fn learn(&mut self, evidence: Evidence) {
        let Evidence { time, fact } = evidence;
        let forgotten = match fact {
            Fact::ResetSent(reset) => self.recent.sent(time, reset),
            Fact::ResetReceived(reset) => self.recent.received(time, reset),
            Fact::Dropped(drop) => {
                self.note_drop(time, &drop);
                self.recent.dropped(time, drop)
            }
            Fact::Conntrack(mapping) => {
                match mapping.change {
                    Change::Present | Change::Made => self.mapped(time, &mapping),
                    Change::Removed => self.unmapped(&mapping),
                }
                false
            }
            Fact::RemovalsLost => {
                self.config.environment.removals_lost = Some(time);
                false
            }
        };
        self.summary.evidence_ignored += u64::from(forgotten);
    }

    /// What to write with a sighting: called when its packet is written, in the order of the
    /// tickets, and not before evidence about it had its time.
    pub fn conclude(&mut self, ticket: Ticket) -> Annotations {
        let mut annotations = Annotations {
            packet_id: ticket.packet,
            ..Annotations::default()
        };
        let Some(live) = self.packets.get(ticket.packet) else {
            // Written so late that it was forgotten. A verdict is kept longer.
            self.comment_reset(ticket.packet, &mut annotations);
            return annotations;
        };
        let (flow, reset, nat, nat_stop) = (live.flow, live.reset, live.nat, live.nat_stop);
        if flow == FlowRef::NONE {
            return annotations;
        }
        // A flow that became part of another has changed this along.
        annotations.flow = Some(self.number_now(flow));
        if nat != NO_NAT && nat_stop == ticket.stop {
            self.comment_nat(flow, nat, &mut annotations);
        }
        if reset {
            self.comment_reset(ticket.packet, &mut annotations);
        }
        annotations
    }

    fn comment_nat(&mut self, flow: FlowRef, nat: u8, annotations: &mut Annotations) {
        let index = usize::from(nat);
        self.tell_nat(flow, index);
        let Some(flow) = self.table.get(flow) else {
            return;
        };
        if let Some(nat) = flow.nats().get(index) {
            let record = Self::nat_record(flow.id, nat, flow.tunnel(0));
            annotations
                .comments
                .push(comment::nat(&record, &self.names));
        }
    }

    /// The records since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    fn tell(&mut self, mut record: Record) {
        if self.config.records {
            if self.config.environment.undirected {
                record.forget_directions();
            }
            self.records.push(record);
        }
    }

    /// What came of it so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            flows: self.table.begun().saturating_sub(self.merged),
            merged: self.merged,
            packets: self.packets.count(),
            ..self.summary.clone()
        }
    }

    /// Flows in the table.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// What was laid before the judge, of the flows that are still there.
    #[cfg(test)]
    pub(super) fn cases(&self) -> Vec<&super::pending::OwnedCase> {
        (0..self.table.slots())
            .filter_map(|slot| self.table.at(slot)?.more.as_ref())
            .flat_map(|more| more.resets.iter().map(|judged| &*judged.case))
            .collect()
    }

    /// Room for packets.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.packets.capacity()
    }

    /// conntrack lost an entry.
    fn unmapped(&mut self, mapping: &super::evidence::Mapping) {
        self.mappings.remove(mapping);
        for tuple in [&mapping.original, &mapping.reply] {
            if let Some((flow, ..)) = self.table.find(tuple)
                && let Some(flow) = self.table.get_mut(flow)
                && let Some(known) = flow.more.as_mut().and_then(|more| more.mapping.as_mut())
                && mappings::same(known, mapping)
            {
                known.change = Change::Removed;
            }
        }
    }
}
