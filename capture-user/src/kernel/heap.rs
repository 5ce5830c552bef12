//! Giving memory back that loading the programs took.
#![expect(unsafe_code, reason = "a call into the C library; see its SAFETY line")]

/// Gives back to the kernel what of the heap is free. Reading the kernel's type information and
/// the object takes some ten megabytes for a moment, and what is allocated meanwhile and stays keeps
/// the heap from shrinking by itself.
pub fn give_back() {
    // malloc_trim(3) is glibc's own.
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, from any thread, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
