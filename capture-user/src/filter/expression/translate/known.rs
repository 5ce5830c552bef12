//! What is known of each classic instruction before any code is made: how far the packet has been
//! read on every way to it, in which byte order `a` is there, which registers are read behind it.
//!
//! Classic jumps only go forwards: when an instruction's turn comes, all ways to it have been seen,
//! and from the end all ways from it.

use super::super::classic::{Op, Operand, Operation, Place, Program, Size, Test};

/// Beyond it a direct read is left to the helper: the verifier takes no offset near 65,536, and an
/// instruction has none above 32,767.
pub(super) const DIRECT_MAX: u32 = 0x7f00;

/// An IPv4 header's greatest length, which is the most that `x` can be after its usual load.
const HEADER_LEN_MAX: u32 = 60;

/// What is compared with the packet's end together: two loads behind `x` that end no more than so
/// many bytes apart, as ports do. Of a packet that ends between them the helper is asked.
const TOGETHER: u32 = 4;

/// How many instructions on such a second load is looked for.
const LOOK_AHEAD: usize = 256;

/// What is known of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// How the code that reads directly makes sure of what it reads; none, if it doesn't come here.
    pub(super) direct: Option<Check>,
    /// Whether the code that asks the helper comes here.
    pub(super) helped: bool,
    /// In which order `a` is: behind a load, before anything else.
    pub(super) order: Order,
    /// Which registers are read behind it.
    pub(super) live: Live,
}

/// How a direct load has to make sure of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Every way here has read as far already, or it is no load.
    Known,
    /// By a comparison of the packet's end with so many bytes behind its start, or behind `x`'s
    /// place, which is known where it is.
    Compare(u32),
    /// The same behind `x`, whose place must be found first.
    Find {
        /// How many bytes behind `x`.
        until: u32,
        /// The most that `x` may be for it, unless it can't be more.
        near: Option<u32>,
    },
    /// Not at all: it lies too far back.
    Never,
}

/// The byte order that `a` is in. A number that is only asked whether it equals a constant or has
/// bits in common with one stays as the packet has it: the constant is turned instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The machine's; and a byte, which has none.
    Host,
    /// A network's, as so much of a packet has it: a half or a word.
    Network(Size),
}

impl Order {
    /// A constant in this order. The upper half of one that goes with two bytes stays: they can't
    /// equal it, and have no bits there.
    pub(super) fn turn(self, number: u32) -> u32 {
        match self {
            Self::Network(Size::Word) => number.to_be(),
            Self::Network(Size::Half) => number & 0xffff_0000 | u32::from((number as u16).to_be()),
            Self::Network(Size::Byte) | Self::Host => number,
        }
    }
}

/// Which registers will be read before they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    /// `a`.
    pub(super) a: bool,
    /// `x`.
    pub(super) x: bool,
}

/// Goes through a program. With `reads` the packet is read directly where that can be; `helper`
/// says whether there is one to ask. Also tells what is read before anything was written.
pub(super) fn steps(program: &Program, reads: bool, helper: bool) -> (Vec<Step>, Live) {
    let direct = directly(program, reads, helper);
    let helped = if helper {
        by_helper(program, &direct)
    } else {
        vec![false; direct.len()]
    };
    let (before, behind) = live(program);
    let order = orders(program, &before);
    let steps = (0..direct.len())
        .map(|at| Step {
            direct: direct[at],
            helped: helped[at],
            order: order[at],
            live: behind[at],
        })
        .collect();
    (steps, before.first().copied().unwrap_or_default())
}

/// A load behind `x` that added up in 64 bits is beyond any packet, whatever `x` is.
pub(super) fn is_beyond_any_packet(op: &Op) -> bool {
    matches!(*op, Op::Load(_, Place::BehindX(k)) if k > i32::MAX.cast_unsigned())
}

fn writes_x(op: &Op) -> bool {
    matches!(
        op,
        Op::LoadXLen | Op::LoadXNumber(_) | Op::LoadXMemory(_) | Op::LoadXHeaderLen(_) | Op::AToX
    )
}

