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
