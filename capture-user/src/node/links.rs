//! Interfaces with their counters, what a VXLAN is about, and addresses.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_ROUTE;
use serde::Serialize;

use super::ask::{Asker, be16, flags, ip, ne64, text};
use crate::netlink::{attributes, u32_at};
use crate::target::links::decode;

// include/uapi/linux: rtnetlink.h, if_link.h, if_addr.h.
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const IFINFOMSG_LEN: usize = 16;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_GROUP: u16 = 2;
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_GROUP6: u16 = 16;
const IFLA_VXLAN_LOCAL6: u16 = 17;
const IFLA_VXLAN_COLLECT_METADATA: u16 = 25;
const IFADDRMSG_LEN: usize = 8;
const IFA_FLAGS: u16 = 8;

/// The counters of `struct rtnl_link_stats64`, in its order, by its names. A kernel that has more
/// appends them.
pub const COUNTERS: [&str; 25] = [
    "rx_packets",
    "tx_packets",
    "rx_bytes",
    "tx_bytes",
    "rx_errors",
    "tx_errors",
    "rx_dropped",
    "tx_dropped",
    "multicast",
    "collisions",
    "rx_length_errors",
    "rx_over_errors",
    "rx_crc_errors",
    "rx_frame_errors",
    "rx_fifo_errors",
    "rx_missed_errors",
    "tx_aborted_errors",
    "tx_carrier_errors",
    "tx_fifo_errors",
    "tx_heartbeat_errors",
    "tx_window_errors",
    "rx_compressed",
    "tx_compressed",
    "rx_nohandler",
    "rx_otherhost_dropped",
];

/// Names of `operstate` (include/uapi/linux/if.h), as `ip` and sysfs have them.
const OPERSTATES: [&str; 7] = [
    "unknown",
    "notpresent",
    "down",
    "lowerlayerdown",
    "testing",
    "dormant",
    "up",
];

/// What is counted at an interface since it was made, by [`COUNTERS`].
pub type Statistics = BTreeMap<&'static str, u64>;

/// What a VXLAN is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Vxlan {
    /// Its network's identifier; none where each packet brings its own (`external`).
    pub vni: Option<u32>,
    /// The UDP port that it sends to.
    pub port: Option<u16>,
    /// The address that it sends from, if one is set.
    pub local: Option<IpAddr>,
    /// Where it sends what it has learned no place for: a peer, or a multicast group.
    pub group: Option<IpAddr>,
    /// The index of the interface that it is bound to.
    pub link: Option<u32>,
}

/// A link, with what [`crate::target::links::Link`] leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its index.
    pub index: u32,
    /// Its name. Print it through [`crate::target::name::printable`].
    pub name: String,
    /// Its operational state (RFC 2863).
    pub operstate: &'static str,
    /// What is counted there.
    pub statistics: Statistics,
    /// For a VXLAN.
    pub vxlan: Option<Vxlan>,
    /// The link itself.
    pub link: crate::target::links::Link,
}

/// All links.
///
/// # Errors
///
/// When the kernel refuses a socket or an answer.
pub fn links() -> io::Result<Vec<Facts>> {
    let request = [0; IFINFOMSG_LEN];
    Asker::open(NETLINK_ROUTE)?.dump(RTM_GETLINK, &request, facts)
}

fn facts(message: &[u8]) -> Option<Facts> {
    let link = decode::link(message)?;
    let mut facts = Facts {
        index: link.index,
        name: link.name.clone(),
        operstate: OPERSTATES[0],
        statistics: Statistics::new(),
        vxlan: None,
        link,
    };
    for attribute in attributes(message.get(IFINFOMSG_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            IFLA_OPERSTATE => {
                let state = value.first().copied().unwrap_or_default();
                facts.operstate = OPERSTATES.get(usize::from(state)).unwrap_or(&OPERSTATES[0]);
            }
            IFLA_STATS64 => {
                let numbers = value.chunks_exact(8).filter_map(ne64);
                facts.statistics = COUNTERS.into_iter().zip(numbers).collect();
            }
            IFLA_LINKINFO => facts.vxlan = vxlan(value),
            _ => {}
        }
    }
    Some(facts)
}

