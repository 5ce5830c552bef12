//! The flow core: an input is a list of steps, each a sighting, a piece of evidence, or time.

use std::collections::{HashSet, VecDeque};

use capture_user::flow::evidence::{Change, Drop, Evidence, Fact, KernelReset, Mapping};
use capture_user::flow::names::Names;
use capture_user::flow::record::Record;
use capture_user::flow::role::Role;
use capture_user::flow::sighting::Sighting;
use capture_user::flow::tracker::{Annotations, Config, Interface, Tracker};
use capture_user::flow::tuple::{Endpoint, Tuple};
use capture_user::packet::Direction;
use capture_user::session::frame::Link;
use lab::flows::FlowsFile;
use lab::frames::transport::{ACK, FIN, PSH, RST, SYN};
use lab::frames::{Flow, corpus};

use super::{about, number};
use crate::engine::Target;

pub(super) struct Core;

/// So few that flows must make room for each other.
const MAX_FLOWS: usize = 8;
/// Steps of one input.
const MAX_STEPS: usize = 4_096;

const ROLES: [Role; 4] = [Role::Pod, Role::Uplink, Role::Shared, Role::Unknown];
const REASONS: [Option<&str>; 4] = [
    None,
    Some("NO_SOCKET"),
    Some("NETFILTER_DROP"),
    Some("TCP_STATE"),
];
/// Ends that tuples of evidence are made of: those of the seeds' flows.
const ENDS: [&str; 6] = [
    "10.88.0.2:40000",
    "192.0.2.1:40000",
    "192.0.2.9:443",
    "10.88.0.2:80",
    "[2001:db8::1]:40000",
    "[2001:db8::2]:443",
];

// The kinds of steps.
const SEE: u8 = 0;
const LEARN: u8 = 1;
const CONCLUDE: u8 = 2;
const EXPIRE: u8 = 3;

/// What is left of an input.
struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        first
    }

    fn tuple(&mut self) -> Option<Tuple> {
        let mut end = || {
            let index = usize::from(self.byte()?) % ENDS.len();
            let socket: std::net::SocketAddr = ENDS[index].parse().ok()?;
            Some(Endpoint::from(socket))
        };
        Some(Tuple {
            source: end()?,
            destination: end()?,
            protocol: if self.byte()? & 3 == 0 { 17 } else { 6 },
        })
    }

    fn fact(&mut self) -> Option<Fact> {
        let (kind, what) = (self.byte()?, self.byte()?);
        let reason = REASONS[usize::from(what) % REASONS.len()];
        Some(match kind % 4 {
            0 | 1 => {
                let reset = KernelReset {
                    tuple: self.tuple()?,
                    reason,
                    netns: u32::from(what >> 7),
                };
                if kind % 4 == 0 {
                    Fact::ResetSent(reset)
                } else {
                    Fact::ResetReceived(reset)
                }
            }
            2 => Fact::Dropped(Drop {
                tuple: None,
                identity: u64::from(what >> 2 & 7),
                reason,
            }),
            _ => Fact::Conntrack(Mapping {
                original: self.tuple()?,
                reply: self.tuple()?,
                change: if what & 1 == 0 {
                    Change::Present
                } else {
                    Change::Removed
                },
            }),
        })
    }
}

