//! Namespaces wired together, the shapes that tests need.

use std::net::{Ipv4Addr, UdpSocket};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::frames::Frame;
use crate::namespace::Namespace;
use crate::packet_socket::{Announced, PacketSocket};
use crate::replay;

/// A veth pair in one silent namespace: what is put on [`Wire::SENDER`] comes in at
/// [`Wire::CATCHER`], and nothing else happens there.
#[derive(Debug)]
pub struct Wire {
    /// Where both ends are.
    pub namespace: Namespace,
}

impl Wire {
    /// The end that frames are put on.
    pub const SENDER: &str = "sender";
    /// The end that they come in at.
    pub const CATCHER: &str = "catcher";

    /// A wire with the usual MTU of 1500 bytes.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self::with_mtu(1_500)
    }

    /// A wire that takes packets up to `mtu` bytes, the link header not counted.
    #[must_use]
    #[track_caller]
    pub fn with_mtu(mtu: u32) -> Self {
        let namespace = Namespace::silent();
        add_wire(&namespace, Self::SENDER, Self::CATCHER, mtu);
        Self { namespace }
    }

    /// Puts the frames on the wire, in this order.
    #[track_caller]
    pub fn send(&self, frames: &[Frame]) {
        replay::send(&self.namespace, Self::SENDER, frames);
    }
}

impl Default for Wire {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

/// Adds a veth pair to `namespace`, both ends up, without addresses.
#[track_caller]
pub fn add_wire(namespace: &Namespace, one: &str, other: &str, mtu: u32) {
    namespace.ip_lines([
        format!("link add {one} mtu {mtu} type veth peer name {other} mtu {mtu}"),
        format!("link set {one} up"),
        format!("link set {other} up"),
    ]);
    namespace.wait_for_links();
}

/// A device whose packets begin with the IP header, in a silent namespace.
///
/// A VXLAN-GPE device (draft-ietf-nvo3-vxlan-gpe): unlike a tun that nobody reads from it has a carrier,
/// so that whoever listens there hears what goes out; and what comes in is what a datagram brings.
#[derive(Debug)]
pub struct Bare {
    /// Where it is.
    pub namespace: Namespace,
    out: [PacketSocket; 2],
    underneath: UdpSocket,
}

impl Bare {
    /// What it is called.
    pub const LINK: &str = "bare0";

    /// Where its tunnel's datagrams go: IANA's port for VXLAN-GPE.
    const PORT: u16 = 4790;

    /// The device, up.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let namespace = Namespace::silent();
        namespace.ip(&format!(
            "link add {} type vxlan gpe external dstport {}",
            Self::LINK,
            Self::PORT
        ));
        namespace.ip(&format!("link set {} up", Self::LINK));
        let out = [Announced::Ipv4, Announced::Ipv6];
        Self {
            out: out.map(|announced| PacketSocket::new(&namespace, Self::LINK, announced)),
            underneath: namespace.udp("127.0.0.1:0"),
            namespace,
        }
    }

    /// Sends an IP packet out there. It goes no further: nobody says by which tunnel.
    #[track_caller]
    pub fn send_out(&self, packet: &[u8]) {
        self.out[usize::from(is_six(packet))].send(packet);
    }

    /// Has IP packets come in there, in this order: the CPU that sends them takes them in.
    ///
    /// # Panics
    ///
    /// When one can't be sent.
    #[track_caller]
    pub fn send_in(&self, packets: &[Frame]) {
        self.namespace.run(|| {
            let mut one = CpuSet::new();
            let pinned = one
                .set(replay::first_cpu())
                .and_then(|()| sched_setaffinity(Pid::from_raw(0), &one));
            assert_eq!(pinned, Ok(()), "the sender can't stay on one CPU");
            for packet in packets {
                self.take_in(packet);
            }
        });
    }

    #[track_caller]
    fn take_in(&self, packet: &[u8]) {
        // There are an identifier, 0, and a next protocol: 1 is IPv4, 2 is IPv6.
        let mut datagram = vec![0x0c, 0, 0, 1 + u8::from(is_six(packet)), 0, 0, 0, 0];
        datagram.extend(packet);
        let to = (Ipv4Addr::LOCALHOST, Self::PORT);
        if let Err(error) = self.underneath.send_to(&datagram, to) {
            panic!("{} bytes can't come in: {error}", packet.len());
        }
    }
}

