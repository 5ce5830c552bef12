//! What the kernel side must know of this kernel's structures, and what can't be told without.

use capture_common::names::offsets as names;

use super::btf::{Btf, BtfError};

/// What was found, by what it is good for. A group is complete, or says what it lacks.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Each global with its value.
    pub(super) globals: Vec<(&'static str, u32)>,
    /// What the tracepoints read of a packet and of a socket.
    pub(super) resets: Result<(), String>,
    /// What they read of a packet that is dropped, and why it is.
    pub(super) drops: Result<(), String>,
    /// What is read of conntrack's entries.
    pub(super) conntrack: Result<(), String>,
    /// How many arguments `tcp:tcp_send_reset` has; 0 if it isn't known.
    pub(super) send_reset_arguments: u32,
}

impl Layout {
    /// Takes in that nothing of it can be read.
    pub(super) fn lacks_memory(&mut self, why: &str) {
        for group in [&mut self.resets, &mut self.drops, &mut self.conntrack] {
            *group = Err(why.to_owned());
        }
    }
}

/// A global, and the member whose offset it holds.
type Member = (&'static str, &'static str, &'static [&'static str]);

const PACKET: &[Member] = &[
    (names::SKB_HEAD, "sk_buff", &["head"]),
    (names::SKB_TAIL, "sk_buff", &["tail"]),
    (names::SKB_NETWORK_HEADER, "sk_buff", &["network_header"]),
    (
        names::SKB_TRANSPORT_HEADER,
        "sk_buff",
        &["transport_header"],
    ),
    (names::SKB_DEV, "sk_buff", &["dev"]),
    (names::DEV_NET, "net_device", &["nd_net", "net"]),
    (names::NET_INUM, "net", &["ns", "inum"]),
];

const SOCKET: &[Member] = &[
    (names::SK_FAMILY, "sock", &["__sk_common", "skc_family"]),
    (names::SK_NET, "sock", &["__sk_common", "skc_net", "net"]),
    (names::SK_DADDR, "sock", &["__sk_common", "skc_daddr"]),
    (
        names::SK_RCV_SADDR,
        "sock",
        &["__sk_common", "skc_rcv_saddr"],
    ),
    (names::SK_DPORT, "sock", &["__sk_common", "skc_dport"]),
    (names::INET_SPORT, "inet_sock", &["inet_sport"]),
];

/// A kernel without IPv6 has none of these, and no socket that would need them.
const SOCKET_V6: &[Member] = &[
    (names::SK_V6_DADDR, "sock", &["__sk_common", "skc_v6_daddr"]),
    (
        names::SK_V6_RCV_SADDR,
        "sock",
        &["__sk_common", "skc_v6_rcv_saddr"],
    ),
];

const CONNTRACK: &[Member] = &[
    (names::SKB_NFCT, "sk_buff", &["_nfct"]),
    (names::CT_ORIGINAL, "nf_conn", &["tuplehash"]),
    (names::CT_STATUS, "nf_conn", &["status"]),
    (names::CT_NET, "nf_conn", &["ct_net", "net"]),
    (names::NET_INUM, "net", &["ns", "inum"]),
];

/// `struct nf_conntrack_tuple` as the kernel side reads it, which no kernel has had otherwise.
const TUPLE: &[(&[&str], u32)] = &[
    (&["src", "u3"], 0),
    (&["src", "u"], 16),
    (&["src", "l3num"], 18),
    (&["dst", "u3"], 20),
    (&["dst", "u"], 36),
    (&["dst", "protonum"], 38),
];
const TUPLE_LEN: u32 = 40;

/// How many arguments `skb:kfree_skb` has since it gives a reason: since Linux 5.17.
const KFREE_SKB_WITH_REASON: u32 = 3;

impl Layout {
    /// Nobody asked.
    pub(super) fn nothing() -> Self {
        let unasked = || Err("not asked for".to_owned());
        Self {
            globals: Vec::new(),
            resets: unasked(),
            drops: unasked(),
            conntrack: unasked(),
            send_reset_arguments: 0,
        }
    }

    /// Nothing is known.
    pub(super) fn without(error: &BtfError) -> Self {
        let missing = || Err(format!("no type information of this kernel ({error})"));
        Self {
            globals: Vec::new(),
            resets: missing(),
            drops: missing(),
            conntrack: missing(),
            send_reset_arguments: 0,
        }
    }

    /// Looks all of it up.
    pub(super) fn find(btf: &Btf) -> Self {
        let mut globals = Vec::new();
        let mut look_up = |members: &[Member]| {
            for (global, structure, path) in members {
                match btf.offset(structure, path) {
                    Some(offset) => globals.push((*global, offset)),
                    None => {
                        return Err(format!("this kernel has no {structure}.{}", path.join(".")));
                    }
                }
            }
            Ok(())
        };
        let packet = look_up(PACKET);
        let socket = look_up(SOCKET);
        // Without IPv6 there is nothing to be read there.
        let _ = look_up(SOCKET_V6);
        let conntrack = look_up(CONNTRACK).and_then(|()| tuples(btf));
        let conntrack = conntrack.map(|reply| globals.push((names::CT_REPLY, reply)));
        if let Some((_, hash)) = globals.iter_mut().find(|it| it.0 == names::CT_ORIGINAL) {
            *hash += btf
                .offset("nf_conntrack_tuple_hash", &["tuple"])
                .unwrap_or(0);
        }
        let send_reset_arguments = btf.tracepoint_arguments("tcp_send_reset").unwrap_or(0);
        globals.push((names::SEND_RESET_ARGUMENTS, send_reset_arguments));
        // The program that reads a third one isn't attached where there are two.
        let reasons = match btf.tracepoint_arguments("kfree_skb") {
            Some(0..KFREE_SKB_WITH_REASON) => {
                Err("this kernel drops packets without giving a reason".to_owned())
            }
            _ => Ok(()),
        };
        Self {
            globals,
            resets: packet.clone().and(socket),
            drops: packet.and(reasons),
            conntrack,
            send_reset_arguments,
        }
    }
}

/// Checks how tuples are laid out, and says where the reply's is.
fn tuples(btf: &Btf) -> Result<u32, String> {
    let known = btf.size("nf_conntrack_tuple") == Some(TUPLE_LEN)
        && TUPLE
            .iter()
            .all(|(path, at)| btf.offset("nf_conntrack_tuple", path) == Some(*at));
    let reply = (|| {
        let first = btf.offset("nf_conn", &["tuplehash"])?;
        let one = btf.size("nf_conntrack_tuple_hash")?;
        let within = btf.offset("nf_conntrack_tuple_hash", &["tuple"])?;
        first.checked_add(one)?.checked_add(within)
    })();
    match (known, reply) {
        (true, Some(reply)) => Ok(reply),
        _ => Err("this kernel's struct nf_conntrack_tuple isn't laid out as expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::types::Types;

    #[test]
    fn all_of_this_kernels_layout_is_found() {
        let layout = &Types::of_this_kernel().layout;
        assert_eq!(layout.resets, Ok(()));
        let gives_none = |why: &String| why.contains("without giving a reason");
        assert!(layout.drops.as_ref().map_or_else(gives_none, |()| true));
        assert_eq!(layout.conntrack, Ok(()));
        assert!(layout.send_reset_arguments >= 2);
    }

    #[test]
    fn a_kernel_that_tells_nothing_is_named_as_the_reason() {
        let layout = Layout::without(&BtfError::Malformed("it is empty"));
        for group in [layout.resets, layout.drops, layout.conntrack] {
            assert!(group.is_err_and(|why| why.contains("it is empty")));
        }
    }
}