/// What holds on every way to an instruction.
#[derive(Clone, Copy)]
struct Reached {
    /// So many bytes are there from the packet's start.
    start: u32,
    /// `x`'s place is known, and so many bytes are there behind it.
    behind: Option<u32>,
    /// The most that `x` can be.
    x_max: u32,
}

impl Reached {
    fn or(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            behind: self.behind.zip(other.behind).map(|(a, b)| a.min(b)),
            x_max: self.x_max.max(other.x_max),
        }
    }
}

/// What the code that reads directly does at each instruction that it comes to.
fn directly(program: &Program, reads: bool, helper: bool) -> Vec<Option<Check>> {
    let ops = program.ops();
    let mut reached: Vec<Option<Reached>> = vec![None; ops.len()];
    if let Some(first) = reached.first_mut() {
        *first = Some(Reached {
            start: 0,
            behind: None,
            x_max: 0,
        });
    }
    let mut checks = vec![None; ops.len()];
    for (at, op) in ops.iter().enumerate() {
        let Some(mut here) = reached[at] else {
            continue;
        };
        let check = match *op {
            Op::Load(..) | Op::LoadXHeaderLen(_) if !reads => Check::Never,
            Op::Load(size, Place::At(k)) => from_start(&mut here, k.saturating_add(size.bytes())),
            Op::LoadXHeaderLen(k) => from_start(&mut here, k.saturating_add(1)),
            Op::Load(size, Place::BehindX(k)) => {
                // Without a helper nobody would read the first of a packet that ends before the
                // second.
                let until = |end| {
                    if helper {
                        together(program, at, end)
                    } else {
                        end
                    }
                };
                behind_x(&mut here, k, size, until)
            }
            _ => Check::Known,
        };
        checks[at] = Some(check);
        if check == Check::Never {
            continue;
        }
        if writes_x(op) {
            here.behind = None;
            here.x_max = match *op {
                Op::LoadXHeaderLen(_) => HEADER_LEN_MAX,
                Op::LoadXNumber(k) => k,
                _ => u32::MAX,
            };
        } else if *op == Op::LoadLen {
            // Under XDP it calls a helper, which leaves no register for the place.
            here.behind = None;
        }
        for next in program.successors(at) {
            reached[next] = Some(reached[next].map_or(here, |other| other.or(here)));
        }
    }
    checks
}

fn from_start(here: &mut Reached, end: u32) -> Check {
    if end > DIRECT_MAX {
        Check::Never
    } else if end <= here.start {
        Check::Known
    } else {
        here.start = end;
        Check::Compare(end)
    }
}

fn behind_x(here: &mut Reached, k: u32, size: Size, until: impl Fn(u32) -> u32) -> Check {
    if k > DIRECT_MAX {
        return Check::Never;
    }
    let end = k + size.bytes();
    if here.behind.is_some_and(|known| end <= known) {
        return Check::Known;
    }
    let until = until(end);
    // Where its place is known, `x` was near enough for another load: for this one as well.
    let check = if here.behind.is_some() {
        Check::Compare(until)
    } else {
        let near = DIRECT_MAX - k;
        Check::Find {
            until,
            near: (here.x_max > near).then_some(near),
        }
    };
    here.behind = Some(until);
    check
}

/// How far a load behind `x` that ends there had better look: up to where another one ends that
/// follows it with the same `x`, if it isn't far.
fn together(program: &Program, at: usize, end: u32) -> u32 {
    let ops = program.ops();
    let last = ops.len().min(at + LOOK_AHEAD);
    let mut follows = vec![false; last - at];
    follows[0] = true;
    for here in at..last {
        if !follows[here - at] {
            continue;
        }
        let op = &ops[here];
        if let Op::Load(size, Place::BehindX(k)) = *op {
            let other = k.saturating_add(size.bytes());
            if other > end && other - end <= TOGETHER {
                return other;
            }
        }
        if !writes_x(op) {
            for next in program.successors(here).filter(|next| *next < last) {
                follows[next - at] = true;
            }
        }
    }
    end
}