impl Default for Bare {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

/// Whether an IP packet says that it is one of version 6.
fn is_six(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 6)
}

/// Two hosts, each in a namespace of its own, with one veth pair between them. They know each
/// other's link address from the start, so that neither ARP nor neighbour discovery is heard; a multicast listener report may be.
#[derive(Debug)]
pub struct Pair {
    /// The host with [`Pair::LEFT_V4`] and [`Pair::LEFT_V6`].
    pub left: Namespace,
    /// The host with [`Pair::RIGHT_V4`] and [`Pair::RIGHT_V6`].
    pub right: Namespace,
}

impl Pair {
    /// What the interface is called in both.
    pub const LINK: &str = "link0";
    /// The left host's IPv4 address.
    pub const LEFT_V4: &str = "198.51.100.1";
    /// The right host's IPv4 address.
    pub const RIGHT_V4: &str = "198.51.100.2";
    /// The left host's IPv6 address.
    pub const LEFT_V6: &str = "2001:db8:1::1";
    /// The right host's IPv6 address.
    pub const RIGHT_V6: &str = "2001:db8:1::2";

    const LEFT_MAC: &str = "02:00:00:00:01:01";
    const RIGHT_MAC: &str = "02:00:00:00:01:02";

    /// The pair, ready to talk.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let (left, right) = (Namespace::new(), Namespace::new());
        left.ip(&format!(
            "link add {link} address {} type veth peer name {link} address {} netns {}",
            Self::LEFT_MAC,
            Self::RIGHT_MAC,
            right.pid(),
            link = Self::LINK,
        ));
        let ends = [
            (
                &left,
                Self::LEFT_V4,
                Self::LEFT_V6,
                Self::RIGHT_V4,
                Self::RIGHT_V6,
                Self::RIGHT_MAC,
            ),
            (
                &right,
                Self::RIGHT_V4,
                Self::RIGHT_V6,
                Self::LEFT_V4,
                Self::LEFT_V6,
                Self::LEFT_MAC,
            ),
        ];
        for (host, v4, v6, peer_v4, peer_v6, peer_mac) in ends {
            let lines = [
                join(Self::LINK, &format!("{v4}/24"), &format!("{v6}/64")),
                neighbours(Self::LINK, peer_mac, peer_v4, peer_v6),
            ];
            host.ip_lines(lines.concat());
        }
        left.wait_for_links();
        right.wait_for_links();
        Self { left, right }
    }
}

impl Default for Pair {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

/// A pod behind a bridge in a node that masquerades, and a host outside. They know each other's link
/// addresses from the start: a first packet that waits for its neighbour longer than nodecap knows it
/// again, as on an emulated machine, would be two.
///
/// ```text
///  pod            node                                 outside
///  eth0 ──── veth-pod ─ br0 ·· (masquerade) ·· uplink0 ──── eth0
///  10.88.0.2            10.88.0.1            192.0.2.1      192.0.2.9
///  2001:db8:88::2       2001:db8:88::1  2001:db8:2::1   2001:db8:2::9
/// ```
#[derive(Debug)]
pub struct Node {
    /// The pod.
    pub pod: Namespace,
    /// The node.
    pub node: Namespace,
    /// The host outside, which knows nothing of the pod's network.
    pub outside: Namespace,
}

impl Node {
    /// The pod's interface, in the pod.
    pub const POD_LINK: &str = "eth0";
    /// The pod's interface, in the node.
    pub const POD_PORT: &str = "veth-pod";
    /// The bridge that the pod's interface is a port of.
    pub const BRIDGE: &str = "br0";
    /// The node's way out.
    pub const UPLINK: &str = "uplink0";
    /// The outside host's interface, in its own namespace.
    pub const OUTSIDE_LINK: &str = "eth0";
    /// The pod's IPv4 address.
    pub const POD_V4: &str = "10.88.0.2";
    /// The pod's IPv6 address.
    pub const POD_V6: &str = "2001:db8:88::2";
    /// The node's IPv4 address on the uplink, which masqueraded packets carry.
    pub const NODE_V4: &str = "192.0.2.1";
    /// The node's IPv6 address on the uplink.
    pub const NODE_V6: &str = "2001:db8:2::1";
    /// The outside host's IPv4 address.
    pub const OUTSIDE_V4: &str = "192.0.2.9";
    /// The outside host's IPv6 address.
    pub const OUTSIDE_V6: &str = "2001:db8:2::9";

