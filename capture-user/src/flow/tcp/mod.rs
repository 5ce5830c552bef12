//! One TCP connection as a bystander sees it (RFC 9293): what each side sent, what was sent
//! again, and how far the connection has come.
//!
//! Called once a packet, not once a sighting. A bystander misses packets and comes late, so
//! nothing here relies on having seen the beginning; all sequence arithmetic wraps.
//!
//! - here: what is remembered of each side; `segments`: what a segment changes of it
//! - `timing`: phases, round trips, silence

mod segments;
mod timing;

pub(super) use self::segments::segment;
pub(super) use self::timing::{
    count, handshake, handshake_micros, handshake_timed, idle, phase, round_trip,
};
use super::live::Hook;
use super::reset::{self, Segment};

/// TCP's flags.
pub(super) mod flag {
    pub(in crate::flow) const FIN: u8 = 1;
    pub(in crate::flow) const SYN: u8 = 2;
    pub(in crate::flow) const RST: u8 = 4;
    pub(in crate::flow) const ACK: u8 = 16;
}

/// Sequence numbers farther off than this belong to another connection, or to nobody: the largest
/// window is 2^30 (RFC 7323).
const FAR: u32 = 1 << 30;

/// No round trip was seen.
const NO_TIME: u32 = u32::MAX;

/// Bits of [`Side::has`].
mod has {
    /// A segment of it was seen, so the numbers mean something.
    pub(super) const SENT: u8 = 1;
    pub(super) const SYN: u8 = 2;
    pub(super) const FIN: u8 = 4;
    pub(super) const RESET: u8 = 8;
    pub(super) const TIMESTAMPS: u8 = 16;
    /// Segments are missing before the latest.
    pub(super) const GAP: u8 = 32;
    /// An IPv4 identification of an ordinary segment was zero …
    pub(super) const ID_ZERO: u8 = 64;
    /// … or wasn't.
    pub(super) const ID_OTHER: u8 = 128;
}

/// A bit of [`Side::bits`]: how long the acknowledgement of its SYN took is among what was timed.
const SYN_TIMED: u8 = 32;

/// One side of a flow, TCP or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// Packets it sent.
    pub(super) packets: u64,
    /// Their frames' lengths, in bytes.
    pub(super) bytes: u64,
    /// When it last sent one.
    pub(super) last: u64,
    /// Payload bytes of its stream.
    sent: u64,
    /// Its first sequence number: the SYN's, where that was seen.
    isn: u32,
    /// The number after its latest.
    next: u32,
    /// The highest acknowledged.
    acked: u32,
    /// The shortest time that an acknowledgement of it took, in microseconds.
    rtt: u32,
    pub(super) retransmits: u32,
    pub(super) out_of_order: u32,
    bytes_after_fin: u32,
    /// The longest silence before a segment of it, since the other side last sent: milliseconds.
    silence: u32,
    // Its latest segment.
    sequence: u32,
    acknowledgement: u32,
    payload: u32,
    packet: u32,
    /// Where its packets are seen, while that is one place only: see [`super::path`].
    pub(super) hook: Hook,
    pub(super) zero_windows: u16,
    pub(super) keepalives: u16,
    after_reset: u16,
    window: u16,
    ip_id: u16,
    retransmissions_unanswered: u8,
    keepalives_unanswered: u8,
    flags: u8,
    header_len: u8,
    ttl: u8,
    scale: u8,
    /// Of the latest: bit 0 timestamps, 1 an IPv4 identification, 2 don't fragment. Of any: bit 3
    /// don't fragment, 4 the flag wasn't set. And [`SYN_TIMED`].
    bits: u8,
    has: u8,
    /// As [`super::path::PathStop::ttl`] and its `ttl_varies`, while there is one place only.
    pub(super) hook_ttl: u8,
    pub(super) hook_ttl_varies: bool,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            last: 0,
            sent: 0,
            isn: 0,
            next: 0,
            acked: 0,
            rtt: NO_TIME,
            retransmits: 0,
            out_of_order: 0,
            bytes_after_fin: 0,
            silence: 0,
            sequence: 0,
            acknowledgement: 0,
            payload: 0,
            packet: 0,
            hook: Hook::NONE,
            zero_windows: 0,
            keepalives: 0,
            after_reset: 0,
            window: 0,
            ip_id: 0,
            retransmissions_unanswered: 0,
            keepalives_unanswered: 0,
            flags: 0,
            header_len: 0,
            ttl: 0,
            scale: 0,
            bits: 0,
            has: 0,
            hook_ttl: 0,
            hook_ttl_varies: false,
        }
    }
}

