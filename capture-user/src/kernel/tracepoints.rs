//! What tells events: the tracepoints for resets and drops, each for itself, so that a kernel
//! without one of them still has the others; and conntrack's entries, which the packet programs
//! read.

use aya::maps::{Map, PerCpuArray};
use aya::programs::RawTracePoint;
use capture_common::names;

use super::error::KernelError;
use super::events::Events;
use super::program::{EVENTS_BYTES, Kernel, map_error};

/// What came of attaching to one tracepoint.
#[derive(Debug)]
pub struct Attempt {
    /// The tracepoint, as the kernel's documentation names it: `tcp:tcp_send_reset`.
    pub name: &'static str,
    /// Whether it tells.
    pub outcome: Result<(), KernelError>,
}

/// What this kernel tells this capture, besides packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Resets that sockets send.
    pub resets_sent: bool,
    /// … with the reason.
    pub reasons: bool,
    /// Resets that sockets receive.
    pub resets_received: bool,
    /// Packets that are dropped, with the reason.
    pub drops: bool,
    /// conntrack's entries of the packets that are recorded.
    pub conntrack: bool,
}

impl Told {
    /// What is told once [`Kernel::attach_tracepoints`] has returned this.
    fn note(&mut self, program: &str) {
        match program {
            names::RESET_SENT => self.resets_sent = true,
            names::RESET_RECEIVED => self.resets_received = true,
            names::DROPPED => self.drops = true,
            _ => {}
        }
    }
}

/// A tracepoint's full name, the kernel's name for a raw program, and the program.
const TRACEPOINTS: [(&str, &str, &str); 3] = [
    ("tcp:tcp_send_reset", "tcp_send_reset", names::RESET_SENT),
    (
        "tcp:tcp_receive_reset",
        "tcp_receive_reset",
        names::RESET_RECEIVED,
    ),
    ("skb:kfree_skb", "kfree_skb", names::DROPPED),
];

impl Kernel {
    /// The reader of the events. There can be one.
    ///
    /// # Errors
    ///
    /// [`KernelError`], when it was taken before or can't be mapped.
    pub fn events(&mut self) -> Result<Events, KernelError> {
        let Some(Map::RingBuf(map)) = self.ebpf.take_map(names::EVENTS) else {
            return Err(KernelError::Missing(names::EVENTS));
        };
        Events::new(map, EVENTS_BYTES, self.identity).map_err(KernelError::Ring)
    }

    /// How many events were lost because their ring was full.
    ///
    /// # Errors
    ///
    /// [`KernelError::Map`].
    pub fn events_lost(&self) -> Result<u64, KernelError> {
        let map = self
            .ebpf
            .map(names::EVENTS_LOST)
            .ok_or(KernelError::Missing(names::EVENTS_LOST))?;
        let map: PerCpuArray<_, u64> = map.try_into().map_err(map_error(names::EVENTS_LOST))?;
        let by_cpu = map.get(&0, 0).map_err(map_error(names::EVENTS_LOST))?;
        Ok(by_cpu.iter().sum())
    }

    /// Attaches to the tracepoints, each as far as this kernel has it. They tell of the whole
    /// machine's resets, and of drops of packets that were recorded. Detached with all else.
    ///
    /// Only after a load with `events`.
    pub fn attach_tracepoints(&mut self) -> (Vec<Attempt>, Told) {
        let mut told = Told {
            conntrack: self.layout.conntrack.is_ok(),
            ..Told::default()
        };
        let mut attempts = Vec::new();
        for (name, raw, program) in TRACEPOINTS {
            let outcome = self.attach_tracepoint(name, raw, program);
            if outcome.is_ok() {
                told.note(program);
            }
            attempts.push(Attempt { name, outcome });
        }
        told.reasons = told.resets_sent && self.layout.send_reset_arguments >= 3;
        (attempts, told)
    }

    fn attach_tracepoint(
        &mut self,
        name: &'static str,
        raw: &str,
        program: &'static str,
    ) -> Result<(), KernelError> {
        let group = match program {
            names::DROPPED => &self.layout.drops,
            _ => &self.layout.resets,
        };
        if let Err(why) = group {
            return Err(KernelError::Layout {
                name,
                why: why.clone(),
            });
        }
        let failed = |source: aya::programs::ProgramError| KernelError::Tracepoint {
            name,
            source: Box::new(source),
        };
        let program: &mut RawTracePoint = self
            .ebpf
            .program_mut(program)
            .ok_or(KernelError::Missing(program))?
            .try_into()
            .map_err(|_| KernelError::Missing(program))?;
        if program.fd().is_err() {
            program.load().map_err(failed)?;
        }
        let link = program.attach(raw).map_err(failed)?;
        let link = program.take_link(link).map_err(failed)?;
        self.tracepoints.push(link);
        Ok(())
    }
}
