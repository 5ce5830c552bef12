//! The capture file, or one after the other: each complete by itself, the limits kept over all.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Refusal;
use crate::packet::{InterfaceId, Packet};
use crate::session::about::About;
use crate::session::interface::Interface;
use crate::session::ledger::Account;
use crate::session::limits::{Gate, Limit};
use crate::session::plan::{Flush, Rotate};
use crate::sink::files::room::Allowance;
use crate::sink::files::{Files, Order};
use crate::sink::output::{OutputError, Packing, Spool};
use crate::sink::pcapng::compose::Composed;
use crate::sink::pcapng::{
    Annotations, Composer, EncodeError, Frames, Header, InterfaceDescription, Name, Statistics,
};

/// How long what was captured may wait in a buffer.
const FLUSH_AFTER: Duration = Duration::from_millis(500);
/// The same where small pieces would be packed badly.
const FLUSH_PACKED_AFTER: Duration = Duration::from_secs(5);

/// How long the disk may take to show how much room is left.
const CATCHING_UP: Duration = Duration::from_secs(1);

/// What is the same in every file of a capture.
#[derive(Clone, Debug)]
pub(in crate::session) struct Common {
    pub(in crate::session) about: About,
    pub(in crate::session) frames: Frames,
    /// The filter as interfaces tell it.
    pub(in crate::session) filter: String,
}

impl Common {
    /// A file's beginning, with these interfaces.
    pub(in crate::session) fn compose<'a>(
        &'a self,
        interfaces: impl Iterator<Item = &'a Interface>,
    ) -> Result<(Composer, Header), EncodeError> {
        let descriptions: Vec<_> = interfaces.map(|it| it.describe(&self.filter)).collect();
        Composer::begin(&self.about.section(), self.frames, &descriptions)
    }
}

/// An interface of the capture, as the files need it.
struct Member {
    interface: Interface,
    /// No packet of it comes any more.
    gone: bool,
    /// When the capture began there, on the wall clock.
    since: u64,
    /// Its id in the file under way, where it has one.
    here: Option<InterfaceId>,
    /// Packets handed over and lost, in the files before this one.
    handed: u64,
    lost: u64,
    /// Packets that were let go in place of being written: so far, and in the files before this one.
    forgotten: u64,
    forgotten_before: u64,
}

/// When another file begins.
#[derive(Clone, Copy, Debug)]
struct Rotation {
    size: Option<u64>,
    /// Nanoseconds, and the stamp at which the next one is over.
    interval: Option<(u64, u64)>,
    /// The stamp at which somebody wanted another file.
    asked: Option<u64>,
}

impl Rotation {
    /// Whether another file begins with what is stamped then. The clock goes on.
    fn is_due(&mut self, stamp: u64) -> bool {
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
}

/// The file under way, and the way to the next.
pub(in crate::session) struct CaptureFile {
    common: Common,
    composer: Composer,
    spool: Spool<Files>,
    /// Somebody may be reading along.
    stream: bool,
    /// By the capture's ids.
    members: Vec<Member>,
    /// The capture's ids by the file's.
    here: Vec<InterfaceId>,
    /// What addresses are called besides, for the files to come.
    names: Vec<Name>,
    rotation: Option<Rotation>,
    /// When this file began, on the wall clock.
    began: u64,
    /// Bytes of the files before this one.
    before: u64,
    /// Files that were begun.
    files: u64,
    /// How much must stay free, and how much may thus be written.
    room: Option<(u64, Allowance)>,
    flush: Flush,
    /// How long what was captured waits unless `flush` says so.
    flush_after: Duration,
    synced: Instant,
}

/// What [`CaptureFile::new`] needs.
pub(in crate::session) struct Begun<'a> {
    pub(in crate::session) common: Common,
    pub(in crate::session) composer: Composer,
    pub(in crate::session) spool: Spool<Files>,
    pub(in crate::session) stream: bool,
    pub(in crate::session) packing: Packing,
    pub(in crate::session) interfaces: &'a [Interface],
    pub(in crate::session) rotate: Option<Rotate>,
    pub(in crate::session) room: Option<(u64, Allowance)>,
    pub(in crate::session) flush: Flush,
    /// Now, on the kernel side's clock and on the wall clock.
    pub(in crate::session) now: (u64, u64),
}

