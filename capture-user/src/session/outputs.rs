//! Where one capture's packets go: a file, lines, both, or neither. The limits are kept here,
//! where it is known how long the output would become.

use super::interface::Interface;
use super::ledger::Account;
use super::limits::{Gate, Limit};
use crate::error::Error;
use crate::flow;
use crate::packet::Packet;
use crate::sink::lines::Lines;
use crate::sink::output::OutputError;
use crate::sink::pcapng::{Annotations, PcapngError, PcapngFile, Statistics};

/// Why a packet wasn't written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A limit would be passed.
    Limit(Limit),
    /// Whoever read the output has closed it.
    Closed,
    /// The output failed.
    Failed(Error),
}

impl From<PcapngError> for Refusal {
    fn from(error: PcapngError) -> Self {
        if error.is_closed() {
            Self::Closed
        } else {
            Self::Failed(error.into())
        }
    }
}

impl From<OutputError> for Refusal {
    fn from(error: OutputError) -> Self {
        if error.is_closed() {
            Self::Closed
        } else {
            Self::Failed(error.into())
        }
    }
}

/// The outputs of one capture.
pub(super) struct Outputs {
    /// The capture file.
    pub(super) file: Option<PcapngFile>,
    /// Lines on standard output.
    pub(super) lines: Option<Lines>,
    /// The filter as the file's interfaces tell it.
    pub(super) filter: String,
    /// Packets by interface, where there is neither a file nor lines.
    pub(super) counted: Vec<u64>,
}

impl Outputs {
    /// Writes a packet unless a limit forbids.
    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        known: Option<&flow::tracker::Annotations>,
        stamp: u64,
        interface: &str,
        gate: &mut Gate,
    ) -> Result<(), Refusal> {
        if let Some(file) = &mut self.file {
            let comments = known.map_or([].as_slice(), |known| &known.comments);
            let comments: Vec<&str> = comments.iter().map(String::as_str).collect();
            let annotations = Annotations {
                comments: &comments,
                packet_id: known.map(|known| known.packet_id),
            };
            gate.admit(stamp, || file.would_be(packet, &annotations))
                .map_err(Refusal::Limit)?;
            file.packet(packet, &annotations)?;
            if let Some(lines) = &mut self.lines {
                lines.prepare(packet, interface, known);
                lines.append()?;
            }
        } else if let Some(lines) = &mut self.lines {
            lines.prepare(packet, interface, known);
            gate.admit(stamp, || lines.would_be())
                .map_err(Refusal::Limit)?;
            lines.append()?;
        } else {
            gate.admit(stamp, || 0).map_err(Refusal::Limit)?;
            let id = packet.interface as usize;
            if self.counted.len() <= id {
                self.counted.resize(id + 1, 0);
            }
            self.counted[id] += 1;
        }
        Ok(())
    }

    /// Describes one more interface, unless the file would become too long for it.
    pub(super) fn add_interface(
        &mut self,
        interface: &Interface,
        gate: &mut Gate,
    ) -> Result<(), Refusal> {
        if let Some(file) = &mut self.file {
            let description = interface.describe(&self.filter);
            gate.fits(|| file.would_be_with(&description))
                .map_err(Refusal::Limit)?;
            file.add_interface(&description)?;
        }
        Ok(())
    }

    /// Bytes of output so far: the file's, or the lines'.
    pub(super) fn bytes(&self) -> u64 {
        match (&self.file, &self.lines) {
            (Some(file), _) => file.bytes(),
            (None, Some(lines)) => lines.bytes(),
            (None, None) => 0,
        }
    }

    /// After a batch: whoever reads along sees it at once.
    pub(super) fn end_batch(&mut self) -> Result<(), Refusal> {
        if let Some(file) = &mut self.file
            && file.is_stream()
        {
            file.flush()?;
        }
        if let Some(lines) = &mut self.lines {
            lines.flush()?;
        }
        Ok(())
    }

    /// Writes out what waits.
    pub(super) fn flush(&mut self) -> Result<(), Refusal> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        if let Some(lines) = &mut self.lines {
            lines.flush()?;
        }
        Ok(())
    }

    /// Closes the outputs and completes the accounts by what was written. `since` and `end` are
    /// the wall-clock times between which each interface, and all, were captured on.
    pub(super) fn finish(
        mut self,
        accounts: &mut [(String, Account)],
        since: &[u64],
        end: u64,
    ) -> Result<(), Refusal> {
        let flushed = match &mut self.lines {
            Some(lines) => lines.flush(),
            None => Ok(()),
        };
        let Some(file) = self.file else {
            let counts: Vec<_> = match &self.lines {
                Some(lines) => lines.counts().collect(),
                None => self.counted.iter().map(|count| (*count, 0)).collect(),
            };
            for ((_, account), (written, lost)) in accounts.iter_mut().zip(counts) {
                account.captured = written;
                account.unwritten = lost;
            }
            return Ok(flushed?);
        };
        let statistics: Vec<_> = accounts
            .iter()
            .zip(since)
            .map(|((_, account), start)| Statistics {
                start: *start,
                end,
                matched: account.received(),
                lost: account.kernel.lost(),
                lost_in_kernel: account.kernel.lost(),
            })
            .collect();
        let finished = file.finish(&statistics);
        for ((_, account), count) in accounts.iter_mut().zip(&finished.interfaces) {
            account.captured = count.written;
            account.unwritten = count.unwritten;
        }
        match finished.failure {
            Some(failure) => Err(failure.into()),
            None => Ok(flushed?),
        }
    }
}
