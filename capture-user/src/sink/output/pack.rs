//! Compression, chosen by the file's name.
//!
//! Each piece is compressed by itself: a frame of Zstandard ([RFC 8878], section 3: frames may
//! follow each other) or a member of gzip ([RFC 1952], section 2.2: so may members). So what was
//! written is readable up to the last piece whatever happens then, and a piece that a full disk
//! cut can be taken back whole. The price is some 5 % of size, since no piece refers to another.
//!
//! [RFC 8878]: https://www.rfc-editor.org/rfc/rfc8878
//! [RFC 1952]: https://www.rfc-editor.org/rfc/rfc1952

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::io::Errno;
use zstd::bulk::Compressor;

/// The level at which Zstandard keeps up with a capture: its own default.
const ZSTD_LEVEL: i32 = 3;
/// Likewise for gzip, which is slower throughout; its default, 6, takes twice as long for 5 % less.
const GZIP_LEVEL: u32 = 3;

/// How a file is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    #[default]
    Plain,
    /// By Zstandard.
    Zstd,
    /// By gzip.
    Gzip,
}

impl Packing {
    /// What the name asks for: `.zst`, `.gz`, or anything else for a plain file.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("zst") => Self::Zstd,
            Some("gz") => Self::Gzip,
            _ => Self::Plain,
        }
    }
}

/// Compresses pieces.
pub(crate) enum Packer {
    /// With its tables, which take longer to make than to use.
    Zstd(Compressor<'static>),
    Gzip,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zstd(_) => "Zstd",
            Self::Gzip => "Gzip",
        })
    }
}

impl Packer {
    /// `None` for what isn't packed.
    ///
    /// # Errors
    ///
    /// ENOMEM, where there is no memory for it.
    pub(crate) fn new(packing: Packing) -> Result<Option<Self>, Errno> {
        Ok(match packing {
            Packing::Plain => None,
            Packing::Zstd => {
                let compressor = Compressor::new(ZSTD_LEVEL).map_err(|_| Errno::NOMEM)?;
                Some(Self::Zstd(compressor))
            }
            Packing::Gzip => Some(Self::Gzip),
        })
    }

    /// Compresses a piece.
    ///
    /// # Errors
    ///
    /// ENOMEM, where there is no memory for it: nothing else can go wrong.
    pub(crate) fn pack(&mut self, piece: &[u8]) -> Result<Vec<u8>, Errno> {
        match self {
            Self::Zstd(compressor) => compressor.compress(piece).map_err(|_| Errno::NOMEM),
            Self::Gzip => {
                let out = Vec::with_capacity(piece.len() / 2);
                let mut encoder = GzEncoder::new(out, Compression::new(GZIP_LEVEL));
                encoder
                    .write_all(piece)
                    .and_then(|()| encoder.finish())
                    .map_err(|_| Errno::NOMEM)
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_name_s_ending_decides() {
        for (name, packing) in [
            ("x.pcapng.zst", Packing::Zstd),
            ("x.gz", Packing::Gzip),
            ("x.pcapng", Packing::Plain),
            ("zst", Packing::Plain),
            ("-", Packing::Plain),
        ] {
            assert_eq!(Packing::of(Path::new(name)), packing, "{name}");
        }
    }

    #[test]
    fn pieces_one_after_the_other_unpack_to_the_whole() {
        let piece = b"packet after packet after packet".repeat(100);
        let packed = |packing| {
            let mut packer = Packer::new(packing).unwrap().unwrap();
            [packer.pack(&piece).unwrap(), packer.pack(&piece).unwrap()].concat()
        };
        let whole = [piece.clone(), piece.clone()].concat();
        let zstd = packed(Packing::Zstd);
        assert!(zstd.len() < piece.len());
        assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), whole);
        let gzip = packed(Packing::Gzip);
        let mut unpacked = Vec::new();
        flate2::read::MultiGzDecoder::new(&gzip[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(gzip.len() < piece.len() && unpacked == whole);
    }
}
