//! Interfaces as the mover keeps them: from when they join until nothing of theirs is under way.

use capture_common::counters::Counters;
use capture_common::record::RecordHeader;

use super::Mover;
use super::held::Held;
use crate::packet::{InterfaceId, Packet};
use crate::session::clock;
use crate::session::frame;
use crate::session::interface::Interface;
use crate::session::ledger::Account;
use crate::session::order::Horizon;
use crate::session::progress::Written;
use crate::session::recording::Recording;
use crate::session::roster::Together;

/// How long after an interface's end its last packet may be found, at the most: nanoseconds. What was
/// stamped before it is in a ring by then, but a CPU may have been taken away before it said so.
const LINGER: u64 = 1_000_000_000;
/// How long the first packets of an interface wait at the most until it is known what is behind it, so
/// that the file says so: nanoseconds.
const PATIENCE: u64 = 250_000_000;

/// An interface while packets of it may come.
pub(super) struct Seen {
    pub(super) interface: Interface,
    /// Losses by CPU, as the last record of each told.
    pub(super) lost_by_cpu: Vec<u64>,
    /// Losses that records have told of …
    pub(super) lost: u64,
    /// … and how many of them the packets in the outputs have.
    pub(super) told: u64,
    pub(super) written: Written,
    /// Packets that the flight recorder let go.
    pub(super) forgotten: u64,
    /// The last counters of one that is gone.
    pub(super) closed: Option<Counters>,
}

impl Seen {
    /// What a record of it says, with what was lost before it that no packet in the outputs has. `frame` is
    /// what the file gets of it, and its length.
    #[inline(always)]
    pub(super) fn packet<'a>(
        &mut self,
        id: InterfaceId,
        time: u64,
        header: &RecordHeader,
        (frame, original_len): (&'a [u8], u32),
    ) -> Packet<'a> {
        self.lost += newly_lost(&mut self.lost_by_cpu, header.cpu, header.lost);
        Packet {
            time,
            interface: id,
            direction: frame::direction(header),
            reception: frame::reception(header),
            original_len,
            frame,
            lost_before: self.lost - self.told,
            gso: frame::gso(header),
        }
    }

    /// The outputs have taken that packet.
    #[inline(always)]
    pub(super) fn count(&mut self, packet: &Packet<'_>) {
        self.told = self.lost;
        self.written.packets += 1;
        self.written.bytes += u64::from(packet.original_len);
    }

    /// Its account, when this is what was counted there: as if all that was handed over is written.
    pub(super) fn account(&self, counters: Counters) -> Account {
        Account {
            kernel: counters,
            captured: self.written.packets,
            unwritten: 0,
            forgotten: self.forgotten,
        }
    }
}

/// An interface that is gone.
pub(super) struct Leaving {
    pub(super) id: InterfaceId,
    index: u32,
    /// No packet of it is stamped later.
    stamp: u64,
}

/// What an interface came to that is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    pub(super) account: Account,
    pub(super) written: Written,
}

impl Together for Past {
    fn add(&mut self, other: &Self) {
        self.account = self.account.plus(&other.account);
        self.written.packets += other.written.packets;
        self.written.bytes += other.written.bytes;
    }
}

impl Mover {
    pub(super) fn remember(&mut self, interface: Interface, since: u64) -> InterfaceId {
        let id = self.joined;
        self.joined = self.joined.saturating_add(1);
        self.ids.insert(interface.index, id);
        if let Some(tracking) = &mut self.tracking {
            tracking.add_interface(interface.tracked());
            tracking.name(&interface.names, since);
            tracking.is_behind(id, interface.who.as_deref());
        }
        let seen = Seen {
            interface,
            lost_by_cpu: Vec::new(),
            lost: 0,
            told: 0,
            written: Written::default(),
            forgotten: 0,
            closed: None,
        };
        self.interfaces.insert(id, seen);
        id
    }

    pub(super) fn add(&mut self, interface: Interface) {
        let described = interface.described;
        let now = clock::monotonic();
        let id = self.remember(interface, now);
        if !described && self.outputs.file.is_some() {
            self.undescribed.insert(id, now + PATIENCE);
        }
        if self.ended.is_none()
            && let Some(seen) = self.interfaces.get(id)
            && let Err(refusal) =
                self.outputs
                    .add_interface(id, &seen.interface, self.clock.wall(now), &self.gate)
        {
            self.refuse(refusal);
        }
    }

