//! Packet lines on standard output, and how many of them really got there.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::output::{Background as _, Descriptor, Opened, Output, OutputError, Plain, Spool};
use super::text::Printer;
use crate::flow::tracker::Annotations;
use crate::packet::{InterfaceId, Packet};

/// Prints packets to standard output.
pub struct Lines {
    printer: Printer,
    output: Spool<Plain<Descriptor>>,
    /// The packet that is being decided on.
    prepared: Vec<u8>,
    prepared_for: InterfaceId,
    tally: Tally,
}

/// Which packets standard output hasn't.
#[derive(Debug, Default)]
struct Tally {
    /// Packets that it hasn't taken yet: where each one's text ends, and its interface.
    waiting: VecDeque<(u64, InterfaceId)>,
}

impl Tally {
    /// It has that many bytes.
    fn delivered(&mut self, bytes: u64) {
        while self
            .waiting
            .pop_front_if(|(end, _)| *end <= bytes)
            .is_some()
        {}
    }

    /// It takes no more: packets that it hasn't, by interface.
    fn lost(self) -> BTreeMap<InterfaceId, u64> {
        let mut lost = BTreeMap::new();
        for (_, interface) in self.waiting {
            *lost.entry(interface).or_default() += 1;
        }
        lost
    }
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
        let output = Plain::new(Output::new(name, descriptor, super::whole_lines));
        Ok(Self {
            printer,
            output: Spool::start("lines", output).map_err(|_| OutputError::Abandoned)?,
            prepared: Vec::new(),
            prepared_for: 0,
            tally: Tally::default(),
        })
    }

    /// Takes in what addresses are called, for the packets that come.
    pub fn learn(&mut self, names: &[(IpAddr, String)]) {
        self.printer.learn(names);
    }

    /// Nothing is known of these addresses any more.
    pub fn forget(&mut self, addresses: &[IpAddr]) {
        self.printer.forget(addresses);
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

    /// Whether more can be taken without it piling up.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.output.has_room()
    }

    /// Bytes that wait for whoever takes them.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.output.queued()
    }

    /// Whether standard output still takes what is appended.
    ///
    /// # Errors
    ///
    /// When it takes no more; what it hadn't taken yet is lost.
    pub fn check(&self) -> Result<(), OutputError> {
        self.output.check()
    }

    /// Appends the prepared text.
    pub fn append(&mut self) {
        self.tally
            .waiting
            .push_back((self.would_be(), self.prepared_for));
        let text = &self.prepared;
        self.output.append(|out| out.extend_from_slice(text));
    }

    /// Writes what waits, unless it is still busy writing.
    ///
    /// # Errors
    ///
    /// As [`Lines::check`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.output.relay();
        self.tally.delivered(self.output.delivered());
        self.output.check()
    }

    /// Writes all that waits, and gives the packets that couldn't be, by interface.
    pub fn finish(self) -> (BTreeMap<InterfaceId, u64>, Result<(), OutputError>) {
        let mut tally = self.tally;
        let (delivered, result) = match self.output.finish() {
            Some(plain) => (
                plain.delivered(),
                plain.failure().cloned().map_or(Ok(()), Err),
            ),
            None => (0, Err(OutputError::Abandoned)),
        };
        tally.delivered(delivered);
        (tally.lost(), result)
    }
}