/// Which instructions the code that asks the helper comes to: from each load that can be short to
/// the end.
fn by_helper(program: &Program, direct: &[Option<Check>]) -> Vec<bool> {
    let mut helped: Vec<_> = direct
        .iter()
        .map(|check| check.is_some_and(|check| check != Check::Known))
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

/// Which registers are read before they are written: from each instruction on, and behind each.
fn live(program: &Program) -> (Vec<Live>, Vec<Live>) {
    let ops = program.ops();
    let mut before = vec![Live::default(); ops.len()];
    let mut behind = before.clone();
    for (at, op) in ops.iter().enumerate().rev() {
        let mut here = Live::default();
        for next in program.successors(at) {
            here.a |= before[next].a;
            here.x |= before[next].x;
        }
        behind[at] = here;
        match *op {
            Op::Load(_, place) => {
                here.a = false;
                here.x |= matches!(place, Place::BehindX(_));
            }
            Op::LoadLen | Op::LoadNumber(_) | Op::LoadMemory(_) | Op::LoadMeta(_) => here.a = false,
            Op::LoadXLen | Op::LoadXNumber(_) | Op::LoadXMemory(_) | Op::LoadXHeaderLen(_) => {
                here.x = false;
            }
            Op::Store(_) | Op::Negate | Op::ReturnA => here.a = true,
            Op::StoreX(_) => here.x = true,
            Op::Calculate(_, with) | Op::Branch { with, .. } => {
                here.a = true;
                here.x |= with == Operand::X;
            }
            Op::AToX => here = Live { a: true, x: false },
            Op::XToA => here = Live { a: false, x: true },
            Op::Jump(_) | Op::Return(_) => {}
        }
        before[at] = here;
    }
    (before, behind)
}

/// The order that `a` is in: behind each load, before anything else.
fn orders(program: &Program, live: &[Live]) -> Vec<Order> {
    let ops = program.ops();
    // Where it must be the machine's, since it comes there in more than one.
    let mut mixed = vec![false; ops.len()];
    loop {
        let host = host(program, &mixed);
        let mut before: Vec<Option<Order>> = vec![None; ops.len()];
        if let Some(first) = before.first_mut() {
            *first = Some(Order::Host);
        }
        let mut orders = vec![Order::Host; ops.len()];
        let mut again = false;
        for (at, op) in ops.iter().enumerate() {
            let Some(here) = before[at] else {
                continue;
            };
            let behind = match *op {
                Op::Load(size @ (Size::Half | Size::Word), _) if !host[at] => Order::Network(size),
                Op::Load(..)
                | Op::LoadLen
                | Op::LoadNumber(_)
                | Op::LoadMemory(_)
                | Op::LoadMeta(_)
                | Op::XToA => Order::Host,
                _ => here,
            };
            orders[at] = if matches!(op, Op::Load(..)) {
                behind
            } else {
                here
            };
            for next in program.successors(at) {
                let conflicts = before[next].is_some_and(|other| other != behind);
                if conflicts && live[next].a && !mixed[next] {
                    mixed[next] = true;
                    again = true;
                }
                before[next] = Some(behind);
            }
        }
        if !again {
            return orders;
        }
    }
}

/// Behind which instructions `a` must be in the machine's order.
fn host(program: &Program, mixed: &[bool]) -> Vec<bool> {
    let ops = program.ops();
    let mut before = vec![false; ops.len()];
    let mut behind = vec![false; ops.len()];
    for (at, op) in ops.iter().enumerate().rev() {
        behind[at] = program.successors(at).any(|next| before[next]);
        before[at] = mixed[at]
            || match *op {
                Op::Load(..)
                | Op::LoadLen
                | Op::LoadNumber(_)
                | Op::LoadMemory(_)
                | Op::LoadMeta(_)
                | Op::XToA
                | Op::Return(_) => false,
                Op::Store(_) | Op::Negate | Op::AToX | Op::ReturnA => true,
                // Bit by bit, as a comparison for equality is.
                Op::Branch {
                    test: Test::Equal | Test::CommonBit,
                    with: Operand::Number(_),
                    ..
                }
                | Op::Calculate(Operation::And, Operand::Number(_)) => behind[at],
                Op::Branch { .. } | Op::Calculate(..) => true,
                _ => behind[at],
            };
    }
    behind
}
