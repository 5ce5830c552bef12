//! The blocks of one file, in their order, as bytes.

use pcap_file::pcapng::{PcapNgBlock, PcapNgWriteError, PcapNgWriter};

use super::{
    interface::{Frames, InterfaceDescription, LinkType},
    names,
    packet::{Annotations, PacketBlock},
    section::Section,
    statistics,
};
use crate::packet::{InterfaceId, Packet};

/// A block that can't be encoded: an error of this program's, since every text is made to fit.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// `pcap-file` refuses it.
    #[error("can't encode a pcapng block: {0}; please report this")]
    Block(#[from] PcapNgWriteError),
    /// A second interface in a file of [`LinkType::Raw`].
    #[error("a file of raw IP packets can hold one interface only; please report this")]
    SecondRawInterface,
    /// A packet of an interface that was never announced, which no reader would take.
    #[error("a packet came from interface {0}, which was never announced; please report this")]
    UnknownInterface(InterfaceId),
}

/// Encodes one section, and measures blocks before it does. No I/O: every method appends to a
/// buffer of the caller's.
pub struct Encoder {
    // Its sink is a vector that is emptied after each block; it keeps what the encoding of later
    // blocks depends on, such as the resolution of each interface.
    writer: PcapNgWriter<Vec<u8>>,
    frames: Frames,
    interfaces: InterfaceId,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("frames", &self.frames)
            .field("interfaces", &self.interfaces)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// Appends the section header.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], as all methods here that return one.
    pub fn begin(
        section: &Section<'_>,
        frames: Frames,
        out: &mut Vec<u8>,
    ) -> Result<Self, EncodeError> {
        let mut writer = PcapNgWriter::with_section_header(Vec::new(), section.block())?;
        out.append(writer.get_mut());
        Ok(Self {
            writer,
            frames,
            interfaces: 0,
        })
    }

    /// The form of all frames of the file.
    #[must_use]
    pub const fn frames(&self) -> Frames {
        self.frames
    }

    /// How many interfaces were described so far: ids below this are valid.
    #[must_use]
    pub const fn interfaces(&self) -> InterfaceId {
        self.interfaces
    }

    /// Appends the description of one more interface.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]; [`EncodeError::SecondRawInterface`] is up to the caller to avoid.
    pub fn interface(
        &mut self,
        description: &InterfaceDescription<'_>,
        out: &mut Vec<u8>,
    ) -> Result<InterfaceId, EncodeError> {
        if self.frames.link_type() == LinkType::Raw && self.interfaces > 0 {
            return Err(EncodeError::SecondRawInterface);
        }
        names::put_block(description.names, out);
        self.block(description.block(self.frames), out)?;
        let id = self.interfaces;
        self.interfaces += 1;
        Ok(id)
    }

    /// Appends a packet. Its interface must have been described; a frame longer than the snapshot
    /// length is cut there.
    pub fn packet(&self, packet: &Packet<'_>, annotations: &Annotations<'_>, out: &mut Vec<u8>) {
        self.measure(packet, annotations).put(packet.interface, out);
    }

    /// What [`Encoder::packet`] would append.
    #[must_use]
    pub fn measure<'a>(
        &self,
        packet: &'a Packet<'a>,
        annotations: &'a Annotations<'a>,
    ) -> PacketBlock<'a> {
        PacketBlock::new(packet, annotations, self.frames.snaplen())
    }

    /// The bytes that [`Encoder::packet`] would append.
    #[must_use]
    pub fn packet_len(&self, packet: &Packet<'_>, annotations: &Annotations<'_>) -> u64 {
        self.measure(packet, annotations).len() as u64
    }

    /// The bytes that [`Encoder::interface`] would append.
    #[must_use]
    pub fn interface_len(&self, description: &InterfaceDescription<'_>) -> u64 {
        description.block_len() as u64
    }

    /// The bytes that the statistics of each interface described so far take.
    #[must_use]
    pub fn closing_len(&self) -> u64 {
        u64::from(self.interfaces) * statistics::BLOCK_LEN as u64
    }

    fn block<'a>(
        &mut self,
        block: impl PcapNgBlock<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let written = self.writer.write_pcapng_block(block);
        if written.is_err() {
            // Nothing of a block that failed half-way may get into the file.
            self.writer.get_mut().clear();
        }
        written?;
        out.append(self.writer.get_mut());
        Ok(())
    }
}
