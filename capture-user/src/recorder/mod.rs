//! The flight recorder's core: packets in, and those out that an event asks for.
//!
//! Recent packets wait in a bounded memory, each linked with the one before it of its flow. When
//! something happens to a flow, those of its packets that were seen shortly before are marked, and
//! so are those that come shortly after. What is marked is given out, once; the rest is forgotten.
//! Like [`crate::flow`] it has no clock, no file and no thread.
//!
//! **Order.** [`Order::ByTime`] gives a packet out when it has waited for as long as an event could
//! still ask for it: so all that comes out is in the order of time, and late by that much.
//! [`Order::AtOnce`] gives it out as soon as it is marked: then what one flow sent before its event
//! comes behind what another flow sent after its own. Of one flow all is in order in either case,
//! unless an event is told so late that a later one has been served.
//!
//! **Memory.** [`Config::bytes`] bounds packets and the table of flows together. When there is no
//! room the oldest packet goes before its time: given out if it is marked, else forgotten, and an
//! event that may have asked for it is counted as cut short.
//!
//! - `ring`: the memory; `window`: what a flow's events ask for; `events`: from an event to marks

mod events;
mod ring;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use self::ring::{Head, NOWHERE, Ring, state};
use self::window::Window;

pub use self::window::Reach;

/// An event may be told of after packets that were seen later: by no more than this, in
/// nanoseconds. The kernel's word and conntrack's come within milliseconds.
pub const SLACK: u64 = 200_000_000;

/// The least that [`Config::bytes`] can be: a few of the largest packets.
pub const LEAST_BYTES: u64 = 1 << 20;

/// When packets are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// When no event can ask for an older one any more.
    ByTime,
    /// When an event asks for them.
    AtOnce,
}

/// How a recorder is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Memory, for packets and flows together.
    pub bytes: usize,
    /// What is given out of a flow before an event.
    pub before: Reach,
    /// … and after it.
    pub after: Reach,
    /// When. By time only if `before` is a time: else nobody knows how long to wait.
    pub order: Order,
}

impl Config {
    /// How long a packet waits: nanoseconds.
    fn keep(&self) -> u64 {
        self.before
            .nanoseconds()
            .map_or(u64::MAX, |before| before.saturating_add(SLACK))
    }
}

/// What the recorder must know of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// When it was seen: nanoseconds.
    pub stamp: u64,
    /// Its flow; `None` if it is of none: then no event can ask for it.
    pub flow: Option<u64>,
    /// The same on every sighting of one packet; 0 if that isn't known.
    pub packet: u64,
    /// Where it is counted.
    pub interface: u32,
}

/// Something that happened to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When: nanoseconds.
    pub time: u64,
    /// The flow.
    pub flow: u64,
    /// The packet that shows it, all of whose sightings are given out; 0 if there is none.
    pub packet: u64,
}

/// A packet that is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given<'a> {
    /// When it was seen.
    pub stamp: u64,
    /// As in [`Key::interface`].
    pub interface: u32,
    /// What was to be kept of it, in one piece.
    pub bytes: &'a [u8],
}

/// What came of it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Of these, those that may have asked for packets that memory had no more room for.
    pub cut: u64,
    /// Events whose packets to come were no longer waited for, since too many flows had some to
    /// come.
    pub closed_early: u64,
    /// How long the packet waited that waited shortest before it had to go: nanoseconds. `None` if
    /// none had to.
    pub least_wait: Option<u64>,
}

/// See the module.
#[derive(Debug)]
pub struct Recorder {
    config: Config,
    ring: Ring,
    flows: HashMap<u64, Window, RandomState>,
    /// Flows that may be in the table before packets must go.
    max_flows: usize,
    /// Events that are still to come, by time.
    events: VecDeque<Event>,
    /// The places of those to be given out at once.
    out: VecDeque<u64>,
    /// Windows that are open, and until when, in the order in which they were opened.
    open: VecDeque<(u64, u64)>,
    open_flows: usize,
    now: u64,
    /// Nothing waits any longer.
    ending: bool,
    counts: Counts,
    /// Packets forgotten.
    forgotten: u64,
    /// Those of which nobody has been told, by interface: one after the other.
    untold: Vec<(u32, u64)>,
    /// The latest packet that had to go unasked-for before its time, and the highest flow of one.
    cut: (u64, u64),
    /// Working space.
    places: Vec<u64>,
}

