//! Segments that meet a stack which has no connection for them, or no longer has, and a reset
//! that nobody's stack has made.

use std::fs;
use std::net::SocketAddr;

use super::{
    Kept, MASKED_CLIENT, OUTSIDE_CLIENT, OUTSIDE_SERVER, POD_CLIENT, POD_SERVER, PUBLISHED, Reset,
    Scenario, Shape, Side, masqueraded, outside_with_pod, outside_with_published, pod_with_outside,
    published, routed,
};
use crate::frames::ip::Ipv4;
use crate::frames::transport::{self, ACK, PSH, RST};
use crate::frames::{Flow, Frame, IPV4};
use crate::namespace::Namespace;
use crate::overhear::Overhear;
use crate::replay;
use crate::segment::Segment;
use crate::sockets::{Connection, abort, address, say, wait_until_broken};
use crate::topology::Node;
use crate::wait::wait_until;

/// Keeps the resets of this namespace to itself while `work` is done, which is to lose them.
fn silently(namespace: &Namespace, work: impl FnOnce()) {
    namespace.nft(
        "table inet mute {\n\
         chain out {\n\
         type filter hook output priority filter;\n\
         tcp flags & rst == rst drop\n\
         }\n\
         }",
    );
    work();
    namespace.nft("delete table inet mute");
}

/// The outside server forgets its connection without a word; the pod goes on.
pub static STATE_LOST_OUTSIDE: Scenario = Scenario {
    name: "the outside server has lost its connection",
    prepare: masqueraded,
    happen: |lab| {
        let Connection { mut client, server } = pod_with_outside(lab);
        silently(&lab.outside, || abort(server));
        say(&mut client, b"are you there");
        wait_until_broken(&client);
        Box::new(client)
    },
    resets: &[Reset {
        seen: (OUTSIDE_SERVER, MASKED_CLIENT),
        flow: (OUTSIDE_SERVER, POD_CLIENT),
        side: Side::Uplink,
        cause: "no-connection",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: None,
    }],
};

/// The pod's server forgets its connection without a word; the outside goes on.
pub static STATE_LOST_IN_POD: Scenario = Scenario {
    name: "the pod's server has lost its connection",
    prepare: routed,
    happen: |lab| {
        let Connection { mut client, server } = outside_with_pod(lab);
        silently(&lab.pod, || abort(server));
        say(&mut client, b"are you there");
        wait_until_broken(&client);
        Box::new(client)
    },
    resets: &[Reset {
        seen: (POD_SERVER, OUTSIDE_CLIENT),
        flow: (POD_SERVER, OUTSIDE_CLIENT),
        side: Side::Pod,
        cause: "no-connection",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: None,
    }],
};

/// Sets how conntrack judges windows, and for how long it remembers an open connection.
fn conntrack(lab: &Node, parameter: &str, value: &str) {
    lab.node
        .sysctl(&format!("net.netfilter.nf_conntrack_{parameter}"), value);
}

/// Beyond any window that is offered here.
const FAR: u32 = 100_000_000;

/// The published server's segment is out of every window, so the node doesn't translate it back,
/// and the client gets it from an address that it never spoke to (Kubernetes issue 74839).
pub static INVALID_FROM_PUBLISHED: Scenario = Scenario {
    name: "the client gets an untranslated segment of a published server",
    prepare: |lab| {
        published(lab);
        routed(lab);
        conntrack(lab, "tcp_be_liberal", "0");
    },
    happen: |lab| {
        let mut pod = Overhear::new(&lab.pod);
        let connection = outside_with_published(lab);
        let last = pod.wait_for("the server's answer", |segment| {
            segment.source == address(POD_SERVER) && segment.payload > 0
        });
        let stray = Stray {
            sequence: last.next_sequence().wrapping_add(FAR),
            ..Stray::like(&last)
        };
        stray.put(&lab.pod, Node::POD_LINK, (&lab.node, Node::BRIDGE));
        wait_until_broken(&connection.server);
        Box::new(connection)
    },
    resets: &[Reset {
        seen: (OUTSIDE_CLIENT, POD_SERVER),
        flow: (OUTSIDE_CLIENT, PUBLISHED),
        side: Side::Uplink,
        cause: "conntrack-invalid",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: None,
    }],
};

