//! How much memory a capture takes at the most, said at its start.
//!
//! All that grows has a bound that an option sets; what is besides is a constant. In a process's
//! resident memory each ring counts with 260 KiB more, as much as is mapped twice of it.

use super::plan::Plan;
use crate::sink::output::spool::QUEUE;

/// What a flow takes in the tracker, everything included: measured with a million of them
/// (docs/performance.md).
const FLOW: u64 = 300;
/// What doesn't depend on any option, measured and rounded up: programs and their maps, the packets
/// and translations that the tracker remembers (when full 17 MiB and 8), buffers, stacks, and 2 KiB for
/// each of some thousand interfaces that are there or went last. 75 MiB were measured, when the queues
/// had been full.
const BESIDES: u64 = 80 << 20;

/// The bounds, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// All of them together.
    rings: u64,
    flows: u64,
    max_flows: usize,
    queues: u64,
}

impl Memory {
    /// Those of a plan.
    pub(super) fn of(plan: &Plan) -> Self {
        let outputs = [plan.write.is_some(), plan.flows.is_some(), plan.print];
        let outputs = outputs.into_iter().filter(|it| *it).count();
        let max_flows = if plan.track { plan.max_flows } else { 0 };
        Self {
            rings: plan.ring_bytes.into(),
            flows: (max_flows as u64).saturating_mul(FLOW),
            max_flows,
            queues: (outputs as u64).saturating_mul(QUEUE),
        }
    }

    fn total(&self) -> u64 {
        self.rings
            .saturating_add(self.flows)
            .saturating_add(self.queues)
            .saturating_add(BESIDES)
    }

    /// One line.
    pub(super) fn line(&self) -> String {
        let mut parts = vec![format!("{} for the rings", mebibytes(self.rings))];
        if self.max_flows > 0 {
            let flows = mebibytes(self.flows);
            parts.push(format!("{flows} for {} flows", self.max_flows));
        }
        if self.queues > 0 {
            parts.push(format!("{} before the outputs", mebibytes(self.queues)));
        }
        parts.push(format!("{} besides", mebibytes(BESIDES)));
        format!(
            "memory: at most {}: {}",
            mebibytes(self.total()),
            parts.join(", ")
        )
    }
}

/// Rounded up: it is a bound.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Whether a user wants to know: of a capture that is to be left running, or if he asks for detail.
pub(super) fn is_of_interest(plan: &Plan, as_service: bool) -> bool {
    plan.verbosity > 0 || plan.rotate.is_some() || plan.metrics.is_some() || as_service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_what_sets_each_part() {
        let plan = Plan {
            ring_bytes: 32 << 20,
            max_flows: 1_000_000,
            flows: Some("flows".into()),
            ..Plan::example()
        };
        assert_eq!(
            Memory::of(&plan).line(),
            "memory: at most 415 MiB: 32 MiB for the rings, 287 MiB for 1000000 flows, 16 MiB before the outputs, 80 MiB besides"
        );
        let plan = Plan {
            track: false,
            write: None,
            ..Plan::example()
        };
        assert_eq!(
            Memory::of(&plan).line(),
            "memory: at most 96 MiB: 16 MiB for the rings, 80 MiB besides"
        );
    }
}
