//! One loaded kernel side, to which packets are shown one at a time.
//!
//! Each time all that a packet may leave behind is looked at: what the program answered, the
//! counters, and the ring. Whether it should have matched, the reference says.
//!
//! Packets go in by `BPF_PROG_TEST_RUN`, the only way to see the answer. It refuses frames that
//! are shorter than an Ethernet header or longer than fits into a page beside the skb's own data,
//! and on newer kernels (seen on 6.18) IP packets without a whole IP header
//! (`bpf_prog_test_run_skb`, net/bpf/test_run.c). Those leave through a device that the program is
//! attached to.

use std::collections::HashMap;
use std::rc::Rc;

use capture_common::batch::LARGEST_IN_BATCH;
use capture_common::counters::Counters;
use capture_common::record::{MAX_SNAPLEN, RecordFlags, RecordHeader, SIZE_CLASSES};
use capture_user::kernel::log::LogLevel;
use capture_user::kernel::ring::Next;
use capture_user::kernel::{Kernel, Rings, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use crate::outlet::Outlet;
use crate::reference::{Start, Wanted, options};

/// The interface that `BPF_PROG_TEST_RUN` says its packets come from: loopback.
pub(crate) const LOOPBACK: u32 = 1;
/// The longest packet that it takes on every kernel: a page, less what comes before and after a
/// packet in an skb.
pub(crate) const TEST_RUN_MAX: usize = 3_712;
/// `TC_ACT_UNSPEC`: the packet goes on as if nobody had looked.
const UNSPEC: i32 = -1;
/// Of rings that are never full.
const AMPLE: u32 = 1 << 20;

pub(crate) struct Bench {
    pub(crate) kernel: Kernel,
    pub(crate) rings: Rings,
    wanted: Wanted,
    snaplen: u32,
    counted: HashMap<u32, Counters>,
    outlet: Option<Rc<Outlet>>,
}

/// What a bench is made of.
pub(crate) struct Make {
    pub(crate) snaplen: u32,
    pub(crate) ring_bytes: u32,
    /// All CPUs put their records into one ring: one by one, where there are several CPUs.
    pub(crate) one_ring: bool,
    pub(crate) log: LogLevel,
}

impl Default for Make {
    fn default() -> Self {
        Self {
            snaplen: MAX_SNAPLEN,
            ring_bytes: AMPLE,
            one_ring: false,
            log: LogLevel::Off,
        }
    }
}

/// Where and how a packet passed a program.
#[derive(Clone, Copy)]
pub(crate) struct Hook {
    pub(crate) interface: u32,
    pub(crate) direction: Direction,
    pub(crate) start: Start,
}

/// What a packet that matched left in the ring.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) header: RecordHeader,
    pub(crate) frame: Vec<u8>,
}

impl Bench {
    /// Loads the kernel side with these options, to keep the headers of what matches: the verifier
    /// then drops all but the small size classes and is done sooner.
    ///
    /// # Panics
    ///
    /// When it can't be loaded: without the privilege, say.
    #[track_caller]
    pub(crate) fn load(text: &str) -> Self {
        let make = Make {
            snaplen: 96,
            ..Make::default()
        };
        Self::make(text, &make)
    }

    /// The same, to keep packets whole.
    #[track_caller]
    pub(crate) fn load_whole(text: &str) -> Self {
        Self::make(text, &Make::default())
    }

