//! Where a flow's packets pass: its stops, in each direction.
//!
//! Most flows are seen in one place in each direction. That place lives in the flow's two
//! [`Side`]s, where its packets needn't be counted again; only more of them take room of their
//! own.

use super::delays::Delays;
use super::live::Hook;
use super::tcp::Side;

/// Stops of one flow; a longer path is cut.
const MAX_STOPS: usize = 64;

/// One place of a flow's path.
#[derive(Clone, Debug)]
pub(super) struct PathStop {
    pub(super) hook: Hook,
    /// As which of the flow's tuples.
    pub(super) leg: u8,
    /// Which side's packets: 0 the client's.
    pub(super) from: u8,
    /// The TTL there.
    pub(super) ttl: u8,
    /// Not all packets had the same.
    pub(super) ttl_varies: bool,
    /// How many places a packet has been seen at before it comes here.
    pub(super) position: u8,
    pub(super) packets: u64,
    /// Since the place before.
    pub(super) delays: Option<Box<Delays>>,
}

/// A packet at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) hook: Hook,
    pub(super) leg: u8,
    pub(super) from: usize,
    pub(super) ttl: u8,
    pub(super) position: usize,
    /// Nanoseconds since the place before.
    pub(super) delay: Option<u32>,
}

/// Whether the pass fits into the sides. Notes it there if so; called before the packet counts.
pub(super) fn pass_alone(sides: &mut [Side; 2], pass: &Pass) -> bool {
    let side = &mut sides[pass.from];
    if pass.leg != 0 || pass.position != 0 {
        return false;
    }
    if side.packets == 0 && side.hook == Hook::NONE {
        side.hook = pass.hook;
        side.hook_ttl = pass.ttl;
    } else if side.hook != pass.hook {
        return false;
    }
    side.hook_ttl_varies |= side.hook_ttl != pass.ttl;
    true
}

/// The stops that the sides hold.
pub(super) fn spill(sides: &[Side; 2]) -> Vec<PathStop> {
    let mut stops = Vec::with_capacity(4);
    for (from, side) in (0u8..).zip(sides) {
        if side.hook != Hook::NONE {
            stops.push(PathStop {
                hook: side.hook,
                leg: 0,
                from,
                ttl: side.hook_ttl,
                ttl_varies: side.hook_ttl_varies,
                position: 0,
                packets: side.packets,
                delays: None,
            });
        }
    }
    stops
}

/// Notes a pass among stops.
pub(super) fn pass(stops: &mut Vec<PathStop>, pass: &Pass) {
    let position = u8::try_from(pass.position).unwrap_or(u8::MAX);
    let known = stops.iter_mut().find(|stop| {
        stop.hook == pass.hook && usize::from(stop.from) == pass.from && stop.leg == pass.leg
    });
    let stop = if let Some(stop) = known {
        stop.ttl_varies |= stop.ttl != pass.ttl;
        stop.position = stop.position.max(position);
        stop
    } else {
        if stops.len() >= MAX_STOPS {
            return;
        }
        stops.push(PathStop {
            hook: pass.hook,
            leg: pass.leg,
            from: u8::from(pass.from != 0),
            ttl: pass.ttl,
            ttl_varies: false,
            position,
            packets: 0,
            delays: None,
        });
        let Some(stop) = stops.last_mut() else {
            return;
        };
        stop
    };
    stop.packets += 1;
    if let Some(delay) = pass.delay {
        stop.delays.get_or_insert_default().add(delay);
    }
}

/// Adds another flow's stops, whose legs and sides the caller has already made this one's.
pub(super) fn join(stops: &mut Vec<PathStop>, others: Vec<PathStop>) {
    for other in others {
        let room = stops.len() < MAX_STOPS;
        let known = stops.iter_mut().find(|stop| {
            stop.hook == other.hook && stop.from == other.from && stop.leg == other.leg
        });
        match known {
            Some(stop) => {
                stop.packets += other.packets;
                stop.ttl_varies |= other.ttl_varies || stop.ttl != other.ttl;
                stop.position = stop.position.max(other.position);
                match (&mut stop.delays, other.delays) {
                    (Some(mine), Some(others)) => mine.join(&others),
                    (mine @ None, others) => *mine = others,
                    (Some(_), None) => {}
                }
            }
            None if room => stops.push(other),
            None => {}
        }
    }
}
