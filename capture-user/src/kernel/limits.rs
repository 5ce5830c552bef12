//! What a process may have of memory and descriptors: raised, since a capture takes more than is usual.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below 5.11 maps and programs count against `RLIMIT_MEMLOCK` instead of the memory cgroup, those of all
/// processes of the user together. Where raising it is refused, creating the maps will say so.
pub(super) fn raise_memory() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!("can't raise RLIMIT_MEMLOCK: {error}");
    }
}

/// Descriptors that a process may want to have: 4,000 interfaces take 8,000.
const DESCRIPTORS: u64 = 1 << 16;

/// Each way of each interface takes a descriptor: 500 of them are more than the 1,024 that a process is
/// given by default, for the sake of select(2). More needs no privilege up to the hard limit. That may be a
/// billion, and a command of `--exec`, which inherits it, may close all that there could be.
pub(super) fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    // `None` is without a limit.
    if current.is_none_or(|now| now >= wanted) {
        return;
    }
    let more = Rlimit {
        current: Some(wanted),
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, more) {
        tracing::debug!("can't raise RLIMIT_NOFILE: {error}");
    }
}