    /// It is known what is behind an interface.
    pub(super) fn describe(&mut self, id: InterfaceId, interface: &Interface) {
        self.undescribed.remove(&id);
        let Some(seen) = self.interfaces.get_mut(id) else {
            return;
        };
        seen.interface.clone_from(interface);
        if let (Some(tracking), Some(who)) = (&mut self.tracking, &interface.who) {
            tracking.is_behind(id, Some(who));
        }
        if self.ended.is_none()
            && let Err(refusal) = self.outputs.describe_interface(id, interface, &self.gate)
        {
            self.refuse(refusal);
        }
    }

    /// Whether a packet had better wait until it is known what is behind its interface.
    pub(super) fn waits_for_description(&mut self, held: &Held, now: u64) -> bool {
        if self.undescribed.is_empty() || self.stopping.is_some() {
            return false;
        }
        let record = self.rings.unidentified(held.waiting.place);
        let id = record.and_then(|(header, _)| self.ids.get(header.interface, header.ktime));
        let until = id.and_then(|id| self.undescribed.get(&id));
        until.is_some_and(|until| now < *until)
    }

    /// No packet of an interface comes any more.
    pub(super) fn leave(&mut self, index: u32, stamp: u64, counters: Counters) {
        let Some(id) = self.ids.close(index, stamp) else {
            return;
        };
        self.undescribed.remove(&id);
        if let Some(seen) = self.interfaces.get_mut(id) {
            seen.closed = Some(counters);
        }
        self.outputs.forget_interface(id);
        self.leaving.push_back(Leaving { id, index, stamp });
    }

    /// Lets go of the interfaces that are gone and of which nothing is under way any more. Once the
    /// capture has ended nothing is settled but all at once.
    pub(super) fn let_go(&mut self, horizon: Horizon) {
        while self.ended.is_none()
            && let Some(leaving) = self.leaving.front()
            && self.is_done_with(leaving.stamp, horizon)
            && let Some(leaving) = self.leaving.pop_front()
        {
            self.ids.forget(leaving.index, leaving.id);
            if let Some(tracking) = &mut self.tracking {
                tracking.interface_gone(leaving.id);
            }
            if let Some(seen) = self.interfaces.remove(leaving.id) {
                let account = seen.account(seen.closed.unwrap_or_default());
                self.outputs
                    .settle_interface(leaving.id, &account, &self.gate);
                let past = Past {
                    account,
                    written: seen.written,
                };
                self.gone.push(leaving.id, seen.interface.name, past);
            }
        }
    }

    /// Whether all that was stamped by then has been written, or let go.
    fn is_done_with(&mut self, stamp: u64, horizon: Horizon) -> bool {
        let seen = match horizon {
            Horizon::EmptyAt(time) => time,
            Horizon::Unknown => self.last_stamp,
        };
        seen > stamp.saturating_add(LINGER)
            && self.order.first().is_none_or(|first| first > stamp)
            && (self.held.front()).is_none_or(|held| held.waiting.stamp > stamp)
            && (self.recording.as_mut().and_then(Recording::oldest)).is_none_or(|it| it > stamp)
    }

    /// Takes in what the flight recorder let go since the last time.
    pub(super) fn count_forgotten(&mut self) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        for (id, packets) in recording.take_forgotten() {
            match self.interfaces.get_mut(id) {
                Some(seen) => {
                    seen.forgotten += packets;
                    self.outputs.forgotten(id, packets);
                }
                None => self.gone.of(id).account.forgotten += packets,
            }
        }
    }
}

/// What a CPU lost since its last record. `lost` only grows; a record that overtook another of
/// its CPU tells nothing new.
#[inline(always)]
fn newly_lost(by_cpu: &mut Vec<u64>, cpu: u32, lost: u64) -> u64 {
    match by_cpu.get(cpu as usize) {
        // As nearly always.
        Some(known) if *known >= lost => 0,
        _ => note_lost(by_cpu, cpu as usize, lost),
    }
}

#[cold]
fn note_lost(by_cpu: &mut Vec<u64>, cpu: usize, lost: u64) -> u64 {
    if by_cpu.len() <= cpu {
        by_cpu.resize(cpu + 1, 0);
    }
    let new = lost.saturating_sub(by_cpu[cpu]);
    by_cpu[cpu] = lost;
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
