//! Where one capture's packets go: a file, lines, both, or neither. The limits are kept here,
//! where it is known how long the output would become.
//!
//! - [`file`]: the capture file, or one after the other

pub(super) mod file;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::interface::Interface;
use super::ledger::Account;
use super::limits::{Gate, Limit};
use crate::error::Error;
use crate::flow;
use crate::packet::{InterfaceId, Packet};
use crate::sink::lines::Lines;
use crate::sink::output::OutputError;
use crate::sink::pcapng::{Annotations, EncodeError, Name};
use file::{CaptureFile, Row};

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

impl From<EncodeError> for Refusal {
    fn from(error: EncodeError) -> Self {
        Self::Failed(Error::failure(error.to_string()))
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

/// Packets that were taken and didn't get written, by interface.
pub(super) type Lost = BTreeMap<InterfaceId, u64>;

/// The outputs of one capture.
pub(super) struct Outputs {
    /// The capture file.
    pub(super) file: Option<CaptureFile>,
    /// Lines on standard output.
    pub(super) lines: Option<Lines>,
}

impl Outputs {
    /// Takes a packet to be written, unless a limit forbids or an output has failed.
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
            file.packet(packet, &annotations, stamp, gate)?;
            if let Some(lines) = &mut self.lines {
                lines.prepare(packet, interface, known);
                lines.append();
            }
        } else if let Some(lines) = &mut self.lines {
            lines.check()?;
            lines.prepare(packet, interface, known);
            gate.admit(stamp, || lines.would_be())
                .map_err(Refusal::Limit)?;
            lines.append();
        } else {
            gate.admit(stamp, || 0).map_err(Refusal::Limit)?;
        }
        Ok(())
    }

    /// Has `put` write packets in a row, of which there is nothing to say that their records don't, where
    /// that can be done without a closer look at each: into a file alone.
    pub(super) fn row(&mut self, gate: &mut Gate, put: impl FnOnce(&mut Row<'_>)) {
        if let Some(file) = &mut self.file
            && self.lines.is_none()
        {
            file.row(gate, put);
        }
    }

    /// So many more packets of an interface were let go by the flight recorder.
    pub(super) fn forgotten(&mut self, interface: InterfaceId, packets: u64) {
        if let Some(file) = &mut self.file {
            file.forgotten(interface, packets);
        }
    }

    /// Whether more can be taken at once. If not, packets had better stay where they are.
    pub(super) fn has_room(&self) -> bool {
        self.file.as_ref().is_none_or(CaptureFile::has_room)
            && self.lines.as_ref().is_none_or(Lines::has_room)
    }

    /// Calls addresses so from now on. A file that would become too long for that does without.
    pub(super) fn name(&mut self, names: &[Name], gate: &Gate) -> Result<(), Refusal> {
        if let Some(lines) = &mut self.lines {
            lines.learn(names);
        }
        match &mut self.file {
            Some(file) => file.name(names, gate),
            None => Ok(()),
        }
    }

    /// Nothing is known of these addresses any more.
    pub(super) fn forget_names(&mut self, addresses: &[IpAddr]) {
        if let Some(lines) = &mut self.lines {
            lines.forget(addresses);
        }
        if let Some(file) = &mut self.file {
            file.forget_names(addresses);
        }
    }

    /// Describes one more interface, from that time on, unless the file would become too long for
    /// it. One of which not everything is known is described later, or with its first packet.
    pub(super) fn add_interface(
        &mut self,
        id: InterfaceId,
        interface: &Interface,
        since: u64,
        gate: &Gate,
    ) -> Result<(), Refusal> {
        if let Some(lines) = &mut self.lines {
            lines.learn(&interface.names);
        }
        match &mut self.file {
            Some(file) => file.add_interface(id, interface, since, gate),
            None => Ok(()),
        }
    }

    /// It is known what is behind an interface.
    pub(super) fn describe_interface(
        &mut self,
        id: InterfaceId,
        interface: &Interface,
        gate: &Gate,
    ) -> Result<(), Refusal> {
        match &mut self.file {
            Some(file) => file.describe_interface(id, interface, gate),
            None => Ok(()),
        }
    }

    /// An interface is gone: files that begin from now on needn't describe it.
    pub(super) fn forget_interface(&mut self, id: InterfaceId) {
        if let Some(file) = &mut self.file {
            file.forget_interface(id);
        }
    }

    /// Nothing more comes of an interface that is gone, and this is its account.
    pub(super) fn settle_interface(&mut self, id: InterfaceId, account: &Account, gate: &Gate) {
        if let Some(file) = &mut self.file {
            file.settle_interface(id, account, gate);
        }
    }

    /// Begins another file with the first packet that is stamped then or later, if there is more
    /// than one.
    pub(super) fn rotate_at(&mut self, stamp: u64) {
        if let Some(file) = &mut self.file {
            file.rotate_at(stamp);
        }
    }

    /// Begins another file if it is time and no packet did: all that were stamped before `now`
    /// were written, and that moment is `wall` on the wall clock.
    pub(super) fn go_on(&mut self, now: u64, wall: u64, gate: &Gate) -> Result<(), Refusal> {
        match &mut self.file {
            Some(file) => file.go_on(now, wall, gate),
            None => Ok(()),
        }
    }

    /// Bytes of output so far: the files', or the lines'.
    pub(super) fn bytes(&self) -> u64 {
        match (&self.file, &self.lines) {
            (Some(file), _) => file.bytes(),
            (None, Some(lines)) => lines.bytes(),
            (None, None) => 0,
        }
    }

    /// Bytes that wait for whoever takes them.
    pub(super) fn queued(&self) -> u64 {
        let file = self.file.as_ref().map_or(0, CaptureFile::queued);
        file + self.lines.as_ref().map_or(0, Lines::queued)
    }

    /// Capture files that were begun.
    pub(super) fn files(&self) -> u64 {
        self.file.as_ref().map_or(0, CaptureFile::files)
    }

    /// After a batch: whoever reads along sees it at once.
    pub(super) fn end_batch(&mut self) -> Result<(), Refusal> {
        if let Some(file) = &mut self.file {
            file.end_batch()?;
        }
        if let Some(lines) = &mut self.lines {
            lines.flush()?;
        }
        Ok(())
    }

    /// Writes out what has waited for long enough.
    pub(super) fn flush_in_time(&mut self) -> Result<(), Refusal> {
        match &mut self.file {
            Some(file) => file.flush_in_time(),
            None => Ok(()),
        }
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

    /// Closes the outputs. All were captured on until `end` on the wall clock, and these are their
    /// accounts, as if everything that was taken got written. Returns what didn't, by interface.
    pub(super) fn finish(
        self,
        accounts: &BTreeMap<InterfaceId, Account>,
        end: u64,
        gate: &Gate,
    ) -> (Lost, Result<(), Refusal>) {
        let (unprinted, printed) = self.lines.map_or((Lost::new(), Ok(())), Lines::finish);
        let (lost, finished) = match self.file {
            Some(file) => file.finish(accounts, end, gate),
            None => (unprinted, Ok(())),
        };
        (lost, finished.and(printed).map_err(Refusal::from))
    }
}
