//! Routes, and the rules by which the table is chosen that they are looked up in.

use std::io;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_ROUTE;
use serde::Serialize;

use super::ask::{Asker, ip, text};
use crate::netlink::{attributes, u16_at, u32_at};

// include/uapi/linux: rtnetlink.h, fib_rules.h.
const RTM_GETROUTE: u16 = 26;
const RTM_GETRULE: u16 = 34;
const HEADER_LEN: usize = 12;
const RTM_F_CLONED: u32 = 0x200;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;
const RTAX_MTU: u16 = 2;
const RTNEXTHOP_LEN: usize = 8;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const FIB_RULE_INVERT: u32 = 2;

/// A route: `ip route show table all`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// `inet` or `inet6`.
    pub family: &'static str,
    /// The table, by its number, or `main`, `local`, `default`.
    pub table: String,
    /// Where it leads: a prefix, or `default`.
    pub destination: String,
    /// The sources that it is for, where it isn't for all.
    pub source: Option<String>,
    /// The type of service that it is for; 0 for all.
    pub tos: u8,
    /// Its metric.
    pub priority: u32,
    /// What it does: `unicast`, `local`, `blackhole`…
    pub kind: String,
    /// The next hops: one, unless it has several paths. Empty where a next-hop object holds them.
    pub via: Vec<NextHop>,
    /// The next-hop object's id.
    pub nexthop_id: Option<u32>,
    /// The address that packets are sent from.
    pub prefsrc: Option<IpAddr>,
    /// How far it reaches.
    pub scope: String,
    /// Who made it: `kernel`, `static`, `bird`…
    pub protocol: String,
    /// Its MTU, where it has one of its own.
    pub mtu: Option<u32>,
}

/// One way that a route leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NextHop {
    /// The next router, unless the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface's index.
    pub interface: Option<u32>,
    /// Its share, of all of them.
    pub weight: u16,
}

/// A rule: `ip rule`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// `inet` or `inet6`.
    pub family: &'static str,
    /// The smaller, the earlier.
    pub priority: u32,
    /// What must be so, in the words of `ip rule`; `all` for any packet.
    pub selector: String,
    /// What then happens, likewise: `lookup main`.
    pub action: String,
    /// Who made it.
    pub protocol: String,
}

const FAMILIES: [(i32, &str); 2] = [(libc::AF_INET, "inet"), (libc::AF_INET6, "inet6")];

/// The routes of all tables, without those that the kernel keeps as a cache.
///
/// # Errors
///
/// When the kernel refuses a socket or an answer.
pub fn routes() -> io::Result<Vec<Route>> {
    ask(RTM_GETROUTE, route)
}

/// The rules.
///
/// # Errors
///
/// As [`routes`]; `EOPNOTSUPP` where the kernel has none.
pub fn rules() -> io::Result<Vec<Rule>> {
    ask(RTM_GETRULE, rule)
}

