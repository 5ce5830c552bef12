//! The flow core as the mover drives it: records become sightings, the kernel's events become
//! evidence, and what comes of them goes to the flows file.

use std::net::IpAddr;

use capture_common::record::{RecordFlags, RecordHeader};

use super::clock::Clock;
use super::frame::{self, Link};
use crate::evidence::sysctl::Sysctls;
use crate::flow::evidence::Evidence;
use crate::flow::happening::Happening;
use crate::flow::sighting::Sighting;
use crate::flow::summary::Summary;
use crate::flow::tracker::{Annotations, Config, Interface, Ticket, Tracker};
use crate::kernel::Events;
use crate::packet::InterfaceId;
use crate::sink::flows::FlowsFile;
use crate::sink::output::OutputError;
use crate::sink::pcapng::Name;

/// How long a packet is held back for what may still be learned of it: its next sightings and the
/// kernel's word on it. Nanoseconds. Between hooks packets take some 20 µs, a flow's first one
/// 100 µs; a socket's answer is told within the same time.
pub(super) const HOLD: u64 = 30_000_000;

/// The tracker with its sources and its file.
pub(super) struct Tracking {
    tracker: Tracker,
    events: Option<Events>,
    flows: Option<FlowsFile>,
    /// A packet was lost.
    lost: bool,
}

impl Tracking {
    pub(super) fn new(config: Config, events: Option<Events>, flows: Option<FlowsFile>) -> Self {
        let config = Config {
            records: flows.is_some(),
            ..config
        };
        Self {
            tracker: Tracker::new(config),
            events,
            flows,
            lost: false,
        }
    }

    /// Takes the next interface: its id is the same as the session's.
    pub(super) fn add_interface(&mut self, interface: Interface) {
        self.tracker.add_interface(interface);
    }

    /// Nothing more comes of an interface.
    pub(super) fn interface_gone(&mut self, interface: InterfaceId) {
        self.tracker.interface_gone(interface);
    }

    /// From then on the addresses are called so.
    pub(super) fn name(&mut self, names: &[Name], since: u64) {
        for (address, name) in names {
            self.tracker.names_mut().learn(*address, name, since);
        }
    }

    /// From then on nothing is known of the addresses.
    pub(super) fn forget_names(&mut self, addresses: &[IpAddr], since: u64) {
        for address in addresses {
            self.tracker.names_mut().forget(*address, since);
        }
    }

    /// Who is behind an interface.
    pub(super) fn is_behind(&mut self, interface: InterfaceId, name: Option<&str>) {
        self.tracker.names_mut().is_behind(interface, name);
    }

    /// From when on everything is seen. From a packet that wasn't seen before then, nothing
    /// follows.
    pub(super) fn complete_since(&mut self, since: Option<u64>) {
        self.tracker.environment_mut().complete_since = since.filter(|_| !self.lost);
    }

    /// The capture goes on in another network namespace, of which nothing was seen yet.
    pub(super) fn entered(&mut self, netns: u32, sysctls: &Sysctls) {
        let environment = self.tracker.environment_mut();
        environment.netns = netns;
        environment.complete_since = None;
        sysctls.fill(environment);
    }

    /// Until now a packet may have been lost of which no record tells yet.
    pub(super) fn may_have_missed(&mut self, now: u64) {
        if let Some(since) = &mut self.tracker.environment_mut().complete_since {
            *since = now.max(*since);
        }
    }

    /// Events were lost: from one that isn't there nothing follows.
    pub(super) fn lost_events(&mut self) {
        let environment = self.tracker.environment_mut();
        environment.resets_told = false;
        environment.reasons_told = false;
        environment.drops_told = false;
    }

    /// Takes evidence from elsewhere.
    pub(super) fn learn(&mut self, evidence: Evidence) {
        self.tracker.learn(evidence);
    }

    /// Takes what the kernel side has told since the last time.
    pub(super) fn learn_from_kernel(&mut self) {
        if let Some(events) = &mut self.events {
            while let Some(evidence) = events.next_event() {
                self.tracker.learn(evidence);
            }
        }
    }

    /// What happened since the last time, of what is waited for.
    pub(super) fn happenings(&mut self) -> impl Iterator<Item = Happening> {
        self.tracker.take_happenings()
    }

    /// No packet comes any more that one of them could be about.
    pub(super) fn settle_happenings(&mut self) {
        self.tracker.settle_happenings();
    }

    /// A record as the tracker takes it.
    pub(super) fn sighting<'a>(
        &mut self,
        interface: InterfaceId,
        header: &RecordHeader,
        frame: &'a [u8],
    ) -> Sighting<'a> {
        if header.lost > 0 {
            self.lost = true;
            self.complete_since(None);
        }
        Sighting {
            time: header.ktime,
            interface,
            direction: frame::direction(header),
            identity: (header.identity != 0).then_some(header.identity),
            link: if header.flags & RecordFlags::NO_LINK_HEADER == 0 {
                Link::Ethernet
            } else {
                Link::Bare
            },
            frame,
            original_len: header.wire_len,
            gso: frame::gso(header),
        }
    }

    /// Takes sightings, in the order of time, and adds a ticket for each.
    pub(super) fn see_all(
        &mut self,
        sightings: &[Sighting<'_>],
        tickets: &mut Vec<Option<Ticket>>,
    ) {
        self.tracker.see_all(sightings, tickets);
    }

    /// What to write with a sighting.
    pub(super) fn conclude(&mut self, ticket: Ticket) -> Annotations {
        self.tracker.conclude(ticket)
    }

    /// Does what time brings, and writes what was found out.
    pub(super) fn go_on(&mut self, now: u64, clock: &Clock) -> Result<(), OutputError> {
        self.tracker.expire(now);
        self.tell(clock)
    }

    /// The capture is over: tells everything.
    pub(super) fn finish(&mut self, now: u64, clock: &Clock) -> Result<Summary, OutputError> {
        self.tracker.finish(now);
        self.tell(clock)?;
        if let Some(flows) = self.flows.take() {
            flows.finish()?;
        }
        Ok(self.tracker.summary())
    }

    /// What came of it so far.
    pub(super) fn summary(&self) -> Summary {
        self.tracker.summary()
    }

    /// What came of it so far, and how many flows are remembered.
    pub(super) fn progress(&self) -> (Summary, usize) {
        (self.tracker.summary(), self.tracker.flows())
    }

    /// Whether the flows file takes more at once.
    pub(super) fn has_room(&self) -> bool {
        self.flows.as_ref().is_none_or(FlowsFile::has_room)
    }

    /// Writes out what waits in the flows file.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        match &mut self.flows {
            Some(flows) => flows.flush(),
            None => Ok(()),
        }
    }

    fn tell(&mut self, clock: &Clock) -> Result<(), OutputError> {
        let Some(flows) = &mut self.flows else {
            return Ok(());
        };
        for record in self.tracker.take_records() {
            let json = record.to_json(
                |stamp| clock.at(stamp),
                |interface| self.tracker.interface_name(interface),
                self.tracker.names(),
            );
            match json {
                Ok(json) => flows.line(&json)?,
                Err(error) => tracing::error!("a flow record can't be written: {error}"),
            }
        }
        flows.flush()
    }
}
