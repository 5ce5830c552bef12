//! What is known of one link.

use std::fmt::{self, Display, Formatter};

use ipnet::IpNet;
use serde::{Serialize, Serializer};

/// A network interface of one network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its index (`ifindex`), unique in the namespace.
    pub index: u32,
    /// Its name. Print it through [`crate::target::name::printable`].
    pub name: String,
    /// Its other names (`ip link property add … altname …`).
    pub altnames: Vec<String>,
    /// What it is made of.
    pub device: Device,
    /// Whether its master is a bridge.
    pub bridge_port: bool,
    /// Whether a default route, IPv4 or IPv6 and in any table, leaves through it.
    pub default_route: bool,
    /// Whether it is administratively up (`IFF_UP`).
    pub up: bool,
    /// Whether it is operational (`IFF_RUNNING`): up and with a carrier.
    pub running: bool,
    /// The largest payload of a frame in bytes.
    pub mtu: u32,
    /// Its link-layer address, where that is a MAC address.
    pub mac: Option<Mac>,
    /// Its IP addresses, each with the length of its prefix.
    pub addresses: Vec<IpNet>,
    /// The index of the bridge, bond or VRF that it belongs to.
    pub master: Option<u32>,
    /// The other end of a pair (veth, netkit).
    pub peer: Option<Peer>,
    /// The link that it sits on (VLAN, macvlan, a tunnel bound to a device).
    pub lower: Option<Peer>,
    /// What its frames start with.
    pub framing: Framing,
}

impl Link {
    /// What it is to the node. Its part there comes before what it is made of: a veth that is a
    /// port of a bridge is a bridge port.
    #[must_use]
    pub fn kind(&self) -> LinkKind<'_> {
        match &self.device {
            // A bridge with a default route has its uplink among its ports.
            device @ (Device::Loopback | Device::Bridge) => LinkKind::Plain(device),
            _ if self.bridge_port => LinkKind::BridgePort,
            _ if self.default_route => LinkKind::Uplink,
            device => LinkKind::Plain(device),
        }
    }

    /// Whether the text is its name or one of its other names.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.altnames.iter().any(|other| other == name)
    }

    /// Whether it is up or not, as it is shown: `up`, `no-carrier` (up but not operational),
    /// `down`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.up, self.running) {
            (true, true) => "up",
            (true, false) => "no-carrier",
            (false, _) => "down",
        }
    }
}

/// A link as seen from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Its index, in the namespace that it is in.
    pub index: u32,
    /// That namespace's id as this namespace knows it (`IFLA_LINK_NETNSID`, as in
    /// `ip netns list-id`); none if it is this namespace.
    pub netns_id: Option<i32>,
}

impl Display for Peer {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "#{}", self.index)?;
        match self.netns_id {
            Some(id) => write!(out, " in netns {id}"),
            None => Ok(()),
        }
    }
}

/// A link's part in the node, or what it is made of if it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind<'a> {
    /// A bridge's port.
    BridgePort,
    /// The way out: it has a default route.
    Uplink,
    /// Neither.
    Plain(&'a Device),
}

impl<'a> LinkKind<'a> {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'a str {
        match self {
            Self::BridgePort => "bridge port",
            Self::Uplink => "uplink",
            Self::Plain(device) => device.name(),
        }
    }
}

/// What a link is made of: its `IFLA_INFO_KIND`, as far as the kernel names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// The namespace's loopback.
    Loopback,
    /// Hardware, also a virtual machine's.
    Physical,
    /// One end of a pair; the other is often in a container.
    Veth,
    /// The same, made for eBPF.
    Netkit,
    /// A switch in software.
    Bridge,
    /// Several links as one.
    Bond,
    /// One VLAN of another link.
    Vlan,
    /// A link with a MAC address of its own on top of another.
    Macvlan,
    /// A link with an IP address of its own on top of another.
    Ipvlan,
    /// Ethernet over UDP, RFC 7348.
    Vxlan,
    /// Ethernet over UDP, RFC 8926.
    Geneve,
    /// A program's end, with IP packets.
    Tun,
    /// A program's end, with Ethernet frames.
    Tap,
    /// WireGuard.
    Wireguard,
    /// Any other kind, by the kernel's name for it: `gre`, `ipip`, `sit`, `ifb`…
    Other(String),
    /// The kernel names no kind, nor hardware.
    Unnamed,
}