impl CaptureFile {
    /// Goes on from a file that was begun with these interfaces.
    pub(in crate::session) fn new(begun: Begun<'_>) -> Self {
        let (now, wall) = begun.now;
        let rotation = begun.rotate.map(|rotate| Rotation {
            size: rotate.size,
            interval: rotate.interval.map(|interval| {
                let length = u64::try_from(interval.as_nanos())
                    .unwrap_or(u64::MAX)
                    .max(1);
                (length, now.saturating_add(length))
            }),
            asked: None,
        });
        let ids = 0..;
        let members: Vec<_> = ids
            .zip(begun.interfaces)
            .map(|(id, interface)| Member {
                interface: interface.clone(),
                gone: false,
                since: wall,
                here: Some(id),
                handed: 0,
                lost: 0,
                forgotten: 0,
                forgotten_before: 0,
            })
            .collect();
        Self {
            here: members.iter().filter_map(|member| member.here).collect(),
            common: begun.common,
            composer: begun.composer,
            spool: begun.spool,
            stream: begun.stream,
            members,
            names: Vec::new(),
            rotation,
            began: wall,
            before: 0,
            files: 1,
            room: begun.room,
            flush: begun.flush,
            flush_after: match begun.packing {
                Packing::Plain => FLUSH_AFTER,
                Packing::Gzip | Packing::Zstd => FLUSH_PACKED_AFTER,
            },
            synced: Instant::now(),
        }
    }

