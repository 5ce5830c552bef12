//! Raw bpf(2): one small attempt at each thing that a capture needs, undone as it ends.
//!
//! Not through aya: it answers from the kernel's version, or needs a whole object to load.

#![expect(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper: one call, in one function"
)]

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use zerocopy::{FromBytes, Immutable, IntoBytes};

// enum bpf_cmd, bpf_map_type, bpf_prog_type and bpf_attach_type, include/uapi/linux/bpf.h
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_int = 17;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_LPM_TRIE: u32 = 11;
const BPF_MAP_TYPE_RINGBUF: u32 = 27;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_F_NO_PREALLOC: u32 = 1;

/// An index that no interface has: the largest that the kernel could give.
const NOWHERE: u32 = i32::MAX.cast_unsigned();

/// The members of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// Those for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// Those for `BPF_LINK_CREATE`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// Those for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct RawTracepointOpen {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

/// Those for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The head of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes, Immutable)]
struct ProgInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
}

/// Creates the plainest of maps.
pub(super) fn array() -> io::Result<()> {
    create(&mut MapCreate {
        map_type: BPF_MAP_TYPE_ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        map_flags: 0,
    })
}

/// Creates a ring buffer of one page.
pub(super) fn ring_buffer() -> io::Result<()> {
    create(&mut MapCreate {
        map_type: BPF_MAP_TYPE_RINGBUF,
        key_size: 0,
        value_size: 0,
        max_entries: u32::try_from(rustix::param::page_size()).unwrap_or(4096),
        map_flags: 0,
    })
}

/// Creates a longest-prefix-match trie with IPv4 addresses as keys.
pub(super) fn lpm_trie() -> io::Result<()> {
    create(&mut MapCreate {
        map_type: BPF_MAP_TYPE_LPM_TRIE,
        key_size: 8,
        value_size: 8,
        max_entries: 1,
        map_flags: BPF_F_NO_PREALLOC,
    })
}

fn create(attr: &mut MapCreate) -> io::Result<()> {
    // SAFETY: there are no pointers among these members.
    unsafe { bpf_fd(BPF_MAP_CREATE, attr) }.map(drop)
}

/// A TC classifier that lets every packet go on (`TC_ACT_UNSPEC`).
pub(super) struct Classifier(OwnedFd);

impl Classifier {
    /// Loads it.
    pub(super) fn load() -> io::Result<Self> {
        // r0 = -1; exit.
        let program = [[0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], EXIT];
        load(BPF_PROG_TYPE_SCHED_CLS, &program).map(Self)
    }

    /// Loads one that takes a packet's address for a number, as following does.
    pub(super) fn load_with_address() -> io::Result<Self> {
        // w0 = w1; exit.
        let program = [[0xbc, 0x10, 0, 0, 0, 0, 0, 0], EXIT];
        load(BPF_PROG_TYPE_SCHED_CLS, &program).map(Self)
    }

    /// How the kernel refuses to attach it by TCX to an interface that doesn't exist: `ENODEV`
    /// if it got as far as looking for that (`tcx_link_attach`, kernel/bpf/tcx.c), `EINVAL` if it
    /// has no TCX.
    pub(super) fn attach_nowhere(&self) -> io::Result<()> {
        let mut attr = LinkCreate {
            prog_fd: raw(&self.0),
            target_ifindex: NOWHERE,
            attach_type: BPF_TCX_INGRESS,
            flags: 0,
        };
        // SAFETY: there are no pointers among these members.
        unsafe { bpf_fd(BPF_LINK_CREATE, &mut attr) }.map(drop)
    }

    /// Whether the kernel compiled it to machine code.
    pub(super) fn is_jited(&self) -> io::Result<bool> {
        let mut info = ProgInfo::default();
        let mut attr = GetInfo {
            bpf_fd: raw(&self.0),
            info_len: u32::try_from(size_of::<ProgInfo>()).unwrap_or(0),
            info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
        };
        // SAFETY: the kernel writes at most `info_len` bytes to `info`, which has that room, takes
        // any bytes (`FromBytes`), and outlasts the call. The zeroes in it ask for no arrays.
        unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
        Ok(info.jited_prog_len != 0)
    }
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
    let program = load(BPF_PROG_TYPE_RAW_TRACEPOINT, &program)?;
    let mut attr = RawTracepointOpen {
        name: name.as_ptr().expose_provenance() as u64,
        prog_fd: raw(&program),
        padding: 0,
    };
    // SAFETY: `name` points to a text that a NUL ends, which outlasts the call.
    unsafe { bpf_fd(BPF_RAW_TRACEPOINT_OPEN, &mut attr) }.map(drop)
}

/// The instruction that ends a program.
const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

/// Loads a program (`struct bpf_insn`: opcode, registers, offset, immediate).
fn load(kind: u32, program: &[[u8; 8]]) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let mut attr = ProgLoad {
        prog_type: kind,
        insn_cnt: u32::try_from(program.len()).map_err(io::Error::other)?,
        insns: program.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: `insns` points to as many instructions as `insn_cnt` says, `license` to a text that
    // a NUL ends; both outlast the call, and the kernel only reads them. `log_buf` is null, and
    // the log's size is 0.
    unsafe { bpf_fd(BPF_PROG_LOAD, &mut attr) }
}

fn raw(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

/// A command whose result is a new file descriptor.
///
/// # Safety
///
/// As [`bpf`]; and the command must be one that returns a file descriptor.
unsafe fn bpf_fd<T: IntoBytes + FromBytes>(
    command: libc::c_int,
    attr: &mut T,
) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: by the caller's promise it is a file descriptor, new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The system call.
///
/// # Safety
///
/// `attr` must hold the members of `union bpf_attr` for this command, and each pointer among them
/// must be good for what the kernel does with it there.
unsafe fn bpf<T: IntoBytes + FromBytes>(command: libc::c_int, attr: &mut T) -> io::Result<i32> {
    // SAFETY: `attr` is as long as the size says, has no padding (`IntoBytes`), and any bytes that
    // the kernel may write there are valid (`FromBytes`). The pointers are the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
