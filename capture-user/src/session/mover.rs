//! The one thread that moves packets: ring → order → limits → outputs.
//!
//! It takes orders from the session between two batches, and says when it can't or needn't go on.
//! Nothing else touches the ring or the outputs.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use capture_common::counters::Counters;
use foldhash::fast::RandomState;
use tokio::sync::mpsc::UnboundedSender;

use super::clock::{self, Clock, Offset};
use super::frame::{self, Assembler, Link};
use super::interface::Interface;
use super::ledger::Account;
use super::limits::Gate;
use super::order::{Horizon, Order, Waiting};
use super::outputs::{Outputs, Refusal};
use super::progress::Progress;
use super::stop::StopReason;
use super::tracking::{HOLD, Tracking};
use crate::error::Error;
use crate::flow::evidence::Evidence;
use crate::flow::summary::Summary;
use crate::flow::tracker::Ticket;
use crate::kernel::Ring;
use crate::kernel::ring::Next;
use crate::packet::{InterfaceId, Packet};

/// How long packets wait at the most before the ring is looked at, unless enough of them wait
/// for the kernel side to wake us.
const POLL: Duration = Duration::from_millis(10);
/// The same while the ring's end was a record still being written.
const POLL_BUSY: Duration = Duration::from_millis(1);
/// How many records are put in order at once: bounds the memory for it, and how long an order
/// waits.
const BATCH: usize = 8_192;
/// After how many packets the ring is given back while many are written at once.
const RELEASE_EVERY: usize = 1_024;
/// How long what was written may wait in a file's buffer.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// What the session tells the mover.
pub(super) enum Command {
    /// Packets of one more interface may come.
    Interface(Interface),
    /// Something was learned of the node's translations.
    Learn(Evidence),
    /// An interface came up that isn't captured: not everything is seen any more.
    Incomplete,
    /// The kernel side had more to tell than there was room for.
    EventsLost,
    /// Write out what waits in buffers (USR2).
    Flush,
    /// Write what was stamped up to now, say [`Event::Enough`], and write nothing more. Why.
    Stop(StopReason),
    /// Close the outputs, and end.
    Close(Final),
}

/// What the session knows at the end.
#[derive(Default)]
pub(super) struct Final {
    /// Each interface's counters, in the order of their ids, read after [`Event::Enough`].
    pub(super) counters: Vec<Counters>,
    /// Counted for no interface that is known.
    pub(super) stray: Counters,
}

/// What the mover tells the session.
pub(super) enum Event {
    /// It has ended: a limit was met, it can write no more, or it was told to stop. Nothing
    /// changes any more in what was written.
    Enough,
    /// The wall clock was set.
    ClockStep(clock::Step),
}

/// What a capture came to.
pub(super) struct Moved {
    /// Why it ended.
    pub(super) reason: StopReason,
    /// The account of each interface, in the order of their ids.
    pub(super) accounts: Vec<(String, Account)>,
    /// What went wrong with the outputs.
    pub(super) failure: Option<Error>,
    /// Records that came later than the order could wait.
    pub(super) late: u64,
    /// Packets written before all that could be learned of them was, since the ring was filling.
    pub(super) hurried: u64,
    /// What was found out about flows, if anybody asked.
    pub(super) flows: Option<Summary>,
}

/// An interface as the mover keeps it.
struct Seen {
    interface: Interface,
    /// Wall-clock time at which the capture began there.
    since: u64,
    /// Losses by CPU, as the last record of each told.
    lost_by_cpu: Vec<u64>,
    /// Losses that no packet in the outputs has told yet.
    lost_before_next: u64,
}

/// A packet that was looked at, and waits for what may still be learned of it.
struct Held {
    waiting: Waiting,
    ticket: Option<Ticket>,
}

/// The mover's belongings.
pub(super) struct Mover {
    ring: Ring,
    order: Order,
    /// In the order of time.
    held: VecDeque<Held>,
    tracking: Option<Tracking>,
    clock: Clock,
    gate: Gate,
    link: Link,
    snaplen: u32,
    assembler: Assembler,
    outputs: Outputs,
    interfaces: Vec<Seen>,
    ids: Ids,
    commands: Receiver<Command>,
    events: UnboundedSender<Event>,
    progress: Arc<Progress>,
    flushed: Instant,
    last_stamp: u64,
    late: u64,
    hurried: u64,
    /// Why the session wants it to stop, and the stamp up to which packets are still written.
    stopping: Option<(StopReason, u64)>,
    /// Set once the capture has ended.
    ended: Option<StopReason>,
    last: Option<Final>,
}

