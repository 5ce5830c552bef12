//! Resets and translations that really happen, by kernels' own sockets, each with its label: who
//! sent it, from where, and why, because the scenario made it so.
//!
//! Nothing here knows of the capture under test. A scenario first prepares a network (a capture
//! starts after that, as it would on a node that has been up for long) and then makes its event
//! happen, once. [`proof`] shows with tcpdump that it did.
//!
//! - [`refusals`]: nobody listens, a firewall rejects, a backlog overflows
//! - [`endings`]: an application that aborts, closes too early, or gives its peer up
//! - [`strays`]: segments that meet a stack which knows nothing of them, or no longer
//! - [`local`]: the node's own sockets
//! - [`translations`]: one address becoming another; [`ipvs`]: by the kernel's load balancer
//! - [`verdict`]: what a capture says about a scenario, against its label
//! - [`retold`]: what is made of that capture's file afterwards
//! - [`ordinary`]: a thousand connections that nothing is wrong with

pub mod endings;
pub mod ipvs;
pub mod local;
pub mod ordinary;
pub mod proof;
pub mod refusals;
pub mod retold;
pub mod strays;
pub mod translations;
pub mod verdict;

use std::any::Any;

use crate::frames::transport::{ACK, RST};
use crate::sockets::Connection;
use crate::topology::Node;

/// What must stay as it is until the capture has ended, such as sockets whose end would be heard.
pub type Kept = Box<dyn Any>;

/// Something that happens on a node, with what is to be said about it.
#[derive(Debug)]
pub struct Scenario {
    /// What happens, as a sentence.
    pub name: &'static str,
    /// Readies the network. No packet of the event itself is sent yet.
    pub prepare: fn(&Node),
    /// Makes it happen, and returns when the last packet of it has arrived.
    pub happen: fn(&Node) -> Kept,
    /// The resets that there are then, in order. No others.
    pub resets: &'static [Reset],
}

/// A reset's label.
#[derive(Debug)]
pub struct Reset {
    /// Its sender and its receiver, as they stand in it where it is first seen.
    pub seen: (&'static str, &'static str),
    /// Its sender and its receiver, by the names that the connection had where it came into the
    /// node. The same as `seen` unless one of them was translated.
    pub flow: (&'static str, &'static str),
    /// Who made it.
    pub side: Side,
    /// Why.
    pub cause: &'static str,
    /// How far the connection had come, as far as that is a matter of fact.
    pub phase: Option<&'static str>,
    /// What it looks like.
    pub shape: Shape,
    /// Why `unknown` is an honest answer too, if it is.
    pub or_unknown: Option<&'static str>,
}

/// Who made a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Somebody beyond the uplink: it comes in there first.
    Uplink,
    /// The pod: it comes in at the pod's port first.
    Pod,
    /// The node, and it goes out at the uplink.
    NodeToUplink,
    /// The node, and it goes out at the bridge and the pod's port.
    NodeToPod,
}

impl Side {
    /// What the side is called in the flows file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uplink => "uplink",
            Self::Pod => "pod",
            Self::NodeToUplink | Self::NodeToPod => "local",
        }
    }

    /// The interface that sees it first.
    #[must_use]
    pub const fn interface(self) -> &'static str {
        match self {
            Self::Uplink | Self::NodeToUplink => Node::UPLINK,
            Self::Pod => Node::POD_PORT,
            Self::NodeToPod => Node::BRIDGE,
        }
    }
}

/// What a reset looks like on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// RST, ACK that answers a SYN.
    RefusesSyn,
    /// A bare RST that takes its number from the acknowledgement of a segment without data.
    RefusesAck,
    /// The same, for a segment with data.
    RefusesData,
    /// RST, ACK of a socket that ends its own connection, in the middle of its numbers.
    Active,
    /// A bare RST that nobody's stack made.
    Forged,
}

impl Shape {
    /// The flags byte.
    #[must_use]
    pub const fn flags(self) -> u8 {
        match self {
            Self::RefusesSyn | Self::Active => RST | ACK,
            Self::RefusesAck | Self::RefusesData | Self::Forged => RST,
        }
    }
}

/// The pod's end of a connection that it opens.
pub const POD_CLIENT: &str = "10.88.0.2:40000";
/// The same, as the outside sees it.
pub const MASKED_CLIENT: &str = "192.0.2.1:40000";
/// A server outside.
pub const OUTSIDE_SERVER: &str = "192.0.2.9:443";
/// The outside's end of a connection that it opens.
pub const OUTSIDE_CLIENT: &str = "192.0.2.9:40000";
/// A server in the pod.
pub const POD_SERVER: &str = "10.88.0.2:80";
/// Where the node publishes that server.
pub const PUBLISHED: &str = "192.0.2.1:8080";

/// Leaves the node as it is: it masquerades what comes from the pod.
pub fn masqueraded(_: &Node) {}

/// Lets the outside reach the pod by its own address, without any translation.
pub fn routed(lab: &Node) {
    lab.outside
        .ip(&format!("route add 10.88.0.0/24 via {}", Node::NODE_V4));
}

/// Publishes [`POD_SERVER`] at [`PUBLISHED`], as a container engine does.
pub fn published(lab: &Node) {
    lab.node.nft(
        "table inet publish {\n\
         chain in {\n\
         type nat hook prerouting priority dstnat;\n\
         ip daddr 192.0.2.1 tcp dport 8080 dnat ip to 10.88.0.2:80\n\
         }\n\
         }",
    );
}

/// The pod has a connection with the outside server, and both have had their say.
#[track_caller]
pub fn pod_with_outside(lab: &Node) -> Connection {
    let mut connection = Connection::open(
        (&lab.pod, POD_CLIENT),
        OUTSIDE_SERVER,
        (&lab.outside, OUTSIDE_SERVER),
    );
    connection.exchange();
    connection
}

/// The outside has a connection with the pod's server by its own address, likewise.
#[track_caller]
pub fn outside_with_pod(lab: &Node) -> Connection {
    let mut connection = Connection::open(
        (&lab.outside, OUTSIDE_CLIENT),
        POD_SERVER,
        (&lab.pod, POD_SERVER),
    );
    connection.exchange();
    connection
}

/// The outside has a connection with the pod's server by its published address, likewise.
#[track_caller]
pub fn outside_with_published(lab: &Node) -> Connection {
    let mut connection = Connection::open(
        (&lab.outside, OUTSIDE_CLIENT),
        PUBLISHED,
        (&lab.pod, POD_SERVER),
    );
    connection.exchange();
    connection
}
