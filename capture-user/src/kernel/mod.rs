//! The kernel boundary: the only place that knows aya, and the only one in user space with
//! `unsafe` in it.
//!
//! - [`program`]: loads the programs with a filter, attaches and detaches them, reads counters
//! - [`ring`]: the ring's user side, read in place and released in batches
//! - [`abilities`]: what this kernel and these privileges allow, tried out one by one; `probe` does
//!   the trying
//! - [`error`]: what the kernel refused, and the remedy
//! - [`log`]: the kernel side's own diagnostics
//!
//! Everything that changes with the kernel's version or with privileges ends here.

pub mod abilities;
pub mod error;
pub mod log;
mod probe;
pub mod program;
pub mod ring;

pub use program::{Kernel, Setup};
pub use ring::Ring;
