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

/// What the options' code for ordinary packets says of one: it doesn't match.
pub const FAILS: u32 = 0;
/// It matches.
pub const MATCHES: u32 = 1;
/// It isn't ordinary: that takes looking it through.
pub const ASK: u32 = 2;

/// Whether the upper-layer protocol has ports at the start of its header: TCP, UDP and SCTP.
#[must_use]
#[inline(always)]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 132)
}

/// Whether it is the number of an IPv6 extension header that says what is behind it: hop-by-hop options,
/// routing, fragment and destination options (RFC 8200, 4.1), AH (RFC 4302), mobility, HIP and shim6, which
/// have the same shape.
#[must_use]
#[inline(always)]
pub const fn is_extension_header(protocol: u8) -> bool {
    matches!(protocol, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)
}

/// Bytes of the port table: a byte of [`EITHER`], [`SRC`] and [`DST`] for each port number.
pub const PORT_TABLE_LEN: usize = 1 << 16;
/// Bytes of the protocol table: 1 for each IP protocol number on the list.
pub const PROTOCOL_TABLE_LEN: usize = 1 << 8;

/// How many IPv6 extension headers are looked through for the upper-layer protocol and its ports.
/// RFC 8200, 4.1 names six kinds, one of which may stand twice.
pub const MAX_EXTENSION_HEADERS: u32 = 8;
/// How many VLAN tags are looked through (802.1Q, 802.1ad), an offloaded one included.
pub const MAX_VLAN_TAGS: u32 = 2;

/// A slot of an address set: part of a search for an address, built by user space.
///
/// The first 16 bits of an address find an entry directly, in the set's [`Front`]. An entry is 32
/// bits: two that say what it is ([`LEAF`], [`SPLIT`], [`TABLE`]), one for the half of the address
/// that it is about ([`LOWER_HALF`]), four for a place in it ([`PLACE_SHIFT`]), and 25 for a slot
/// ([`SLOT`]), counted from the set's first.
///
/// - A leaf holds the address's option bits.
/// - A split's slot tells six ways apart: it holds their entries, two a word, the even one in its
///   lower half, and from [`BOUNDS`] on where each but the first begins, in ascending order.
/// - A table has an entry for each value of the bits at its place, 16 a slot: 8, 12 or 16 bits,
///   a fourth of that in the lowest bits of its slot's number ([`WIDTH`]), which are 0 otherwise.
///
/// A slot is as large as a cache line. An IPv4 address is in the upper 32 of the 128 bits.
pub type Slot = [u64; 8];

/// The entries of the first 16 bits, and at [`BASE`] the slot at which the set begins.
pub type Front = [u32; BASE + 1];
/// The place of a set's first slot in its front.
pub const BASE: usize = 1 << 16;

/// What an entry is.
pub const KIND: u32 = 3 << 30;
/// [`KIND`]: option bits.
pub const LEAF: u32 = 0;
/// [`KIND`]: a slot of bounds.
pub const SPLIT: u32 = 1 << 30;
/// [`KIND`]: slots of entries.
pub const TABLE: u32 = 2 << 30;
/// It is about the address's lower half.
pub const LOWER_HALF: u32 = 1 << 29;
/// By how much an entry is shifted for the shift that brings a table's bits down, see
/// [`HALF_SHIFT`].
pub const PLACE_SHIFT: u32 = 23;
/// The bits of that: a multiple of four.
pub const HALF_SHIFT: u32 = 60;
/// The slot in an entry.
pub const SLOT: u32 = (1 << 25) - 1;
/// A fourth of a table's width.
pub const WIDTH: u32 = 15;

/// Ways of a split.
pub const WAYS: usize = 6;
/// The word of a split's first bound.
pub const BOUNDS: usize = WAYS / 2;

/// Steps behind the front until there is a leaf, at the most. Each step leaves a sixth of the places
/// at which something begins: 2^16 of an IPv4 address's at first.
pub const STEPS_V4: usize = 7;
/// Likewise: for each half of an IPv6 address two a network, which are 2^22 at the most.
pub const STEPS_V6: usize = 18;
