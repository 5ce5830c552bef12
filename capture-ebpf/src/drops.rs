//! The tracepoint `skb:kfree_skb`: TCP segments that the kernel drops, of those that were recorded
//! a moment ago. All other packets are told apart by one look into a table.
//!
//! A drop explains the reset that answers what was dropped, and only segments are answered so. Told
//! of everything, a flood of datagrams that nobody wants would push those out that explain.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use capture_common::event::{Event, EventKind, EventTuple};

use crate::events;
use crate::identity::{self, Sighted};
use crate::kmem::KernelPacket;
use crate::tuple::Headers;

#[raw_tracepoint(tracepoint = "kfree_skb")]
fn nodecap_dropped(context: RawTracePointContext) -> u32 {
    let skb = context.arg::<u64>(0);
    if let Some(sighted) = identity::candidate_at(skb)
        && sighted.is_segment()
    {
        // The second one is the place in the code.
        let reason = context.arg::<u64>(2) as u32;
        let _ = tell(skb, &sighted, reason);
    }
    0
}

#[inline(always)]
fn tell(skb: u64, sighted: &Sighted, reason: u32) -> Option<()> {
    // SAFETY: the helper only reads the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let packet = KernelPacket::at(skb)?;
    let headers = Headers::find(&packet, packet.ethertype()?, 0)?;
    // The memory may hold another packet by now, which nobody asked about.
    if !sighted.is(headers.fingerprint(&packet)?, now) {
        return None;
    }
    let nobody = EventTuple {
        source: [0; 16],
        destination: [0; 16],
        source_port: 0,
        destination_port: 0,
    };
    let (tuple, version, protocol) = match headers.key(&packet) {
        Some(key) => (key.tuple(), key.version, key.protocol),
        None => (nobody, 0, 0),
    };
    events::tell(Event {
        ktime: now,
        identity: skb,
        kind: EventKind::DROPPED,
        reason,
        netns: packet.netns(),
        version,
        protocol,
        tuple,
        reply: nobody,
    });
    Some(())
}
