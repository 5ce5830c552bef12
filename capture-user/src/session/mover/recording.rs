//! Packets into the flight recorder, and out of it to the outputs.

use super::Mover;
use super::interfaces::Seen;
use crate::session::limits::Gate;
use crate::session::mover::held::Held;
use crate::session::outputs::{Outputs, Refusal};
use crate::session::progress::Progress;
use crate::session::recording::{OVERHEAD, Recording};
use crate::session::roster::Roster;
use crate::session::tracking::HOLD;

/// What a packet that comes out of the recorder goes to.
pub(super) struct Exit<'a> {
    pub(super) outputs: &'a mut Outputs,
    pub(super) gate: &'a mut Gate,
    pub(super) interfaces: &'a mut Roster<Seen>,
    pub(super) progress: &'a Progress,
}

impl Exit<'_> {
    /// Writes what is due, as long as the outputs take it at once. Whether nothing more is.
    fn write_due(
        &mut self,
        recording: &mut Recording,
        now: u64,
        room: usize,
    ) -> Result<bool, Refusal> {
        loop {
            if !self.outputs.has_room() {
                return Ok(false);
            }
            let Some(released) = recording.next(now, room) else {
                return Ok(true);
            };
            let Some(seen) = self.interfaces.get_mut(released.packet.interface) else {
                continue;
            };
            let mut packet = released.packet;
            packet.lost_before = released.lost.saturating_sub(seen.told);
            self.outputs.packet(
                &packet,
                released.annotations.as_ref(),
                released.stamp,
                &seen.interface.name,
                self.gate,
            )?;
            seen.told = seen.told.max(released.lost);
            seen.written.packets += 1;
            seen.written.bytes += u64::from(packet.original_len);
            self.progress.count_packet();
            if let Some(limit) = self.gate.met() {
                return Err(Refusal::Limit(limit));
            }
        }
    }
}

impl Mover {
    /// Tells the recorder what happened.
    pub(super) fn record_happenings(&mut self) {
        if let (Some(recording), Some(tracking)) = (&mut self.recording, &mut self.tracking) {
            for happening in tracking.happenings() {
                recording.learn(happening);
            }
        }
    }

    /// Writes what comes out of the recorder before this packet is taken, and makes room for it.
    /// Whether it can be taken.
    pub(super) fn make_way(&mut self, held: &Held) -> bool {
        if self.recording.is_none() {
            return true;
        }
        let len = self
            .rings
            .record(held.waiting.place)
            .map_or(0, |(_, frame)| frame.len());
        self.write_recorded(held.waiting.stamp, len + OVERHEAD)
    }

    /// Writes what comes out of the recorder, when all that was stamped before `now` was taken.
    /// Whether all is written that is to be.
    pub(super) fn write_recorded(&mut self, now: u64, room: usize) -> bool {
        self.count_forgotten();
        let Some(recording) = &mut self.recording else {
            return true;
        };
        if self.ended.is_some() {
            return true;
        }
        let mut exit = Exit {
            outputs: &mut self.outputs,
            gate: &mut self.gate,
            interfaces: &mut self.interfaces,
            progress: &self.progress,
        };
        let written = exit.write_due(recording, now, room);
        self.progress.set_forgotten(recording.forgotten());
        match written {
            Ok(written) => written,
            Err(refusal) => {
                self.refuse(refusal);
                true
            }
        }
    }

    /// Writes what has been waiting, as time passes.
    pub(super) fn go_on_recording(&mut self, now: u64) {
        if self.recording.is_some() {
            self.record_happenings();
            let taken = match self.held.front() {
                Some(held) => held.waiting.stamp,
                None => now.saturating_sub(HOLD),
            };
            self.write_recorded(taken, 0);
        }
    }

    /// The recorder gives out what it was asked for, since the capture ends. Whether it has.
    pub(super) fn empty_the_recorder(&mut self) -> bool {
        if let Some(tracking) = &mut self.tracking {
            tracking.settle_happenings();
        }
        self.record_happenings();
        if let Some(recording) = &mut self.recording {
            recording.finish();
        }
        self.write_recorded(u64::MAX, 0)
    }

    /// Up to when all is written that will be, when all stamped before `now` is.
    pub(super) fn decided(&self, now: u64) -> u64 {
        match &self.recording {
            Some(recording) if !recording.is_at_once() => {
                recording.decided(now.saturating_sub(HOLD))
            }
            _ => now,
        }
    }
}
