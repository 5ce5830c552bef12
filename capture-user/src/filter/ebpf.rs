//! eBPF instructions, as many kinds as a filter's code takes: built, encoded, and written as the
//! kernel's verifier writes them.

use std::fmt;

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    opcode: u8,
    destination: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

/// Bytes of an instruction.
pub const INSTRUCTION_LEN: usize = 8;

/// A register: `r0` to `r10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(u8);

/// The return value, and what calls return.
pub const R0: Register = Register(0);
/// The first argument.
pub const R1: Register = Register(1);
/// The second.
pub const R2: Register = Register(2);
/// The third.
pub const R3: Register = Register(3);
/// The fourth.
pub const R4: Register = Register(4);
/// The fifth.
pub const R5: Register = Register(5);
/// Kept by calls, as those up to [`R9`].
pub const R6: Register = Register(6);
/// Kept by calls.
pub const R7: Register = Register(7);
/// Kept by calls.
pub const R8: Register = Register(8);
/// Kept by calls.
pub const R9: Register = Register(9);
/// The frame pointer.
pub const R10: Register = Register(10);

/// Bytes that a load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum Width {
    One,
    Two,
    Four,
    Eight,
}

/// Arithmetic and its opcode bits (`BPF_ADD` and so on of linux/bpf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say what they are")]
#[repr(u8)]
pub enum Math {
    Add = 0x00,
    Subtract = 0x10,
    Multiply = 0x20,
    Divide = 0x30,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Negate = 0x80,
    Remainder = 0x90,
    Xor = 0xa0,
    Move = 0xb0,
}

/// Conditions and their opcode bits, all unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say what they are")]
#[repr(u8)]
pub enum Condition {
    Equal = 0x10,
    Greater = 0x20,
    AtLeast = 0x30,
    CommonBit = 0x40,
    NotEqual = 0x50,
    Less = 0xa0,
    AtMost = 0xb0,
}

impl Condition {
    /// What holds where this doesn't. There is none for a common bit.
    #[must_use]
    pub fn opposite(self) -> Option<Self> {
        Some(match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Greater => Self::AtMost,
            Self::AtMost => Self::Greater,
            Self::AtLeast => Self::Less,
            Self::Less => Self::AtLeast,
            Self::CommonBit => return None,
        })
    }
}

/// What an instruction works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A register.
    Register(Register),
    /// A number, sign-extended where 64 bits are asked for.
    Number(i32),
}

const CLASS: u8 = 0x07;
const LOAD: u8 = 0x61;
const STORE_NUMBER: u8 = 0x62;
const STORE: u8 = 0x63;
const MATH32: u8 = 0x04;
const MATH64: u8 = 0x07;
const JUMP64: u8 = 0x05;
const JUMP32: u8 = 0x06;
const JUMP_ALWAYS: u8 = 0x05;
const SOURCE_REGISTER: u8 = 0x08;
/// `BPF_END` to big endian, in the 32-bit class.
const TO_BIG_ENDIAN: u8 = 0xdc;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

impl Instruction {
    /// `destination = *(width *)(base + offset)`
    #[must_use]
    pub fn load(width: Width, destination: Register, base: Register, offset: i16) -> Self {
        Self::new(LOAD | size(width), destination, base, offset, 0)
    }

    /// `*(width *)(base + offset) = value`
    #[must_use]
    pub fn store(width: Width, base: Register, offset: i16, value: Value) -> Self {
        match value {
            Value::Register(source) => Self::new(STORE | size(width), base, source, offset, 0),
            Value::Number(number) => {
                Self::new(STORE_NUMBER | size(width), base, R0, offset, number)
            }
        }
    }

    /// 32-bit arithmetic on the destination, whose upper half becomes 0.
    #[must_use]
    pub fn math32(math: Math, destination: Register, value: Value) -> Self {
        Self::math(MATH32 | math as u8, destination, value)
    }

    /// 64-bit arithmetic on the destination.
    #[must_use]
    pub fn math64(math: Math, destination: Register, value: Value) -> Self {
        Self::math(MATH64 | math as u8, destination, value)
    }

