//! Composed blocks and their destination together, whichever way writing them ends.

use super::{
    blocks::{Blocks, INTERFACE_DESCRIPTION, whole_blocks},
    compose::Composer,
    encoder::EncodeError,
    interface::{Frames, InterfaceDescription},
    section::Section,
    statistics::Statistics,
};
use crate::{
    error::Error,
    sink::output::{
        Descriptor, Destination, Opened, Output, OutputError, Packing, buffer::WholeUnits,
        pack::Packer,
    },
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
            PcapngError::Encode(_) => Self::failure(error.to_string()),
        }
    }
}

/// What a file begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many interfaces it describes.
    pub interfaces: usize,
    /// The section header and those descriptions.
    pub bytes: Vec<u8>,
}

/// What is known of an interface when its file is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// What the session knows.
    pub statistics: Statistics,
    /// Packets of it that were appended.
    pub handed: u64,
}

/// A file that is complete, or as complete as its destination allowed.
#[derive(Debug)]
#[must_use = "it says whether the file is whole, and how many packets it really has"]
pub struct Finished {
    /// Its length in bytes.
    pub bytes: u64,
    /// Packets that were appended and aren't in the file, by interface.
    pub lost: Vec<u64>,
    /// Whether the statistics are at its end.
    pub closed: bool,
    /// The first failure. Packets may be lost with one, and the statistics missing.
    pub failure: Option<OutputError>,
}

/// A capture file that is being written.
///
/// After a failure the file holds the packets before it, whole; further ones are counted as lost,
/// and [`PcapngFile::finish`] still tries to append the statistics. Dropped without it, the file
/// ends without them.
#[derive(Debug)]
pub struct PcapngFile<D: Destination = Descriptor> {
    output: Output<D>,
    packer: Option<Packer>,
    /// By interface.
    lost: Vec<u64>,
    /// Interfaces whose description isn't in the file, though it was to be: the last ones. They must
    /// not have statistics.
    undescribed: usize,
}

impl PcapngFile {
    /// Empties the destination and writes the header at once, so that a full disk is found before
    /// the capture starts. If that fails, a file that the opening created is removed again.
    ///
    /// # Errors
    ///
    /// Where the destination can't take the header.
    pub fn begin(opened: Opened, packing: Packing, header: &Header) -> Result<Self, OutputError> {
        let (descriptor, started) = opened.start()?;
        let file = Self::begin_on(started.name(), descriptor, packing, header)?;
        started.keep();
        Ok(file)
    }

    /// Brings what was written to the disk.
    ///
    /// # Errors
    ///
    /// Where the disk fails.
    pub fn sync(&self) -> Result<(), OutputError> {
        let synced = self.output.destination().sync();
        synced.map_err(|errno| OutputError::of_write(self.output.name(), errno))
    }

    /// Writes the statistics, each interface's at its id; packets that were appended and couldn't
    /// be written are added to what was lost. A `durable` file is then brought to the disk.
    pub fn finish(mut self, closings: &[Closing], durable: bool) -> Finished {
        let mut finished = self.close(closings);
        if durable && finished.failure.is_none() {
            finished.failure = self.sync().err();
        }
        finished
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
    /// Where the destination can't take the header.
    pub fn begin_on(
        name: &str,
        destination: D,
        packing: Packing,
        header: &Header,
    ) -> Result<Self, OutputError> {
        let mut packer =
            Packer::new(packing).map_err(|errno| OutputError::of_write(name, errno))?;
        // A piece that isn't written to its end is taken back whole.
        let whole: WholeUnits = match packer {
            None => whole_blocks,
            Some(_) => |_| 0,
        };
        let mut output = Output::new(name, destination, whole);
        let begun = match &mut packer {
            None => output.append(|out| out.extend_from_slice(&header.bytes)),
            Some(packer) => append_packed(&mut output, packer, &header.bytes),
        };
        begun.and_then(|()| output.flush())?;
        Ok(Self {
            output,
            packer,
            lost: vec![0; header.interfaces],
            undescribed: 0,
        })
    }

    /// Writes whole blocks: packets, and interfaces that joined. Leaves `blocks` empty.
    ///
    /// # Errors
    ///
    /// Where the destination takes no more: what it didn't take is counted as lost. The same on
    /// every later call.
    pub fn write(&mut self, blocks: &mut Vec<u8>) -> Result<(), OutputError> {
        if let Some(failure) = self.output.failure().cloned() {
            count_packets(blocks, &mut self.lost);
            self.undescribed += interfaces_in(blocks);
            blocks.clear();
            return Err(failure);
        }
        let written = match &mut self.packer {
            // Nothing else waits in the output's buffer: they change places instead of being
            // copied.
            None => self.output.append(|out| std::mem::swap(out, blocks)),
            Some(packer) => append_packed(&mut self.output, packer, blocks),
        };
        let written = written.and_then(|()| self.output.flush());
        if written.is_err() {
            let taken_back = self.output.take_lost();
            let lost = match self.packer {
                None => &taken_back,
                Some(_) => &*blocks,
            };
            count_packets(lost, &mut self.lost);
            self.undescribed += interfaces_in(lost);
        }
        blocks.clear();
        written
    }

    /// Writes the statistics, each interface's at its id. Packets that were appended and couldn't
    /// be written are added to what was lost.
    pub(super) fn close(&mut self, closings: &[Closing]) -> Finished {
        let mut end = Vec::new();
        let described = closings.len().saturating_sub(self.undescribed);
        for (id, closing) in (0..).zip(&closings[..described]) {
            let unwritten = self.lost.get(id as usize).copied().unwrap_or_default();
            let written = closing.handed.saturating_sub(unwritten);
            closing.statistics.put(id, written, unwritten, &mut end);
        }
        let closed = match &mut self.packer {
            None => self.output.close_with(&end),
            Some(packer) => packer
                .pack(&end)
                .map_err(|errno| OutputError::of_write(self.output.name(), errno))
                .and_then(|end| self.output.close_with(&end)),
        };
        Finished {
            bytes: self.output.len(),
            closed: closed.is_ok(),
            failure: self.output.failure().cloned().or(closed.err()),
            lost: std::mem::take(&mut self.lost),
        }
    }

    /// Bytes of the file so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.output.len()
    }

    /// What it writes to.
    #[must_use]
    pub const fn destination(&self) -> &D {
        self.output.destination()
    }

    /// Packets that were appended and aren't in the file, by interface.
    #[must_use]
    pub fn lost(&self) -> &[u64] {
        &self.lost
    }
}

/// Appends a piece to an output in whose buffer nothing waits.
fn append_packed<D: Destination>(
    output: &mut Output<D>,
    packer: &mut Packer,
    piece: &[u8],
) -> Result<(), OutputError> {
    let mut packed = packer
        .pack(piece)
        .map_err(|errno| OutputError::of_write(output.name(), errno))?;
    output.append(|out| std::mem::swap(out, &mut packed))
}

/// Adds the packets among whole blocks to those of their interfaces.
pub fn count_packets(blocks: &[u8], counts: &mut Vec<u64>) {
    for block in Blocks::new(blocks) {
        let Some(id) = block
            .packet_interface()
            .and_then(|id| usize::try_from(id).ok())
        else {
            continue;
        };
        if counts.len() <= id {
            counts.resize(id + 1, 0);
        }
        counts[id] += 1;
    }
}

fn interfaces_in(blocks: &[u8]) -> usize {
    Blocks::new(blocks)
        .filter(|block| block.kind == INTERFACE_DESCRIPTION)
        .count()
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
    let (composer, _) = Composer::begin(section, frames, interfaces)?;
    Ok(composer.finished_len())
}
