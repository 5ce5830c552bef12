//! Classic BPF run here, by its definition: for packets that are only thought of, and to compare
//! the kernel's answers with, metadata included.

use super::classic::{MEMORY_WORDS, Meta, Op, Operand, Operation, Place, Program, Size, Test};

/// What the kernel would know of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The EtherType of the payload.
    pub protocol: u16,
    /// `skb->pkt_type`, or `PACKET_OUTGOING` if it leaves.
    pub packet_type: u32,
    /// The interface's index.
    pub interface: u32,
    /// A tag that was taken out of the frame: EtherType and tag control information.
    pub tag: Option<(u16, u16)>,
}

/// Runs a program on a packet; 0 is no match.
#[must_use]
pub fn interpret(program: &Program, packet: &[u8], metadata: &Metadata) -> u32 {
    Machine {
        packet,
        metadata,
        a: 0,
        x: 0,
        memory: [0; MEMORY_WORDS],
    }
    .run(program)
    .unwrap_or(0)
}

struct Machine<'a> {
    packet: &'a [u8],
    metadata: &'a Metadata,
    a: u32,
    x: u32,
    memory: [u32; MEMORY_WORDS],
}

impl Machine<'_> {
    /// Nothing where the program reads outside the packet or divides by zero.
    fn run(&mut self, program: &Program) -> Option<u32> {
        let len = u32::try_from(self.packet.len()).unwrap_or(u32::MAX);
        let mut at = 0;
        loop {
            let op = *program.ops().get(at)?;
            at += 1;
            match op {
                Op::Load(size, place) => self.a = self.load(size, place)?,
                Op::LoadXHeaderLen(k) => {
                    self.x = (self.load(Size::Byte, Place::At(k))? & 0xf) * 4;
                }
                Op::LoadLen => self.a = len,
                Op::LoadXLen => self.x = len,
                Op::LoadNumber(k) => self.a = k,
                Op::LoadXNumber(k) => self.x = k,
                Op::LoadMemory(word) => self.a = self.memory[usize::from(word)],
                Op::LoadXMemory(word) => self.x = self.memory[usize::from(word)],
                Op::Store(word) => self.memory[usize::from(word)] = self.a,
                Op::StoreX(word) => self.memory[usize::from(word)] = self.x,
                Op::LoadMeta(meta) => self.a = self.meta(meta),
                Op::Calculate(operation, operand) => {
                    self.a = calculate(operation, self.a, self.operand(operand))?;
                }
                Op::Negate => self.a = self.a.wrapping_neg(),
                Op::AToX => self.x = self.a,
                Op::XToA => self.a = self.x,
                Op::Jump(target) => at = target,
                Op::Branch {
                    test,
                    with,
                    yes,
                    no,
                } => {
                    let right = self.operand(with);
                    let holds = match test {
                        Test::Equal => self.a == right,
                        Test::Greater => self.a > right,
                        Test::AtLeast => self.a >= right,
                        Test::CommonBit => self.a & right != 0,
                    };
                    at = if holds { yes } else { no };
                }
                Op::Return(k) => return Some(k),
                Op::ReturnA => return Some(self.a),
            }
        }
    }

    fn operand(&self, operand: Operand) -> u32 {
        match operand {
            Operand::Number(k) => k,
            Operand::X => self.x,
        }
    }

    fn load(&self, size: Size, place: Place) -> Option<u32> {
        let start = match place {
            Place::At(k) => u64::from(k),
            Place::BehindX(k) => u64::from(self.x) + u64::from(k),
        };
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(size.bytes() as usize)?;
        let bytes = self.packet.get(start..end)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte)),
        )
    }

    fn meta(&self, meta: Meta) -> u32 {
        let Metadata {
            protocol,
            packet_type,
            interface,
            tag,
        } = *self.metadata;
        match meta {
            Meta::Protocol => protocol.into(),
            Meta::PacketType => packet_type,
            Meta::Interface => interface,
            Meta::Tag => tag.map_or(0, |(_, tci)| tci.into()),
            Meta::TagPresent => tag.is_some().into(),
            Meta::TagProtocol => tag.map_or(0, |(protocol, _)| protocol.into()),
            // Nothing sets these on a packet that is only thought of.
            Meta::Mark | Meta::Queue | Meta::Hash => 0,
        }
    }
}

fn calculate(operation: Operation, a: u32, b: u32) -> Option<u32> {
    Some(match operation {
        Operation::Add => a.wrapping_add(b),
        Operation::Subtract => a.wrapping_sub(b),
        Operation::Multiply => a.wrapping_mul(b),
        Operation::Divide => a.checked_div(b)?,
        Operation::Remainder => a.checked_rem(b)?,
        Operation::Or => a | b,
        Operation::And => a & b,
        Operation::Xor => a ^ b,
        Operation::ShiftLeft => a.checked_shl(b).unwrap_or(0),
        Operation::ShiftRight => a.checked_shr(b).unwrap_or(0),
    })
}
