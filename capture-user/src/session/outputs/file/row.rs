//! Packets in a row, of which there is nothing to say that their records don't, as of nearly all.
//!
//! What [`CaptureFile::packet`] asks for each packet (limits, another file, room on the disk) is asked
//! once for all of them here, and answered by how much may be written before it must be asked again.

use super::CaptureFile;
use super::Member;
use crate::packet::Packet;
use crate::session::limits::{Gate, Leeway};
use crate::session::roster::Roster;
use crate::sink::output::FLUSH_AT;
use crate::sink::pcapng::Composer;

/// The packets of one row, on their way into the file under way.
pub(in crate::session) struct Row<'a> {
    composer: &'a mut Composer,
    members: &'a Roster<Member>,
    leeway: Leeway,
    taken: u64,
    out: &'a mut Vec<u8>,
}

impl Row<'_> {
    /// Writes a packet, with its number if it has one. Returns whether it did: not if it must be looked
    /// at more closely, which is [`CaptureFile::packet`]'s part.
    #[inline(always)]
    pub(in crate::session) fn put(
        &mut self,
        packet: &Packet<'_>,
        packet_id: Option<u64>,
        stamp: u64,
    ) -> bool {
        if self.taken == self.leeway.packets || stamp > self.leeway.until {
            return false;
        }
        let Some(interface) = self
            .members
            .get(packet.interface)
            .and_then(|member| member.here)
        else {
            return false;
        };
        let bytes = self.leeway.bytes;
        let Some(len) = self
            .composer
            .put_within(packet, packet_id, interface, bytes, self.out)
        else {
            return false;
        };
        self.leeway.bytes -= len;
        self.taken += 1;
        true
    }
}

impl CaptureFile {
    /// Has `put` write packets in a row, if any may be written without a closer look.
    pub(in super::super) fn row(&mut self, gate: &mut Gate, put: impl FnOnce(&mut Row<'_>)) {
        if self.spool.check().is_err() {
            return;
        }
        let leeway = self.leeway(gate);
        let (composer, members) = (&mut self.composer, &self.members);
        self.spool.append(|out| {
            let mut row = Row {
                composer,
                members,
                leeway,
                taken: 0,
                out,
            };
            put(&mut row);
            gate.pass(row.taken);
        });
    }

    fn leeway(&self, gate: &Gate) -> Leeway {
        let size = self.finished_len();
        let room = self
            .room
            .as_ref()
            .map_or(u64::MAX, |(_, allowance)| allowance.get());
        // What the spool hands over at once: its buffer has room for twice that.
        let bytes = room.saturating_sub(size).min(FLUSH_AT as u64);
        let mut leeway = gate.leeway(size);
        leeway.bytes = leeway.bytes.min(bytes);
        match &self.rotation {
            Some(rotation) => leeway.and(rotation.leeway(self.composer.finished_len())),
            None => leeway,
        }
    }
}
