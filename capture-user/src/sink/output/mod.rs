//! The destination as bytes: a regular file, standard output, a FIFO, a device.
//!
//! - [`buffer`]: collects whole units (blocks, lines) and writes them; keeps the whole ones when a
//!   write stops half-way
//! - [`destination`]: what the buffer writes to, and the one that is a file descriptor
//! - [`error`]: what can go wrong, with the remedy
//! - [`open`]: opening without following links, and taking back what a failed start created

pub mod buffer;
pub mod destination;
pub mod error;
pub mod open;

#[cfg(test)]
mod buffer_tests;
#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod open_tests;

pub use buffer::Output;
pub use destination::{Descriptor, Destination};
pub use error::OutputError;
pub use open::{Opened, Started};
