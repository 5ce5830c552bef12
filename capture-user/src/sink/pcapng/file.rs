//! The encoder and the destination together: what a session writes to.

use super::{
    blocks::{Blocks, INTERFACE_DESCRIPTION, whole_blocks},
    encoder::{EncodeError, Encoder},
    interface::{Frames, InterfaceDescription},
    packet::Annotations,
    section::Section,
    statistics::{self, Statistics},
};
use crate::{
    error::Error,
    packet::{InterfaceId, Packet},
    sink::output::{Descriptor, Destination, Opened, Output, OutputError},
};

/// Why a capture file can't be written.
#[derive(Debug, thiserror::Error)]
pub enum PcapngError {
    /// The destination failed, or its reader has had enough.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A block can't be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A packet of an interface that the file doesn't describe, which no reader would take.
    #[error("a packet came from interface {0}, which was never announced; please report this")]
    UnknownInterface(InterfaceId),
}

impl PcapngError {
    /// Whether the reader of a pipe closed it, which ends a capture but isn't a failure.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Output(error) if error.is_closed())
    }
}

impl From<PcapngError> for Error {
    fn from(error: PcapngError) -> Self {
        match error {
            PcapngError::Output(error) => error.into(),
            PcapngError::Encode(_) | PcapngError::UnknownInterface(_) => {
                Self::failure(error.to_string())
            }
        }
    }
}

/// What became of the packets of one interface that were handed to the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In the file, or waiting to be written with no failure yet.
    pub written: u64,
    /// Handed over and not in the file, since it could be written no further.
    pub unwritten: u64,
}

/// A file that is complete, or as complete as its destination allowed.
#[derive(Debug)]
#[must_use = "it says whether the file is whole, and how many packets it really has"]
pub struct Finished {
    /// Its length in bytes.
    pub bytes: u64,
    /// What became of the packets, by interface.
    pub interfaces: Vec<Count>,
    /// Whether the statistics are at its end.
    pub closed: bool,
    /// The first failure. Packets may be lost with one, and the statistics missing.
    pub failure: Option<PcapngError>,
}

impl Finished {
    /// Packets in the file.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.interfaces.iter().map(|count| count.written).sum()
    }

    /// Packets that were handed over and aren't in the file.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.interfaces.iter().map(|count| count.unwritten).sum()
    }
}

/// A capture file that is being written.
///
/// Every packet handed over is counted, as [`Count`] says. After a failure the file holds the
/// packets before it, whole; further ones count as unwritten, and [`PcapngFile::finish`] still
/// tries to append the statistics. Dropped without it, the file ends without them.
#[derive(Debug)]
pub struct PcapngFile<D: Destination = Descriptor> {
    encoder: Encoder,
    output: Output<D>,
    counts: Vec<Count>,
    packets: u64,
    /// Interfaces whose description is in the file; others must not have statistics.
    described: usize,
}

impl PcapngFile {
    /// Empties the destination and writes the header at once, so that a full disk is found before
    /// the capture starts. If that fails, a file that the opening created is removed again.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Output`] where the destination can't take the header;
    /// [`PcapngError::Encode`] where there can't be such a header.
    pub fn begin(
        opened: Opened,
        section: &Section<'_>,
        frames: Frames,
        interfaces: &[InterfaceDescription<'_>],
    ) -> Result<Self, PcapngError> {
        // Before the old contents are gone.
        let header = Header::encode(section, frames, interfaces)?;
        let (descriptor, started) = opened.start()?;
        let file = Self::write_header(started.name(), descriptor, header)?;
        started.keep();
        Ok(file)
    }

    /// Whether somebody may be reading along: it goes to a pipe, a terminal or a device.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        !self.output.destination().is_regular()
    }
}

