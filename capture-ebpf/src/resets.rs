//! The tracepoints `tcp:tcp_send_reset` and `tcp:tcp_receive_reset`: resets that sockets of this
//! machine send and receive, in whatever namespace, with the kernel's own reason.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use capture_common::event::{Event, EventKind, EventTuple, NO_REASON};

use crate::events;
use crate::kmem::{self, KernelPacket};
use crate::offsets::{
    INET_SPORT, SEND_RESET_ARGUMENTS, SK_DADDR, SK_DPORT, SK_FAMILY, SK_NET, SK_RCV_SADDR,
    SK_V6_DADDR, SK_V6_RCV_SADDR, SKB_TRANSPORT_HEADER,
};
use crate::packet::Bytes as _;
use crate::parse::ETHERTYPE_IPV4;
use crate::tuple::{Address, FlowKey, TCP, address, widen};

#[raw_tracepoint(tracepoint = "tcp_send_reset")]
fn nodecap_reset_sent(context: RawTracePointContext) -> u32 {
    let socket = context.arg::<u64>(0);
    let answered = context.arg::<u64>(1);
    let reason = if SEND_RESET_ARGUMENTS.load() >= 3 {
        context.arg::<u64>(2) as u32
    } else {
        NO_REASON
    };
    // What is answered tells more than the socket, which may be none, or one that listens.
    let (key, packet_netns) = if answered == 0 {
        (of_socket(socket), 0)
    } else {
        match KernelPacket::at(answered) {
            Some(packet) => (of_segment(answered, &packet), packet.netns()),
            None => (None, 0),
        }
    };
    let Some(key) = key else {
        return 0;
    };
    let netns = if socket == 0 {
        packet_netns
    } else {
        netns_of(socket)
    };
    // A passive one goes where the segment came from.
    let key = if answered == 0 { key } else { key.reversed() };
    tell(EventKind::RESET_SENT, &key, reason, netns, answered);
    0
}

#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
fn nodecap_reset_received(context: RawTracePointContext) -> u32 {
    let socket = context.arg::<u64>(0);
    if let Some(key) = of_socket(socket) {
        let netns = netns_of(socket);
        let key = key.reversed();
        tell(EventKind::RESET_RECEIVED, &key, NO_REASON, netns, 0);
    }
    0
}

#[inline(always)]
fn tell(kind: u32, key: &FlowKey, reason: u32, netns: u32, identity: u64) {
    events::tell(Event {
        // SAFETY: the helper only reads the clock.
        ktime: unsafe { bpf_ktime_get_ns() },
        identity,
        kind,
        reason,
        netns,
        version: key.version,
        protocol: key.protocol,
        tuple: key.tuple(),
        reply: NOBODY,
    });
}

const NOBODY: EventTuple = EventTuple {
    source: [0; 16],
    destination: [0; 16],
    source_port: 0,
    destination_port: 0,
};

#[inline(always)]
fn netns_of(socket: u64) -> u32 {
    kmem::inode_of(kmem::read(socket + u64::from(SK_NET.load())))
}

/// The tuple of what a socket sends. Its port is `inet_sport`: `skc_num` is already 0 when a
/// socket resets as it is closed.
#[inline(always)]
fn of_socket(socket: u64) -> Option<FlowKey> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let at = |offset: u32| socket + u64::from(offset);
    let family = kmem::read::<u16>(at(SK_FAMILY.load()))?;
    let here = kmem::read::<u16>(at(INET_SPORT.load()))?;
    let there = kmem::read::<u16>(at(SK_DPORT.load()))?;
    let v4 = || {
        let here = kmem::read::<u32>(at(SK_RCV_SADDR.load()))?;
        let there = kmem::read::<u32>(at(SK_DADDR.load()))?;
        Some((4, widen(here), widen(there)))
    };
    let (version, source, destination) = match family {
        AF_INET => v4()?,
        AF_INET6 => {
            let there = address_at(at(SK_V6_DADDR.load()))?;
            // IPv4 on an IPv6 socket (RFC 4291, 2.5.5.2): the IPv4 members hold it, too.
            let mapped = u64::from_ne_bytes([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
            let prefix = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
            if there[0] == 0 && there[1] & prefix == mapped {
                v4()?
            } else {
                (6, address_at(at(SK_V6_RCV_SADDR.load()))?, there)
            }
        }
        _ => return None,
    };
    Some(FlowKey {
        source,
        destination,
        source_port: u16::from_be(here),
        destination_port: u16::from_be(there),
        version,
        protocol: u16::from(TCP),
    })
}

#[inline(always)]
fn address_at(place: u64) -> Option<Address> {
    Some([kmem::read(place)?, kmem::read(place + 8)?])
}

/// The tuple of a segment that TCP is looking at: both its headers have been found.
#[inline(always)]
fn of_segment(skb: u64, packet: &KernelPacket) -> Option<FlowKey> {
    let transport = kmem::read::<u16>(skb + u64::from(SKB_TRANSPORT_HEADER.load()))?;
    let ports = packet.head + u64::from(transport);
    let source_port = kmem::read::<u16>(ports)?;
    let destination_port = kmem::read::<u16>(ports + 2)?;
    let (version, source, destination) = if packet.ethertype()? == ETHERTYPE_IPV4 {
        (4, widen(packet.word(12)?), widen(packet.word(16)?))
    } else {
        (6, address(packet, 8)?, address(packet, 24)?)
    };
    Some(FlowKey {
        source,
        destination,
        source_port: u16::from_be(source_port),
        destination_port: u16::from_be(destination_port),
        version,
        protocol: u16::from(TCP),
    })
}
