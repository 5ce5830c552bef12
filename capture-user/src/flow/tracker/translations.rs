//! Translations, as packets show them and as conntrack tells of them.

use super::super::evidence::{Change, Mapping};
use super::super::happening::Kind;
use super::super::live::{FlowRef, Hook, Live, NO_NAT};
use super::super::mappings;
use super::super::nat::{Nat, NatEvidence, NatKind};
use super::super::record::{NatRecord, Place, Record};
use super::super::reset::Phase;
use super::super::tunnel::Tunnel;
use super::super::tuple::Tuple;
use super::merging::knows_its_client;
use super::{SECOND, Tracker};

/// How long after a connection's first packet conntrack's word on it mostly comes, at the latest:
/// nanoseconds. What comes later than that is believed only where nothing speaks against it.
const LATEST_WORD: u64 = 3 * SECOND;

/// After so much silence conntrack forgets datagrams: nanoseconds (nf_conntrack_udp_timeout_stream was
/// 180 s until Linux 5.1, and is 120 s).
const SILENT: u64 = 180 * SECOND;

/// Translations of one flow. More are a loop, or a mapping that changes under an old flow.
const MAX_NATS: usize = 6;

impl Tracker {
    /// A packet of `flow` had one leg at a hook and another at the next. Returns the translation,
    /// if this packet is to tell of it. One that tells of another already leaves that to the flow's
    /// next.
    pub(super) fn translated(
        &mut self,
        flow: FlowRef,
        live: &Live,
        [(was, was_at), (is, is_at)]: [(u8, Hook); 2],
        evidence: NatEvidence,
        time: u64,
    ) -> Option<u8> {
        let found = self.table.get(flow)?;
        let (was, is) = (self.table.leg(found, was), self.table.leg(found, is));
        // A reply is translated back: that's the same translation.
        let (before, after, seen) = if live.from == 0 {
            (was, is, [was_at, is_at])
        } else {
            (is, was, [is_at, was_at])
        };
        let index = self.note_nat(flow, before, after, seen, evidence, time)?;
        let found = self.table.get_mut(flow)?;
        let nat = found.more.as_mut()?.nats.get_mut(index)?;
        if nat.shown {
            return None;
        }
        if live.nat != NO_NAT {
            found.to_show = true;
            return None;
        }
        nat.shown = true;
        u8::try_from(index).ok()
    }

    /// Notes a translation, or what more shows it. Returns its index.
    fn note_nat(
        &mut self,
        flow: FlowRef,
        before: Tuple,
        after: Tuple,
        seen: [Hook; 2],
        evidence: NatEvidence,
        time: u64,
    ) -> Option<usize> {
        NatKind::between(&before, &after)?;
        let confirmed = self.confirmed(flow, &before, &after);
        let flow = self.table.resolve(flow)?;
        let more = self.table.more(flow)?;
        let known = more
            .nats
            .iter()
            .position(|nat| nat.before == before && nat.after == after);
        if let Some(index) = known {
            let nat = &mut more.nats[index];
            nat.evidence |= evidence.bit();
            if nat.seen[0] == Hook::NONE {
                nat.seen = seen;
            }
            return Some(index);
        }
        // A translation of both ends may be undone, or done, one end at a time.
        if let Some(whole) = more
            .nats
            .iter()
            .position(|nat| is_within(&before, nat) && is_within(&after, nat))
        {
            return Some(whole);
        }
        let (before, after) = left_to_tell(&mut more.nats, before, after, evidence)?;
        let kind = NatKind::between(&before, &after)?;
        if more.nats.len() >= MAX_NATS {
            return None;
        }
        // Told once a kind: a mapping that is replaced under an old flow is in its record.
        let told = more.nats.iter().any(|nat| nat.kind == kind);
        more.nats.push(Nat {
            time,
            kind,
            before,
            after,
            seen,
            evidence: evidence.bit()
                | if confirmed {
                    NatEvidence::Conntrack.bit()
                } else {
                    0
                },
            shown: told,
            told,
        });
        let index = more.nats.len() - 1;
        if !told {
            self.summary.count_nat(kind);
            self.untold.push_back((time, flow));
            self.happened(Kind::Nat, time, flow.id, 0);
        }
        Some(index)
    }

    /// Whether conntrack had told of this translation.
    fn confirmed(&self, flow: FlowRef, before: &Tuple, after: &Tuple) -> bool {
        let tells =
            |mapping: &Mapping| mapping.original == *before && mapping.reply.reversed() == *after;
        let flow = self.table.get(flow);
        let known = flow.and_then(|flow| flow.more.as_ref()?.mapping.as_ref());
        let listed = self.mappings.get(before);
        known.is_some_and(tells) || listed.is_some_and(|(mapping, _)| tells(&mapping))
    }