/// The outside server's segment is out of every window, so the node doesn't translate it back
/// and takes it for its own.
pub static INVALID_TO_MASQUERADED: Scenario = Scenario {
    name: "the node gets an untranslated segment for the pod",
    prepare: |lab| conntrack(lab, "tcp_be_liberal", "0"),
    happen: |lab| {
        let mut outside = Overhear::new(&lab.outside);
        let connection = pod_with_outside(lab);
        let last = outside.wait_for("the server's answer", |segment| {
            segment.source == address(OUTSIDE_SERVER) && segment.payload > 0
        });
        let stray = Stray {
            sequence: last.next_sequence().wrapping_add(FAR),
            ..Stray::like(&last)
        };
        stray.put(&lab.outside, Node::OUTSIDE_LINK, (&lab.node, Node::UPLINK));
        wait_until_broken(&connection.server);
        Box::new(connection)
    },
    resets: &[Reset {
        seen: (MASKED_CLIENT, OUTSIDE_SERVER),
        flow: (POD_CLIENT, OUTSIDE_SERVER),
        side: Side::NodeToUplink,
        cause: "conntrack-invalid",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: None,
    }],
};

/// Waits until conntrack has forgotten every connection. To look makes it forget what is due.
fn wait_until_forgotten(lab: &Node) {
    wait_until("conntrack without a TCP entry", || {
        let table = lab
            .node
            .run(|| fs::read_to_string("/proc/thread-self/net/nf_conntrack"));
        table.is_ok_and(|table| !table.contains(" tcp "))
    });
}

/// The masquerade's entry expires; then the outside server speaks to an address that stands for
/// nobody any more, and the node answers for itself.
pub static EXPIRED_MASQUERADE: Scenario = Scenario {
    name: "the masquerade has expired when the server speaks",
    prepare: |lab| conntrack(lab, "tcp_timeout_established", "1"),
    happen: |lab| {
        let mut connection = pod_with_outside(lab);
        wait_until_forgotten(lab);
        say(&mut connection.server, b"at last");
        wait_until_broken(&connection.server);
        Box::new(connection)
    },
    resets: &[Reset {
        seen: (MASKED_CLIENT, OUTSIDE_SERVER),
        flow: (POD_CLIENT, OUTSIDE_SERVER),
        side: Side::NodeToUplink,
        cause: "idle-expiry",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: Some(
            "conntrack drops an expired entry when a packet looks it up: on a busy machine its \
             word of that comes after the verdict",
        ),
    }],
};

/// The published port's entry expires; then the client speaks, and the node, which doesn't pick
/// connections up in their middle, answers for itself.
pub static EXPIRED_PUBLISHED: Scenario = Scenario {
    name: "the published port's translation has expired when the client speaks",
    prepare: |lab| {
        published(lab);
        conntrack(lab, "tcp_loose", "0");
        conntrack(lab, "tcp_timeout_established", "1");
    },
    happen: |lab| {
        let mut connection = outside_with_published(lab);
        wait_until_forgotten(lab);
        say(&mut connection.client, b"at last");
        wait_until_broken(&connection.client);
        Box::new(connection)
    },
    resets: &[Reset {
        seen: (PUBLISHED, OUTSIDE_CLIENT),
        flow: (PUBLISHED, OUTSIDE_CLIENT),
        side: Side::NodeToUplink,
        cause: "idle-expiry",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: Some(
            "conntrack drops an expired entry when a packet looks it up: on a busy machine its \
             word of that comes after the verdict",
        ),
    }],
};

