//! One small attempt at each thing that a capture needs, undone as it ends.
//!
//! Not through aya: it answers from the kernel's version, or needs a whole object to load.

#![expect(
    unsafe_code,
    reason = "commands of bpf(2) that nothing else uses: pointers among their arguments"
)]

use std::{ffi::CStr, io, os::fd::OwnedFd};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::sys::{self, EXIT, MapCreate, bpf_fd, create, load, raw};

// enum bpf_cmd, bpf_map_type, bpf_prog_type and bpf_attach_type, include/uapi/linux/bpf.h
const BPF_RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;

/// An index that no interface has: the largest that the kernel could give.
const NOWHERE: u32 = i32::MAX.cast_unsigned();

/// The members of `union bpf_attr` for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct RawTracepointOpen {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

/// Creates the plainest of maps.
pub(super) fn array() -> io::Result<()> {
    let plainest = MapCreate {
        map_type: BPF_MAP_TYPE_ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        ..MapCreate::default()
    };
    create(plainest).map(drop)
}

/// Creates a ring buffer of one page.
pub(super) fn ring_buffer() -> io::Result<()> {
    sys::ring(u32::try_from(rustix::param::page_size()).unwrap_or(4096)).map(drop)
}

/// A TC classifier that lets every packet go on (`TC_ACT_UNSPEC`).
pub(super) struct Classifier(OwnedFd);

impl Classifier {
    /// Loads it.
    pub(super) fn load() -> io::Result<Self> {
        // r0 = -1; exit.
        let program = [[0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], EXIT];
        load(BPF_PROG_TYPE_SCHED_CLS, 0, &program).map(Self)
    }

    /// Loads one that takes a packet's address for a number, as following does.
    pub(super) fn load_with_address() -> io::Result<Self> {
        // w0 = w1; exit.
        let program = [[0xbc, 0x10, 0, 0, 0, 0, 0, 0], EXIT];
        load(BPF_PROG_TYPE_SCHED_CLS, 0, &program).map(Self)
    }

    /// Loads one that reads kernel memory, as the kernel's evidence takes. Refused under lockdown
    /// in confidentiality mode (`bpf_base_func_proto`, kernel/bpf/helpers.c).
    pub(super) fn load_reading_memory() -> io::Result<Self> {
        let program = [
            [0xbf, 0xa1, 0, 0, 0, 0, 0, 0],          // r1 = r10
            [0x07, 1, 0, 0, 0xf8, 0xff, 0xff, 0xff], // r1 += -8
            [0xb7, 2, 0, 0, 8, 0, 0, 0],             // r2 = 8
            [0xb7, 3, 0, 0, 0, 0, 0, 0],             // r3 = 0
            [0x85, 0, 0, 0, 113, 0, 0, 0],           // call bpf_probe_read_kernel
            [0xb7, 0, 0, 0, 0, 0, 0, 0],             // r0 = 0
            EXIT,
        ];
        load(BPF_PROG_TYPE_SCHED_CLS, 0, &program).map(Self)
    }

    /// How the kernel refuses to attach it by TCX to an interface that doesn't exist: `ENODEV`
    /// if it got as far as looking for that (`tcx_link_attach`, kernel/bpf/tcx.c), `EINVAL` if it
    /// has no TCX.
    pub(super) fn attach_nowhere(&self) -> io::Result<()> {
        sys::link(&self.0, NOWHERE, BPF_TCX_INGRESS, 0).map(drop)
    }

    /// Whether the kernel compiled it to machine code.
    pub(super) fn is_jited(&self) -> io::Result<bool> {
        Ok(sys::program_info(&self.0)?.jited_prog_len != 0)
    }
}

/// Loads an XDP program that lets every packet pass; for packets of several buffers, if `frags`.
pub(super) fn xdp(frags: bool) -> io::Result<()> {
    // r0 = 2 (`XDP_PASS`); exit.
    let program = [[0xb7, 0, 0, 0, 2, 0, 0, 0], EXIT];
    let flags = if frags { BPF_F_XDP_HAS_FRAGS } else { 0 };
    load(BPF_PROG_TYPE_XDP, flags, &program).map(drop)
}

/// Attaches a program that reads the last of `arguments` arguments to a tracepoint, for a moment.
/// `EINVAL` if it has fewer (`__bpf_probe_register`, kernel/trace/bpf_trace.c), `ENOENT` if there
/// is no such tracepoint.
pub(super) fn tracepoint(name: &CStr, arguments: u8) -> io::Result<()> {
    // r0 = *(u64 *)(r1 + 8 * (arguments - 1)); r0 = 0; exit.
    let program = [
        [0x79, 0x10, 8 * arguments.saturating_sub(1), 0, 0, 0, 0, 0],
        [0xb7, 0, 0, 0, 0, 0, 0, 0],
        EXIT,
    ];
    let program = load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &program)?;
    let mut attr = RawTracepointOpen {
        name: name.as_ptr().expose_provenance() as u64,
        prog_fd: raw(&program),
        padding: 0,
    };
    // SAFETY: `name` points to a text that a NUL ends, which outlasts the call.
    unsafe { bpf_fd(BPF_RAW_TRACEPOINT_OPEN, &mut attr) }.map(drop)
}

/// Runs a raw tracepoint's program by hand on the first CPU.
pub(super) fn run_by_hand() -> io::Result<()> {
    // r0 = 0; exit.
    let program = [[0xb7, 0, 0, 0, 0, 0, 0, 0], EXIT];
    let program = load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, &program)?;
    sys::run_raw_tracepoint(&program, Some(0), 0)
}
