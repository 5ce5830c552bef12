//! The node's interfaces, and which of them a capture is about.
//!
//! - [`links`]: what interfaces there are in the current network namespace, read over rtnetlink
//! - [`select`]: what `-i` and `--bridge` mean, resolved against the links
//! - [`workload`]: what runs here and is asked for by its own name: a container, a process
//! - [`netns`]: which links lead into which other namespace; [`entering`]: going into one
//! - [`process`]: whose a process is; [`runtime`]: the names that container engines gave
//! - [`inhabitants`]: who lives in the namespaces that the links lead into
//! - [`watch`]: what happens to the links while a capture runs; [`addresses`]: what happens to
//!   addresses, in other namespaces too
//! - [`glob`]: shell patterns over interface names
//! - [`name`]: interface names as text, and safe to print

pub mod addresses;
pub mod entering;
pub mod glob;
pub mod inhabitants;
pub mod links;
pub mod name;
mod netlink;
pub mod netns;
pub mod process;
pub mod runtime;
pub mod select;
pub mod watch;
pub mod workload;
