//! The batches in which CPUs gather small records (`capture-ebpf/src/batch.rs`): looked into, and put
//! into the rings when user space wants to know all that there is.
//!
//! What is in them, user space never reads: the CPU that a batch belongs to puts it into its ring. A
//! program that is run there by hand sees to that, so that it can't come in between.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use capture_common::batch::{Batch, Flushed};

use super::mapping::Mapping;
use super::sys;

/// Where a kernel with preemptible softirqs (`PREEMPT_RT`) says so.
const REALTIME: &str = "/sys/kernel/realtime";

/// Whether batches can be had, where each CPU has a ring of its own: whether a program can be run by
/// hand on any CPU, and none of ours on one CPU gets in the way of another one.
pub(super) fn can_be_had() -> bool {
    let realtime = std::fs::read_to_string(REALTIME).is_ok_and(|answer| answer.trim() != "0");
    !realtime && super::probe::run_by_hand().is_ok()
}

/// All batches, by their CPUs' numbers.
pub(super) struct Batches {
    map: Mapping,
    count: u32,
    /// [`capture_common::names::FLUSH`].
    flush: OwnedFd,
}

impl Batches {
    /// Maps them to be looked into.
    pub(super) fn new(map: &impl AsFd, count: u32, flush: OwnedFd) -> io::Result<Self> {
        let map = Mapping::read_only(map.as_fd(), count as usize * size_of::<Batch>())?;
        Ok(Self { map, count, flush })
    }

    /// Has what waits in them put into the rings. Returns the rings into which something couldn't be
    /// put, each as a bit: they may lack what was stamped before this call.
    pub(super) fn flush(&self) -> io::Result<u64> {
        let mut lacking = 0;
        for cpu in 0..self.count {
            let at = cpu as usize * size_of::<Batch>();
            let waits = |member| self.map.load(at + member) != 0;
            if !waits(std::mem::offset_of!(Batch, used))
                && !waits(std::mem::offset_of!(Batch, busy))
            {
                continue;
            }
            let flushed = match sys::run_raw_tracepoint(&self.flush, Some(cpu), cpu.into()) {
                // It was taken out of use, and nothing runs there.
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                    sys::run_raw_tracepoint(&self.flush, None, cpu.into())?
                }
                flushed => flushed?,
            };
            if flushed != Flushed::EMPTY {
                lacking |= 1 << cpu;
            }
        }
        Ok(lacking)
    }
}
