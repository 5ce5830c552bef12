//! One packet, as it is handed from the session to the sinks.

/// An interface of this capture, by its place in the order in which they joined: the index of its
/// pcapng interface description block.
pub type InterfaceId = u32;

/// A packet with its time on the wall clock, borrowed for as long as a sink looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// Where it was seen.
    pub interface: InterfaceId,
    /// Which way it was going there.
    pub direction: Direction,
    /// Whom the link layer meant it for, where the kernel says so.
    pub reception: Option<Reception>,
    /// Its length in bytes before truncation, an offloaded VLAN tag included.
    pub original_len: u32,
    /// Its first bytes, the offloaded VLAN tag put back in its place.
    pub frame: &'a [u8],
    /// Matched packets lost on this interface since the packet before this one.
    pub lost_before: u64,
    /// What a super-frame stands for: many segments that a card or the stack will make of it, or
    /// has made it of.
    pub gso: Option<Gso>,
}

/// Which way a packet crosses an interface, seen from the node's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device into the stack: TC ingress.
    In,
    /// Out of the stack through the device: TC egress.
    Out,
}

/// The reception type of the pcapng draft's `epb_flags` word, bits 2 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reception {
    /// To this interface's own address (`PACKET_HOST`).
    Unicast,
    /// To a group (`PACKET_MULTICAST`).
    Multicast,
    /// To all (`PACKET_BROADCAST`).
    Broadcast,
    /// To somebody else's address (`PACKET_OTHERHOST`).
    Promiscuous,
}

/// Generic segmentation or receive offload: one frame in place of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gso {
    /// Payload bytes a segment (`gso_size`).
    pub size: u16,
    /// How many segments (`gso_segs`); 0 where the kernel doesn't say.
    pub segments: u16,
}
