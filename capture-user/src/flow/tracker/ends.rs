//! What becomes of flows that are over, silent, or in the way.

use super::super::connection::Flow;
use super::super::live::FlowRef;
use super::super::nat::Nat;
use super::super::record::{FlowRecord, PathRecord, Place, Record, TcpRecord};
use super::super::reset::Phase;
use super::super::tcp;
use super::super::tuple::Tuple;
use super::{SECOND, Tracker};

/// Slots that every call looks at, however little time has passed.
const SWEEP: usize = 256;

const ICMP: [u8; 2] = [1, 58];

impl Tracker {
    /// Does what time brings: to be called every few tens of milliseconds, also without packets.
    /// The whole table is looked through once a second, a part at each call.
    pub fn expire(&mut self, now: u64) {
        self.now = self.now.max(now);
        self.settle_resets(now);
        let window = self.config.window;
        let due = now.saturating_sub(window.saturating_mul(2));
        while let Some((_, flow)) = self.untold.pop_front_if(|(time, _)| *time < due) {
            self.tell_nats(flow);
        }
        self.place_drops(now);
        self.recent
            .forget_before(now.saturating_sub(window.saturating_mul(4).max(SECOND)));
        let (mut slot, since) = self.sweep;
        let slots = self.table.slots();
        let passed = now.saturating_sub(since).min(SECOND);
        // Truncation doesn't happen: at most the number of slots.
        let share = (slots as u128 * u128::from(passed)).div_ceil(u128::from(SECOND)) as usize;
        for _ in 0..share.max(SWEEP).min(slots) {
            slot = (slot + 1) % slots;
            self.look_at(slot, now);
        }
        self.sweep = (slot, now);
    }

    fn look_at(&mut self, slot: usize, now: u64) {
        let stale = now.saturating_sub(self.config.window.saturating_mul(4));
        let Some(flow) = self.table.at(slot) else {
            self.table.tidy(slot, stale);
            return;
        };
        let silent = now.saturating_sub(flow.last());
        if silent > self.timeout(flow) {
            let id = flow.id;
            self.end(FlowRef {
                slot: u32::try_from(slot).unwrap_or(u32::MAX),
                id,
            });
        }
    }

    /// How long a flow may be silent.
    pub(super) fn timeout(&self, flow: &Flow) -> u64 {
        let timeouts = &self.config.timeouts;
        if flow.retired {
            return self.config.window.saturating_mul(4);
        }
        if !flow.is_tcp() {
            return if ICMP.contains(&flow.protocol) {
                timeouts.echo
            } else {
                timeouts.datagrams
            };
        }
        if flow.is_reset() {
            return timeouts.over;
        }
        match flow.phase() {
            Phase::Closed => timeouts.closed,
            Phase::SynSent | Phase::SynReceived => timeouts.opening,
            _ => timeouts.connection,
        }
    }

    /// Makes room for one more flow.
    pub(super) fn make_room(&mut self, now: u64) {
        while self.table.is_full() {
            let Some(flow) = self.table.victim(now) else {
                return;
            };
            let over = self
                .table
                .get(flow)
                .is_some_and(|flow| flow.retired || flow.is_over());
            self.summary.evicted += u64::from(!over);
            self.end(flow);
        }
    }

    /// The capture ends: everything is told.
    pub fn finish(&mut self, now: u64) {
        self.now = self.now.max(now);
        self.judge_all();
        for slot in 0..self.table.slots() {
            if let Some(id) = self.table.at(slot).map(|flow| flow.id) {
                self.end(FlowRef {
                    slot: u32::try_from(slot).unwrap_or(u32::MAX),
                    id,
                });
            }
        }
        self.untold.clear();
        self.pending.clear();
    }

    /// Takes a flow out and tells of it.
    fn end(&mut self, flow: FlowRef) {
        let Some(found) = self.table.get(flow) else {
            return;
        };
        if found.sides.iter().any(tcp::Side::has_reset) {
            self.judge_all_of(flow);
        }
        self.tell_nats(flow);
        let Some((mut found, primary)) = self.table.remove(flow) else {
            return;
        };
        self.flow_ended(found.id);
        let judged = found
            .more
            .as_mut()
            .map(|more| std::mem::take(&mut more.resets))
            .unwrap_or_default();
        // Amending counts in the summary, so it is done with or without records.
        let mut resets = self.amended(&found.sides, judged);
        if found.may_be_several() {
            self.unsettle(&mut resets);
        }
        if self.config.records {
            let mut record = flow_record(&found, primary);
            record.resets = resets;
            self.tell(Record::Flow(Box::new(record)));
        }
    }
}

fn flow_record(flow: &Flow, primary: Tuple) -> FlowRecord {
    let [client, server] = &flow.sides;
    let outermost = flow.outermost(primary);
    let leg = |leg: u8| {
        flow.more
            .as_ref()
            .and_then(|more| more.legs.get(usize::from(leg)))
            .map_or(primary, |leg| leg.tuple)
    };
    FlowRecord {
        id: flow.id,
        protocol: flow.protocol,
        client: outermost.source,
        server: outermost.destination,
        first: flow.first,
        last: flow.last(),
        state: flow.state(),
        packets: [client.packets, server.packets],
        bytes: [client.bytes, server.bytes],
        tcp: flow.is_tcp().then(|| TcpRecord {
            handshake_us: tcp::handshake_micros(&flow.shared),
            retransmits: [client.retransmits, server.retransmits],
            out_of_order: [client.out_of_order, server.out_of_order],
            zero_windows: [client.zero_windows, server.zero_windows],
            keepalives: [client.keepalives, server.keepalives],
        }),
        icmp_errors: flow.more.as_ref().map_or(0, |more| more.icmp_errors),
        tunnel: flow.tunnel(0),
        tunnels_differ: flow.may_be_several(),
        path: flow
            .stops()
            .iter()
            .map(|stop| PathRecord {
                place: Place {
                    interface: stop.hook.interface(),
                    direction: Some(stop.hook.direction()),
                },
                packets: stop.packets,
                tuple: if stop.from == 0 {
                    leg(stop.leg)
                } else {
                    leg(stop.leg).reversed()
                },
                tunnel: flow
                    .more
                    .as_ref()
                    .and_then(|more| more.tunnels.at(stop.hook, stop.from)),
                after: stop
                    .delays
                    .as_ref()
                    .map(|delays| [delays.quantile(50), delays.quantile(99)]),
            })
            .collect(),
        nat: flow
            .nats()
            .iter()
            .map(|nat: &Nat| Tracker::nat_record(flow.id, nat, flow.tunnel(0)))
            .collect(),
        resets: Vec::new(),
    }
}
