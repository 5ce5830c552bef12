//! libpcap's compiler for filter expressions, and its interpreter of what that makes.
//!
//! Linked statically, without its capturing parts: `cargo xtask build` makes it from libpcap's
//! sources, with `libpcap.c` beside this file.

#![expect(unsafe_code, reason = "a C library; see each SAFETY line")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::{Mutex, PoisonError};

use capture_common::record::MAX_SNAPLEN;

use crate::filter::expression::classic::{Instruction, Program};
use crate::target::links::Framing;

/// `struct bpf_insn` of libpcap and the kernel alike.
#[repr(C)]
#[derive(Clone, Copy)]
struct BpfInsn {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

/// `struct bpf_program`.
#[repr(C)]
struct BpfProgram {
    len: u32,
    instructions: *mut BpfInsn,
}

// SAFETY: as libpcap 1.10's pcap/pcap.h, pcap/bpf.h and libpcap.c declare them.
unsafe extern "C" {
    fn nodecap_pcap_compile(
        link_type: c_int,
        snaplen: c_int,
        text: *const c_char,
        netmask: u32,
        program: *mut BpfProgram,
        message: *mut c_char,
        room: usize,
    ) -> c_int;
    fn pcap_freecode(program: *mut BpfProgram);
    fn bpf_image(instruction: *const BpfInsn, number: c_int) -> *mut c_char;
    fn bpf_filter(
        program: *const BpfInsn,
        packet: *const u8,
        wire_len: u32,
        captured_len: u32,
    ) -> u32;
    fn pcap_lib_version() -> *const c_char;
}

/// What `ip broadcast` goes by. tcpdump (4.99) gives the same unless it is told `-f`, so that only
/// 255.255.255.255 and 0.0.0.0 are broadcasts.
const NETMASK: u32 = 0;

/// Up to 1.8 the compiler keeps its state in globals; names are looked up in static buffers still.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Compiles an expression for packets that start as `framing` says, as a live capture would: tags
/// that the kernel took out of the frame are looked for in the metadata.
///
/// # Errors
///
/// What libpcap says is wrong with the expression.
pub fn compile(text: &str, framing: Framing) -> Result<Vec<Instruction>, String> {
    let text = CString::new(text).map_err(|_| "it holds a NUL byte".to_owned())?;
    // DLT_EN10MB, and DLT_RAW as pcap_open_dead numbers it on Linux.
    let link_type = match framing {
        Framing::Bare => 12,
        _ => 1,
    };
    let mut program = BpfProgram {
        len: 0,
        instructions: std::ptr::null_mut(),
    };
    // PCAP_ERRBUF_SIZE
    let mut message = [0; 256];
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the text ends with NUL, the program is written on success, and of the message no
    // more than its length, a NUL included.
    let failed = unsafe {
        nodecap_pcap_compile(
            link_type,
            MAX_SNAPLEN.cast_signed(),
            text.as_ptr(),
            NETMASK,
            &raw mut program,
            message.as_mut_ptr(),
            message.len(),
        )
    };
    if failed != 0 {
        // SAFETY: the message ends with NUL: it was all zeros, and snprintf ends what it writes.
        let message = unsafe { CStr::from_ptr(message.as_ptr()) };
        return Err(message.to_string_lossy().into_owned());
    }
    // SAFETY: a program of that many instructions, which nobody changes until it is freed.
    let instructions =
        unsafe { std::slice::from_raw_parts(program.instructions, program.len as usize) }
            .iter()
            .map(|it| Instruction {
                code: it.code,
                jt: it.jt,
                jf: it.jf,
                k: it.k,
            })
            .collect();
    // SAFETY: compiled above, and not used any more.
    unsafe { pcap_freecode(&raw mut program) };
    Ok(instructions)
}

/// An instruction as `tcpdump -d` writes it, the `number`th of its program.
#[must_use]
pub fn image(instruction: &Instruction, number: usize) -> String {
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let number = c_int::try_from(number).unwrap_or(c_int::MAX);
    let instruction = BpfInsn::from(instruction);
    // SAFETY: libpcap reads one instruction and returns a static buffer that ends with NUL, which
    // nobody else writes to while the lock is held.
    let text = unsafe { CStr::from_ptr(bpf_image(&raw const instruction, number)) };
    text.to_string_lossy().into_owned()
}

impl From<&Instruction> for BpfInsn {
    fn from(it: &Instruction) -> Self {
        Self {
            code: it.code,
            jt: it.jt,
            jf: it.jf,
            k: it.k,
        }
    }
}

/// What libpcap's own interpreter makes of a packet: 0 is no match. It knows no metadata.
#[must_use]
pub fn interpret(program: &Program, packet: &[u8]) -> u32 {
    let code: Vec<_> = program.instructions().iter().map(BpfInsn::from).collect();
    let len = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    // SAFETY: libpcap trusts a program's jumps and that it has an end, and `Program` holds none
    // without; the packet has that many bytes.
    unsafe { bpf_filter(code.as_ptr(), packet.as_ptr(), len, len) }
}

/// What libpcap says of itself, such as `libpcap version 1.10.3`.
#[must_use]
pub fn version() -> String {
    // SAFETY: a static string that ends with NUL.
    unsafe { CStr::from_ptr(pcap_lib_version()) }
        .to_string_lossy()
        .into_owned()
}
