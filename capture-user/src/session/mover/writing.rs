//! From records in the order of time to the outputs.

use super::held::Held;
use super::{EARLY, FLUSH_AFTER, Mover, RELEASE_EVERY, TOGETHER};
use crate::flow::tracker::{Annotations, Ticket};
use crate::session::clock;
use crate::session::mover::messages::Event;
use crate::session::order::{self, Horizon, Waiting};
use crate::session::outputs::Refusal;
use crate::session::stop::StopReason;
use crate::session::tracking::{HOLD, Tracking};
use std::time::Instant;

impl Mover {
    /// Looks at packets in the order of time, and writes those that needn't wait: what a packet
    /// takes is still in the processor's caches then.
    pub(super) fn take(&mut self, ready: &mut Vec<Waiting>) {
        let mut tickets = std::mem::take(&mut self.tickets);
        let mut rest = ready.as_slice();
        // Past the end nothing is looked at, and nothing may wait.
        while !rest.is_empty() && self.ended.is_none() {
            let (together, behind) = rest.split_at(rest.len().min(TOGETHER));
            rest = behind;
            tickets.clear();
            self.look_at(together, &mut tickets);
            let mut coming = together.iter().zip(&tickets).map(|(waiting, ticket)| Held {
                waiting: *waiting,
                ticket: *ticket,
            });
            while self.ended.is_none() {
                if self.may_write_at_once() {
                    let row = self.write_row(coming.clone());
                    // Past those.
                    row.checked_sub(1).and_then(|last| coming.nth(last));
                }
                let Some(held) = coming.next() else { break };
                if self.may_write_at_once() && self.is_settled(held) {
                    self.unreleased += 1;
                    self.write_one(held);
                } else {
                    self.held.push(held);
                }
            }
            self.write_due(None, rest);
            if self.unreleased >= RELEASE_EVERY {
                self.release(rest);
            }
        }
        self.tickets = tickets;
        ready.clear();
        // After the packets, so that what the kernel says of one finds it.
        if let Some(tracking) = &mut self.tracking {
            tracking.learn_from_kernel();
            self.record_happenings();
        }
    }

    /// Whether a packet of which nothing is to be learned needn't be held.
    fn may_write_at_once(&self) -> bool {
        self.held.is_empty() && self.undescribed.is_empty() && self.has_room()
    }

    /// Has the tracker look at packets: a ticket for each, if it gives one.
    fn look_at(&mut self, together: &[Waiting], tickets: &mut Vec<Option<Ticket>>) {
        let Some(tracking) = &mut self.tracking else {
            tickets.resize(together.len(), None);
            return;
        };
        let mut sightings = Vec::with_capacity(together.len());
        for waiting in together {
            let sighting = self
                .rings
                .record(waiting.place)
                .and_then(|(header, frame)| {
                    let id = self.ids.get(header.interface, header.ktime)?;
                    Some(tracking.sighting(id, &header, frame))
                });
            match sighting {
                Some(sighting) => sightings.push(sighting),
                None => {
                    // Nobody's: the tickets so far are of those before it.
                    tracking.see_all(&sightings, tickets);
                    sightings.clear();
                    tickets.push(None);
                }
            }
        }
        tracking.see_all(&sightings, tickets);
    }