impl Target for Core {
    fn name(&self) -> &'static str {
        "core"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds: Vec<Vec<u8>> = corpus::everything()
            .chunks(24)
            .map(|frames| frames.iter().flat_map(|frame| see(0, 0, frame)).collect())
            .collect();
        seeds.push(translated());
        seeds.push(vec![LEARN, 1, 3, 0, 0, 2, 1, 2, 1, 1, EXPIRE, 255]);
        seeds
    }

    fn run(&self, input: &[u8]) -> Result<u64, String> {
        let mut config = Config {
            max_flows: MAX_FLOWS,
            max_packets: 64,
            max_mappings: 4,
            ..Config::default()
        };
        let mut steps = Steps(input);
        let environment = steps.byte().unwrap_or(0);
        config.environment.live = environment & 1 != 0;
        config.environment.complete_since = (environment & 2 != 0).then_some(0);
        config.environment.resets_told = environment & 4 != 0;
        config.environment.reasons_told = environment & 8 != 0;
        config.environment.drops_told = environment & 16 != 0;
        let mut tracker = Tracker::new(config);
        for (index, role) in ROLES.into_iter().enumerate() {
            tracker.add_interface(Interface {
                name: format!("link{index}").into(),
                role,
            });
        }
        let mut account = Account::default();
        let mut now = 1_000_000_000_000u64;
        for _ in 0..MAX_STEPS {
            let Some(kind) = steps.byte() else { break };
            match kind % 8 {
                LEARN => {
                    let Some(fact) = steps.fact() else { break };
                    tracker.learn(Evidence { time: now, fact });
                }
                CONCLUDE => {
                    let count = usize::from(steps.byte().unwrap_or(0));
                    account.conclude(&mut tracker, count)?;
                }
                EXPIRE => {
                    let wait = u64::from(steps.byte().unwrap_or(0));
                    now += wait * wait * 100_000_000;
                    tracker.expire(now);
                }
                _ => {
                    let Some(place) = steps.byte() else { break };
                    let (wait, len) = (steps.byte().unwrap_or(0), steps.byte().unwrap_or(0));
                    now += u64::from(wait) * 100_000;
                    let frame = steps.bytes(usize::from(len));
                    let identity = (place & 0x38 != 0).then_some(u64::from(place >> 3 & 7));
                    let hook = (
                        u32::from(place & 3),
                        if place & 4 == 0 {
                            Direction::In
                        } else {
                            Direction::Out
                        },
                    );
                    account.see(
                        &mut tracker,
                        &Sighting {
                            time: now,
                            interface: hook.0,
                            direction: hook.1,
                            identity,
                            link: if place & 0xc0 == 0xc0 {
                                Link::Bare
                            } else {
                                Link::Ethernet
                            },
                            frame,
                            original_len: frame.len() as u32 + u32::from(kind >> 4),
                            gso: None,
                        },
                    )?;
                }
            }
            if tracker.flows() > MAX_FLOWS {
                return Err(format!("{} flows", tracker.flows()));
            }
            account.records.extend(tracker.take_records());
        }
        account.close(tracker, now)
    }
}

/// Every packet, and what became of it.
#[derive(Default)]
struct Account {
    waiting: VecDeque<capture_user::flow::tracker::Ticket>,
    packets: HashSet<u64>,
    hooks: HashSet<(u64, u32, bool)>,
    sightings: u64,
    unreadable: u64,
    comments: u64,
    records: Vec<Record>,
}

impl Account {
    fn see(&mut self, tracker: &mut Tracker, sighting: &Sighting<'_>) -> Result<(), String> {
        self.sightings += 1;
        // Both ways in are one: see_all takes what see takes.
        let mut tickets = Vec::new();
        let ticket = if self.sightings.is_multiple_of(2) {
            tracker.see_all(std::slice::from_ref(sighting), &mut tickets);
            tickets.pop().flatten()
        } else {
            tracker.see(sighting)
        };
        let Some(ticket) = ticket else {
            self.unreadable += 1;
            return Ok(());
        };
        let out = sighting.direction == Direction::Out;
        self.packets.insert(ticket.packet_id());
        if !self
            .hooks
            .insert((ticket.packet_id(), sighting.interface, out))
        {
            return Err("one packet twice on a hook".to_owned());
        }
        self.waiting.push_back(ticket);
        Ok(())
    }

    fn conclude(&mut self, tracker: &mut Tracker, count: usize) -> Result<(), String> {
        for ticket in self.waiting.drain(..count.min(self.waiting.len())) {
            let Annotations {
                packet_id,
                comments,
                ..
            } = tracker.conclude(ticket);
            if packet_id != ticket.packet_id() {
                return Err(format!("{ticket:?} became {packet_id}"));
            }
            if ticket.is_settled() && !comments.is_empty() {
                return Err(format!("{ticket:?} was settled: {comments:?}"));
            }
            for comment in comments {
                self.comments += 1;
                if !is_well_formed(&comment) {
                    return Err(format!("a comment of another form: {comment:?}"));
                }
            }
        }
        Ok(())
    }

