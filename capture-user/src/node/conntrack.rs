//! How full connection tracking is, and what it did away with.

use std::fs;

use netlink_sys::protocols::NETLINK_NETFILTER;
use serde::Serialize;

use super::Unavailable;
use super::ask::{Asker, be32};
use crate::netlink::attributes;

// include/uapi/linux/netfilter: nfnetlink.h, nfnetlink_conntrack.h.
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET_STATS_CPU: u16 = 4;
const NFGENMSG_LEN: usize = 4;
/// The numbers of `enum ctattr_stats_cpu` that [`Statistics`] has room for.
const ATTRIBUTES: usize = 16;
const SYSCTLS: &str = "/proc/sys/net/netfilter";

/// What is counted since the namespace was made, over all processors. The kernel counts in 32 bits
/// for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Entries that a packet found.
    pub found: u64,
    /// Packets that no connection could be made of: they pass untracked.
    pub invalid: u64,
    /// Entries that couldn't be put in, since another packet of the same connection had been
    /// quicker: that packet is dropped.
    pub insert_failed: u64,
    /// Packets dropped, since the table was full or there was no memory.
    pub drop: u64,
    /// Entries thrown out before their time, to make room.
    pub early_drop: u64,
    /// Packets that were broken, as ICMP errors about nothing known.
    pub error: u64,
    /// Searches that had to begin again.
    pub search_restart: u64,
    /// Collisions that were resolved without a drop.
    pub clash_resolve: u64,
    /// Entries that weren't put in, since their hash chain was too long.
    pub chain_toolong: u64,
    /// Entries put in: counted by old kernels alone.
    pub insert: u64,
}

/// Connection tracking in a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Conntrack {
    /// Entries that there are now.
    pub count: Option<u64>,
    /// The most that there can be.
    pub max: Option<u64>,
    /// What was counted.
    #[serde(flatten)]
    pub statistics: Statistics,
}

/// Reads it.
///
/// # Errors
///
/// Where there is no connection tracking, or without `CAP_NET_ADMIN`.
pub fn read() -> Result<Conntrack, Unavailable> {
    let number = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("{SYSCTLS}/{name}")).ok()?;
        text.trim().parse().ok()
    };
    let Some(count) = number("nf_conntrack_count") else {
        return Err(Unavailable(
            "connection tracking isn't loaded in this kernel".to_owned(),
        ));
    };
    let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS_CPU;
    let by_cpu = Asker::open(NETLINK_NETFILTER)?.dump(kind, &[0; NFGENMSG_LEN], counters)?;
    Ok(Conntrack {
        count: Some(count),
        max: number("nf_conntrack_max"),
        statistics: sum(&by_cpu),
    })
}

/// What one processor counted, by the attributes' numbers.
fn counters(message: &[u8]) -> Option<[u64; ATTRIBUTES]> {
    let mut numbers = [0; ATTRIBUTES];
    for attribute in attributes(message.get(NFGENMSG_LEN..)?) {
        if let Some(number) = numbers.get_mut(usize::from(attribute.kind())) {
            *number = be32(attribute.value())?.into();
        }
    }
    Some(numbers)
}

/// The sum over all processors.
fn sum(by_cpu: &[[u64; ATTRIBUTES]]) -> Statistics {
    let of = |attribute: usize| {
        let counts = by_cpu.iter().map(|counters| counters[attribute]);
        counts.fold(0, u64::saturating_add)
    };
    // By `enum ctattr_stats_cpu`.
    Statistics {
        found: of(2),
        invalid: of(4),
        insert: of(8),
        insert_failed: of(9),
        drop: of(10),
        early_drop: of(11),
        error: of(12),
        search_restart: of(13),
        clash_resolve: of(14),
        chain_toolong: of(15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    #[test]
    fn the_counters_of_all_processors_are_added() {
        let of_one = |base: u32| {
            let mut message = vec![0; NFGENMSG_LEN];
            for kind in 2..=15_u16 {
                let number = base + u32::from(kind);
                message.extend(attribute(kind, &number.to_be_bytes()));
            }
            counters(&message).expect("counters")
        };
        let added = sum(&[of_one(100), of_one(1_000)]);
        assert_eq!((added.found, added.drop), (1_104, 1_120));
        assert_eq!((added.insert_failed, added.early_drop), (1_118, 1_122));
        assert_eq!(added.chain_toolong, 1_130);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = counters(&bytes);
        }
    }
}
