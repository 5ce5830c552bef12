//! One file's blocks, composed and measured before anything is written.
//!
//! The half of a capture file that whoever has the packets holds: it knows the file's length and
//! what is in it, and touches no destination. [`super::PcapngFile`] is the other half.

use super::{
    encoder::{EncodeError, Encoder},
    file::{Closing, Header},
    interface::{Frames, InterfaceDescription},
    names::{self, Name},
    packet::{self, Annotations, PacketBlock},
    section::Section,
    statistics::{self, Statistics},
};
use crate::packet::{InterfaceId, Packet};

/// What was composed for one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Composed {
    /// Packets.
    pub packets: u64,
    /// Packets lost on the interface, as those packets told ([`Packet::lost_before`]).
    pub lost: u64,
}

/// Composes one file. Lengths are those that the file has if its destination takes everything.
#[derive(Debug)]
pub struct Composer {
    encoder: Encoder,
    composed: Vec<Composed>,
    len: u64,
    packets: u64,
}

impl Composer {
    /// Composes what a file begins with.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], where there can't be such a header.
    pub fn begin(
        section: &Section<'_>,
        frames: Frames,
        interfaces: &[InterfaceDescription<'_>],
    ) -> Result<(Self, Header), EncodeError> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::begin(section, frames, &mut bytes)?;
        for description in interfaces {
            encoder.interface(description, &mut bytes)?;
        }
        let composer = Self {
            encoder,
            composed: vec![Composed::default(); interfaces.len()],
            len: bytes.len() as u64,
            packets: 0,
        };
        let header = Header {
            interfaces: interfaces.len(),
            bytes,
        };
        Ok((composer, header))
    }

    /// Appends the description of one more interface.
    ///
    /// # Errors
    ///
    /// [`EncodeError`].
    pub fn interface(
        &mut self,
        description: &InterfaceDescription<'_>,
        out: &mut Vec<u8>,
    ) -> Result<InterfaceId, EncodeError> {
        let before = out.len();
        let id = self.encoder.interface(description, out)?;
        self.composed.push(Composed::default());
        self.len += (out.len() - before) as u64;
        Ok(id)
    }

    /// Appends what addresses are called.
    pub fn names(&mut self, names: &[Name], out: &mut Vec<u8>) {
        let before = out.len();
        names::put_block(names, out);
        self.len += (out.len() - before) as u64;
    }

    /// The bytes that these names take.
    #[must_use]
    pub fn names_len(&self, names: &[Name]) -> u64 {
        names::block_len(names) as u64
    }

    /// Whether the interface was described.
    #[must_use]
    pub fn knows(&self, interface: InterfaceId) -> bool {
        interface < self.encoder.interfaces()
    }

    /// Appends a packet, of an interface that was described.
    pub fn packet(
        &mut self,
        packet: &Packet<'_>,
        annotations: &Annotations<'_>,
        out: &mut Vec<u8>,
    ) {
        let block = self.measure(packet, annotations);
        self.put(&block, packet.interface, out);
    }

    /// A packet's block, to be looked at before it is put anywhere.
    #[must_use]
    pub fn measure<'a>(
        &self,
        packet: &'a Packet<'a>,
        annotations: &'a Annotations<'a>,
    ) -> PacketBlock<'a> {
        self.encoder.measure(packet, annotations)
    }

    /// Appends a packet's block, of an interface that has this id in the file.
    pub fn put(&mut self, block: &PacketBlock<'_>, interface: InterfaceId, out: &mut Vec<u8>) {
        block.put(interface, out);
        self.len += block.len() as u64;
        self.packets += 1;
        if let Some(composed) = self.composed.get_mut(interface as usize) {
            composed.packets += 1;
            composed.lost = composed.lost.saturating_add(block.lost_before());
        }
    }

    /// Appends the block of a packet without comments, of an interface that has this id in the file, unless
    /// it takes more than `at_most` bytes. Returns the bytes that it took: what [`Composer::measure`]
    /// says, and the same ones. `None`, and nothing is appended, also where no such interface was
    /// described.
    #[inline(always)]
    pub fn put_within(
        &mut self,
        packet: &Packet<'_>,
        packet_id: Option<u64>,
        interface: InterfaceId,
        at_most: u64,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let frame = packet.frame;
        if packet.lost_before > 0
            || packet.gso.is_some()
            || frame.len() > self.encoder.frames().snaplen() as usize
        {
            return self.put_measured(packet, packet_id, interface, at_most, out);
        }
        // As nearly all are.
        let len = packet::plain_len(frame.len(), packet_id.is_some()) as u64;
        if len > at_most {
            return None;
        }
        let composed = self.composed.get_mut(interface as usize)?;
        packet::put_plain(packet, frame, packet_id, interface, out);
        composed.packets += 1;
        self.len += len;
        self.packets += 1;
        Some(len)
    }

    #[inline(never)]
    fn put_measured(
        &mut self,
        packet: &Packet<'_>,
        packet_id: Option<u64>,
        interface: InterfaceId,
        at_most: u64,
        out: &mut Vec<u8>,
    ) -> Option<u64> {
        let annotations = Annotations {
            comments: &[],
            packet_id,
        };
        let block = self.measure(packet, &annotations);
        let len = block.len() as u64;
        if len > at_most || !self.knows(interface) {
            return None;
        }
        self.put(&block, interface, out);
        Some(len)
    }

    /// What the file ends with. `statistics` has each interface's at its id, or what to take as if
    /// it were empty.
    #[must_use]
    pub fn close(&self, statistics: &[Statistics]) -> Vec<Closing> {
        let known = statistics.iter().copied();
        self.composed
            .iter()
            .zip(known.chain(std::iter::repeat(Statistics::default())))
            .map(|(composed, statistics)| Closing {
                statistics,
                handed: composed.packets,
            })
            .collect()
    }

    /// Packets composed.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// What was composed, by interface.
    #[must_use]
    pub fn composed(&self) -> &[Composed] {
        &self.composed
    }

    /// Bytes of the file so far, without the statistics.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was composed: never so, since a file has a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The finished file's length if nothing more came but the statistics.
    #[must_use]
    pub fn finished_len(&self) -> u64 {
        self.len + self.encoder.closing_len()
    }

    /// The bytes that this packet takes.
    #[must_use]
    pub fn packet_len(&self, packet: &Packet<'_>, annotations: &Annotations<'_>) -> u64 {
        self.encoder.packet_len(packet, annotations)
    }

    /// The bytes that this interface takes, its statistics included.
    #[must_use]
    pub fn interface_len(&self, description: &InterfaceDescription<'_>) -> u64 {
        self.encoder.interface_len(description) + statistics::BLOCK_LEN as u64
    }
}
