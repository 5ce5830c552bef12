//! Memory that is shared with the kernel.
#![expect(
    unsafe_code,
    reason = "shared memory with the kernel; see each SAFETY line"
)]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A memory mapping that ends with its owner.
pub(super) struct Mapping {
    pub(super) start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to its owner alone and isn't tied to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    pub(super) fn new(
        fd: BorrowedFd<'_>,
        len: usize,
        prot: ProtFlags,
        offset: u64,
    ) -> io::Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe { mmap(ptr::null_mut(), len, prot, MapFlags::SHARED, fd, offset)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// A mapping from the beginning on, to be read.
    pub(super) fn read_only(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::new(fd, len, ProtFlags::READ, 0)
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number at an offset of four bytes' multiple, as it is just now; 0 behind the end.
    pub(super) fn load(&self, offset: usize) -> u32 {
        if !offset.is_multiple_of(4) || offset + 4 > self.len {
            return 0;
        }
        // SAFETY: within the mapping and aligned, as just checked, since a mapping begins at a page.
        // The other side writes it at once; it is never written through this reference.
        unsafe { &*self.start.as_ptr().add(offset).cast::<AtomicU32>() }.load(Ordering::Acquire)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what mmap gave; whatever borrows from it borrows from its owner.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok());
    }
}
