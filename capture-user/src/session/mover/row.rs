//! Packets written in a row: of which nothing more is to be learned, and that aren't late. Nearly all are like
//! that.

use super::Mover;
use super::held::Held;
use crate::flow::tracker::Ticket;

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
            assembler,
            clock,
            last_stamp,
            ..
        } = self;
        let (link, snaplen) = (self.link, self.snaplen);
        let mut written = 0;
        self.outputs.row(&mut self.gate, |row| {
            for Held { waiting, ticket } in packets {
                if ticket.is_some_and(|ticket| !ticket.is_settled()) {
                    return;
                }
                let Some((header, bytes)) = rings.unidentified(waiting.place) else {
                    return;
                };
                let stamp = header.ktime;
                if stamp < *last_stamp {
                    return;
                }
                let Some(id) = ids.get(header.interface, stamp) else {
                    return;
                };
                let Some(seen) = interfaces.get_mut(id) else {
                    return;
                };
                let frame = assembler.assemble(link, snaplen, &header, bytes);
                let packet = seen.packet(id, clock.wall(stamp), &header, frame);
                if !row.put(&packet, ticket.map(Ticket::packet_id), stamp) {
                    return;
                }
                *last_stamp = stamp;
                seen.count(&packet);
                written += 1;
            }
        });
        self.progress.count_packets(written as u64);
        self.unreleased += written;
        written
    }
}
