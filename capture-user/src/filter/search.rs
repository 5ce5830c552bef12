//! Code that finds what there is to say of a number: comparisons with the places where that changes.

use super::assembly::Assembly;
use super::ebpf::{Condition, Instruction, Math, R5, Register, Value};

/// From which number on something else is to be done, and where the code for it is. The first of
/// several is about all numbers before the second.
pub(super) type Way<L> = (u128, L);

/// Where the number is.
#[derive(Clone, Copy)]
pub(super) enum Key {
    /// The lower half of a register.
    Half(Register),
    /// Two registers, the upper 64 bits first. Comparing takes [`R5`].
    Pair(Register, Register),
}

/// What jumps lead to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label<L> {
    /// The caller's.
    Given(L),
    /// A place within a search.
    Within(usize),
}

/// Code with searches in it.
pub(super) struct Search<L> {
    assembly: Assembly<Label<L>>,
    within: usize,
    /// Where the last instruction leads, if it does nothing but to lead there.
    goes_on: Option<L>,
}

impl<L: Copy + Ord> Search<L> {
    pub(super) fn new() -> Self {
        Self {
            assembly: Assembly::default(),
            within: 0,
            goes_on: None,
        }
    }

    pub(super) fn emit(&mut self, instruction: Instruction) {
        self.end_way();
        self.assembly.emit(instruction);
    }

    /// Leads to a label, if the condition holds.
    pub(super) fn jump_if(&mut self, label: L, jump: Instruction) {
        self.jump(Label::Given(label), jump);
    }

    /// Leads to a label.
    pub(super) fn jump_on(&mut self, label: L) {
        self.end_way();
        self.goes_on = Some(label);
    }

    /// What comes next is what jumps to the label lead to.
    pub(super) fn label(&mut self, label: L) {
        self.lay(Label::Given(label));
    }

    /// Whether anything jumps there.
    pub(super) fn leads_to(&self, label: L) -> bool {
        self.goes_on == Some(label) || self.assembly.leads_to(Label::Given(label))
    }

    /// As [`Assembly::link`].
    pub(super) fn link(mut self) -> Option<Vec<Instruction>> {
        self.end_way();
        self.assembly.link()
    }

    /// Finds the last way that isn't behind the number, and leads there. They are in ascending order.
    pub(super) fn search(&mut self, key: Key, ways: &[Way<L>]) {
        match *ways {
            [] => {}
            [(_, label)] => self.jump_on(label),
            [(_, around), (one, label), (next, behind)] if around == behind && next - one == 1 => {
                self.jump_if_equal(key, one, label, around);
                self.jump_on(around);
            }
            [(_, before), (start, label)] => {
                self.jump_if_at_least(key, start, Label::Given(label));
                self.jump_on(before);
            }
            _ => {
                let (lower, upper) = ways.split_at(ways.len() / 2);
                let there = Label::Within(self.within);
                self.within += 1;
                self.jump_if_at_least(key, upper[0].0, there);
                self.search(key, lower);
                self.lay(there);
                self.search(key, upper);
            }
        }
    }

    /// Leads to a label, if the number is that one; otherwise goes on, or leads to another label.
    fn jump_if_equal(&mut self, key: Key, number: u128, label: L, otherwise: L) {
        match key {
            Key::Half(register) => {
                let number = Value::Number((number as u32).cast_signed());
                self.jump_if(
                    label,
                    Instruction::jump32(Condition::Equal, register, number, 0),
                );
            }
            Key::Pair(high, low) => {
                let differs = self.compare64(Condition::NotEqual, high, (number >> 64) as u64);
                self.jump_if(otherwise, differs);
                let equal = self.compare64(Condition::Equal, low, number as u64);
                self.jump_if(label, equal);
            }
        }
    }

    /// Leads to a label, if the number isn't before a place.
    fn jump_if_at_least(&mut self, key: Key, place: u128, label: Label<L>) {
        let (upper, lower) = ((place >> 64) as u64, place as u64);
        match key {
            Key::Half(register) => {
                let place = Value::Number((lower as u32).cast_signed());
                self.jump(
                    label,
                    Instruction::jump32(Condition::AtLeast, register, place, 0),
                );
            }
            Key::Pair(high, _) if lower == 0 => {
                let jump = self.compare64(Condition::AtLeast, high, upper);
                self.jump(label, jump);
            }
            Key::Pair(high, low) => {
                let before = Label::Within(self.within);
                self.within += 1;
                let jump = self.compare64(Condition::Greater, high, upper);
                self.jump(label, jump);
                let upper = Value::Register(R5);
                self.jump(before, Instruction::jump64(Condition::Less, high, upper, 0));
                let jump = self.compare64(Condition::AtLeast, low, lower);
                self.jump(label, jump);
                self.lay(before);
            }
        }
    }

    /// A jump that compares with a number of 64 bits, which is in [`R5`] from then on.
    ///
    /// It is put together there. The instruction for such numbers takes two places, and the kernel
    /// allows no source line to begin at the second: but a stand-in's lines begin where they do.
    fn compare64(&mut self, condition: Condition, left: Register, right: u64) -> Instruction {
        let low = (right as u32).cast_signed();
        // What is added is negative if it has the highest bit.
        let high = ((right >> 32) as u32).wrapping_add(u32::from(low < 0));
        let high = Value::Number(high.cast_signed());
        self.emit(Instruction::math32(Math::Move, R5, high));
        self.emit(Instruction::math64(Math::ShiftLeft, R5, Value::Number(32)));
        if low != 0 {
            self.emit(Instruction::math64(Math::Add, R5, Value::Number(low)));
        }
        Instruction::jump64(condition, left, Value::Register(R5), 0)
    }

    fn jump(&mut self, label: Label<L>, jump: Instruction) {
        self.end_way();
        self.assembly.jump_to(label, jump);
    }

    fn lay(&mut self, label: Label<L>) {
        // What comes next is where it leads anyway.
        if self.goes_on.is_some_and(|on| Label::Given(on) == label) {
            self.goes_on = None;
        }
        self.end_way();
        self.assembly.label(label);
    }

    /// Has the last jump be in the code, where something else than what it leads to comes next.
    fn end_way(&mut self) {
        if let Some(label) = self.goes_on.take() {
            self.assembly
                .jump_to(Label::Given(label), Instruction::jump(0));
        }
    }
}
