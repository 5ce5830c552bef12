//! `nodecap repair`: closes a file that a kill or a loss of power cut off.
//!
//! What lies behind the last whole block goes; every whole packet stays. Each interface that has no
//! statistics gets those that the packets tell. In place, and in an order that a second repair can
//! put right if the first is cut off too.
//!
//! - `scan`: where a file ends and what it amounts to

mod scan;
#[cfg(test)]
mod tests;

use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::bufread::GzDecoder;

use crate::error::{Error, Result};
use crate::sink::output::Packing;
use crate::sink::output::pack::Packer;
use crate::source::file::input::{GZIP, ZSTD};
use crate::source::file::order::Order;
use scan::{LONGEST, Scan, Stop};

/// How much is read at once.
const CHUNK: usize = 1 << 20;
/// The most that a piece of a packed file of ours unpacks to, with much to spare.
const PIECE_MAX: u64 = 64 << 20;

/// How much is unpacked at once, and how much of what may be damaged: all blocks are whole words.
const UNPACKED_AT_ONCE: usize = 64 << 10;
const WORD: usize = 4;

/// How long another's claim to the file is waited out.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);

/// What a repair came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Whole packets, all of which are still there.
    pub packets: u64,
    /// Bytes cut off.
    pub cut: u64,
    /// Bytes of statistics appended.
    pub added: u64,
}

impl Repaired {
    /// Whether anything was to be done.
    #[must_use]
    pub const fn changed(&self) -> bool {
        self.cut > 0 || self.added > 0
    }
}

/// Where the good part of a file ends and what belongs behind it.
struct Plan {
    /// The length to cut the file to.
    keep: u64,
    /// Unpacked bytes of a cut piece that are whole blocks.
    rest: Vec<u8>,
    scan: Scan,
}

/// Repairs a file in place.
///
/// # Errors
///
/// [`Error::Failure`] if it can't be read or written, isn't a capture file, is still being written,
/// or is damaged where good blocks follow: then it isn't changed.
pub fn repair(path: &Path) -> Result<Repaired> {
    let shown = path.display();
    let failed = |error: io::Error| Error::failure(format!("can't repair {shown}: {error}"));
    let refused = |why: &str| Error::failure(format!("can't repair {shown}: {why}"));
    let mut file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => refused("it is a symbolic link; name its target"),
            Some(libc::EISDIR) => refused("it is a directory; name a capture file"),
            _ => failed(error),
        })?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(refused("it isn't a regular file"));
    }
    if is_being_written(&file) {
        return Err(refused("a capture is still writing it; end that first"));
    }
    let mut magic = [0; 4];
    let known = file.read(&mut magic).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let packing = match &magic[..known] {
        [a, b, ..] if [*a, *b] == GZIP => Packing::Gzip,
        magic if magic == ZSTD => Packing::Zstd,
        [] => return Err(refused("it is empty: no capture was written to it")),
        _ => Packing::Plain,
    };
    let plan = match packing {
        Packing::Plain => look(&file),
        Packing::Gzip | Packing::Zstd => look_into(&file, packing),
    };
    let plan = plan.map_err(|error| match error {
        Trouble::Io(error) => failed(error),
        Trouble::Refused(why) => refused(&why),
    })?;
    if !plan.scan.has_begun() {
        return Err(refused("nothing in it is whole"));
    }
    let mut end = plan.rest;
    end.extend(plan.scan.missing());
    let mut repaired = Repaired {
        packets: plan.scan.packets(),
        cut: metadata.len().saturating_sub(plan.keep),
        added: end.len() as u64,
    };
    if !repaired.changed() {
        return Ok(repaired);
    }
    if let Some(mut packer) = Packer::new(packing).map_err(|errno| failed(errno.into()))?
        && !end.is_empty()
    {
        end = packer.pack(&end).map_err(|errno| failed(errno.into()))?;
        repaired.added = end.len() as u64;
    }
    file.set_len(plan.keep)
        .and_then(|()| file.seek(SeekFrom::Start(plan.keep)))
        .and_then(|_| file.write_all(&end))
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    Ok(repaired)
}

