//! The kernel boundary: the only place that knows aya, and the only one in user space with
//! `unsafe` in it.
//!
//! - [`program`]: loads the programs with a filter; `tables` fills in the filter; `counters` reads counters;
//!   [`attach`] attaches and detaches them; [`test_run`] runs one by itself
//! - [`rings`]: the user side of the rings that packets come out of, and [`ring`] of one: read in
//!   place and released in batches; [`batches`]: what is on its way to them; `mapping`: memory shared with
//!   the kernel
//! - [`events`]: what else the kernel side tells, as evidence; [`tracepoints`] attaches what tells
//!   it
//! - `layout`: where things lie in this kernel's structures, and `reasons`: what it calls its
//!   numbers; `types` reads both from its type information, by `btf`
//! - [`expression`]: a filter expression's code, put into the programs by `stand_in`; [`libpcap`]
//!   compiles it
//! - `identity`: takes the kernel's addresses out of what it tells
//! - `follow`: teaches the kernel side which tuples to follow
//! - [`abilities`]: what this kernel and these privileges allow, tried out one by one; `probe` does
//!   the trying
//! - [`relinquish`]: becoming an ordinary user who keeps just what is needed
//! - [`error`]: what the kernel refused, and the remedy
//! - [`log`]: the kernel side's own diagnostics
//! - [`heap`]: gives back the memory that loading took; `limits` has the process have enough
//! - `sys`: the system call itself, for what aya doesn't do
//! - [`xtables`]: the tables of iptables-legacy
//!
//! Everything that changes with the kernel's version or with privileges ends here.

pub mod abilities;
pub mod attach;
pub mod batches;
mod btf;
mod counters;
pub mod error;
pub mod events;
pub mod expression;
mod follow;
pub mod heap;
mod identity;
mod layout;
pub mod libpcap;
mod limits;
pub mod log;
mod mapping;
mod probe;
pub mod program;
mod reasons;
pub mod relinquish;
pub mod ring;
pub mod rings;
mod stand_in;
mod sys;
mod tables;
pub mod test_run;
pub mod tracepoints;
mod types;
pub mod xtables;

pub use events::Events;
pub use program::{Kernel, Setup};
pub use rings::Rings;
