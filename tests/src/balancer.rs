//! A load balancer of the lab's own: eBPF programs on TC that write another address and port into
//! passing TCP segments, as Cilium's and other people's do. netfilter has no part in it.

use crate::elf::{Instruction, instruction, object};
use crate::namespace::Namespace;
use crate::scratch::Scratch;
use crate::tool;

/// An IPv4 address and a port.
pub type End = ([u8; 4], u16);

/// Which end of a segment is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Its sender.
    Source,
    /// Its receiver.
    Destination,
}

impl Which {
    /// Where a frame without VLAN tag and IP options has the address and the port.
    const fn places(self) -> (i32, i32) {
        match self {
            Self::Source => (26, 34),
            Self::Destination => (30, 36),
        }
    }
}

/// Has what comes in at an interface go on with another end, where the one it has is `from`.
///
/// # Panics
///
/// When the kernel or tc(8) refuses the program.
#[track_caller]
pub fn rewrite_at_ingress(
    namespace: &Namespace,
    interface: &str,
    which: Which,
    from: End,
    to: End,
) {
    let scratch = Scratch::new();
    let file = scratch.path("balancer.o");
    let bytes = object("classifier", "balancer", &program(which, from, to));
    if let Err(error) = std::fs::write(&file, bytes) {
        panic!("{}: {error}", file.display());
    }
    let tc = |arguments: &str| {
        let mut command = namespace.command("tc");
        command.args(arguments.split(' '));
        command
    };
    tool::run(&mut tc(&format!("qdisc add dev {interface} clsact")));
    tool::run(
        tc(&format!(
            "filter add dev {interface} ingress bpf direct-action object-file"
        ))
        .arg(&file)
        .args(["section", "classifier"]),
    );
}

// Opcodes of eBPF's instruction set (RFC 9669).
const MOV_REGISTER: u8 = 0xbf;
const MOV: u8 = 0xb7;
const MOV_32: u8 = 0xb4;
const ADD: u8 = 0x07;
const LOAD_BYTE: u8 = 0x71;
const LOAD_HALF: u8 = 0x69;
const LOAD_WORD: u8 = 0x61;
const STORE_HALF: u8 = 0x6a;
const STORE_WORD: u8 = 0x62;
const IF_GREATER_REGISTER: u8 = 0x2d;
const IF_NOT: u8 = 0x55;
const IF_NOT_32: u8 = 0x56;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

// Helpers, include/uapi/linux/bpf.h.
const SKB_STORE_BYTES: i32 = 9;
const L3_CSUM_REPLACE: i32 = 10;
const L4_CSUM_REPLACE: i32 = 11;
/// The pseudo-header changes too.
const BPF_F_PSEUDO_HDR: i32 = 0x10;

// Offsets in `struct __sk_buff`.
const DATA: i16 = 76;
const DATA_END: i16 = 80;

/// Where the checksums are.
const IP_CHECKSUM: i32 = 24;
const TCP_CHECKSUM: i32 = 50;

/// Up to the end of the TCP header.
const HEADERS_LEN: i32 = 54;

fn program(which: Which, from: End, to: End) -> Vec<Instruction> {
    let (address_at, port_at) = which.places();
    // As they lie in the packet, read by a little-endian machine.
    let address = |(address, _): End| i32::from_le_bytes(address);
    let port = |(_, port): End| i32::from(port.to_be());
    let call = |helper| instruction(CALL, 0, 0, 0, helper);
    let skb_first = instruction(MOV_REGISTER, 1, 6, 0, 0);
    let replace = |helper, at, from, to, flags: i32| {
        [
            skb_first,
            instruction(MOV, 2, 0, 0, at),
            // Without the sign: the helpers take 64 bits.
            instruction(MOV_32, 3, 0, 0, from),
            instruction(MOV_32, 4, 0, 0, to),
            instruction(MOV, 5, 0, 0, flags),
            call(helper),
        ]
    };
    let store = |at, stack, len| {
        [
            skb_first,
            instruction(MOV, 2, 0, 0, at),
            instruction(MOV_REGISTER, 3, 10, 0, 0),
            instruction(ADD, 3, 0, 0, stack),
            instruction(MOV, 4, 0, 0, len),
            instruction(MOV, 5, 0, 0, 0),
            call(SKB_STORE_BYTES),
        ]
    };
    let mut rewrite = vec![
        instruction(STORE_WORD, 10, 0, -8, address(to)),
        instruction(STORE_HALF, 10, 0, -4, port(to)),
    ];
    let tcp = TCP_CHECKSUM;
    rewrite.extend(replace(
        L4_CSUM_REPLACE,
        tcp,
        address(from),
        address(to),
        BPF_F_PSEUDO_HDR | 4,
    ));
    rewrite.extend(replace(L4_CSUM_REPLACE, tcp, port(from), port(to), 2));
    rewrite.extend(replace(
        L3_CSUM_REPLACE,
        IP_CHECKSUM,
        address(from),
        address(to),
        4,
    ));
    rewrite.extend(store(address_at, -8, 4));
    rewrite.extend(store(port_at, -4, 2));

    let mut code = vec![
        instruction(MOV_REGISTER, 6, 1, 0, 0),
        instruction(LOAD_WORD, 7, 6, DATA, 0),
        instruction(LOAD_WORD, 8, 6, DATA_END, 0),
        instruction(MOV_REGISTER, 2, 7, 0, 0),
        instruction(ADD, 2, 0, 0, HEADERS_LEN),
    ];
    // Each check and how far it jumps: over the checks behind it and the rewriting.
    let checks = [
        // IPv4 without options, TCP, the end that is to be rewritten.
        (LOAD_HALF, 12, IF_NOT, 0x0008),
        (LOAD_BYTE, 14, IF_NOT, 0x45),
        (LOAD_BYTE, 23, IF_NOT, 6),
        (LOAD_WORD, address_at as i16, IF_NOT_32, address(from)),
        (LOAD_HALF, port_at as i16, IF_NOT, port(from)),
    ];
    let behind = |check: usize| (2 * (checks.len() - check) + rewrite.len()) as i16;
    code.push(instruction(IF_GREATER_REGISTER, 2, 8, behind(0), 0));
    for (index, (load, at, unless, value)) in checks.into_iter().enumerate() {
        code.push(instruction(load, 3, 7, at, 0));
        code.push(instruction(unless, 3, 0, behind(index + 1), value));
    }
    code.extend(rewrite);
    // TC_ACT_UNSPEC: on with the packet.
    code.push(instruction(MOV, 0, 0, 0, -1));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    code
}
