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
//! | `r6` | the context |
//! | `r7`, `r8` | classic BPF's `a` and `x`, their upper halves 0 |
//! | `r9`, `r5` | the packet's start and end, in the first code |
//! | `r0` to `r4` | what one instruction takes |
//!
//! Below the frame pointer are the memory words that the program uses, then a place for the helper
//! to write to, then what `egress` was.

mod code;

use self::code::{Code, Label};
use super::classic::{Op, Place, Program};
use super::ebpf::Instruction;

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

/// Beyond it a direct read is left to the helper: the verifier takes no offset near 65,536, and an
/// instruction has none above 32,767.
const DIRECT_MAX: u32 = 0x7f00;

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
    let ops = program.ops();
    let direct = directly(program, reads);
    let helped = match hook.load_helper() {
        Some(_) => by_helper(program, &direct),
        None => vec![false; ops.len()],
    };
    code.enter(ops);
    for (at, op) in ops.iter().enumerate() {
        if let Some(check) = direct[at] {
            code.label(Label::Direct(at));
            code.op(op, at, Some(check));
        }
    }
    for (at, op) in ops.iter().enumerate() {
        if helped[at] {
            code.label(Label::Helped(at));
            code.op(op, at, None);
        }
    }
    // The verifier wants no instruction that nothing leads to.
    if code.leads_to(Label::NoMatch) {
        code.label(Label::NoMatch);
        code.return_number(0);
    }
    code.link()
}

/// How a direct load has to make sure of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Every way here has read as far already, or it is no load.
    Known,
    /// By a comparison with the packet's end.
    Compare,
    /// Not at all: it lies too far back.
    Never,
}

/// What the code that reads directly does at each instruction that it comes to.
fn directly(program: &Program, reads: bool) -> Vec<Option<Check>> {
    let ops = program.ops();
    // How many bytes from the start are known to be there, on every way to an instruction.
    let mut known: Vec<Option<u32>> = vec![None; ops.len()];
    if let Some(first) = known.first_mut() {
        *first = Some(0);
    }
    let mut checks = vec![None; ops.len()];
    // Jumps go forwards: when an instruction's turn comes, all ways to it have been seen.
    for (at, op) in ops.iter().enumerate() {
        let Some(mut here) = known[at] else {
            continue;
        };
        let (end, fixed) = match *op {
            Op::Load(size, Place::At(k)) => (k.saturating_add(size.bytes()), true),
            Op::LoadXHeaderLen(k) => (k.saturating_add(1), true),
            Op::Load(_, Place::BehindX(k)) => (k, false),
            _ => (0, true),
        };
        let load = matches!(op, Op::Load(..) | Op::LoadXHeaderLen(_));
        let check = if end > DIRECT_MAX || (load && !reads) {
            Check::Never
        } else if fixed && end <= here {
            Check::Known
        } else {
            Check::Compare
        };
        checks[at] = Some(check);
        if check == Check::Never {
            continue;
        }
        if fixed {
            here = here.max(end);
        }
        for next in program.successors(at) {
            known[next] = Some(known[next].map_or(here, |other| other.min(here)));
        }
    }
    checks
}

/// Which instructions the code that asks the helper comes to: from each load that can be short to
/// the end.
fn by_helper(program: &Program, direct: &[Option<Check>]) -> Vec<bool> {
    let mut helped: Vec<_> = direct
        .iter()
        .map(|check| matches!(check, Some(Check::Compare | Check::Never)))
        .collect();
    for (at, op) in program.ops().iter().enumerate() {
        if helped[at] && !is_beyond_any_packet(op) {
            for next in program.successors(at) {
                helped[next] = true;
            }
        }
    }
    helped
}

/// A load behind `x` that added up in 64 bits is beyond any packet, whatever `x` is.
fn is_beyond_any_packet(op: &Op) -> bool {
    matches!(*op, Op::Load(_, Place::BehindX(k)) if k > i32::MAX.cast_unsigned())
}

impl Hook {
    /// Where the context holds the packet's start and end.
    const fn bounds(self) -> (i16, i16) {
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