impl Recorder {
    /// A recorder that has seen nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        // A quarter of the memory at the most is for flows: hashbrown takes a power of two of
        // places, and fills no more of them than 7 of 8. It grows where more than half of these
        // were in use and some removed, which must not happen.
        let place = size_of::<(u64, Window)>() + 1;
        let places = (config.bytes / 4 / place).max(32);
        let places = 1 << places.ilog2();
        let capacity = places / 8 * 7;
        Self {
            ring: Ring::new(config.bytes.saturating_sub(places * place)),
            flows: HashMap::with_capacity_and_hasher(capacity, RandomState::default()),
            max_flows: capacity / 3,
            events: VecDeque::new(),
            out: VecDeque::new(),
            open: VecDeque::new(),
            open_flows: 0,
            now: 0,
            ending: false,
            counts: Counts::default(),
            forgotten: 0,
            untold: Vec::new(),
            cut: (0, 0),
            places: Vec::new(),
            config,
        }
    }

    /// The next packet that is to be given out: to be called until there is none, before each
    /// [`Recorder::take`] and when time passes. All that was seen before `now` was taken; `len`
    /// bytes are to find room.
    pub fn due(&mut self, now: u64, len: usize) -> Option<Given<'_>> {
        self.now = self.now.max(now);
        self.apply();
        self.close_windows();
        if let Some(place) = self.next_at_once() {
            return Some(self.give(place));
        }
        loop {
            let (place, head) = self.ring.oldest()?;
            let old = self.ending || head.stamp.saturating_add(self.config.keep()) < self.now;
            if !old && self.ring.fits(len) && self.flows.len() < self.max_flows {
                return None;
            }
            self.ring.pop();
            self.leave(place, &head, old);
            if head.state == state::WANTED {
                return Some(self.give(place));
            }
        }
    }

    /// Takes a packet, in the order of time, with what is to be kept of it in parts. `false` if it
    /// found no room, and is forgotten.
    pub fn take(&mut self, key: &Key, parts: &[&[u8]]) -> bool {
        self.now = self.now.max(key.stamp);
        self.apply();
        let Some(flow) = key.flow else {
            self.forget(key.interface);
            return true;
        };
        let len = parts.iter().map(|part| part.len()).sum();
        if !self.ring.fits(len) {
            self.forget(key.interface);
            self.note_cut(flow, key.stamp);
            return false;
        }
        let fresh = self.fresh(flow);
        let window = self.flows.entry(flow).or_insert(fresh);
        let waited = window.left;
        let wanted = window.wants(key.stamp, key.packet);
        if waited > 0 && window.left == 0 && window.open {
            // That was the last one that was asked for.
            window.open = false;
            self.open_flows = self.open_flows.saturating_sub(1);
        }
        let head = Head {
            stamp: key.stamp,
            flow,
            packet: key.packet,
            older: window.newest,
            interface: key.interface,
            state: if wanted { state::WANTED } else { state::HELD },
            ..Head::default()
        };
        let Some(place) = self.ring.push(head, parts) else {
            return false;
        };
        window.newest = place;
        if wanted && self.config.order == Order::AtOnce {
            self.out.push_back(place);
        }
        true
    }

    /// Notes that something happened, or will have when the packets up to then were taken.
    pub fn happen(&mut self, event: Event) {
        let place = self.events.partition_point(|it| it.time <= event.time);
        self.events.insert(place, event);
    }

    /// A flow is over: no packet of it comes any more.
    pub fn end_flow(&mut self, flow: u64) {
        if let Some(window) = self.flows.get_mut(&flow) {
            window.left = 0;
        }
    }

    /// Nothing waits any longer: [`Recorder::due`] gives out all that was asked for.
    pub const fn finish(&mut self) {
        self.ending = true;
        self.now = u64::MAX;
    }

    /// Lets go of everything: what wasn't asked for is forgotten, and what was is in no count.
    pub fn let_go(&mut self) {
        self.out.clear();
        while let Some((place, head)) = self.ring.oldest() {
            self.ring.pop();
            self.leave(place, &head, true);
        }
    }

    /// Packets that were forgotten.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Packets that were forgotten since the last time, by interface; one may be there more than once.
    pub fn take_forgotten(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.untold)
    }

    /// When the oldest packet was seen that waits.
    pub fn oldest(&mut self) -> Option<u64> {
        self.ring.oldest().map(|(_, head)| head.stamp)
    }

    /// What came of it so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Everything that was seen up to then is decided upon once all before `now` was taken.
    #[must_use]
    pub fn decided(&self, now: u64) -> u64 {
        match self.config.order {
            Order::ByTime => now.saturating_sub(self.config.keep()),
            Order::AtOnce => now,
        }
    }

    /// The oldest that an event asks for and that wasn't given out.
    fn next_at_once(&mut self) -> Option<u64> {
        while let Some(place) = self.out.pop_front() {
            if let Some(mut head) = self.ring.get(place)
                && head.state == state::WANTED
            {
                head.state = state::GIVEN;
                self.ring.set(place, &head);
                return Some(place);
            }
        }
        None
    }

    fn give(&self, place: u64) -> Given<'_> {
        let head = self.ring.read(place);
        Given {
            stamp: head.stamp,
            interface: head.interface,
            bytes: self.ring.bytes(place),
        }
    }

    /// A packet has left the ring, in its time or before.
    fn leave(&mut self, place: u64, head: &Head, old: bool) {
        let unasked = head.state == state::HELD;
        if unasked {
            self.forget(head.interface);
            if !old {
                let waited = self.now.saturating_sub(head.stamp);
                let least = self.counts.least_wait.get_or_insert(waited);
                *least = waited.min(*least);
                self.note_cut(head.flow, head.stamp);
            }
        }
        if let Some(window) = self.flows.get_mut(&head.flow)
            && window.newest == place
        {
            window.newest = NOWHERE;
            if !window.open {
                self.flows.remove(&head.flow);
            }
        }
    }

    fn note_cut(&mut self, flow: u64, stamp: u64) {
        if let Some(window) = self.flows.get_mut(&flow) {
            window.cut = window.cut.max(stamp);
        }
        self.cut = (self.cut.0.max(stamp), self.cut.1.max(flow));
    }

    fn forget(&mut self, interface: u32) {
        self.forgotten += 1;
        match self.untold.last_mut() {
            Some((last, packets)) if *last == interface => *packets += 1,
            _ => self.untold.push((interface, 1)),
        }
    }

    /// A flow that isn't in the table. Flows are numbered in the order of their beginnings, so one
    /// with a number above all that lost a packet has lost none; of another that isn't known.
    fn fresh(&self, flow: u64) -> Window {
        let (latest, highest) = self.cut;
        Window::new(if flow <= highest { latest } else { 0 })
    }
}
