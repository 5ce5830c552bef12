//! From classic BPF to eBPF: a function `(context, egress) → number`, 0 for no match, for the place
//! that the kernel side keeps for it.
//!
//! The packet is read directly where it lies in the linear part, as nearly always. So the code is
//! there twice: the first reads directly, and where the packet ends too early for that, it goes on
//! at the same instruction of the second, which asks a helper for each byte and finds those in
//! fragments too. What neither can read ends in no match, as in classic BPF.
//!
//! | register | holds |
//! | --- | --- |
//! | `r0`, `r4` | classic BPF's `a` and `x`, their upper halves 0; while a load is checked the packet's place in its destination |
//! | `r1` | the context |
//! | `r2`, `r3` | the packet's start and end, in the first code |
//! | `r5` | `x`'s place in the packet, where it was found, in the first code |
//!
//! None that a function has to save for its caller: so what nearly every packet comes through saves
//! nothing, and around a helper what is still needed is kept below the frame pointer. There are also
//! the memory words that the program uses, a place for the helper to write to, and what `egress` was.
//!
//! - `known`: what is known of each classic instruction before code is made
//! - `code`: what each becomes
//! - `packet`: what reads the packet

mod code;
mod known;
mod packet;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;

use self::code::{Code, Label};
use super::super::ebpf::Instruction;
use super::classic::Program;

/// What kind of program the code is for: what its context holds, and what reads the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TC: the context is a `__sk_buff`.
    Tc,
    /// XDP: an `xdp_md`.
    Xdp {
        /// Whether the kernel has `bpf_xdp_load_bytes` and `bpf_xdp_get_buff_len` (5.18). Without
        /// them a packet is no more than its linear part, which it then always was.
        fragments: bool,
    },
}

/// The code would need a jump farther than an instruction can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "translated for the kernel it is longer than a jump can go: give long lists to options such as --host and --port"
)]
pub struct TooLong;

/// Translates a program.
///
/// # Errors
///
/// [`TooLong`]. Programs from libpcap up to [`super::classic::MAX_INSTRUCTIONS`] fit, save some
/// that consist of loads.
pub fn translate(program: &Program, hook: Hook) -> Result<Vec<Instruction>, TooLong> {
    make(program, hook, true)
}

/// The same without direct reads: all of the packet is asked for, as for one whose linear part is
/// empty. For tests, which have no such packet at hand.
///
/// # Errors
///
/// As [`translate`].
pub fn translate_indirectly(program: &Program, hook: Hook) -> Result<Vec<Instruction>, TooLong> {
    make(program, hook, false)
}

fn make(program: &Program, hook: Hook, reads: bool) -> Result<Vec<Instruction>, TooLong> {
    let mut code = Code::new(hook);
    let (steps, read) = known::steps(program, reads, hook.load_helper().is_some());
    code.enter(program, read);
    for (at, (op, step)) in program.ops().iter().zip(&steps).enumerate() {
        if step.direct.is_some() {
            code.label(Label::Direct(at));
            code.op(op, at, step, step.direct);
        }
    }
    for (at, (op, step)) in program.ops().iter().zip(&steps).enumerate() {
        if step.helped {
            code.label(Label::Helped(at));
            code.op(op, at, step, None);
        }
    }
    // The verifier wants no instruction that nothing leads to.
    if code.leads_to(Label::NoMatch) {
        code.label(Label::NoMatch);
        code.return_number(0);
    }
    code.link()
}

impl Hook {
    /// Where the context holds the packet's start and end.
    pub(in crate::filter) const fn bounds(self) -> (i16, i16) {
        match self {
            Self::Tc => (76, 80),
            Self::Xdp { .. } => (0, 4),
        }
    }

    /// The helper that copies bytes of the packet: `bpf_skb_load_bytes`, `bpf_xdp_load_bytes`.
    const fn load_helper(self) -> Option<i32> {
        match self {
            Self::Tc => Some(26),
            Self::Xdp { fragments: true } => Some(189),
            Self::Xdp { fragments: false } => None,
        }
    }
}
