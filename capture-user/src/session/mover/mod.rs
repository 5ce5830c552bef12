//! The one thread that moves packets: rings → order → limits → outputs.
//!
//! `messages` is what they tell each other, `interfaces` those that come and go, `ids` whose a record is,
//! `collecting` takes them out of the rings and puts them in order, `held` are the packets that wait to be written, `writing`,
//! `row` and `closing` the later stages, `recording` the way through the flight recorder, `telling` what is shown of it all.
//!
//! It takes orders from the session between two batches, and says when it can't or needn't go on.
//! Nothing else touches the rings or the outputs.

mod closing;
mod collecting;
mod held;
mod ids;
mod interfaces;
mod messages;
mod recording;
mod row;
mod telling;
mod writing;

use interfaces::{Leaving, Past, Seen};
pub(in crate::session) use messages::{Command, Event, Final, Moved};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::error::Error;
use crate::flow::tracker::Ticket;
use crate::kernel::Rings;
use crate::kernel::ring::Place;
use crate::packet::InterfaceId;
use crate::session::clock::{self, Clock, Offset};
use crate::session::frame::{Assembler, Link};
use crate::session::interface::Interface;
use crate::session::limits::Gate;
use crate::session::naming::News;
use crate::session::order::{Horizon, Order};
use crate::session::outputs::Outputs;
use crate::session::progress::Progress;
use crate::session::recording::Recording;
use crate::session::roster::{Gone, Roster};
use crate::session::stop::StopReason;
use crate::session::tracking::Tracking;

/// How long packets wait at the most before the rings are looked at, unless enough of them wait
/// for the kernel side to wake us. A look costs some 30 to 50 µs when all that it takes has left the
/// caches, as it has where little happens.
const POLL: Duration = Duration::from_millis(30);
/// The same where nothing has come for [`IDLE_AFTER`].
const POLL_IDLE: Duration = Duration::from_millis(100);
/// When a capture counts as idle. Whoever watches sees no difference, and on an interface with a few
/// packets a second most looks would find nothing.
const IDLE_AFTER: Duration = Duration::from_millis(200);
/// How long packets wait while others are held.
const POLL_HOLDING: Duration = Duration::from_millis(10);
/// How long while a ring's end was a record still being written.
const POLL_BUSY: Duration = Duration::from_millis(1);
/// How many records are put in order at once: bounds the memory for it, and how long an order
/// waits. Each ring has an equal part in it.
const BATCH: usize = 8_192;
/// After how many packets the rings are given back while many are written at once.
const RELEASE_EVERY: usize = 1_024;
/// How many packets are written early before it is looked whether the rings still fill up.
const EARLY: usize = 64;
/// How many packets the tracker is given at once, before those that needn't wait are written.
const TOGETHER: usize = 128;
/// How often it is looked whether something has waited in a file's buffer for too long.
const FLUSH_AFTER: Duration = Duration::from_millis(250);

/// The mover's belongings.
pub(in crate::session) struct Mover {
    rings: Rings,
    order: Order,
    held: held::Queue,
    /// Working space for giving the rings back …
    lowest: Vec<Option<Place>>,
    /// … and for what the tracker says.
    tickets: Vec<Option<Ticket>>,
    tracking: Option<Tracking>,
    recording: Option<Recording>,
    clock: Clock,
    gate: Gate,
    link: Link,
    snaplen: u32,
    assembler: Assembler,
    outputs: Outputs,
    interfaces: Roster<Seen>,
    /// How many there ever were: the next one's id.
    joined: InterfaceId,
    /// Those of which no packet comes any more, but some may be under way, in the order in which they
    /// went.
    leaving: VecDeque<Leaving>,
    gone: Gone<Past>,
    /// Those of which it is still found out what is behind them, and until when their packets wait for
    /// that.
    undescribed: BTreeMap<InterfaceId, u64>,
    ids: ids::Ids,
    commands: Receiver<Command>,
    events: UnboundedSender<Event>,
    progress: Arc<Progress>,
    /// When the board was written last; `None`: nobody reads it.
    told: Option<Instant>,
    flushed: Instant,
    last_stamp: u64,
    late: u64,
    hurried: u64,
    /// Packets written since the rings were given back.
    unreleased: usize,
    /// A ring was read up to a record that is still being written.
    busy: bool,
    /// Rounds in which nothing moved though it should.
    stuck: u32,
    /// Why the session wants it to stop, and the stamp up to which packets are still written.
    stopping: Option<(StopReason, u64)>,
    /// Set once the capture has ended.
    ended: Option<StopReason>,
    last: Option<Final>,
}