impl<D: Destination> PcapngFile<D> {
    /// [`PcapngFile::begin`] on any destination, which messages call `name`.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Output`] where the destination can't take the header;
    /// [`PcapngError::Encode`] where there can't be such a header.
    pub fn begin_on(
        name: &str,
        destination: D,
        section: &Section<'_>,
        frames: Frames,
        interfaces: &[InterfaceDescription<'_>],
    ) -> Result<Self, PcapngError> {
        Self::write_header(
            name,
            destination,
            Header::encode(section, frames, interfaces)?,
        )
    }

    fn write_header(name: &str, destination: D, header: Header) -> Result<Self, PcapngError> {
        let Header { encoder, bytes } = header;
        let mut output = Output::new(name, destination, whole_blocks);
        output.append(|out| out.extend_from_slice(&bytes))?;
        output.flush()?;
        let described = encoder.interfaces() as usize;
        Ok(Self {
            encoder,
            output,
            counts: vec![Count::default(); described],
            packets: 0,
            described,
        })
    }

    /// Describes one more interface, between packets.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Output`], as [`PcapngFile::packet`].
    pub fn add_interface(
        &mut self,
        description: &InterfaceDescription<'_>,
    ) -> Result<InterfaceId, PcapngError> {
        if let Some(failure) = self.output.failure() {
            return Err(failure.clone().into());
        }
        let mut block = Vec::new();
        let id = self.encoder.interface(description, &mut block)?;
        self.counts.push(Count::default());
        self.described += 1;
        let result = self.output.append(|out| out.extend_from_slice(&block));
        self.settle(result)?;
        Ok(id)
    }

    /// Appends a packet. It waits in a buffer until enough of them do.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Output`] where the destination takes no more: then packets of earlier calls
    /// may be lost too, which the counts tell. The same on every later call.
    /// [`PcapngError::UnknownInterface`] for an interface never added; the packet isn't counted.
    pub fn packet(
        &mut self,
        packet: &Packet<'_>,
        annotations: &Annotations<'_>,
    ) -> Result<(), PcapngError> {
        let count = usize::try_from(packet.interface)
            .ok()
            .and_then(|id| self.counts.get_mut(id))
            .ok_or(PcapngError::UnknownInterface(packet.interface))?;
        if let Some(failure) = self.output.failure() {
            count.unwritten += 1;
            return Err(failure.clone().into());
        }
        count.written += 1;
        self.packets += 1;
        let encoder = &self.encoder;
        let result = self
            .output
            .append(|out| encoder.packet(packet, annotations, out));
        self.settle(result)
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Output`], as [`PcapngFile::packet`].
    pub fn flush(&mut self) -> Result<(), PcapngError> {
        let result = self.output.flush();
        self.settle(result)
    }

    /// Writes what waits and the statistics, each interface's at its id in `statistics`. Packets
    /// that were handed over and couldn't be written are added to what was lost.
    pub fn finish(mut self, statistics: &[Statistics]) -> Finished {
        // A failure is remembered by the output.
        let _ = self.flush();
        let closed = self.close(statistics);
        let failure = self.output.failure().cloned().map(PcapngError::from);
        Finished {
            bytes: self.output.len(),
            interfaces: std::mem::take(&mut self.counts),
            closed: closed.is_ok(),
            failure: failure.or(closed.err()),
        }
    }

    fn close(&mut self, statistics: &[Statistics]) -> Result<(), PcapngError> {
        let mut end = Vec::new();
        for (id, count) in (0..).zip(&self.counts[..self.described]) {
            let known = statistics.get(id as usize).copied().unwrap_or_default();
            self.encoder
                .statistics(id, &known, count.written, count.unwritten, &mut end)?;
        }
        Ok(self.output.close_with(&end)?)
    }

    /// Packets in the file, those that wait to be written included.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// What became of the packets so far, by interface.
    #[must_use]
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// Bytes of the file so far, those that wait to be written included, without the statistics.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.output.len()
    }

    /// The finished file's length if nothing more were written but the statistics.
    #[must_use]
    pub fn finished_len(&self) -> u64 {
        self.output.len() + self.encoder.closing_len()
    }

    /// The finished file's length if this packet were written too.
    #[must_use]
    pub fn would_be(&self, packet: &Packet<'_>, annotations: &Annotations<'_>) -> u64 {
        self.finished_len() + self.encoder.packet_len(packet, annotations)
    }

    /// The finished file's length if this interface were described too.
    #[must_use]
    pub fn would_be_with(&self, description: &InterfaceDescription<'_>) -> u64 {
        let statistics = statistics::BLOCK_LEN as u64;
        self.finished_len() + self.encoder.interface_len(description) + statistics
    }

    /// Takes lost packets and descriptions out of the counts.
    fn settle(&mut self, result: Result<(), OutputError>) -> Result<(), PcapngError> {
        let Err(failure) = result else { return Ok(()) };
        let lost = self.output.take_lost();
        for block in Blocks::new(&lost) {
            if block.kind == INTERFACE_DESCRIPTION {
                self.described -= 1;
            }
            let Some(count) = block
                .packet_interface()
                .and_then(|id| self.counts.get_mut(usize::try_from(id).ok()?))
            else {
                continue;
            };
            count.written -= 1;
            count.unwritten += 1;
            self.packets -= 1;
        }
        Err(failure.into())
    }
}

/// The length in bytes of a finished file without a packet: the least that `--size` can be.
///
/// # Errors
///
/// [`EncodeError`].
pub fn minimum_len(
    section: &Section<'_>,
    frames: Frames,
    interfaces: &[InterfaceDescription<'_>],
) -> Result<u64, EncodeError> {
    let Header { encoder, bytes } = Header::encode(section, frames, interfaces)?;
    Ok(bytes.len() as u64 + encoder.closing_len())
}

/// What a file begins with, and the encoder for what follows.
struct Header {
    encoder: Encoder,
    bytes: Vec<u8>,
}

impl Header {
    fn encode(
        section: &Section<'_>,
        frames: Frames,
        interfaces: &[InterfaceDescription<'_>],
    ) -> Result<Self, EncodeError> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::begin(section, frames, &mut bytes)?;
        for description in interfaces {
            encoder.interface(description, &mut bytes)?;
        }
        Ok(Self { encoder, bytes })
    }
}
