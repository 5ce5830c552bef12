//! Where packets end up.
//!
//! - [`lines`]: packet lines on standard output
//! - [`output`]: the destination as bytes: a regular file, standard output, a FIFO, a device
//! - [`pcapng`]: the capture file as the pcapng draft lays it out, and its writer
//! - [`text`]: a packet as tcpdump prints it

pub mod lines;
pub mod output;
pub mod pcapng;
pub mod text;