    /// Writes a packet unless a limit forbids; first begins another file if it is time.
    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        annotations: &Annotations<'_>,
        stamp: u64,
        gate: &mut Gate,
    ) -> Result<(), Refusal> {
        gate.in_time(stamp).map_err(Refusal::Limit)?;
        let block = self.composer.measure(packet, annotations);
        let len = block.len() as u64;
        if let Some(rotation) = &mut self.rotation {
            let size = rotation.size;
            if rotation.is_due(stamp)
                || size.is_some_and(|size| {
                    self.composer.packets() > 0
                        && self.composer.finished_len() + len + self.description_len(packet) > size
                })
            {
                self.next(packet.time, len, gate)?;
            }
        }
        let added = len + self.description_len(packet);
        let size = self.finished_len() + added;
        self.has_disk_for(size)?;
        gate.admit(stamp, || size).map_err(Refusal::Limit)?;
        let interface = match self.member(packet.interface)?.here {
            Some(id) => id,
            None => self.describe(packet.interface)?,
        };
        let composer = &mut self.composer;
        self.spool
            .append(|out| composer.put(&block, interface, out));
        Ok(self.spool.check()?)
    }

    /// So many packets of each interface were let go in place of being written so far.
    pub(super) fn forgotten(&mut self, packets: &[u64]) {
        for (member, packets) in self.members.iter_mut().zip(packets) {
            member.forgotten = *packets;
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.spool.has_room()
    }

    pub(super) fn add_interface(
        &mut self,
        interface: &Interface,
        since: u64,
        gate: &Gate,
    ) -> Result<(), Refusal> {
        self.spool.check()?;
        let len = self
            .composer
            .interface_len(&interface.describe(&self.common.filter));
        let id = InterfaceId::try_from(self.members.len()).unwrap_or(InterfaceId::MAX);
        self.members.push(Member {
            interface: interface.clone(),
            gone: false,
            since,
            here: None,
            handed: 0,
            lost: 0,
            forgotten: 0,
            forgotten_before: 0,
        });
        let size = self.finished_len() + len;
        gate.fits(|| size).map_err(Refusal::Limit)?;
        self.has_disk_for(size)?;
        self.describe(id)?;
        Ok(())
    }

    /// Calls addresses so from now on, unless all would become too long for that.
    pub(super) fn name(&mut self, names: &[Name], gate: &Gate) -> Result<(), Refusal> {
        self.spool.check()?;
        let size = self.finished_len() + self.composer.names_len(names);
        if gate.fits(|| size).is_err() || self.has_disk_for(size).is_err() {
            return Ok(());
        }
        if self.rotation.is_some() {
            // The last name of an address is the one that holds.
            self.names
                .retain(|(known, _)| names.iter().all(|(address, _)| address != known));
            self.names.extend_from_slice(names);
        }
        let composer = &mut self.composer;
        self.spool.append(|out| composer.names(names, out));
        Ok(())
    }

    /// The files to come don't call these addresses any more as they were called.
    pub(super) fn forget_names(&mut self, addresses: &[IpAddr]) {
        let stays = |(address, _): &Name| !addresses.contains(address);
        self.names.retain(stays);
        for member in &mut self.members {
            member.interface.names.retain(stays);
        }
    }

    pub(super) fn forget_interface(&mut self, index: u32) {
        // An index is used again: the last one that had it.
        let mut latest = self.members.iter_mut().rev();
        if let Some(member) = latest.find(|member| member.interface.index == index) {
            member.gone = true;
        }
    }

    pub(super) fn rotate_at(&mut self, stamp: u64) {
        if let Some(rotation) = &mut self.rotation {
            rotation.asked.get_or_insert(stamp);
        }
    }

    pub(super) fn go_on(&mut self, now: u64, wall: u64, gate: &Gate) -> Result<(), Refusal> {
        if let Some(rotation) = &mut self.rotation
            && rotation.is_due(now)
        {
            return self.next(wall, 0, gate);
        }
        Ok(())
    }

    /// Bytes of all files so far, without the statistics of this one.
    pub(super) fn bytes(&self) -> u64 {
        self.before + self.composer.len()
    }

    /// Bytes that wait for the disk.
    pub(super) fn queued(&self) -> u64 {
        self.spool.queued()
    }

    /// How many files were begun.
    pub(super) const fn files(&self) -> u64 {
        self.files
    }

    pub(super) fn end_batch(&mut self) -> Result<(), OutputError> {
        if self.stream || self.flush.at_once {
            self.spool.relay();
        }
        if let Some(interval) = self.flush.interval
            && self.synced.elapsed() >= interval
        {
            self.sync();
        }
        self.spool.check()
    }

    /// Hands over what waits if that is due, and looks whether there is still room for the end.
    pub(super) fn flush_in_time(&mut self) -> Result<(), Refusal> {
        if self.flush.interval.is_none() && self.synced.elapsed() >= self.flush_after {
            self.synced = Instant::now();
            self.spool.hand_over();
        }
        self.spool.check()?;
        self.has_disk_for(self.finished_len())
    }

    /// Hands over what waits.
    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        if self.flush.interval.is_some() {
            self.sync();
        }
        self.spool.hand_over();
        self.spool.check()
    }

    fn sync(&mut self) {
        self.synced = Instant::now();
        self.spool.order(Order::Sync);
    }

    /// Whether all files together may become so long without filling the file system.
    ///
    /// What is known of that lags behind: the oldest files may be about to make room, and packed
    /// bytes take less than was feared. So before the answer is no, the writing side is given time
    /// to catch up. Packets wait in the ring meanwhile.
    fn has_disk_for(&mut self, size: u64) -> Result<(), Refusal> {
        let Some((least, allowance)) = &self.room else {
            return Ok(());
        };
        if size > allowance.get() {
            self.spool.settle(CATCHING_UP);
        }
        if size > allowance.get() {
            return Err(Refusal::Limit(Limit::MinFree(*least)));
        }
        Ok(())
    }

    /// Closes the file and completes the accounts.
    pub(super) fn finish(
        mut self,
        accounts: &mut [(String, Account)],
        end: u64,
        gate: &Gate,
    ) -> Result<(), OutputError> {
        // What was lost on an interface that this file doesn't have must be told too.
        for (id, (_, account)) in (0..).zip(accounts.iter()) {
            let Ok(member) = self.member(id) else { break };
            if member.here.is_none() && account.kernel.lost() > member.lost {
                let len = self
                    .composer
                    .interface_len(&member.interface.describe(&self.common.filter));
                if gate.fits(|| self.finished_len() + len).is_ok() {
                    // It is told in the closing lines in any case.
                    let _ = self.describe(id);
                }
            }
        }
        let statistics = self.statistics(end, |id, member, _| {
            let account = accounts.get(id).map_or(Account::default(), |it| it.1);
            (
                account
                    .received()
                    .saturating_sub(member.handed + member.lost + member.forgotten_before),
                account.kernel.lost().saturating_sub(member.lost),
            )
        });
        self.settle();
        self.spool
            .order(Order::Close(self.composer.close(&statistics)));
        let Some(mut files) = self.spool.finish() else {
            return Err(OutputError::Abandoned);
        };
        files.wait_for_commands();
        let lost = files.lost().iter().copied().chain(std::iter::repeat(0));
        for (((_, account), member), lost) in accounts.iter_mut().zip(&self.members).zip(lost) {
            account.captured = member.handed.saturating_sub(lost);
            account.unwritten = lost;
        }
        files.failure().cloned().map_or(Ok(()), Err)
    }

    /// Closes this file and begins the next at that time on the wall clock, for a packet of `len`
    /// bytes, unless all would become too long for it.
    fn next(&mut self, time: u64, len: u64, gate: &Gate) -> Result<(), Refusal> {
        self.spool.check()?;
        // One that is asked for may be due before this one's beginning, where packets wait to be
        // written.
        let time = time.max(self.began);
        let live = || self.members.iter().filter(|member| !member.gone);
        let (mut composer, mut header) = self.common.compose(live().map(|it| &it.interface))?;
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
        self.here.clear();
        for (id, member) in (0..).zip(&mut self.members) {
            member.here = None;
            if !member.gone {
                member.here = InterfaceId::try_from(self.here.len()).ok();
                self.here.push(id);
            }
        }
        self.composer = composer;
        self.began = time;
        self.files += 1;
        self.spool.order(Order::Next {
            header,
            members: self.here.clone(),
            time,
        });
        Ok(())
    }

    /// Each interface's statistics by the file's ids, with what `known` says was matched and lost
    /// in its time.
    fn statistics(
        &self,
        end: u64,
        known: impl Fn(usize, &Member, Composed) -> (u64, u64),
    ) -> Vec<Statistics> {
        let composed = self.composer.composed();
        let here = self.here.iter().zip(composed);
        here.map(|(id, composed)| {
            let id = *id as usize;
            let Some(member) = self.members.get(id) else {
                return Statistics::default();
            };
            let (matched, lost) = known(id, member, *composed);
            Statistics {
                start: member.since.max(self.began),
                end,
                matched,
                lost,
                lost_in_kernel: lost,
            }
        })
        .collect()
    }

    /// Adds what this file has to what those before it had.
    fn settle(&mut self) {
        for (id, composed) in self.here.iter().zip(self.composer.composed()) {
            if let Some(member) = self.members.get_mut(*id as usize) {
                member.handed += composed.packets;
                member.lost += composed.lost;
                member.forgotten_before = member.forgotten;
            }
        }
    }

    /// The length of all files if nothing more came but the statistics of this one.
    fn finished_len(&self) -> u64 {
        self.before + self.composer.finished_len()
    }

    /// The bytes that describing the packet's interface takes, where the file doesn't yet.
    fn description_len(&self, packet: &Packet<'_>) -> u64 {
        match self.members.get(packet.interface as usize) {
            Some(member) if member.here.is_none() => self
                .composer
                .interface_len(&member.interface.describe(&self.common.filter)),
            _ => 0,
        }
    }

    fn member(&self, id: InterfaceId) -> Result<&Member, EncodeError> {
        self.members
            .get(id as usize)
            .ok_or(EncodeError::UnknownInterface(id))
    }

    fn describe(&mut self, id: InterfaceId) -> Result<InterfaceId, EncodeError> {
        let member = self
            .members
            .get_mut(id as usize)
            .ok_or(EncodeError::UnknownInterface(id))?;
        let description: InterfaceDescription<'_> = member.interface.describe(&self.common.filter);
        let mut block = Vec::new();
        let here = self.composer.interface(&description, &mut block)?;
        member.here = Some(here);
        self.here.push(id);
        self.spool.append(|out| out.append(&mut block));
        self.spool.order(Order::Joined(id));
        Ok(here)
    }
}
