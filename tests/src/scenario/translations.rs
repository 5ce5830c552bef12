//! One address becoming another, by whoever does that.

use std::io::ErrorKind;
use std::net::UdpSocket;

use super::{
    Kept, MASKED_CLIENT, OUTSIDE_CLIENT, OUTSIDE_SERVER, POD_CLIENT, POD_SERVER, PUBLISHED,
    masqueraded, outside_with_published, pod_with_outside, published,
};
use crate::balancer::{self, Which};
use crate::sockets::Connection;
use crate::tool;
use crate::topology::Node;
use crate::wait::patience;

/// A flow that is translated on the node, with what is to be said about it.
#[derive(Debug)]
pub struct Translation {
    /// What happens, as a sentence.
    pub name: &'static str,
    /// Readies the network. No packet of the flow is sent yet.
    pub prepare: fn(&Node),
    /// Makes it happen, and returns when the answer has arrived.
    pub happen: fn(&Node) -> Kept,
    /// The protocol by its name in the flows file.
    pub proto: &'static str,
    /// `snat`, `dnat` or `both`.
    pub kind: &'static str,
    /// Source and destination where the flow comes into the node.
    pub before: View,
    /// Source and destination behind the translation.
    pub after: View,
    /// Who knows of it.
    pub known_by: KnownBy,
}

/// A flow at a place.
#[derive(Debug)]
pub struct View {
    /// Its source.
    pub src: &'static str,
    /// Its destination.
    pub dst: &'static str,
    /// The interface where it shows, and which way it goes there.
    pub at: Option<(&'static str, &'static str)>,
}

/// Who knows of a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// One packet is seen before and after it, and conntrack has an entry.
    PacketsAndConntrack,
    /// One packet is seen before and after it, and conntrack knows nothing.
    PacketsAlone,
    /// Its other side passes no interface.
    ConntrackAlone,
}

/// How a flow shows at this interface.
pub(super) const fn view(
    src: &'static str,
    dst: &'static str,
    interface: &'static str,
    direction: &'static str,
) -> View {
    View {
        src,
        dst,
        at: Some((interface, direction)),
    }
}

/// The pod speaks under the node's address.
pub static MASQUERADE: Translation = Translation {
    name: "the node masquerades the pod",
    prepare: masqueraded,
    happen: |lab| Box::new(pod_with_outside(lab)),
    proto: "tcp",
    kind: "snat",
    before: view(POD_CLIENT, OUTSIDE_SERVER, Node::POD_PORT, "in"),
    after: view(MASKED_CLIENT, OUTSIDE_SERVER, Node::UPLINK, "out"),
    known_by: KnownBy::PacketsAndConntrack,
};

/// The pod speaks under the node's IPv6 address.
pub static MASQUERADE_V6: Translation = Translation {
    name: "the node masquerades the pod over IPv6",
    prepare: masqueraded,
    happen: |lab| {
        let server = "[2001:db8:2::9]:443";
        let mut connection = Connection::open(
            (&lab.pod, "[2001:db8:88::2]:40000"),
            server,
            (&lab.outside, server),
        );
        connection.exchange();
        Box::new(connection)
    },
    proto: "tcp",
    kind: "snat",
    before: view(
        "[2001:db8:88::2]:40000",
        "[2001:db8:2::9]:443",
        Node::POD_PORT,
        "in",
    ),
    after: view(
        "[2001:db8:2::1]:40000",
        "[2001:db8:2::9]:443",
        Node::UPLINK,
        "out",
    ),
    known_by: KnownBy::PacketsAndConntrack,
};

/// The pod's server is reached at a port of the node.
pub static PUBLISHED_PORT: Translation = Translation {
    name: "the node publishes the pod's port",
    prepare: published,
    happen: |lab| Box::new(outside_with_published(lab)),
    proto: "tcp",
    kind: "dnat",
    before: view(OUTSIDE_CLIENT, PUBLISHED, Node::UPLINK, "in"),
    after: view(OUTSIDE_CLIENT, POD_SERVER, Node::POD_PORT, "out"),
    known_by: KnownBy::PacketsAndConntrack,
};

/// What the node calls itself towards its pods.
const BRIDGE_CLIENT: &str = "10.88.0.1:40000";

