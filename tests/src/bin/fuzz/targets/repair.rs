//! A capture file that was cut off or damaged, and what `repair` makes of it.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use capture_user::repair::{Repaired, repair};
use capture_user::source::file::{Ending, Reader};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::{about, file, number};
use crate::engine::Target;

pub(super) struct Repair;

/// In memory where that is: each input is written, and a repair waits for the disk.
const FAST: &str = "/dev/shm";

impl Target for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let plain = file::File.seeds();
        // Packing one of each kind says as much as packing all, and mutating is what takes the time.
        let [first, last] = [plain.first(), plain.last()];
        let packed = [first, last]
            .into_iter()
            .flatten()
            .flat_map(|file| [zstd, gzip].map(|pack| packed(file, pack)));
        let packed: Vec<_> = packed.collect();
        [plain, packed].concat()
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
        // In a pcap file zeroes read as packets without a byte; they are what a file system leaves.
        let zeroes = input[kept..].iter().all(|byte| *byte == 0);
        if !zeroes && !after.starts_with(&before) {
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
        )))
    }
}

/// A file in pieces, each packed by itself, as captures write them: so many bytes of it a piece.
fn packed(file: &[u8], pack: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    const PIECE: usize = 1_500;
    file.chunks(PIECE).flat_map(pack).collect()
}

fn zstd(piece: &[u8]) -> Vec<u8> {
    zstd::encode_all(piece, 3).expect("memory to pack a piece")
}

fn gzip(piece: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(piece).and_then(|()| encoder.finish());
    packed.expect("memory to pack a piece")
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