    /// conntrack has an entry.
    pub(super) fn mapped(&mut self, time: u64, mapping: &Mapping) {
        let after = mapping.reply.reversed();
        if after != mapping.original {
            self.summary.evidence_ignored += u64::from(self.mappings.insert(mapping, time));
        }
        // Another connection had what is now this one's tuple behind the translation: conntrack gives it to
        // one at a time (of a zone).
        if let Some((flow, ..)) = self.table.find(&after)
            && self.was_before(flow, mapping, time)
        {
            self.table.retire(flow);
        }
        // Both sides of it may have flows of their own by now.
        for tuple in [&mapping.original, &after] {
            if let Some((flow, ..)) = self.table.find(tuple)
                && !self.was_before(flow, mapping, time)
            {
                self.apply(flow, mapping, time);
            }
        }
    }

    /// Whether a flow is of a connection before the one that this entry is for: it had another one's word with
    /// these replies, or the entry was just made, and the flow is older and isn't known to be translated so.
    fn was_before(&self, flow: FlowRef, mapping: &Mapping, time: u64) -> bool {
        let Some(found) = self.table.get(flow) else {
            return false;
        };
        let after = mapping.reply.reversed();
        if after == mapping.original {
            return false;
        }
        let [asks, leaves] = [&mapping.original, &after].map(|it| self.table.has_leg(found, it));
        let had = found.more.as_ref().and_then(|more| more.mapping);
        if !asks && had.is_some_and(|had| had.reply == mapping.reply) {
            return true;
        }
        mapping.change == Change::Made
            && found.first.saturating_add(LATEST_WORD) < time
            && !(asks && leaves)
            // The same question asked again after a while has an entry of its own; and so has a SYN that is
            // let through only when it is sent again.
            && !(asks && (!found.is_tcp() || found.phase() == Phase::SynSent))
    }

    /// Whether an entry that was told of at `told` is one for a flow that begins now.
    pub(super) fn may_be_there_for(
        &self,
        flow: FlowRef,
        mapping: &Mapping,
        told: u64,
        time: u64,
    ) -> bool {
        let lost = self.config.environment.removals_lost;
        if mapping.change == Change::Made && lost.is_none_or(|lost| lost < told) {
            return true;
        }
        let age = time.saturating_sub(told);
        match self.table.get(flow) {
            // A connection has an entry of its own, which is told of.
            Some(flow) if flow.shared.from_its_start && flow.is_tcp() => age <= LATEST_WORD,
            Some(flow) if flow.is_tcp() => true,
            _ => age <= SILENT,
        }
    }

    /// Tells a flow what conntrack has of it.
    pub(super) fn apply(&mut self, flow: FlowRef, mapping: &Mapping, time: u64) {
        let after = mapping.reply.reversed();
        let translates = after != mapping.original;
        let Some(more) = self.table.get_mut(flow).map(|flow| flow.more.as_ref()) else {
            return;
        };
        // Entries of several namespaces can match: one that translates says more.
        let better = more
            .and_then(|more| more.mapping.as_ref())
            .is_none_or(|known| {
                translates || mappings::same(known, mapping) || known.change == Change::Removed
            });
        if !translates {
            if better && let Some(more) = self.table.more(flow) {
                let plain = |known: &Mapping| known.reply.reversed() == known.original;
                if more.mapping.as_ref().is_none_or(plain) {
                    more.mapping = Some(mapping.after(more.mapping.as_ref()));
                }
            }
            return;
        }
        if NatKind::between(&mapping.original, &after).is_none() {
            return;
        }
        if !self.turn_to(flow, mapping) {
            return;
        }
        let mut flow = flow;
        for tuple in [mapping.original, after] {
            match self.table.find(&tuple) {
                Some((found, ..)) if Some(found) == self.table.resolve(flow) => {}
                Some((other, ..)) => {
                    if !self.are_one(flow, other, &tuple, false) {
                        // Another flow uses it now: the entry is of another time.
                        return;
                    }
                    self.merge(flow, other, &tuple, time);
                }
                None => {
                    if self.table.bind(flow, tuple).is_none() {
                        return;
                    }
                }
            }
            let Some(here) = self.table.resolve(flow) else {
                return;
            };
            flow = here;
        }
        if let Some(more) = self.table.more(flow) {
            more.mapping = Some(mapping.after(more.mapping.as_ref()));
        }
        let index = self.note_nat(
            flow,
            mapping.original,
            after,
            [Hook::NONE; 2],
            NatEvidence::Conntrack,
            time,
        );
        if let Some(index) = index
            && let Some(found) = self.table.get_mut(flow)
        {
            let shown = found.nats().get(index).is_none_or(|nat| nat.shown);
            found.to_show |= !shown;
        }
    }

