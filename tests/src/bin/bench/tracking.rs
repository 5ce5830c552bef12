//! What the flow tracker costs by itself: no kernel, no ring, no file.
//!
//! TCP connections that are open already, one of them at random for each packet, so that at a
//! million flows nothing of a flow is in a cache. Packets are a microsecond apart, and each is
//! concluded when it is 30 ms old, as in a live capture. Frames are made between the measured
//! stretches, a thousand at a time.

use std::collections::VecDeque;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use capture_user::flow::role::Role;
use capture_user::flow::sighting::Sighting;
use capture_user::flow::tracker::{Config, Interface, Ticket, Tracker};
use capture_user::packet::{Direction, InterfaceId};
use capture_user::session::frame::Link;

use crate::report::{Aim, Report, Row};
use crate::traffic::{ACK, SYN, Start, Traffic, WIRE_LEN};
use crate::{Failure, Scale, progress};

/// Nanoseconds from one packet to the next.
const STEP: u64 = 1_000;
/// Nanoseconds after which a packet is concluded: what a live capture holds it.
const HOLD: u64 = 30_000_000;
/// Packets measured in one go.
const BATCH: usize = 1_024;

/// Where a frame has its TTL.
const TTL: usize = 22;

const FEW: usize = 1_000;
const MANY: usize = 1_000_000;

const FEW_AIM: Option<Aim> = Some(Aim::AtMost(150.0));
const MANY_AIM: Option<Aim> = Some(Aim::AtMost(400.0));
const BYTES_AIM: Option<Aim> = Some(Aim::AtMost(300.0));

/// Measures all there is.
pub(crate) fn measure(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let packets = scale.tracked_packets();
    progress("tracking: a million flows");
    let mut lab = Lab::new(MANY);
    // What doesn't grow with the flows is there before them: the packets' own memory.
    lab.open(FEW);
    lab.run(Sights::Once, 200_000);
    let before = resident()?;
    let opening = lab.open(MANY);
    let bytes = resident()?.saturating_sub(before) as f64 / (MANY - FEW) as f64;
    let many = lab.run(Sights::Once, packets);
    lab.check(MANY)?;
    drop(lab);

    progress("tracking: a thousand flows");
    let mut lab = Lab::new(FEW);
    lab.open(FEW);
    let few = lab.run(Sights::Once, packets);
    let twice = lab.run(Sights::Twice, packets);
    lab.check(FEW)?;
    drop(lab);

    progress("tracking: packets that are all alike");
    let mut lab = Lab::new(1);
    lab.open(1);
    let alike = lab.run(Sights::Alike, packets);

    let mut add = |what: &str, runs: &[f64], aim| {
        report.add(Row {
            aim,
            ..Row::cost(what, runs)
        });
    };
    add("a packet, 1,000 flows", &few, FEW_AIM);
    add("a packet, a million flows", &many, MANY_AIM);
    add("a packet seen at two hooks, each time", &twice, None);
    add("a packet like all before it", &alike, None);
    add("a packet that begins a flow", &opening, None);
    report.add(Row {
        what: "memory a flow, a million flows".to_owned(),
        unit: "B",
        ours: Some(bytes),
        aim: BYTES_AIM,
        ..Row::default()
    });
    Ok(())
}

/// How packets are seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sights {
    /// At one interface.
    Once,
    /// Coming in at one and going out at the other, half a batch later.
    Twice,
    /// At one interface, and none differs from another in anything but its skb.
    Alike,
}

/// A tracker and what it is fed.
struct Lab {
    tracker: Tracker,
    tickets: Vec<Option<Ticket>>,
    held: VecDeque<(u64, Ticket)>,
    now: u64,
    identity: u64,
    traffic: Traffic,
    opened: usize,
    frames: Vec<Made>,
    packets: u64,
}

/// A frame with what a record says of it.
#[derive(Clone, Copy)]
struct Made {
    frame: Start,
    time: u64,
    identity: u64,
    interface: InterfaceId,
    direction: Direction,
}

impl Lab {
    fn new(flows: usize) -> Self {
        let mut tracker = Tracker::new(Config {
            records: false,
            ..Config::default()
        });
        for (name, role) in [("eth0", Role::Uplink), ("veth0", Role::Pod)] {
            tracker.add_interface(Interface {
                name: name.into(),
                role,
            });
        }
        Self {
            tracker,
            tickets: Vec::new(),
            held: VecDeque::new(),
            now: 1_000_000_000,
            identity: 0,
            traffic: Traffic::new(flows),
            opened: 0,
            frames: Vec::with_capacity(BATCH),
            packets: 0,
        }
    }

