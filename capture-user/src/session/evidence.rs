//! What a session listens to besides packets, each as far as this node has it; what is missing is
//! said at the start, with what that weakens.

use super::clock;
use super::plan::Plan;
use crate::error::Result;
use crate::evidence::conntrack::{self, Conntrack};
use crate::evidence::sysctl::Sysctls;
use crate::flow::reset::Environment;
use crate::flow::tracker::Config;
use crate::kernel::abilities::{self, reads_kernel_memory};
use crate::kernel::tracepoints::Told;
use crate::kernel::{Events, Kernel};

/// Whether the kernel side may read kernel memory; says so if not.
pub(super) fn may_know(notes: &mut Vec<String>) -> bool {
    let may = reads_kernel_memory();
    if !may {
        notes.push(
            "without CAP_PERFMON packets aren't recognised from hook to hook, nothing is \
             followed, and no verdict rests on the kernel's word; run as root, or grant it"
                .to_owned(),
        );
    }
    may
}

/// Attaches to the kernel's tracepoints.
pub(super) fn from_kernel(
    kernel: &mut Kernel,
    notes: &mut Vec<String>,
) -> Result<(Option<Events>, Told)> {
    let events = kernel.events()?;
    let (attempts, told) = kernel.attach_tracepoints();
    for attempt in attempts {
        if let Err(error) = attempt.outcome {
            tracing::info!("{}: {error}", attempt.name);
        }
    }
    notes.extend(untold(&told));
    Ok((Some(events), told))
}

/// What this kernel doesn't tell, in the words of `nodecap doctor`, and what that weakens.
fn untold(told: &Told) -> impl Iterator<Item = String> {
    let events = told.resets_sent && told.resets_received;
    [
        (abilities::RESET_EVENTS, events),
        // Without the events that is said already.
        (abilities::RESET_REASONS, told.reasons || !events),
        (abilities::DROP_REASONS, told.drops),
        (abilities::CONNTRACK_ENTRIES, told.conntrack),
    ]
    .into_iter()
    .filter(|(_, there)| !there)
    .map(|(name, _)| {
        let effect = abilities::effect(name);
        format!("no {name} here: {effect}; `nodecap doctor` says why")
    })
}

/// Follows conntrack, where it can be.
pub(super) async fn conntrack(notes: &mut Vec<String>) -> Option<Conntrack> {
    match Conntrack::start(conntrack::Options::default()).await {
        Ok(conntrack) => Some(conntrack),
        Err(error) => {
            notes.push(error.to_string());
            None
        }
    }
}

/// How the tracker is set, and what it is told that this capture can see: everything, from now on,
/// if the capture is complete.
pub(super) fn config(plan: &Plan, complete: bool, told: &Told) -> Config {
    let mut environment = Environment {
        live: true,
        resets_told: told.resets_sent,
        reasons_told: told.reasons,
        drops_told: told.drops,
        complete_since: complete.then(clock::monotonic),
        netns: this_namespace(),
        ..Environment::default()
    };
    Sysctls::read().fill(&mut environment);
    Config {
        max_flows: plan.max_flows,
        watch: plan.record.map(|record| record.on).unwrap_or_default(),
        environment,
        inner: plan.filter.inner,
        ..Config::default()
    }
}

/// The inode number of the network namespace that this thread is in; 0 if it can't be told.
pub(super) fn this_namespace() -> u32 {
    rustix::fs::stat("/proc/thread-self/ns/net")
        .ok()
        .and_then(|stat| u32::try_from(stat.st_ino).ok())
        .unwrap_or(0)
}
