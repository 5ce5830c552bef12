//! nodecap as a library: what the binary is made of, for its tests and benchmarks.
//!
//! A packet goes one way: [`kernel`] (the eBPF programs and their ring) → [`session`] (puts it in
//! time order, stamps it, keeps the limits and the ledger) → [`sink`] (pcapng file, text lines).
//!
//! - [`cli`]: what was typed, and what the program will do about it
//! - [`error`]: what can go wrong, as the user is told of it
//! - [`evidence`]: what is known besides the packets, from the node itself
//! - [`explain`]: flows, translations and resets of a saved file
//! - [`filter`]: the typed options and the expression as the kernel takes them
//! - [`flow`]: flows, paths, translations and resets, without I/O
//! - [`kernel`]: loading, attaching, the ring, abilities; the only place that knows aya
//! - [`metrics`]: figures for Prometheus, and who serves them
//! - [`node`]: what the kernel's network tables hold, read and left as they are
//! - [`packet`]: one packet, as it is handed from the session to the sinks
//! - [`recorder`]: the flight recorder's core: packets in, and those out that an event asks for
//! - [`repair`]: closing a file that was cut off
//! - [`session`]: one capture, wired together
//! - [`sink`]: where packets end up
//! - [`snapshot`]: the state of the network stack before and after a capture
//! - [`source`]: where packets come from besides the kernel: capture files
//! - [`target`]: the node's interfaces, and which of them a capture is about

pub mod cli;
pub mod error;
pub mod evidence;
pub mod explain;
pub mod filter;
pub mod flow;
pub mod kernel;
pub mod metrics;
mod netlink;
pub mod node;
pub mod packet;
pub mod recorder;
pub mod repair;
pub mod session;
pub mod sink;
pub mod snapshot;
pub mod source;
pub mod target;
