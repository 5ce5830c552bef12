//! The kernel side's maps and globals by name. The tests load the object and find each of them.

/// Map: the rings that records go through, by [`RING_MASK`] and the CPU's number. User space makes
/// them.
pub const RINGS: &str = "RINGS";
/// Map: each CPU's [`crate::batch::Batch`], by its number.
pub const BATCHES: &str = "BATCHES";
/// Map: per-CPU [`crate::counters::DirectCounters`], those of most interfaces.
pub const DIRECT_COUNTERS: &str = "DIRECT_COUNTERS";
/// Map: per-CPU [`crate::counters::Counters`] by interface index, those of the others.
pub const COUNTERS: &str = "COUNTERS";
/// Map: the IPv4 addresses with the options whose list they are on, in
/// [`crate::filter::Slot`]s.
pub const ADDRESSES_V4: &str = "ADDRESSES_V4";
/// Map: the IPv6 addresses likewise.
pub const ADDRESSES_V6: &str = "ADDRESSES_V6";
/// Map: where a search for an address begins ([`crate::filter::Front`]): of each set first IPv4's,
/// then IPv6's.
pub const ADDRESS_FRONTS: &str = "ADDRESS_FRONTS";
/// Map: the number of the set in use.
pub const ADDRESS_SET: &str = "ADDRESS_SET";
/// Map: the port table.
pub const PORTS: &str = "PORTS";
/// Map: the protocol table.
pub const PROTOCOLS: &str = "PROTOCOLS";

/// Global `u32`, there to be found: its name carries [`crate::LAYOUT_VERSION`], so an object of
/// another layout lacks it and isn't loaded.
pub const LAYOUT: &str = "LAYOUT_V1";
/// Global `u8`: which of `--host`, `--src`, `--dst` were given.
pub const ADDRESS_OPTIONS: &str = "ADDRESS_OPTIONS";
/// Global `u8`: 1 if [`FEW_V4`] and [`FEW_V6`] say which lists an address is on.
pub const ADDRESS_CODE: &str = "ADDRESS_CODE";
/// Global `u8`: 1 if the options are code for ordinary packets, see [`ORDINARY_ETHERNET`].
pub const ORDINARY: &str = "ORDINARY";
/// Global `u8`: which of `--port`, `--sport`, `--dport` were given.
pub const PORT_OPTIONS: &str = "PORT_OPTIONS";
/// Global `u8`: what kinds of protocol `--proto` names.
pub const PROTOCOL_OPTIONS: &str = "PROTOCOL_OPTIONS";
/// Global `u8`: 1 if the options are about the packet within a tunnel's.
pub const INNER: &str = "INNER";
/// Global `u8`: whether a filter expression was given, and of what kind, as bits.
pub const EXPRESSION: &str = "EXPRESSION";
/// Global `u32`: bytes of each frame to keep.
pub const SNAPLEN: &str = "SNAPLEN";
/// Global `u32`: how many rings there are, a power of two, less one.
pub const RING_MASK: &str = "RING_MASK";
/// Global `u64`: bytes put into rings by one CPU at which it wakes user space.
pub const WAKE_AT: &str = "WAKE_AT";
/// Global `u8`: 1 if small records are gathered in batches.
pub const BATCHED: &str = "BATCHED";

/// Program: a raw tracepoint that is never attached. Run by hand on a CPU, it puts the batch whose
/// number it is given into that one's ring, if there is room and no program at it.
pub const FLUSH: &str = "nodecap_flush";
/// Program: TC ingress of a device with Ethernet framing.
pub const INGRESS: &str = "nodecap_in";
/// Program: TC egress of a device with Ethernet framing.
pub const EGRESS: &str = "nodecap_out";
/// Program: TC ingress of a device without a link header.
pub const INGRESS_BARE: &str = "nodecap_in_l3";
/// Program: TC egress of a device without a link header.
pub const EGRESS_BARE: &str = "nodecap_out_l3";
/// Program: XDP, for packets of one buffer.
pub const XDP: &str = "nodecap_xdp";
/// Program: XDP, for packets of several buffers too (Linux 5.18).
pub const XDP_FRAGS: &str = "nodecap_xdp_frags";

/// Function: stands in for the code of short lists of IPv4 addresses.
pub const FEW_V4: &str = "nodecap_few_v4";
/// Function: the same of IPv6 addresses.
pub const FEW_V6: &str = "nodecap_few_v6";
/// Function: stands in for the options' code for ordinary packets, those with an Ethernet header.
pub const ORDINARY_ETHERNET: &str = "nodecap_ordinary";
/// Function: the same for packets without a link header.
pub const ORDINARY_BARE: &str = "nodecap_ordinary_l3";
/// Function: the same under XDP.
pub const ORDINARY_XDP: &str = "nodecap_ordinary_xdp";
/// Function: stands in for the expression's code, for packets with an Ethernet header.
pub const EXPRESSION_ETHERNET: &str = "nodecap_expression";
/// Function: the same for packets without a link header.
pub const EXPRESSION_BARE: &str = "nodecap_expression_l3";
/// Function: the same under XDP, where a packet has no fragments.
pub const EXPRESSION_XDP: &str = "nodecap_expression_xdp";
/// Function: the same under XDP, where it may have some.
pub const EXPRESSION_XDP_FRAGS: &str = "nodecap_expression_xdp_frags";

