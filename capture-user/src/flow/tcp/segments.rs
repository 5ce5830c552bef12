//! What a segment changes.

use super::{SYN_TIMED, Shared, Side, after, flag, has, micros};
use crate::flow::reset::Segment;

/// A late segment that fills a gap this soon was overtaken, not sent again: no stack retransmits
/// sooner after a loss than one round trip, which on a node can be short.
const OVERTAKEN: u64 = 3_000_000;

/// A segment with all of the one before it, its IPv4 identification as well, this soon is that one again,
/// captured twice: on both ports that a switch mirrors, or on a bridge and its port in a file that doesn't
/// say which interface it was. A stack gives what it sends again another identification.
const TWICE: u64 = 3_000_000;

impl Side {
    /// Whether that is its latest segment again.
    fn repeats(&self, segment: &Segment) -> bool {
        // The numbers first, by which nearly none is.
        (self.sequence, self.acknowledgement) == (segment.sequence, segment.acknowledgement)
            && segment.ip_id.is_some_and(|id| id != 0)
            && segment.time.saturating_sub(self.last) <= TWICE
            && self.latest().is_some_and(|latest| {
                let Segment { time, .. } = latest;
                latest == Segment { time, ..*segment }
            })
    }

    /// Whether it acknowledges more than before: it has heard of the other side.
    fn heard_more(&self, segment: &Segment) -> bool {
        self.has & has::SENT != 0
            && self.flags & segment.flags & flag::ACK != 0
            && after(segment.acknowledgement, self.acknowledgement).is_some_and(|more| more > 0)
    }
}

/// Takes a segment of a connection; called before [`super::count`].
pub(in crate::flow) fn segment(
    sides: &mut [Side; 2],
    shared: &mut Shared,
    from: usize,
    segment: &Segment,
    scale: Option<u8>,
    packet: u32,
) {
    let (me, other) = {
        let [client, server] = sides;
        if from == 0 {
            (client, server)
        } else {
            (server, client)
        }
    };
    let syn = segment.flags & flag::SYN != 0;
    let fin = segment.flags & flag::FIN != 0;
    if segment.flags & flag::RST != 0 {
        me.reset(other, segment);
        return;
    }
    if me.repeats(segment) {
        return;
    }
    other.retransmissions_unanswered = 0;
    other.keepalives_unanswered = 0;
    if me.heard_more(segment) {
        // Of the other side, whose segments aren't seen.
        me.retransmissions_unanswered = 0;
        me.keepalives_unanswered = 0;
    }
    if segment.window == 0 && !syn && !fin && (me.has & has::SENT == 0 || me.window != 0) {
        me.zero_windows = me.zero_windows.saturating_add(1);
    }
    if let Some(scale) = scale {
        me.scale = scale;
    }
    let goes_on = me.has_reset() || other.has_reset();
    // What it acknowledges comes first: then the next one can be timed.
    let mut acknowledges = false;
    if segment.flags & flag::ACK != 0 && other.has & has::SENT != 0 {
        acknowledges = acknowledge(other, shared, 1 - from, segment);
    }
    let news = sequence(me, other, shared, from, segment);
    if goes_on && !syn && (news || acknowledges) {
        me.after_reset = me.after_reset.saturating_add(1);
    }
    if syn {
        me.has |= has::SYN;
    }
    if fin {
        if shared.closer == 2 {
            shared.closer = u8::from(from != 0);
        }
        me.has |= has::FIN;
    }
    me.remember(segment, packet);
    establish(sides, shared, from, segment);
}