/// Whether a capture has claimed it, for longer than a process that it just starts may still hold
/// the claim (between fork and exec). It is ours from then on.
fn is_being_written(file: &File) -> bool {
    let deadline = Instant::now() + CLAIM_PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(CLAIM_PATIENCE / 50);
            }
            Err(TryLockError::WouldBlock) => return true,
            // Not every file system has locks.
            Err(TryLockError::Error(_)) | Ok(()) => return false,
        }
    }
}

/// Why a file can't be repaired.
enum Trouble {
    Io(io::Error),
    Refused(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Walks a plain file.
fn look(file: &File) -> std::result::Result<Plan, Trouble> {
    let mut scan = Scan::default();
    let mut buffer = Vec::new();
    let mut keep = 0;
    let mut wanted = CHUNK;
    loop {
        let more = wanted.saturating_sub(buffer.len()).max(CHUNK);
        let read = file.take(more as u64).read_to_end(&mut buffer)?;
        let (walked, stop) = scan.feed(&buffer);
        keep += walked as u64;
        buffer.drain(..walked);
        match stop {
            Some(Stop::Foreign) => {
                return Err(Trouble::Refused(
                    "it is neither a pcapng nor a pcap file".to_owned(),
                ));
            }
            Some(Stop::Damaged(why)) => {
                let follows = if scan.is_pcap() {
                    // Half a header may be left of the last one.
                    is_something(file, keep + scan::PCAP_RECORD as u64)?
                        .then_some("the file goes on behind")
                } else {
                    goes_on(file, keep)?.then_some("good packets follow")
                };
                if let Some(follows) = follows {
                    return Err(Trouble::Refused(format!(
                        "at byte {keep} comes {why}, and {follows} it: it wasn't merely cut off"
                    )));
                }
                break;
            }
            Some(Stop::Short(len)) => wanted = len,
            None => wanted = CHUNK,
        }
        if read == 0 {
            break;
        }
    }
    Ok(Plan {
        keep,
        rest: Vec::new(),
        scan,
    })
}

/// Reads from there until the buffer is full or the file ends. How much that was.
fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Whether something like a packet's block is found behind a place where none can begin. Zeroes,
/// as file systems leave them where data hadn't reached the disk, are nothing like it.
fn goes_on(file: &File, from: u64) -> io::Result<bool> {
    let mut buffer = vec![0; CHUNK];
    let mut at = from + 4;
    loop {
        let filled = fill(file, &mut buffer, at)?;
        let words = buffer[..filled].windows(8).step_by(4);
        for (word, place) in words.zip((at..).step_by(4)) {
            for order in [Order::Little, Order::Big] {
                let (Some(kind), Some(len)) = (order.u32(word, 0), order.u32(word, 4)) else {
                    continue;
                };
                let Some(least) = scan::packet_least(kind) else {
                    continue;
                };
                if (len as usize) < least || len as usize > LONGEST || !len.is_multiple_of(4) {
                    continue;
                }
                let mut back = [0; 4];
                if file.read_at(&mut back, place + u64::from(len) - 4)? == 4
                    && order.u32(&back, 0) == Some(len)
                {
                    return Ok(true);
                }
            }
        }
        if filled < buffer.len() {
            return Ok(false);
        }
        // The last word is looked at again, with what follows it.
        at += filled as u64 - 4;
    }
}

/// Whether there is anything but zeroes behind a place. A pcap file's packets have nothing by which
/// to be found again, so nobody can say that there are none.
fn is_something(file: &File, mut from: u64) -> io::Result<bool> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read_at(&mut buffer, from)? {
            0 => return Ok(false),
            read if buffer[..read].iter().any(|byte| *byte != 0) => return Ok(true),
            read => from += read as u64,
        }
    }
}

