//! The kernel's rtnetlink messages, taken apart. Numbers are those of include/uapi/linux:
//! rtnetlink.h, if_link.h and if_addr.h.

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Device, Framing, Link, Mac, Peer};
use crate::target::{
    name,
    netlink::{attributes, u16_at, u32_at},
};

pub(in crate::target) const RTM_NEWLINK: u16 = 16;
pub(in crate::target) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_GETLINK: u16 = 18;
pub(super) const RTM_GETADDR: u16 = 22;
pub(super) const RTM_GETROUTE: u16 = 26;

const IFINFOMSG_LEN: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_WIRELESS: u16 = 11;
const IFLA_LINKINFO: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_PARENT_DEV_NAME: u16 = 56;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

const IFADDRMSG_LEN: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_TARGET_NETNSID: u16 = 10;

const RTMSG_LEN: usize = 12;
const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;
const RTN_UNICAST: u8 = 1;
const RTM_F_CLONED: u32 = 0x200;

/// The body of a request for all routes: any family, any table.
pub(super) const ROUTE_REQUEST: [u8; RTMSG_LEN] = [0; RTMSG_LEN];

/// The body of a request for all links of this namespace, or of the one with that number, without
/// their counters.
pub(super) fn link_request(netns: Option<i32>) -> Vec<u8> {
    let mut request = vec![0; IFINFOMSG_LEN];
    put(&mut request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    if let Some(id) = netns {
        put(&mut request, IFLA_TARGET_NETNSID, id.cast_unsigned());
    }
    request
}

/// The body of a request for all addresses, of any family, of this namespace or of the one with
/// that number. The kernel heeds the number only when it reads the request strictly.
pub(super) fn address_request(netns: Option<i32>) -> Vec<u8> {
    let mut request = vec![0; IFADDRMSG_LEN];
    if let Some(id) = netns {
        put(&mut request, IFA_TARGET_NETNSID, id.cast_unsigned());
    }
    request
}

/// Appends an attribute.
fn put(request: &mut Vec<u8>, kind: u16, value: u32) {
    request.extend(8_u16.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value.to_ne_bytes());
}

/// The link that an `RTM_NEWLINK` or `RTM_DELLINK` tells of, without addresses and routes.
///
/// None for a message that is not about a link as such: the ones of family `AF_BRIDGE` tell of a
/// bridge's port (its `RTM_DELLINK` says that a port left the bridge, while the link lives on),
/// and a wireless driver's scan events carry a link's name and nothing else of it.
#[must_use]
pub fn link(message: &[u8]) -> Option<Link> {
    let family = *message.first()?;
    let arphrd = u16_at(message, 2)?;
    let index = u32_at(message, 4)?;
    let flags = u32_at(message, 8)?.cast_signed();
    let attributes_of = message.get(IFINFOMSG_LEN..)?;
    if i32::from(family) != libc::AF_UNSPEC {
        return None;
    }
    let mut link = Link {
        index,
        name: String::new(),
        altnames: Vec::new(),
        device: Device::Unnamed,
        bridge_port: false,
        default_route: false,
        up: flags & libc::IFF_UP != 0,
        running: flags & libc::IFF_RUNNING != 0,
        mtu: 0,
        mac: None,
        addresses: Vec::new(),
        master: None,
        peer: None,
        lower: None,
        framing: arphrd.into(),
    };
    let mut info = Info::default();
    let mut hardware = false;
    let (mut other_end, mut netns_id) = (None, None);
    for attribute in attributes(attributes_of) {
        let value = attribute.value();
        match attribute.kind() {
            IFLA_WIRELESS => return None,
            IFLA_IFNAME => link.name = name::from_kernel(value),
            IFLA_MTU => link.mtu = u32_at(value, 0).unwrap_or(0),
            IFLA_ADDRESS if link.framing == Framing::Ethernet => {
                link.mac = value.try_into().ok().map(Mac);
            }
            IFLA_MASTER => link.master = u32_at(value, 0).filter(|&index| index != 0),
            IFLA_LINK => other_end = u32_at(value, 0).filter(|&index| index != 0),
            IFLA_LINK_NETNSID => netns_id = u32_at(value, 0).map(u32::cast_signed),
            IFLA_LINKINFO => info = Info::read(value),
            IFLA_PARENT_DEV_NAME => hardware = true,
            IFLA_PROP_LIST => {
                link.altnames = attributes(value)
                    .filter(|property| property.kind() == IFLA_ALT_IFNAME)
                    .map(|property| name::from_kernel(property.value()))
                    .collect();
            }
            _ => {}
        }
    }
    link.bridge_port = info.master_kind.as_deref() == Some("bridge");
    link.device = device(info.kind, arphrd, hardware);
    let other_end = other_end.map(|index| Peer { index, netns_id });
    match link.device {
        Device::Veth | Device::Netkit => link.peer = other_end,
        _ => link.lower = other_end,
    }
    Some(link)
}

/// What `IFLA_LINKINFO` says.
#[derive(Default)]
struct Info {
    kind: Option<String>,
    master_kind: Option<String>,
}

impl Info {
    fn read(bytes: &[u8]) -> Self {
        let mut info = Self::default();
        for attribute in attributes(bytes) {
            match attribute.kind() {
                IFLA_INFO_KIND => info.kind = Some(name::from_kernel(attribute.value())),
                IFLA_INFO_SLAVE_KIND => {
                    info.master_kind = Some(name::from_kernel(attribute.value()));
                }
                _ => {}
            }
        }
        info
    }
}

fn device(kind: Option<String>, arphrd: u16, hardware: bool) -> Device {
    let Some(kind) = kind else {
        return match arphrd {
            libc::ARPHRD_LOOPBACK => Device::Loopback,
            _ if hardware => Device::Physical,
            _ => Device::Unnamed,
        };
    };
    match kind.as_str() {
        "veth" => Device::Veth,
        "netkit" => Device::Netkit,
        "bridge" => Device::Bridge,
        "bond" => Device::Bond,
        "vlan" => Device::Vlan,
        "macvlan" => Device::Macvlan,
        "ipvlan" => Device::Ipvlan,
        "vxlan" => Device::Vxlan,
        "geneve" => Device::Geneve,
        "wireguard" => Device::Wireguard,
        "tun" if arphrd == libc::ARPHRD_ETHER => Device::Tap,
        "tun" => Device::Tun,
        _ => Device::Other(kind),
    }
}

/// The link and the address on it that an `RTM_NEWADDR` tells of.
#[must_use]
pub fn address(message: &[u8]) -> Option<(u32, IpNet)> {
    let prefix_len = *message.get(1)?;
    let index = u32_at(message, 4)?;
    let (mut own, mut shown) = (None, None);
    for attribute in attributes(message.get(IFADDRMSG_LEN..)?) {
        match attribute.kind() {
            IFA_LOCAL => own = ip(attribute.value()),
            IFA_ADDRESS => shown = ip(attribute.value()),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end's.
    Some((index, IpNet::new(own.or(shown)?, prefix_len).ok()?))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// The links that a default route leaves through, if an `RTM_NEWROUTE` tells of one.
#[must_use]
pub fn default_route(message: &[u8]) -> Vec<u32> {
    default_route_links(message).unwrap_or_default()
}

fn default_route_links(message: &[u8]) -> Option<Vec<u32>> {
    let family = i32::from(*message.first()?);
    let prefix_len = *message.get(1)?;
    let kind = *message.get(7)?;
    let flags = u32_at(message, 8)?;
    if !matches!(family, libc::AF_INET | libc::AF_INET6)
        || prefix_len != 0
        || kind != RTN_UNICAST
        || flags & RTM_F_CLONED != 0
    {
        return None;
    }
    let mut links = Vec::new();
    for attribute in attributes(message.get(RTMSG_LEN..)?) {
        match attribute.kind() {
            RTA_OIF => links.extend(u32_at(attribute.value(), 0)),
            RTA_MULTIPATH => links.extend(next_hops(attribute.value())),
            _ => {}
        }
    }
    Some(links)
}

/// The link of each `struct rtnexthop`: its length, two bytes, the index, attributes.
fn next_hops(mut bytes: &[u8]) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?).max(8);
        let index = u32_at(bytes, 4)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::tests::attribute;
    use proptest::prelude::*;

    fn link_message(family: u8, arphrd: u16, flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut message = vec![family, 0];
        message.extend(arphrd.to_ne_bytes());
        message.extend(7_u32.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(attributes.concat());
        message
    }

    fn info(kind: &str) -> Vec<u8> {
        attribute(IFLA_LINKINFO, &attribute(IFLA_INFO_KIND, kind.as_bytes()))
    }

    #[test]
    fn a_veth_tells_of_its_bridge_and_of_its_peer_in_another_namespace() {
        let details = [
            attribute(IFLA_INFO_KIND, b"veth\0"),
            attribute(IFLA_INFO_SLAVE_KIND, b"bridge\0"),
        ]
        .concat();
        let message = link_message(
            0,
            1,
            0x41,
            &[
                attribute(IFLA_IFNAME, b"veth0\0"),
                attribute(IFLA_MTU, &1450_u32.to_ne_bytes()),
                attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]),
                attribute(IFLA_MASTER, &3_u32.to_ne_bytes()),
                attribute(IFLA_LINK, &2_u32.to_ne_bytes()),
                attribute(IFLA_LINK_NETNSID, &5_i32.to_ne_bytes()),
                attribute(IFLA_LINKINFO, &details),
                attribute(
                    IFLA_PROP_LIST | 0x8000,
                    &attribute(IFLA_ALT_IFNAME, b"pod-a\0"),
                ),
            ],
        );
        let link = link(&message).expect("a link");
        assert_eq!(
            (link.index, link.name.as_str(), link.mtu),
            (7, "veth0", 1450)
        );
        assert_eq!((link.up, link.running), (true, true));
        assert_eq!(link.mac, Some(Mac([2, 0, 0, 0, 0, 1])));
        assert_eq!((link.master, link.bridge_port), (Some(3), true));
        assert_eq!(
            link.peer,
            Some(Peer {
                index: 2,
                netns_id: Some(5)
            })
        );
        assert_eq!(link.lower, None);
        assert_eq!(link.altnames, ["pod-a"]);
        assert_eq!(link.device, Device::Veth);
    }

    #[test]
    fn what_a_vlan_sits_on_is_not_its_peer() {
        let message = link_message(
            0,
            1,
            0,
            &[attribute(IFLA_LINK, &2_u32.to_ne_bytes()), info("vlan")],
        );
        let link = link(&message).expect("a link");
        assert_eq!(link.peer, None);
        assert_eq!(
            link.lower,
            Some(Peer {
                index: 2,
                netns_id: None
            })
        );
    }

    #[test]
    fn tun_and_tap_are_told_apart_by_their_framing() {
        let tun = link_message(0, libc::ARPHRD_NONE, 0, &[info("tun")]);
        assert_eq!(link(&tun).expect("a link").device, Device::Tun);
        let tap = link_message(0, libc::ARPHRD_ETHER, 0, &[info("tun")]);
        assert_eq!(link(&tap).expect("a link").device, Device::Tap);
    }

    #[test]
    fn a_tunnels_endpoint_address_is_no_mac() {
        let message = link_message(
            0,
            libc::ARPHRD_TUNNEL6,
            0,
            &[attribute(IFLA_ADDRESS, &[0; 6])],
        );
        assert_eq!(link(&message).expect("a link").mac, None);
    }

    #[test]
    fn a_bridges_news_of_a_port_is_no_news_of_the_link() {
        let port = [attribute(IFLA_IFNAME, b"veth0\0")];
        let bridge_family = u8::try_from(libc::AF_BRIDGE).expect("a byte");
        assert_eq!(link(&link_message(bridge_family, 1, 0, &port)), None);
    }

    #[test]
    fn a_wireless_scan_event_is_no_news_of_the_link() {
        let scan = [
            attribute(IFLA_IFNAME, b"wlan0\0"),
            attribute(IFLA_WIRELESS, b""),
        ];
        assert_eq!(link(&link_message(0, 1, 0, &scan)), None);
    }

    #[test]
    fn an_address_is_the_own_one_on_a_point_to_point_link() {
        let mut message = vec![2, 32, 0, 0];
        message.extend(9_u32.to_ne_bytes());
        message.extend(attribute(IFA_ADDRESS, &[192, 0, 2, 2]));
        message.extend(attribute(IFA_LOCAL, &[192, 0, 2, 1]));
        let own = "192.0.2.1/32".parse().expect("a prefix");
        assert_eq!(address(&message), Some((9, own)));
    }

    fn route_message(prefix_len: u8, kind: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut message = vec![2, prefix_len, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0];
        message.extend(attributes.concat());
        message
    }

    #[test]
    fn only_a_default_route_makes_an_uplink() {
        let out = [attribute(RTA_OIF, &4_u32.to_ne_bytes())];
        assert_eq!(default_route(&route_message(0, RTN_UNICAST, &out)), [4]);
        assert!(default_route(&route_message(8, RTN_UNICAST, &out)).is_empty());
        let unreachable = 7;
        assert!(default_route(&route_message(0, unreachable, &out)).is_empty());
    }

    #[test]
    fn every_next_hop_of_a_multipath_default_route_is_an_uplink() {
        let gateway = attribute(5, &[192, 0, 2, 1]);
        let hop = |index: u32| {
            let mut hop = vec![16, 0, 0, 0];
            hop.extend(index.to_ne_bytes());
            hop.extend(&gateway);
            hop
        };
        let paths = attribute(RTA_MULTIPATH, &[hop(4), hop(6)].concat());
        assert_eq!(
            default_route(&route_message(0, RTN_UNICAST, &[paths])),
            [4, 6]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_loop(bytes: Vec<u8>) {
            let _ = (link(&bytes), address(&bytes), default_route(&bytes));
            let hops = next_hops(&bytes).count();
            prop_assert!(hops <= bytes.len());
        }
    }
}