/// What both sides share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    /// The client's first SYN to the acknowledgement of the server's, in microseconds.
    pub(super) handshake: u32,
    /// What is being timed: acknowledged up to here …
    timed: u32,
    /// … sent then, in microseconds modulo 2^32.
    timed_at: u32,
    /// … by this side; 2 for none.
    timed_side: u8,
    established: bool,
    /// Which side sent the first FIN; 2 for none yet.
    closer: u8,
    /// Which side is in TIME-WAIT after an earlier connection with these ports; 2 for none …
    pub(super) waiting: u8,
    /// … since how long before this one's beginning: milliseconds.
    pub(super) waited: u32,
    /// The first segment of all was a SYN.
    pub(super) from_its_start: bool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            handshake: NO_TIME,
            timed: 0,
            timed_at: 0,
            timed_side: 2,
            established: false,
            closer: 2,
            waiting: 2,
            waited: 0,
            from_its_start: false,
        }
    }
}

impl Shared {
    /// The side that closed first, once both have.
    pub(super) fn closed_by(&self, sides: &[Side; 2]) -> Option<usize> {
        let closed = sides.iter().all(|side| side.has_fin() && !side.has_reset());
        (closed && self.closer < 2).then_some(self.closer.into())
    }

    /// Adds what another flow that turned out to be the same knows.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.handshake = self.handshake.min(other.handshake);
        self.established |= other.established;
        self.from_its_start |= other.from_its_start;
        self.timed_side = 2;
    }

    /// Client and server change places.
    pub(super) const fn flip(&mut self) {
        self.timed_side = 2;
        if self.closer < 2 {
            self.closer = 1 - self.closer;
        }
        if self.waiting < 2 {
            self.waiting = 1 - self.waiting;
        }
    }
}

/// Microseconds modulo 2^32: for differences only.
const fn micros(time: u64) -> u32 {
    (time / 1_000) as u32
}

/// How far `a` is after `b`, if it is not before it.
const fn after(a: u32, b: u32) -> Option<u32> {
    let distance = a.wrapping_sub(b);
    if distance < FAR { Some(distance) } else { None }
}

impl Side {
    pub(super) const fn has_syn(&self) -> bool {
        self.has & has::SYN != 0
    }

    pub(super) const fn has_fin(&self) -> bool {
        self.has & has::FIN != 0
    }

    pub(super) const fn has_reset(&self) -> bool {
        self.has & has::RESET != 0
    }

    /// Its latest segment, if one was seen.
    pub(super) fn latest(&self) -> Option<Segment> {
        (self.has & has::SENT != 0).then_some(Segment {
            time: self.last,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            flags: self.flags,
            window: self.window,
            payload: self.payload,
            header_len: self.header_len,
            timestamps: self.bits & 1 != 0,
            ttl: self.ttl,
            ip_id: (self.bits & 2 != 0).then_some(self.ip_id),
            dont_fragment: self.bits & 4 != 0,
        })
    }

    /// The packet of its latest segment: the low bits of its number.
    pub(super) const fn latest_packet(&self) -> u32 {
        self.packet
    }

    /// Segments after its own reset, or the other side's, that could only come from somebody to
    /// whom the connection still exists.
    pub(super) const fn after_reset(&self) -> u16 {
        self.after_reset
    }

    /// Takes a reset that this side sent. What it had sent before may still arrive, overtaken:
    /// only what goes beyond the reset's own numbers tells that it is still there.
    fn reset(&mut self, other: &mut Self, segment: &Segment) {
        self.has |= has::RESET;
        let window = 65_535u32 << other.scale.min(14);
        if self.has & has::SENT != 0
            && after(segment.sequence, self.next).is_some_and(|ahead| ahead <= window)
        {
            self.next = segment.sequence;
            self.has |= has::GAP;
        }
        if segment.flags & flag::ACK != 0
            && after(segment.acknowledgement, other.acked).is_some()
            && after(other.next, segment.acknowledgement).is_some()
        {
            other.acked = segment.acknowledgement;
        }
    }

    /// Adds what another flow that turned out to be the same knows of this side.
    pub(super) fn absorb(&mut self, other: &Self) {
        let mut sum = if self.has & has::SENT == 0 || other.last > self.last {
            *other
        } else {
            *self
        };
        // The numbers are those of the same stream, so nothing of them adds up.
        sum.packets = self.packets + other.packets;
        sum.bytes = self.bytes + other.bytes;
        sum.last = self.last.max(other.last);
        sum.rtt = self.rtt.min(other.rtt);
        sum.sent = self.sent.max(other.sent);
        sum.retransmits = self.retransmits.max(other.retransmits);
        sum.out_of_order = self.out_of_order.max(other.out_of_order);
        sum.zero_windows = self.zero_windows.max(other.zero_windows);
        sum.keepalives = self.keepalives.max(other.keepalives);
        sum.silence = self.silence.max(other.silence);
        sum.has |= (self.has | other.has) & !has::GAP;
        sum.bits |= (self.bits | other.bits) & SYN_TIMED;
        if self.has_syn() {
            sum.isn = self.isn;
        }
        *self = sum;
    }

