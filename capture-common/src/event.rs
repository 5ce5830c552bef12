//! What the kernel side tells besides packets: one event a record, in a ring of its own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One event. Host byte order, but for addresses, which are as in the packet.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Event {
    /// When: `CLOCK_MONOTONIC`, nanoseconds.
    pub ktime: u64,
    /// The skb's identity as in [`crate::record::RecordHeader::identity`], or 0.
    pub identity: u64,
    /// See [`EventKind`].
    pub kind: u32,
    /// `enum sk_rst_reason` or `enum skb_drop_reason` as a number, [`NO_REASON`] where the kernel
    /// gives none; conntrack's status bits (`IPS_*`) for [`EventKind::CONNTRACK`].
    pub reason: u32,
    /// The inode number of the network namespace it happened in, or 0.
    pub netns: u32,
    /// IP version of the tuples, 4 or 6.
    pub version: u16,
    /// IP protocol number.
    pub protocol: u16,
    /// The reset's own tuple, its sender first; conntrack's original tuple.
    pub tuple: EventTuple,
    /// conntrack's reply tuple; else zeros.
    pub reply: EventTuple,
}

const _: () = assert!(size_of::<Event>() == 104);

/// [`Event::reason`] where there is none.
pub const NO_REASON: u32 = u32::MAX;

/// Addresses and ports. An IPv4 address is in the first four bytes, the rest is zero.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct EventTuple {
    /// The sender's address, in network byte order.
    pub source: [u8; 16],
    /// The receiver's address, in network byte order.
    pub destination: [u8; 16],
    /// The sender's port, or an echo's identifier.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
}

/// Values of [`Event::kind`].
pub struct EventKind;

impl EventKind {
    /// `tcp:tcp_send_reset`.
    pub const RESET_SENT: u32 = 1;
    /// `tcp:tcp_receive_reset`.
    pub const RESET_RECEIVED: u32 = 2;
    /// `skb:kfree_skb` of a packet that matched shortly before.
    pub const DROPPED: u32 = 3;
    /// The conntrack entry of a packet that matched at egress, told once a flow.
    pub const CONNTRACK: u32 = 4;
}