    /// The same with a snapshot length, a ring and a log level of one's own.
    #[track_caller]
    pub(crate) fn make(text: &str, make: &Make) -> Self {
        let (filter, wanted) = options(text);
        let load = if make.one_ring {
            Kernel::load_with_one_ring
        } else {
            Kernel::load
        };
        let loaded = load(&Setup {
            tables: filter.tables(),
            snaplen: make.snaplen,
            ring_bytes: make.ring_bytes,
            log: make.log,
            identity: false,
            follow: false,
            events: false,
        })
        .and_then(|mut kernel| {
            kernel.count_from_zero(LOOPBACK)?;
            let rings = kernel.rings()?;
            Ok((kernel, rings))
        });
        let (kernel, rings) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => panic!("`{text}`: {error}"),
        };
        Self {
            kernel,
            rings,
            wanted,
            snaplen: make.snaplen,
            counted: HashMap::new(),
            outlet: None,
        }
    }

    /// Whether the frame matches. That the kernel and the reference agree, and that all is in
    /// order besides, is asserted.
    #[track_caller]
    pub(crate) fn matches(&mut self, frame: &[u8]) -> bool {
        self.show(frame).is_some()
    }

    /// The frame's record, if it matches; all in order as with [`Bench::matches`].
    #[track_caller]
    pub(crate) fn show(&mut self, frame: &[u8]) -> Option<Record> {
        in_order(self.try_show(frame))
    }

    /// As [`Bench::show`], with what isn't in order as an error.
    pub(crate) fn try_show(&mut self, frame: &[u8]) -> Result<Option<Record>, String> {
        if test_run_takes(frame) {
            // Loading a second program takes longer than running one a thousand times.
            let direction = match self.outlet {
                Some(_) => Direction::Out,
                None => Direction::In,
            };
            self.try_run(direction, Start::Ethernet, frame)
        } else {
            if self.outlet.is_none() {
                self.leave_by(&Outlet::tun_of_ethernet());
            }
            self.try_send(Start::Ethernet, frame)
        }
    }

    /// Runs a program on the packet by `BPF_PROG_TEST_RUN`.
    #[track_caller]
    pub(crate) fn run(
        &mut self,
        direction: Direction,
        start: Start,
        packet: &[u8],
    ) -> Option<Record> {
        in_order(self.try_run(direction, start, packet))
    }

    fn try_run(
        &mut self,
        direction: Direction,
        start: Start,
        packet: &[u8],
    ) -> Result<Option<Record>, String> {
        let began = monotonic();
        let run = self
            .kernel
            .test_run(direction, framing(start), packet, 1)
            .map_err(|error| format!("the test run: {error}\n{}", hex(packet)))?;
        let hook = Hook {
            interface: LOOPBACK,
            direction,
            start,
        };
        let outcome = self.outcome(hook, packet, began)?;
        if run.verdict != UNSPEC {
            return Err(format!("verdict {}\n{}", run.verdict, hex(packet)));
        }
        Ok(outcome)
    }

    /// Sets the device that packets leave through. No two benches may share one at a time.
    #[track_caller]
    pub(crate) fn leave_by(&mut self, outlet: &Rc<Outlet>) {
        outlet.attach(&mut self.kernel);
        self.outlet = Some(Rc::clone(outlet));
    }

    /// Lets the packet leave through the device.
    #[track_caller]
    pub(crate) fn send(&mut self, start: Start, packet: &[u8]) -> Option<Record> {
        in_order(self.try_send(start, packet))
    }

    /// As [`Bench::send`], with what isn't in order as an error.
    pub(crate) fn try_send(
        &mut self,
        start: Start,
        packet: &[u8],
    ) -> Result<Option<Record>, String> {
        let outlet = self.outlet.as_ref().ok_or("there is no device")?;
        let began = monotonic();
        outlet.send(start, packet);
        let hook = Hook {
            interface: outlet.index(),
            direction: Direction::Out,
            start,
        };
        self.outcome(hook, packet, began)
    }

    /// What the packet left behind, which must be in order: a match where the reference says so,
    /// counted and recorded once; otherwise nothing.
    fn outcome(&mut self, hook: Hook, packet: &[u8], began: u64) -> Result<Option<Record>, String> {
        let mut records = self.drain()?;
        let counters = self.kernel.counters(hook.interface);
        let now = counters.map_err(|error| error.to_string())?;
        let before = self.counted.insert(hook.interface, now).unwrap_or_default();

        let asked = self.wanted.matches(hook.start, packet);
        let grown = Counters {
            matched: before.matched + u64::from(asked),
            recorded: before.recorded + u64::from(asked),
            ..before
        };
        if now != grown || records.len() != usize::from(asked) {
            return Err(format!(
                "asked for: {asked}, but {} in the ring, and {before:?} became {now:?}\n{}",
                records.len(),
                hex(packet)
            ));
        }
        let Some((record, room)) = records.pop() else {
            return Ok(None);
        };
        let header = &record.header;
        let kept = packet.len().min(self.snaplen as usize);
        let gathered = self.rings.are_batched() && kept <= LARGEST_IN_BATCH as usize;
        let (own, frame) = if gathered {
            (0, kept)
        } else {
            let class = SIZE_CLASSES.iter().find(|class| **class as usize >= kept);
            (RecordFlags::ALONE, *class.unwrap() as usize)
        };
        let right = RecordHeader {
            ktime: header.ktime,
            lost: 0,
            interface: hook.interface,
            wire_len: packet.len() as u32,
            captured_len: kept as u32,
            cpu: header.cpu,
            flags: flags(hook) | own,
            packet_type: header.packet_type,
            ..RecordHeader::default()
        };
        let slot = (size_of::<RecordHeader>() + frame).next_multiple_of(8) as u64;
        if *header != right
            || record.frame != packet[..kept]
            || room != slot
            || !(began..=monotonic()).contains(&header.ktime)
        {
            return Err(format!(
                "recorded as {record:x?} in {room} bytes, not {right:x?}\n{}",
                hex(packet)
            ));
        }
        Ok(Some(record))
    }

    /// All that waits in the rings, by time, each record with the room that it took there.
    pub(crate) fn drain(&mut self) -> Result<Vec<(Record, u64)>, String> {
        let mut records = Vec::new();
        self.rings.flush(0).map_err(|error| error.to_string())?;
        for ring in 0..self.rings.count() {
            // One that is being written will be there the next time.
            self.rings.look(ring);
            while let Next::Record(place) = self.rings.advance(ring) {
                let (header, frame) = self.rings.record(place).ok_or("no record")?;
                let frame = frame.to_vec();
                let room = self.rings.position(ring) - place.position();
                records.push((Record { header, frame }, room));
            }
            self.rings.release(ring, None);
        }
        records.sort_by_key(|(record, _)| record.header.ktime);
        Ok(records)
    }

    /// Whether small records are gathered.
    pub(crate) fn gathers(&self) -> bool {
        self.rings.are_batched()
    }

    /// The interface's counters now.
    #[track_caller]
    pub(crate) fn counters(&self, interface: u32) -> Counters {
        match self.kernel.counters(interface) {
            Ok(counters) => counters,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whether `BPF_PROG_TEST_RUN` takes the frame, on every kernel.
pub(crate) fn test_run_takes(frame: &[u8]) -> bool {
    let least = match frame.get(12..14) {
        Some([0x08, 0x00]) => 14 + 20,
        Some([0x86, 0xdd]) => 14 + 40,
        _ => 14,
    };
    (least..=TEST_RUN_MAX).contains(&frame.len())
}

pub(crate) fn framing(start: Start) -> Framing {
    match start {
        Start::Ethernet => Framing::Ethernet,
        Start::Network(_) => Framing::Bare,
    }
}

fn flags(hook: Hook) -> u16 {
    let direction = match hook.direction {
        Direction::In => 0,
        Direction::Out => RecordFlags::EGRESS,
    };
    let start = match hook.start {
        Start::Ethernet => 0,
        Start::Network(_) => RecordFlags::NO_LINK_HEADER,
    };
    direction | start
}

#[track_caller]
fn in_order<T>(result: Result<T, String>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Keeps the test's thread on one CPU: losses are counted for each, and packets on their way
/// between devices keep their order on one.
pub(crate) fn on_one_cpu() {
    let allowed = sched_getaffinity(Pid::this()).unwrap();
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu) == Ok(true));
    let mut one = CpuSet::new();
    one.set(first.unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
}

fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs()
}

/// The packet, to be tried again by hand.
pub(crate) fn hex(packet: &[u8]) -> String {
    let bytes: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} bytes: {bytes}", packet.len())
}
