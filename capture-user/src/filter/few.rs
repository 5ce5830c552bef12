//! Short address lists as code: comparisons with where networks begin and end, and nothing read
//! from memory.
//!
//! What comes of it is what the kernel side's search in a [`Tree`] gives: the option bits of the
//! source, and eight bits further those of the destination.

use super::ebpf::{Condition, Instruction, Math, R0, R1, R2, R3, R4, R5, Register, Value};
use super::tree::{Place, Tree};

/// The most places at which something begins for a tree to be code: a network has two, unless
/// another begins where it ends. It is six or seven comparisons for an address then.
pub const MOST: usize = 64;

/// The code `(source, destination) → bits` of IPv4 addresses, numbers of 32 bits. None, if they are
/// too many.
#[must_use]
pub fn v4(tree: &Tree) -> Option<Vec<Instruction>> {
    code(tree, Key::V4(R1), Key::V4(R2))
}

/// The same of IPv6 addresses: the halves of the source, the upper one first, then the
/// destination's.
#[must_use]
pub fn v6(tree: &Tree) -> Option<Vec<Instruction>> {
    code(tree, Key::V6(R1, R2), Key::V6(R3, R4))
}

/// Where an address is.
#[derive(Clone, Copy)]
enum Key {
    V4(Register),
    V6(Register, Register),
}

fn code(tree: &Tree, source: Key, destination: Key) -> Option<Vec<Instruction>> {
    let places = tree.places().filter(|places| places.len() <= MOST)?;
    let mut code = Code::default();
    code.search(places, source, &mut |code, bits| {
        code.number(Math::Move, bits);
        code.jump_on();
    });
    code.land();
    code.search(places, destination, &mut |code, bits| {
        if bits != 0 {
            code.number(Math::Or, bits << 8);
        }
        code.instructions.push(Instruction::exit());
    });
    Some(code.instructions)
}

/// The code as it grows.
#[derive(Default)]
struct Code {
    instructions: Vec<Instruction>,
    /// Jumps out of the first search.
    on: Vec<usize>,
}

impl Code {
    /// Finds the last place that isn't behind the address, and does what is to be done there.
    fn search(&mut self, places: &[Place<u128>], key: Key, found: &mut impl FnMut(&mut Self, i32)) {
        // Without any network there is nothing to find anywhere.
        let [_, _, ..] = places else {
            let bits = places.first().map_or(0, |(_, leaf)| leaf & 0xff);
            return found(self, bits.cast_signed());
        };
        let (lower, upper) = places.split_at(places.len() / 2);
        let jumps = self.jump_if_at_least(key, upper[0].0);
        self.search(lower, key, found);
        for jump in jumps {
            self.lands_here(jump);
        }
        self.search(upper, key, found);
    }

    /// Jumps if the address isn't before a place; where the jumps are.
    fn jump_if_at_least(&mut self, key: Key, place: u128) -> Vec<usize> {
        let (upper, lower) = ((place >> 64) as u64, place as u64);
        match key {
            Key::V4(address) => {
                // An IPv4 address is the upper 32 of the 128 bits.
                let place = Value::Number(((upper >> 32) as u32).cast_signed());
                let jump = Instruction::jump32(Condition::AtLeast, address, place, 0);
                vec![self.push(jump)]
            }
            Key::V6(high, _) if lower == 0 => vec![self.jump64(Condition::AtLeast, high, upper)],
            Key::V6(high, low) => {
                let beyond = self.jump64(Condition::Greater, high, upper);
                let before = Instruction::jump64(Condition::Less, high, Value::Register(R5), 0);
                let before = self.push(before);
                let within = self.jump64(Condition::AtLeast, low, lower);
                self.lands_here(before);
                vec![beyond, within]
            }
        }
    }

    /// A jump that compares with a number of 64 bits, which is in [`R5`] from then on.
    ///
    /// It is put together there. The instruction for such numbers takes two places, and the kernel
    /// allows no source line to begin at the second: but the stand-in's lines begin where they do.
    fn jump64(&mut self, condition: Condition, left: Register, right: u64) -> usize {
        let low = (right as u32).cast_signed();
        // What is added is negative if it has the highest bit.
        let high = ((right >> 32) as u32).wrapping_add(u32::from(low < 0));
        let high = Value::Number(high.cast_signed());
        self.push(Instruction::math32(Math::Move, R5, high));
        self.push(Instruction::math64(Math::ShiftLeft, R5, Value::Number(32)));
        if low != 0 {
            self.push(Instruction::math64(Math::Add, R5, Value::Number(low)));
        }
        self.push(Instruction::jump64(condition, left, Value::Register(R5), 0))
    }

    fn number(&mut self, math: Math, number: i32) {
        self.push(Instruction::math32(math, R0, Value::Number(number)));
    }

    fn jump_on(&mut self) {
        let jump = self.push(Instruction::jump(0));
        self.on.push(jump);
    }

    /// What comes next is what [`Code::jump_on`] leads to.
    fn land(&mut self) {
        // The last one leads here anyway.
        if self.on.last() == self.instructions.len().checked_sub(1).as_ref() {
            self.on.pop();
            self.instructions.pop();
        }
        for jump in std::mem::take(&mut self.on) {
            self.lands_here(jump);
        }
    }

    /// Where it was put.
    fn push(&mut self, instruction: Instruction) -> usize {
        self.instructions.push(instruction);
        self.instructions.len() - 1
    }

    fn lands_here(&mut self, jump: usize) {
        // Some hundreds of instructions: see MOST.
        let distance = i16::try_from(self.instructions.len() - jump - 1).unwrap_or(i16::MAX);
        self.instructions[jump] = self.instructions[jump].with_offset(distance);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;
