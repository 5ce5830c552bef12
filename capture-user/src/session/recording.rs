//! The flight recorder as the mover drives it: packets are kept in memory, with all that is to be
//! written of each, and come out when something happened to their flow.

use indicatif::HumanBytes;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::plan::Record;
use crate::flow::happening::{Happening, Kind, Kinds};
use crate::flow::tracker::Annotations;
use crate::kernel::tracepoints::Told;
use crate::packet::{Direction, Gso, InterfaceId, Packet, Reception};
use crate::recorder::{Config, Counts, Event, Key, Order, Reach, Recorder};

/// What is kept of a packet besides its frame and its comments.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct Kept {
    time: u64,
    packet_id: u64,
    /// Lost on its interface before it, since the capture began.
    lost: u64,
    original_len: u32,
    /// Bytes of comments behind this, each ended by a zero byte.
    comments: u32,
    gso_size: u16,
    gso_segments: u16,
    /// Whether it went out.
    out: u8,
    /// 0 for not known, else as [`RECEPTIONS`], counted from 1.
    reception: u8,
    /// Whether there is more known than a packet says: [`Annotations`].
    known: u8,
    reserved: u8,
}

const RECEPTIONS: [Reception; 4] = [
    Reception::Unicast,
    Reception::Broadcast,
    Reception::Multicast,
    Reception::Promiscuous,
];

/// The most that the comments of a packet take, and what else is kept besides its frame: bytes. A
/// verdict's comment has some hundreds.
pub(super) const OVERHEAD: usize = 16 << 10;

/// What came of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) counts: Counts,
    /// Packets forgotten.
    pub(super) forgotten: u64,
    /// Events by kind.
    pub(super) kinds: Vec<(Kind, u64)>,
    /// How long a packet should have waited, in nanoseconds, if that was said.
    pub(super) wanted: Option<u64>,
}

/// A packet that comes out.
pub(super) struct Released<'a> {
    /// As it was captured; what was lost before it is to be filled in.
    pub(super) packet: Packet<'a>,
    pub(super) stamp: u64,
    /// Lost on its interface before it, since the capture began.
    pub(super) lost: u64,
    pub(super) annotations: Option<Annotations>,
}

/// See the module.
pub(super) struct Recording {
    recorder: Recorder,
    on: Kinds,
    order: Order,
    wanted: Option<u64>,
    kinds: [u64; Kind::ALL.len()],
    comments: Vec<u8>,
}

impl Recording {
    pub(super) fn new(record: &Record) -> Self {
        let config = Config {
            bytes: record.bytes,
            before: record.before,
            after: record.after,
            order: record.order,
        };
        Self {
            recorder: Recorder::new(config),
            on: record.on,
            order: record.order,
            wanted: match record.before {
                Reach::Time(time) => u64::try_from(time.as_nanos()).ok(),
                Reach::Packets(_) => None,
            },
            kinds: [0; Kind::ALL.len()],
            comments: Vec::new(),
        }
    }

    /// Takes what happened.
    pub(super) fn learn(&mut self, happening: Happening) {
        match happening {
            Happening::Event {
                kind,
                time,
                flow,
                packet,
            } => {
                self.kinds[kind as usize] += 1;
                self.recorder.happen(Event { time, flow, packet });
            }
            Happening::Joined { gone, kept } => self.recorder.join(gone, kept),
            Happening::Ended { flow } => self.recorder.end_flow(flow),
        }
    }

    /// Keeps a packet for which [`Recording::next`] has made room.
    pub(super) fn keep(
        &mut self,
        packet: &Packet<'_>,
        stamp: u64,
        lost: u64,
        annotations: Option<&Annotations>,
    ) {
        self.comments.clear();
        for comment in annotations.iter().flat_map(|known| &known.comments) {
            // A zero byte ends a comment, and none has one.
            self.comments
                .extend(comment.bytes().filter(|byte| *byte != 0));
            self.comments.push(0);
        }
        let gso = packet.gso.unwrap_or(Gso {
            size: 0,
            segments: 0,
        });
        let reception = RECEPTIONS
            .iter()
            .position(|known| Some(*known) == packet.reception)
            .map_or(0, |index| index + 1);
        let packet_id = annotations.map_or(0, |known| known.packet_id);
        let kept = Kept {
            time: packet.time,
            packet_id,
            lost,
            original_len: packet.original_len,
            comments: u32::try_from(self.comments.len()).unwrap_or(0),
            gso_size: gso.size,
            gso_segments: gso.segments,
            out: u8::from(packet.direction == Direction::Out),
            reception: u8::try_from(reception).unwrap_or(0),
            known: u8::from(annotations.is_some()),
            reserved: 0,
        };
        let key = Key {
            stamp,
            flow: annotations.and_then(|known| known.flow),
            packet: packet_id,
            interface: packet.interface,
        };
        let parts = [kept.as_bytes(), &self.comments, packet.frame];
        self.recorder.take(&key, &parts);
    }

