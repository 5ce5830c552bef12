//! Collects whole units (blocks of a pcapng file) and writes them; keeps the whole ones when a
//! write stops half-way.

use rustix::io::Errno;

use super::{destination::Destination, error::OutputError};

/// Once this much waits, it is written. Large enough that write(2) costs little a packet, small
/// enough to stay in a CPU's cache.
pub const FLUSH_AT: usize = 256 * 1024;

/// How many bytes at the front of a buffer are whole units. The buffer begins where a unit does.
pub type WholeUnits = fn(&[u8]) -> usize;

/// A buffered destination that never leaves half a unit behind where it can help it.
///
/// The first failed write ends it: what was whole is kept, the rest is handed back by
/// [`Output::take_lost`], and nothing more can be appended except an end
/// ([`Output::close_with`]). Dropping it writes what waits, as well as it can.
#[derive(Debug)]
pub struct Output<D: Destination> {
    name: String,
    destination: D,
    whole: WholeUnits,
    buffer: Vec<u8>,
    /// Bytes that the destination has.
    delivered: u64,
    failure: Option<OutputError>,
    /// The destination ends amid a unit, and that can't be taken back.
    torn: bool,
    lost: Vec<u8>,
}

impl<D: Destination> Output<D> {
    /// Nothing is written before something is appended. `name` is what messages call it.
    pub fn new(name: impl Into<String>, destination: D, whole: WholeUnits) -> Self {
        Self {
            name: name.into(),
            destination,
            whole,
            buffer: Vec::with_capacity(2 * FLUSH_AT),
            delivered: 0,
            failure: None,
            torn: false,
            lost: Vec::new(),
        }
    }

    /// Appends what `put` puts at the end of the buffer, which must be whole units, and writes if
    /// enough waits. After a failure `put` isn't called.
    ///
    /// # Errors
    ///
    /// What writing gives; the same again on every later call.
    pub fn append(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), OutputError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        put(&mut self.buffer);
        if self.buffer.len() >= FLUSH_AT {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    ///
    /// As [`Output::append`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let (count, result) = write_all(&mut self.destination, &self.buffer);
        let Err(errno) = result else {
            self.delivered += count as u64;
            self.buffer.clear();
            return Ok(());
        };
        let whole = (self.whole)(&self.buffer[..count]);
        self.settle(whole, count);
        self.lost = self.buffer.split_off(whole);
        self.buffer = Vec::new();
        let failure = OutputError::of_write(&self.name, errno);
        self.failure = Some(failure.clone());
        Err(failure)
    }

    /// Writes what waits and then `end`, all of it or nothing. After a failure it still tries to
    /// put `end` behind the last whole unit, since cutting half a unit off has made some room.
    ///
    /// # Errors
    ///
    /// What writing `end` gives; without an earlier failure also what writing the rest gives, and
    /// then `end` isn't tried.
    pub fn close_with(&mut self, end: &[u8]) -> Result<(), OutputError> {
        if self.failure.is_none() {
            self.flush()?;
        }
        if self.torn {
            return Err(self.failure_or(Errno::IO));
        }
        let (count, result) = write_all(&mut self.destination, end);
        match result {
            Ok(()) => {
                self.delivered += count as u64;
                Ok(())
            }
            Err(errno) => {
                self.settle(0, count);
                let failure = OutputError::of_write(&self.name, errno);
                self.failure.get_or_insert_with(|| failure.clone());
                Err(failure)
            }
        }
    }

    /// Bytes appended so far and not lost, waiting ones included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.delivered + self.buffer.len() as u64
    }

    /// Whether nothing was appended, or all of it was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first failure, if there was one.
    #[must_use]
    pub const fn failure(&self) -> Option<&OutputError> {
        self.failure.as_ref()
    }

    /// What was appended and isn't in the destination as whole units, from the first lost unit on.
    /// Empty before a failure, and the second time.
    pub fn take_lost(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lost)
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it writes to.
    #[must_use]
    pub const fn destination(&self) -> &D {
        &self.destination
    }

    /// Of `count` bytes that got written before a failure, keeps the first `whole` where the
    /// destination lets it.
    fn settle(&mut self, whole: usize, count: usize) {
        let kept = self.delivered + whole as u64;
        if whole == count {
            self.delivered = kept;
            return;
        }
        match self.destination.cut(kept) {
            Ok(true) => self.delivered = kept,
            Ok(false) | Err(_) => {
                self.delivered += count as u64;
                self.torn = true;
            }
        }
    }

    fn failure_or(&self, errno: Errno) -> OutputError {
        self.failure
            .clone()
            .unwrap_or_else(|| OutputError::of_write(&self.name, errno))
    }
}

impl<D: Destination> Drop for Output<D> {
    fn drop(&mut self) {
        if self.failure.is_none() && !self.buffer.is_empty() {
            // Nobody is left to tell; whoever cares has flushed.
            let _ = self.flush();
        }
    }
}

/// Writes all of `bytes` unless something fails; how many were written, either way.
fn write_all(destination: &mut impl Destination, bytes: &[u8]) -> (usize, Result<(), Errno>) {
    let mut count = 0;
    while count < bytes.len() {
        match destination.write(&bytes[count..]) {
            // It can't happen to a file descriptor, and must not become a loop without an end.
            Ok(0) => return (count, Err(Errno::IO)),
            Ok(more) => count += more,
            Err(Errno::INTR) => {}
            Err(errno) => return (count, Err(errno)),
        }
    }
    (count, Ok(()))
}
