//! The kernel side alone: what it matches, what it records, and that no packet gets it off its
//! path.
//!
//! Every packet that is shown to it is also shown to a second implementation of the options, and
//! all traces that it leaves are looked at. So each test here proves three things beside what its
//! name says: the packet went on untouched (`TC_ACT_UNSPEC`), the counters account for it, and the
//! ring holds its bytes and nothing else.
//!
//! - [`bench`]: shows packets to the programs and looks at the traces; [`outlet`] are the devices
//!   that it needs where `BPF_PROG_TEST_RUN` won't do
//! - [`reference`]: the second implementation
//! - [`links`], [`ipv4`], [`ipv6`]: header by header, the odd ones above all
//! - [`short`]: packets that end anywhere
//! - [`combinations`]: each set of options with each other
//! - [`property`]: any packet, made by [`packets`]
//! - [`hooks`]: the four programs, VLAN tags in the metadata, headers in page fragments
//! - [`records`]: size classes, snapshot length, a full ring
//! - [`batches`]: small records gathered
//! - [`super_frames`]: packets beyond 64 KiB, from a real connection
//! - [`object`]: names, and the diagnostics that aren't there unless asked for

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

mod batches;
mod bench;
mod combinations;
mod hooks;
mod ipv4;
mod ipv6;
mod links;
mod object;
mod outlet;
mod packets;
mod property;
mod records;
mod reference;
mod short;
mod super_frames;
