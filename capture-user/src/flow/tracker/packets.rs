//! Which sightings are of one packet.
//!
//! The skb's address says so, if the fingerprint agrees: addresses are used again at once. Where
//! the skb was rebuilt, or its address isn't known, the fingerprint must do alone. Then a packet
//! with one of the flow's known tuples joins the oldest that it can be: those it is taken for by
//! mistake are indistinguishable from it. A *new* tuple is believed only of a fingerprint that
//! tells flows apart, and if exactly one packet fits.
//!
//! No packet is on the same hook twice: a retransmission, a duplicate acknowledgement or a loop
//! shows as what it is, another packet.

use super::super::live::{FlowRef, Hook, Live, MAX_STOPS};
use super::super::nat::NatEvidence;
use super::super::path::Pass;
use super::super::role::Role;
use super::super::sighting::Sighting;
use super::ahead::Read;
use super::{Ticket, Tracker};
use crate::packet::Direction;

/// What a packet was found to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Same {
    packet: u64,
    /// The leg of its flow that its tuple is, if it is one.
    leg: Option<u8>,
    /// What tells that it is the same.
    evidence: NatEvidence,
}

/// How a sighting's tuple stands to a packet.
enum Relation {
    /// It is of the packet's flow, as this leg.
    Known(u8),
    /// The packet's flow doesn't have it.
    Strange,
    /// It can't be the same packet, or that can't be known any more.
    None,
}

impl Tracker {
    /// The packet that this is a further sighting of.
    pub(super) fn same_packet(
        &self,
        sighting: &Sighting<'_>,
        read: &Read,
        hook: Hook,
    ) -> Option<Same> {
        let mut found = None;
        let mut oldest_known = None;
        let mut strange = None;
        let mut strangers = 0;
        for (packet, live) in self.packets.look_alikes(read.fingerprint, hook) {
            if sighting.time.abs_diff(live.last()) > self.config.window
                || usize::from(live.stops) >= MAX_STOPS
                || live.hooks().contains(&hook)
            {
                continue;
            }
            // Looked up for the first look-alike alone: most packets have none.
            let found = *found.get_or_insert_with(|| self.table.find_sought(read.sought.as_ref()?));
            let identical = live
                .identity
                .is_some_and(|identity| sighting.identity == Some(identity.get()));
            let same = |leg| Same {
                packet,
                leg,
                evidence: if identical {
                    NatEvidence::SamePacket
                } else {
                    NatEvidence::Fingerprint
                },
            };
            match self.relation(live, read, found) {
                Relation::None => {}
                Relation::Known(leg) if identical => return Some(same(Some(leg))),
                Relation::Known(leg) => oldest_known = Some(same(Some(leg))),
                Relation::Strange if !self.may_become(live, hook, read) => {}
                Relation::Strange if identical => return Some(same(None)),
                Relation::Strange if read.fingerprint.telling => {
                    strangers += 1;
                    strange = Some(same(None));
                }
                Relation::Strange => {}
            }
        }
        oldest_known.or(strange.filter(|_| strangers == 1))
    }

    fn relation(&self, live: &Live, read: &Read, found: Option<(FlowRef, u8, usize)>) -> Relation {
        if read.sought.is_none() {
            let flowless = live.flow == FlowRef::NONE || live.about;
            return if flowless {
                Relation::Known(0)
            } else {
                Relation::None
            };
        }
        if live.about {
            return Relation::None;
        }
        let Some(flow) = self.table.resolve(live.flow) else {
            return Relation::None;
        };
        match found {
            Some((known, leg, from)) if known == flow => {
                // Two directions of one flow don't share packets.
                if from == usize::from(live.from) {
                    Relation::Known(leg)
                } else {
                    Relation::None
                }
            }
            _ => Relation::Strange,
        }
    }

    /// Whether a packet can have got another tuple on its way to a hook.
    fn may_become(&self, live: &Live, hook: Hook, read: &Read) -> bool {
        let stop = live.last_stop();
        let last = live.hooks[stop];
        let (was, is) = (last.direction(), hook.direction());
        let flow = self.table.get(live.flow);
        let tuple_was = flow.map(|flow| self.table.leg(flow, live.legs[stop]));
        let mut tuples = [tuple_was, read.tuple()].into_iter().flatten();
        if tuples.any(|tuple| tuple.is_of_one_link()) {
            return false;
        }
        // A relay's datagram has the payload of the one that it got, maybe its skb's address, and a TTL of
        // its own. Forwarding only takes from it. What a rule that raises it hides here, conntrack tells.
        if !read.fingerprint.telling && read.ttl > live.ttl {
            return false;
        }
        match (was, is) {
            // What comes out of a container wasn't anywhere on this node before.
            (Direction::In, Direction::In) if self.role(hook.interface()) == Role::Pod => false,
            // It left: here it is again, in another namespace or because its skb's address is
            // used again. Only numbers that nobody shares can tell.
            (Direction::Out, Direction::In) => read.fingerprint.telling,
            _ => true,
        }
    }

    /// Takes a further sighting of a packet.
    pub(super) fn again(
        &mut self,
        sighting: &Sighting<'_>,
        read: &Read,
        same: &Same,
        hook: Hook,
    ) -> Ticket {
        let packet = same.packet;
        let ticket = |stop: usize, settled| Ticket {
            packet,
            stop: u8::try_from(stop).unwrap_or(u8::MAX),
            settled,
        };
        let Some(live) = self.packets.get(packet).copied() else {
            return ticket(0, false);
        };
        let before = live.last_stop();
        let from = usize::from(live.from);
        let flow = (!live.about)
            .then(|| self.table.resolve(live.flow))
            .flatten();
        let mut leg = same.leg.unwrap_or(0);
        let mut nat = None;
        let mut flow_now = flow;
        if let Some(flow) = flow
            && let Some(tuple) = read.tuple()
        {
            if same.leg.is_none() {
                leg = self.join_tuple(flow, from, tuple, read, sighting.time);
                // The flow may have become part of another.
                flow_now = self.table.resolve(flow);
            }
            // Joining may have renumbered the legs of what was seen before.
            let live = self.packets.get(packet).copied().unwrap_or(live);
            if let Some(flow) = flow_now
                && live.legs[before] != leg
            {
                nat = self.translated(
                    flow,
                    &live,
                    [(live.legs[before], live.hooks[before]), (leg, hook)],
                    same.evidence,
                    sighting.time,
                );
            }
        }
        let Some(live) = self.packets.get_mut(packet) else {
            return ticket(before + 1, false);
        };
        let from = usize::from(live.from);
        let delay = sighting.time.saturating_sub(live.last());
        let stop = live.stop(hook, sighting.time, leg, read.ttl);
        if let Some(nat) = nat {
            live.nat = nat;
            live.nat_stop = u8::try_from(stop).unwrap_or(0);
        }
        let settled = live.is_settled_at(stop);
        if let Some(flow) = flow_now
            && let Some(flow) = self.table.get_mut(flow)
        {
            flow.pass(&Pass {
                hook,
                leg,
                from,
                ttl: read.ttl,
                position: stop,
                delay: Some(u32::try_from(delay).unwrap_or(u32::MAX)),
            });
        }
        ticket(stop, settled)
    }
}
