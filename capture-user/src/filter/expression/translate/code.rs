//! The code of a translation: what each classic instruction becomes.

use super::super::classic::{MEMORY_WORDS, Meta, Op, Operand, Operation, Place, Size, Test};
use super::super::ebpf::{
    Condition, Instruction, Math, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Register, Value,
    Width,
};
use super::{Check, DIRECT_MAX, Hook, TooLong, is_beyond_any_packet};

const fn memory(word: u8) -> i16 {
    -4 * (MEMORY_WORDS as i16 - word as i16)
}
const BUFFER: i16 = -4 * MEMORY_WORDS as i16 - 8;
const EGRESS: i16 = BUFFER - 8;

/// `PACKET_OUTGOING` (linux/if_packet.h).
const PACKET_OUTGOING: i32 = 4;

const A: Register = R7;
const X: Register = R8;
const START: Register = R9;
const END: Register = R5;
const CONTEXT: Register = R6;

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
    hook: Hook,
    instructions: Vec<Instruction>,
    /// Which instructions are jumps, and where to.
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

impl Code {
    /// None yet.
    pub(super) fn new(hook: Hook) -> Self {
        Self {
            hook,
            instructions: Vec::new(),
            jumps: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Whether anything jumps there.
    pub(super) fn leads_to(&self, label: Label) -> bool {
        self.jumps.iter().any(|(_, to)| *to == label)
    }

    fn emit(&mut self, instruction: Instruction) {
        self.instructions.push(instruction);
    }

    pub(super) fn label(&mut self, label: Label) {
        self.labels.push((label, self.instructions.len()));
    }

    fn jump_to(&mut self, label: Label, jump: Instruction) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(jump);
    }

    fn jump_if32(&mut self, condition: Condition, left: Register, right: Value, to: Label) {
        self.jump_to(to, Instruction::jump32(condition, left, right, 0));
    }

    fn number32(&mut self, math: Math, register: Register, number: u32) {
        let number = Value::Number(number.cast_signed());
        self.emit(Instruction::math32(math, register, number));
    }

    fn copy(&mut self, to: Register, from: Register) {
        self.emit(Instruction::math64(Math::Move, to, Value::Register(from)));
    }

    fn add(&mut self, register: Register, number: i32) {
        if number != 0 {
            self.emit(Instruction::math64(
                Math::Add,
                register,
                Value::Number(number),
            ));
        }
    }

    fn context(&mut self, register: Register, offset: i16) {
        self.emit(Instruction::load(Width::Four, register, CONTEXT, offset));
    }

    pub(super) fn return_number(&mut self, number: u32) {
        self.number32(Math::Move, R0, number);
        self.emit(Instruction::exit());
    }

    /// Everything that holds before the first instruction.
    pub(super) fn enter(&mut self, ops: &[Op]) {
        self.copy(CONTEXT, R1);
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
        self.number32(Math::Move, A, 0);
        self.number32(Math::Move, X, 0);
        let (start, end) = self.hook.bounds();
        self.context(START, start);
        self.context(END, end);
    }

    /// One instruction; `direct` says how it makes sure of what it reads, unless it asks the
    /// helper.
    pub(super) fn op(&mut self, op: &Op, at: usize, direct: Option<Check>) {
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
            Op::Load(size, from) => self.load(A, size, from, at, direct),
            Op::LoadXHeaderLen(k) => {
                self.load(X, Size::Byte, Place::At(k), at, direct);
                self.number32(Math::And, X, 0xf);
                self.number32(Math::ShiftLeft, X, 2);
            }
            Op::LoadLen => self.packet_len(A, direct.is_some()),
            Op::LoadXLen => self.packet_len(X, direct.is_some()),
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
            Op::Calculate(operation, operand) => self.calculate(operation, operand),
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
            } => self.branch(test, with, (yes, no), at, place),
            Op::Return(k) => self.return_number(k),
            Op::ReturnA => {
                self.copy(R0, A);
                self.emit(Instruction::exit());
            }
        }
    }

    fn store(&mut self, word: u8, from: Register) {
        let value = Value::Register(from);
        self.emit(Instruction::store(Width::Four, R10, memory(word), value));
    }

    fn branch(
        &mut self,
        test: Test,
        with: Operand,
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
        let right = match with {
            Operand::Number(k) => Value::Number(k.cast_signed()),
            Operand::X => Value::Register(X),
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

    fn calculate(&mut self, operation: Operation, operand: Operand) {
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
            Operand::Number(k) => self.number32(math, A, k),
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

    /// Reads a number of the packet.
    fn load(&mut self, to: Register, size: Size, from: Place, at: usize, direct: Option<Check>) {
        match direct {
            Some(check) => self.load_directly(to, size, from, at, check),
            None => self.load_by_helper(to, size, from),
        }
    }

    fn load_directly(&mut self, to: Register, size: Size, from: Place, at: usize, check: Check) {
        let short = self.short(at);
        let (base, offset) = match (check, from) {
            (Check::Known, Place::At(k)) => (START, k as i16),
            (_, Place::At(k)) => {
                self.copy(R2, START);
                self.add(R2, (k + size.bytes()).cast_signed());
                self.check_end(R2, short);
                (START, k as i16)
            }
            (_, Place::BehindX(k)) => {
                self.copy(R3, X);
                self.add(R3, k.cast_signed());
                let limit = Value::Number(DIRECT_MAX.cast_signed());
                let far = Instruction::jump64(Condition::Greater, R3, limit, 0);
                self.jump_to(short, far);
                self.emit(Instruction::math64(Math::Add, R3, Value::Register(START)));
                self.copy(R2, R3);
                self.add(R2, size.bytes().cast_signed());
                self.check_end(R2, short);
                (R3, 0)
            }
        };
        self.emit(Instruction::load(width(size), to, base, offset));
        self.turn_to_host_order(to, size);
    }

    /// Where a direct load goes on that finds the packet's linear part too short.
    fn short(&self, at: usize) -> Label {
        match self.hook.load_helper() {
            Some(_) => Label::Helped(at),
            None => Label::NoMatch,
        }
    }

    fn check_end(&mut self, pointer: Register, short: Label) {
        let beyond = Instruction::jump64(Condition::Greater, pointer, Value::Register(END), 0);
        self.jump_to(short, beyond);
    }

    fn load_by_helper(&mut self, to: Register, size: Size, from: Place) {
        let Some(helper) = self.hook.load_helper() else {
            return;
        };
        match from {
            Place::At(k) => self.number32(Math::Move, R2, k),
            Place::BehindX(k) => {
                self.copy(R2, X);
                self.add(R2, k.cast_signed());
                let limit = Value::Number(i32::MAX);
                let far = Instruction::jump64(Condition::Greater, R2, limit, 0);
                self.jump_to(Label::NoMatch, far);
            }
        }
        self.copy(R1, CONTEXT);
        self.copy(R3, R10);
        self.add(R3, i32::from(BUFFER));
        self.number32(Math::Move, R4, size.bytes());
        self.emit(Instruction::call(helper));
        // Errors are negative numbers in 64 bits.
        let failed = Instruction::jump64(Condition::NotEqual, R0, Value::Number(0), 0);
        self.jump_to(Label::NoMatch, failed);
        self.emit(Instruction::load(width(size), to, R10, BUFFER));
        self.turn_to_host_order(to, size);
    }

    fn turn_to_host_order(&mut self, register: Register, size: Size) {
        match size {
            Size::Byte => {}
            Size::Half => self.emit(Instruction::from_network(register, 16)),
            Size::Word => self.emit(Instruction::from_network(register, 32)),
        }
    }

    fn packet_len(&mut self, to: Register, direct: bool) {
        match self.hook {
            Hook::Tc => self.context(to, 0),
            // bpf_xdp_get_buff_len counts the fragments too.
            Hook::Xdp { fragments: true } => {
                self.copy(R1, CONTEXT);
                self.emit(Instruction::call(188));
                self.copy(to, R0);
                if direct {
                    let (_, end) = self.hook.bounds();
                    self.context(END, end);
                }
            }
            Hook::Xdp { fragments: false } => {
                self.copy(to, END);
                let start = Value::Register(START);
                self.emit(Instruction::math64(Math::Subtract, to, start));
            }
        }
    }

    /// What the kernel knows of the packet. XDP comes before it knows anything, and before it
    /// takes a tag out of the frame.
    fn meta(&mut self, meta: Meta) {
        if matches!(self.hook, Hook::Xdp { .. }) {
            match meta {
                Meta::Interface => self.context(A, 12),
                _ => self.number32(Math::Move, A, 0),
            }
            return;
        }
        match meta {
            Meta::Protocol => self.context(A, 16),
            Meta::PacketType => {
                self.emit(Instruction::load(Width::Eight, R0, R10, EGRESS));
                self.context(A, 4);
                let incoming = Value::Number(0);
                self.emit(Instruction::jump64(Condition::Equal, R0, incoming, 1));
                self.emit(Instruction::math32(
                    Math::Move,
                    A,
                    Value::Number(PACKET_OUTGOING),
                ));
            }
            Meta::Interface => self.context(A, 40),
            Meta::Mark => self.context(A, 8),
            Meta::Queue => self.context(A, 12),
            Meta::Hash => self.context(A, 68),
            Meta::Tag => self.context(A, 24),
            Meta::TagPresent => self.context(A, 20),
            Meta::TagProtocol => self.context(A, 28),
        }
        if matches!(meta, Meta::Protocol | Meta::TagProtocol) {
            self.turn_to_host_order(A, Size::Half);
        }
    }

    /// Gives every jump its distance.
    pub(super) fn link(mut self) -> Result<Vec<Instruction>, TooLong> {
        self.labels.sort_unstable();
        for (at, label) in self.jumps {
            let Ok(found) = self.labels.binary_search_by_key(&label, |it| it.0) else {
                // Every label that is jumped to was laid: reachable instructions lead to such.
                return Err(TooLong);
            };
            let distance = self.labels[found].1 as i64 - at as i64 - 1;
            let offset = i16::try_from(distance).map_err(|_| TooLong)?;
            self.instructions[at] = self.instructions[at].with_offset(offset);
        }
        Ok(self.instructions)
    }
}

fn width(size: Size) -> Width {
    match size {
        Size::Byte => Width::One,
        Size::Half => Width::Two,
        Size::Word => Width::Four,
    }
}
