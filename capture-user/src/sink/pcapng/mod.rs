//! The capture file, in the format of [draft-ietf-opsawg-pcapng].
//!
//! The encoding is pure, bytes into a buffer, so that a file's length is known before a byte of it
//! is written: `--size` depends on that. One section a file, little-endian on every machine.
//!
//! - [`blocks`]: walking the blocks of encoded bytes
//! - [`compose`]: one file's blocks, measured before anything is written
//! - [`comment`]: the two-part form of a packet's comment
//! - [`encoder`]: the blocks of one file, in their order
//! - [`mod@file`]: composed blocks and their destination together
//! - [`interface`], [`names`], [`packet`], [`section`], [`statistics`]: one block each
//!
//! Sections and interfaces go through the `pcap-file` crate. The packet block doesn't: that crate
//! serialises a block twice and wants a vector of options for each, and this block is written once
//! a packet. Nor does the statistics block, which `repair` appends to what another process wrote.
//! Property tests hold both byte-equal to that crate's.
//!
//! A file has two halves: [`Composer`] makes the bytes where the packets are, [`PcapngFile`] gets
//! them to the destination, on a thread that may wait for it.
//!
//! [draft-ietf-opsawg-pcapng]: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/

pub mod blocks;
pub mod comment;
pub mod compose;
pub mod encoder;
pub mod file;
pub mod interface;
pub mod names;
mod option;
pub mod packet;
pub mod section;
pub mod statistics;

#[cfg(test)]
mod file_properties_tests;
#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod packet_tests;
#[cfg(test)]
mod readers_tests;
#[cfg(test)]
mod testing;

pub use compose::Composer;
pub use encoder::{EncodeError, Encoder};
pub use file::{Closing, Finished, Header, PcapngError, PcapngFile, minimum_len};
pub use interface::{Frames, InterfaceDescription, LinkType, SNAPLEN_MAX};
pub use names::Name;
pub use packet::Annotations;
pub use section::Section;
pub use statistics::Statistics;
