//! What both sides share. User space sets the sizes of the ring and of the address sets before
//! the load.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::ArrayOfMaps;
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf};
use capture_common::batch::Batch;
use capture_common::counters::{Counters, DIRECT_LEN, DirectCounters};
use capture_common::filter::{Front, PORT_TABLE_LEN, PROTOCOL_TABLE_LEN, Slot};
use capture_common::flows::LEARNED_LEN;
use capture_common::record::MAX_RINGS;

use crate::conntrack::{Scratch, TOLD_LEN};
use crate::identity::{PACKETS_LEN, Sighted};
use crate::look::Look;
use crate::rings::{CpuState, Ring};
use crate::tuple::FlowKey;

/// Records on their way to user space: see [`crate::rings`].
#[btf_map]
pub static RINGS: ArrayOfMaps<Ring, { MAX_RINGS as usize }> = ArrayOfMaps::new();

/// What each CPU remembers between two records.
#[map]
pub static CPU_STATE: PerCpuArray<CpuState> = PerCpuArray::with_max_entries(1, 0);

/// Where each CPU gathers small records, by its number: as many as there are CPUs, or one that is not
/// used. Not by CPU for the kernel, so that user space can look into them, and anyone take what a CPU
/// has left that is gone.
#[map]
pub static BATCHES: Array<Batch> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Counters of most interfaces.
#[map]
pub static DIRECT_COUNTERS: PerCpuArray<DirectCounters> =
    PerCpuArray::with_max_entries(DIRECT_LEN, 0);

/// Those of the others by interface index. User space makes the entry before it attaches; index 0,
/// which no interface has, takes what is counted for an interface without one. Not preallocated: a node
/// may have thousands of interfaces and a capture be about one.
#[map]
pub static COUNTERS: PerCpuHashMap<u32, Counters> =
    PerCpuHashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// IPv4 addresses to option bits.
#[map]
pub static ADDRESSES_V4: Array<Slot> = Array::with_max_entries(1, 0);

/// IPv6 addresses to option bits.
#[map]
pub static ADDRESSES_V6: Array<Slot> = Array::with_max_entries(1, 0);

/// Where a search begins: of each set of addresses first IPv4's, then IPv6's.
#[map]
pub static ADDRESS_FRONTS: Array<Front> = Array::with_max_entries(1, 0);

/// Which set is in use.
#[map]
pub static ADDRESS_SET: Array<u32> = Array::with_max_entries(1, 0);

/// Option bits by port number.
#[map]
pub static PORTS: Array<[u8; PORT_TABLE_LEN]> = Array::with_max_entries(1, 0);

/// 1 by IP protocol number.
#[map]
pub static PROTOCOLS: Array<[u8; PROTOCOL_TABLE_LEN]> = Array::with_max_entries(1, 0);

/// Events on their way to user space.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 18, 0);

/// Events that found the ring full.
#[map]
pub static EVENTS_LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Packets seen a moment ago. User space makes it one entry long where nothing is remembered, and
/// so the next three.
#[map]
pub static PACKETS: Array<Sighted> = Array::with_max_entries(PACKETS_LEN, 0);

/// Tuples of followed flows, each with the time of its last packet: some 100 bytes each. The
/// kernel pushes the oldest ones out.
#[map]
pub static FLOWS: LruHashMap<FlowKey, u64> = LruHashMap::with_max_entries(1 << 16, 0);

/// When a tuple was last learned, in the kernel's ticks, by its bucket: in front of [`FLOWS`], see
/// [`capture_common::flows`].
#[map]
pub static LEARNED: Array<u64> = Array::with_max_entries(LEARNED_LEN, 0);

/// Digests of the flows whose conntrack entry was told.
#[map]
pub static TOLD: Array<u64> = Array::with_max_entries(TOLD_LEN, 0);

/// Working space for reading conntrack's entries.
#[map]
pub static CONNTRACK_SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// What was found in the packet that this CPU is looking at.
#[map]
pub static LOOK: PerCpuArray<Look> = PerCpuArray::with_max_entries(1, 0);
