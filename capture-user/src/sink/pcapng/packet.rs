//! The enhanced packet block (draft, section 4.3), written straight into the output buffer.

use super::{
    blocks::ENHANCED_PACKET,
    comment::GsoComment,
    option::{self, fitting, option_len, padding},
};
use crate::packet::{Direction, InterfaceId, Packet, Reception};

/// `epb_flags`.
const FLAGS: u16 = 2;
/// `epb_dropcount`.
const DROP_COUNT: u16 = 4;
/// `epb_packetid`.
const PACKET_ID: u16 = 5;

/// Type, length, interface, time in two halves, captured and original length.
const FRONT_LEN: usize = 28;
/// The length again.
const BACK_LEN: usize = 4;
/// What follows a plain packet's frame: the flags, the end of the options, the length again …
const PLAIN_END: usize = 16;
/// … and with its number.
const NUMBERED_END: usize = PLAIN_END + 12;

/// The most comments that a packet can have besides that on a super-frame; what is above isn't
/// written. Readers refuse a block of more than 16 MiB, and this stays far below.
pub const COMMENTS_MAX: usize = 64;

/// What was learned of a packet beyond its own bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Annotations<'a> {
    /// Comments in the form of [`comment`](super::comment), up to [`COMMENTS_MAX`]; each is cut
    /// at 65,535 bytes.
    pub comments: &'a [&'a str],
    /// The same on every sighting of one packet: `epb_packetid`.
    pub packet_id: Option<u64>,
}

impl<'a> Annotations<'a> {
    fn comments(&self) -> impl Iterator<Item = &'a [u8]> {
        self.comments
            .iter()
            .take(COMMENTS_MAX)
            .map(|it| fitting(it, 0).as_bytes())
    }
}

/// A packet's block, measured and not yet written.
#[derive(Debug)]
pub struct PacketBlock<'a> {
    packet: &'a Packet<'a>,
    annotations: &'a Annotations<'a>,
    frame: &'a [u8],
    gso: Option<GsoComment>,
    len: usize,
}

