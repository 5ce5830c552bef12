//! The kernel side's maps and globals by name. The tests load the object and find each of them.

/// Map: the ring that records go through.
pub const RING: &str = "RING";
/// Map: per-CPU [`crate::counters::Counters`] by interface index.
pub const COUNTERS: &str = "COUNTERS";
/// Map: IPv4 prefixes to the options ([`crate::filter`]) whose list they are on.
pub const ADDRESSES_V4: &str = "ADDRESSES_V4";
/// Map: IPv6 prefixes likewise.
pub const ADDRESSES_V6: &str = "ADDRESSES_V6";
/// Map: the port table.
pub const PORTS: &str = "PORTS";
/// Map: the protocol table.
pub const PROTOCOLS: &str = "PROTOCOLS";

/// Global `u32`, there to be found: its name carries [`crate::LAYOUT_VERSION`], so an object of
/// another layout lacks it and isn't loaded.
pub const LAYOUT: &str = "LAYOUT_V1";
/// Global `u8`: which of `--host`, `--src`, `--dst` were given.
pub const ADDRESS_OPTIONS: &str = "ADDRESS_OPTIONS";
/// Global `u8`: which of `--port`, `--sport`, `--dport` were given.
pub const PORT_OPTIONS: &str = "PORT_OPTIONS";
/// Global `u8`: what kinds of protocol `--proto` names.
pub const PROTOCOL_OPTIONS: &str = "PROTOCOL_OPTIONS";
/// Global `u32`: bytes of each frame to keep.
pub const SNAPLEN: &str = "SNAPLEN";
/// Global `u64`: bytes waiting in the ring at which user space is woken.
pub const WAKE_AT: &str = "WAKE_AT";

/// Program: TC ingress of a device with Ethernet framing.
pub const INGRESS: &str = "nodecap_in";
/// Program: TC egress of a device with Ethernet framing.
pub const EGRESS: &str = "nodecap_out";
/// Program: TC ingress of a device without a link header.
pub const INGRESS_BARE: &str = "nodecap_in_l3";
/// Program: TC egress of a device without a link header.
pub const EGRESS_BARE: &str = "nodecap_out_l3";
