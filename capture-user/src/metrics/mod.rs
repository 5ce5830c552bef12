//! Figures for Prometheus: how they are written, how they are served, and those of the process
//! itself. What a capture tells of itself is the session's affair.
//!
//! - [`exposition`]: the text format
//! - [`server`]: HTTP, with bounds on whoever asks
//! - [`process`]: what any process tells

pub mod exposition;
pub mod process;
pub mod server;
