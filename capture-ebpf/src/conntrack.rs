//! A packet's own conntrack entry: how netfilter translates its flow, both ways, told with the
//! first packet. Read, never touched.

use core::ptr;

use aya_ebpf::bindings::__sk_buff;
use capture_common::event::{Event, EventKind};

use crate::events;
use crate::follow;
use crate::globals::{CONNTRACK, FOLLOW, INNER};
use crate::kmem;
use crate::look;
use crate::maps::{CONNTRACK_SCRATCH, TOLD};
use crate::offsets::{CT_NET, CT_ORIGINAL, CT_REPLY, CT_STATUS, SKB_NFCT};
use crate::skb::Skb;
use crate::tuple::{FlowKey, ICMP, ICMPV6, mix};

/// Entries of the table of flows that were told: a power of two. What is pushed out of it is told
/// once more.
pub const TOLD_LEN: u32 = 1 << 14;

/// The part of `sk_buff._nfct` that is no address (`NFCT_PTRMASK`).
const INFO: u64 = 7;

// enum ip_conntrack_status, include/uapi/linux/netfilter/nf_conntrack_common.h
const IPS_CONFIRMED: u64 = 1 << 3;
const IPS_TRANSLATED: u64 = 1 << 4 | 1 << 5;
const IPS_TEMPLATE: u64 = 1 << 11;

/// Room for what doesn't fit on the stack.
#[repr(C)]
pub struct Scratch {
    original: FlowKey,
    reply: FlowKey,
    reversed: FlowKey,
    raw: [u8; TUPLE_LEN],
}

/// `sizeof(struct nf_conntrack_tuple)`.
const TUPLE_LEN: usize = 40;

/// Tells the entry of a packet that has one, if its flow is translated and wasn't told before.
/// The packet's tuple and where its entry lies are where the last look left them. By itself for the
/// verifier, as is [`crate::look::nodecap_look`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_conntrack(context: *mut __sk_buff, time: u64) -> u32 {
    // Asked again, since kernels before 6.8 verify it even where nobody calls it.
    if CONNTRACK.load() == 0 {
        return 0;
    }
    u32::from(tell(&Skb::new(context), time).is_some())
}

/// Where the packet's entry lies, or 0.
#[inline(always)]
pub fn entry(skb: &Skb) -> u64 {
    kmem::read::<u64>(skb.address() + u64::from(SKB_NFCT.load())).unwrap_or(0) & !INFO
}

#[inline(always)]
fn tell(skb: &Skb, time: u64) -> Option<()> {
    let look = look::look()?;
    let (key, entry) = (&look.key, look.entry);
    // An entry's memory is given to another flow at once, which has another tuple.
    let here = mix(key.digest(), entry);
    if was_told(here) {
        return None;
    }
    let status = kmem::read::<u64>(entry + u64::from(CT_STATUS.load()))?;
    // Before it is confirmed, not all that translates has had its turn.
    if status & IPS_TEMPLATE != 0 || status & IPS_CONFIRMED == 0 {
        return None;
    }
    if status & IPS_TRANSLATED == 0 {
        mark(here);
        return None;
    }
    let scratch = CONNTRACK_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a per-CPU value that only this program uses, and a TC program isn't interrupted by
    // another one on its CPU (see record::counters).
    let scratch = unsafe { &mut *scratch };
    let Scratch {
        original,
        reply,
        reversed,
        raw,
    } = scratch;
    tuple(entry + u64::from(CT_ORIGINAL.load()), raw, original)?;
    tuple(entry + u64::from(CT_REPLY.load()), raw, reply)?;
    mark(here);
    let flow = mix(mix(original.digest(), reply.digest()), entry);
    if was_told(flow) {
        return None;
    }
    mark(flow);
    // Of a tunnel's packet it is the tunnel's own entry.
    if FOLLOW.load() != 0 && INNER.load() == 0 {
        follow::learn(original, time);
        *reversed = original.reversed();
        follow::learn(reversed, time);
        follow::learn(reply, time);
        *reversed = reply.reversed();
        follow::learn(reversed, time);
    }
    events::tell(Event {
        ktime: time,
        identity: skb.address(),
        kind: EventKind::CONNTRACK,
        reason: status as u32,
        netns: kmem::inode_of(kmem::read(entry + u64::from(CT_NET.load()))),
        version: original.version,
        protocol: original.protocol,
        tuple: original.tuple(),
        reply: reply.tuple(),
    });
    Some(())
}

#[inline(always)]
fn was_told(digest: u64) -> bool {
    match TOLD.get_ptr(digest as u32 % TOLD_LEN) {
        // SAFETY: an entry of the map, which is never freed; eight bytes are read at once.
        Some(entry) => unsafe { ptr::read_volatile(entry) == digest },
        None => false,
    }
}

#[inline(always)]
fn mark(digest: u64) {
    if let Some(entry) = TOLD.get_ptr_mut(digest as u32 % TOLD_LEN) {
        // SAFETY: as above.
        unsafe { ptr::write_volatile(entry, digest) };
    }
}

/// Reads a `struct nf_conntrack_tuple`. User space has checked that it is laid out like this.
#[inline(always)]
fn tuple(address: u64, raw: &mut [u8; TUPLE_LEN], key: &mut FlowKey) -> Option<()> {
    kmem::read_into(address, raw)?;
    let port = |start: usize| u16::from_be_bytes([raw[start], raw[start + 1]]);
    let half = |start: usize| {
        u64::from_ne_bytes([
            raw[start],
            raw[start + 1],
            raw[start + 2],
            raw[start + 3],
            raw[start + 4],
            raw[start + 5],
            raw[start + 6],
            raw[start + 7],
        ])
    };
    key.source = [half(0), half(8)];
    key.destination = [half(20), half(28)];
    key.source_port = port(16);
    // An echo's identifier is in one place; the other has its type and code.
    key.destination_port = match raw[38] {
        ICMP | ICMPV6 => port(16),
        _ => port(36),
    };
    key.protocol = u16::from(raw[38]);
    // l3num: AF_INET or AF_INET6.
    key.version = match u16::from_ne_bytes([raw[18], raw[19]]) {
        2 => 4,
        10 => 6,
        _ => return None,
    };
    Some(())
}
