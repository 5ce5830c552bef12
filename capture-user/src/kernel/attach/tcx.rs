//! TCX: the programs of an interface in a chain, each held by a link (Linux 6.6).

use std::os::fd::{BorrowedFd, OwnedFd};

use super::super::error::KernelError;
use super::super::sys;
use crate::packet::Direction;

// include/uapi/linux/bpf.h
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Before another one, and where none is named, before all.
const BPF_F_BEFORE: u32 = 1 << 3;

/// Detaches when it is dropped, and with the process.
pub(super) type TcxLink = OwnedFd;

/// Attaches a program at the head of the interface's chain. The interface goes by its index: by its name it
/// could be another one by now.
pub(super) fn attach(
    program: BorrowedFd<'_>,
    index: u32,
    interface: &str,
    direction: Direction,
) -> Result<TcxLink, KernelError> {
    sys::link(&program, index, way(direction), BPF_F_BEFORE).map_err(|source| KernelError::Attach {
        interface: interface.to_owned(),
        source: Box::new(source),
    })
}

/// Whether an interface has such programs. A kernel that knows none, and one that doesn't say, has none.
pub(super) fn is_used(index: u32, direction: Direction) -> bool {
    sys::attached(index, way(direction)).is_ok_and(|count| count > 0)
}

const fn way(direction: Direction) -> u32 {
    match direction {
        Direction::In => BPF_TCX_INGRESS,
        Direction::Out => BPF_TCX_EGRESS,
    }
}
