//! What reads the packet, and what the kernel knows of it.

use super::super::super::ebpf::{
    Condition, Instruction, Math, R0, R2, R3, R4, R10, Register, Value, Width,
};
use super::super::classic::{Meta, Place, Size};
use super::Hook;
use super::code::{
    A, BEHIND, BUFFER, CONTEXT, Code, EGRESS, END, KEPT_A, KEPT_CONTEXT, KEPT_START, KEPT_X, Label,
    START, X,
};
use super::known::{Check, Step};

/// `PACKET_OUTGOING` (linux/if_packet.h).
const PACKET_OUTGOING: i32 = 4;

/// `bpf_xdp_get_buff_len`, which counts fragments too.
const XDP_GET_BUFF_LEN: i32 = 188;

impl Code {
    /// Reads a number of the packet, in the packet's order.
    pub(super) fn load(
        &mut self,
        to: Register,
        size: Size,
        from: Place,
        at: usize,
        step: &Step,
        direct: Option<Check>,
    ) {
        match direct {
            Some(check) => self.load_directly(to, size, from, at, check),
            None => self.load_by_helper(to, size, from, step),
        }
    }

    /// Until it is read the destination holds what is compared with the packet's end: nothing
    /// needs what was in it.
    fn load_directly(&mut self, to: Register, size: Size, from: Place, at: usize, check: Check) {
        let short = self.short(at);
        if let Check::Find { near, .. } = check {
            if let Some(near) = near {
                let near = Value::Number(near.cast_signed());
                let far = Instruction::jump64(Condition::Greater, X, near, 0);
                self.jump_to(short, far);
            }
            self.copy(BEHIND, START);
            let x = Value::Register(X);
            self.emit(Instruction::math64(Math::Add, BEHIND, x));
        }
        let (base, k) = match from {
            Place::At(k) => (START, k),
            Place::BehindX(k) => (BEHIND, k),
        };
        if let Check::Compare(until) | Check::Find { until, .. } = check {
            self.copy(to, base);
            self.add(to, until.cast_signed());
            let end = Value::Register(END);
            let beyond = Instruction::jump64(Condition::Greater, to, end, 0);
            self.jump_to(short, beyond);
        }
        self.emit(Instruction::load(width(size), to, base, k as i16));
    }

    /// Where a direct load goes on that finds the packet's linear part too short.
    pub(super) fn short(&self, at: usize) -> Label {
        match self.hook.load_helper() {
            Some(_) => Label::Helped(at),
            None => Label::NoMatch,
        }
    }

    fn load_by_helper(&mut self, to: Register, size: Size, from: Place, step: &Step) {
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
        let kept = kept(to, step, false);
        self.keep(&kept);
        self.copy(R3, R10);
        self.add(R3, i32::from(BUFFER));
        self.number32(Math::Move, R4, size.bytes());
        self.emit(Instruction::call(helper));
        // Errors are negative numbers in 64 bits.
        let failed = Instruction::jump64(Condition::NotEqual, R0, Value::Number(0), 0);
        self.jump_to(Label::NoMatch, failed);
        self.take_back(&kept);
        self.emit(Instruction::load(width(size), to, R10, BUFFER));
    }

    fn keep(&mut self, kept: &[Kept]) {
        for (width, register, place) in kept {
            let register = Value::Register(*register);
            self.emit(Instruction::store(*width, R10, *place, register));
        }
    }

    fn take_back(&mut self, kept: &[Kept]) {
        for (width, register, place) in kept {
            self.emit(Instruction::load(*width, *register, R10, *place));
        }
    }

    pub(super) fn turn_to_host_order(&mut self, register: Register, size: Size) {
        match size {
            Size::Byte => {}
            Size::Half => self.emit(Instruction::from_network(register, 16)),
            Size::Word => self.emit(Instruction::from_network(register, 32)),
        }
    }

    /// The packet's length.
    pub(super) fn packet_len(&mut self, to: Register, step: &Step, direct: bool) {
        match self.hook {
            Hook::Tc => self.context(to, 0),
            Hook::Xdp { fragments: true } => {
                let kept = kept(to, step, direct);
                self.keep(&kept);
                self.emit(Instruction::call(XDP_GET_BUFF_LEN));
                if to != R0 {
                    self.copy(to, R0);
                }
                self.take_back(&kept);
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
    pub(super) fn meta(&mut self, meta: Meta) {
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
                self.emit(Instruction::load(Width::Eight, A, R10, EGRESS));
                let incoming = Value::Number(0);
                self.emit(Instruction::jump64(Condition::Equal, A, incoming, 2));
                self.number32(Math::Move, A, PACKET_OUTGOING.cast_unsigned());
                self.emit(Instruction::jump(1));
                self.context(A, 4);
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
}

/// A register that must outlive a helper, how much of it, and where below the frame pointer it
/// does.
type Kept = (Width, Register, i16);

/// What must outlive a helper whose answer goes to a register.
fn kept(to: Register, step: &Step, direct: bool) -> Vec<Kept> {
    let mut kept = vec![(Width::Eight, CONTEXT, KEPT_CONTEXT)];
    if direct {
        kept.push((Width::Eight, START, KEPT_START));
    }
    if step.live.a && to != A {
        kept.push((Width::Four, A, KEPT_A));
    }
    if step.live.x && to != X {
        kept.push((Width::Four, X, KEPT_X));
    }
    kept
}

fn width(size: Size) -> Width {
    match size {
        Size::Byte => Width::One,
        Size::Half => Width::Two,
        Size::Word => Width::Four,
    }
}