    /// Whether the entry's direction is the flow's, made so if its beginning wasn't seen.
    fn turn_to(&mut self, flow: FlowRef, mapping: &Mapping) -> bool {
        let after = mapping.reply.reversed();
        let here = self.table.resolve(flow);
        for tuple in [&mapping.original, &after] {
            if let Some((found, _, from)) = self.table.find(tuple)
                && Some(found) == here
                && from == 1
            {
                if self.table.get(found).is_some_and(knows_its_client) {
                    return false;
                }
                self.flip(found);
                return true;
            }
        }
        true
    }

    pub(super) fn nat_record(flow: u64, nat: &Nat, tunnel: Option<Tunnel>) -> NatRecord {
        NatRecord {
            time: nat.time,
            flow,
            kind: nat.kind,
            before: nat.before,
            after: nat.after,
            seen: nat
                .seen
                .iter()
                .filter(|hook| **hook != Hook::NONE)
                .map(|hook| Place {
                    interface: hook.interface(),
                    direction: Some(hook.direction()),
                })
                .collect(),
            evidence: nat.evidence().collect(),
            tunnel,
        }
    }

    /// Gives a translation's record out, once.
    pub(super) fn tell_nat(&mut self, flow: FlowRef, index: usize) {
        let Some(found) = self.table.get_mut(flow) else {
            return;
        };
        let (id, tunnel) = (found.id, found.tunnel(0));
        let nat = found
            .more
            .as_mut()
            .and_then(|more| more.nats.get_mut(index));
        if let Some(nat) = nat
            && !nat.told
        {
            nat.told = true;
            if self.config.records {
                let record = Self::nat_record(id, nat, tunnel);
                self.tell(Record::Nat(Box::new(record)));
            }
        }
    }

    /// Likewise, all of a flow's.
    pub(super) fn tell_nats(&mut self, flow: FlowRef) {
        let nats = self.table.get(flow).map_or(0, |flow| flow.nats().len());
        for index in 0..nats {
            self.tell_nat(flow, index);
        }
    }
}

/// Whether each end of a tuple is as it is before a translation or as it is behind it.
fn is_within(tuple: &Tuple, nat: &Nat) -> bool {
    is_between(tuple, &nat.before, &nat.after)
}

fn is_between(tuple: &Tuple, before: &Tuple, after: &Tuple) -> bool {
    [before.source, after.source].contains(&tuple.source)
        && [before.destination, after.destination].contains(&tuple.destination)
}

/// What of a translation is left to tell where it was seen to be done one end at a time.
///
/// Nothing, once both steps are known. A packet can still take both at once: within a bridge, all but
/// the first do, as soon as the neighbour's header is cached (`br_nf_pre_routing_finish_bridge`). And
/// conntrack may have its say between the two: it adds the one that is missing, whether a packet is
/// going to show it or not.
fn left_to_tell(
    nats: &mut [Nat],
    before: Tuple,
    after: Tuple,
    evidence: NatEvidence,
) -> Option<(Tuple, Tuple)> {
    let steps = steps(nats, &before, &after);
    if evidence == NatEvidence::Conntrack {
        for step in steps.into_iter().flatten() {
            nats[step].evidence |= evidence.bit();
        }
    }
    match steps {
        [Some(_), Some(_)] => None,
        [Some(first), None] if evidence == NatEvidence::Conntrack => {
            Some((nats[first].after, after))
        }
        [None, Some(last)] if evidence == NatEvidence::Conntrack => {
            Some((before, nats[last].before))
        }
        // A packet wasn't seen as it is between the two.
        _ => Some((before, after)),
    }
}

/// The first and the last step of a translation, as indexes, where the one leads to the other; else
/// the one of them by which one of its two ends was translated.
fn steps(nats: &[Nat], before: &Tuple, after: &Tuple) -> [Option<usize>; 2] {
    let begins = |nat: &Nat| nat.before == *before;
    let ends = |nat: &Nat| nat.after == *after;
    for (first, nat) in nats.iter().enumerate().filter(|(_, nat)| begins(nat)) {
        let meets = |last: &Nat| ends(last) && last.before == nat.after;
        if let Some(last) = nats.iter().position(meets) {
            return [Some(first), Some(last)];
        }
    }
    let is_part = |tuple: &Tuple| is_between(tuple, before, after);
    let first = nats
        .iter()
        .position(|nat| begins(nat) && is_part(&nat.after));
    let last = nats
        .iter()
        .position(|nat| ends(nat) && is_part(&nat.before));
    match first {
        Some(_) => [first, None],
        None => [None, last],
    }
}