    /// Hands those packets to the outputs that were held long enough, and does what time brings.
    pub(super) fn write(&mut self) {
        let now = clock::monotonic();
        self.write_due(Some(now), &[]);
        self.go_on_recording(now);
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

    /// Writes the first packets that wait, up to the one that must wait for longer: without a time, up
    /// to the first that must wait at all, since what the kernel says of it may not have been read yet,
    /// however old it is. `rest` are those that weren't looked at yet.
    fn write_due(&mut self, now: Option<u64>, rest: &[Waiting]) {
        let hold = match (&self.tracking, &self.stopping) {
            (None, _) => 0,
            (Some(_), None) => HOLD,
            // Whoever told it to stop is waiting.
            (Some(_), Some(_)) => HOLD / 3,
        };
        // How many may go early.
        let mut early = 0;
        while let Some(held) = self.held.front()
            // Packets had better wait in the rings: what then finds no place there is counted.
            && self.has_room()
        {
            let held = *held;
            let age = now.map_or(0, |now| now.saturating_sub(held.waiting.stamp));
            let is_early = (age < hold && !self.is_settled(held))
                || self.waits_for_description(&held, now.unwrap_or(0));
            if is_early && now.is_none() {
                break;
            }
            if is_early {
                // Better an early verdict than a lost packet.
                if early == 0 {
                    if !self.rings.are_half_full() {
                        break;
                    }
                    early = EARLY;
                }
                early -= 1;
            }
            if !is_early && self.write_row_of_held() {
                if self.unreleased >= RELEASE_EVERY {
                    self.release(rest);
                }
                continue;
            }
            if !self.make_way(&held) || self.ended.is_some() {
                break;
            }
            self.held.pop();
            self.hurried += u64::from(is_early);
            self.write_one(held);
            if self.ended.is_some() {
                break;
            }
            self.unreleased += 1;
            if self.unreleased >= RELEASE_EVERY {
                self.release(rest);
            }
        }
    }

    /// Whether nothing that may still be learned of a packet would change what is written of it.
    /// Not so with the flight recorder: it is to be told of what happens before it takes the packets
    /// around it.
    fn is_settled(&self, held: Held) -> bool {
        self.recording.is_none() && held.ticket.is_none_or(Ticket::is_settled)
    }

    pub(super) fn write_one(&mut self, held: Held) {
        let waiting = held.waiting;
        let Some((header, bytes)) = self.rings.unidentified(waiting.place) else {
            return;
        };
        // The session tells of an interface before its first packet can come.
        let Some(id) = self.ids.get(header.interface, header.ktime) else {
            return;
        };
        if header.ktime < self.last_stamp {
            self.late += 1;
        }
        self.last_stamp = self.last_stamp.max(header.ktime);
        if matches!(&self.stopping, Some((_, stamp)) if header.ktime > *stamp) {
            return;
        }
        let settled = self.is_settled(held);
        let Some(seen) = self.interfaces.get_mut(id) else {
            return;
        };
        let frame = self
            .assembler
            .assemble(self.link, self.snaplen, &header, bytes);
        let packet = seen.packet(id, self.clock.wall(header.ktime), &header, frame);
        let annotations = match (held.ticket, &mut self.tracking) {
            (Some(ticket), Some(_)) if settled => Some(Annotations {
                packet_id: ticket.packet_id(),
                ..Annotations::default()
            }),
            (Some(ticket), Some(tracking)) => Some(tracking.conclude(ticket)),
            _ => None,
        };
        if let Some(recording) = &mut self.recording {
            recording.keep(&packet, header.ktime, seen.lost, annotations.as_ref());
            return;
        }
        let written = self.outputs.packet(
            &packet,
            annotations.as_ref(),
            header.ktime,
            &seen.interface.name,
            &mut self.gate,
        );
        match written {
            Ok(()) => {
                seen.count(&packet);
                self.progress.count_packet();
                if let Some(limit) = self.gate.met() {
                    self.end(StopReason::Limit(limit));
                }
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Whether the outputs take more at once.
    pub(super) fn has_room(&self) -> bool {
        self.outputs.has_room() && self.tracking.as_ref().is_none_or(Tracking::has_room)
    }

    /// Begins another file by the clock though no packet comes.
    pub(super) fn rotate_in_time(&mut self, horizon: Horizon) {
        if let Horizon::EmptyAt(now) = horizon
            && self.ended.is_none()
            && self.held.is_empty()
            && self.has_room()
        {
            let now = self.decided(now);
            if let Err(refusal) = self.outputs.go_on(now, self.clock.wall(now), &self.gate) {
                self.refuse(refusal);
            }
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.end(match refusal {
            Refusal::Limit(limit) => StopReason::Limit(limit),
            Refusal::Closed => StopReason::OutputClosed,
            Refusal::Failed(error) => StopReason::Failure(error),
        });
    }

    pub(super) fn end(&mut self, reason: StopReason) {
        if self.ended.is_none() {
            self.ended = Some(reason);
            // What waits is past the end. Held in the rings it would fill them, and what the kernel
            // side then counts as lost would be no loss.
            self.order.clear();
            self.held.clear();
            if let Some(recording) = &mut self.recording {
                recording.let_go();
            }
            // Without a session there is nobody to tell.
            let _ = self.events.send(Event::Enough);
        }
    }

    /// Gives the rings back, each up to the first record that still waits in it; `rest` wait besides
    /// those that are in order or held.
    pub(super) fn release(&mut self, rest: &[Waiting]) {
        self.unreleased = 0;
        if let Some(tracking) = &mut self.tracking
            && self.rings.may_have_been_full()
        {
            tracking.may_have_missed(clock::monotonic());
        }
        self.lowest.clear();
        self.lowest.extend(self.held.lowest_places());
        self.order.lowest_places(&mut self.lowest);
        order::lower(&mut self.lowest, rest);
        for (ring, kept) in self.lowest.iter().enumerate() {
            self.rings.release(ring, *kept);
        }
    }

    pub(super) fn flush(&mut self) {
        if let Err(refusal) = self.outputs.flush() {
            self.refuse(refusal);
        }
        if let Some(tracking) = &mut self.tracking
            && let Err(error) = tracking.flush()
        {
            self.refuse(error.into());
        }
    }

    pub(super) fn flush_in_time(&mut self) {
        if self.flushed.elapsed() >= FLUSH_AFTER {
            self.flushed = Instant::now();
            if let Err(refusal) = self.outputs.flush_in_time() {
                self.refuse(refusal);
            }
        }
    }
}
