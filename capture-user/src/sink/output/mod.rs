//! The destination as bytes: a regular file, standard output, a FIFO, a device.
//!
//! - [`buffer`]: collects whole units (blocks, lines) and writes them; keeps the whole ones when a
//!   write stops half-way
//! - [`destination`]: what the buffer writes to, and the one that is a file descriptor
//! - [`error`]: what can go wrong, with the remedy
//! - [`open`]: opening without following links, and taking back what a failed start created
//! - [`pack`]: compression, as the name asks for it
//! - [`spool`]: the queue to a thread that may wait for the destination; [`plain`]: a single
//!   destination behind one

pub mod buffer;
pub mod destination;
pub mod error;
pub mod open;
pub mod pack;
pub mod plain;
pub mod spool;

#[cfg(test)]
mod buffer_tests;
#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod open_tests;
#[cfg(test)]
mod spool_tests;

pub use buffer::{FLUSH_AT, Output};
pub use destination::{Descriptor, Destination};
pub use error::OutputError;
pub use open::{Opened, Started};
pub use pack::Packing;
pub use plain::Plain;
pub use spool::{Background, Spool};
