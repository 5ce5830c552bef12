//! From records in the order of time to the outputs.

use super::held::Held;
use super::{EARLY, FLUSH_AFTER, Mover, RELEASE_EVERY, TOGETHER};
use crate::packet::Packet;
use crate::session::clock;
use crate::session::frame;
use crate::session::mover::messages::Event;
use crate::session::order::{Horizon, Waiting};
use crate::session::outputs::Refusal;
use crate::session::stop::StopReason;
use crate::session::tracking::{HOLD, Tracking};
use std::time::Instant;

impl Mover {
    /// Looks at packets in the order of time.
    pub(super) fn look_at(&mut self, ready: &mut Vec<Waiting>) {
        let Some(tracking) = &mut self.tracking else {
            for waiting in ready.drain(..) {
                self.held.push(Held {
                    waiting,
                    ticket: None,
                });
            }
            return;
        };
        let room = TOGETHER.min(ready.len());
        let mut sightings = Vec::with_capacity(room);
        let mut tickets = Vec::with_capacity(room);
        let mut sighted = Vec::with_capacity(room);
        for together in ready.chunks(TOGETHER) {
            sightings.clear();
            sighted.clear();
            for waiting in together {
                let sighting = self
                    .rings
                    .record(waiting.place)
                    .and_then(|(header, frame)| {
                        let id = self.ids.get(header.interface, header.ktime)?;
                        Some(tracking.sighting(id, &header, frame))
                    });
                sighted.push(sighting.is_some());
                sightings.extend(sighting);
            }
            tickets.clear();
            tracking.see_all(&sightings, &mut tickets);
            let mut tickets = tickets.drain(..);
            for (waiting, sighted) in together.iter().zip(&sighted) {
                let ticket = sighted.then(|| tickets.next()).flatten().flatten();
                self.held.push(Held {
                    waiting: *waiting,
                    ticket,
                });
            }
        }
        ready.clear();
        // After the packets, so that what the kernel says of one finds it.
        tracking.learn_from_kernel();
        self.record_happenings();
    }

    /// Hands those packets to the outputs that were held long enough.
    pub(super) fn write(&mut self) {
        let now = clock::monotonic();
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
            let is_early = now.saturating_sub(held.waiting.stamp) < hold
                || self.waits_for_description(&held, now);
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
            if !self.make_way(&held) || self.ended.is_some() {
                break;
            }
            self.held.pop();
            self.hurried += u64::from(is_early);
            self.write_one(held);
            if self.ended.is_some() {
                break;
            }
            if self.held.len().is_multiple_of(RELEASE_EVERY) {
                self.release();
            }
        }
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

    pub(super) fn write_one(&mut self, held: Held) {
        let waiting = held.waiting;
        let Some((header, bytes)) = self.rings.record(waiting.place) else {
            return;
        };
        // The session tells of an interface before its first packet can come.
        let Some(id) = self.ids.get(header.interface, header.ktime) else {
            return;
        };
        if header.ktime < self.last_stamp {
            self.late += 1;
        }
        self.last_stamp = header.ktime;
        if matches!(&self.stopping, Some((_, stamp)) if header.ktime > *stamp) {
            return;
        }
        let Some(seen) = self.interfaces.get_mut(id) else {
            return;
        };
        seen.lost += newly_lost(&mut seen.lost_by_cpu, header.cpu, header.lost);
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
            lost_before: seen.lost - seen.told,
            gso: frame::gso(&header),
        };
        let annotations = match (held.ticket, &mut self.tracking) {
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
                seen.told = seen.lost;
                seen.written.packets += 1;
                seen.written.bytes += u64::from(original_len);
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

    /// Gives the rings back, each up to the first record that still waits in it.
    pub(super) fn release(&mut self) {
        if let Some(tracking) = &mut self.tracking
            && self.rings.may_have_been_full()
        {
            tracking.may_have_missed(clock::monotonic());
        }
        self.lowest.clear();
        self.lowest.extend(self.held.lowest_places());
        self.order.lowest_places(&mut self.lowest);
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
