//! The capture file, or one after the other: each complete by itself, the limits kept over all.
//!
//! - `row`: packets in a row; `rotation`: when another file begins, and how; `closing`: how one ends

mod closing;
mod rotation;
mod row;
#[cfg(test)]
mod row_tests;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Refusal;
use crate::packet::{InterfaceId, Packet};
use crate::session::about::About;
use crate::session::interface::Interface;
use crate::session::limits::{Gate, Limit};
use crate::session::plan::{Flush, Rotate};
use crate::session::roster::Roster;
use crate::sink::files::room::Allowance;
use crate::sink::files::{Files, Order};
use crate::sink::output::{OutputError, Packing, Spool};
use crate::sink::pcapng::{
    Annotations, Composer, EncodeError, Frames, Header, InterfaceDescription, Name,
};
use rotation::Rotation;
pub(in crate::session) use row::Row;

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

/// An interface of the capture, as the files need it: until nothing more comes of it.
struct Member {
    interface: Interface,
    /// No packet of it is captured any more.
    gone: bool,
    /// When the capture began there, on the wall clock.
    since: u64,
    /// Its id in the file under way, where it has one.
    here: Option<InterfaceId>,
    /// Whether any file has it.
    told: bool,
    /// Packets handed over and lost, in the files before this one.
    handed: u64,
    lost: u64,
    /// Packets that were let go in place of being written: so far, and in the files before this one.
    forgotten: u64,
    forgotten_before: u64,
}

impl Member {
    fn new(interface: Interface, since: u64) -> Self {
        Self {
            interface,
            gone: false,
            since,
            here: None,
            told: false,
            handed: 0,
            lost: 0,
            forgotten: 0,
            forgotten_before: 0,
        }
    }
}

/// An interface of the file under way. This is what is kept of each of them until the file is closed,
/// whether it is still there or not: its statistics come at the end.
#[derive(Clone, Copy, Debug)]
enum Here {
    /// More may come of it: its id in the capture.
    Open(InterfaceId),
    /// Nothing more does.
    Settled {
        /// When the capture began there, on the wall clock.
        since: u64,
        /// Packets matched and lost in this file's time.
        matched: u64,
        lost: u64,
    },
}

/// The file under way, and the way to the next.
pub(in crate::session) struct CaptureFile {
    common: Common,
    composer: Composer,
    spool: Spool<Files>,
    /// Somebody may be reading along.
    stream: bool,
    members: Roster<Member>,
    /// By the file's ids.
    here: Vec<Here>,
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
        let rotation = begun.rotate.map(|rotate| Rotation::new(rotate, now));
        let mut members = Roster::default();
        let mut here = Vec::new();
        for (id, interface) in (0..).zip(begun.interfaces) {
            let mut member = Member::new(interface.clone(), wall);
            member.here = Some(id);
            member.told = true;
            members.insert(id, member);
            here.push(Here::Open(id));
        }
        Self {
            here,
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
        self.spool.check()?;
        gate.in_time(stamp).map_err(Refusal::Limit)?;
        let block = self.composer.measure(packet, annotations);
        let len = block.len() as u64;
        let mut here = self.here(packet.interface);
        if let Some(rotation) = &mut self.rotation {
            let size = rotation.size;
            if rotation.is_due(stamp)
                || size.is_some_and(|size| {
                    self.composer.packets() > 0
                        && self.composer.finished_len() + len + self.description_len(packet) > size
                })
            {
                self.next(packet.time, len, gate)?;
                here = self.here(packet.interface);
            }
        }
        let added = match here {
            Some(_) => len,
            None => len + self.description_len(packet),
        };
        let size = self.finished_len() + added;
        self.has_disk_for(size)?;
        gate.admit(stamp, || size).map_err(Refusal::Limit)?;
        let interface = match here {
            Some(id) => id,
            None => self.describe(packet.interface)?,
        };
        let composer = &mut self.composer;
        self.spool
            .append(|out| composer.put(&block, interface, out));
        Ok(())
    }

    /// So many more packets of an interface were let go in place of being written.
    pub(super) fn forgotten(&mut self, id: InterfaceId, packets: u64) {
        if let Some(member) = self.members.get_mut(id) {
            member.forgotten += packets;
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.spool.has_room()
    }

    pub(super) fn add_interface(
        &mut self,
        id: InterfaceId,
        interface: &Interface,
        since: u64,
        gate: &Gate,
    ) -> Result<(), Refusal> {
        self.spool.check()?;
        self.members
            .insert(id, Member::new(interface.clone(), since));
        match interface.described {
            true => self.describe_if_fits(id, gate),
            false => Ok(()),
        }
    }

    /// What is behind an interface is known now. If this file has it already, the next one says so.
    pub(super) fn describe_interface(
        &mut self,
        id: InterfaceId,
        interface: &Interface,
        gate: &Gate,
    ) -> Result<(), Refusal> {
        self.spool.check()?;
        let Some(member) = self.members.get_mut(id) else {
            return Ok(());
        };
        member.interface.clone_from(interface);
        match member.here {
            Some(_) => Ok(()),
            None => self.describe_if_fits(id, gate),
        }
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
        for member in self.members.values_mut() {
            member.interface.names.retain(stays);
        }
    }

    pub(super) fn forget_interface(&mut self, id: InterfaceId) {
        if let Some(member) = self.members.get_mut(id) {
            member.gone = true;
        }
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

    /// The length of all files if nothing more came but the statistics of this one.
    fn finished_len(&self) -> u64 {
        self.before + self.composer.finished_len()
    }

    /// The bytes that describing the packet's interface takes, where the file doesn't yet.
    fn description_len(&self, packet: &Packet<'_>) -> u64 {
        match self.members.get(packet.interface) {
            Some(member) if member.here.is_none() => self
                .composer
                .interface_len(&member.interface.describe(&self.common.filter)),
            _ => 0,
        }
    }

    fn describe_if_fits(&mut self, id: InterfaceId, gate: &Gate) -> Result<(), Refusal> {
        let description = self.member(id)?.interface.describe(&self.common.filter);
        let size = self.finished_len() + self.composer.interface_len(&description);
        gate.fits(|| size).map_err(Refusal::Limit)?;
        self.has_disk_for(size)?;
        self.describe(id)?;
        Ok(())
    }

    fn member(&self, id: InterfaceId) -> Result<&Member, EncodeError> {
        self.members
            .get(id)
            .ok_or(EncodeError::UnknownInterface(id))
    }

    /// An interface's id in the file under way, where it has one.
    #[inline]
    fn here(&self, id: InterfaceId) -> Option<InterfaceId> {
        self.members.get(id)?.here
    }

    fn describe(&mut self, id: InterfaceId) -> Result<InterfaceId, EncodeError> {
        let member = self
            .members
            .get_mut(id)
            .ok_or(EncodeError::UnknownInterface(id))?;
        let description: InterfaceDescription<'_> = member.interface.describe(&self.common.filter);
        let mut block = Vec::new();
        let here = self.composer.interface(&description, &mut block)?;
        member.here = Some(here);
        member.told = true;
        self.here.push(Here::Open(id));
        self.spool.append(|out| out.append(&mut block));
        self.spool.order(Order::Joined(id));
        Ok(here)
    }
}
