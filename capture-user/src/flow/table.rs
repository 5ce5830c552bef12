//! The flows: a bounded number, in slots that are used again.
//!
//! **What is evicted.** When the table is full, a hand goes round the slots. Of the next sixteen
//! flows under it, it takes the one that is worth least: one that is over before one that
//! nobody answered for a second (a scan, a flood) before any other; among equals the one that
//! was silent for longest. That comes close to the least recently used, without a list that
//! every packet would have to reorder.

use std::hint::black_box;

use super::bindings::{BindingId, Bindings, Found, Sought};
use super::connection::{Flow, Leg, MAX_LEGS, More};
use super::live::FlowRef;
use super::tuple::Tuple;

/// How many flows the hand looks at.
const SAMPLE: usize = 16;

/// A flow without an answer isn't worth less before this: nanoseconds.
const UNANSWERED: u64 = 1_000_000_000;

const NONE: u32 = u32::MAX;

/// A slot of the table.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are used, and a box would cost a cache miss a packet"
)]
enum Slot {
    /// Nothing; the next free one.
    Free(u32),
    /// A flow that turned out to be part of another, for as long as packets refer to it.
    Moved {
        id: u64,
        to: FlowRef,
        at: u64,
    },
    Used(Flow),
}

/// The flows, and which tuples are theirs.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    pub(super) bindings: Bindings,
    free: u32,
    used: usize,
    max: usize,
    /// Where the hand of eviction is.
    hand: usize,
    next_id: u64,
}

impl Table {
    /// At most `max` flows.
    pub(super) fn new(max: usize) -> Self {
        Self {
            slots: Vec::new(),
            bindings: Bindings::default(),
            free: NONE,
            used: 0,
            max: max.clamp(1, 1 << 30),
            hand: 0,
            next_id: 1,
        }
    }

    /// How many flows there are.
    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Whether the next flow needs another's place.
    pub(super) const fn is_full(&self) -> bool {
        self.used >= self.max
    }

    /// How many flows were ever begun.
    pub(super) const fn begun(&self) -> u64 {
        self.next_id - 1
    }

    /// Begins a flow whose client sends `tuple`, which isn't bound. `None` if that can't be.
    pub(super) fn begin(&mut self, tuple: &Tuple, time: u64) -> Option<FlowRef> {
        let slot = if self.free == NONE {
            u32::try_from(self.slots.len())
                .ok()
                .filter(|slot| *slot != NONE)?
        } else {
            self.free
        };
        let sought = self.bindings.sought(tuple)?;
        let Found {
            binding, turned, ..
        } = self.bindings.insert(&sought, slot);
        let id = self.next_id;
        self.next_id += 1;
        self.used += 1;
        let flow = Slot::Used(Flow::new(id, time, binding, turned, tuple.protocol));
        match self.slots.get_mut(slot as usize) {
            Some(place) => {
                if let Slot::Free(next) = *place {
                    self.free = next;
                }
                *place = flow;
            }
            None => self.slots.push(flow),
        }
        Some(FlowRef { slot, id })
    }

    /// The flow in a slot.
    pub(super) fn at(&self, slot: usize) -> Option<&Flow> {
        match self.slots.get(slot) {
            Some(Slot::Used(flow)) => Some(flow),
            _ => None,
        }
    }

    /// Where a reference leads now.
    pub(super) fn resolve(&self, mut flow: FlowRef) -> Option<FlowRef> {
        // Each step leads to an older flow.
        loop {
            match self.slots.get(flow.slot as usize)? {
                Slot::Used(found) if found.id == flow.id => return Some(flow),
                Slot::Moved { id, to, .. } if *id == flow.id => flow = *to,
                _ => return None,
            }
        }
    }

    /// The flow that a reference leads to.
    pub(super) fn get(&self, flow: FlowRef) -> Option<&Flow> {
        let flow = self.resolve(flow)?;
        self.at(flow.slot as usize)
    }

