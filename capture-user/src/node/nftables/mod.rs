//! The firewall: chains, rules and counters of nf_tables, which iptables' rules of today are too
//! (iptables-nft). Those of the old kind, [`super::iptables`] reads.
//!
//! - here: what there is, and asking for it
//! - `decode`: the kernel's answers, taken apart

mod decode;

use std::fs;
use std::path::Path;

use netlink_sys::protocols::NETLINK_NETFILTER;
use serde::Serialize;

use self::decode::{NFGENMSG_LEN, chain, counter, rule};
use super::Unavailable;
use super::ask::Asker;

// include/uapi/linux/netfilter: nfnetlink.h, nf_tables.h.
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_GETOBJ: u16 = 19;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// `ip`, `ip6`, `inet`, `arp`, `bridge`, `netdev`.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Where packets come into it by themselves: the hook and the priority there.
    pub hook: Option<String>,
    /// Its type: `filter`, `nat`, `route`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// What becomes of a packet at its end.
    pub policy: Option<&'static str>,
    /// How many came to its end, where that is counted.
    #[serde(flatten)]
    pub count: Option<Count>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// As [`Chain::family`].
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// Its number in the table (`nft -a list ruleset`).
    pub handle: u64,
    /// What it is made of, in order: nf_tables' names of expressions, `xt:NAME` for iptables'
    /// matches and targets, verdicts as `accept`, `drop`, `jump CHAIN`.
    pub expressions: Vec<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// What it counted: the sum, where it counts at several places.
    #[serde(flatten)]
    pub count: Option<Count>,
}

/// A counter with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counter {
    /// As [`Chain::family`].
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// What it counted.
    #[serde(flatten)]
    pub count: Count,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// The chains.
    pub chains: Vec<Chain>,
    /// The rules, by table and chain, in the order in which packets meet them.
    pub rules: Vec<Rule>,
    /// The counters with names.
    pub counters: Vec<Counter>,
}

/// Reads what nf_tables has.
///
/// # Errors
///
/// Where it isn't loaded, or without `CAP_NET_ADMIN`.
pub fn read() -> Result<Ruleset, Unavailable> {
    if !is_there() {
        return Err(Unavailable(
            "nf_tables isn't loaded in this kernel".to_owned(),
        ));
    }
    let asker = Asker::open(NETLINK_NETFILTER)?;
    let kind = |message| NFNL_SUBSYS_NFTABLES << 8 | message;
    // Of any family.
    let request = [0; NFGENMSG_LEN];
    let result = (|| {
        Ok(Ruleset {
            chains: asker.dump(kind(NFT_MSG_GETCHAIN), &request, chain)?,
            rules: asker.dump(kind(NFT_MSG_GETRULE), &request, rule)?,
            counters: asker.dump(kind(NFT_MSG_GETOBJ), &request, counter)?,
        })
    })();
    result.map_err(|error: std::io::Error| match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP) => {
            Unavailable("this kernel has no nf_tables".to_owned())
        }
        _ => error.into(),
    })
}

/// Whether it is there, as far as that can be known without loading it: asking the kernel for
/// rules does. Where it can't be known, or there are no modules to load, asking does no harm.
fn is_there() -> bool {
    if Path::new("/sys/module/nf_tables").exists() || !Path::new("/proc/modules").exists() {
        return true;
    }
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    match fs::read_to_string(format!("/lib/modules/{release}/modules.builtin")) {
        Ok(builtin) => builtin.contains("/nf_tables.ko"),
        Err(_) => true,
    }
}