fn vxlan(info: &[u8]) -> Option<Vxlan> {
    let part = |kind| attributes(info).find(|part| part.kind() == kind);
    if text(part(IFLA_INFO_KIND)?.value()) != "vxlan" {
        return None;
    }
    let mut vxlan = Vxlan::default();
    let mut external = false;
    let is_set = |address: &IpAddr| !address.is_unspecified();
    for attribute in attributes(part(IFLA_INFO_DATA)?.value()) {
        let value = attribute.value();
        match attribute.kind() {
            IFLA_VXLAN_ID => vxlan.vni = u32_at(value, 0),
            IFLA_VXLAN_GROUP | IFLA_VXLAN_GROUP6 => vxlan.group = ip(value).filter(is_set),
            IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => vxlan.local = ip(value).filter(is_set),
            IFLA_VXLAN_LINK => vxlan.link = u32_at(value, 0).filter(|index| *index != 0),
            IFLA_VXLAN_PORT => vxlan.port = be16(value),
            IFLA_VXLAN_COLLECT_METADATA => external = value.first() == Some(&1),
            _ => {}
        }
    }
    if external {
        vxlan.vni = None;
    }
    Some(vxlan)
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The interface's index.
    #[serde(skip)]
    pub index: u32,
    /// With the length of its prefix.
    pub address: ipnet::IpNet,
    /// How far it reaches.
    pub scope: String,
    /// What else is said of it: `IFA_F_*` by name.
    pub flags: Vec<&'static str>,
}

const ADDRESS_FLAGS: [(u32, &str); 8] = [
    (0x01, "secondary"),
    (0x02, "nodad"),
    (0x08, "dadfailed"),
    (0x20, "deprecated"),
    (0x40, "tentative"),
    (0x80, "permanent"),
    (0x100, "mngtmpaddr"),
    (0x200, "noprefixroute"),
];

/// All addresses.
///
/// # Errors
///
/// As [`links`].
pub fn addresses() -> io::Result<Vec<Address>> {
    let request = [0; IFADDRMSG_LEN];
    Asker::open(NETLINK_ROUTE)?.dump(RTM_GETADDR, &request, address)
}

fn address(message: &[u8]) -> Option<Address> {
    let (index, address) = decode::address(message)?;
    let more = attributes(message.get(IFADDRMSG_LEN..)?)
        .find(|attribute| attribute.kind() == IFA_FLAGS)
        .and_then(|attribute| u32_at(attribute.value(), 0));
    let bits = more.unwrap_or_else(|| message[2].into());
    Some(Address {
        index,
        address,
        scope: super::routing::scope(message[3]),
        flags: flags(bits, &ADDRESS_FLAGS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    fn message(attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut message = vec![0; IFINFOMSG_LEN];
        message[2] = 1;
        message[4] = 7;
        message.extend(attributes.concat());
        message
    }

    #[test]
    fn counters_have_the_kernel_s_names_and_order() {
        let numbers: Vec<u8> = (0..25_u64).flat_map(u64::to_ne_bytes).collect();
        let told = facts(&message(&[
            attribute(IFLA_STATS64, &numbers),
            attribute(IFLA_OPERSTATE, &[6]),
        ]));
        let told = told.expect("a link");
        assert_eq!(told.operstate, "up");
        assert_eq!(told.statistics["rx_packets"], 0);
        assert_eq!(told.statistics["tx_dropped"], 7);
        assert_eq!(told.statistics["rx_otherhost_dropped"], 24);
        // An older kernel's are fewer.
        let told = facts(&message(&[attribute(IFLA_STATS64, &numbers[..8 * 23])]));
        assert_eq!(told.expect("a link").statistics.len(), 23);
    }

    #[test]
    fn a_vxlan_tells_its_network_and_its_peer() {
        let data = [
            attribute(IFLA_VXLAN_ID, &42_u32.to_ne_bytes()),
            attribute(IFLA_VXLAN_GROUP, &[192, 0, 2, 9]),
            attribute(IFLA_VXLAN_LOCAL, &[0; 4]),
            attribute(IFLA_VXLAN_LINK, &3_u32.to_ne_bytes()),
            attribute(IFLA_VXLAN_PORT, &4789_u16.to_be_bytes()),
        ];
        let info = [
            attribute(IFLA_INFO_KIND, b"vxlan\0"),
            attribute(IFLA_INFO_DATA, &data.concat()),
        ];
        let told = facts(&message(&[attribute(IFLA_LINKINFO, &info.concat())]));
        let expected = Vxlan {
            vni: Some(42),
            port: Some(4789),
            local: None,
            group: Some("192.0.2.9".parse().expect("an address")),
            link: Some(3),
        };
        assert_eq!(told.expect("a link").vxlan, Some(expected));
        let veth = attribute(IFLA_LINKINFO, &attribute(IFLA_INFO_KIND, b"veth\0"));
        assert_eq!(facts(&message(&[veth])).expect("a link").vxlan, None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (facts(&bytes), address(&bytes));
        }
    }
}
