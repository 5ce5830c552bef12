//! The code of a translation: what each classic instruction becomes. What reads the packet is in
//! `packet.rs`.

use super::super::super::assembly::Assembly;
use super::super::super::ebpf::{
    Condition, Instruction, Math, R0, R1, R2, R3, R4, R5, R10, Register, Value, Width,
};
use super::super::classic::{
    MEMORY_WORDS, Meta, Op, Operand, Operation, Place, Program, Size, Test,
};
use super::known::{Check, Live, Order, Step, is_beyond_any_packet};
use super::{Hook, TooLong};

const fn memory(word: u8) -> i16 {
    -4 * (MEMORY_WORDS as i16 - word as i16)
}
pub(super) const BUFFER: i16 = memory(0) - 8;
/// Where the registers are while a helper runs.
pub(super) const KEPT_CONTEXT: i16 = BUFFER - 8;
pub(super) const KEPT_START: i16 = KEPT_CONTEXT - 8;
pub(super) const KEPT_A: i16 = KEPT_START - 4;
pub(super) const KEPT_X: i16 = KEPT_A - 4;
pub(super) const EGRESS: i16 = KEPT_X - 8;

pub(super) const A: Register = R0;
pub(super) const CONTEXT: Register = R1;
pub(super) const START: Register = R2;
pub(super) const END: Register = R3;
pub(super) const X: Register = R4;
/// `x`'s place in the packet.
pub(super) const BEHIND: Register = R5;

/// Where a jump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Label {
    /// A classic instruction, in the code that reads directly.
    Direct(usize),
    /// The same in the code that asks the helper.
    Helped(usize),
    /// The end for what can't be read.
    NoMatch,
}

/// The code as it grows.
pub(super) struct Code {
    pub(super) hook: Hook,
    assembly: Assembly<Label>,
}

impl Code {
    /// None yet.
    pub(super) fn new(hook: Hook) -> Self {
        Self {
            hook,
            assembly: Assembly::default(),
        }
    }

    /// Whether anything jumps there.
    pub(super) fn leads_to(&self, label: Label) -> bool {
        self.assembly.leads_to(label)
    }

    pub(super) fn emit(&mut self, instruction: Instruction) {
        self.assembly.emit(instruction);
    }

    pub(super) fn label(&mut self, label: Label) {
        self.assembly.label(label);
    }

    pub(super) fn jump_to(&mut self, label: Label, jump: Instruction) {
        self.assembly.jump_to(label, jump);
    }

    pub(super) fn jump_if32(
        &mut self,
        condition: Condition,
        left: Register,
        right: Value,
        to: Label,
    ) {
        self.jump_to(to, Instruction::jump32(condition, left, right, 0));
    }

    pub(super) fn number32(&mut self, math: Math, register: Register, number: u32) {
        let number = Value::Number(number.cast_signed());
        self.emit(Instruction::math32(math, register, number));
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.emit(Instruction::math64(Math::Move, to, Value::Register(from)));
    }

    pub(super) fn add(&mut self, register: Register, number: i32) {
        if number != 0 {
            self.emit(Instruction::math64(
                Math::Add,
                register,
                Value::Number(number),
            ));
        }
    }

    pub(super) fn context(&mut self, register: Register, offset: i16) {
        self.emit(Instruction::load(Width::Four, register, CONTEXT, offset));
    }

    pub(super) fn return_number(&mut self, number: u32) {
        self.number32(Math::Move, R0, number);
        self.emit(Instruction::exit());
    }

    /// Everything that holds before the first instruction; `read` are registers that are read
    /// before anything is written to them.
    pub(super) fn enter(&mut self, program: &Program, read: Live) {
        let ops = program.ops();
        if ops.contains(&Op::LoadMeta(Meta::PacketType)) {
            let egress = Value::Register(R2);
            self.emit(Instruction::store(Width::Eight, R10, EGRESS, egress));
        }
        for word in 0..MEMORY_WORDS as u8 {
            let read = |op: &Op| matches!(*op, Op::LoadMemory(w) | Op::LoadXMemory(w) if w == word);
            if ops.iter().any(read) {
                let zero = Value::Number(0);
                self.emit(Instruction::store(Width::Four, R10, memory(word), zero));
            }
        }
        if read.a {
            self.number32(Math::Move, A, 0);
        }
        if read.x {
            self.number32(Math::Move, X, 0);
        }
        let (start, end) = self.hook.bounds();
        self.context(START, start);
        self.context(END, end);
    }

