//! The recorder against a model that remembers everything and looks at it afterwards.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const PLENTY: usize = 1 << 22;

fn time(milliseconds: u64) -> Reach {
    Reach::Time(Duration::from_millis(milliseconds))
}

fn config(before: Reach, after: Reach, order: Order) -> Config {
    Config {
        bytes: PLENTY,
        before,
        after,
        order,
    }
}

/// A packet as the tests know it: its number is its bytes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    number: u64,
    stamp: u64,
    flow: u64,
    packet: u64,
}

/// A recorder, what went in and what came out, by number.
struct Bench {
    recorder: Recorder,
    sent: Vec<Sent>,
    given: Vec<u64>,
    len: usize,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self {
            recorder: Recorder::new(config),
            sent: Vec::new(),
            given: Vec::new(),
            len: 100,
        }
    }

    fn drain(&mut self, now: u64, len: usize) {
        while let Some(given) = self.recorder.due(now, len) {
            let number = u64::from_le_bytes(*given.bytes.first_chunk().unwrap());
            let sent = self.sent[number as usize];
            assert_eq!((given.stamp, given.interface), (sent.stamp, 3));
            assert_eq!(given.bytes.len(), self.len);
            self.given.push(number);
        }
    }

    /// A packet of a flow, seen then; returns its number.
    fn packet(&mut self, stamp: u64, flow: u64) -> u64 {
        self.sighting(stamp, flow, 1_000 + self.sent.len() as u64)
    }

    fn sighting(&mut self, stamp: u64, flow: u64, packet: u64) -> u64 {
        let number = self.sent.len() as u64;
        self.sent.push(Sent {
            number,
            stamp,
            flow,
            packet,
        });
        self.drain(stamp, self.len);
        let key = Key {
            stamp,
            flow: (flow != 0).then_some(flow),
            packet,
            interface: 3,
        };
        let rest = vec![flow as u8; self.len - 8];
        assert!(self.recorder.take(&key, &[&number.to_le_bytes(), &rest]));
        number
    }

    fn event(&mut self, time: u64, flow: u64, packet: u64) {
        self.recorder.happen(Event { time, flow, packet });
    }

    fn finish(&mut self) {
        self.recorder.finish();
        self.drain(0, 0);
    }

    fn forgotten(&self) -> u64 {
        self.recorder.forgotten()
    }
}

#[test]
fn without_an_event_nothing_comes_out() {
    for order in [Order::ByTime, Order::AtOnce] {
        let mut bench = Bench::new(config(time(1_000), time(1_000), order));
        for at in 0..500 {
            bench.packet(at * 20 * MS, at % 7);
        }
        bench.finish();
        assert_eq!(bench.given, [0; 0]);
        assert_eq!(bench.forgotten(), 500);
    }
}

#[test]
fn packets_before_and_after_the_event_come_out_and_no_other_flow_s() {
    for order in [Order::ByTime, Order::AtOnce] {
        let mut bench = Bench::new(config(time(100), time(50), order));
        let mut expected = Vec::new();
        for at in 0..100 {
            let stamp = at * 10 * MS;
            if at == 50 {
                bench.event(stamp, 1, 0);
            }
            let number = bench.packet(stamp, 1);
            if (40..=55).contains(&at) {
                expected.push(number);
            }
            bench.packet(stamp, 2);
        }
        bench.finish();
        assert_eq!(bench.given, expected, "{order:?}");
        assert_eq!(bench.forgotten(), 200 - 16);
    }
}

#[test]
fn at_once_means_with_the_event_and_by_time_means_when_nothing_older_can_follow() {
    for (order, given) in [(Order::ByTime, 0), (Order::AtOnce, 3)] {
        let mut bench = Bench::new(config(time(1_000), time(1_000), order));
        bench.packet(SECOND, 1);
        bench.packet(SECOND + 1, 1);
        bench.event(SECOND + 2, 1, 0);
        bench.packet(SECOND + 2, 1);
        bench.drain(SECOND + 3, 0);
        assert_eq!(bench.given.len(), given);
        let late = SECOND + 2 + SECOND + SLACK;
        bench.drain(late, 0);
        assert_eq!(bench.given.len(), given.max(2));
        bench.drain(late + 1, 0);
        assert_eq!(bench.given, [0, 1, 2]);
    }
}