/// What a mover is made of.
pub(in crate::session) struct Parts {
    pub(in crate::session) rings: Rings,
    pub(in crate::session) gate: Gate,
    pub(in crate::session) link: Link,
    pub(in crate::session) snaplen: u32,
    pub(in crate::session) outputs: Outputs,
    pub(in crate::session) tracking: Option<Tracking>,
    /// Needs `tracking`.
    pub(in crate::session) recording: Option<Recording>,
    pub(in crate::session) interfaces: Vec<Interface>,
    pub(in crate::session) commands: Receiver<Command>,
    pub(in crate::session) events: UnboundedSender<Event>,
    pub(in crate::session) progress: Arc<Progress>,
    /// Whether anybody reads the board.
    pub(in crate::session) telling: bool,
    /// Since when, on the wall clock.
    pub(in crate::session) offset: Offset,
}

impl Mover {
    pub(in crate::session) fn new(parts: Parts) -> Self {
        let mut mover = Self {
            order: Order::new(parts.rings.count()),
            held: held::Queue::new(parts.rings.count()),
            lowest: Vec::new(),
            tickets: Vec::new(),
            rings: parts.rings,
            tracking: parts.tracking,
            recording: parts.recording,
            clock: Clock::new(parts.offset),
            gate: parts.gate,
            link: parts.link,
            snaplen: parts.snaplen,
            assembler: Assembler::default(),
            outputs: parts.outputs,
            interfaces: Roster::default(),
            joined: 0,
            leaving: VecDeque::new(),
            gone: Gone::default(),
            undescribed: BTreeMap::new(),
            ids: ids::Ids::default(),
            commands: parts.commands,
            events: parts.events,
            progress: parts.progress,
            told: parts.telling.then(Instant::now),
            flushed: Instant::now(),
            last_stamp: 0,
            late: 0,
            hurried: 0,
            unreleased: 0,
            busy: false,
            stuck: 0,
            stopping: None,
            ended: None,
            last: None,
        };
        for interface in parts.interfaces {
            // What is known at the start was so before the first packet.
            mover.remember(interface, 0);
        }
        mover
    }

    /// Moves packets until told to close.
    pub(in crate::session) fn run(mut self) -> Moved {
        let mut ready = Vec::new();
        loop {
            self.obey();
            if let Some(last) = self.last.take() {
                return self.close(last);
            }
            let waiting = self.order.len();
            let horizon = self.collect();
            self.order.take(&mut ready);
            self.count_stuck(waiting, &ready);
            self.take(&mut ready);
            self.write();
            self.rotate_in_time(horizon);
            self.release(&[]);
            self.let_go(horizon);
            self.flush_in_time();
            self.stop_when_due(horizon);
            self.tell_in_time();
            if self.order.len() >= BATCH {
                continue;
            }
            // A record that is still being written may have all of it behind it.
            if !self.busy && self.has_room() && self.rings.are_past_the_mark() {
                continue;
            }
            let pause = match horizon {
                _ if self.stopping.is_some() => POLL_BUSY,
                _ if self.rings.are_lacking() && self.has_room() => POLL_BUSY,
                Horizon::EmptyAt(_) if !self.held.is_empty() => POLL_HOLDING,
                Horizon::EmptyAt(now) if self.is_idle(now) => POLL_IDLE,
                Horizon::EmptyAt(_) => POLL,
                Horizon::Unknown => POLL_BUSY,
            };
            if !self.has_room() {
                // What waits in the rings wakes nobody: it is the outputs that are slow.
                std::thread::sleep(pause);
            } else if let Err(error) = self.rings.wait(pause) {
                self.end(StopReason::Failure(Error::failure(format!(
                    "can't wait for packets: {error}"
                ))));
            }
        }
    }