    /// Opens flows until there are so many, and answers them. Returns what a SYN cost, by batch.
    fn open(&mut self, flows: usize) -> Vec<f64> {
        let before = self.opened;
        let mut costs = Vec::new();
        while self.opened < flows {
            let until = flows.min(self.opened + BATCH);
            for flow in self.opened..until {
                self.make(flow, 0, SYN);
            }
            self.opened = until;
            costs.push(self.feed());
        }
        for start in (before..flows).step_by(BATCH) {
            for flow in start..flows.min(start + BATCH) {
                self.make(flow, 1, SYN | ACK);
            }
            self.feed();
        }
        costs
    }

    /// Sends packets of random flows. Returns what each sighting cost, by batch.
    fn run(&mut self, sights: Sights, packets: usize) -> Vec<f64> {
        let mut costs = Vec::new();
        for _ in 0..packets / BATCH {
            match sights {
                Sights::Once => self.make_random(BATCH),
                Sights::Twice => {
                    self.make_random(BATCH / 2);
                    self.forward();
                }
                Sights::Alike => {
                    for _ in 0..BATCH {
                        self.now += STEP;
                        self.put(self.traffic.repeat(0, 0, ACK, 0), 0);
                    }
                }
            }
            costs.push(self.feed());
        }
        costs
    }

    fn make_random(&mut self, packets: usize) {
        for _ in 0..packets {
            let (flow, side) = self.traffic.choose(self.opened);
            self.make(flow, side, ACK);
        }
    }

    /// Lets the packets that were made go out at the other interface.
    fn forward(&mut self) {
        for index in 0..self.frames.len() {
            let before = self.frames[index];
            self.now += STEP;
            let mut again = Made {
                time: self.now,
                interface: 1,
                direction: Direction::Out,
                ..before
            };
            again.frame[TTL] -= 1;
            self.frames.push(again);
        }
    }

    /// Puts the next segment of a flow among those to be fed.
    fn make(&mut self, flow: usize, side: usize, flags: u8) {
        self.now += STEP;
        let frame = self.traffic.segment(flow, side, flags, self.now);
        self.put(frame, side);
    }

    fn put(&mut self, frame: Start, side: usize) {
        self.identity += 1;
        self.frames.push(Made {
            frame,
            time: self.now,
            identity: self.identity,
            interface: 0,
            direction: if side == 0 {
                Direction::In
            } else {
                Direction::Out
            },
        });
    }

    /// Gives the tracker what was made, and concludes what is old enough. Nanoseconds a sighting.
    fn feed(&mut self) -> f64 {
        let frames = std::mem::take(&mut self.frames);
        let mut sightings = Vec::with_capacity(frames.len());
        self.tickets.clear();
        let start = Instant::now();
        sightings.extend(frames.iter().map(|made| Sighting {
            time: made.time,
            interface: made.interface,
            direction: made.direction,
            identity: Some(made.identity),
            link: Link::Ethernet,
            frame: &made.frame,
            original_len: WIRE_LEN,
            gso: None,
        }));
        self.tracker.see_all(&sightings, &mut self.tickets);
        for (made, ticket) in frames.iter().zip(&self.tickets) {
            if let Some(ticket) = ticket {
                self.held.push_back((made.time, *ticket));
            }
        }
        while let Some((_, ticket)) = self.held.pop_front_if(|(time, _)| *time + HOLD < self.now) {
            black_box(self.tracker.conclude(ticket));
        }
        self.tracker.expire(self.now);
        let took: Duration = start.elapsed();
        self.packets += frames.len() as u64;
        let cost = took.as_nanos() as f64 / frames.len().max(1) as f64;
        self.frames = frames;
        self.frames.clear();
        cost
    }

    /// Whether it was what it says that was measured.
    fn check(&self, flows: usize) -> Result<(), Failure> {
        let summary = self.tracker.summary();
        if self.tracker.flows() == flows
            && summary.flows == flows as u64
            && summary.sightings == self.packets
            && summary.unreadable + summary.untracked + summary.evicted == 0
        {
            return Ok(());
        }
        let packets = self.packets;
        Err(format!("of {packets} packets in {flows} flows the tracker made {summary:?}").into())
    }
}

/// Anonymous memory of this process that is in use: bytes.
fn resident() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .ok_or("/proc/self/status has no RssAnon")?
        .parse()?;
    Ok(kibibytes << 10)
}