#[test]
fn by_packets_so_many_come_before_and_after_and_the_event_s_own_are_not_counted() {
    let reach = Reach::Packets(2);
    let mut bench = Bench::new(config(reach, reach, Order::AtOnce));
    for at in 0..5 {
        bench.packet(SECOND + at, 1);
    }
    bench.event(SECOND + 10, 1, 77);
    // One packet that is seen on three hooks.
    for at in 10..13 {
        bench.sighting(SECOND + at, 1, 77);
    }
    for at in 20..25 {
        bench.packet(SECOND + at, 1);
    }
    bench.finish();
    assert_eq!(bench.given, [3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_window_by_packets_stays_open_until_they_came() {
    let mut bench = Bench::new(config(time(10), Reach::Packets(2), Order::AtOnce));
    bench.event(SECOND, 1, 0);
    for at in 1..6 {
        bench.packet(at * 3_600 * SECOND, 1);
    }
    bench.finish();
    assert_eq!(bench.given, [0, 1]);
    assert_eq!(bench.recorder.flows.len(), 0);
}

#[test]
fn a_flow_s_end_closes_its_window() {
    let mut bench = Bench::new(config(time(10), Reach::Packets(2), Order::AtOnce));
    bench.event(SECOND, 1, 0);
    bench.drain(2 * SECOND, 0);
    assert_eq!(bench.recorder.flows.len(), 1);
    bench.recorder.end_flow(1);
    bench.drain(10 * SECOND, 0);
    bench.drain(20 * SECOND, 0);
    assert_eq!(bench.recorder.flows.len(), 0);
}

#[test]
fn flows_that_are_one_are_given_out_as_one() {
    for order in [Order::ByTime, Order::AtOnce] {
        for join_first in [true, false] {
            let mut bench = Bench::new(config(time(1_000), time(1_000), order));
            for at in 0..10 {
                bench.packet(SECOND + at * MS, 1 + at % 2);
            }
            if join_first {
                bench.recorder.join(2, 1);
                bench.event(SECOND + 20 * MS, 1, 0);
            } else {
                bench.event(SECOND + 20 * MS, 2, 0);
                bench.packet(SECOND + 21 * MS, 3);
                bench.recorder.join(2, 1);
            }
            let late = bench.packet(SECOND + 30 * MS, 1);
            bench.finish();
            let mut expected: Vec<u64> = (0..10).collect();
            expected.push(late);
            bench.given.sort_unstable();
            assert_eq!(bench.given, expected, "{order:?} {join_first}");
        }
    }
}

#[test]
fn an_event_that_asks_for_what_had_to_go_is_counted_and_one_that_does_not_is_not() {
    for order in [Order::ByTime, Order::AtOnce] {
        let mut bench = Bench::new(Config {
            bytes: 1 << 16,
            ..config(time(10_000), time(10), order)
        });
        bench.len = 1_000;
        for at in 0..200 {
            bench.packet(SECOND + at * MS, 1);
        }
        // Of the newest flow nothing can be missing.
        bench.packet(SECOND + 200 * MS, 2);
        bench.event(SECOND + 201 * MS, 2, 0);
        bench.drain(SECOND + 202 * MS, 0);
        assert_eq!(bench.recorder.counts().cut, 0);
        bench.event(SECOND + 203 * MS, 1, 0);
        bench.drain(SECOND + 204 * MS, 0);
        assert_eq!(bench.recorder.counts().cut, 1);
        let wait = bench.recorder.counts().least_wait.unwrap();
        assert!((20 * MS..100 * MS).contains(&wait), "{wait}");
        bench.finish();
        // What was held came out, to the last one.
        let held = bench.given.len() as u64;
        assert!(held > 20 && held < 100, "{held}");
        bench.given.sort_unstable();
        let from_the_end: Vec<u64> = (201 - held..201).collect();
        assert_eq!(bench.given, from_the_end);
        assert_eq!(bench.forgotten() + held, 201);
    }
}

#[test]
fn many_flows_with_an_event_each_take_no_more_memory_than_was_given() {
    let mut bench = Bench::new(Config {
        bytes: LEAST_BYTES as usize,
        ..config(time(1_000), time(3_600_000), Order::AtOnce)
    });
    let capacity = bench.recorder.flows.capacity();
    for flow in 1..20_000 {
        bench.packet(flow * 1_000, flow);
        bench.event(flow * 1_000 + 1, flow, 0);
    }
    // It is less by the places of flows that were removed; more would be a larger table.
    assert!(bench.recorder.flows.capacity() <= capacity);
    assert!(bench.recorder.open.len() <= capacity);
    bench.finish();
    assert_eq!(bench.given.len(), 19_999);
    assert!(bench.recorder.counts().closed_early > 0);
}

/// What happens: a packet of a flow after some time, or an event of it some time ago.
#[derive(Clone, Copy, Debug)]
enum Step {
    Packet(u64, u64),
    Event(u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..30 * MS, 0..4u64).prop_map(|(after, flow)| Step::Packet(after, flow)),
        1 => (0..150 * MS, 1..4u64).prop_map(|(ago, flow)| Step::Event(ago, flow)),
    ];
    prop::collection::vec(step, 1..120)
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![
        (0..400u64).prop_map(time),
        (0..12u64).prop_map(Reach::Packets),
    ]
}

/// What an event asks for, by all packets that there are.
fn asked(sent: &[Sent], event: &Event, config: &Config) -> BTreeSet<u64> {
    let of_flow: Vec<_> = sent
        .iter()
        .filter(|it| it.flow == event.flow && it.stamp != event.time)
        .collect();
    let (before, after): (Vec<&Sent>, Vec<&Sent>) =
        of_flow.iter().partition(|it| it.stamp < event.time);
    let near = |packets: Vec<&Sent>, reach: Reach| -> Vec<u64> {
        let within = packets.into_iter().enumerate().filter(|(nth, it)| {
            let distance = it.stamp.abs_diff(event.time);
            match reach {
                Reach::Time(time) => u128::from(distance) <= time.as_nanos(),
                Reach::Packets(most) => (*nth as u64) < most,
            }
        });
        within.map(|(_, it)| it.number).collect()
    };
    let own = sent
        .iter()
        .filter(|it| it.flow == event.flow && it.stamp == event.time)
        .map(|it| it.number);
    let reversed: Vec<_> = before.into_iter().rev().collect();
    near(reversed, config.before)
        .into_iter()
        .chain(near(after, config.after))
        .chain(own)
        .collect()
}

fn run(bench: &mut Bench, steps: &[Step]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut now = 10 * SECOND;
    for step in steps {
        match *step {
            Step::Packet(after, flow) => {
                now += after + 1;
                bench.packet(now, flow);
            }
            Step::Event(ago, flow) => {
                let event = Event {
                    time: now - ago,
                    flow,
                    packet: 0,
                };
                events.push(event);
                bench.event(event.time, flow, 0);
                bench.drain(now, 0);
            }
        }
    }
    bench.finish();
    events
}

proptest! {
    #[test]
    fn what_an_event_asks_for_comes_out_exactly_once_in_order_and_nothing_else(
        steps in steps(),
        before in reach(),
        after in reach(),
        at_once in any::<bool>(),
    ) {
        let order = match before {
            Reach::Time(_) if !at_once => Order::ByTime,
            _ => Order::AtOnce,
        };
        let config = config(before, after, order);
        let mut bench = Bench::new(config);
        let events = run(&mut bench, &steps);
        let expected: BTreeSet<u64> =
            events.iter().flat_map(|event| asked(&bench.sent, event, &config)).collect();
        if order == Order::ByTime {
            prop_assert!(bench.given.is_sorted(), "{:?}", bench.given);
        }
        let mut given = bench.given.clone();
        given.sort_unstable();
        prop_assert_eq!(&given, &expected.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(bench.recorder.counts().cut, 0);
        prop_assert_eq!(bench.forgotten() + given.len() as u64, bench.sent.len() as u64);
        prop_assert_eq!(bench.recorder.counts().events, events.len() as u64);
        prop_assert_eq!(bench.recorder.flows.len(), bench.recorder.open_flows);
    }

    #[test]
    fn under_eviction_what_is_missing_is_told(
        steps in steps(),
        before in reach(),
        after in reach(),
        at_once in any::<bool>(),
        packets in 3..40usize,
    ) {
        let order = match before {
            Reach::Time(_) if !at_once => Order::ByTime,
            _ => Order::AtOnce,
        };
        let config = config(before, after, order);
        let mut bench = Bench::new(config);
        bench.recorder.ring = Ring::new(packets * 160);
        let events = run(&mut bench, &steps);
        let expected: BTreeSet<u64> =
            events.iter().flat_map(|event| asked(&bench.sent, event, &config)).collect();
        let given: BTreeSet<u64> = bench.given.iter().copied().collect();
        prop_assert_eq!(given.len(), bench.given.len(), "nothing comes out twice");
        prop_assert!(order == Order::AtOnce || bench.given.is_sorted());
        // By number, those that are left count as the first ones behind an event told late.
        if let Reach::Time(_) = after {
            prop_assert!(given.is_subset(&expected), "{given:?} of {expected:?}");
        }
        prop_assert!(
            given.is_superset(&expected) || bench.recorder.counts().cut > 0,
            "{given:?} of {expected:?}"
        );
        prop_assert_eq!(bench.forgotten() + given.len() as u64, bench.sent.len() as u64);
    }
}
