//! Which way packets go.
//!
//! - [`routes`]: where each destination leads
//! - [`rules`]: by what the table is chosen that it is looked up in
//! - here: asking for both, and the names that their numbers have in `ip`

pub mod routes;
pub mod rules;

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;

use super::ask::Asker;

/// The length of `struct rtmsg` and `struct fib_rule_hdr` (include/uapi/linux: rtnetlink.h,
/// fib_rules.h).
const HEADER_LEN: usize = 12;

const FAMILIES: [(i32, &str); 2] = [(libc::AF_INET, "inet"), (libc::AF_INET6, "inet6")];

/// All objects of a kind, of both families.
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
pub(in crate::node) fn scope(number: u8) -> String {
    named(number.into(), &SCOPES)
}

/// A message as the kernel sends it.
#[cfg(test)]
fn message(header: [u8; 8], flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut message = header.to_vec();
    message.extend(flags.to_ne_bytes());
    message.extend(attributes.concat());
    message
}