    /// The next packet that is to be written, until there is none; `room` bytes find room then. All
    /// that was stamped before `now` was kept.
    pub(super) fn next(&mut self, now: u64, room: usize) -> Option<Released<'_>> {
        let given = self.recorder.due(now, room)?;
        let (kept, rest) = Kept::read_from_prefix(given.bytes).ok()?;
        let (comments, frame) = rest.split_at_checked(kept.comments as usize)?;
        let comments = comments
            .split(|byte| *byte == 0)
            .filter(|comment| !comment.is_empty())
            .map(|comment| String::from_utf8_lossy(comment).into_owned());
        Some(Released {
            packet: Packet {
                time: kept.time,
                interface: given.interface,
                direction: if kept.out == 0 {
                    Direction::In
                } else {
                    Direction::Out
                },
                reception: usize::from(kept.reception)
                    .checked_sub(1)
                    .and_then(|index| RECEPTIONS.get(index).copied()),
                original_len: kept.original_len,
                frame,
                lost_before: 0,
                gso: (kept.gso_size != 0).then_some(Gso {
                    size: kept.gso_size,
                    segments: kept.gso_segments,
                }),
            },
            stamp: given.stamp,
            lost: kept.lost,
            annotations: (kept.known != 0).then(|| Annotations {
                packet_id: kept.packet_id,
                flow: None,
                comments: comments.collect(),
            }),
        })
    }

    /// Everything that is asked for is to come out.
    pub(super) const fn finish(&mut self) {
        self.recorder.finish();
    }

    /// Nothing more is written: what waits is forgotten, or past the end.
    pub(super) fn let_go(&mut self) {
        self.recorder.let_go();
    }

    /// Up to when all is written that will be, when all stamped before `now` was kept.
    pub(super) fn decided(&self, now: u64) -> u64 {
        self.recorder.decided(now)
    }

    /// Packets forgotten so far.
    pub(super) const fn forgotten(&self) -> u64 {
        self.recorder.forgotten()
    }

    /// Those that were forgotten since the last time, by interface.
    pub(super) fn take_forgotten(&mut self) -> Vec<(InterfaceId, u64)> {
        self.recorder.take_forgotten()
    }

    /// When the oldest packet was seen that waits.
    pub(super) fn oldest(&mut self) -> Option<u64> {
        self.recorder.oldest()
    }

    /// Whether packets come out as soon as they are asked for.
    pub(super) fn is_at_once(&self) -> bool {
        self.order == Order::AtOnce
    }

    pub(super) fn recorded(&self) -> Recorded {
        Recorded {
            counts: self.recorder.counts(),
            forgotten: self.recorder.forgotten(),
            kinds: self
                .on
                .iter()
                .map(|kind| (kind, self.kinds[kind as usize]))
                .collect(),
            wanted: self.wanted,
        }
    }
}

/// What is said of it at the start.
pub(super) fn notes(record: &Record, told: &Told) -> Vec<String> {
    let reach = |reach: Reach| match reach {
        Reach::Time(time) => humantime::format_duration(time).to_string(),
        Reach::Packets(1) => "1 packet".to_owned(),
        Reach::Packets(packets) => format!("{packets} packets"),
    };
    let on: Vec<_> = record.on.iter().map(Kind::name).collect();
    let mut notes = vec![format!(
        "recording in {} of memory, to write {} before and {} after each {}",
        HumanBytes(record.bytes as u64),
        reach(record.before),
        reach(record.after),
        on.join(", "),
    )];
    if record.on.contains(Kind::Drop) && !told.drops {
        notes.push(
            "the kernel doesn't tell this capture of drops, so --on drop never happens; \
             `nodecap doctor` says why"
                .to_owned(),
        );
    }
    notes
}
