//! The tables that a filter is looked up in.
//!
//! One lookup answers for several options at once: the value found for an address or a port is a
//! set of bits, one for each option whose list it is on. A packet matches when each option that
//! was given finds its bit where it looks for it: [`SRC`] in the source's value, [`DST`] in the
//! destination's, [`EITHER`] in one of the two; and none finds the bit of what it bars.

/// On the list of `--host` or `--port`: either end may be.
pub const EITHER: u8 = 1;
/// On the list of `--src` or `--sport`.
pub const SRC: u8 = 2;
/// On the list of `--dst` or `--dport`.
pub const DST: u8 = 4;

/// On the list of what `--host` bars: neither end may be.
pub const NOT_EITHER: u8 = 8;
/// On the list of what `--src` bars.
pub const NOT_SRC: u8 = 16;
/// On the list of what `--dst` bars.
pub const NOT_DST: u8 = 32;

/// `--proto` names at least one IP protocol; which, is in the protocol table.
pub const IP_PROTOCOLS: u8 = 1;
/// `--proto` names ARP.
pub const ARP: u8 = 2;

/// There is a filter expression.
pub const EXPRESSION: u8 = 1;
/// The filter asks for more, or for something else, than the outer headers of all packets of a flow
/// have in common. So the flow of a packet that matched isn't followed, only that packet.
pub const OF_A_PACKET: u8 = 2;

/// Bytes of the port table: a byte of [`EITHER`], [`SRC`] and [`DST`] for each port number.
pub const PORT_TABLE_LEN: usize = 1 << 16;
/// Bytes of the protocol table: 1 for each IP protocol number on the list.
pub const PROTOCOL_TABLE_LEN: usize = 1 << 8;

/// How many IPv6 extension headers are looked through for the upper-layer protocol and its ports.
/// RFC 8200, 4.1 names six kinds, one of which may stand twice.
pub const MAX_EXTENSION_HEADERS: u32 = 8;
/// How many VLAN tags are looked through (802.1Q, 802.1ad), an offloaded one included.
pub const MAX_VLAN_TAGS: u32 = 2;

/// A slot of an address set: a tree over the address's nibbles, built by user space.
///
/// The first 16 bits of an address find an entry directly, in one of the first [`ROOT_SLOTS`]
/// slots. An entry is 32 bits: two that say what it is ([`LEAF`], [`BRANCH`], [`SKIP`]), five for
/// a place in the address ([`place`]), and 25 for a slot ([`SLOT`]), counted from the set's first.
///
/// - A leaf holds the address's option bits.
/// - A branch's slot holds 16 entries, one for each value of the nibble at that place: two a word,
///   the even one in its lower half.
/// - A skip's slot holds a mask and what the address must be under it, upper half ([`MASK_HIGH`],
///   [`WANT_HIGH`]) and lower half, then ([`NEXT`]) the entry to go on with in the lower half of a
///   word, and in its upper half the leaf for all other addresses.
///
/// An IPv4 address is in the upper 32 of the 128 bits.
pub type Slot = [u64; 8];

/// The slots of the first 16 bits, 16 entries each.
pub const ROOT_SLOTS: u32 = 1 << 12;
/// What an entry is.
pub const KIND: u32 = 3 << 30;
/// [`KIND`]: option bits.
pub const LEAF: u32 = 0;
/// [`KIND`]: a slot of entries.
pub const BRANCH: u32 = 1 << 30;
/// [`KIND`]: a slot with a mask.
pub const SKIP: u32 = 2 << 30;
/// The slot in an entry.
pub const SLOT: u32 = (1 << 25) - 1;
/// Of a place: it is in the address's lower half.
pub const LOWER_HALF: u32 = 1 << 29;
/// By how much an entry is shifted for a place's own shift within its half, see [`HALF_SHIFT`].
pub const PLACE_SHIFT: u32 = 23;
/// The bits of that: multiples of four.
pub const HALF_SHIFT: u32 = 60;

/// A skip's words.
pub const MASK_HIGH: usize = 0;
/// What the upper half must be under its mask.
pub const WANT_HIGH: usize = 1;
/// The lower half's mask.
pub const MASK_LOW: usize = 2;
/// What the lower half must be under its mask.
pub const WANT_LOW: usize = 3;
/// Where to go on, and the leaf for all others.
pub const NEXT: usize = 4;

/// Nibbles of an IPv4 address behind its first 16 bits: so many steps lead to a leaf at most.
pub const STEPS_V4: usize = 4;
/// Likewise of an IPv6 address.
pub const STEPS_V6: usize = 28;

/// The bits of an entry that say which nibble a branch is about, counted from the address's first.
#[must_use]
pub const fn place(nibble: u32) -> u32 {
    let half = if nibble >= 16 { LOWER_HALF } else { 0 };
    half | (15 - nibble % 16) << 25
}
