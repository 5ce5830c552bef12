//! The part of a stream that is being looked at, contiguous in memory.

use std::io::{self, Read};

/// Bytes asked for at once: enough that asking costs nothing, and little enough to stay in the
/// processor's cache until they are looked at.
const CHUNK: usize = 256 << 10;

/// A window onto a stream. It moves forward only.
pub(super) struct Window<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    position: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            position: 0,
        }
    }

    /// What is in the window.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// How many bytes of the stream came before the window.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Makes the window at least that long, if the stream goes on for so long. Returns whether it
    /// does.
    #[inline]
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.end - self.start >= wanted {
            return Ok(true);
        }
        self.read_until(wanted)
    }

    fn read_until(&mut self, wanted: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // A long packet that was announced may not be there: room grows as bytes come.
        while self.end < wanted {
            if self.end == self.buffer.len() {
                let len = (2 * self.end).min(wanted.max(CHUNK));
                self.buffer.resize(len, 0);
            }
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Leaves bytes behind that are in the window.
    #[inline]
    pub(super) fn advance(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.position += len as u64;
    }

    /// Leaves bytes behind, in the window or not. Returns whether the stream had so many.
    pub(super) fn skip(&mut self, mut len: u64) -> io::Result<bool> {
        while len > 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            let here = usize::try_from(len)
                .unwrap_or(usize::MAX)
                .min(self.end - self.start);
            self.advance(here);
            len -= here as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle(Vec<u8>, usize);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(into.len()).min(self.0.len());
            into[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }

    #[test]
    fn a_window_moves_over_the_stream_however_it_comes() {
        let bytes: Vec<u8> = (0..=255).cycle().take(CHUNK + 1_000).collect();
        for step in [1_000, 4_097, CHUNK] {
            let mut window = Window::new(Trickle(bytes.clone(), step));
            let mut seen = Vec::new();
            while window.fill(777).unwrap() {
                seen.extend_from_slice(&window.bytes()[..777]);
                window.advance(777);
            }
            assert_eq!(window.position(), seen.len() as u64);
            seen.extend_from_slice(window.bytes());
            assert!(seen == bytes, "{step}");
        }
    }

    #[test]
    fn what_is_longer_than_a_chunk_fits_and_can_be_skipped() {
        let bytes = vec![7; 3 * CHUNK];
        let mut window = Window::new(&bytes[..]);
        assert!(window.fill(2 * CHUNK + 1).unwrap());
        assert!(window.skip(3 * CHUNK as u64 - 1).unwrap());
        assert_eq!(window.bytes(), [7]);
        assert!(!window.skip(2).unwrap());
        assert_eq!(window.position(), 3 * CHUNK as u64);
    }

    #[test]
    fn a_length_that_nothing_stands_behind_takes_no_memory() {
        let mut window = Window::new(&[1, 2, 3][..]);
        assert!(!window.fill(1 << 30).unwrap());
        assert_eq!(window.buffer.len(), CHUNK);
    }
}
