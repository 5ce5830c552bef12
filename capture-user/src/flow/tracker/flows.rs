//! Which flow a packet is of, and what its flow learns from it.

use capture_common::filter::has_ports;

use super::super::bindings::Sought;
use super::super::connection::Flow;
use super::super::happening::Kind;
use super::super::live::{FlowRef, Hook, Live, NO_NAT};
use super::super::parse::Content;
use super::super::path::Pass;
use super::super::sighting::Sighting;
use super::super::tcp::{self, flag};
use super::super::tuple::Tuple;
use super::ahead::Read;
use super::{Ticket, Tracker};

/// Ports below are given out by IANA and the privileged: who uses one is the server.
const WELL_KNOWN: u16 = 1024;

impl Tracker {
    /// Takes a packet that wasn't seen before.
    pub(super) fn first(&mut self, sighting: &Sighting<'_>, read: &Read, hook: Hook) -> Ticket {
        let mut live = Live::new(
            sighting.time,
            sighting.identity,
            read.fingerprint,
            hook,
            read.ttl,
        );
        match (&read.content, &read.sought) {
            (Content::IcmpError(quoted), _) => {
                self.summary.icmp_errors += 1;
                self.quote(quoted.as_ref(), &mut live);
            }
            (_, Some(sought)) => self.count(sighting, read, sought, &mut live),
            (_, None) => self.summary.untracked += 1,
        }
        let settled = live.is_settled_at(0);
        let packet = self.packets.push(live);
        Ticket {
            packet,
            stop: 0,
            settled,
        }
    }

    /// An ICMP error belongs to the flow whose packet it quotes.
    fn quote(&mut self, quoted: Option<&Tuple>, live: &mut Live) {
        live.about = true;
        let found = quoted.and_then(|tuple| self.table.find(tuple));
        let Some((flow, leg, from)) = found else {
            self.summary.icmp_errors -= 1;
            self.summary.untracked += 1;
            return;
        };
        if let Some(more) = self.table.more(flow) {
            more.icmp_errors += 1;
        }
        self.happened(
            Kind::IcmpError,
            live.first,
            flow.id,
            self.packets.count() + 1,
        );
        live.flow = flow;
        // It goes the other way than what it quotes.
        live.from = u8::from(from == 0);
        live.legs[0] = leg;
    }

    fn count(&mut self, sighting: &Sighting<'_>, read: &Read, sought: &Sought, live: &mut Live) {
        let Some((flow, leg, from)) = self.flow_for(sought, read, sighting.time) else {
            self.summary.untracked += 1;
            return;
        };
        live.flow = flow;
        live.from = u8::from(from != 0);
        live.legs[0] = leg;
        let packet = self.packets.count() + 1;
        let segment = match &read.content {
            Content::Tcp { segment, scale } => Some((segment, *scale)),
            _ => None,
        };
        if let Some((segment, _)) = segment
            && segment.flags & flag::RST != 0
        {
            live.reset = self.note_reset(packet, flow, from, segment, live.hooks[0]);
        }
        let counted = self.counted(flow, from);
        let Some(flow) = self.table.get_mut(flow) else {
            return;
        };
        flow.pass(&Pass {
            hook: live.hooks[0],
            leg,
            from,
            ttl: read.ttl,
            position: 0,
            delay: None,
        });
        if let Some((segment, scale)) = segment {
            tcp::segment(
                &mut flow.sides,
                &mut flow.shared,
                from,
                segment,
                scale,
                // The low bits are enough to find it while it is remembered.
                packet as u32,
            );
            tcp::handshake(&flow.sides, &mut flow.shared, flow.first, segment.time);
        }
        tcp::count(&mut flow.sides, from, sighting.time, sighting.original_len);
        if flow.to_show {
            show(flow, live);
        }
        if let Some(counted) = counted {
            self.compare(counted, live.flow, from, sighting.time, packet);
        }
    }

    /// The flow of a packet, a new one if there is none.
    fn flow_for(
        &mut self,
        sought: &Sought,
        read: &Read,
        time: u64,
    ) -> Option<(FlowRef, u8, usize)> {
        let mut waiting = None;
        if let Some(found) = self.table.find_sought(sought) {
            let (flow, _, from) = found;
            if self
                .table
                .get(flow)
                .is_some_and(|flow| !self.ended(flow, from, read, time))
            {
                return Some(found);
            }
            if let Some(flow) = self.table.get(flow)
                && let Some(closer) = flow.shared.closed_by(&flow.sides)
            {
                let waited = time.saturating_sub(flow.last()) / 1_000_000;
                // Its sender, if that is who closed the connection before.
                waiting = Some((closer == from, u32::try_from(waited).unwrap_or(u32::MAX)));
            }
            self.table.retire(flow);
        }
        self.make_room(time);
        let tuple = &sought.tuple();
        let (from, from_its_start) = opener(tuple, read);
        let toward = if from == 0 { *tuple } else { tuple.reversed() };
        let flow = self.table.begin(&toward, time)?;
        if let Some(found) = self.table.get_mut(flow) {
            found.shared.from_its_start = from_its_start;
            if let Some((sender, waited)) = waiting {
                let side = if sender { from } else { 1 - from };
                found.shared.waiting = u8::from(side != 0);
                found.shared.waited = waited;
            }
        }
        if let Some((mapping, told)) = self.mappings.get(tuple)
            && self.may_be_there_for(flow, &mapping, told, time)
        {
            self.apply(flow, &mapping, time);
        }
        // A mapping may turn the flow around, give it to another, or number its legs.
        self.table.find_sought(sought)
    }

    /// Whether a packet isn't this flow's any more.
    fn ended(&self, flow: &Flow, from: usize, read: &Read, time: u64) -> bool {
        if let Content::Tcp { segment, .. } = &read.content {
            return segment.flags & (flag::SYN | flag::RST) == flag::SYN
                && flow.sides[from].begins_anew(&flow.shared, &flow.sides[1 - from], segment);
        }
        !flow.is_tcp() && time.saturating_sub(flow.last()) > self.timeout(flow)
    }
}

/// Which side the sender of a flow's first packet is, and whether that packet began it.
fn opener(tuple: &Tuple, read: &Read) -> (usize, bool) {
    match &read.content {
        Content::Tcp { segment, .. } if segment.flags & flag::SYN != 0 => {
            let answers = segment.flags & flag::ACK != 0;
            (usize::from(answers), !answers)
        }
        Content::EchoReply => (1, false),
        Content::Other if !has_ports(tuple.protocol) => (0, true),
        _ => {
            let (from, to) = (tuple.source.port, tuple.destination.port);
            (usize::from(from < WELL_KNOWN && to >= WELL_KNOWN), false)
        }
    }
}

/// Chooses the packet to carry the comment about a translation that only conntrack told of.
fn show(flow: &mut Flow, live: &mut Live) {
    flow.to_show = false;
    let Some(more) = &mut flow.more else { return };
    let next = more.nats.iter().position(|nat| !nat.shown);
    if let Some(index) = next
        && live.nat == NO_NAT
        && let Ok(nat) = u8::try_from(index)
    {
        live.nat = nat;
        live.nat_stop = 0;
        more.nats[index].shown = true;
    }
}
