//! The node's interfaces, and which of them a capture is about.
//!
//! - [`links`]: what interfaces there are in the current network namespace, read over rtnetlink
//! - [`select`]: what `-i` means: a name, `#INDEX`, a glob or `any`, resolved against the links
//! - [`watch`]: what happens to the links while a capture runs
//! - [`glob`]: shell patterns over interface names
//! - [`name`]: interface names as text, and safe to print

pub mod glob;
pub mod links;
pub mod name;
mod netlink;
pub mod select;
pub mod watch;