/// Has the node speak under its own address to the pod.
fn masquerade_towards_pod(lab: &Node) {
    published(lab);
    lab.node.nft(
        "table inet inwards {\n\
         chain out {\n\
         type nat hook postrouting priority srcnat;\n\
         oifname br0 ip daddr 10.88.0.2 masquerade\n\
         }\n\
         }",
    );
    // It would rightly tell the pod that it could reach itself without the node.
    lab.node.sysctl("net.ipv4.conf.all.send_redirects", "0");
    lab.node.sysctl("net.ipv4.conf.br0.send_redirects", "0");
}

/// A published port whose clients are hidden from the pod.
pub static BOTH: Translation = Translation {
    name: "the node translates both ends",
    prepare: masquerade_towards_pod,
    happen: |lab| Box::new(outside_with_published(lab)),
    proto: "tcp",
    kind: "both",
    before: view(OUTSIDE_CLIENT, PUBLISHED, Node::UPLINK, "in"),
    after: view(BRIDGE_CLIENT, POD_SERVER, Node::POD_PORT, "out"),
    known_by: KnownBy::PacketsAndConntrack,
};

/// The pod reaches itself at the port that the node publishes for it.
pub static HAIRPIN: Translation = Translation {
    name: "the pod reaches itself at its published port",
    prepare: |lab| {
        masquerade_towards_pod(lab);
        // With br_netfilter the address is translated inside the bridge, which by itself would
        // send nothing back through the port that it came from.
        lab.node.ip(&format!(
            "link set {} type bridge_slave hairpin on",
            Node::POD_PORT
        ));
    },
    happen: |lab| {
        let mut connection =
            Connection::open((&lab.pod, POD_CLIENT), PUBLISHED, (&lab.pod, POD_SERVER));
        connection.exchange();
        Box::new(connection)
    },
    proto: "tcp",
    kind: "both",
    before: view(POD_CLIENT, PUBLISHED, Node::POD_PORT, "in"),
    after: view(BRIDGE_CLIENT, POD_SERVER, Node::POD_PORT, "out"),
    // The bridge translates one end, the node's stack the other: no single step shows both.
    known_by: KnownBy::ConntrackAlone,
};

/// Where the node's transparent proxy listens.
const PROXY: &str = "10.88.0.1:3128";

/// The node takes the pod's connection for itself, as a transparent proxy does. Nothing leaves
/// the node under the other address, so that only conntrack can tell.
pub static REDIRECT: Translation = Translation {
    name: "the node redirects the pod to itself",
    prepare: |lab| {
        lab.node.nft(
            "table inet proxy {\n\
             chain in {\n\
             type nat hook prerouting priority dstnat;\n\
             ip saddr 10.88.0.2 tcp dport 443 redirect to :3128\n\
             }\n\
             }",
        );
    },
    happen: |lab| {
        let mut connection =
            Connection::open((&lab.pod, POD_CLIENT), OUTSIDE_SERVER, (&lab.node, PROXY));
        connection.exchange();
        Box::new(connection)
    },
    proto: "tcp",
    kind: "dnat",
    before: view(POD_CLIENT, OUTSIDE_SERVER, Node::POD_PORT, "in"),
    after: View {
        src: POD_CLIENT,
        dst: PROXY,
        at: None,
    },
    known_by: KnownBy::ConntrackAlone,
};

/// A name server outside.
const OUTSIDE_NAMES: &str = "192.0.2.9:53";

/// Asks from the pod, over UDP.
#[track_caller]
fn ask(lab: &Node) -> UdpSocket {
    let client = lab.pod.udp(POD_CLIENT);
    let asked = client
        .set_read_timeout(Some(patience()))
        .and_then(|()| client.connect(OUTSIDE_NAMES))
        .and_then(|()| client.send(b"ask"));
    match asked {
        Ok(3) => client,
        other => panic!("the pod can't ask: {other:?}"),
    }
}

/// The pod's datagrams, likewise.
pub static MASQUERADED_UDP: Translation = Translation {
    name: "the node masquerades the pod's datagrams",
    prepare: masqueraded,
    happen: |lab| {
        let server = lab.outside.udp(OUTSIDE_NAMES);
        let client = ask(lab);
        let mut buffer = [0; 16];
        let answered = server
            .recv_from(&mut buffer)
            .and_then(|(_, peer)| server.send_to(b"answer", peer))
            .and_then(|_| client.recv(&mut buffer));
        assert!(matches!(answered, Ok(6)), "{answered:?}");
        Box::new((server, client))
    },
    proto: "udp",
    kind: "snat",
    before: view(POD_CLIENT, OUTSIDE_NAMES, Node::POD_PORT, "in"),
    after: view(MASKED_CLIENT, OUTSIDE_NAMES, Node::UPLINK, "out"),
    known_by: KnownBy::PacketsAndConntrack,
};

