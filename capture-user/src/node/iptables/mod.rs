//! The firewall of old: the tables of iptables-legacy and ip6tables-legacy, which nf_tables knows
//! nothing of, with what their rules and policies have counted.
//!
//! - here: what there is, and asking for it
//! - `decode`: the chains and rules of a table; `words`: a rule as iptables-save has it

mod decode;
mod words;

use std::fs;
use std::io;

use serde::Serialize;

use super::Unavailable;
use super::nftables::Count;
use crate::kernel::xtables::{Family, table};

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// `ip`, `ip6`.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name: `INPUT`.
    pub chain: String,
    /// What becomes of a packet at its end, where the kernel goes into the chain by itself.
    pub policy: Option<&'static str>,
    /// How many came to its end there.
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
    /// What it says, in the words of iptables-save. Of most matches and targets the name alone.
    pub rule: String,
    /// Its comment.
    pub comment: Option<String>,
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
}

/// Reads the tables that the namespace has. Where there are none, that is no error.
///
/// # Errors
///
/// Where they can't be read: it takes `CAP_NET_ADMIN`, and root's user to know which there are.
pub fn read() -> Result<Ruleset, Unavailable> {
    let mut all = Ruleset::default();
    for (family, file) in [
        (Family::V4, "ip_tables_names"),
        (Family::V6, "ip6_tables_names"),
    ] {
        // The kernel would make the tables that it is asked for.
        let names = match fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(Unavailable(format!(
                    "which tables of iptables-legacy there are can't be read: {error}: it takes \
                     root, or CAP_DAC_READ_SEARCH"
                )));
            }
        };
        for name in names.lines() {
            match table(family, name) {
                Ok(table) => decode::add(&mut all, family, name, &table),
                // It went meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(all)
}
