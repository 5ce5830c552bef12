//! Packets written in a row: of which nothing is to be said but what their records say, that aren't late
//! and before which nothing was lost. Nearly all are like that.

use capture_common::record::RecordFlags;

use super::Mover;
use super::held::Held;
use crate::flow::tracker::Ticket;
use crate::packet::Packet;
use crate::session::frame;

impl Mover {
    /// Writes the first of the packets that are held in a row, and says whether there were any.
    pub(super) fn write_row_of_held(&mut self) -> bool {
        if !self.undescribed.is_empty() {
            return false;
        }
        let mut queue = std::mem::take(&mut self.held);
        let row = self.write_row(queue.iter());
        for _ in 0..row {
            queue.pop();
        }
        self.held = queue;
        row > 0
    }

    /// Writes the first of these packets up to one that must be looked at more closely, and returns how
    /// many those were. Each is written as [`Mover::write_one`] would, with all that it changes.
    pub(super) fn write_row(&mut self, packets: impl Iterator<Item = Held>) -> usize {
        if self.recording.is_some() || self.stopping.is_some() {
            return 0;
        }
        let Self {
            rings,
            ids,
            interfaces,
            clock,
            last_stamp,
            ..
        } = self;
        let mut written = 0;
        self.outputs.row(&mut self.gate, |row| {
            for Held { waiting, ticket } in packets {
                if ticket.is_some_and(|ticket| !ticket.is_settled()) {
                    return;
                }
                let Some((header, frame)) = rings.unidentified(waiting.place) else {
                    return;
                };
                if header.ktime < *last_stamp
                    || header.flags & (RecordFlags::VLAN | RecordFlags::NO_LINK_HEADER) != 0
                    || header.gso_size != 0
                {
                    return;
                }
                let Some(id) = ids.get(header.interface, header.ktime) else {
                    return;
                };
                let Some(seen) = interfaces.get_mut(id) else {
                    return;
                };
                let known = seen.lost_by_cpu.get(header.cpu as usize);
                if header.lost > known.copied().unwrap_or(0) || seen.lost > seen.told {
                    return;
                }
                let packet = Packet {
                    time: clock.wall(header.ktime),
                    interface: id,
                    direction: frame::direction(&header),
                    reception: frame::reception(&header),
                    original_len: header.wire_len,
                    frame,
                    lost_before: 0,
                    gso: None,
                };
                if !row.put(&packet, ticket.map(Ticket::packet_id), header.ktime) {
                    return;
                }
                *last_stamp = header.ktime;
                seen.written.packets += 1;
                seen.written.bytes += u64::from(header.wire_len);
                written += 1;
            }
        });
        self.progress.count_packets(written as u64);
        self.unreleased += written;
        written
    }
}