/// Notes what the segment's own numbers tell; whether they go beyond all before.
fn sequence(
    me: &mut Side,
    other: &mut Side,
    shared: &mut Shared,
    from: usize,
    segment: &Segment,
) -> bool {
    let syn = segment.flags & flag::SYN != 0;
    let fin = segment.flags & flag::FIN != 0;
    let len = segment
        .payload
        .wrapping_add(u32::from(syn))
        .wrapping_add(u32::from(fin));
    let end = segment.sequence.wrapping_add(len);
    if me.has & has::SENT == 0 {
        me.isn = segment.sequence;
        me.acked = segment.sequence;
        me.next = end;
        me.sent += u64::from(segment.payload);
        if len > 0 {
            time(shared, from, end, segment.time);
        }
        return len > 0;
    }
    if syn && (!me.has_syn() || segment.sequence != me.isn) {
        // A SYN that begins nothing, such as one that gets a challenge acknowledgement.
        return false;
    }
    if len <= 1
        && !syn
        && !fin
        && segment.sequence == me.next.wrapping_sub(1)
        && me.acked == me.next
    {
        // RFC 9293, 3.8.4: one below what is expected next, with or without a byte.
        me.keepalives = me.keepalives.saturating_add(1);
        me.keepalives_unanswered = me.keepalives_unanswered.saturating_add(1);
        return false;
    }
    if len == 0 {
        return false;
    }
    if let Some(ahead) = after(segment.sequence, me.next) {
        if ahead > 0 {
            me.has |= has::GAP;
        }
        let payload = u64::from(ahead) + u64::from(segment.payload);
        me.sent += payload;
        me.next = end;
        if other.has_fin() && segment.payload > 0 {
            other.bytes_after_fin = other.bytes_after_fin.saturating_add(segment.payload);
        }
        if shared.timed_side == 2 {
            time(shared, from, end, segment.time);
        }
        return true;
    }
    if after(me.next, segment.sequence).is_none() {
        // Nowhere near: not this connection's.
        return false;
    }
    let beyond = after(end, me.next).unwrap_or(0);
    if beyond == 0
        && me.has & has::GAP != 0
        && after(segment.sequence, me.acked).is_some()
        && segment.time.saturating_sub(me.last) <= OVERTAKEN
    {
        me.out_of_order = me.out_of_order.saturating_add(1);
        return false;
    }
    me.retransmits = me.retransmits.saturating_add(1);
    me.retransmissions_unanswered = me.retransmissions_unanswered.saturating_add(1);
    if usize::from(shared.timed_side) == from {
        // Karn's rule (RFC 6298, 3): which of the two was acknowledged?
        shared.timed_side = 2;
    }
    if beyond > 0 {
        me.sent += u64::from(beyond).saturating_sub(u64::from(fin && !me.has_fin()));
        me.next = end;
    }
    beyond > 0
}

fn time(shared: &mut Shared, from: usize, end: u32, now: u64) {
    if shared.timed_side == 2 {
        shared.timed = end;
        shared.timed_at = micros(now);
        shared.timed_side = u8::from(from != 0);
    }
}

/// Notes what the segment acknowledges of `sender`'s; whether that is more than before.
fn acknowledge(sender: &mut Side, shared: &mut Shared, index: usize, segment: &Segment) -> bool {
    let ack = segment.acknowledgement;
    if usize::from(shared.timed_side) == index && after(ack, shared.timed).is_some() {
        shared.timed_side = 2;
        let took = micros(segment.time).wrapping_sub(shared.timed_at);
        sender.rtt = sender.rtt.min(took);
        if sender.has_syn() && shared.timed == sender.isn.wrapping_add(1) {
            sender.bits |= SYN_TIMED;
        }
    }
    let Some(advance) = after(ack, sender.acked).filter(|advance| *advance > 0) else {
        return false;
    };
    sender.acked = sender.acked.wrapping_add(advance);
    if let Some(unseen) = after(ack, sender.next).filter(|unseen| *unseen > 0) {
        // The capture missed what is acknowledged here.
        sender.next = ack;
        sender.sent += u64::from(unseen);
    }
    if sender.acked == sender.next {
        sender.has &= !has::GAP;
    }
    true
}

fn establish(sides: &[Side; 2], shared: &mut Shared, from: usize, segment: &Segment) {
    if shared.established || segment.flags & flag::SYN != 0 || segment.flags & flag::ACK == 0 {
        return;
    }
    let [client, server] = sides;
    shared.established = match (client.has_syn(), server.has_syn()) {
        // The server may also be the first that is seen after its own SYN.
        (true, true) => from == 0 || segment.payload > 0,
        (true, false) | (false, true) => from == 0,
        (false, false) => client.has & has::SENT != 0 && server.has & has::SENT != 0,
    };
}
