//! What a saved capture tells: the flow core over a file instead of a live node.
//!
//! - here: the file's packets as sightings, and what came of them, within bounds
//! - `order`: packets in the order of time, where the file doesn't have them so
//! - `timeline`: the file's times as a clock that never goes back
//! - `recorded`: the verdicts that were written into a file of ours, with more evidence than the
//!   packets alone hold
//! - [`report`]: the findings as text

mod order;
mod recorded;
pub mod report;
mod timeline;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;
use std::net::IpAddr;

use crate::flow::names::Names;
use crate::flow::record::{FlowRecord, NatRecord, Record, ResetRecord};
use crate::flow::reset::Environment;
use crate::flow::sighting::Sighting;
use crate::flow::summary::Summary;
use crate::flow::tracker::{Config, Interface, Tracker};
use crate::packet::InterfaceId;
use crate::source::file::{self, Reader};

use self::order::Sorter;
use self::recorded::Recorded;
use self::timeline::Timeline;

/// How often the tracker is told that time has passed: nanoseconds of the file's time.
const TICK: u64 = 25_000_000;

/// How a file is looked at, and within which bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Whether flows are those of the packets within tunnels.
    pub inner: bool,
    /// Flows remembered at a time.
    pub max_flows: usize,
    /// Flows kept for the report: the largest.
    pub flows: usize,
    /// Resets, and translations, kept for the report: the first.
    pub events: usize,
    /// Whether addresses are called by the names that the file has for them.
    pub names: bool,
}

/// What came of a file.
#[derive(Debug)]
pub struct Findings {
    /// The wall-clock times of the first and the last packet: nanoseconds since the epoch.
    pub span: Option<(u64, u64)>,
    /// The largest flows by their bytes, the largest first.
    pub flows: Vec<FlowRecord>,
    /// Resets in the order of time.
    pub resets: Vec<ResetRecord>,
    /// Translations in the order of time.
    pub translations: Vec<NatRecord>,
    /// Resets and translations that weren't kept.
    pub left_out: u64,
    /// Counts of all.
    pub summary: Summary,
    timeline: Timeline,
    names: Vec<Box<str>>,
    called: Names,
}

impl Findings {
    /// The wall-clock time of a record's time.
    #[must_use]
    pub fn wall(&self, time: u64) -> u64 {
        self.timeline.wall(time)
    }

    /// What the file called an address in a time of records. Print it through
    /// [`crate::target::name::printable`].
    #[must_use]
    pub fn called(&self, address: IpAddr, first: u64, last: u64) -> Option<&str> {
        self.called.during(address, first, last)
    }

    /// An interface's name.
    #[must_use]
    pub fn interface(&self, id: InterfaceId) -> &str {
        name(&self.names, id)
    }
}

fn name(names: &[Box<str>], id: InterfaceId) -> &str {
    names.get(id as usize).map_or("?", |name| name)
}

/// A flow by its size, so that the smallest of those kept is at hand.
struct BySize(FlowRecord);

impl BySize {
    fn key(&self) -> (u64, Reverse<u64>) {
        let [to_server, to_client] = self.0.bytes;
        (to_server.saturating_add(to_client), Reverse(self.0.id))
    }
}

impl PartialEq for BySize {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for BySize {}

impl PartialOrd for BySize {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BySize {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Reads a file to its end. Each record is handed to `each` as a line of the flows file, if
/// `lines` are wanted.
///
/// # Errors
///
/// What `each` gives.
pub fn analyse<R: Read, E>(
    reader: &mut Reader<R>,
    bounds: Bounds,
    lines: bool,
    mut each: impl FnMut(&str) -> Result<(), E>,
) -> Result<Findings, E> {
    let mut analysis = Analysis::new(bounds, lines);
    let mut recorded = Recorded::default();
    let mut sorter = Sorter::default();
    let mut span: Option<(u64, u64)> = None;
    let mut named = 0;
    while let Some(packet) = reader.next() {
        analysis.add_interfaces(packet.interfaces);
        if bounds.names {
            let news = packet.names.get(named..).unwrap_or_default();
            named = packet.names.len();
            analysis.learn_names(news, packet.time);
        }
        span = match span {
            None => Some((packet.time, packet.time)),
            Some((first, last)) => Some((first.min(packet.time), last.max(packet.time))),
        };
        if packet.has_options() {
            for comment in packet.comments() {
                recorded.note(packet.time, comment);
            }
        }
        if packet.direction.is_none() {
            analysis.tracker.environment_mut().undirected = true;
        }
        if packet.interfaces.len() < 2 {
            analysis.see(packet.time, |time| order::sighting(&packet, time));
            analysis.go_on(&recorded, &mut each)?;
            continue;
        }
        let cut_off = sorter.is_cut_off(packet.time);
        while let Some(oldest) = sorter.pop(cut_off) {
            analysis.see(oldest.time, |time| oldest.sighting(time));
            analysis.go_on(&recorded, &mut each)?;
            sorter.give_back(oldest);
        }
        sorter.push(&packet);
    }
    while let Some(oldest) = sorter.pop(true) {
        analysis.see(oldest.time, |time| oldest.sighting(time));
        analysis.go_on(&recorded, &mut each)?;
    }
    // Those that no packet came from after they were described.
    analysis.add_interfaces(reader.interfaces());
    analysis.tracker.finish(analysis.now);
    analysis.take(&recorded, &mut each)?;
    let Analysis {
        mut tracker,
        timeline,
        names,
        kept,
        ..
    } = analysis;
    let summary = tracker.summary();
    let (flows, mut resets, mut translations, left_out) = kept.finish();
    resets.sort_by_key(|reset| (reset.time, reset.flow));
    translations.sort_by_key(|nat| (nat.time, nat.flow));
    Ok(Findings {
        span,
        flows,
        resets,
        translations,
        left_out,
        summary,
        timeline,
        names,
        called: std::mem::take(tracker.names_mut()),
    })
}

/// A file's analysis under way.
struct Analysis {
    tracker: Tracker,
    timeline: Timeline,
    kept: Kept,
    /// Whether records are wanted as lines.
    lines: bool,
    names: Vec<Box<str>>,
    now: u64,
    next_tick: u64,
}

impl Analysis {
    fn new(bounds: Bounds, lines: bool) -> Self {
        Self {
            tracker: Tracker::new(Config {
                max_flows: bounds.max_flows,
                // Nothing of the node that it was captured on is known here, its conntrack least of all.
                max_mappings: 1,
                inner: bounds.inner,
                environment: Environment::default(),
                ..Config::default()
            }),
            timeline: Timeline::default(),
            kept: Kept::new(bounds),
            lines,
            names: Vec::new(),
            now: 0,
            next_tick: 0,
        }
    }

