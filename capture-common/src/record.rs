//! The record of a packet: a header, then the first bytes of the frame. A record of the ring holds one
//! or, from a [`crate::batch::Batch`], several.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What precedes the frame's bytes. Host byte order.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct RecordHeader {
    /// When the hook saw the packet: `CLOCK_MONOTONIC`, nanoseconds. Read after the record was
    /// reserved, so a record that user space can't see yet is never older than the moment at
    /// which it found the ring empty.
    pub ktime: u64,
    /// Packets that matched and were lost on this interface and CPU since the capture began,
    /// before this one.
    pub lost: u64,
    /// The skb's address: the same on every hook that sees this very packet, soon reused for
    /// others. 0 where it wasn't asked for. User space keys it as it reads it.
    pub identity: u64,
    /// The interface's index (`ifindex`) in the namespace that the program was attached in.
    pub interface: u32,
    /// The frame's length in bytes as the stack holds it, without an offloaded VLAN tag.
    pub wire_len: u32,
    /// How many bytes of the frame follow this header.
    pub captured_len: u32,
    /// The CPU that the hook ran on.
    pub cpu: u32,
    /// The offloaded VLAN tag (`skb->vlan_tci`), if [`RecordFlags::VLAN`].
    pub vlan_tci: u16,
    /// The offloaded tag's protocol (0x8100, 0x88a8), if [`RecordFlags::VLAN`].
    pub vlan_proto: u16,
    /// The payload bytes a segment that a GSO super-frame stands for (`gso_size`), or 0.
    pub gso_size: u16,
    /// How many segments it stands for (`gso_segs`), or 0 if not known.
    pub gso_segments: u16,
    /// See [`RecordFlags`].
    pub flags: u16,
    /// The skb's `pkt_type`: `PACKET_HOST` 0, `PACKET_BROADCAST` 1, `PACKET_MULTICAST` 2,
    /// `PACKET_OTHERHOST` 3, `PACKET_OUTGOING` 4.
    pub packet_type: u16,
    /// Zero. Keeps the frame's bytes on an eight-byte boundary.
    pub reserved: u32,
}

const _: () = assert!(size_of::<RecordHeader>() == 56);

/// Bits of [`RecordHeader::flags`].
pub struct RecordFlags;

impl RecordFlags {
    /// Seen at the egress hook; without it, at ingress.
    pub const EGRESS: u16 = 1;
    /// A VLAN tag was in the skb's metadata, not in the frame.
    pub const VLAN: u16 = 2;
    /// The frame starts with its IP header: the device has no link header.
    pub const NO_LINK_HEADER: u16 = 4;
    /// It didn't match by itself: it was followed, as the same packet beyond a translation or as
    /// one of a followed flow.
    pub const FOLLOWED: u16 = 8;
    /// It has a record of the ring for itself, and what is behind its frame there means nothing.
    pub const ALONE: u16 = 16;
}

/// The frame bytes that each size class of record has room for, ascending. The verifier wants a
/// constant size for every reservation, so a record takes the smallest class that holds it.
///
/// With the header and the ring's own eight bytes the smallest class takes two cache lines, and the
/// next one, which holds what `-s 96` keeps, two and a half. The one before the last holds the
/// largest ordinary GSO frame (65,536 bytes and its link header), the last one BIG TCP up to the
/// largest snapshot length.
pub const SIZE_CLASSES: [u32; 12] = [
    72,
    96,
    136,
    264,
    520,
    1_032,
    1_544,
    4_104,
    9_224,
    24_584,
    65_672,
    MAX_SNAPLEN,
];

/// The largest snapshot length in bytes, and the default, as tcpdump's.
pub const MAX_SNAPLEN: u32 = 262_144;

/// How many rings there are at the most: a power of two.
pub const MAX_RINGS: u32 = 64;

/// The least room for a ring among several, in bytes: any record fits in.
pub const SMALLEST_RING: u32 = 512 << 10;

const _: () = assert!(SMALLEST_RING > MAX_SNAPLEN + size_of::<RecordHeader>() as u32 + 8);
