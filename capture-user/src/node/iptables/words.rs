//! A rule in the words of iptables-save.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::decode::{Entry, Part, Shape};
use crate::netlink::u16_at;
use crate::node::ask::{ip, text};

/// `XT_STANDARD_TARGET`: a verdict or a jump.
pub(super) const STANDARD: &str = "";
/// `IFNAMSIZ`.
const NAME_LEN: usize = 16;
// IPT_INV_*, include/uapi/linux/netfilter_ipv4/ip_tables.h; IPv6 has the same.
const INV_IN: u8 = 0x01;
const INV_OUT: u8 = 0x02;
const INV_SOURCE: u8 = 0x08;
const INV_DESTINATION: u8 = 0x10;
const INV_FRAGMENT: u8 = 0x20;
const INV_PROTOCOL: u8 = 0x40;
/// `IPT_F_FRAG`, of IPv4 alone.
const FRAGMENT: u8 = 0x01;
/// Where `struct xt_tcp` and `struct xt_udp` (include/uapi/linux/netfilter/xt_tcpudp.h) say which
/// ports are to be the other way round; the ports themselves lie alike in both.
const TCP_INVERTED: usize = 11;
const UDP_INVERTED: usize = 8;

/// The rule and its comment. `chains` has the names of chains by their first entry's offset.
pub(super) fn rule(
    shape: Shape,
    entry: &Entry<'_>,
    chains: &BTreeMap<usize, String>,
) -> (String, Option<String>) {
    let mut words = selector(shape, entry.head).unwrap_or_default();
    let mut comment = None;
    for part in &entry.matches {
        match part.name.as_str() {
            "comment" => comment = Some(text(part.data)),
            "tcp" => words.push(ports(part, TCP_INVERTED)),
            "udp" => words.push(ports(part, UDP_INVERTED)),
            "icmp" | "icmp6" => words.push(icmp(part)),
            other => words.push(format!("-m {other}")),
        }
    }
    let goes = entry
        .head
        .get(shape.flags)
        .is_some_and(|flags| flags & shape.goto != 0);
    let how = if goes { "-g" } else { "-j" };
    match entry.standard() {
        None => words.push(format!("-j {}", entry.target.name)),
        Some(number) if number < 0 => {
            let called = verdict(number).map_or_else(|| number.to_string(), str::to_owned);
            words.push(format!("-j {called}"));
        }
        Some(_) if entry.falls_through() => {}
        Some(number) => {
            let chain = usize::try_from(number).ok().and_then(|to| chains.get(&to));
            let chain = chain.map_or_else(|| number.to_string(), Clone::clone);
            words.push(format!("{how} {chain}"));
        }
    }
    (words.join(" "), comment)
}

/// The verdict in a standard target: below zero, -1 less the number of `NF_*`; `XT_RETURN` is the
/// fifth.
pub(super) fn verdict(number: i32) -> Option<&'static str> {
    Some(match number {
        -1 => "DROP",
        -2 => "ACCEPT",
        -4 => "QUEUE",
        -5 => "RETURN",
        _ => return None,
    })
}

/// What every rule can ask for: addresses, interfaces, protocol.
fn selector(shape: Shape, head: &[u8]) -> Option<Vec<String>> {
    let Shape { address, .. } = shape;
    let inverted = *head.get(shape.inverted)?;
    let not = |bit: u8| if inverted & bit != 0 { "! " } else { "" };
    let mut words = Vec::new();
    for (option, number, bit) in [("-s", 0, INV_SOURCE), ("-d", 1, INV_DESTINATION)] {
        let one = ip(head.get(number * address..(number + 1) * address)?)?;
        let mask = ip(head.get((number + 2) * address..(number + 3) * address)?)?;
        if !mask.is_unspecified() {
            words.push(format!("{}{option} {one}/{}", not(bit), of_mask(mask)));
        }
    }
    let interfaces = head.get(4 * address..shape.protocol)?;
    for (option, number, bit) in [("-i", 0, INV_IN), ("-o", 1, INV_OUT)] {
        let name = interfaces.get(number * NAME_LEN..(number + 1) * NAME_LEN)?;
        let mask = interfaces.get((number + 2) * NAME_LEN..(number + 3) * NAME_LEN)?;
        if mask.iter().any(|byte| *byte != 0) {
            let name = text(name);
            // The NUL must be there too, unless any name that begins so will do.
            let whole = mask.get(name.len()).is_none_or(|byte| *byte != 0);
            let more = if whole { "" } else { "+" };
            words.push(format!("{}{option} {name}{more}", not(bit)));
        }
    }
    let protocol = u16_at(head, shape.protocol)?;
    if protocol != 0 {
        let name = match protocol {
            1 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            58 => "ipv6-icmp".to_owned(),
            132 => "sctp".to_owned(),
            other => other.to_string(),
        };
        words.push(format!("{}-p {name}", not(INV_PROTOCOL)));
    }
    if address == 4 && head.get(shape.flags)? & FRAGMENT != 0 {
        words.push(format!("{}-f", not(INV_FRAGMENT)));
    }
    Some(words)
}

/// A mask as a prefix length, or as it is where it is none.
fn of_mask(mask: IpAddr) -> String {
    match ipnet::ip_mask_to_prefix(mask) {
        Ok(length) => length.to_string(),
        Err(_) => mask.to_string(),
    }
}

/// The ports that a match on TCP or UDP asks for: the first and the last of the sources, and of the
/// destinations.
fn ports(part: &Part<'_>, inverted: usize) -> String {
    let mut words = format!("-m {}", part.name);
    let inverted = part.data.get(inverted).copied().unwrap_or_default();
    for (option, at, bit) in [("--sport", 0, 1), ("--dport", 4, 2)] {
        let range = u16_at(part.data, at).zip(u16_at(part.data, at + 2));
        let not = if inverted & bit != 0 { " !" } else { "" };
        match range {
            None | Some((0, u16::MAX)) => {}
            Some((first, last)) if first == last => words += &format!("{not} {option} {first}"),
            Some((first, last)) => words += &format!("{not} {option} {first}:{last}"),
        }
    }
    words
}

/// What a match on ICMP asks for (`struct ipt_icmp`, `struct ip6t_icmp`): a type, the first and the
/// last code, and whether it is to be another.
fn icmp(part: &Part<'_>) -> String {
    let mut words = format!("-m {}", part.name);
    if let Some([kind, first, last, inverted]) = part.data.first_chunk().copied()
        && kind != u8::MAX
    {
        let not = if inverted & 1 != 0 { " !" } else { "" };
        words += &format!("{not} --icmp-type {kind}");
        match (first, last) {
            (0, u8::MAX) => {}
            (one, other) if one == other => words += &format!("/{one}"),
            (first, last) => words += &format!("/{first}-{last}"),
        }
    }
    words
}
