//! Flows with several tuples, and flows that turn out to be one.

use super::super::connection::{Flow, Leg, MAX_LEGS};
use super::super::live::{FlowRef, NO_NAT};
use super::super::nat::NatKind;
use super::super::parse::Content;
use super::super::path;
use super::super::tcp::flag;
use super::super::tuple::Tuple;
use super::Tracker;
use super::ahead::Read;

impl Tracker {
    /// Makes a tuple that a packet of `flow` has one of the flow's, and returns which; the
    /// packet's first leg if that can't be.
    pub(super) fn join_tuple(
        &mut self,
        flow: FlowRef,
        from: usize,
        tuple: Tuple,
        read: &Read,
        time: u64,
    ) -> u8 {
        let toward = if from == 0 { tuple } else { tuple.reversed() };
        let opens = matches!(&read.content, Content::Tcp { segment, .. }
            if segment.flags & (flag::SYN | flag::ACK) == flag::SYN);
        if let Some((other, leg, _)) = self.table.find(&tuple) {
            if self.are_one(flow, other, &toward, opens) {
                self.merge(flow, other, &toward, time);
                return self.table.find(&tuple).map_or(0, |(_, leg, _)| leg);
            }
            // The packet shows whose tuple it is now: the other flow's days are over.
            if leg == 0 {
                self.table.retire(other);
            } else {
                self.table.unbind(other, leg);
            }
        }
        self.table.bind(flow, toward).unwrap_or(0)
    }

    /// Whether the flow that has a tuple is the same conversation as the one that got it, not
    /// one that had it earlier.
    pub(super) fn are_one(
        &self,
        flow: FlowRef,
        other: FlowRef,
        toward: &Tuple,
        opens: bool,
    ) -> bool {
        let (Some(mine), Some(others)) = (self.table.get(flow), self.table.get(other)) else {
            return false;
        };
        // A flow with another tuple before or behind this one is somebody else's.
        if mine.id == others.id || legs(others) > 1 || legs(mine) >= MAX_LEGS {
            return false;
        }
        let turned = self.table.primary(others) != *toward;
        if turned
            && (mine.sides[0].has_syn() || mine.sides[1].has_syn())
            && (others.sides[0].has_syn() || others.sides[1].has_syn())
        {
            return false;
        }
        if mine.first.abs_diff(others.first) <= self.config.window {
            return true;
        }
        mine.is_tcp() && !opens && !mine.is_over() && !others.is_over()
    }

    /// Makes two flows one: `other`'s single tuple becomes a leg of `flow`, as `toward`. The
    /// older one's number stays.
    pub(super) fn merge(&mut self, flow: FlowRef, other: FlowRef, toward: &Tuple, time: u64) {
        let turned = self
            .table
            .get(other)
            .is_some_and(|other| self.table.primary(other) != *toward);
        if turned {
            // The one that was seen beginning knows who is the client.
            let other_knows = self.table.get(other).is_some_and(knows_its_client);
            self.flip(if other_knows { flow } else { other });
        }
        let (kept, gone) = if flow.id < other.id {
            (flow, other)
        } else {
            (other, flow)
        };
        let Some(gone_flow) = self.table.get(gone) else {
            return;
        };
        let gone_legs: Vec<Tuple> = (0..legs(gone_flow))
            .filter_map(|leg| u8::try_from(leg).ok())
            .map(|leg| self.table.leg(gone_flow, leg))
            .collect();
        let Some(mut lost) = self.table.take_for(gone, kept, time) else {
            return;
        };
        self.merged += 1;
        self.flows_joined(gone.id, kept.id);
        // Leg by leg, which one of the kept flow's it has become.
        let now: Vec<u8> = gone_legs
            .iter()
            .map(|tuple| match self.table.find(tuple) {
                Some((found, leg, _)) if found.id == kept.id => leg,
                Some(_) => 0,
                None => self.table.bind(kept, *tuple).unwrap_or(0),
            })
            .collect();
        let leg_now = |leg: u8| now.get(usize::from(leg)).copied().unwrap_or(0);
        let mut stops = std::mem::take(lost.stops_mut());
        for stop in &mut stops {
            stop.leg = leg_now(stop.leg);
        }
        let Some(known) = self.table.get_mut(kept) else {
            return;
        };
        path::join(known.stops_mut(), stops);
        known.first = known.first.min(lost.first);
        for (side, lost) in known.sides.iter_mut().zip(&lost.sides) {
            side.absorb(lost);
        }
        known.shared.absorb(&lost.shared);
        known.to_show |= lost.to_show;
        let more = known.more.get_or_insert_default();
        let nats = u8::try_from(more.nats.len()).unwrap_or(NO_NAT);
        if let Some(lost) = lost.more.take() {
            more.nats.extend(lost.nats);
            more.resets.extend(lost.resets);
            more.reset_by = more.reset_by.or(lost.reset_by);
            more.verdicts = more.verdicts.max(lost.verdicts);
            more.due.extend(lost.due);
            more.mapping = more.mapping.or(lost.mapping);
            more.icmp_errors += lost.icmp_errors;
            more.tunnels.join(lost.tunnels);
        }
        let since = time.saturating_sub(self.config.window.saturating_mul(4));
        self.packets.each_since(since, |live| {
            if live.flow != gone {
                return;
            }
            live.flow = kept;
            for leg in &mut live.legs {
                *leg = leg_now(*leg);
            }
            if live.nat != NO_NAT {
                live.nat = live.nat.saturating_add(nats);
            }
        });
    }

    /// Client and server of a flow change places: its beginning wasn't seen, and it was taken for
    /// the wrong way round.
    pub(super) fn flip(&mut self, flow: FlowRef) {
        let Some(flow) = self.table.resolve(flow) else {
            return;
        };
        let Some(found) = self.table.get_mut(flow) else {
            return;
        };
        found.sides.swap(0, 1);
        found.shared.flip();
        found.turned = !found.turned;
        if let Some(more) = &mut found.more {
            for Leg { tuple, .. } in &mut more.legs {
                *tuple = tuple.reversed();
            }
            for stop in &mut more.stops {
                stop.from = 1 - stop.from.min(1);
            }
            for nat in &mut more.nats {
                let (before, after) = (nat.after.reversed(), nat.before.reversed());
                nat.kind = NatKind::between(&before, &after).unwrap_or(nat.kind);
                (nat.before, nat.after) = (before, after);
                nat.seen.swap(0, 1);
            }
            for judged in &mut more.resets {
                judged.from = 1 - judged.from.min(1);
            }
            more.reset_by = more.reset_by.map(|side| 1 - side.min(1));
            more.tunnels.flip();
        }
        for pending in &mut self.pending {
            if self.table.resolve(pending.flow) == Some(flow) {
                pending.from = 1 - pending.from.min(1);
            }
        }
        let table = &self.table;
        self.packets.each_since(0, |live| {
            if live.flow != FlowRef::NONE && table.resolve(live.flow) == Some(flow) {
                live.from = 1 - live.from.min(1);
            }
        });
    }
}

/// Tuples of a flow.
fn legs(flow: &Flow) -> usize {
    flow.more.as_ref().map_or(1, |more| more.legs.len().max(1))
}

/// Whether there is no doubt about who began it.
pub(super) const fn knows_its_client(flow: &Flow) -> bool {
    flow.sides[0].has_syn() || flow.sides[1].has_syn()
}
