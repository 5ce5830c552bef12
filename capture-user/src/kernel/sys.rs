//! Raw bpf(2), for what aya doesn't do, or does in another way than is wanted here.

#![expect(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper: one call, in one function"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use zerocopy::{FromBytes, Immutable, IntoBytes};

// enum bpf_cmd, include/uapi/linux/bpf.h
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;
const BPF_LINK_CREATE: libc::c_int = 28;

/// Of `enum bpf_map_type`.
pub(super) const BPF_MAP_TYPE_RINGBUF: u32 = 27;

/// The members of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes, Immutable)]
pub(super) struct MapCreate {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
    pub(super) numa_node: u32,
    /// Up to 15 characters, then zeros.
    pub(super) map_name: [u8; 16],
}

/// Those for `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct MapUpdate {
    map_fd: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The members of `union bpf_attr` for `BPF_PROG_LOAD`.
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

/// Those for `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes, Immutable)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    reserved: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// Those for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct GetInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// Those for `BPF_MAP_UPDATE_BATCH`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// The head of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes, Immutable)]
pub(super) struct ProgInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    pub(super) jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    /// Up to 15 characters, then zeros.
    pub(super) name: [u8; 16],
}

/// Those for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable)]
struct GetById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// Those for `BPF_PROG_TEST_RUN`.
#[repr(C)]
#[derive(Default, FromBytes, IntoBytes, Immutable)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
}

/// Of `TestRun::flags`.
const BPF_F_TEST_RUN_ON_CPU: u32 = 1;

/// The instruction that ends a program.
pub(super) const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

/// Makes a map.
pub(super) fn create(mut attr: MapCreate) -> io::Result<OwnedFd> {
    // SAFETY: there are no pointers among these members.
    unsafe { bpf_fd(BPF_MAP_CREATE, &mut attr) }
}

/// Makes a ring of so many bytes: a power of two, at least a page.
pub(super) fn ring(bytes: u32) -> io::Result<OwnedFd> {
    create(MapCreate {
        map_type: BPF_MAP_TYPE_RINGBUF,
        max_entries: bytes,
        map_name: *b"nodecap_ring\0\0\0\0",
        ..MapCreate::default()
    })
}

/// Puts a map into an array of maps.
pub(super) fn put_into_array(array: &impl AsFd, index: u32, map: &impl AsFd) -> io::Result<()> {
    let value = raw(map);
    let mut attr = MapUpdate {
        map_fd: raw(array),
        reserved: 0,
        key: std::ptr::from_ref(&index).expose_provenance() as u64,
        value: std::ptr::from_ref(&value).expose_provenance() as u64,
        flags: 0,
    };
    // SAFETY: an array's key and a map of maps' value are four bytes each, which the kernel only
    // reads, and both outlast the call.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }?;
    Ok(())
}

/// Attaches a program to an interface by a link, which detaches it when it is closed.
pub(super) fn link(
    program: &impl AsFd,
    index: u32,
    attach_type: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: raw(program),
        target_ifindex: index,
        attach_type,
        flags,
    };
    // SAFETY: there are no pointers among these members.
    unsafe { bpf_fd(BPF_LINK_CREATE, &mut attr) }
}

/// Writes entries of an array map, each under its key, in one call (Linux 5.6).
pub(super) fn update_batch<V: IntoBytes + Immutable>(
    map: &impl AsFd,
    keys: &[u32],
    values: &[V],
) -> io::Result<()> {
    let mut attr = Batch {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr().expose_provenance() as u64,
        values: values.as_ptr().expose_provenance() as u64,
        // As many as there are of both.
        count: u32::try_from(keys.len().min(values.len())).map_err(io::Error::other)?,
        map_fd: raw(map),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: `keys` and `values` point to at least `count` of each, without padding (`IntoBytes`),
    // which outlast the call and which the kernel only reads. An array's key is a u32; a value is
    // as long as the map's, which its caller vouches for: see `tables`, where both are a Slot.
    unsafe { bpf(BPF_MAP_UPDATE_BATCH, &mut attr) }?;
    Ok(())
}

/// How many programs are attached to an interface in this way.
pub(super) fn attached(index: u32, way: u32) -> io::Result<u32> {
    let mut attr = Query {
        target_ifindex: index,
        attach_type: way,
        ..Query::default()
    };
    // SAFETY: the pointers among these members are null, which asks for no lists.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr) }?;
    Ok(attr.count)
}

/// What the kernel says of a program.
pub(super) fn program_info(program: &impl AsFd) -> io::Result<ProgInfo> {
    let mut info = ProgInfo::default();
    let mut attr = GetInfo {
        bpf_fd: raw(program),
        info_len: u32::try_from(size_of::<ProgInfo>()).unwrap_or(0),
        info: std::ptr::from_mut(&mut info).expose_provenance() as u64,
    };
    // SAFETY: the kernel writes at most `info_len` bytes to `info`, which has that room, takes
    // any bytes (`FromBytes`), and outlasts the call. The zeroes in it ask for no arrays.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info)
}

/// The program with a number. Takes `CAP_SYS_ADMIN`.
pub(super) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = GetById {
        id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: there are no pointers among these members.
    unsafe { bpf_fd(BPF_PROG_GET_FD_BY_ID, &mut attr) }
}

/// Loads a program (`struct bpf_insn`: opcode, registers, offset, immediate) with flags
/// (`BPF_F_*`).
pub(super) fn load(kind: u32, flags: u32, program: &[[u8; 8]]) -> io::Result<OwnedFd> {
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
        prog_flags: flags,
    };
    // SAFETY: `insns` points to as many instructions as `insn_cnt` says, `license` to a text that
    // a NUL ends; both outlast the call, and the kernel only reads them. `log_buf` is null, and
    // the log's size is 0.
    unsafe { bpf_fd(BPF_PROG_LOAD, &mut attr) }
}

/// Runs a raw tracepoint's program with one argument on a CPU (Linux 5.10), or where it happens to be.
/// `ENXIO` where that CPU isn't online.
pub(super) fn run_raw_tracepoint(
    program: &impl AsFd,
    cpu: Option<u32>,
    argument: u64,
) -> io::Result<()> {
    let mut attr = TestRun {
        prog_fd: raw(program),
        ctx_in: std::ptr::from_ref(&argument).expose_provenance() as u64,
        ctx_size_in: u32::try_from(size_of_val(&argument)).unwrap_or(0),
        flags: cpu.map_or(0, |_| BPF_F_TEST_RUN_ON_CPU),
        cpu: cpu.unwrap_or(0),
        ..TestRun::default()
    };
    // SAFETY: `ctx_in` points to as many bytes as `ctx_size_in` says, which outlast the call and which
    // the kernel only reads. The other pointers are null, and their sizes are 0.
    unsafe { bpf(BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(())
}

pub(super) fn raw(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

/// A command whose result is a new file descriptor.
///
/// # Safety
///
/// As [`bpf`]; and the command must be one that returns a file descriptor.
pub(super) unsafe fn bpf_fd<T: IntoBytes + FromBytes>(
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
