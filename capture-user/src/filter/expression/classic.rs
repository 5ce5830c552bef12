//! Classic BPF, as libpcap's compiler makes it: from numbers to what they mean.
//!
//! Meanings are those of the kernel's `bpf_check_classic` and libpcap's `bpf_filter`. A
//! [`Program`] holds only what both would run: jumps go forwards and stay inside, and every way
//! through ends with a return.

/// `struct sock_filter`: one instruction in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, mode, size or operation (`BPF_*` of linux/bpf_common.h).
    pub code: u16,
    /// How many instructions to skip if a condition holds.
    pub jt: u8,
    /// How many if it doesn't.
    pub jf: u8,
    /// The number that goes with it.
    pub k: u32,
}

/// The most instructions that a program may have: `BPF_MAXINSNS`, the kernel's own limit for
/// classic programs.
pub const MAX_INSTRUCTIONS: usize = 4_096;

/// Words of memory that a program has (`BPF_MEMWORDS`).
pub const MEMORY_WORDS: usize = 16;

/// What an instruction does. `a` and `x` are the two registers, of 32 bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `a` becomes a number of the packet in network byte order.
    Load(Size, Place),
    /// `a` becomes the packet's length.
    LoadLen,
    /// `a` becomes the number.
    LoadNumber(u32),
    /// `a` becomes a word of memory.
    LoadMemory(u8),
    /// `a` becomes something the kernel knows of the packet.
    LoadMeta(Meta),
    /// `x` becomes the packet's length.
    LoadXLen,
    /// `x` becomes the number.
    LoadXNumber(u32),
    /// `x` becomes a word of memory.
    LoadXMemory(u8),
    /// `x` becomes four times the low half of the packet's byte there: an IPv4 header's length.
    LoadXHeaderLen(u32),
    /// A word of memory becomes `a`.
    Store(u8),
    /// A word of memory becomes `x`.
    StoreX(u8),
    /// `a` becomes the operation's result.
    Calculate(Operation, Operand),
    /// `a` becomes its two's complement.
    Negate,
    /// `x` becomes `a`.
    AToX,
    /// `a` becomes `x`.
    XToA,
    /// Goes on at another instruction.
    Jump(usize),
    /// Goes on at one of two instructions.
    Branch {
        /// What `a` is asked for.
        test: Test,
        /// What it is compared with.
        with: Operand,
        /// Where to, if it holds.
        yes: usize,
        /// Where to otherwise.
        no: usize,
    },
    /// Ends with this number; 0 is no match.
    Return(u32),
    /// Ends with `a`.
    ReturnA,
}

/// How much of the packet a load takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// One byte.
    Byte,
    /// Two.
    Half,
    /// Four.
    Word,
}

impl Size {
    /// The same in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// Where a load takes it from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// This offset.
    At(u32),
    /// This offset behind `x`.
    BehindX(u32),
}

/// The second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A number.
    Number(u32),
    /// `x`.
    X,
}

/// 32-bit arithmetic, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Or,
    And,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// Comparisons, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Equal.
    Equal,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
    /// A bit in common.
    CommonBit,
}

/// What the kernel knows of a packet besides its bytes (`SKF_AD_*` of linux/filter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// `skb->protocol`, in host byte order.
    Protocol,
    /// `skb->pkt_type`; for a packet that leaves, `PACKET_OUTGOING`.
    PacketType,
    /// The interface's index.
    Interface,
    /// `skb->mark`.
    Mark,
    /// `skb->queue_mapping`.
    Queue,
    /// `skb->hash`.
    Hash,
    /// The tag control information of a tag that was taken out of the frame.
    Tag,
    /// 1 if such a tag there is.
    TagPresent,
    /// That tag's EtherType.
    TagProtocol,
}

