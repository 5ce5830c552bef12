//! When another file begins, and how.

use super::super::Refusal;
use super::{CaptureFile, Here, Member};
use crate::session::limits::{Gate, Leeway};
use crate::session::plan::Rotate;
use crate::sink::files::Order;

/// When another file begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    pub(super) size: Option<u64>,
    /// Nanoseconds, and the stamp at which the next one is over.
    interval: Option<(u64, u64)>,
    /// The stamp at which somebody wanted another file.
    asked: Option<u64>,
}

impl Rotation {
    /// From now on.
    pub(super) fn new(rotate: Rotate, now: u64) -> Self {
        Self {
            size: rotate.size,
            interval: rotate.interval.map(|interval| {
                let length = u64::try_from(interval.as_nanos())
                    .unwrap_or(u64::MAX)
                    .max(1);
                (length, now.saturating_add(length))
            }),
            asked: None,
        }
    }

    /// Whether another file begins with what is stamped then. The clock goes on.
    pub(super) fn is_due(&mut self, stamp: u64) -> bool {
        let mut due = false;
        if let Some((length, over)) = &mut self.interval
            && stamp >= *over
        {
            due = true;
            // Whole intervals from the start on, though some may have passed in sleep.
            *over += ((stamp - *over) / *length + 1) * *length;
        }
        if self.asked.is_some_and(|asked| stamp >= asked) {
            due = true;
        }
        if due {
            self.asked = None;
        }
        due
    }

    /// What still belongs into a file that is so long. How many packets those are doesn't matter.
    pub(super) fn leeway(&self, size: u64) -> Leeway {
        let over = self.interval.map_or(u64::MAX, |(_, over)| over);
        let due = over.min(self.asked.unwrap_or(u64::MAX));
        Leeway {
            packets: u64::MAX,
            bytes: self
                .size
                .map_or(u64::MAX, |limit| limit.saturating_sub(size)),
            until: due.saturating_sub(1),
        }
    }
}

impl CaptureFile {
    pub(in super::super) fn rotate_at(&mut self, stamp: u64) {
        if let Some(rotation) = &mut self.rotation {
            rotation.asked.get_or_insert(stamp);
        }
    }

    pub(in super::super) fn go_on(
        &mut self,
        now: u64,
        wall: u64,
        gate: &Gate,
    ) -> Result<(), Refusal> {
        if let Some(rotation) = &mut self.rotation
            && rotation.is_due(now)
        {
            return self.next(wall, 0, gate);
        }
        Ok(())
    }

    /// Closes this file and begins the next at that time on the wall clock, for a packet of `len`
    /// bytes, unless all would become too long for it.
    pub(super) fn next(&mut self, time: u64, len: u64, gate: &Gate) -> Result<(), Refusal> {
        self.spool.check()?;
        // One that is asked for may be due before this one's beginning, where packets wait to be
        // written.
        let time = time.max(self.began);
        // What is behind a newcomer may be known in a moment, or when its first packet is written.
        let wanted = |member: &Member| !member.gone && member.interface.described;
        let (live, interfaces): (Vec<_>, Vec<_>) = self
            .members
            .iter()
            .filter(|(_, member)| wanted(member))
            .map(|(id, member)| (id, &member.interface))
            .unzip();
        let (mut composer, mut header) = self.common.compose(interfaces.into_iter())?;
        if !self.names.is_empty() {
            composer.names(&self.names, &mut header.bytes);
        }
        let size = self.finished_len() + composer.finished_len() + len;
        gate.fits(|| size).map_err(Refusal::Limit)?;
        self.has_disk_for(size)?;
        let statistics = self.statistics(time, |_, member, composed| {
            let forgotten = member.forgotten - member.forgotten_before;
            (composed.packets + composed.lost + forgotten, composed.lost)
        });
        self.spool
            .order(Order::Close(self.composer.close(&statistics)));
        self.before = self.finished_len();
        self.settle();
        for member in self.members.values_mut() {
            member.here = None;
        }
        for (here, id) in (0..).zip(&live) {
            if let Some(member) = self.members.get_mut(*id) {
                member.here = Some(here);
                member.told = true;
            }
        }
        self.here.clear();
        self.here.extend(live.iter().copied().map(Here::Open));
        self.composer = composer;
        self.began = time;
        self.files += 1;
        self.spool.order(Order::Next {
            header,
            members: live,
            time,
        });
        Ok(())
    }
}
