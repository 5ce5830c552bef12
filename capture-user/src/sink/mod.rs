//! Where packets end up.
//!
//! - [`files`]: the capture files on disk, one after the other
//! - [`flows`]: flows, resets and translations as JSON, one a line
//! - [`lines`]: packet lines on standard output
//! - [`output`]: the destination as bytes: a regular file, standard output, a FIFO, a device
//! - [`pcapng`]: the capture file as the pcapng draft lays it out, and its writer
//! - [`text`]: a packet as tcpdump prints it

pub mod files;
pub mod flows;
pub mod lines;
pub mod output;
pub mod pcapng;
pub mod text;

/// Where whole lines end: behind the last newline. Units for an [`output::Output`].
fn whole_lines(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1)
}