    /// Whether the last packet came long ago.
    fn is_idle(&self, now: u64) -> bool {
        u128::from(now.saturating_sub(self.last_stamp)) > IDLE_AFTER.as_nanos()
    }

    /// Takes what the session has to say.
    fn obey(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Begin(stamp)) => self.gate.begin(stamp),
                Ok(Command::Interface(interface)) => self.add(interface),
                Ok(Command::InterfaceGone {
                    index,
                    stamp,
                    counters,
                }) => self.leave(index, stamp, counters),
                Ok(Command::Rotate) => {
                    // What waits in the recorder goes into the new file.
                    self.outputs.rotate_at(self.decided(clock::monotonic()));
                }
                Ok(Command::Names(news)) => self.name(&news),
                Ok(Command::Learn(evidence)) => {
                    if let Some(tracking) = &mut self.tracking {
                        tracking.learn(evidence);
                    }
                }
                Ok(Command::CompleteSince(since)) => {
                    if let Some(tracking) = &mut self.tracking {
                        tracking.complete_since(since);
                    }
                }
                Ok(Command::Entered { netns, sysctls }) => {
                    if let Some(tracking) = &mut self.tracking {
                        tracking.entered(netns, &sysctls);
                    }
                }
                Ok(Command::EventsLost) => {
                    if let Some(tracking) = &mut self.tracking {
                        tracking.lost_events();
                    }
                }
                Ok(Command::Flush) => self.flush(),
                Ok(Command::Stop(reason)) => {
                    self.stopping.get_or_insert((reason, clock::monotonic()));
                }
                Ok(Command::Close(last)) => {
                    self.last = Some(last);
                    return;
                }
                Err(TryRecvError::Empty) => return,
                // The session is gone: it panicked. Close the file as well as can be.
                Err(TryRecvError::Disconnected) => {
                    self.end(StopReason::Failure(Error::failure("the session was lost")));
                    self.last = Some(Final::default());
                    return;
                }
            }
        }
    }

    /// Told to stop, ends once all that was stamped before then is written. On a busy interface
    /// the rings never run empty: then the first packet stamped later says so.
    fn stop_when_due(&mut self, horizon: Horizon) {
        let Some((_, stamp)) = &self.stopping else {
            return;
        };
        let reached = match horizon {
            Horizon::EmptyAt(time) => time >= *stamp && self.held.is_empty(),
            Horizon::Unknown => false,
        };
        if (reached || self.last_stamp > *stamp)
            && self.empty_the_recorder()
            && let Some((reason, _)) = self.stopping.take()
        {
            self.end(reason);
        }
    }

    /// Calls addresses and interfaces so from now on.
    fn name(&mut self, news: &News) {
        if let Some(tracking) = &mut self.tracking {
            let now = clock::monotonic();
            tracking.forget_names(&news.forgotten, now);
            tracking.name(&news.learned, now);
            for (index, name) in &news.behind {
                if let Some(id) = self.ids.get(*index, now) {
                    tracking.is_behind(id, name.as_deref());
                }
            }
        }
        for (id, interface) in &news.described {
            self.describe(*id, interface);
        }
        self.outputs.forget_names(&news.forgotten);
        if self.ended.is_none()
            && !news.learned.is_empty()
            && let Err(refusal) = self.outputs.name(&news.learned, &self.gate)
        {
            self.refuse(refusal);
        }
    }
}
