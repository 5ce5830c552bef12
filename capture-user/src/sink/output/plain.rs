//! A single destination of whole units, behind a [`super::Spool`].

use super::{Background, Destination, Output, OutputError};

/// Writes all that it is given at once.
#[derive(Debug)]
pub struct Plain<D: Destination>(Output<D>);

impl<D: Destination> Plain<D> {
    /// On an output in whose buffer nothing waits.
    pub const fn new(output: Output<D>) -> Self {
        Self(output)
    }

    /// The first failure, if there was one.
    #[must_use]
    pub const fn failure(&self) -> Option<&OutputError> {
        self.0.failure()
    }
}

impl<D: Destination + Send + 'static> Background for Plain<D> {
    type Order = std::convert::Infallible;

    fn write(&mut self, bytes: &mut Vec<u8>) -> Result<(), OutputError> {
        self.0.append(|out| std::mem::swap(out, bytes))?;
        self.0.flush()
    }

    fn obey(&mut self, order: Self::Order) -> Result<(), OutputError> {
        match order {}
    }

    fn delivered(&self) -> u64 {
        self.0.len()
    }
}
