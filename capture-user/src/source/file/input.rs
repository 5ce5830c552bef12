//! The bytes of a capture file, unpacked where it is packed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;

/// What a gzip member begins with ([RFC 1952], section 2.3.1).
///
/// [RFC 1952]: https://www.rfc-editor.org/rfc/rfc1952
pub(crate) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What a frame of Zstandard begins with ([RFC 8878], section 3.1.1).
///
/// [RFC 8878]: https://www.rfc-editor.org/rfc/rfc8878
pub(crate) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A file whose first bytes were looked at.
type Begun = io::Chain<Cursor<Vec<u8>>, File>;

/// A file that is unpacked as it is read, if need be. Where a packed one is cut, reading it ends
/// with [`io::ErrorKind::UnexpectedEof`] behind all that could be unpacked.
pub enum Input {
    /// As it is.
    Plain(Begun),
    /// By gzip.
    Gzip(Box<MultiGzDecoder<BufReader<Begun>>>),
    /// By Zstandard.
    Zstd(Box<zstd::Decoder<'static, BufReader<Begun>>>),
}

impl Input {
    /// Looks at how the file begins.
    pub(crate) fn new(mut file: File) -> io::Result<Self> {
        let mut magic = Vec::new();
        (&mut file)
            .take(ZSTD.len() as u64)
            .read_to_end(&mut magic)?;
        let (gzip, zstd) = (magic.starts_with(&GZIP), magic.starts_with(&ZSTD));
        let begun = Cursor::new(magic).chain(file);
        Ok(if gzip {
            Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(begun))))
        } else if zstd {
            Self::Zstd(Box::new(zstd::Decoder::with_buffer(BufReader::new(begun))?))
        } else {
            Self::Plain(begun)
        })
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(buffer),
            Self::Gzip(input) => input.read(buffer),
            Self::Zstd(input) => input.read(buffer),
        }
    }
}