    fn math(opcode: u8, destination: Register, value: Value) -> Self {
        match value {
            Value::Register(source) => {
                Self::new(opcode | SOURCE_REGISTER, destination, source, 0, 0)
            }
            Value::Number(number) => Self::new(opcode, destination, R0, 0, number),
        }
    }

    /// Turns the low `bits`, 16, 32 or 64, from network byte order; those above become 0.
    #[must_use]
    pub fn from_network(destination: Register, bits: i32) -> Self {
        Self::new(TO_BIG_ENDIAN, destination, R0, 0, bits)
    }

    /// Goes on after `offset` more instructions, if the low halves are so.
    #[must_use]
    pub fn jump32(condition: Condition, left: Register, right: Value, offset: i16) -> Self {
        Self::jump_if(JUMP32 | condition as u8, left, right, offset)
    }

    /// Goes on after `offset` more instructions, if the registers are so.
    #[must_use]
    pub fn jump64(condition: Condition, left: Register, right: Value, offset: i16) -> Self {
        Self::jump_if(JUMP64 | condition as u8, left, right, offset)
    }

    fn jump_if(opcode: u8, left: Register, right: Value, offset: i16) -> Self {
        match right {
            Value::Register(right) => Self::new(opcode | SOURCE_REGISTER, left, right, offset, 0),
            Value::Number(number) => Self::new(opcode, left, R0, offset, number),
        }
    }

    /// Goes on after `offset` more instructions.
    #[must_use]
    pub fn jump(offset: i16) -> Self {
        Self::new(JUMP_ALWAYS, R0, R0, offset, 0)
    }

    /// Calls a helper by its number (`enum bpf_func_id`).
    #[must_use]
    pub fn call(helper: i32) -> Self {
        Self::new(CALL, R0, R0, 0, helper)
    }

    /// Returns `r0`.
    #[must_use]
    pub fn exit() -> Self {
        Self::new(EXIT, R0, R0, 0, 0)
    }

    fn new(
        opcode: u8,
        destination: Register,
        source: Register,
        offset: i16,
        immediate: i32,
    ) -> Self {
        Self {
            opcode,
            destination: destination.0,
            source: source.0,
            offset,
            immediate,
        }
    }

    /// The same jump by another distance.
    #[must_use]
    pub fn with_offset(self, offset: i16) -> Self {
        Self { offset, ..self }
    }

    /// As the kernel reads it, little-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; INSTRUCTION_LEN] {
        let [o0, o1] = self.offset.to_le_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_le_bytes();
        let registers = self.source << 4 | self.destination;
        [self.opcode, registers, o0, o1, i0, i1, i2, i3]
    }
}

fn size(width: Width) -> u8 {
    match width {
        Width::Four => 0x00,
        Width::Two => 0x08,
        Width::One => 0x10,
        Width::Eight => 0x18,
    }
}

