//! conntrack's netlink messages, taken apart. Numbers are those of
//! include/uapi/linux/netfilter/{nfnetlink,nfnetlink_conntrack}.h.

use std::net::IpAddr;

use crate::flow::evidence::{Change, Mapping};
use crate::flow::tuple::{Endpoint, Tuple};
use crate::netlink::attributes;

/// `NFNL_SUBSYS_CTNETLINK`, the upper byte of a message's type.
const SUBSYSTEM: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_NEW`: an entry that is there, in an event as in a dump.
const NEW: u16 = SUBSYSTEM;
/// `IPCTNL_MSG_CT_GET`.
pub(super) const GET: u16 = SUBSYSTEM | 1;
/// `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = SUBSYSTEM | 2;

/// `struct nfgenmsg`: family, version, resource.
const GENERIC_LEN: usize = 4;
/// The body of a request for the entries of all families.
pub(super) const ANY_FAMILY: [u8; GENERIC_LEN] = [0; GENERIC_LEN];

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_ID: u16 = 12;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

/// `enum ip_conntrack_status` (nf_conntrack_common.h), as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// `IPS_SEEN_REPLY`: packets went both ways.
    #[must_use]
    pub fn seen_reply(self) -> bool {
        self.0 & 1 << 1 != 0
    }

    /// `IPS_ASSURED`: it isn't the first to go when the table is full.
    #[must_use]
    pub fn assured(self) -> bool {
        self.0 & 1 << 2 != 0
    }

    /// `IPS_SRC_NAT`: its source is translated.
    #[must_use]
    pub fn source_nat(self) -> bool {
        self.0 & 1 << 4 != 0
    }

    /// `IPS_DST_NAT`: its destination is translated.
    #[must_use]
    pub fn destination_nat(self) -> bool {
        self.0 & 1 << 5 != 0
    }
}

/// One entry, as one message tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its tuples, and whether it is there or has gone.
    pub mapping: Mapping,
    /// `CTA_STATUS`.
    pub status: Status,
    /// `CTA_ID`, which tells apart entries that had the same tuples one after the other; 0 if the
    /// kernel doesn't say.
    pub id: u32,
}

impl Entry {
    /// Whether its packets leave with another tuple than they came with.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        self.mapping.reply != self.mapping.original.reversed()
    }
}

/// The entry that a message tells of; none if it is about something else.
pub(super) fn entry(kind: u16, payload: &[u8]) -> Option<Entry> {
    let change = match kind {
        NEW => Change::Present,
        DELETE => Change::Removed,
        _ => return None,
    };
    let (mut original, mut reply) = (None, None);
    let (mut status, mut id) = (Status::default(), 0);
    for attribute in attributes(payload.get(GENERIC_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            CTA_TUPLE_ORIG => original = tuple(value),
            CTA_TUPLE_REPLY => reply = tuple(value),
            CTA_STATUS => status = Status(be32(value).unwrap_or(0)),
            CTA_ID => id = be32(value).unwrap_or(0),
            _ => {}
        }
    }
    Some(Entry {
        mapping: Mapping {
            original: original?,
            reply: reply?,
            change,
        },
        status,
        id,
    })
}

fn tuple(bytes: &[u8]) -> Option<Tuple> {
    let (mut addresses, mut protocol) = (None, None);
    for attribute in attributes(bytes) {
        match attribute.kind() {
            CTA_TUPLE_IP => addresses = ip(attribute.value()),
            CTA_TUPLE_PROTO => protocol = transport(attribute.value()),
            _ => {}
        }
    }
    let (source, destination) = addresses?;
    let (protocol, source_port, destination_port) = protocol?;
    let end = |address: IpAddr, port| Endpoint {
        address: address.to_canonical(),
        port,
    };
    Some(Tuple {
        source: end(source, source_port),
        destination: end(destination, destination_port),
        protocol,
    })
}

fn ip(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (mut source, mut destination) = (None, None);
    for attribute in attributes(bytes) {
        let value = attribute.value();
        match attribute.kind() {
            CTA_IP_V4_SRC => source = Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
            CTA_IP_V4_DST => destination = Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
            CTA_IP_V6_SRC => source = Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
            CTA_IP_V6_DST => destination = Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
            _ => {}
        }
    }
    Some((source?, destination?))
}

/// The protocol, and the ports in the form that [`Tuple`] has them: conntrack gives ports to more
/// protocols than that (GRE's keys come as ports), and an identifier to more than echoes.
fn transport(bytes: &[u8]) -> Option<(u8, u16, u16)> {
    let mut protocol = None;
    let (mut source, mut destination) = (0, 0);
    let (mut identifier, mut kind) = (0, None);
    for attribute in attributes(bytes) {
        let value = attribute.value();
        match attribute.kind() {
            CTA_PROTO_NUM => protocol = value.first().copied(),
            CTA_PROTO_SRC_PORT => source = be16(value)?,
            CTA_PROTO_DST_PORT => destination = be16(value)?,
            CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID => identifier = be16(value)?,
            CTA_PROTO_ICMP_TYPE | CTA_PROTO_ICMPV6_TYPE => kind = value.first().copied(),
            _ => {}
        }
    }
    let protocol = protocol?;
    Some(match (protocol, kind) {
        (TCP | UDP | SCTP, _) => (protocol, source, destination),
        // Echo request and reply: RFC 792 and RFC 4443.
        (ICMP, Some(8 | 0)) | (ICMPV6, Some(128 | 129)) => (protocol, identifier, identifier),
        _ => (protocol, 0, 0),
    })
}