/// Map: the ring that [`crate::event::Event`]s go through.
pub const EVENTS: &str = "EVENTS";
/// Map: per-CPU `u64`, events that found that ring full.
pub const EVENTS_LOST: &str = "EVENTS_LOST";
/// Map: packets seen a moment ago, by their skb's address.
pub const PACKETS: &str = "PACKETS";
/// Map: tuples of followed flows.
pub const FLOWS: &str = "FLOWS";
/// Map: when a tuple was last learned, by [`crate::flows::bucket`].
pub const LEARNED: &str = "LEARNED";
/// Map: flows whose conntrack entry was told.
pub const TOLD: &str = "TOLD";

/// Global `u8`: 1 if records carry the skb's address. Takes `CAP_PERFMON`, as do the next three.
pub const IDENTITY: &str = "IDENTITY";
/// Global `u8`: 1 if recorded packets are remembered by their skb's address.
pub const REMEMBER: &str = "REMEMBER";
/// Global `u8`: 1 if packets are followed beyond a translation.
pub const FOLLOW: &str = "FOLLOW";
/// Global `u8`: 1 if conntrack's entries are told.
pub const CONNTRACK: &str = "CONNTRACK";

/// Globals `u32`: where things lie in this kernel's structures, in bytes. 0 where not known; what
/// would be read there must be switched off then.
pub mod offsets {
    /// `sk_buff._nfct`.
    pub const SKB_NFCT: &str = "SKB_NFCT";
    /// `sk_buff.head`.
    pub const SKB_HEAD: &str = "SKB_HEAD";
    /// `sk_buff.tail`.
    pub const SKB_TAIL: &str = "SKB_TAIL";
    /// `sk_buff.network_header`.
    pub const SKB_NETWORK_HEADER: &str = "SKB_NETWORK_HEADER";
    /// `sk_buff.transport_header`.
    pub const SKB_TRANSPORT_HEADER: &str = "SKB_TRANSPORT_HEADER";
    /// `sk_buff.dev`.
    pub const SKB_DEV: &str = "SKB_DEV";
    /// `net_device.nd_net.net`.
    pub const DEV_NET: &str = "DEV_NET";
    /// `net.ns.inum`.
    pub const NET_INUM: &str = "NET_INUM";
    /// `sock.__sk_common.skc_family`.
    pub const SK_FAMILY: &str = "SK_FAMILY";
    /// `sock.__sk_common.skc_net.net`.
    pub const SK_NET: &str = "SK_NET";
    /// `sock.__sk_common.skc_daddr`.
    pub const SK_DADDR: &str = "SK_DADDR";
    /// `sock.__sk_common.skc_rcv_saddr`.
    pub const SK_RCV_SADDR: &str = "SK_RCV_SADDR";
    /// `sock.__sk_common.skc_dport`.
    pub const SK_DPORT: &str = "SK_DPORT";
    /// `sock.__sk_common.skc_v6_daddr`.
    pub const SK_V6_DADDR: &str = "SK_V6_DADDR";
    /// `sock.__sk_common.skc_v6_rcv_saddr`.
    pub const SK_V6_RCV_SADDR: &str = "SK_V6_RCV_SADDR";
    /// `inet_sock.inet_sport`.
    pub const INET_SPORT: &str = "INET_SPORT";
    /// `nf_conn.tuplehash[0].tuple`.
    pub const CT_ORIGINAL: &str = "CT_ORIGINAL";
    /// `nf_conn.tuplehash[1].tuple`.
    pub const CT_REPLY: &str = "CT_REPLY";
    /// `nf_conn.status`.
    pub const CT_STATUS: &str = "CT_STATUS";
    /// `nf_conn.ct_net.net`.
    pub const CT_NET: &str = "CT_NET";
    /// Not an offset: how many arguments `tcp:tcp_send_reset` has.
    pub const SEND_RESET_ARGUMENTS: &str = "SEND_RESET_ARGUMENTS";
}

/// Program: the raw tracepoint `tcp_send_reset`.
pub const RESET_SENT: &str = "nodecap_reset_sent";
/// Program: the raw tracepoint `tcp_receive_reset`.
pub const RESET_RECEIVED: &str = "nodecap_reset_received";
/// Program: the raw tracepoint `kfree_skb`.
pub const DROPPED: &str = "nodecap_dropped";