    /// One instruction; `direct` says how it makes sure of what it reads, unless it asks the
    /// helper.
    pub(super) fn op(&mut self, op: &Op, at: usize, step: &Step, direct: Option<Check>) {
        let place = |target: usize| match direct {
            Some(_) => Label::Direct(target),
            None => Label::Helped(target),
        };
        match *op {
            _ if direct == Some(Check::Never) => {
                let short = self.short(at);
                self.jump_to(short, Instruction::jump(0));
            }
            _ if direct.is_none() && is_beyond_any_packet(op) => {
                self.jump_to(Label::NoMatch, Instruction::jump(0));
            }
            Op::Load(size, from) => {
                self.load(A, size, from, at, step, direct);
                if step.order == Order::Host {
                    self.turn_to_host_order(A, size);
                }
            }
            Op::LoadXHeaderLen(k) => {
                self.load(X, Size::Byte, Place::At(k), at, step, direct);
                self.number32(Math::And, X, 0xf);
                self.number32(Math::ShiftLeft, X, 2);
            }
            Op::LoadLen => self.packet_len(A, step, direct.is_some()),
            Op::LoadXLen => self.packet_len(X, step, direct.is_some()),
            Op::LoadNumber(k) => self.number32(Math::Move, A, k),
            Op::LoadXNumber(k) => self.number32(Math::Move, X, k),
            Op::LoadMemory(word) => {
                self.emit(Instruction::load(Width::Four, A, R10, memory(word)));
            }
            Op::LoadXMemory(word) => {
                self.emit(Instruction::load(Width::Four, X, R10, memory(word)));
            }
            Op::Store(word) => self.store(word, A),
            Op::StoreX(word) => self.store(word, X),
            Op::LoadMeta(meta) => self.meta(meta),
            Op::Calculate(operation, operand) => self.calculate(operation, operand, step.order),
            Op::Negate => self.number32(Math::Negate, A, 0),
            Op::AToX => self.copy(X, A),
            Op::XToA => self.copy(A, X),
            Op::Jump(target) if target == at + 1 => {}
            Op::Jump(target) => self.jump_to(place(target), Instruction::jump(0)),
            Op::Branch {
                test,
                with,
                yes,
                no,
            } => {
                let right = match with {
                    Operand::Number(k) => Value::Number(step.order.turn(k).cast_signed()),
                    Operand::X => Value::Register(X),
                };
                self.branch(test, right, (yes, no), at, place);
            }
            Op::Return(k) => self.return_number(k),
            // `a` is where a function leaves what it returns.
            Op::ReturnA => self.emit(Instruction::exit()),
        }
    }

    fn store(&mut self, word: u8, from: Register) {
        let value = Value::Register(from);
        self.emit(Instruction::store(Width::Four, R10, memory(word), value));
    }

    fn branch(
        &mut self,
        test: Test,
        right: Value,
        (yes, no): (usize, usize),
        at: usize,
        place: impl Fn(usize) -> Label,
    ) {
        if yes == no {
            if yes != at + 1 {
                self.jump_to(place(yes), Instruction::jump(0));
            }
            return;
        }
        let condition = match test {
            Test::Equal => Condition::Equal,
            Test::Greater => Condition::Greater,
            Test::AtLeast => Condition::AtLeast,
            Test::CommonBit => Condition::CommonBit,
        };
        match condition.opposite() {
            Some(opposite) if yes == at + 1 => self.jump_if32(opposite, A, right, place(no)),
            _ => {
                self.jump_if32(condition, A, right, place(yes));
                if no != at + 1 {
                    self.jump_to(place(no), Instruction::jump(0));
                }
            }
        }
    }

    fn calculate(&mut self, operation: Operation, operand: Operand, order: Order) {
        let math = match operation {
            Operation::Add => Math::Add,
            Operation::Subtract => Math::Subtract,
            Operation::Multiply => Math::Multiply,
            Operation::Divide => Math::Divide,
            Operation::Remainder => Math::Remainder,
            Operation::Or => Math::Or,
            Operation::And => Math::And,
            Operation::Xor => Math::Xor,
            Operation::ShiftLeft => Math::ShiftLeft,
            Operation::ShiftRight => Math::ShiftRight,
        };
        let divides = matches!(operation, Operation::Divide | Operation::Remainder);
        let shifts = matches!(operation, Operation::ShiftLeft | Operation::ShiftRight);
        match operand {
            // The verifier refuses such a constant.
            Operand::Number(32..) if shifts => self.number32(Math::Move, A, 0),
            Operand::Number(k) => self.number32(math, A, order.turn(k)),
            Operand::X => {
                if divides {
                    self.jump_if32(Condition::Equal, X, Value::Number(0), Label::NoMatch);
                }
                if shifts {
                    // eBPF would take the distance modulo 32.
                    self.emit(Instruction::jump32(
                        Condition::Less,
                        X,
                        Value::Number(32),
                        2,
                    ));
                    self.number32(Math::Move, A, 0);
                    self.emit(Instruction::jump(1));
                }
                self.emit(Instruction::math32(math, A, Value::Register(X)));
            }
        }
    }

    /// Gives every jump its distance. Every label that is jumped to was laid: reachable instructions
    /// lead to such.
    pub(super) fn link(self) -> Result<Vec<Instruction>, TooLong> {
        self.assembly.link().ok_or(TooLong)
    }
}