/// The pod's datagram meets nobody, and an ICMP error about it comes back.
pub static REFUSED_UDP: Translation = Translation {
    name: "the pod's datagram meets nobody",
    prepare: masqueraded,
    happen: |lab| {
        let client = ask(lab);
        match client.recv(&mut [0; 16]) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            other => panic!("the pod was to be refused: {other:?}"),
        }
        Box::new(client)
    },
    proto: "udp",
    kind: "snat",
    before: view(POD_CLIENT, OUTSIDE_NAMES, Node::POD_PORT, "in"),
    after: view(MASKED_CLIENT, OUTSIDE_NAMES, Node::UPLINK, "out"),
    known_by: KnownBy::PacketsAndConntrack,
};

/// The pod's echoes, whose identifier stands for both ports.
pub static MASQUERADED_ECHO: Translation = Translation {
    name: "the node masquerades the pod's echoes",
    prepare: masqueraded,
    happen: |lab| {
        let mut ping = lab.pod.command("ping");
        tool::run(ping.args(["-n", "-c", "1", "-e", "77", Node::OUTSIDE_V4]));
        Box::new(())
    },
    proto: "icmp",
    kind: "snat",
    before: view("10.88.0.2:77", "192.0.2.9:77", Node::POD_PORT, "in"),
    after: view("192.0.2.1:77", "192.0.2.9:77", Node::UPLINK, "out"),
    known_by: KnownBy::PacketsAndConntrack,
};

/// An address of nobody's, which packets on the uplink carry instead of the pod's.
const MASK: &str = "192.0.2.77";

/// Rules at the very edge write another address into passing packets, each by itself: there is
/// no conntrack here at all.
pub static STATELESS: Translation = Translation {
    name: "stateless rules rewrite the pod's address",
    prepare: |lab| {
        lab.node.nft("delete table inet nat");
        lab.node.nft(&format!(
            "table netdev rewrite {{\n\
             chain out {{\n\
             type filter hook egress device {uplink} priority filter;\n\
             ip saddr 10.88.0.2 ip saddr set {MASK}\n\
             }}\n\
             chain in {{\n\
             type filter hook ingress device {uplink} priority filter;\n\
             ip daddr {MASK} ip daddr set 10.88.0.2\n\
             }}\n\
             }}",
            uplink = Node::UPLINK,
        ));
        lab.outside
            .ip(&format!("route add {MASK}/32 via {}", Node::NODE_V4));
    },
    happen: |lab| Box::new(pod_with_outside(lab)),
    proto: "tcp",
    kind: "snat",
    before: view(POD_CLIENT, OUTSIDE_SERVER, Node::POD_PORT, "in"),
    after: view("192.0.2.77:40000", OUTSIDE_SERVER, Node::UPLINK, "out"),
    known_by: KnownBy::PacketsAlone,
};

/// The balancer's address, which nobody has.
const BALANCED: &str = "192.0.2.77:8080";

/// An eBPF program at the uplink gives what is for the balancer's address to the pod, another one
/// at the pod's port gives the answers that address again.
pub static BALANCED_BY_EBPF: Translation = Translation {
    name: "an eBPF load balancer rewrites the destination",
    prepare: |lab| {
        lab.node.nft("delete table inet nat");
        let (balanced, pod) = (([192, 0, 2, 77], 8_080), ([10, 88, 0, 2], 80));
        balancer::rewrite_at_ingress(&lab.node, Node::UPLINK, Which::Destination, balanced, pod);
        balancer::rewrite_at_ingress(&lab.node, Node::POD_PORT, Which::Source, pod, balanced);
        // The answers come in from where their sender's address isn't.
        for interface in ["all", Node::BRIDGE] {
            lab.node
                .sysctl(&format!("net.ipv4.conf.{interface}.rp_filter"), "0");
        }
        lab.outside
            .ip(&format!("route add {MASK}/32 via {}", Node::NODE_V4));
    },
    happen: |lab| {
        let mut connection = Connection::open(
            (&lab.outside, OUTSIDE_CLIENT),
            BALANCED,
            (&lab.pod, POD_SERVER),
        );
        connection.exchange();
        Box::new(connection)
    },
    proto: "tcp",
    kind: "dnat",
    before: view(OUTSIDE_CLIENT, BALANCED, Node::UPLINK, "in"),
    after: view(OUTSIDE_CLIENT, POD_SERVER, Node::POD_PORT, "out"),
    known_by: KnownBy::PacketsAlone,
};
