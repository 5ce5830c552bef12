//! The flows file: one JSON object a line.

use std::path::Path;

use super::output::{Descriptor, Opened, Output, OutputError};

/// Writes lines as they come.
pub struct FlowsFile {
    output: Output<Descriptor>,
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

    /// Empties the destination and begins to write. It stays if the capture fails later.
    ///
    /// # Errors
    ///
    /// What truncating gives.
    pub fn begin(self) -> Result<FlowsFile, OutputError> {
        let (descriptor, started) = self.0.start()?;
        let name = started.name().to_owned();
        started.keep();
        Ok(FlowsFile {
            output: Output::new(name, descriptor, super::whole_lines),
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
        })
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// As [`FlowsFile::line`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        self.output.flush()
    }
}
