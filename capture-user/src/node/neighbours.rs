//! Who answers at which MAC address, and where a bridge or a VXLAN sends frames for it.

use std::io;
use std::net::IpAddr;

use netlink_sys::protocols::NETLINK_ROUTE;
use serde::{Serialize, Serializer};

use super::ask::{Asker, be16, flags, ip};
use crate::netlink::{attributes, u16_at, u32_at};
use crate::target::links::Mac;

// include/uapi/linux: rtnetlink.h, neighbour.h.
const RTM_GETNEIGH: u16 = 30;
const NDMSG_LEN: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_VLAN: u16 = 5;
const NDA_PORT: u16 = 6;
const NDA_VNI: u16 = 7;
const NDA_MASTER: u16 = 9;
const NTF_PROXY: u8 = 0x08;
const NUD_PERMANENT: u16 = 0x80;

const STATES: [(u32, &str); 8] = [
    (0x01, "incomplete"),
    (0x02, "reachable"),
    (0x04, "stale"),
    (0x08, "delay"),
    (0x10, "probe"),
    (0x20, "failed"),
    (0x40, "noarp"),
    (0x80, "permanent"),
];
const FLAGS: [(u32, &str); 6] = [
    (0x02, "self"),
    (0x04, "master"),
    (0x10, "extern_learn"),
    (0x20, "offload"),
    (0x40, "sticky"),
    (0x80, "router"),
];

/// A neighbour: `ip neigh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// The index of the interface that it is reached through.
    #[serde(skip)]
    pub index: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address, once it is known.
    #[serde(serialize_with = "bytes")]
    pub mac: Option<Vec<u8>>,
    /// `NUD_*` by name.
    pub state: &'static str,
    /// `NTF_*` by name.
    pub flags: Vec<&'static str>,
}

/// An entry of a forwarding database: `bridge fdb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forwarding {
    /// The index of the bridge's port, or of the VXLAN.
    #[serde(skip)]
    pub index: u32,
    /// The MAC address; all zeros in a VXLAN: for all that no place is known of.
    #[serde(serialize_with = "bytes")]
    pub mac: Option<Vec<u8>>,
    /// The bridge's index; none for an entry of the device itself.
    pub master: Option<u32>,
    /// The VLAN that it is in.
    pub vlan: Option<u16>,
    /// The peer that a VXLAN sends it to.
    pub peer: Option<IpAddr>,
    /// The peer's port, where it is another than the VXLAN's.
    pub port: Option<u16>,
    /// The peer's network, where it is another than the VXLAN's.
    pub vni: Option<u32>,
    /// Whether it was learned from a frame, or else set.
    pub learned: bool,
    /// `NTF_*` by name.
    pub flags: Vec<&'static str>,
}

/// A link-layer address as people write it.
#[must_use]
pub fn link_layer(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

fn bytes<S: Serializer>(value: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().map(link_layer).serialize(serializer)
}

impl Forwarding {
    /// Whether the entry is one that the kernel makes for an address of the device itself, or a
    /// group that it listens to: nobody is behind those.
    #[must_use]
    pub fn is_own(&self) -> bool {
        !self.learned && self.peer.is_none()
    }

    /// Whether it is of no forwarding database at all: the kernel tells the addresses that each
    /// device receives along with them.
    #[must_use]
    pub fn is_of_no_table(&self) -> bool {
        self.is_own() && self.master.is_none()
    }

    /// The MAC address, where it is one.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.mac.as_deref()?.try_into().ok().map(Mac)
    }
}

/// All neighbours, IPv4 and IPv6.
///
/// # Errors
///
/// When the kernel refuses a socket or an answer.
pub fn neighbours() -> io::Result<Vec<Neighbour>> {
    let asker = Asker::open(NETLINK_ROUTE)?;
    let mut all = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        all.extend(asker.dump(RTM_GETNEIGH, &request(family), neighbour)?);
    }
    Ok(all)
}

/// The forwarding databases of all bridges and VXLANs; nothing where there is no bridge code.
///
/// # Errors
///
/// As [`neighbours`].
pub fn forwarding() -> io::Result<Vec<Forwarding>> {
    let asker = Asker::open(NETLINK_ROUTE)?;
    asker.dump(RTM_GETNEIGH, &request(libc::AF_BRIDGE), entry)
}

/// `struct ndmsg`.
fn request(family: i32) -> [u8; NDMSG_LEN] {
    let mut request = [0; NDMSG_LEN];
    request[0] = u8::try_from(family).unwrap_or_default();
    request
}