/// What a mover is made of.
pub(super) struct Parts {
    pub(super) ring: Ring,
    pub(super) gate: Gate,
    pub(super) link: Link,
    pub(super) snaplen: u32,
    pub(super) outputs: Outputs,
    pub(super) tracking: Option<Tracking>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) commands: Receiver<Command>,
    pub(super) events: UnboundedSender<Event>,
    pub(super) progress: Arc<Progress>,
    /// Since when, on the wall clock.
    pub(super) offset: Offset,
}

impl Mover {
    pub(super) fn new(parts: Parts) -> Self {
        let mut mover = Self {
            ring: parts.ring,
            order: Order::default(),
            held: VecDeque::new(),
            tracking: parts.tracking,
            clock: Clock::new(parts.offset),
            gate: parts.gate,
            link: parts.link,
            snaplen: parts.snaplen,
            assembler: Assembler::default(),
            outputs: parts.outputs,
            interfaces: Vec::new(),
            ids: Ids::default(),
            commands: parts.commands,
            events: parts.events,
            progress: parts.progress,
            flushed: Instant::now(),
            last_stamp: 0,
            late: 0,
            hurried: 0,
            stopping: None,
            ended: None,
            last: None,
        };
        for interface in parts.interfaces {
            mover.remember(interface);
        }
        mover
    }

    /// Moves packets until told to close.
    pub(super) fn run(mut self) -> Moved {
        let mut ready = Vec::new();
        loop {
            self.obey();
            if let Some(last) = self.last.take() {
                return self.close(last);
            }
            let horizon = self.collect();
            self.order.take(horizon, &mut ready);
            self.look_at(&mut ready);
            self.write();
            self.release();
            self.flush_in_time();
            self.stop_when_due(horizon);
            if self.order.len() >= BATCH {
                continue;
            }
            let pause = match horizon {
                _ if self.stopping.is_some() => POLL_BUSY,
                Horizon::EmptyAt(_) => POLL,
                Horizon::Unknown => POLL_BUSY,
            };
            if let Err(error) = self.ring.wait(pause) {
                self.end(StopReason::Failure(Error::failure(format!(
                    "can't wait for packets: {error}"
                ))));
            }
        }
    }

