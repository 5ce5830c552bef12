//! Runs code that is made here, by its bytes: what linux/bpf.h says of the few kinds there are.

use super::ebpf::{INSTRUCTION_LEN, Instruction};

/// Where the context is that code is given.
const CONTEXT: u64 = 1 << 40;
/// Where the packet is: a context has addresses of 32 bits.
const PACKET: u64 = 1 << 28;

/// Runs code with up to four arguments; what it returns.
pub(super) fn run(code: &[Instruction], arguments: &[u64]) -> u64 {
    execute(code, arguments, &|address, _| {
        panic!("nothing is at {address:#x}")
    })
}

/// Runs code with the context of a packet: which fields of 32 bits that has, beside those that say
/// where it begins and ends.
pub(super) fn run_on(
    code: &[Instruction],
    packet: &[u8],
    (start, end): (i16, i16),
    fields: &[(i16, u32)],
) -> u64 {
    let end_at = PACKET + packet.len() as u64;
    execute(code, &[CONTEXT], &|address, size| {
        if let Some(at) = address.checked_sub(PACKET).filter(|_| address < CONTEXT) {
            let at = usize::try_from(at).unwrap();
            // Beyond the packet it panics, as it should.
            return packet[at..at + size].to_vec();
        }
        assert_eq!(size, 4, "a context's fields have 32 bits");
        let at = i16::try_from(address - CONTEXT).unwrap();
        let known = [(start, PACKET as u32), (end, end_at as u32)];
        let field = known.iter().chain(fields).find(|field| field.0 == at);
        let (_, value) = field.unwrap_or_else(|| panic!("no field at {at}"));
        value.to_le_bytes().to_vec()
    })
}

fn execute(code: &[Instruction], arguments: &[u64], load: &dyn Fn(u64, usize) -> Vec<u8>) -> u64 {
    let bytes: Vec<[u8; INSTRUCTION_LEN]> = code.iter().map(Instruction::encode).collect();
    let mut registers = [0xdead_beef_u64; 6];
    registers[1..=arguments.len()].copy_from_slice(arguments);
    let mut at = 0;
    loop {
        let [opcode, both, low, high, ref immediate @ ..] = bytes[at];
        let number = i32::from_le_bytes(*immediate);
        let (to, from) = (usize::from(both & 15), usize::from(both >> 4));
        let offset = i16::from_le_bytes([low, high]);
        let (left, right) = (registers[to], registers[from]);
        let wide = i64::from(number).cast_unsigned();
        let narrow = number.cast_unsigned();
        let mut jumps = false;
        match opcode {
            0x95 => return registers[0],
            0x61 | 0x69 | 0x71 | 0x79 => {
                let size = [4, 2, 1, 8][usize::from(opcode >> 3 & 3)];
                let address = right.wrapping_add_signed(offset.into());
                let mut value = load(address, size);
                value.resize(8, 0);
                registers[to] = u64::from_le_bytes(value.try_into().unwrap());
            }
            0xb4 => registers[to] = narrow.into(),
            0xbf => registers[to] = right,
            0x67 => registers[to] = left << number,
            0x07 => registers[to] = left.wrapping_add(wide),
            0x44 => registers[to] = (left as u32 | narrow).into(),
            0x54 => registers[to] = (left as u32 & narrow).into(),
            0xdc => {
                registers[to] = match number {
                    16 => u16::from_be(left as u16).into(),
                    32 => u32::from_be(left as u32).into(),
                    _ => u64::from_be(left),
                }
            }
            0x05 => jumps = true,
            0x16 => jumps = left as u32 == narrow,
            0x36 => jumps = left as u32 >= narrow,
            0x46 => jumps = left as u32 & narrow != 0,
            0x56 => jumps = left as u32 != narrow,
            0x1d => jumps = left == right,
            0x2d => jumps = left > right,
            0x3d => jumps = left >= right,
            0x5d => jumps = left != right,
            0xad => jumps = left < right,
            other => panic!("no such instruction is made: {other:#x}"),
        }
        at += 1 + if jumps {
            usize::try_from(offset).unwrap()
        } else {
            0
        };
    }
}
