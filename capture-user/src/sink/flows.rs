//! The flows file: one JSON object a line.

use std::path::Path;

use super::output::{Descriptor, Opened, Output, OutputError, Plain, Spool};

/// Writes lines as they come.
pub struct FlowsFile {
    output: Spool<Plain<Descriptor>>,
}

/// A flows file that is open and untouched.
pub struct OpenedFlows(Opened);

impl OpenedFlows {
    /// Opens a destination; what was there stays until [`OpenedFlows::begin`].
    ///
    /// # Errors
    ///
    /// As [`Opened::open`].
    pub fn open(path: &Path) -> Result<Self, OutputError> {
        Opened::open(path).map(Self)
    }

    /// See [`Opened::give_to`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn give_to(&self, user: u32, group: u32) -> Result<(), OutputError> {
        self.0.give_to(user, group)
    }

    /// Empties the destination and begins to write. It stays if the capture fails later.
    ///
    /// # Errors
    ///
    /// What truncating gives.
    pub fn begin(self) -> Result<FlowsFile, OutputError> {
        let (descriptor, started) = self.0.start()?;
        let name = started.name().to_owned();
        started.keep();
        let output = Plain::new(Output::new(name, descriptor, super::whole_lines));
        Ok(FlowsFile {
            output: Spool::start("flows", output).map_err(|_| OutputError::Abandoned)?,
        })
    }
}

impl FlowsFile {
    /// Appends a line.
    ///
    /// # Errors
    ///
    /// When the destination takes no more.
    pub fn line(&mut self, json: &str) -> Result<(), OutputError> {
        self.output.append(|out| {
            out.extend_from_slice(json.as_bytes());
            out.push(b'\n');
        });
        self.output.check()
    }

    /// Whether more can be taken without it piling up.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.output.has_room()
    }

    /// Writes what waits, unless it is still busy writing.
    ///
    /// # Errors
    ///
    /// As [`FlowsFile::line`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.output.relay();
        self.output.check()
    }

    /// Writes all that waits.
    ///
    /// # Errors
    ///
    /// As [`FlowsFile::line`].
    pub fn finish(self) -> Result<(), OutputError> {
        match self.output.finish() {
            Some(plain) => plain.failure().cloned().map_or(Ok(()), Err),
            None => Err(OutputError::Abandoned),
        }
    }
}