    fn remember(&mut self, segment: &Segment, packet: u32) {
        self.sequence = segment.sequence;
        self.acknowledgement = segment.acknowledgement;
        self.payload = segment.payload;
        self.packet = packet;
        self.window = segment.window;
        self.ip_id = segment.ip_id.unwrap_or(0);
        self.flags = segment.flags;
        self.header_len = segment.header_len;
        self.ttl = segment.ttl;
        self.bits = (self.bits & (24 | SYN_TIMED))
            | if segment.dont_fragment { 8 } else { 16 }
            | u8::from(segment.timestamps)
            | u8::from(segment.ip_id.is_some()) << 1
            | u8::from(segment.dont_fragment) << 2;
        if segment.timestamps {
            self.has |= has::TIMESTAMPS;
        }
        // A SYN-ACK's is zero whoever sent it (`ip_build_and_send_pkt`), so it tells nothing.
        if let Some(id) = segment.ip_id
            && segment.flags & (flag::SYN | flag::RST) == 0
        {
            self.has |= if id == 0 { has::ID_ZERO } else { has::ID_OTHER };
        }
        self.has |= has::SENT;
    }

    /// Stream bytes of it that were acknowledged.
    fn acknowledged(&self) -> u64 {
        let mut outstanding = after(self.next, self.acked).unwrap_or(0);
        // A SYN and a FIN take a number and are no bytes.
        if self.has_syn() && self.acked == self.isn {
            outstanding = outstanding.saturating_sub(1);
        }
        if self.has_fin() && outstanding > 0 {
            outstanding -= 1;
        }
        self.sent.saturating_sub(outstanding.into())
    }

    /// Stream bytes of it that a segment of the other side acknowledges and that weren't seen.
    pub(super) fn unseen(&self, segment: &Segment) -> u64 {
        let known = self.has & has::SENT != 0 && segment.flags & flag::ACK != 0;
        let unseen = after(segment.acknowledgement, self.next).filter(|_| known);
        unseen.unwrap_or(0).into()
    }

    /// Whether the acknowledgement of its SYN was timed.
    pub(super) const fn handshake_timed(&self) -> bool {
        self.bits & SYN_TIMED != 0
    }

    /// As a verdict wants it; what it knows by place is left to the caller.
    pub(super) fn summary(&self) -> reset::Side {
        reset::Side {
            seen: self.has & has::SENT != 0,
            sent_fin: self.has_fin(),
            bytes: self.sent,
            acknowledged: self.acknowledged(),
            bytes_after_fin: self.bytes_after_fin.into(),
            retransmissions_unanswered: self.retransmissions_unanswered.into(),
            keepalives_unanswered: self.keepalives_unanswered.into(),
            ttl: None,
            ip_ids_zero: match self.has & (has::ID_ZERO | has::ID_OTHER) {
                0 => None,
                has::ID_ZERO => Some(true),
                _ => Some(false),
            },
            segments_after_reset: self.after_reset.into(),
            timestamps: self.has & has::TIMESTAMPS != 0,
            dont_fragment: match self.bits & 26 {
                10 => Some(true),
                18 => Some(false),
                _ => None,
            },
            closed_first: None,
        }
    }

    /// Whether a SYN that this side sends now begins another connection; or shows that one has begun,
    /// where it answers a SYN that wasn't seen.
    pub(super) fn begins_anew(&self, shared: &Shared, other: &Self, segment: &Segment) -> bool {
        if self.has_syn() && segment.sequence == self.isn {
            // The same SYN once more, however late.
            return false;
        }
        let over = self.has_reset() || other.has_reset() || (self.has_fin() && other.has_fin());
        if segment.flags & flag::ACK != 0 {
            let answers = other.has_syn() && segment.acknowledgement == other.isn.wrapping_add(1);
            return over && !answers;
        }
        if over {
            return true;
        }
        if !shared.established {
            // Another attempt by the same side; by the other one, a simultaneous open. Without any
            // SYN before, the connection was joined late, and this is the next one.
            return self.has_syn() || !other.has_syn();
        }
        // Inside of the window it gets a challenge acknowledgement (RFC 5961), outside of it
        // nothing but a new connection makes sense.
        let window = 65_535u32 << other.scale.min(14);
        self.has & has::SENT == 0
            || after(segment.sequence, self.next).is_none_or(|distance| distance >= window)
    }
}