impl Device {
    /// Its stable name; that of most is the kernel's.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Loopback => "loopback",
            Self::Physical => "physical",
            Self::Veth => "veth",
            Self::Netkit => "netkit",
            Self::Bridge => "bridge",
            Self::Bond => "bond",
            Self::Vlan => "vlan",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Tun => "tun",
            Self::Tap => "tap",
            Self::Wireguard => "wireguard",
            Self::Other(name) => name,
            Self::Unnamed => "unknown",
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a link's frames start with at the TC hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// An Ethernet header.
    Ethernet,
    /// An IP header: there is no link header.
    Bare,
    /// Something that nodecap can't read, by its `ARPHRD_*` number.
    Unsupported(u16),
}

impl Framing {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "ethernet",
            Self::Bare => "bare",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

impl From<u16> for Framing {
    /// By the `ARPHRD_*` number (include/uapi/linux/if_arp.h). Bare are those for which the kernel
    /// itself says so (`dev_is_mac_header_xmit`, include/linux/if_arp.h).
    fn from(arphrd: u16) -> Self {
        match arphrd {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Self::Ethernet,
            libc::ARPHRD_TUNNEL
            | libc::ARPHRD_TUNNEL6
            | libc::ARPHRD_SIT
            | libc::ARPHRD_IPGRE
            | ARPHRD_IP6GRE
            | libc::ARPHRD_VOID
            | libc::ARPHRD_NONE
            | ARPHRD_RAWIP
            | libc::ARPHRD_PIMREG
            | libc::ARPHRD_PPP => Self::Bare,
            other => Self::Unsupported(other),
        }
    }
}

const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_IP6GRE: u16 = 823;

impl Serialize for Framing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A MAC address; shown as `02:42:ac:11:00:02`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Display for Mac {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veth() -> Link {
        Link {
            index: 4,
            name: "veth0".into(),
            altnames: vec!["pod-a".into()],
            device: Device::Veth,
            bridge_port: false,
            default_route: false,
            up: true,
            running: true,
            mtu: 1500,
            mac: Some(Mac([2, 0x42, 0xac, 0x11, 0, 2])),
            addresses: vec!["10.0.0.1/24".parse().expect("a prefix")],
            master: None,
            peer: Some(Peer {
                index: 5,
                netns_id: Some(0),
            }),
            lower: None,
            framing: Framing::Ethernet,
        }
    }

    #[test]
    fn the_part_in_the_node_comes_before_what_a_link_is_made_of() {
        let mut link = veth();
        assert_eq!(link.kind().name(), "veth");
        link.default_route = true;
        assert_eq!(link.kind().name(), "uplink");
        link.bridge_port = true;
        assert_eq!(link.kind().name(), "bridge port");
    }

    #[test]
    fn a_bridge_with_the_default_route_stays_a_bridge() {
        let link = Link {
            device: Device::Bridge,
            default_route: true,
            ..veth()
        };
        assert_eq!(link.kind().name(), "bridge");
    }

    #[test]
    fn a_link_answers_to_all_its_names_and_to_no_other() {
        let link = veth();
        assert!(link.is_called("veth0"));
        assert!(link.is_called("pod-a"));
        assert!(!link.is_called("veth"));
    }

    #[test]
    fn framing_is_bare_ethernet_or_unsupported() {
        for arphrd in [768, 769, 776, 778, 823, 519, 512, 0xffff, 0xfffe, 779] {
            assert_eq!(Framing::from(arphrd), Framing::Bare, "{arphrd}");
        }
        assert_eq!(Framing::from(1), Framing::Ethernet);
        assert_eq!(Framing::from(772), Framing::Ethernet);
        assert_eq!(Framing::from(803), Framing::Unsupported(803));
    }

    #[test]
    fn its_json_has_the_documented_names() {
        assert_eq!(
            serde_json::to_value(veth()).expect("a link is JSON"),
            serde_json::json!({
                "index": 4, "name": "veth0", "altnames": ["pod-a"], "device": "veth",
                "bridge_port": false, "default_route": false, "up": true, "running": true,
                "mtu": 1500, "mac": "02:42:ac:11:00:02", "addresses": ["10.0.0.1/24"],
                "master": null, "peer": {"index": 5, "netns_id": 0}, "lower": null,
                "framing": "ethernet",
            })
        );
    }
}
