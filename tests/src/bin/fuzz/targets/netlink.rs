//! What conntrack and rtnetlink tell. It comes from the kernel; from other kernels than those that
//! were tried, too.

use capture_user::evidence::conntrack::entries;
use capture_user::target::links::decode;

use super::number;
use crate::engine::Target;

pub(super) struct Netlink;

/// The least that a message takes: its header.
const MESSAGE_MIN: usize = 16;

impl Target for Netlink {
    fn name(&self) -> &'static str {
        "netlink"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![
            [entry(0x100), entry(0x102)].concat(),
            link(),
            address(),
            route(),
        ]
    }

    fn run(&self, input: &[u8]) -> Result<u64, String> {
        let entries: Vec<_> = entries(input).collect();
        if entries.len() * MESSAGE_MIN > input.len() {
            return Err(format!("{} entries", entries.len()));
        }
        let mixed = |entry: &capture_user::evidence::conntrack::Entry| {
            let mapping = &entry.mapping;
            let four = |tuple: capture_user::flow::tuple::Tuple| tuple.source.address.is_ipv4();
            four(mapping.original) != four(mapping.reply)
        };
        let link = decode::link(input);
        let address = decode::address(input);
        let routes = decode::default_route(input);
        Ok(number((
            entries.len().min(4),
            entries.iter().any(mixed),
            entries.first().map(|entry| {
                let original = entry.mapping.original;
                (
                    entry.is_translated(),
                    original.source.address.is_ipv4(),
                    original.protocol,
                )
            }),
            link.map(|link| (link.kind().name().len(), link.name.len().min(16))),
            address.map(|(_, net)| net.prefix_len()),
            routes.len().min(8),
        )))
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [((value.len() + 4) as u16).to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;

fn tuple(kind: u16, source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
    let addresses = [attribute(1, &source), attribute(2, &destination)].concat();
    let protocol = [
        attribute(1, &[6]),
        attribute(2, &ports[0].to_be_bytes()),
        attribute(3, &ports[1].to_be_bytes()),
    ]
    .concat();
    let both = [
        attribute(NESTED | 1, &addresses),
        attribute(NESTED | 2, &protocol),
    ]
    .concat();
    attribute(NESTED | kind, &both)
}

/// A conntrack entry of a masqueraded connection (nfnetlink_conntrack.h).
fn entry(kind: u16) -> Vec<u8> {
    let (pod, node, server) = ([10, 88, 0, 2], [192, 0, 2, 1], [192, 0, 2, 9]);
    let mut payload = vec![2, 0, 0, 0];
    payload.extend(tuple(1, pod, server, [40_000, 443]));
    payload.extend(tuple(2, server, node, [443, 40_000]));
    payload.extend(attribute(3, &0x19eu32.to_be_bytes()));
    payload.extend(attribute(12, &7u32.to_be_bytes()));
    let mut message = ((payload.len() + 16) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend([0; 10]);
    message.extend(payload);
    message
}

/// An `RTM_NEWLINK`'s body (rtnetlink(7)): a veth that is a bridge's port.
fn link() -> Vec<u8> {
    let mut body = vec![0, 0, 1, 0];
    for field in [7u32, 0x1_1043, 0] {
        body.extend(field.to_ne_bytes());
    }
    body.extend(attribute(3, b"veth-pod\0"));
    body.extend(attribute(4, &1_500u32.to_ne_bytes()));
    body.extend(attribute(5, &6u32.to_ne_bytes()));
    body.extend(attribute(1, &[2, 0, 0, 0, 0, 1]));
    body.extend(attribute(10, &3u32.to_ne_bytes()));
    let kind = [attribute(1, b"veth\0"), attribute(4, b"bridge\0")].concat();
    body.extend(attribute(18, &kind));
    body.extend(attribute(37, &5u32.to_ne_bytes()));
    body
}

/// An `RTM_NEWADDR`'s body.
fn address() -> Vec<u8> {
    let mut body = vec![2, 24, 0, 0, 7, 0, 0, 0];
    body.extend(attribute(1, &[192, 0, 2, 1]));
    body.extend(attribute(2, &[192, 0, 2, 1]));
    body
}

/// An `RTM_NEWROUTE`'s body: a default route.
fn route() -> Vec<u8> {
    let mut body = vec![2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    body.extend(attribute(5, &[192, 0, 2, 9]));
    body.extend(attribute(4, &2u32.to_ne_bytes()));
    body
}
