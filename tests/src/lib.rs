//! The lab: networks made of namespaces, and what runs and is measured in them.
//!
//! Nothing here has a name that another process could meet: namespaces are anonymous and live as
//! long as the value that stands for them, so tests run side by side and leave nothing behind,
//! also when they are killed.
//!
//! A test calls these functions for what it is about to observe, so they don't return errors:
//! whatever goes wrong in the lab panics, with the command, its output and the remedy.
//!
//! - [`namespace`]: a network of one's own, and programs and sockets in it
//! - [`topology`]: namespaces wired together
//! - [`docker`], [`containerd`], [`podman`]: containers and pods on a node, made by the real engines;
//!   [`cgroup`]: what else the kernel takes for containers
//! - [`systemd`]: a service manager, likewise
//! - [`frames`]: frames made by hand, from the ordinary to the broken
//! - [`conversation`]: TCP connections of such frames
//! - [`replay`]: puts frames on an interface, as many and as fast as wanted
//! - [`packet_socket`]: puts them there one by one, also where they make no sense
//! - [`nodecap`], [`tcpdump`]: the two captures that are compared
//! - [`recorder`]: captures with a flight recorder, and their accounts
//! - [`read`]: what is in a capture file, by a reader that accepts nothing sloppy
//! - [`flows`]: what is in a flows file, by the contract with its readers
//! - [`metrics`]: figures as Prometheus takes them, likewise
//! - [`compare`]: whether two captures hold the same packets
//! - [`tools`]: other people's readers, which must have no complaint
//! - [`sockets`]: the two ends of a TCP connection; [`overhear`], [`segment`]: what their kernels
//!   make of it on the wire
//! - [`scenario`]: resets and translations that really happen, each with its label
//! - [`ability`]: what a kernel or machine lacks that a test needs, said aloud
//! - [`balancer`]: an eBPF load balancer; [`elf`]: the least object that holds a program for the
//!   kernel
//! - [`process`], [`scratch`], [`tool`], [`wait`]: what all of these stand on

pub mod ability;
pub mod balancer;
pub mod cgroup;
pub mod compare;
pub mod containerd;
pub mod conversation;
pub mod docker;
pub mod elf;
pub mod flows;
pub mod frames;
pub mod metrics;
pub mod namespace;
pub mod nodecap;
pub mod overhear;
pub mod packet_socket;
pub mod podman;
pub mod process;
pub mod read;
pub mod recorder;
pub mod replay;
pub mod scenario;
pub mod scratch;
pub mod segment;
pub mod sockets;
pub mod systemd;
pub mod tcpdump;
pub mod tool;
pub mod tools;
pub mod topology;
pub mod wait;

pub use nix::sys::signal::Signal;