fn ask<T>(kind: u16, read: impl Fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
    let asker = Asker::open(NETLINK_ROUTE)?;
    let mut all = Vec::new();
    for (family, _) in FAMILIES {
        let mut request = [0; HEADER_LEN];
        request[0] = u8::try_from(family).unwrap_or_default();
        match asker.dump(kind, &request, &read) {
            Ok(more) => all.extend(more),
            // A kernel without IPv6 has no routes of it.
            Err(error)
                if family == libc::AF_INET6 && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn family_of(message: &[u8]) -> Option<&'static str> {
    let family = i32::from(*message.first()?);
    let found = FAMILIES.iter().find(|(number, _)| *number == family);
    found.map(|(_, name)| *name)
}

fn route(message: &[u8]) -> Option<Route> {
    let family = family_of(message)?;
    let [_, dst_len, src_len, tos, table, protocol, reach, kind] = *message.first_chunk::<8>()?;
    if u32_at(message, 8)? & RTM_F_CLONED != 0 {
        return None;
    }
    let (mut destination, mut source) = (None, None);
    let mut number = u32::from(table);
    let mut hop = NextHop {
        weight: 1,
        ..NextHop::default()
    };
    let mut route = Route {
        family,
        table: String::new(),
        destination: String::new(),
        source: None,
        tos,
        priority: 0,
        kind: named(kind.into(), &KINDS),
        via: Vec::new(),
        nexthop_id: None,
        prefsrc: None,
        scope: scope(reach),
        protocol: named(protocol.into(), &PROTOCOLS),
        mtu: None,
    };
    for attribute in attributes(message.get(HEADER_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            RTA_DST => destination = ip(value),
            RTA_SRC => source = ip(value),
            RTA_OIF => hop.interface = u32_at(value, 0),
            RTA_GATEWAY => hop.gateway = ip(value),
            RTA_VIA => hop.gateway = value.get(2..).and_then(ip),
            RTA_PRIORITY => route.priority = u32_at(value, 0).unwrap_or_default(),
            RTA_PREFSRC => route.prefsrc = ip(value),
            RTA_METRICS => {
                let mut metrics = attributes(value);
                let mtu = metrics.find(|metric| metric.kind() == RTAX_MTU);
                route.mtu = mtu.and_then(|mtu| u32_at(mtu.value(), 0));
            }
            RTA_MULTIPATH => route.via = next_hops(value),
            RTA_TABLE => number = u32_at(value, 0).unwrap_or(number),
            RTA_NH_ID => route.nexthop_id = u32_at(value, 0),
            _ => {}
        }
    }
    if route.via.is_empty() && (hop.interface.is_some() || hop.gateway.is_some()) {
        route.via.push(hop);
    }
    route.table = named(number, &TABLES);
    route.destination = match destination {
        Some(address) => format!("{address}/{dst_len}"),
        None if dst_len == 0 => "default".to_owned(),
        None => return None,
    };
    route.source = source.map(|address| format!("{address}/{src_len}"));
    Some(route)
}

/// The `struct rtnexthop`s of a route with several paths: a length, flags, the share less one, the
/// interface, attributes.
fn next_hops(mut bytes: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while let (Some(length), Some(index)) = (u16_at(bytes, 0), u32_at(bytes, 4)) {
        let length = usize::from(length).max(RTNEXTHOP_LEN);
        let mut hop = NextHop {
            gateway: None,
            interface: Some(index),
            weight: u16::from(bytes[3]) + 1,
        };
        let rest = bytes.get(RTNEXTHOP_LEN..length).unwrap_or_default();
        for attribute in attributes(rest) {
            match attribute.kind() {
                RTA_GATEWAY => hop.gateway = ip(attribute.value()),
                RTA_VIA => hop.gateway = attribute.value().get(2..).and_then(ip),
                _ => {}
            }
        }
        hops.push(hop);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

fn rule(message: &[u8]) -> Option<Rule> {
    let family = family_of(message)?;
    let (dst_len, src_len, tos) = (*message.get(1)?, *message.get(2)?, *message.get(3)?);
    let (mut table, action) = (u32::from(*message.get(4)?), *message.get(7)?);
    let inverted = u32_at(message, 8)? & FIB_RULE_INVERT != 0;
    let mut priority = 0;
    let (mut words, mut mark, mut mask) = (Vec::new(), None, u32::MAX);
    let (mut destination, mut to, mut suppress) = (None, None, None);
    let (mut l3mdev, mut protocol) = (false, 0);
    let range = |value: &[u8]| Some(format!("{}-{}", u16_at(value, 0)?, u16_at(value, 2)?));
    for attribute in attributes(message.get(HEADER_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            FRA_SRC => words.extend(ip(value).map(|from| format!("from {from}/{src_len}"))),
            FRA_DST => destination = ip(value).map(|to| format!("to {to}/{dst_len}")),
            FRA_IIFNAME => words.push(format!("iif {}", text(value))),
            FRA_OIFNAME => words.push(format!("oif {}", text(value))),
            FRA_GOTO => to = u32_at(value, 0),
            FRA_PRIORITY => priority = u32_at(value, 0)?,
            FRA_FWMARK => mark = u32_at(value, 0),
            FRA_FWMASK => mask = u32_at(value, 0).unwrap_or(mask),
            FRA_TABLE => table = u32_at(value, 0).unwrap_or(table),
            FRA_SUPPRESS_PREFIXLEN => {
                suppress = u32_at(value, 0).filter(|length| *length != u32::MAX);
            }
            FRA_L3MDEV => l3mdev = value.first() == Some(&1),
            FRA_UID_RANGE => words.extend(
                u32_at(value, 0)
                    .zip(u32_at(value, 4))
                    .map(|(first, last)| format!("uidrange {first}-{last}")),
            ),
            FRA_PROTOCOL => protocol = value.first().copied().unwrap_or_default(),
            FRA_IP_PROTO => words.extend(value.first().map(|number| format!("ipproto {number}"))),
            FRA_SPORT_RANGE => words.extend(range(value).map(|ports| format!("sport {ports}"))),
            FRA_DPORT_RANGE => words.extend(range(value).map(|ports| format!("dport {ports}"))),
            _ => {}
        }
    }
    words.extend(destination);
    if let Some(mark) = mark.filter(|mark| (*mark, mask) != (0, 0)) {
        words.push(format!("fwmark {mark:#x}/{mask:#x}"));
    }
    if tos != 0 {
        words.push(format!("tos {tos:#x}"));
    }
    let mut selector = match words.is_empty() {
        true => "all".to_owned(),
        false => words.join(" "),
    };
    if inverted {
        selector = format!("not {selector}");
    }
    let mut action = match (action, to) {
        (1, _) if l3mdev => "lookup l3mdev".to_owned(),
        (1, _) => format!("lookup {}", named(table, &TABLES)),
        (2, Some(to)) => format!("goto {to}"),
        (2, None) => "goto".to_owned(),
        (3, _) => "nop".to_owned(),
        (other, _) => named(other.into(), &KINDS),
    };
    if let Some(length) = suppress {
        action += &format!(" suppress_prefixlength {length}");
    }
    Some(Rule {
        family,
        priority,
        selector,
        action,
        protocol: named(protocol.into(), &PROTOCOLS),
    })
}

/// `RT_TABLE_*`.
const TABLES: [(u32, &str); 3] = [(253, "default"), (254, "main"), (255, "local")];
/// `RTN_*`; those that rules have (`FR_ACT_*`) have the same numbers.
const KINDS: [(u32, &str); 9] = [
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
    (9, "throw"),
];
/// `RTPROT_*`.
const PROTOCOLS: [(u32, &str); 12] = [
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (9, "ra"),
    (11, "zebra"),
    (12, "bird"),
    (16, "dhcp"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
];
/// `RT_SCOPE_*`.
const SCOPES: [(u32, &str); 5] = [
    (0, "global"),
    (200, "site"),
    (253, "link"),
    (254, "host"),
    (255, "nowhere"),
];

fn named(number: u32, names: &[(u32, &str)]) -> String {
    let found = names.iter().find(|(known, _)| *known == number);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// The name of an `RT_SCOPE_*`.
pub(super) fn scope(number: u8) -> String {
    named(number.into(), &SCOPES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    fn message(header: [u8; 8], flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut message = header.to_vec();
        message.extend(flags.to_ne_bytes());
        message.extend(attributes.concat());
        message
    }

    #[test]
    fn a_route_leads_somewhere_by_some_way() {
        let attributes = [
            attribute(RTA_DST, &[198, 51, 100, 0]),
            attribute(RTA_GATEWAY, &[192, 0, 2, 1]),
            attribute(RTA_OIF, &4_u32.to_ne_bytes()),
            attribute(RTA_PRIORITY, &100_u32.to_ne_bytes()),
            attribute(RTA_METRICS, &attribute(RTAX_MTU, &1400_u32.to_ne_bytes())),
        ];
        let header = [2, 24, 0, 0, 254, 4, 0, 1];
        let told = route(&message(header, 0, &attributes)).expect("a route");
        assert_eq!(told.destination, "198.51.100.0/24");
        assert_eq!(
            (told.table.as_str(), told.protocol.as_str()),
            ("main", "static")
        );
        assert_eq!((told.kind.as_str(), told.priority), ("unicast", 100));
        assert_eq!(told.mtu, Some(1400));
        let hop = NextHop {
            gateway: Some("192.0.2.1".parse().expect("an address")),
            interface: Some(4),
            weight: 1,
        };
        assert_eq!(told.via, [hop]);
        // The cache isn't told.
        assert!(route(&message(header, RTM_F_CLONED, &attributes)).is_none());
        let default = route(&message([10, 0, 0, 0, 254, 9, 0, 1], 0, &[])).expect("a route");
        assert_eq!(
            (default.family, default.destination.as_str()),
            ("inet6", "default")
        );
    }

    #[test]
    fn every_path_of_a_route_with_several_is_told() {
        let hop = |index: u32, gateway| {
            let mut hop = vec![16, 0, 0, 1];
            hop.extend(index.to_ne_bytes());
            hop.extend(attribute(RTA_GATEWAY, &[192, 0, 2, gateway]));
            hop
        };
        let paths = attribute(RTA_MULTIPATH, &[hop(4, 1), hop(6, 2)].concat());
        let told = route(&message([2, 0, 0, 0, 254, 3, 0, 1], 0, &[paths])).expect("a route");
        let shown: Vec<_> = told
            .via
            .iter()
            .map(|hop| (hop.interface, hop.weight))
            .collect();
        assert_eq!(shown, [(Some(4), 2), (Some(6), 2)]);
    }

    #[test]
    fn a_rule_is_told_in_the_words_of_ip() {
        let told = rule(&message(
            [2, 0, 0, 0, 254, 0, 0, 1],
            0,
            &[
                attribute(FRA_PRIORITY, &32_766_u32.to_ne_bytes()),
                attribute(FRA_PROTOCOL, &[2]),
            ],
        ));
        let told = told.expect("a rule");
        assert_eq!(
            (told.selector.as_str(), told.action.as_str()),
            ("all", "lookup main")
        );
        let told = rule(&message(
            [2, 0, 24, 0, 0, 0, 0, 1],
            FIB_RULE_INVERT,
            &[
                attribute(FRA_SRC, &[192, 0, 2, 0]),
                attribute(FRA_FWMARK, &0x10_u32.to_ne_bytes()),
                attribute(FRA_FWMASK, &0xff_u32.to_ne_bytes()),
                attribute(FRA_TABLE, &100_u32.to_ne_bytes()),
                attribute(FRA_IIFNAME, b"eth0\0"),
            ],
        ));
        let told = told.expect("a rule");
        assert_eq!(
            told.selector,
            "not from 192.0.2.0/24 iif eth0 fwmark 0x10/0xff"
        );
        assert_eq!(told.action, "lookup 100");
        let barred = rule(&message([10, 0, 0, 0, 0, 0, 0, 8], 0, &[])).expect("a rule");
        assert_eq!(barred.action, "prohibit");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (route(&bytes), rule(&bytes));
            prop_assert!(next_hops(&bytes).len() <= bytes.len());
        }
    }
}