/// Somebody on the way forges a reset in the server's name; the server knows nothing of it and
/// goes on, until the pod tells it that there is no such connection.
pub static FORGED: Scenario = Scenario {
    name: "somebody forges a reset of a server that goes on",
    prepare: masqueraded,
    happen: |lab| forge(lab),
    resets: &[
        Reset {
            seen: (OUTSIDE_SERVER, MASKED_CLIENT),
            flow: (OUTSIDE_SERVER, POD_CLIENT),
            side: Side::Uplink,
            cause: "injected",
            phase: Some("established"),
            shape: Shape::Forged,
            or_unknown: None,
        },
        Reset {
            seen: (POD_CLIENT, OUTSIDE_SERVER),
            flow: (POD_CLIENT, OUTSIDE_SERVER),
            side: Side::Pod,
            cause: "no-connection",
            // It has been reset once already.
            phase: None,
            shape: Shape::RefusesData,
            or_unknown: None,
        },
    ],
};

#[track_caller]
fn forge(lab: &Node) -> Kept {
    let mut outside = Overhear::new(&lab.outside);
    let mut connection = pod_with_outside(lab);
    let last = outside.wait_for("the server's answer", |segment| {
        segment.source == address(OUTSIDE_SERVER) && segment.payload > 0
    });
    let forged = Stray {
        flags: RST,
        sequence: last.next_sequence(),
        acknowledgement: 0,
        payload: b"",
        identification: 0xbeef,
        ttl: 201,
        ..Stray::like(&last)
    };
    forged.put(&lab.outside, Node::OUTSIDE_LINK, (&lab.node, Node::UPLINK));
    wait_until_broken(&connection.client);
    say(&mut connection.server, b"where were we");
    wait_until_broken(&connection.server);
    Box::new(connection)
}

/// A segment that no stack sends: it is put on the wire by hand.
struct Stray {
    source: SocketAddr,
    destination: SocketAddr,
    from_link: [u8; 6],
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
    payload: &'static [u8],
    identification: u16,
    ttl: u8,
}

impl Stray {
    /// As if it came after that one.
    fn like(last: &Segment) -> Self {
        Self {
            source: last.source,
            destination: last.destination,
            from_link: last.from_link,
            flags: PSH | ACK,
            sequence: last.next_sequence(),
            acknowledgement: last.acknowledgement,
            payload: b"out of the window",
            identification: 1,
            ttl: last.ttl,
        }
    }

    /// Sends it out of an interface, to the one that is its next hop.
    #[track_caller]
    fn put(&self, namespace: &Namespace, link: &str, next: (&Namespace, &str)) {
        replay::send(namespace, link, &[self.frame(link_address(next.0, next.1))]);
    }

    #[track_caller]
    fn frame(&self, to_link: [u8; 6]) -> Frame {
        let (SocketAddr::V4(source), SocketAddr::V4(destination)) = (self.source, self.destination)
        else {
            panic!("only IPv4 strays are made here");
        };
        let flow = Flow {
            source: self.source,
            destination: self.destination,
        };
        let segment = transport::segment(
            flow,
            self.flags,
            self.sequence,
            self.acknowledgement,
            self.payload,
        );
        let packet = Ipv4::new(*source.ip(), *destination.ip())
            .marks(self.identification, self.ttl)
            .packet(transport::TCP, &segment);
        let mut frame = Frame::new();
        frame.extend(to_link);
        frame.extend(self.from_link);
        frame.extend(IPV4.to_be_bytes());
        frame.extend(packet);
        frame
    }
}

/// An interface's link address.
///
/// # Panics
///
/// When there is no such interface.
#[must_use]
#[track_caller]
pub fn link_address(namespace: &Namespace, link: &str) -> [u8; 6] {
    let path = format!("/sys/class/net/{link}/address");
    let text = fs::read_to_string(namespace.outside(path.as_ref()));
    let bytes = text.ok().and_then(|text| {
        let bytes: Result<Vec<u8>, _> = text
            .trim()
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16))
            .collect();
        bytes.ok()?.try_into().ok()
    });
    match bytes {
        Some(bytes) => bytes,
        None => panic!("{link} has no link address"),
    }
}
