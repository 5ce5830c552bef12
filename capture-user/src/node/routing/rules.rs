//! The rules by which the table is chosen that a route is looked up in.

use std::io;

use serde::Serialize;

use super::{HEADER_LEN, KINDS, PROTOCOLS, TABLES, ask, family_of, named};
use crate::netlink::{attributes, u16_at, u32_at};
use crate::node::ask::{ip, text};

// include/uapi/linux: rtnetlink.h, fib_rules.h.
const RTM_GETRULE: u16 = 34;
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

/// The rules.
///
/// # Errors
///
/// As [`super::routes::routes`]; `EOPNOTSUPP` where the kernel has none.
pub fn rules() -> io::Result<Vec<Rule>> {
    ask(RTM_GETRULE, rule)
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

#[cfg(test)]
mod tests {
    use super::super::message;
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

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
            let _ = rule(&bytes);
        }
    }
}
