//! The packet generator: the kernel itself makes the packets, by an XDP program in
//! `BPF_PROG_TEST_RUN` with live frames (Documentation/bpf/bpf_prog_run.rst).
//!
//! Each frame goes up the stack as if it had just come in at the interface. Nothing is copied from
//! user space and no system call is made for each packet, so what a packet costs is nearly all
//! its path, and what a capture adds to it shows.

use std::thread;
use std::time::{Duration, Instant};

use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use lab::elf::{Instruction, instruction, object};
use lab::frames::Frame;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rustix::time::{ClockId, clock_gettime};

use crate::{Failure, GENERATOR_CPU};

/// How often a paced generator sends what has become due.
const TICK: Duration = Duration::from_millis(1);
/// Packets a system call at full speed. Each call sets up a pool of pages, which takes some 10 µs.
const CALL: u64 = 4_096;
/// Packets that the kernel hands to the stack at once: the NAPI budget of a network card.
const BATCH: u32 = 64;

/// How fast packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// One after another.
    FullSpeed,
    /// So many a second, a millisecond's worth at once.
    PerSecond(u64),
}

/// What was sent to one interface.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// How many packets.
    pub(crate) packets: u64,
    /// CPU time of the sending thread while it was sending: the packets' whole path.
    pub(crate) cpu: Duration,
    /// How long it took, pauses and the other interfaces' packets included.
    pub(crate) elapsed: Duration,
}

impl Sent {
    /// Nanoseconds of CPU time that a packet's path took.
    pub(crate) fn nanoseconds(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets as f64
    }

    /// Packets a second.
    pub(crate) fn rate(&self) -> f64 {
        self.packets as f64 / self.elapsed.as_secs_f64()
    }
}

/// Makes copies of one frame come in at interfaces.
pub(crate) struct Generator {
    ebpf: Ebpf,
    frame: Frame,
}

const PROGRAM: &str = "refresh";

impl Generator {
    /// A generator of this IPv4 frame.
    pub(crate) fn new(frame: Frame) -> Result<Self, Failure> {
        let object = object("xdp", PROGRAM, &refresh(&frame));
        // There is nothing in it to relocate by the kernel's types, which take a while to read.
        let mut ebpf = EbpfLoader::new().btf(None).load(&object)?;
        program(&mut ebpf)?.load()?;
        Ok(Self { ebpf, frame })
    }

    /// Sends so many to each of these interfaces, given by their indexes, a burst to one and then
    /// to the next, so that whatever else the machine does meets them all alike. To be called in a
    /// thread of the interfaces' network namespace, which it ties to one CPU.
    pub(crate) fn send<const N: usize>(
        &mut self,
        interfaces: [u32; N],
        packets: u64,
        pace: Pace,
    ) -> Result<[Sent; N], Failure> {
        let mut cpus = CpuSet::new();
        cpus.set(GENERATOR_CPU)?;
        sched_setaffinity(Pid::from_raw(0), &cpus)?;
        let start = Instant::now();
        let mut next = start;
        let mut sent = [Sent::default(); N];
        let mut order: [usize; N] = std::array::from_fn(|place| place);
        let mut total = 0;
        while total < packets {
            let due = match pace {
                Pace::FullSpeed => CALL,
                Pace::PerSecond(rate) => {
                    next += TICK;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    let due = start.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000;
                    u64::try_from(due)?.saturating_sub(total)
                }
            };
            let due = due.min(packets - total);
            if due == 0 {
                continue;
            }
            for place in order {
                let before = thread_cpu();
                self.burst(interfaces[place], u32::try_from(due)?)?;
                sent[place].cpu += thread_cpu() - before;
            }
            // None is always the one that finds the caches warm.
            order.reverse();
            total += due;
        }
        let elapsed = start.elapsed();
        Ok(sent.map(|sent| Sent {
            packets: total,
            elapsed,
            ..sent
        }))
    }

    fn burst(&mut self, interface: u32, packets: u32) -> Result<(), Failure> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index,
        // egress_ifindex.
        let context = [0, u32::try_from(self.frame.len())?, 0, interface, 0, 0];
        let context = context.map(u32::to_ne_bytes).concat();
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            ctx_in: Some(&context),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        program(&mut self.ebpf)?.test_run(options)?;
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, Failure> {
    let program = ebpf.program_mut(PROGRAM).ok_or("no such program")?;
    Ok(program.try_into()?)
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.cast_unsigned(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Puts back what forwarding changes in a frame, then `XDP_PASS`. The kernel uses each page again
/// as the packet before left it: with other link addresses, a smaller TTL and another checksum.
fn refresh(frame: &[u8]) -> Vec<Instruction> {
    let word = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&frame[at..at + 4]);
        i32::from_le_bytes(bytes)
    };
    // r2 = data, r3 = data_end; past the two headers?
    let mut program = vec![
        instruction(0x61, 2, 1, 0, 0),
        instruction(0x61, 3, 1, 4, 0),
        instruction(0xbf, 4, 2, 0, 0),
        instruction(0x07, 4, 0, 0, 34),
        instruction(0x2d, 4, 3, 5, 0),
    ];
    // Both link addresses and the EtherType; TTL, protocol and header checksum.
    for at in [0i16, 4, 8, 12, 22] {
        program.push(instruction(0x62, 2, 0, at, word(at.unsigned_abs().into())));
    }
    program.push(instruction(0xb7, 0, 0, 0, 2));
    program.push(instruction(0x95, 0, 0, 0, 0));
    program
}