/// Walks a packed file of ours, piece by piece.
fn look_into(file: &File, packing: Packing) -> std::result::Result<Plan, Trouble> {
    let mut input = BufReader::with_capacity(CHUNK, file);
    let mut scan = Scan::default();
    let mut keep = 0;
    loop {
        if input.fill_buf()?.is_empty() {
            return Ok(Plan {
                keep,
                rest: Vec::new(),
                scan,
            });
        }
        let (mut piece, mut unpacked) = one_piece(&mut input, packing, UNPACKED_AT_ONCE);
        if unpacked.is_err() {
            // What an unpacker had made when it met what is wrong, it keeps to itself.
            input.seek(SeekFrom::Start(keep))?;
            (piece, unpacked) = one_piece(&mut input, packing, WORD);
        }
        let (walked, stop) = scan.feed(&piece);
        if keep == 0 && !scan.is_ours() && stop != Some(Stop::Foreign) && scan.has_begun() {
            return Err(Trouble::Refused(
                "it is packed, and not by nodecap: unpack it first".to_owned(),
            ));
        }
        match (unpacked, stop) {
            (_, Some(Stop::Foreign)) => {
                return Err(Trouble::Refused(
                    "what is packed in it is no capture".to_owned(),
                ));
            }
            (Ok(()), None) => keep = input.stream_position()?,
            (Ok(()), Some(_)) => {
                return Err(Trouble::Refused(format!(
                    "the piece at byte {keep} doesn't hold whole blocks: it wasn't merely cut off"
                )));
            }
            // Cut: what of it can be unpacked is packed again.
            (Err(_), _) if piece_follows(file, keep, packing, &scan)? => {
                return Err(Trouble::Refused(format!(
                    "the piece at byte {keep} can't be unpacked, and a good one follows it: it wasn't merely cut off"
                )));
            }
            (Err(_), _) => {
                piece.truncate(walked);
                return Ok(Plan {
                    keep,
                    rest: piece,
                    scan,
                });
            }
        }
    }
}

/// Whether a piece with whole blocks is found behind the beginning of one that is damaged.
fn piece_follows(file: &File, from: u64, packing: Packing, scan: &Scan) -> io::Result<bool> {
    let magic: &[u8] = match packing {
        Packing::Zstd => &ZSTD,
        Packing::Gzip | Packing::Plain => &GZIP,
    };
    let mut buffer = vec![0; CHUNK];
    let mut at = from + 1;
    loop {
        let filled = fill(file, &mut buffer, at)?;
        for (place, word) in (at..).zip(buffer[..filled].windows(magic.len())) {
            if word != magic {
                continue;
            }
            let mut input = BufReader::with_capacity(UNPACKED_AT_ONCE, file);
            input.seek(SeekFrom::Start(place))?;
            let (piece, unpacked) = one_piece(&mut input, packing, UNPACKED_AT_ONCE);
            if unpacked.is_ok() && !piece.is_empty() && scan.clone().feed(&piece).1.is_none() {
                return Ok(true);
            }
        }
        if filled < buffer.len() {
            return Ok(false);
        }
        at += (filled + 1 - magic.len()) as u64;
    }
}

/// Unpacks the piece that comes next, as far as it goes, and why no farther.
fn one_piece(
    input: &mut BufReader<&File>,
    packing: Packing,
    at_once: usize,
) -> (Vec<u8>, io::Result<()>) {
    let mut piece = Vec::new();
    let unpacked = match packing {
        Packing::Zstd => zstd::Decoder::with_buffer(input)
            .and_then(|decoder| unpack(decoder.single_frame(), &mut piece, at_once)),
        Packing::Gzip | Packing::Plain => unpack(GzDecoder::new(input), &mut piece, at_once),
    };
    (piece, unpacked)
}

/// Unpacks one piece, as far as it goes.
fn unpack(mut input: impl Read, piece: &mut Vec<u8>, at_once: usize) -> io::Result<()> {
    // Not read_to_end: what came before an error is wanted too.
    let mut part = vec![0; at_once];
    loop {
        match input.read(&mut part)? {
            0 => return Ok(()),
            read => piece.extend_from_slice(&part[..read]),
        }
        if piece.len() as u64 > PIECE_MAX {
            return Err(io::Error::other("a piece of that size isn't nodecap's"));
        }
    }
}
