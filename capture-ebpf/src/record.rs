//! The record: a header and the frame's first bytes. Small ones go into the CPU's batch, exactly as
//! long as they are; large ones by themselves and straight into the ring, in the smallest size class
//! that has room for them. Every failure is counted.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_log_ebpf::debug;
use capture_common::counters::{Counters, DIRECT_LEN};
use capture_common::record::{RecordFlags, RecordHeader, SIZE_CLASSES};

use crate::batch::{self, Open, Way};
use crate::globals::{BATCHED, IDENTITY, SNAPLEN};
use crate::maps::{COUNTERS, DIRECT_COUNTERS};
use crate::packet::Packet;
use crate::rings::{self, Rings};

/// Counts a packet that matched and puts it into the ring. Returns its time stamp, or `None` where
/// there is no record.
#[inline(always)]
pub fn record(packet: &impl Packet, flags: u16) -> Option<u64> {
    let counters = counters(packet.interface())?;
    counters.matched += 1;
    match put(packet, counters.lost(), flags) {
        Outcome::Recorded(time) => {
            counters.recorded += 1;
            return Some(time);
        }
        Outcome::RingFull => {
            counters.ring_full += 1;
            debug!(packet, "ring full on interface {}", packet.interface());
        }
        Outcome::Unreadable => {
            counters.unreadable += 1;
            debug!(
                packet,
                "unreadable packet of {} bytes on interface {}",
                packet.len(),
                packet.interface()
            );
        }
    }
    None
}

/// What became of a packet that matched.
enum Outcome {
    /// With its time stamp.
    Recorded(u64),
    RingFull,
    Unreadable,
}

#[inline(always)]
fn put(packet: &impl Packet, lost: u64, flags: u16) -> Outcome {
    let len = packet.reach().min(SNAPLEN.load());
    // SAFETY: the helper only says where it runs.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let to = Origin {
        lost,
        flags,
        len,
        cpu,
    };
    if BATCHED.load() == 0 {
        return put_in_smallest_class(packet, to, Rings::All);
    }
    match batch::way(cpu, len) {
        Way::Batch(batch) => put_in_batch(packet, to, batch),
        Way::Past(rings) => put_in_smallest_class(packet, to, rings),
    }
}

/// What is known of a record besides its packet.
#[derive(Clone, Copy)]
struct Origin {
    /// Packets lost before it.
    lost: u64,
    /// [`RecordFlags`].
    flags: u16,
    /// Bytes of the frame to keep.
    len: u32,
    cpu: u32,
}

#[inline(always)]
fn put_in_batch(packet: &impl Packet, origin: Origin, batch: Open) -> Outcome {
    let room = batch.room();
    // Only now: see RecordHeader::ktime.
    // SAFETY: the helper only reads the clock.
    let ktime = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a batch's room is for a header, aligned to eight bytes, and LARGEST_IN_BATCH bytes
    // behind it. An empty copy would be refused by the helper.
    let copied = unsafe {
        room.header.write(header(packet, origin, ktime));
        origin.len == 0 || packet.copy_few(room.header.add(1).cast(), origin.len)
    };
    if !copied {
        batch.close();
        return Outcome::Unreadable;
    }
    batch.keep(&room, origin.len);
    Outcome::Recorded(ktime)
}

#[inline(always)]
fn put_in_smallest_class(packet: &impl Packet, origin: Origin, rings: Rings) -> Outcome {
    macro_rules! smallest_of {
        ($($class:literal)*) => {
            $(if origin.len <= SIZE_CLASSES[$class] {
                return put_alone::<{ SIZE_CLASSES[$class] as usize }>(packet, origin, rings);
            })*
        };
    }
    smallest_of!(0 1 2 3 4 5 6 7 8 9 10 11);
    // SNAPLEN is at most the last class's size.
    Outcome::Unreadable
}

/// This CPU's counters for the interface.
#[inline(always)]
fn counters(interface: u32) -> Option<&'static mut Counters> {
    if let Some(direct) = DIRECT_COUNTERS.get_ptr_mut(interface % DIRECT_LEN) {
        // SAFETY: a per-CPU value that only this CPU writes, and a TC program isn't interrupted by
        // another one on its CPU: softirqs don't nest, and the egress path disables them; an XDP
        // program runs in a softirq as well.
        let direct = unsafe { &mut *direct };
        if direct.interface == interface {
            return Some(&mut direct.counters);
        }
    }
    let entry = COUNTERS
        .get_ptr_mut(interface)
        .or_else(|| COUNTERS.get_ptr_mut(0))?;
    // SAFETY: as above.
    Some(unsafe { &mut *entry })
}

/// What lies in the ring: the header, then room for `N` frame bytes.
#[repr(C)]
struct Slot<const N: usize> {
    header: RecordHeader,
    frame: [u8; N],
}

#[inline(always)]
fn put_alone<const N: usize>(packet: &impl Packet, origin: Origin, rings: Rings) -> Outcome {
    let Some(mut entry) = rings::reserve::<Slot<N>>(origin.cpu, rings) else {
        return Outcome::RingFull;
    };
    let slot = entry.as_mut_ptr();
    // Only now: see RecordHeader::ktime.
    // SAFETY: the helper only reads the clock.
    let ktime = unsafe { bpf_ktime_get_ns() };
    let flags = origin.flags | RecordFlags::ALONE;
    // SAFETY: the ring reserved a whole slot, aligned to eight bytes, for us alone.
    unsafe {
        (&raw mut (*slot).header).write(header(packet, Origin { flags, ..origin }, ktime));
    }
    // SAFETY: frame has N bytes of room. An empty copy would be refused by the helper.
    let copied = origin.len == 0
        || unsafe { packet.copy_start((&raw mut (*slot).frame).cast(), origin.len, N as u32) };
    if !copied {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Outcome::Unreadable;
    }
    entry.submit(rings::wake_up(size_of::<Slot<N>>() as u64));
    Outcome::Recorded(ktime)
}

#[inline(always)]
fn header(packet: &impl Packet, origin: Origin, ktime: u64) -> RecordHeader {
    let (gso_size, gso_segments) = packet.gso();
    let vlan = packet.vlan();
    let (vlan_proto, vlan_tci) = vlan.unwrap_or((0, 0));
    RecordHeader {
        ktime,
        lost: origin.lost,
        identity: if IDENTITY.load() == 0 {
            0
        } else {
            packet.identity()
        },
        interface: packet.interface(),
        wire_len: packet.len(),
        captured_len: origin.len,
        cpu: origin.cpu,
        vlan_tci,
        vlan_proto,
        gso_size: gso_size as u16,
        gso_segments: gso_segments as u16,
        flags: if vlan.is_some() {
            origin.flags | RecordFlags::VLAN
        } else {
            origin.flags
        },
        packet_type: packet.packet_type() as u16,
        reserved: 0,
    }
}