fn neighbour(message: &[u8]) -> Option<Neighbour> {
    let index = u32_at(message, 4)?;
    let state = u16_at(message, 8)?;
    let flag_bits = *message.get(10)?;
    let (mut address, mut mac) = (None, None);
    for attribute in attributes(message.get(NDMSG_LEN..)?) {
        match attribute.kind() {
            NDA_DST => address = ip(attribute.value()),
            NDA_LLADDR => mac = Some(attribute.value().to_vec()),
            _ => {}
        }
    }
    if flag_bits & NTF_PROXY != 0 {
        return None;
    }
    Some(Neighbour {
        index,
        address: address?,
        mac: mac.filter(|mac| !mac.is_empty()),
        state: flags(state.into(), &STATES).first().unwrap_or(&"none"),
        flags: flags(flag_bits.into(), &FLAGS),
    })
}

fn entry(message: &[u8]) -> Option<Forwarding> {
    if i32::from(*message.first()?) != libc::AF_BRIDGE {
        return None;
    }
    let state = u16_at(message, 8)?;
    let mut entry = Forwarding {
        index: u32_at(message, 4)?,
        mac: None,
        master: None,
        vlan: None,
        peer: None,
        port: None,
        vni: None,
        // What the kernel makes itself, for a group that is listened to too, is permanent; what
        // somebody sets is `noarp` (static) or permanent.
        learned: state & (NUD_PERMANENT | 0x40) == 0,
        flags: flags((*message.get(10)?).into(), &FLAGS),
    };
    for attribute in attributes(message.get(NDMSG_LEN..)?) {
        let value = attribute.value();
        match attribute.kind() {
            NDA_LLADDR => entry.mac = Some(value.to_vec()),
            NDA_DST => entry.peer = ip(value),
            NDA_VLAN => entry.vlan = u16_at(value, 0),
            NDA_PORT => entry.port = be16(value),
            NDA_VNI => entry.vni = u32_at(value, 0),
            NDA_MASTER => entry.master = u32_at(value, 0),
            _ => {}
        }
    }
    entry.mac.is_some().then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    fn message(family: i32, state: u16, flags: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut message = vec![u8::try_from(family).expect("a byte"), 0, 0, 0, 9, 0, 0, 0];
        message.extend(state.to_ne_bytes());
        message.extend([flags, 1]);
        message.extend(attributes.concat());
        message
    }

    #[test]
    fn a_neighbour_has_an_address_a_mac_and_a_state() {
        let told = neighbour(&message(
            libc::AF_INET,
            2,
            0x80,
            &[
                attribute(NDA_DST, &[192, 0, 2, 9]),
                attribute(NDA_LLADDR, &[2, 0, 0, 0, 0, 9]),
            ],
        ));
        let told = told.expect("a neighbour");
        let json = serde_json::to_value(&told).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({"address": "192.0.2.9", "mac": "02:00:00:00:00:09",
                "state": "reachable", "flags": ["router"]})
        );
        // One that doesn't answer.
        let silent = neighbour(&message(
            libc::AF_INET,
            0x20,
            0,
            &[attribute(NDA_DST, &[192, 0, 2, 8])],
        ));
        let silent = silent.expect("a neighbour");
        assert_eq!((silent.mac, silent.state), (None, "failed"));
    }

    #[test]
    fn what_a_port_learned_and_where_a_vxlan_sends_is_told_apart_from_its_own() {
        let mac = attribute(NDA_LLADDR, &[2, 0, 0, 0, 0, 9]);
        let master = attribute(NDA_MASTER, &4_u32.to_ne_bytes());
        let learned = entry(&message(libc::AF_BRIDGE, 2, 4, &[mac.clone(), master]));
        let learned = learned.expect("an entry");
        assert_eq!((learned.master, learned.learned), (Some(4), true));
        assert!(!learned.is_own());
        let own = entry(&message(
            libc::AF_BRIDGE,
            0x80,
            2,
            std::slice::from_ref(&mac),
        ));
        assert!(own.expect("an entry").is_own());
        let peer = [
            attribute(NDA_LLADDR, &[0; 6]),
            attribute(NDA_DST, &[192, 0, 2, 9]),
        ];
        let peer = entry(&message(libc::AF_BRIDGE, 0x80, 2, &peer)).expect("an entry");
        assert!(!peer.is_own());
        assert_eq!(peer.peer, Some("192.0.2.9".parse().expect("an address")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (neighbour(&bytes), entry(&bytes));
        }
    }
}