    /// Nothing was lost, nothing was made up.
    fn close(mut self, mut tracker: Tracker, now: u64) -> Result<u64, String> {
        let all = self.waiting.len();
        self.conclude(&mut tracker, all)?;
        tracker.finish(now);
        self.records.extend(tracker.take_records());
        let summary = tracker.summary();
        let mut text = String::new();
        let (mut packets, mut errors, mut flows, mut resets) = (0, 0, 0, 0);
        for record in &self.records {
            match record {
                Record::Flow(flow) => {
                    flows += 1;
                    packets += flow.packets.iter().sum::<u64>();
                    errors += flow.icmp_errors;
                }
                Record::Reset(_) => resets += 1,
                Record::Nat(_) => {}
            }
            let line = record
                .to_json(|time| time, |_| "link", &Names::default())
                .map_err(|error| format!("{record:?}: {error}"))?;
            text.push_str(&line);
            text.push('\n');
        }
        // By the contract with the file's readers; panics where it isn't kept.
        let said = FlowsFile::parse(&text);
        let judged: u64 = summary.resets.iter().map(|(_, _, count)| count).sum();
        let equal = [
            ("sightings", summary.sightings, self.sightings),
            ("unreadable", summary.unreadable, self.unreadable),
            ("packets", summary.packets, self.packets.len() as u64),
            (
                "packets of flows",
                packets + errors + summary.untracked,
                summary.packets,
            ),
            ("icmp errors", errors, summary.icmp_errors),
            ("flows", flows, summary.flows),
            ("flow lines", said.flows.len() as u64, flows),
            ("resets", resets, judged),
            ("flows left", tracker.flows() as u64, 0),
        ];
        for (what, one, other) in equal {
            if one != other {
                return Err(format!("{what}: {one} and {other}, {summary:?}"));
            }
        }
        Ok(number((
            [
                about(summary.flows),
                about(summary.evicted),
                about(summary.untracked),
                about(summary.icmp_errors),
                about(summary.evidence_ignored),
                about(self.comments),
            ],
            format!("{:?}{:?}", summary.resets, summary.translations),
        )))
    }
}

/// One line of printable text, then the keys: `… [nodecap what key=value …]`.
fn is_well_formed(comment: &str) -> bool {
    let Some((sentence, keys)) = comment.split_once(" [nodecap ") else {
        return false;
    };
    let Some(keys) = keys.strip_suffix(']') else {
        return false;
    };
    let mut words = keys.split(' ');
    !sentence.is_empty()
        && comment.chars().all(|c| !c.is_control())
        && matches!(words.next(), Some("reset" | "nat"))
        && words.all(|word| {
            word.split_once('=')
                .is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
        })
}

/// A step that shows a frame at an interface.
fn see(place: u8, wait: u8, frame: &[u8]) -> Vec<u8> {
    let kept = &frame[..frame.len().min(255)];
    [&[SEE, place, wait, kept.len() as u8], kept].concat()
}

/// A connection of a pod's that is masqueraded, and reset in the end: two sightings each.
fn translated() -> Vec<u8> {
    let inside = Flow::new("10.88.0.2:40000", "192.0.2.9:443");
    let outside = Flow::new("192.0.2.1:40000", "192.0.2.9:443");
    let mut input = vec![0x1f];
    for (flags, payload, back) in [
        (SYN, &b""[..], false),
        (SYN | ACK, b"", true),
        (ACK, b"", false),
        (ACK | PSH, b"a question", false),
        (ACK | PSH, b"an answer", true),
        (FIN | ACK, b"", false),
        (RST, b"", true),
    ] {
        if back {
            input.extend(see(0x09, 1, &outside.back().tcp(flags, payload)));
            input.extend(see(0x0c, 1, &inside.back().tcp(flags, payload)));
        } else {
            input.extend(see(0x08, 1, &inside.tcp(flags, payload)));
            input.extend(see(0x0d, 1, &outside.tcp(flags, payload)));
        }
    }
    input.extend([LEARN, 0, 1, 2, 1, 1]);
    input.extend([EXPIRE, 3, CONCLUDE, 200]);
    input
}