/// In the verifier's words: `w` is a register's low half.
impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            opcode,
            destination,
            source,
            offset,
            immediate,
        } = *self;
        let bits = match opcode & 0x18 {
            0x00 => 32,
            0x08 => 16,
            0x10 => 8,
            _ => 64,
        };
        let half = |wide: bool| if wide { 'r' } else { 'w' };
        let value = |letter: char| {
            if opcode & SOURCE_REGISTER == 0 {
                immediate.to_string()
            } else {
                format!("{letter}{source}")
            }
        };
        match (opcode, opcode & CLASS) {
            (EXIT, _) => write!(f, "exit"),
            (CALL, _) => write!(f, "call {}", helper(immediate)),
            (JUMP_ALWAYS, _) => write!(f, "goto pc{offset:+}"),
            (TO_BIG_ENDIAN, _) => write!(f, "r{destination} = be{immediate} r{destination}"),
            (_, 1) => write!(f, "r{destination} = *(u{bits} *)(r{source} {offset:+})"),
            (_, 2) => write!(f, "*(u{bits} *)(r{destination} {offset:+}) = {immediate}"),
            (_, 3) => write!(f, "*(u{bits} *)(r{destination} {offset:+}) = r{source}"),
            (_, class @ (4 | 7)) => {
                let letter = half(class == 7);
                if opcode & 0xf0 == Math::Negate as u8 {
                    return write!(f, "{letter}{destination} = -{letter}{destination}");
                }
                let sign = match opcode >> 4 {
                    0x0 => "+=",
                    0x1 => "-=",
                    0x2 => "*=",
                    0x3 => "/=",
                    0x4 => "|=",
                    0x5 => "&=",
                    0x6 => "<<=",
                    0x7 => ">>=",
                    0x9 => "%=",
                    0xa => "^=",
                    _ => "=",
                };
                write!(f, "{letter}{destination} {sign} {}", value(letter))
            }
            (_, class) => {
                let letter = half(class == 5);
                let sign = match opcode >> 4 {
                    0x1 => "==",
                    0x2 => ">",
                    0x3 => ">=",
                    0x4 => "&",
                    0x5 => "!=",
                    0xa => "<",
                    _ => "<=",
                };
                let right = match opcode & SOURCE_REGISTER {
                    0 => format!("{:#x}", immediate.cast_unsigned()),
                    _ => value(letter),
                };
                write!(
                    f,
                    "if {letter}{destination} {sign} {right} goto pc{offset:+}"
                )
            }
        }
    }
}

fn helper(number: i32) -> String {
    match number {
        26 => "bpf_skb_load_bytes".to_owned(),
        188 => "bpf_xdp_get_buff_len".to_owned(),
        189 => "bpf_xdp_load_bytes".to_owned(),
        number => format!("#{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_encoded_and_written_as_the_kernel_has_them() {
        let cases: [(Instruction, [u8; 8], &str); 11] = [
            (
                Instruction::load(Width::Two, R7, R9, 12),
                [0x69, 0x97, 12, 0, 0, 0, 0, 0],
                "r7 = *(u16 *)(r9 +12)",
            ),
            (
                Instruction::store(Width::Four, R10, -8, Value::Register(R7)),
                [0x63, 0x7a, 0xf8, 0xff, 0, 0, 0, 0],
                "*(u32 *)(r10 -8) = r7",
            ),
            (
                Instruction::store(Width::Eight, R10, -8, Value::Number(0)),
                [0x7a, 0x0a, 0xf8, 0xff, 0, 0, 0, 0],
                "*(u64 *)(r10 -8) = 0",
            ),
            (
                Instruction::math32(Math::Move, R0, Value::Number(1)),
                [0xb4, 0, 0, 0, 1, 0, 0, 0],
                "w0 = 1",
            ),
            (
                Instruction::math64(Math::Add, R2, Value::Register(R9)),
                [0x0f, 0x92, 0, 0, 0, 0, 0, 0],
                "r2 += r9",
            ),
            (
                Instruction::math32(Math::Negate, R7, Value::Number(0)),
                [0x84, 0x07, 0, 0, 0, 0, 0, 0],
                "w7 = -w7",
            ),
            (
                Instruction::from_network(R7, 16),
                [0xdc, 0x07, 0, 0, 16, 0, 0, 0],
                "r7 = be16 r7",
            ),
            (
                Instruction::jump32(Condition::NotEqual, R7, Value::Number(-1), 3),
                [0x56, 0x07, 3, 0, 0xff, 0xff, 0xff, 0xff],
                "if w7 != 0xffffffff goto pc+3",
            ),
            (
                Instruction::jump64(Condition::Greater, R2, Value::Register(R5), -2),
                [0x2d, 0x52, 0xfe, 0xff, 0, 0, 0, 0],
                "if r2 > r5 goto pc-2",
            ),
            (
                Instruction::call(26),
                [0x85, 0, 0, 0, 26, 0, 0, 0],
                "call bpf_skb_load_bytes",
            ),
            (Instruction::exit(), [0x95, 0, 0, 0, 0, 0, 0, 0], "exit"),
        ];
        for (instruction, bytes, text) in cases {
            assert_eq!(instruction.encode(), bytes, "{text}");
            assert_eq!(instruction.to_string(), text);
        }
    }
}