fn be16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::netlink::tests::attribute;

    /// `NLA_F_NESTED`.
    const NESTED: u16 = 0x8000;

    pub(in crate::evidence::conntrack) fn of(text: &str, protocol: u8) -> Tuple {
        let (source, destination) = text.split_once(" > ").unwrap();
        let end = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
        Tuple {
            source: end(source),
            destination: end(destination),
            protocol,
        }
    }

    fn nested(tuple: &Tuple, ports: &[Vec<u8>]) -> Vec<u8> {
        let address = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let (source, destination) = match tuple.source.address {
            IpAddr::V4(_) => (CTA_IP_V4_SRC, CTA_IP_V4_DST),
            IpAddr::V6(_) => (CTA_IP_V6_SRC, CTA_IP_V6_DST),
        };
        let ip = [
            attribute(source, &address(tuple.source.address)),
            attribute(destination, &address(tuple.destination.address)),
        ]
        .concat();
        let transport = [&[attribute(CTA_PROTO_NUM, &[tuple.protocol])], ports].concat();
        [
            attribute(CTA_TUPLE_IP | NESTED, &ip),
            attribute(CTA_TUPLE_PROTO | NESTED, &transport.concat()),
        ]
        .concat()
    }

    fn with_ports(tuple: &Tuple) -> Vec<u8> {
        nested(
            tuple,
            &[
                attribute(CTA_PROTO_SRC_PORT, &tuple.source.port.to_be_bytes()),
                attribute(CTA_PROTO_DST_PORT, &tuple.destination.port.to_be_bytes()),
            ],
        )
    }

    /// A message's payload about an entry with these two tuples.
    pub(in crate::evidence::conntrack) fn message(
        original: &Tuple,
        reply: &Tuple,
        id: u32,
    ) -> Vec<u8> {
        [
            ANY_FAMILY.to_vec(),
            attribute(CTA_TUPLE_ORIG | NESTED, &with_ports(original)),
            attribute(CTA_TUPLE_REPLY | NESTED, &with_ports(reply)),
            attribute(CTA_ID, &id.to_be_bytes()),
            attribute(CTA_STATUS, &0x19a_u32.to_be_bytes()),
        ]
        .concat()
    }

    #[test]
    fn a_masqueraded_connection_has_both_its_tuples() {
        let original = of("10.88.0.2:41022 > 192.0.2.9:443", TCP);
        let reply = of("192.0.2.9:443 > 192.0.2.1:41022", TCP);
        let entry = entry(NEW, &message(&original, &reply, 7)).unwrap();
        let change = Change::Present;
        assert_eq!(
            entry.mapping,
            Mapping {
                original,
                reply,
                change
            }
        );
        assert!(entry.is_translated());
        assert_eq!(entry.id, 7);
        let status = entry.status;
        assert!(status.seen_reply() && !status.assured());
        assert!(status.source_nat() && !status.destination_nat());
    }

    #[test]
    fn an_ipv6_connection_that_nobody_translates_is_its_own_reverse() {
        let original = of("[2001:db8::1]:1 > [2001:db8::2]:2", UDP);
        let message = message(&original, &original.reversed(), 0);
        assert!(!entry(NEW, &message).unwrap().is_translated());
    }

    #[test]
    fn a_delete_tells_that_it_has_gone_and_other_messages_tell_nothing() {
        let original = of("10.88.0.2:41022 > 192.0.2.9:443", TCP);
        let message = message(&original, &original.reversed(), 0);
        let removed = entry(DELETE, &message).unwrap().mapping.change;
        assert_eq!(removed, Change::Removed);
        assert_eq!(entry(GET, &message), None);
        assert_eq!(entry(2, &message), None);
    }

    #[test]
    fn an_echo_has_its_identifier_in_both_ports_and_other_icmp_has_none() {
        let ends = of("10.88.0.2:0 > 192.0.2.9:0", ICMP);
        let icmp = |kind: u8| {
            let ports = [
                attribute(CTA_PROTO_ICMP_ID, &77_u16.to_be_bytes()),
                attribute(CTA_PROTO_ICMP_TYPE, &[kind]),
            ];
            tuple(&nested(&ends, &ports)).unwrap()
        };
        assert_eq!(icmp(8), of("10.88.0.2:77 > 192.0.2.9:77", ICMP));
        assert_eq!(icmp(13), ends);
    }

    #[test]
    fn keys_that_come_as_ports_are_no_ports() {
        let gre = of("10.88.0.2:5 > 192.0.2.9:6", 47);
        let read = tuple(&with_ports(&gre)).unwrap();
        assert_eq!(read, of("10.88.0.2:0 > 192.0.2.9:0", 47));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(kind in prop_oneof![Just(NEW), Just(DELETE)], bytes: Vec<u8>) {
            let _ = entry(kind, &bytes);
        }

        #[test]
        fn a_message_with_a_byte_changed_or_cut_off_does_not_make_it_panic(
            at in 0..200usize, value: u8, len in 0..200usize,
        ) {
            let original = of("10.88.0.2:41022 > 192.0.2.9:443", TCP);
            let mut message = message(&original, &original.reversed(), 0);
            if let Some(byte) = message.get_mut(at) {
                *byte = value;
            }
            message.truncate(len);
            let _ = entry(NEW, &message);
        }
    }
}