    /// Takes what the session has to say.
    fn obey(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Interface(interface)) => self.add(interface),
                Ok(Command::Learn(evidence)) => {
                    if let Some(tracking) = &mut self.tracking {
                        tracking.learn(evidence);
                    }
                }
                Ok(Command::Incomplete) => {
                    if let Some(tracking) = &mut self.tracking {
                        tracking.is_incomplete();
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
    /// the ring never runs empty: then the first packet stamped later says so.
    fn stop_when_due(&mut self, horizon: Horizon) {
        let Some((_, stamp)) = &self.stopping else {
            return;
        };
        let reached = match horizon {
            Horizon::EmptyAt(time) => time >= *stamp && self.held.is_empty(),
            Horizon::Unknown => false,
        };
        if (reached || self.last_stamp > *stamp)
            && let Some((reason, _)) = self.stopping.take()
        {
            self.end(reason);
        }
    }

    fn remember(&mut self, interface: Interface) -> InterfaceId {
        let id = InterfaceId::try_from(self.interfaces.len()).unwrap_or(InterfaceId::MAX);
        self.ids.insert(interface.index, id);
        if let Some(tracking) = &mut self.tracking {
            tracking.add_interface(interface.tracked());
        }
        self.interfaces.push(Seen {
            interface,
            since: self.clock.wall(clock::monotonic()),
            lost_by_cpu: Vec::new(),
            lost_before_next: 0,
        });
        id
    }

    fn add(&mut self, interface: Interface) {
        if self.ended.is_none()
            && let Err(refusal) = self.outputs.add_interface(&interface, &mut self.gate)
        {
            self.refuse(refusal);
        }
        self.remember(interface);
    }

    /// Puts a batch of records in order, as far as the ring has any.
    fn collect(&mut self) -> Horizon {
        if let Some(step) = self.clock.update(Offset::measure()) {
            let _ = self.events.send(Event::ClockStep(step));
        }
        let now = clock::monotonic();
        if self.ended.is_some() {
            // Past the limit: only make room.
            while matches!(self.ring.advance(), Next::Record(_)) {}
            return Horizon::EmptyAt(now);
        }
        let mut collected = 0;
        while collected < BATCH {
            match self.ring.advance() {
                Next::Record(position) => {
                    collected += 1;
                    let Some((header, _)) = self.ring.record(position) else {
                        continue;
                    };
                    let (stamp, interface) = (header.ktime, header.interface);
                    if self.ids.get(interface).is_none() {
                        // It joined after the last look at the orders.
                        self.obey();
                    }
                    self.order.push(Waiting { stamp, position });
                }
                Next::Empty => return Horizon::EmptyAt(now),
                Next::Busy => return Horizon::Unknown,
            }
        }
        Horizon::Unknown
    }

    /// Looks at packets in the order of time.
    fn look_at(&mut self, ready: &mut Vec<Waiting>) {
        for waiting in ready.drain(..) {
            let ticket = match (&mut self.tracking, self.ring.record(waiting.position)) {
                (Some(tracking), Some((header, frame))) => self
                    .ids
                    .get(header.interface)
                    .and_then(|id| tracking.see(id, &header, frame)),
                _ => None,
            };
            self.held.push_back(Held { waiting, ticket });
        }
        // After the packets, so that what the kernel says of one finds it.
        if let Some(tracking) = &mut self.tracking {
            tracking.learn_from_kernel();
        }
    }

    /// Hands those packets to the outputs that were held long enough.
    fn write(&mut self) {
        let now = clock::monotonic();
        let hold = if self.tracking.is_some() { HOLD } else { 0 };
        while let Some(held) = self.held.front() {
            if now.saturating_sub(held.waiting.stamp) < hold {
                // Better an early verdict than a lost packet.
                if !self.ring.is_half_full() {
                    break;
                }
                self.hurried += 1;
            }
            let Some(held) = self.held.pop_front() else {
                break;
            };
            self.write_one(held);
            if self.ended.is_some() {
                break;
            }
            if self.held.len().is_multiple_of(RELEASE_EVERY) {
                self.release();
            }
        }
        if let Some(tracking) = &mut self.tracking
            && let Err(error) = tracking.go_on(now, &self.clock)
        {
            self.refuse(error.into());
        }
        self.progress.set_bytes(self.outputs.bytes());
        if let Err(refusal) = self.outputs.end_batch() {
            self.refuse(refusal);
        }
    }

    fn write_one(&mut self, held: Held) {
        let waiting = held.waiting;
        let Some((header, bytes)) = self.ring.record(waiting.position) else {
            return;
        };
        // The session tells of an interface before its first packet can come.
        let Some(id) = self.ids.get(header.interface) else {
            return;
        };
        if header.ktime < self.last_stamp {
            self.late += 1;
        }
        self.last_stamp = header.ktime;
        if matches!(&self.stopping, Some((_, stamp)) if header.ktime > *stamp) {
            return;
        }
        let seen = &mut self.interfaces[id as usize];
        seen.lost_before_next += newly_lost(&mut seen.lost_by_cpu, header.cpu, header.lost);
        let (frame, original_len) =
            self.assembler
                .assemble(self.link, self.snaplen, &header, bytes);
        let packet = Packet {
            time: self.clock.wall(header.ktime),
            interface: id,
            direction: frame::direction(&header),
            reception: frame::reception(&header),
            original_len,
            frame,
            lost_before: seen.lost_before_next,
            gso: frame::gso(&header),
        };
        let annotations = match (held.ticket, &mut self.tracking) {
            (Some(ticket), Some(tracking)) => Some(tracking.conclude(ticket)),
            _ => None,
        };
        let written = self.outputs.packet(
            &packet,
            annotations.as_ref(),
            header.ktime,
            &seen.interface.name,
            &mut self.gate,
        );
        match written {
            Ok(()) => {
                seen.lost_before_next = 0;
                self.progress.count_packet();
                if let Some(limit) = self.gate.met() {
                    self.end(StopReason::Limit(limit));
                }
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.end(match refusal {
            Refusal::Limit(limit) => StopReason::Limit(limit),
            Refusal::Closed => StopReason::OutputClosed,
            Refusal::Failed(error) => StopReason::Failure(error),
        });
    }

    fn end(&mut self, reason: StopReason) {
        if self.ended.is_none() {
            self.ended = Some(reason);
            // What waits is past the end. Held in the ring it would fill it, and what the kernel
            // side then counts as lost would be no loss.
            self.order = Order::default();
            self.held.clear();
            // Without a session there is nobody to tell.
            let _ = self.events.send(Event::Enough);
        }
    }

    /// Gives the ring back up to the first record that still waits.
    fn release(&mut self) {
        // In the order of time, and so nearly in that of the ring.
        let held = self.held.iter().map(|held| held.waiting.position).min();
        let position = self.order.oldest_position().into_iter().chain(held).min();
        self.ring
            .release(position.unwrap_or_else(|| self.ring.position()));
    }

    fn flush(&mut self) {
        self.flushed = Instant::now();
        if let Err(refusal) = self.outputs.flush() {
            self.refuse(refusal);
        }
        if let Some(tracking) = &mut self.tracking
            && let Err(error) = tracking.flush()
        {
            self.refuse(error.into());
        }
    }

    fn flush_in_time(&mut self) {
        if self.flushed.elapsed() >= FLUSH_AFTER {
            self.flush();
        }
    }

    fn close(mut self, last: Final) -> Moved {
        let flows = self.tracking.as_mut().map(|tracking| {
            (
                tracking.finish(clock::monotonic(), &self.clock),
                tracking.summary(),
            )
        });
        let mut reason = self.ended.unwrap_or_else(|| {
            StopReason::Failure(Error::failure("closed without being told to stop"))
        });
        let mut clock = self.clock;
        let end = clock.wall(clock::monotonic());
        let mut accounts: Vec<_> = self
            .interfaces
            .iter()
            .enumerate()
            .map(|(id, seen)| {
                let account = Account {
                    kernel: last.counters.get(id).copied().unwrap_or_default(),
                    ..Account::default()
                };
                (seen.interface.name.clone(), account)
            })
            .collect();
        let since: Vec<_> = self.interfaces.iter().map(|seen| seen.since).collect();
        let failure = self.outputs.finish(&mut accounts, &since, end);
        if last.stray != Counters::default() {
            let account = Account {
                kernel: last.stray,
                ..Account::default()
            };
            accounts.push(("unknown interface".to_owned(), account));
        }
        let (told, flows) = flows.map_or((Ok(()), None), |(told, summary)| {
            (told.map(drop).map_err(Refusal::from), Some(summary))
        });
        let failure = match failure.and(told) {
            Err(Refusal::Failed(error)) => Some(error),
            Err(Refusal::Closed) => {
                reason = StopReason::OutputClosed;
                None
            }
            Err(Refusal::Limit(_)) | Ok(()) => None,
        };
        Moved {
            reason,
            accounts,
            failure,
            late: self.late,
            hurried: self.hurried,
            flows,
        }
    }
}

/// Ids by interface index. Packets of one interface come in a row, nearly always: the last answer
/// is kept.
#[derive(Default)]
struct Ids {
    all: HashMap<u32, InterfaceId, RandomState>,
    last: Option<(u32, InterfaceId)>,
}

impl Ids {
    fn insert(&mut self, index: u32, id: InterfaceId) {
        self.last = None;
        self.all.insert(index, id);
    }

    fn get(&mut self, index: u32) -> Option<InterfaceId> {
        if let Some((last, id)) = self.last
            && last == index
        {
            return Some(id);
        }
        let id = self.all.get(&index).copied()?;
        self.last = Some((index, id));
        Some(id)
    }
}

/// What a CPU lost since its last record. `lost` only grows; a record that overtook another of
/// its CPU tells nothing new.
fn newly_lost(by_cpu: &mut Vec<u64>, cpu: u32, lost: u64) -> u64 {
    let cpu = cpu as usize;
    if by_cpu.len() <= cpu {
        by_cpu.resize(cpu + 1, 0);
    }
    let new = lost.saturating_sub(by_cpu[cpu]);
    by_cpu[cpu] = by_cpu[cpu].max(lost);
    new
}

#[cfg(test)]
mod tests {
    use super::newly_lost;

    #[test]
    fn losses_are_told_once_whichever_cpu_they_are_on() {
        let mut by_cpu = Vec::new();
        assert_eq!(newly_lost(&mut by_cpu, 3, 5), 5);
        assert_eq!(newly_lost(&mut by_cpu, 0, 2), 2);
        assert_eq!(newly_lost(&mut by_cpu, 3, 5), 0);
        assert_eq!(newly_lost(&mut by_cpu, 3, 9), 4);
        assert_eq!(newly_lost(&mut by_cpu, 3, 7), 0);
        assert_eq!(newly_lost(&mut by_cpu, 3, 10), 1);
    }
}
