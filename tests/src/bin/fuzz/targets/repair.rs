//! A capture file that was cut off or damaged, and what `repair` makes of it.

use std::fs;
use std::path::Path;

use capture_user::repair::{Repaired, repair};
use capture_user::source::file::{Ending, Reader};
use tempfile::TempDir;

use super::{about, file, number};
use crate::engine::Target;

pub(super) struct Repair;

/// In memory where that is: each input is written, and a repair waits for the disk.
const FAST: &str = "/dev/shm";

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];

impl Target for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = file::File.seeds();
        // Packed in two pieces, as a capture does it.
        let pieces = seeds.last().map(|plain| {
            let (one, other) = plain.split_at(section_len(plain));
            [stored(one), stored(other)].concat()
        });
        seeds.extend(pieces);
        seeds
    }

    fn run(&self, input: &[u8]) -> Result<u64, String> {
        let failed = |error: std::io::Error| error.to_string();
        let folder = TempDir::new_in(FAST)
            .or_else(|_| TempDir::new())
            .map_err(failed)?;
        let path = folder.path().join("x");
        fs::write(&path, input).map_err(failed)?;
        let (before, _) = packets(&path);
        let first = match repair(&path) {
            Ok(first) => first,
            Err(refusal) if fs::read(&path).map_err(failed)? == input => {
                return Ok(number(refusal.to_string().len()));
            }
            Err(refusal) => return Err(format!("refused, and changed: {refusal}")),
        };
        let repaired = fs::read(&path).map_err(failed)?;
        let kept = input.len() - first.cut as usize;
        if repaired.len() as u64 != kept as u64 + first.added || repaired[..kept] != input[..kept] {
            return Err(format!(
                "{first:?} of {} bytes: {}",
                input.len(),
                repaired.len()
            ));
        }
        let (after, ending) = packets(&path);
        if !after.starts_with(&before) {
            let (had, has) = (before.len(), after.len());
            return Err(format!(
                "{first:?}: {had} packets were there, {has} are: {ending:?}"
            ));
        }
        match repair(&path) {
            Ok(again) if !again.changed() && again.packets == first.packets => {}
            again => return Err(format!("{first:?}, and then {again:?}")),
        }
        let Repaired {
            packets,
            cut,
            added,
        } = first;
        Ok(number((
            about(packets),
            about(cut),
            added,
            about(after.len() as u64),
            ending.map(|ending| format!("{ending:?}").len()),
            input.starts_with(&ZSTD) || input.starts_with(&GZIP),
        )))
    }
}

/// The times of the packets that the reader finds in a file, and how it ends.
fn packets(path: &Path) -> (Vec<u64>, Option<Ending>) {
    let Ok(mut reader) = Reader::open(path) else {
        return (Vec::new(), None);
    };
    let mut times = Vec::new();
    while let Some(packet) = reader.next() {
        times.push(packet.time);
    }
    (times, reader.ending().cloned())
}

/// The length of the block that a pcapng file begins with.
fn section_len(file: &[u8]) -> usize {
    let len = file.get(4..).and_then(<[u8]>::first_chunk);
    len.map_or(0, |len| u32::from_le_bytes(*len) as usize)
        .min(file.len())
}

/// A zstd frame (RFC 8878, 3.1.1) that holds these bytes as they are, in blocks of 64 KiB.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut frame = ZSTD.to_vec();
    // A single segment, with its size in four bytes.
    frame.push(0xa0);
    frame.extend((bytes.len() as u32).to_le_bytes());
    let mut blocks = bytes.chunks(1 << 16).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        let header = (block.len() as u32) << 3 | last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}