    /// Likewise, to change it.
    pub(super) fn get_mut(&mut self, flow: FlowRef) -> Option<&mut Flow> {
        let flow = self.resolve(flow)?;
        match self.slots.get_mut(flow.slot as usize) {
            Some(Slot::Used(flow)) => Some(flow),
            _ => None,
        }
    }

    /// Whose tuple it is: the flow, which of its legs, and which side sends it.
    pub(super) fn find(&self, tuple: &Tuple) -> Option<(FlowRef, u8, usize)> {
        self.find_sought(&self.bindings.sought(tuple)?)
    }

    /// The same, where what the tuple is searched by was made before.
    #[inline]
    pub(super) fn find_sought(&self, sought: &Sought) -> Option<(FlowRef, u8, usize)> {
        let found = self.bindings.find(sought)?;
        let flow = self.at(found.slot as usize)?;
        let here = FlowRef {
            slot: found.slot,
            id: flow.id,
        };
        if found.binding == flow.primary {
            return Some((here, 0, usize::from(found.turned != flow.turned)));
        }
        let legs = &flow.more.as_ref()?.legs;
        let index = legs.iter().position(|leg| leg.binding == found.binding)?;
        let from = usize::from(legs[index].tuple != sought.tuple());
        Some((here, u8::try_from(index).ok()?, from))
    }

    /// Looks at all of a flow that a packet changes, so that it is there when it comes to that.
    pub(super) fn touch(&self, slot: u32) {
        if let Some(flow) = self.at(slot as usize) {
            let [client, server] = &flow.sides;
            black_box((flow.id, client.last, server.last, flow.shared.waited));
            black_box((client.hook, server.hook, flow.primary, flow.to_show));
        }
    }

    /// A flow's first tuple, from client to server.
    pub(super) fn primary(&self, flow: &Flow) -> Tuple {
        if let Some(leg) = flow.more.as_ref().and_then(|more| more.legs.first()) {
            return leg.tuple;
        }
        let tuple = self.bindings.tuple(flow.primary).unwrap_or(NOBODY);
        if flow.turned { tuple.reversed() } else { tuple }
    }

    /// Whether a flow has this tuple, whichever side is its client.
    pub(super) fn has_leg(&self, flow: &Flow, tuple: &Tuple) -> bool {
        let is_it = |leg: Tuple| leg == *tuple || leg == tuple.reversed();
        match &flow.more {
            Some(more) if !more.legs.is_empty() => more.legs.iter().any(|leg| is_it(leg.tuple)),
            _ => is_it(self.primary(flow)),
        }
    }

    /// One of a flow's tuples, from client to server.
    pub(super) fn leg(&self, flow: &Flow, leg: u8) -> Tuple {
        flow.more
            .as_ref()
            .and_then(|more| more.legs.get(usize::from(leg)))
            .map_or_else(|| self.primary(flow), |leg| leg.tuple)
    }

    /// What only some flows have, its legs filled in.
    pub(super) fn more(&mut self, flow: FlowRef) -> Option<&mut More> {
        let found = self.get(flow)?;
        let first = Leg {
            tuple: self.primary(found),
            binding: found.primary,
        };
        let more = self.get_mut(flow)?.more.get_or_insert_default();
        if more.legs.is_empty() {
            more.legs.push(first);
        }
        Some(more)
    }

    /// Gives a flow one more tuple (client to server), which no flow has. `None` if it has too
    /// many.
    pub(super) fn bind(&mut self, flow: FlowRef, tuple: Tuple) -> Option<u8> {
        let flow = self.resolve(flow)?;
        let legs = self.more(flow)?.legs.len();
        if legs >= MAX_LEGS {
            return None;
        }
        let sought = self.bindings.sought(&tuple)?;
        let binding = self.bindings.insert(&sought, flow.slot).binding;
        self.more(flow)?.legs.push(Leg { tuple, binding });
        u8::try_from(legs).ok()
    }