    /// Takes those that aren't known yet.
    fn add_interfaces(&mut self, interfaces: &[file::Interface]) {
        for interface in interfaces.iter().skip(self.names.len()) {
            let name: Box<str> = match &interface.name {
                Some(name) => name.as_str().into(),
                None => format!("interface {}", self.names.len()).into(),
            };
            self.names.push(name.clone());
            self.tracker.add_interface(Interface {
                name,
                role: interface.role,
            });
        }
    }

    /// From the file's time `wall` on addresses are called so.
    fn learn_names(&mut self, news: &[(IpAddr, String)], wall: u64) {
        if news.is_empty() {
            return;
        }
        let time = self.timeline.of(wall);
        for (address, name) in news {
            self.tracker.names_mut().learn(*address, name, time);
        }
    }

    fn see<'a>(&mut self, wall: u64, sighting: impl FnOnce(u64) -> Sighting<'a>) {
        self.now = self.timeline.at(wall);
        self.tracker.see(&sighting(self.now));
    }

    /// Does what time brings.
    fn go_on<E>(
        &mut self,
        recorded: &Recorded,
        each: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.now < self.next_tick {
            return Ok(());
        }
        self.next_tick = self.now + TICK;
        self.tracker.expire(self.now);
        self.take(recorded, each)
    }

    /// Takes the tracker's records.
    fn take<E>(
        &mut self,
        recorded: &Recorded,
        each: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self {
            tracker,
            timeline,
            names,
            ..
        } = self;
        for mut record in tracker.take_records() {
            recorded.amend(&mut record, |time| timeline.wall(time));
            if self.lines {
                let line = record.to_json(
                    |time| timeline.wall(time),
                    |id| name(names, id),
                    tracker.names(),
                );
                if let Ok(line) = line {
                    each(&line)?;
                }
            }
            self.kept.take(record);
        }
        Ok(())
    }
}

/// What is kept for the report.
struct Kept {
    bounds: Bounds,
    flows: BinaryHeap<Reverse<BySize>>,
    resets: Vec<ResetRecord>,
    translations: Vec<NatRecord>,
    left_out: u64,
}

impl Kept {
    fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            flows: BinaryHeap::new(),
            resets: Vec::new(),
            translations: Vec::new(),
            left_out: 0,
        }
    }

    /// A flow holds its resets and translations as they are in the end, so what was told of them
    /// on the way isn't kept.
    fn take(&mut self, record: Record) {
        let Record::Flow(mut flow) = record else {
            return;
        };
        for reset in flow.resets.drain(..) {
            if self.resets.len() < self.bounds.events {
                self.resets.push(reset);
            } else {
                self.left_out += 1;
            }
        }
        for nat in flow.nat.drain(..) {
            if self.translations.len() < self.bounds.events {
                self.translations.push(nat);
            } else {
                self.left_out += 1;
            }
        }
        self.flows.push(Reverse(BySize(*flow)));
        if self.flows.len() > self.bounds.flows {
            self.flows.pop();
        }
    }

    fn finish(self) -> (Vec<FlowRecord>, Vec<ResetRecord>, Vec<NatRecord>, u64) {
        let flows = self.flows.into_sorted_vec();
        let flows = flows
            .into_iter()
            .map(|Reverse(BySize(flow))| flow)
            .collect();
        (flows, self.resets, self.translations, self.left_out)
    }
}

#[cfg(test)]
mod disorder_tests;
#[cfg(test)]
mod tests;