/// Why a classic program can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It goes back.
    #[error(
        "it walks a chain of headers of any length (`protochain`), which takes a loop, and no such loop can run in the kernel: name the header itself, as in `ip6 proto`"
    )]
    Loop,
    /// Too many instructions.
    #[error(
        "it takes {0} instructions and {MAX_INSTRUCTIONS} is the most that can run in the kernel: give long lists to options such as --host and --port"
    )]
    TooLong(usize),
    /// An instruction that doesn't exist, or goes astray.
    #[error("libpcap made something of it that isn't classic BPF (instruction {0})")]
    Malformed(usize),
    /// A load that counts from a header, or asks for metadata that isn't there under a hook.
    #[error("it reads the packet at offset {}, which means nothing here", .0.cast_signed())]
    Offset(u32),
}

/// A program that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    instructions: Vec<Instruction>,
    ops: Vec<Op>,
}

impl Program {
    /// Reads a program.
    ///
    /// # Errors
    ///
    /// [`Refused`], if it isn't one that the kernel's and libpcap's interpreters would both run.
    pub fn new(instructions: Vec<Instruction>) -> Result<Self, Refused> {
        if instructions.len() > MAX_INSTRUCTIONS {
            return Err(Refused::TooLong(instructions.len()));
        }
        let ops: Vec<_> = instructions
            .iter()
            .enumerate()
            .map(|(at, instruction)| decode(instruction, at, instructions.len()))
            .collect::<Result<_, _>>()?;
        if !matches!(ops.last(), Some(Op::Return(_) | Op::ReturnA)) {
            return Err(Refused::Malformed(ops.len()));
        }
        Ok(Self { instructions, ops })
    }

    /// It in numbers.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// It in meaning, an [`Op`] an instruction.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Which instructions can be come to at all.
    #[must_use]
    pub fn reachable(&self) -> Vec<bool> {
        let mut reachable = vec![false; self.ops.len()];
        if let Some(first) = reachable.first_mut() {
            *first = true;
        }
        // Jumps go forwards, so one pass sees every way.
        for at in 0..self.ops.len() {
            if reachable[at] {
                for next in self.successors(at) {
                    reachable[next] = true;
                }
            }
        }
        reachable
    }

    /// Where an instruction leads.
    pub fn successors(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, second) = match self.ops[at] {
            Op::Return(_) | Op::ReturnA => (None, None),
            Op::Jump(target) => (Some(target), None),
            Op::Branch { yes, no, .. } => (Some(yes), Some(no)),
            _ => (Some(at + 1), None),
        };
        first.into_iter().chain(second)
    }
}

// linux/bpf_common.h: the class, then what a class makes of the other bits.
const CLASS: u16 = 0x07;
const SIZE: u16 = 0x18;
const MODE: u16 = 0xe0;
const OPERATION: u16 = 0xf0;
const SOURCE_X: u16 = 0x08;

/// `SKF_AD_OFF`, as the unsigned number that it is in an instruction.
const META: u32 = 0xffff_f000;
/// The first offset that counts from elsewhere than the packet's start.
const NEGATIVE: u32 = 0x8000_0000;

