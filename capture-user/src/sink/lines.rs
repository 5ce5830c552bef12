//! Packet lines on standard output, and how many of them really got there.

use std::collections::VecDeque;

use super::output::{Descriptor, Opened, Output, OutputError};
use super::text::Printer;
use crate::flow::tracker::Annotations;
use crate::packet::{InterfaceId, Packet};

/// Prints packets to standard output.
pub struct Lines {
    printer: Printer,
    output: Output<Descriptor>,
    /// The packet that is being decided on.
    prepared: Vec<u8>,
    prepared_for: InterfaceId,
    /// Packets in the buffer: where each one's text ends in the output, and its interface.
    waiting: VecDeque<(u64, InterfaceId)>,
    /// Written and lost, by interface.
    counts: Vec<(u64, u64)>,
}

impl Lines {
    /// Opens standard output.
    ///
    /// # Errors
    ///
    /// When it can't be used.
    pub fn open(printer: Printer) -> Result<Self, OutputError> {
        let (descriptor, started) = Opened::open("-")?.start()?;
        let name = started.name().to_owned();
        Ok(Self {
            printer,
            output: Output::new(name, descriptor, super::whole_lines),
            prepared: Vec::new(),
            prepared_for: 0,
            waiting: VecDeque::new(),
            counts: Vec::new(),
        })
    }

    /// Makes a packet's text, with what is known of it under it, so that its length is known.
    /// [`Lines::append`] takes it.
    pub fn prepare(&mut self, packet: &Packet<'_>, interface: &str, known: Option<&Annotations>) {
        self.prepared.clear();
        self.prepared_for = packet.interface;
        self.printer.line(packet, interface, &mut self.prepared);
        for comment in known.into_iter().flat_map(|known| &known.comments) {
            // What is for programs is in the file.
            let sentence = comment.split(" [nodecap ").next().unwrap_or_default();
            self.prepared.extend_from_slice(b"        ^ ");
            self.prepared.extend_from_slice(sentence.as_bytes());
            self.prepared.push(b'\n');
        }
    }

    /// How long the output would be with the prepared text.
    #[must_use]
    pub fn would_be(&self) -> u64 {
        self.output.len() + self.prepared.len() as u64
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.output.len()
    }

    /// Appends the prepared text.
    ///
    /// # Errors
    ///
    /// When standard output takes no more; what it hadn't taken yet is lost.
    pub fn append(&mut self) -> Result<(), OutputError> {
        self.waiting.push_back((self.would_be(), self.prepared_for));
        let text = &self.prepared;
        let appended = self.output.append(|out| out.extend_from_slice(text));
        if appended.is_err() {
            self.settle();
        }
        appended
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// As [`Lines::append`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        let flushed = self.output.flush();
        self.settle();
        flushed
    }

    /// Packets written and lost, by interface. Complete after a flush.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.counts.iter().copied()
    }

    /// Nothing waits any more: what the output has is written, the rest is lost.
    fn settle(&mut self) {
        let delivered = self.output.len();
        for (end, interface) in self.waiting.drain(..) {
            let id = interface as usize;
            if self.counts.len() <= id {
                self.counts.resize(id + 1, (0, 0));
            }
            if end <= delivered {
                self.counts[id].0 += 1;
            } else {
                self.counts[id].1 += 1;
            }
        }
    }
}
