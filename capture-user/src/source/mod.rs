//! Where packets come from besides the kernel.
//!
//! - [`mod@file`]: capture files, ours and anybody's

pub mod file;
