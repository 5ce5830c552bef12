//! What the buffer writes to, and the one that is a file descriptor.

use std::os::fd::OwnedFd;

use rustix::{
    event::{PollFd, PollFlags},
    fs::{FileType, OFlags, SeekFrom},
    io::Errno,
};

/// Something that takes bytes in order, as write(2) does: perhaps not all at once.
pub trait Destination {
    /// Writes some of `bytes`, which isn't empty, and says how many.
    ///
    /// # Errors
    ///
    /// What write(2) gives; [`Errno::INTR`] means try again.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Takes back what was written after the first `len` bytes, so that writing goes on there.
    /// `Ok(false)`: it can't be taken back here, as out of a pipe.
    ///
    /// # Errors
    ///
    /// What ftruncate(2) gives.
    fn cut(&mut self, len: u64) -> Result<bool, Errno>;
}

/// A file descriptor. What was written can be taken back if it is a regular file's.
#[derive(Debug)]
pub struct Descriptor {
    fd: OwnedFd,
    /// Where in a regular file our first byte lies; `None` for everything else.
    base: Option<u64>,
    written: u64,
}

impl Descriptor {
    /// Writes from where the descriptor stands: standard output may be redirected to a file that
    /// has something in it.
    ///
    /// # Errors
    ///
    /// What fstat(2), fcntl(2) and lseek(2) give.
    pub(super) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&fd)?;
        let base = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if rustix::fs::fcntl_getfl(&fd)?.contains(OFlags::APPEND) => {
                Some(u64::try_from(stat.st_size).unwrap_or(0))
            }
            FileType::RegularFile => Some(rustix::fs::tell(&fd)?),
            _ => None,
        };
        Ok(Self {
            fd,
            base,
            written: 0,
        })
    }

    /// Whether it is a regular file.
    pub const fn is_regular(&self) -> bool {
        self.base.is_some()
    }

    /// Bytes that its file system still has for us, as `df` shows them (`f_bavail`).
    ///
    /// # Errors
    ///
    /// What fstatvfs(3) gives.
    pub fn free(&self) -> Result<u64, Errno> {
        let stat = rustix::fs::fstatvfs(&self.fd)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Makes it that user's and that group's.
    pub(super) fn give_to(&self, user: u32, group: u32) -> Result<(), Errno> {
        use rustix::fs::{Gid, Uid, fchown};
        fchown(
            &self.fd,
            Some(Uid::from_raw(user)),
            Some(Gid::from_raw(group)),
        )
    }

    /// Says that it is being written, to whoever asks (flock(2)): a repair of it had better wait.
    /// It ends with us, however we end.
    pub(super) fn claim(&self) {
        if self.is_regular() {
            // Where there are no locks, or it is another's already, nothing is said.
            let _ = rustix::fs::flock(
                &self.fd,
                rustix::fs::FlockOperation::NonBlockingLockExclusive,
            );
        }
    }

    /// Has all that was written brought to the disk.
    ///
    /// # Errors
    ///
    /// What fdatasync(2) gives.
    pub fn sync(&self) -> Result<(), Errno> {
        if self.is_regular() {
            rustix::fs::fdatasync(&self.fd)?;
        }
        Ok(())
    }

    /// Empties the file, to write from its start.
    pub(super) fn truncate(&mut self) -> Result<(), Errno> {
        rustix::fs::ftruncate(&self.fd, 0)?;
        rustix::fs::seek(&self.fd, SeekFrom::Start(0))?;
        self.base = Some(0);
        self.written = 0;
        Ok(())
    }

    /// Device and inode: which file it is, whatever its name.
    pub(super) fn identity(&self) -> Result<(u64, u64), Errno> {
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok((stat.st_dev, stat.st_ino))
    }
}

impl Destination for Descriptor {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let count = match rustix::io::write(&self.fd, bytes) {
            // Whoever opened the pipe made it non-blocking, and it is theirs to choose: wait.
            Err(Errno::AGAIN) => {
                rustix::event::poll(&mut [PollFd::new(&self.fd, PollFlags::OUT)], None)?;
                return Err(Errno::INTR);
            }
            other => other?,
        };
        self.written += count as u64;
        Ok(count)
    }

    fn cut(&mut self, len: u64) -> Result<bool, Errno> {
        let Some(base) = self.base else {
            return Ok(false);
        };
        // Somebody else writes to the same file, or cut it: what lies behind isn't ours to remove.
        let size = u64::try_from(rustix::fs::fstat(&self.fd)?.st_size).unwrap_or(0);
        if size != base + self.written {
            return Ok(false);
        }
        rustix::fs::ftruncate(&self.fd, base + len)?;
        rustix::fs::seek(&self.fd, SeekFrom::Start(base + len))?;
        self.written = len;
        Ok(true)
    }
}
