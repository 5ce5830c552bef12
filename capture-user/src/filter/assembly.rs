//! Code as it grows: instructions, and jumps to places that come later.

use super::ebpf::Instruction;

/// Instructions with jumps to labels, forwards or backwards.
pub(super) struct Assembly<L> {
    instructions: Vec<Instruction>,
    /// Which instructions are jumps, and where to.
    jumps: Vec<(usize, L)>,
    labels: Vec<(L, usize)>,
}

impl<L> Default for Assembly<L> {
    fn default() -> Self {
        Self {
            instructions: Vec::new(),
            jumps: Vec::new(),
            labels: Vec::new(),
        }
    }
}

impl<L: Copy + Ord> Assembly<L> {
    pub(super) fn emit(&mut self, instruction: Instruction) {
        self.instructions.push(instruction);
    }

    /// A jump, whatever distance it has been given.
    pub(super) fn jump_to(&mut self, label: L, jump: Instruction) {
        self.jumps.push((self.instructions.len(), label));
        self.emit(jump);
    }

    /// What comes next is what jumps to the label lead to.
    pub(super) fn label(&mut self, label: L) {
        self.labels.push((label, self.instructions.len()));
    }

    /// Whether anything jumps there.
    pub(super) fn leads_to(&self, label: L) -> bool {
        self.jumps.iter().any(|(_, to)| *to == label)
    }

    /// The instructions, each jump with its distance. None, if a jump can't go so far, or a label that is
    /// jumped to wasn't laid.
    pub(super) fn link(mut self) -> Option<Vec<Instruction>> {
        self.labels.sort_unstable();
        for (at, label) in self.jumps {
            let found = self.labels.binary_search_by_key(&label, |it| it.0).ok()?;
            let distance = self.labels[found].1 as i64 - at as i64 - 1;
            let offset = i16::try_from(distance).ok()?;
            self.instructions[at] = self.instructions[at].with_offset(offset);
        }
        Some(self.instructions)
    }
}
