//! What nodecap's kernel side and user side must agree on, and nothing else: the layouts of
//! records, counters and filter tables, and the names of the kernel side's maps and globals.
//!
//! Every layout is `repr(C)` without padding (the `IntoBytes` derive refuses padding at compile
//! time) and its size is asserted where it is defined.
//!
//! - [`record`]: what lies in the ring, one a packet; [`batch`]: where small ones are gathered before
//! - [`counters`]: what each CPU counts for each interface
//! - [`event`]: what else the kernel side tells
//! - [`filter`]: the tables a filter is looked up in, and the bits in them
//! - [`flows`]: where a tuple is in the table of learned ones
//! - [`names`]: maps and globals by name

#![no_std]

pub mod batch;
pub mod counters;
pub mod event;
pub mod filter;
pub mod flows;
pub mod names;
pub mod record;

/// The version of everything in this crate, raised with every change to a layout. The kernel
/// object carries it in a global's name ([`names::LAYOUT`]), so that user space refuses an object
/// of another one.
pub const LAYOUT_VERSION: u32 = 1;
