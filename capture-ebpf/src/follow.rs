//! Following a packet that matched to where the filter wouldn't know it any more.
//!
//! Beyond a translation a packet carries other addresses. It is known again there by its skb
//! ([`identity`]); then the tuple that it has there is learned, both ways, so that its replies are
//! known where they arrive, before they are translated back. Whoever translates, netfilter, IPVS
//! or another eBPF program, makes no difference.

use capture_common::filter::{DST, NOT_DST, NOT_SRC, OF_A_PACKET, SRC};
use capture_common::flows::TAUGHT;
use capture_common::record::RecordFlags;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_jiffies64;

use crate::conntrack::nodecap_conntrack;
use crate::globals::{ADDRESS_OPTIONS, CONNTRACK, EXPRESSION, FOLLOW, INNER, PORT_OPTIONS};
use crate::identity;
use crate::look::{self, nodecap_look};
use crate::maps::{FLOWS, LEARNED};
use crate::skb::Skb;
use crate::tuple::{self, FlowKey, TCP};

/// Nanoseconds after which a silent flow's tuple counts for nothing: it may belong to somebody
/// else by then. Its next packet is followed and learned again.
const IDLE_TCP: u64 = 900 * 1_000_000_000;
/// The same for what has no connections; conntrack forgets a UDP stream after 120 s.
const IDLE_OTHER: u64 = 180 * 1_000_000_000;
/// Ticks after which no tuple counts: the longest of the above, with as many ticks a second as a
/// kernel has at the most (`CONFIG_HZ`).
const IDLE_TICKS: u64 = IDLE_TCP / 1_000_000_000 * 1_000;
/// A tuple's time is written anew when it is this old, not with every packet.
const RENEW: u64 = 1_000_000_000;

/// Whether a packet that doesn't match is one that matched elsewhere, or belongs to its flow.
#[inline(always)]
pub fn is_followed<const BARE: bool>(skb: &Skb, flags: u16) -> bool {
    let candidate = identity::candidate(skb);
    if candidate.is_none() && (!by_flow() || is_a_stranger::<BARE>(skb)) {
        return false;
    }
    let wanted = match candidate {
        Some(_) => look::KEY | look::FINGERPRINT,
        None => look::KEY,
    };
    let found = nodecap_look(skb.context(), wanted | bare::<BARE>());
    let Some(look) = look::look() else {
        return false;
    };
    if let Some(sighted) = candidate
        && found & look::FINGERPRINT != 0
        && sighted.is(look.fingerprint, now())
    {
        return true;
    }
    if found & look::KEY == 0 || !by_flow() {
        return false;
    }
    let key = &look.key;
    let Some(seen) = FLOWS.get_ptr(key) else {
        return false;
    };
    // SAFETY: an entry of the map; the kernel doesn't free it under us, and if it is given to
    // another tuple at this moment, one packet is taken for that one's.
    let seen = unsafe { *seen };
    let limit = if key.protocol == u16::from(TCP) {
        IDLE_TCP
    } else {
        IDLE_OTHER
    };
    if now().wrapping_sub(seen) > limit {
        return false;
    }
    // A connection that is opened here with a tuple of ours, by a packet that came from nowhere:
    // somebody else has taken the port.
    if flags & RecordFlags::EGRESS != 0 && found & look::OPENS != 0 {
        let _ = FLOWS.remove(key);
        look.reversed = key.reversed();
        let reversed = &look.reversed;
        let _ = FLOWS.remove(reversed);
        return false;
    }
    true
}

/// Remembers a packet that was recorded, for the hooks that are still ahead of it and for its
/// replies.
#[inline(always)]
pub fn remember<const BARE: bool>(skb: &Skb, flags: u16, time: Option<u64>) {
    // One for which the ring had no room is followed all the same.
    let time = time.unwrap_or_else(now);
    let followed = flags & RecordFlags::FOLLOWED != 0;
    // A filter that looks at one end only matches a packet and not its reply. Any other one
    // matches both.
    let one_way =
        (ADDRESS_OPTIONS.load() | PORT_OPTIONS.load()) & (SRC | DST | NOT_SRC | NOT_DST) != 0;
    // What is about the inner packet doesn't match where that is in no tunnel, neither way.
    let within = INNER.load() != 0;
    let learns = FOLLOW.load() != 0 && by_flow() && (followed || one_way || within);
    let mut wanted = look::FINGERPRINT;
    if CONNTRACK.load() != 0 {
        wanted |= look::ENTRY;
    }
    if learns {
        wanted |= look::KEY;
    }
    let found = nodecap_look(skb.context(), wanted | bare::<BARE>());
    let Some(look) = look::look() else {
        return;
    };
    if found & look::FINGERPRINT != 0 {
        identity::remember(skb, look.fingerprint, time);
    }
    if found & look::KEY == 0 {
        return;
    }
    if learns {
        if followed || within {
            learn(&look.key, time);
        }
        look.reversed = look.key.reversed();
        learn(&look.reversed, time);
    }
    if CONNTRACK.load() != 0 && found & look::ENTRY != 0 {
        nodecap_conntrack(skb.context(), time);
    }
}

/// Whether a flow is followed once one of its packets matched. An expression such as `icmp or
/// tcp[13] & 4 != 0` is about packets: of a flow it wants some, and the others are none of its.
#[inline(always)]
fn by_flow() -> bool {
    EXPRESSION.load() & OF_A_PACKET == 0
}

/// Whether one look tells that a packet belongs to no followed flow. Of what isn't ordinary, or is about
/// the packet within a tunnel's, it tells nothing.
#[inline(always)]
fn is_a_stranger<const BARE: bool>(skb: &Skb) -> bool {
    if BARE || INNER.load() != 0 {
        return false;
    }
    let Some(bucket) = tuple::plain_bucket(skb) else {
        return false;
    };
    match LEARNED.get(bucket) {
        Some(learned) => *learned != TAUGHT && ticks().wrapping_sub(*learned) > IDLE_TICKS,
        None => false,
    }
}

/// The kernel's ticks: a load from memory, where the clock takes a helper call and its own time.
#[inline(always)]
fn ticks() -> u64 {
    // SAFETY: the helper only reads a number.
    unsafe { bpf_jiffies64() }
}

#[inline(always)]
fn bare<const BARE: bool>() -> u32 {
    if BARE { look::BARE } else { 0 }
}

/// Takes a tuple for one of a followed flow's from now on.
#[inline(always)]
pub fn learn(key: &FlowKey, time: u64) {
    match FLOWS.get_ptr_mut(key) {
        Some(seen) => {
            // SAFETY: as in is_followed; a time that goes to another tuple's entry renews that.
            let seen = unsafe { &mut *seen };
            if time.wrapping_sub(*seen) <= RENEW {
                return;
            }
            *seen = time;
        }
        None => {
            // Without room for it, which an LRU map always makes, its replies aren't followed.
            let _ = FLOWS.insert(key, time, u64::from(BPF_ANY));
        }
    }
    if let Some(learned) = LEARNED.get_ptr_mut(key.bucket()) {
        // SAFETY: an entry of the map, which is never freed; eight bytes are written at once. Another
        // tuple of the same bucket may have been taught: that stays.
        unsafe {
            if *learned != TAUGHT {
                *learned = ticks();
            }
        }
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper only reads the clock.
    unsafe { bpf_ktime_get_ns() }
}
