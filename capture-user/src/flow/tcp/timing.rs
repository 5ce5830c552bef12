//! Phases, round trips, silence.

use super::{NO_TIME, Shared, Side};
use crate::flow::reset::Phase;

/// How far the connection has come.
pub(in crate::flow) fn phase(sides: &[Side; 2], shared: &Shared) -> Phase {
    let [client, server] = sides;
    match (client.has_fin(), server.has_fin()) {
        (true, true) => Phase::Closed,
        (true, false) | (false, true) => Phase::Closing,
        (false, false) if shared.established => Phase::Established,
        (false, false) if server.has_syn() => Phase::SynReceived,
        (false, false) if client.has_syn() => Phase::SynSent,
        (false, false) => Phase::Unknown,
    }
}

/// The shortest time that `to` took to acknowledge what was seen on its way there: nanoseconds.
pub(in crate::flow) fn round_trip(sides: &[Side; 2], to: usize) -> Option<u64> {
    let micros = sides[1 - to].rtt;
    (micros != NO_TIME).then(|| u64::from(micros.max(1)) * 1_000)
}

/// Whether that is of the handshake as well.
pub(in crate::flow) const fn handshake_timed(sides: &[Side; 2], to: usize) -> bool {
    sides[1 - to].handshake_timed()
}

/// The silence that a reset from `from` ends, or that the segment it answers ended: nanoseconds.
pub(in crate::flow) fn idle(sides: &[Side; 2], from: usize, now: u64) -> u64 {
    let (me, other) = (&sides[from], &sides[1 - from]);
    let quiet = now.saturating_sub(me.last.max(other.last));
    if other.packets > 0 && other.last >= me.last {
        quiet.max(u64::from(other.silence) * 1_000_000)
    } else {
        quiet
    }
}

/// Takes a packet of any protocol: when, how long its frame is.
pub(in crate::flow) fn count(sides: &mut [Side; 2], from: usize, time: u64, bytes: u32) {
    let other = &sides[1 - from];
    let (answered, heard) = (other.packets > 0, other.last);
    let me = &mut sides[from];
    if answered || me.packets > 0 {
        let gap = time.saturating_sub(me.last.max(heard)) / 1_000_000;
        let gap = u32::try_from(gap).unwrap_or(u32::MAX);
        me.silence = if answered && heard >= me.last {
            gap
        } else {
            me.silence.max(gap)
        };
    }
    me.packets += 1;
    me.bytes += u64::from(bytes);
    me.last = me.last.max(time);
}

/// Sets the handshake's time if the segment completed it; `first` is when the first SYN was seen.
pub(in crate::flow) fn handshake(sides: &[Side; 2], shared: &mut Shared, first: u64, now: u64) {
    if shared.established
        && shared.from_its_start
        && shared.handshake == NO_TIME
        && sides[0].has_syn()
        && sides[1].has_syn()
    {
        let took = now.saturating_sub(first) / 1_000;
        shared.handshake = u32::try_from(took).unwrap_or(NO_TIME - 1);
    }
}

/// The handshake's time in microseconds.
pub(in crate::flow) fn handshake_micros(shared: &Shared) -> Option<u32> {
    (shared.handshake != NO_TIME).then_some(shared.handshake)
}