    const BRIDGE_MAC: &str = "02:00:00:00:88:01";
    const POD_MAC: &str = "02:00:00:00:88:02";
    const UPLINK_MAC: &str = "02:00:00:00:02:01";
    const OUTSIDE_MAC: &str = "02:00:00:00:02:09";

    /// The three, wired, routed and translated.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let (pod, node, outside) = (Namespace::new(), Namespace::new(), Namespace::new());
        let (bridge, port, uplink) = (Self::BRIDGE, Self::POD_PORT, Self::UPLINK);
        let (pod_pid, outside_pid) = (pod.pid(), outside.pid());
        let (pod_link, outside_link) = (Self::POD_LINK, Self::OUTSIDE_LINK);
        let links = [
            format!("link add {bridge} address {} type bridge", Self::BRIDGE_MAC),
            format!(
                "link add {port} type veth peer name {pod_link} address {} netns {pod_pid}",
                Self::POD_MAC
            ),
            format!(
                "link add {uplink} address {} type veth peer name {outside_link} address {} netns {outside_pid}",
                Self::UPLINK_MAC,
                Self::OUTSIDE_MAC
            ),
            format!("link set {port} master {bridge} up"),
        ];
        let bridged = [
            join(bridge, "10.88.0.1/24", "2001:db8:88::1/64"),
            neighbours(bridge, Self::POD_MAC, Self::POD_V4, Self::POD_V6),
        ];
        let outwards = [
            join(uplink, "192.0.2.1/24", "2001:db8:2::1/64"),
            neighbours(
                uplink,
                Self::OUTSIDE_MAC,
                Self::OUTSIDE_V4,
                Self::OUTSIDE_V6,
            ),
            // What the node's way out is called by.
            default_routes(Self::OUTSIDE_V4, Self::OUTSIDE_V6),
        ];
        node.ip_lines(
            links
                .into_iter()
                .chain(bridged.concat())
                .chain(outwards.concat()),
        );
        let (gateway, gateway_v6) = ("10.88.0.1", "2001:db8:88::1");
        let within = [
            join(pod_link, "10.88.0.2/24", "2001:db8:88::2/64"),
            neighbours(pod_link, Self::BRIDGE_MAC, gateway, gateway_v6),
            default_routes(gateway, gateway_v6),
        ];
        pod.ip_lines(within.concat());
        let beyond = [
            join(outside_link, "192.0.2.9/24", "2001:db8:2::9/64"),
            neighbours(outside_link, Self::UPLINK_MAC, Self::NODE_V4, Self::NODE_V6),
        ];
        outside.ip_lines(beyond.concat());
        node.sysctl("net.ipv4.ip_forward", "1");
        node.sysctl("net.ipv6.conf.all.forwarding", "1");
        node.nft(&format!(
            "table inet nat {{\n\
             chain out {{\n\
             type nat hook postrouting priority srcnat;\n\
             oifname {uplink} ip saddr 10.88.0.0/24 masquerade\n\
             oifname {uplink} ip6 saddr 2001:db8:88::/64 masquerade\n\
             }}\n\
             }}",
            uplink = Self::UPLINK,
        ));
        for namespace in [&pod, &node, &outside] {
            namespace.wait_for_links();
        }
        Self { pod, node, outside }
    }
}

impl Default for Node {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

/// Lines for `ip` that give a link its addresses and take it up.
fn join(link: &str, v4: &str, v6: &str) -> Vec<String> {
    vec![
        format!("addr add {v4} dev {link}"),
        format!("addr add {v6} dev {link} nodad"),
        format!("link set {link} up"),
    ]
}

/// Lines for `ip`: a link's neighbour at this link address.
fn neighbours(link: &str, mac: &str, v4: &str, v6: &str) -> Vec<String> {
    [v4, v6]
        .map(|address| format!("neigh add {address} lladdr {mac} dev {link} nud permanent"))
        .into()
}

/// Lines for `ip`: everything else is that way.
fn default_routes(v4: &str, v6: &str) -> Vec<String> {
    vec![
        format!("route add default via {v4}"),
        format!("route add ::/0 via {v6}"),
    ]
}
