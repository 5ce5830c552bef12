//! The batches in which CPUs gather small records (`capture-ebpf/src/batch.rs`): looked into, and put
//! into the rings when user space wants to know all that there is.
//!
//! What is in them, user space never reads: the CPU that a batch belongs to puts it into its ring. A
//! program that is run there by hand sees to that, so that it can't come in between.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, OwnedFd};

use capture_common::batch::Batch;
use capture_common::record::RecordHeader;

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

/// Up to when a ring holds all that its CPU has stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complete {
    /// Up to when it was asked.
    Now,
    /// Up to this stamp, without it: what comes from there on found no room.
    Before(u64),
    /// A program was at it in this moment.
    Unknown,
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

    /// Has what waits in them put into the rings. `complete` gets for each ring how far it then holds
    /// what its CPU has stamped up to `now`.
    pub(super) fn flush(&self, now: u64, complete: &mut Vec<Complete>) -> io::Result<()> {
        complete.clear();
        for cpu in 0..self.count {
            complete.push(self.flush_one(cpu, now)?);
        }
        Ok(())
    }

    fn flush_one(&self, cpu: u32, now: u64) -> io::Result<Complete> {
        let batch = cpu as usize * size_of::<Batch>();
        if self.is_empty(batch) {
            return Ok(Complete::Now);
        }
        match sys::run_raw_tracepoint(&self.flush, Some(cpu), cpu.into()) {
            // It was taken out of use, and nothing runs there.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                sys::run_raw_tracepoint(&self.flush, None, cpu.into())?;
            }
            flushed => flushed?,
        }
        // What the program returns, aya's macro throws away; and this tells more. Where the ring had no room
        // the batch is as it was, until some is given back. A program that was at it in that moment may
        // have put in its first record since, or not yet. What else is there now is later.
        if self.is_empty(batch) {
            return Ok(Complete::Now);
        }
        if self.used(batch) == 0 {
            return Ok(Complete::Unknown);
        }
        let first = self.first_stamp(batch);
        Ok(if first > now {
            Complete::Now
        } else {
            Complete::Before(first)
        })
    }

    /// Whether there is nothing in the batch that begins there, and no program about to change that.
    fn is_empty(&self, batch: usize) -> bool {
        // In this order: what a program has put in that isn't busy any more is seen then.
        self.map.load(batch + offset_of!(Batch, busy)) == 0 && self.used(batch) == 0
    }

    fn used(&self, batch: usize) -> u32 {
        self.map.load(batch + offset_of!(Batch, used))
    }

    /// The stamp of the first record of the batch that begins there. Should another one be written in that
    /// place meanwhile, whatever is read will do: the batch was put into the ring then.
    fn first_stamp(&self, batch: usize) -> u64 {
        let at = batch + offset_of!(Batch, records) + offset_of!(RecordHeader, ktime);
        let half = |at| u64::from(self.map.load(at));
        let (first, second) = (half(at), half(at + 4));
        if cfg!(target_endian = "little") {
            first | second << 32
        } else {
            first << 32 | second
        }
    }
}
