//! What nf_tables answers, taken apart attribute by attribute.

use super::{Chain, Count, Counter, Rule};
use crate::netlink::attributes;
use crate::node::ask::{be32, be64, text};

// include/uapi/linux/netfilter: nfnetlink.h, nf_tables.h.
pub(super) const NFGENMSG_LEN: usize = 4;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_CHAIN_COUNTERS: u16 = 8;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_HOOK_DEV: u16 = 3;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_RULE_USERDATA: u16 = 7;
const NFTNL_UDATA_RULE_COMMENT: u8 = 0;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
/// `NFTA_MATCH_NAME` and `NFTA_TARGET_NAME`.
const NFTA_XT_NAME: u16 = 1;
const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;
const NFT_OBJECT_COUNTER: u32 = 1;

/// `NFPROTO_*`, in the words of nft.
fn family(message: &[u8]) -> Option<&'static str> {
    Some(match *message.first()? {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => return None,
    })
}

/// A hook by its family and number: those of netdev are numbered for themselves.
fn hook_name(family: &str, number: u32) -> String {
    let names: &[&str] = match family {
        "netdev" => &["ingress", "egress"],
        "arp" => &["input", "output", "forward"],
        _ => &[
            "prerouting",
            "input",
            "forward",
            "output",
            "postrouting",
            "ingress",
        ],
    };
    usize::try_from(number)
        .ok()
        .and_then(|number| names.get(number))
        .map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

pub(super) fn chain(message: &[u8]) -> Option<Chain> {
    let mut chain = Chain {
        family: family(message)?,
        table: String::new(),
        chain: String::new(),
        hook: None,
        kind: None,
        policy: None,
        count: None,
    };
    for attribute in attributes(message.get(NFGENMSG_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            NFTA_CHAIN_TABLE => chain.table = text(value),
            NFTA_CHAIN_NAME => chain.chain = text(value),
            NFTA_CHAIN_HOOK => chain.hook = hook(chain.family, value),
            NFTA_CHAIN_POLICY => {
                chain.policy = be32(value).and_then(|verdict| match verdict {
                    0 => Some("drop"),
                    1 => Some("accept"),
                    _ => None,
                });
            }
            NFTA_CHAIN_TYPE => chain.kind = Some(text(value)),
            NFTA_CHAIN_COUNTERS => chain.count = Some(count(value)),
            _ => {}
        }
    }
    Some(chain)
}

fn hook(family: &str, nested: &[u8]) -> Option<String> {
    let (mut number, mut priority, mut device) = (None, 0, String::new());
    for attribute in attributes(nested) {
        let value = attribute.value();
        match attribute.kind() {
            NFTA_HOOK_HOOKNUM => number = be32(value),
            NFTA_HOOK_PRIORITY => priority = be32(value)?.cast_signed(),
            NFTA_HOOK_DEV => device = format!(" device {}", text(value)),
            _ => {}
        }
    }
    let name = hook_name(family, number?);
    Some(format!("{name}{device} priority {priority}"))
}

fn count(nested: &[u8]) -> Count {
    let mut count = Count::default();
    for attribute in attributes(nested) {
        let number = be64(attribute.value()).unwrap_or_default();
        match attribute.kind() {
            NFTA_COUNTER_BYTES => count.bytes = number,
            NFTA_COUNTER_PACKETS => count.packets = number,
            _ => {}
        }
    }
    count
}

pub(super) fn rule(message: &[u8]) -> Option<Rule> {
    let mut rule = Rule {
        family: family(message)?,
        table: String::new(),
        chain: String::new(),
        handle: 0,
        expressions: Vec::new(),
        comment: None,
        count: None,
    };
    for attribute in attributes(message.get(NFGENMSG_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            NFTA_RULE_TABLE => rule.table = text(value),
            NFTA_RULE_CHAIN => rule.chain = text(value),
            NFTA_RULE_HANDLE => rule.handle = be64(value)?,
            NFTA_RULE_EXPRESSIONS => {
                for element in attributes(value) {
                    let (word, counted) = expression(element.value())?;
                    rule.expressions.push(word);
                    if let Some(counted) = counted {
                        let sum = rule.count.get_or_insert_default();
                        sum.packets = sum.packets.saturating_add(counted.packets);
                        sum.bytes = sum.bytes.saturating_add(counted.bytes);
                    }
                }
            }
            NFTA_RULE_USERDATA => rule.comment = comment(value),
            _ => {}
        }
    }
    Some(rule)
}

fn expression(nested: &[u8]) -> Option<(String, Option<Count>)> {
    let part = |kind| attributes(nested).find(|part| part.kind() == kind);
    let name = text(part(NFTA_EXPR_NAME)?.value());
    let data = part(NFTA_EXPR_DATA);
    let data = data.as_ref().map(netlink_packet_core::NlaBuffer::value);
    let data = data.unwrap_or_default();
    Some(match name.as_str() {
        "counter" => (name, Some(count(data))),
        "immediate" => (verdict(data).unwrap_or(name), None),
        "match" | "target" => {
            let of_xt = attributes(data).find(|part| part.kind() == NFTA_XT_NAME);
            let called = of_xt.map(|of_xt| format!("xt:{}", text(of_xt.value())));
            (called.unwrap_or(name), None)
        }
        _ => (name, None),
    })
}

/// The verdict in an `immediate`, if it is one.
fn verdict(data: &[u8]) -> Option<String> {
    let nested = attributes(data).find(|part| part.kind() == NFTA_IMMEDIATE_DATA)?;
    let nested = attributes(nested.value()).find(|part| part.kind() == NFTA_DATA_VERDICT)?;
    let (mut code, mut chain) = (None, String::new());
    for attribute in attributes(nested.value()) {
        match attribute.kind() {
            NFTA_VERDICT_CODE => code = be32(attribute.value()).map(u32::cast_signed),
            NFTA_VERDICT_CHAIN => chain = text(attribute.value()),
            _ => {}
        }
    }
    Some(match code? {
        0 => "drop".to_owned(),
        1 => "accept".to_owned(),
        -1 => "continue".to_owned(),
        -2 => "break".to_owned(),
        -3 => format!("jump {chain}"),
        -4 => format!("goto {chain}"),
        -5 => "return".to_owned(),
        other => format!("verdict {other}"),
    })
}

/// The comment that nft keeps with a rule: type, length, value.
fn comment(mut bytes: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = bytes {
        let length = usize::from(*length);
        let value = rest.get(..length)?;
        if *kind == NFTNL_UDATA_RULE_COMMENT {
            return Some(text(value));
        }
        bytes = &rest[length..];
    }
    None
}

pub(super) fn counter(message: &[u8]) -> Option<Counter> {
    let mut counter = Counter {
        family: family(message)?,
        table: String::new(),
        name: String::new(),
        count: Count::default(),
    };
    let mut kind = None;
    for attribute in attributes(message.get(NFGENMSG_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            NFTA_OBJ_TABLE => counter.table = text(value),
            NFTA_OBJ_NAME => counter.name = text(value),
            NFTA_OBJ_TYPE => kind = be32(value),
            NFTA_OBJ_DATA => counter.count = count(value),
            _ => {}
        }
    }
    (kind == Some(NFT_OBJECT_COUNTER)).then_some(counter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    fn element(name: &[u8], data: &[u8]) -> Vec<u8> {
        let parts = [
            attribute(NFTA_EXPR_NAME, name),
            attribute(NFTA_EXPR_DATA, data),
        ];
        attribute(1, &parts.concat())
    }

    fn counted(packets: u64, bytes: u64) -> Vec<u8> {
        [
            attribute(NFTA_COUNTER_BYTES, &bytes.to_be_bytes()),
            attribute(NFTA_COUNTER_PACKETS, &packets.to_be_bytes()),
        ]
        .concat()
    }

    #[test]
    fn a_rule_tells_what_it_is_made_of_and_what_it_counted() {
        let jump = [
            attribute(NFTA_VERDICT_CODE, &(-3_i32).to_be_bytes()),
            attribute(NFTA_VERDICT_CHAIN, b"DOCKER\0"),
        ];
        let jump = attribute(NFTA_DATA_VERDICT, &jump.concat());
        let expressions = [
            element(b"meta\0", b""),
            element(b"match\0", &attribute(NFTA_XT_NAME, b"addrtype\0")),
            element(b"counter\0", &counted(7, 420)),
            element(b"immediate\0", &attribute(NFTA_IMMEDIATE_DATA, &jump)),
        ];
        let mut message = vec![2, 0, 0, 0];
        message.extend(attribute(NFTA_RULE_TABLE, b"nat\0"));
        message.extend(attribute(NFTA_RULE_CHAIN, b"PREROUTING\0"));
        message.extend(attribute(NFTA_RULE_HANDLE, &9_u64.to_be_bytes()));
        message.extend(attribute(NFTA_RULE_EXPRESSIONS, &expressions.concat()));
        message.extend(attribute(NFTA_RULE_USERDATA, b"\x01\x01x\x00\x04web\0"));
        let told = rule(&message).expect("a rule");
        assert_eq!(
            told.expressions,
            ["meta", "xt:addrtype", "counter", "jump DOCKER"]
        );
        assert_eq!(
            told.count,
            Some(Count {
                packets: 7,
                bytes: 420
            })
        );
        assert_eq!(told.comment.as_deref(), Some("web"));
        let json = serde_json::to_value(&told).expect("JSON");
        assert_eq!(json["packets"], 7);
        assert_eq!(json["handle"], 9);
    }

    #[test]
    fn a_base_chain_tells_its_hook_and_its_policy() {
        let hook = [
            attribute(NFTA_HOOK_HOOKNUM, &2_u32.to_be_bytes()),
            attribute(NFTA_HOOK_PRIORITY, &(-150_i32).to_be_bytes()),
        ];
        let mut message = vec![2, 0, 0, 0];
        message.extend(attribute(NFTA_CHAIN_NAME, b"FORWARD\0"));
        message.extend(attribute(NFTA_CHAIN_HOOK, &hook.concat()));
        message.extend(attribute(NFTA_CHAIN_POLICY, &0_u32.to_be_bytes()));
        let told = chain(&message).expect("a chain");
        assert_eq!(told.hook.as_deref(), Some("forward priority -150"));
        assert_eq!(told.policy, Some("drop"));
        assert_eq!(told.count, None);
    }

    #[test]
    fn of_objects_only_counters_are_told() {
        let object = |kind: u32| {
            let mut message = vec![1, 0, 0, 0];
            message.extend(attribute(NFTA_OBJ_NAME, b"seen\0"));
            message.extend(attribute(NFTA_OBJ_TYPE, &kind.to_be_bytes()));
            message.extend(attribute(NFTA_OBJ_DATA, &counted(1, 60)));
            counter(&message)
        };
        let told = object(1).expect("a counter");
        assert_eq!((told.name.as_str(), told.count.packets), ("seen", 1));
        assert_eq!(object(2), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (chain(&bytes), rule(&bytes), counter(&bytes), comment(&bytes));
        }
    }
}
