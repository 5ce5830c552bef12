//! A table's chains and rules, out of its entries.
//!
//! A table is one row of entries. The kernel goes in where the hooks say; the entry that a hook's
//! underflow says is the policy. A chain that somebody made begins with an entry whose target is
//! `ERROR` and holds its name, and ends with one that returns, which nobody wrote. One more `ERROR`
//! is the end (`translate_table` in net/ipv4/netfilter/ip_tables.c, and iptables' libiptc.c).

use std::collections::BTreeMap;

use super::words::{STANDARD, rule, verdict};
use super::{Chain, Count, Rule, Ruleset};
use crate::kernel::xtables::{Family, Table};
use crate::netlink::{u16_at, u32_at};
use crate::node::ask::{ne64, text};

/// `NF_INET_*`, by the names of their chains.
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
// struct ipt_getinfo, include/uapi/linux/netfilter_ipv4/ip_tables.h.
const VALID_HOOKS: usize = 32;
const HOOK_ENTRY: usize = 36;
const UNDERFLOW: usize = 56;
/// `XT_ERROR_TARGET`.
const ERROR: &str = "ERROR";
/// `struct xt_entry_target` and `struct xt_entry_match` up to their data: a length, a name of 29
/// bytes, a revision.
const PART_LEN: usize = 32;

/// Where things lie in an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// How long an address is. The two addresses come first, then their masks.
    pub(super) address: usize,
    /// Where the protocol is, a `u16`; the interfaces lie before it.
    pub(super) protocol: usize,
    /// Where the flags are: one byte.
    pub(super) flags: usize,
    /// The flag that says that a jump doesn't come back.
    pub(super) goto: u8,
    /// What is to be the other way round: one byte.
    pub(super) inverted: usize,
    target_offset: usize,
    next_offset: usize,
    counters: usize,
    /// The length, after which the matches come.
    len: usize,
}

/// `struct ipt_entry`.
const V4: Shape = Shape {
    address: 4,
    protocol: 80,
    flags: 82,
    goto: 2,
    inverted: 83,
    target_offset: 88,
    next_offset: 90,
    counters: 96,
    len: 112,
};

/// `struct ip6t_entry` (include/uapi/linux/netfilter_ipv6/ip6_tables.h).
const V6: Shape = Shape {
    address: 16,
    protocol: 128,
    flags: 131,
    goto: 4,
    inverted: 132,
    target_offset: 140,
    next_offset: 142,
    counters: 152,
    len: 168,
};

/// A match or a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) data: &'a [u8],
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    at: usize,
    next: usize,
    /// The addresses, interfaces, and so on.
    pub(super) head: &'a [u8],
    pub(super) matches: Vec<Part<'a>>,
    pub(super) target: Part<'a>,
    count: Count,
}

impl Entry<'_> {
    /// The chain that begins here, or the table's end.
    fn error(&self) -> Option<String> {
        (self.target.name == ERROR).then(|| text(self.target.data))
    }

    /// The number of a target that is a verdict or a jump, and of nothing else.
    pub(super) fn standard(&self) -> Option<i32> {
        let number = u32_at(self.target.data, 0)?.cast_signed();
        (self.target.name == STANDARD).then_some(number)
    }

    /// Whether it jumps to the next entry: what iptables makes of a rule without a target.
    pub(super) fn falls_through(&self) -> bool {
        let to = self.standard().and_then(|to| usize::try_from(to).ok());
        to == Some(self.next)
    }
}

/// Adds what a table holds.
pub(super) fn add(all: &mut Ruleset, family: Family, table: &str, raw: &Table) {
    let (shape, family) = match family {
        Family::V4 => (V4, "ip"),
        Family::V6 => (V6, "ip6"),
    };
    let entries = entries(shape, &raw.entries);
    // A jump leads behind the entry that has the chain's name.
    let chains: BTreeMap<usize, String> = entries
        .iter()
        .filter_map(|entry| Some((entry.next, entry.error()?)))
        .collect();
    let starts = hooks(&raw.info, HOOK_ENTRY);
    let policies = hooks(&raw.info, UNDERFLOW);
    let mut current: Option<(String, Option<usize>)> = None;
    for (index, entry) in entries.iter().enumerate() {
        let following = entries.get(index + 1);
        if let Some((hook, _)) = starts.iter().find(|(_, at)| *at == entry.at) {
            let policy = policies.iter().find(|(other, _)| other == hook);
            current = Some(((*hook).to_owned(), policy.map(|(_, at)| *at)));
        }
        if let Some(name) = entry.error() {
            if following.is_some() {
                all.chains.push(Chain {
                    family,
                    table: table.to_owned(),
                    chain: name.clone(),
                    policy: None,
                    count: None,
                });
                current = Some((name, None));
            }
            continue;
        }
        let Some((chain, policy)) = &current else {
            continue;
        };
        let is_last = following.is_none_or(|next| next.error().is_some());
        match policy {
            Some(at) if *at == entry.at => all.chains.push(Chain {
                family,
                table: table.to_owned(),
                chain: chain.clone(),
                policy: entry.standard().and_then(verdict),
                count: Some(entry.count),
            }),
            // It returns by itself.
            None if is_last => {}
            _ => {
                let (rule, comment) = rule(shape, entry, &chains);
                all.rules.push(Rule {
                    family,
                    table: table.to_owned(),
                    chain: chain.clone(),
                    rule,
                    comment,
                    count: entry.count,
                });
            }
        }
    }
}

/// The hooks that the table is at, and the offset that one of its two lists has for each.
fn hooks(info: &[u8], list: usize) -> Vec<(&'static str, usize)> {
    let valid = u32_at(info, VALID_HOOKS).unwrap_or_default();
    let all = HOOKS.into_iter().enumerate();
    all.filter(|(number, _)| valid & (1 << number) != 0)
        .filter_map(|(number, name)| {
            let at = u32_at(info, list + 4 * number)?;
            Some((name, usize::try_from(at).ok()?))
        })
        .collect()
}

/// The entries, up to the first that can't be one.
fn entries(shape: Shape, bytes: &[u8]) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some(entry) = bytes.get(at..).and_then(|rest| entry(shape, at, rest)) {
        at = entry.next;
        entries.push(entry);
    }
    entries
}

fn entry(shape: Shape, at: usize, bytes: &[u8]) -> Option<Entry<'_>> {
    let target = usize::from(u16_at(bytes, shape.target_offset)?);
    let length = usize::from(u16_at(bytes, shape.next_offset)?);
    let count = Count {
        packets: ne64(bytes.get(shape.counters..)?)?,
        bytes: ne64(bytes.get(shape.counters + 8..)?)?,
    };
    let mut matches = Vec::new();
    let mut rest = bytes.get(shape.len..target)?;
    while let Some((part, behind)) = part(rest) {
        matches.push(part);
        rest = behind;
    }
    let (target, _) = part(bytes.get(target..length)?)?;
    Some(Entry {
        at,
        next: at.checked_add(length)?,
        head: bytes.get(..shape.len)?,
        matches,
        target,
        count,
    })
}

/// A match or a target, and what lies behind it.
fn part(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let length = usize::from(u16_at(bytes, 0)?);
    let data = bytes.get(PART_LEN..length)?;
    let name = text(bytes.get(2..PART_LEN - 1)?);
    Some((Part { name, data }, &bytes[length..]))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