    /// Takes a tuple away from a flow that keeps others.
    pub(super) fn unbind(&mut self, flow: FlowRef, leg: u8) {
        let Some(flow) = self.resolve(flow) else {
            return;
        };
        let Some(more) = self.more(flow) else { return };
        let Some(leg) = more.legs.get_mut(usize::from(leg)) else {
            return;
        };
        let binding = std::mem::replace(&mut leg.binding, BindingId::GONE);
        self.bindings.remove(binding, flow.slot);
    }

    /// Takes a flow's tuples away from it; it stays, and can only be found by reference.
    pub(super) fn retire(&mut self, flow: FlowRef) {
        let Some(flow) = self.resolve(flow) else {
            return;
        };
        let Some(more) = self.more(flow) else { return };
        let mut gone = [BindingId::GONE; MAX_LEGS];
        for (gone, leg) in gone.iter_mut().zip(&mut more.legs) {
            *gone = std::mem::replace(&mut leg.binding, BindingId::GONE);
        }
        for binding in gone {
            self.bindings.remove(binding, flow.slot);
        }
        if let Some(found) = self.get_mut(flow) {
            found.primary = BindingId::GONE;
            found.retired = true;
        }
    }

    /// Takes a flow out, and says what its first tuple was.
    pub(super) fn remove(&mut self, flow: FlowRef) -> Option<(Flow, Tuple)> {
        let flow = self.resolve(flow)?;
        let found = self.get(flow)?;
        let primary = self.primary(found);
        if found.more.is_none() {
            self.bindings.remove(found.primary, flow.slot);
        } else {
            self.retire(flow);
        }
        let place = self.slots.get_mut(flow.slot as usize)?;
        let Slot::Used(found) = std::mem::replace(place, Slot::Free(self.free)) else {
            return None;
        };
        self.free = flow.slot;
        self.used -= 1;
        Some((found, primary))
    }

    /// Takes a flow out that turned out to be part of `to`; references to it lead there.
    pub(super) fn take_for(&mut self, flow: FlowRef, to: FlowRef, time: u64) -> Option<Flow> {
        let flow = self.resolve(flow)?;
        self.retire(flow);
        let place = self.slots.get_mut(flow.slot as usize)?;
        let moved = Slot::Moved {
            id: flow.id,
            to,
            at: time,
        };
        let Slot::Used(found) = std::mem::replace(place, moved) else {
            return None;
        };
        self.used -= 1;
        Some(found)
    }

    /// Frees a slot that led elsewhere, once nothing can refer to it any more.
    pub(super) fn tidy(&mut self, slot: usize, before: u64) {
        if let Some(place) = self.slots.get_mut(slot)
            && let Slot::Moved { at, .. } = place
            && *at < before
        {
            *place = Slot::Free(self.free);
            self.free = u32::try_from(slot).unwrap_or(NONE);
        }
    }

    /// The flow to evict next.
    pub(super) fn victim(&mut self, now: u64) -> Option<FlowRef> {
        let mut seen = 0;
        let mut best: Option<((u8, u64), FlowRef)> = None;
        for _ in 0..self.slots.len() {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(flow) = self.at(self.hand) else {
                continue;
            };
            let silent = now.saturating_sub(flow.last());
            let rank = if flow.retired || flow.is_over() {
                2
            } else {
                u8::from(flow.is_unanswered() && silent >= UNANSWERED)
            };
            let worth = (rank, silent);
            if best.is_none_or(|(least, _)| worth > least) {
                let slot = u32::try_from(self.hand).unwrap_or(NONE);
                best = Some((worth, FlowRef { slot, id: flow.id }));
            }
            seen += 1;
            if seen == SAMPLE {
                break;
            }
        }
        best.map(|(_, flow)| flow)
    }
}

/// Stands in where a flow has no tuple, which none is without.
const NOBODY: Tuple = {
    let nobody = super::tuple::Endpoint {
        address: std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        port: 0,
    };
    Tuple {
        source: nobody,
        destination: nobody,
        protocol: 0,
    }
};