impl<'a> PacketBlock<'a> {
    /// Measures the block. A frame longer than `snaplen` is cut there: libpcap refuses to read on
    /// past one.
    #[inline]
    pub(super) fn new(
        packet: &'a Packet<'a>,
        annotations: &'a Annotations<'a>,
        snaplen: u32,
    ) -> Self {
        let frame = &packet.frame[..packet.frame.len().min(snaplen as usize)];
        let gso = packet.gso.map(GsoComment::new);
        let len = FRONT_LEN
            + frame.len()
            + padding(frame.len())
            + option_len(4)
            + if packet.lost_before > 0 {
                option_len(8)
            } else {
                0
            }
            + annotations.packet_id.map_or(0, |_| option_len(8))
            + gso.as_ref().map_or(0, |it| option_len(it.as_bytes().len()))
            + annotations
                .comments()
                .map(|it| option_len(it.len()))
                .sum::<usize>()
            + option::HEADER_LEN
            + BACK_LEN;
        Self {
            packet,
            annotations,
            frame,
            gso,
            len,
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none: never so.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Packets lost on the interface before this one.
    pub(super) const fn lost_before(&self) -> u64 {
        self.packet.lost_before
    }

    /// Appends it, as one of the interface that has this id in the file.
    pub(super) fn put(&self, interface: InterfaceId, out: &mut Vec<u8>) {
        let Self {
            packet,
            annotations,
            frame,
            gso,
            len,
        } = self;
        if gso.is_none() && packet.lost_before == 0 && annotations.comments.is_empty() {
            put_plain(packet, frame, annotations.packet_id, interface, out);
            return;
        }
        out.reserve(*len);
        put_front(packet, frame, interface, *len, out);
        option::put(out, FLAGS, &flags(packet).to_le_bytes());
        if packet.lost_before > 0 {
            option::put(out, DROP_COUNT, &packet.lost_before.to_le_bytes());
        }
        if let Some(id) = annotations.packet_id {
            option::put(out, PACKET_ID, &id.to_le_bytes());
        }
        if let Some(comment) = gso {
            option::put(out, option::COMMENT, comment.as_bytes());
        }
        for comment in annotations.comments() {
            option::put(out, option::COMMENT, comment);
        }
        option::put(out, option::END, &[]);
        out.extend_from_slice(&(*len as u32).to_le_bytes());
    }
}

/// The length of a plain packet's block: of one of which there is nothing to say but its flags and,
/// where it has one, its number. No loss before it, no super-frame, no comment: as nearly all are.
#[inline]
pub(super) const fn plain_len(frame: usize, is_numbered: bool) -> usize {
    let end = if is_numbered { NUMBERED_END } else { PLAIN_END };
    FRONT_LEN + frame + padding(frame) + end
}

/// Appends a plain packet's block, as one of the interface that has this id in the file. `frame` is
/// what is kept of the packet's.
#[inline(always)]
pub(super) fn put_plain(
    packet: &Packet<'_>,
    frame: &[u8],
    packet_id: Option<u64>,
    interface: InterfaceId,
    out: &mut Vec<u8>,
) {
    let len = plain_len(frame.len(), packet_id.is_some());
    out.reserve(len);
    put_front(packet, frame, interface, len, out);
    let total = (len as u32).to_le_bytes();
    match packet_id {
        Some(id) => out.extend_from_slice(&numbered_end(flags(packet), id, total)),
        None => out.extend_from_slice(&plain_end(flags(packet), total)),
    }
}

/// Appends all that comes before a block's options.
#[inline(always)]
fn put_front(
    packet: &Packet<'_>,
    frame: &[u8],
    interface: InterfaceId,
    len: usize,
    out: &mut Vec<u8>,
) {
    // Readers refuse a packet that was shorter on the wire than in the file. One that was cut
    // here had at least the bytes it came with.
    let came = u32::try_from(packet.frame.len()).unwrap_or(u32::MAX);
    let mut front = [0; FRONT_LEN];
    let words = [
        ENHANCED_PACKET,
        // A frame has at most SNAPLEN_MAX bytes and the options at most COMMENTS_MAX + 4 values of
        // 64 KiB: it fits.
        len as u32,
        interface,
        (packet.time >> 32) as u32,
        packet.time as u32,
        frame.len() as u32,
        packet.original_len.max(came),
    ];
    for (place, word) in front.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&front);
    out.extend_from_slice(frame);
    let padding = padding(frame.len());
    if padding > 0 {
        out.extend_from_slice(&[0; 3][..padding]);
    }
}

/// What follows the frame where there is nothing to say but its flags.
fn plain_end(flags: u32, total: [u8; 4]) -> [u8; PLAIN_END] {
    let mut end = [0; PLAIN_END];
    end[..2].copy_from_slice(&FLAGS.to_le_bytes());
    end[2..4].copy_from_slice(&4u16.to_le_bytes());
    end[4..8].copy_from_slice(&flags.to_le_bytes());
    // The end of the options is zeroes.
    end[12..].copy_from_slice(&total);
    end
}

/// The same with the packet's number.
fn numbered_end(flags: u32, id: u64, total: [u8; 4]) -> [u8; NUMBERED_END] {
    let mut end = [0; NUMBERED_END];
    end[..8].copy_from_slice(&plain_end(flags, total)[..8]);
    end[8..10].copy_from_slice(&PACKET_ID.to_le_bytes());
    end[10..12].copy_from_slice(&8u16.to_le_bytes());
    end[12..20].copy_from_slice(&id.to_le_bytes());
    end[24..].copy_from_slice(&total);
    end
}

/// The `epb_flags` word: bits 0 and 1 the direction, bits 2 to 4 the reception type.
pub(super) const fn flags(packet: &Packet<'_>) -> u32 {
    let direction = match packet.direction {
        Direction::In => 1,
        Direction::Out => 2,
    };
    let reception = match packet.reception {
        None => 0,
        Some(Reception::Unicast) => 1,
        Some(Reception::Multicast) => 2,
        Some(Reception::Broadcast) => 3,
        Some(Reception::Promiscuous) => 4,
    };
    direction | reception << 2
}