fn decode(instruction: &Instruction, at: usize, len: usize) -> Result<Op, Refused> {
    let Instruction { code, k, .. } = *instruction;
    let malformed = Refused::Malformed(at);
    if code > 0xff {
        return Err(malformed);
    }
    let inside = |target: usize| {
        if target < len {
            Ok(target)
        } else {
            Err(Refused::Malformed(at))
        }
    };
    let word = |k: u32| match u8::try_from(k) {
        Ok(word) if usize::from(word) < MEMORY_WORDS => Ok(word),
        _ => Err(Refused::Malformed(at)),
    };
    let operand = if code & SOURCE_X == 0 {
        Operand::Number(k)
    } else {
        Operand::X
    };
    // All but returns and jumps go on with the next one.
    if !matches!(code & CLASS, 5 | 6) {
        inside(at + 1)?;
    }
    Ok(match code & CLASS {
        // BPF_LD
        0 => match (code & MODE, size(code)) {
            (0x00, Some(Size::Word)) => Op::LoadNumber(k),
            (0x20, Some(_)) if k >= META => Op::LoadMeta(meta(k)?),
            (0x20, Some(_)) if k >= NEGATIVE => return Err(Refused::Offset(k)),
            (0x20, Some(size)) => Op::Load(size, Place::At(k)),
            (0x40, Some(size)) => Op::Load(size, Place::BehindX(k)),
            (0x60, Some(Size::Word)) => Op::LoadMemory(word(k)?),
            (0x80, Some(Size::Word)) => Op::LoadLen,
            _ => return Err(malformed),
        },
        // BPF_LDX
        1 => match (code & MODE, size(code)) {
            (0x00, Some(Size::Word)) => Op::LoadXNumber(k),
            (0x60, Some(Size::Word)) => Op::LoadXMemory(word(k)?),
            (0x80, Some(Size::Word)) => Op::LoadXLen,
            (0xa0, Some(Size::Byte)) if k >= NEGATIVE => return Err(Refused::Offset(k)),
            (0xa0, Some(Size::Byte)) => Op::LoadXHeaderLen(k),
            _ => return Err(malformed),
        },
        // BPF_ST and BPF_STX
        2 if code == 0x02 => Op::Store(word(k)?),
        3 if code == 0x03 => Op::StoreX(word(k)?),
        // BPF_ALU
        4 => match code & OPERATION {
            0x80 if code == 0x84 => Op::Negate,
            // Division by a constant zero.
            0x30 | 0x90 if operand == Operand::Number(0) => return Err(malformed),
            operation => Op::Calculate(operation_of(operation).ok_or(malformed)?, operand),
        },
        // BPF_JMP
        5 => match code & OPERATION {
            0x00 if code != 0x05 => return Err(malformed),
            0x00 if k >= NEGATIVE => return Err(Refused::Loop),
            0x00 => Op::Jump(inside(at + 1 + k as usize)?),
            test => Op::Branch {
                test: test_of(test).ok_or(malformed)?,
                with: operand,
                yes: inside(at + 1 + usize::from(instruction.jt))?,
                no: inside(at + 1 + usize::from(instruction.jf))?,
            },
        },
        // BPF_RET
        6 => match code {
            0x06 => Op::Return(k),
            0x16 => Op::ReturnA,
            _ => return Err(malformed),
        },
        // BPF_MISC
        7 => match code {
            0x07 => Op::AToX,
            0x87 => Op::XToA,
            _ => return Err(malformed),
        },
        _ => return Err(malformed),
    })
}

fn size(code: u16) -> Option<Size> {
    match code & SIZE {
        0x00 => Some(Size::Word),
        0x08 => Some(Size::Half),
        0x10 => Some(Size::Byte),
        _ => None,
    }
}

fn operation_of(bits: u16) -> Option<Operation> {
    Some(match bits {
        0x00 => Operation::Add,
        0x10 => Operation::Subtract,
        0x20 => Operation::Multiply,
        0x30 => Operation::Divide,
        0x40 => Operation::Or,
        0x50 => Operation::And,
        0x60 => Operation::ShiftLeft,
        0x70 => Operation::ShiftRight,
        0x90 => Operation::Remainder,
        0xa0 => Operation::Xor,
        _ => return None,
    })
}

fn test_of(bits: u16) -> Option<Test> {
    Some(match bits {
        0x10 => Test::Equal,
        0x20 => Test::Greater,
        0x30 => Test::AtLeast,
        0x40 => Test::CommonBit,
        _ => return None,
    })
}

fn meta(k: u32) -> Result<Meta, Refused> {
    Ok(match k - META {
        0 => Meta::Protocol,
        4 => Meta::PacketType,
        8 => Meta::Interface,
        20 => Meta::Mark,
        24 => Meta::Queue,
        32 => Meta::Hash,
        44 => Meta::Tag,
        48 => Meta::TagPresent,
        60 => Meta::TagProtocol,
        _ => return Err(Refused::Offset(k)),
    })
}
