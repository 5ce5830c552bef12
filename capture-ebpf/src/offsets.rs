//! Where things lie in this kernel's structures, in bytes; user space finds them in the kernel's
//! type information before the load. 0 stands for what wasn't found and is never read.
//!
//! There are no CO-RE relocations from Rust. Frozen numbers serve as well: to the verifier they
//! are constants.

use aya_ebpf::Global;

macro_rules! offsets {
    ($($(#[$about:meta])* $name:ident)*) => {
        $($(#[$about])* #[unsafe(no_mangle)] pub static $name: Global<u32> = Global::new(0);)*
    };
}

offsets! {
    /// `sk_buff._nfct`
    SKB_NFCT
    /// `sk_buff.head`
    SKB_HEAD
    /// `sk_buff.tail`
    SKB_TAIL
    /// `sk_buff.network_header`
    SKB_NETWORK_HEADER
    /// `sk_buff.transport_header`
    SKB_TRANSPORT_HEADER
    /// `sk_buff.dev`
    SKB_DEV
    /// `net_device.nd_net.net`
    DEV_NET
    /// `net.ns.inum`
    NET_INUM
    /// `sock.__sk_common.skc_family`
    SK_FAMILY
    /// `sock.__sk_common.skc_net.net`
    SK_NET
    /// `sock.__sk_common.skc_daddr`, the first member: 0 is its place, too.
    SK_DADDR
    /// `sock.__sk_common.skc_rcv_saddr`
    SK_RCV_SADDR
    /// `sock.__sk_common.skc_dport`
    SK_DPORT
    /// `sock.__sk_common.skc_v6_daddr`
    SK_V6_DADDR
    /// `sock.__sk_common.skc_v6_rcv_saddr`
    SK_V6_RCV_SADDR
    /// `inet_sock.inet_sport`
    INET_SPORT
    /// `nf_conn.tuplehash[0].tuple`
    CT_ORIGINAL
    /// `nf_conn.tuplehash[1].tuple`
    CT_REPLY
    /// `nf_conn.status`
    CT_STATUS
    /// `nf_conn.ct_net.net`
    CT_NET
    /// How many arguments `tcp:tcp_send_reset` has: two, and the reason since 6.10.
    SEND_RESET_ARGUMENTS
}
