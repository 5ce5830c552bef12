//! Connections that are turned away: nobody listens, a firewall says no, a backlog is full.

use super::{
    Kept, OUTSIDE_CLIENT, OUTSIDE_SERVER, POD_CLIENT, POD_SERVER, PUBLISHED, Reset, Scenario,
    Shape, Side, masqueraded, pod_with_outside, published, routed,
};
use crate::namespace::Namespace;
use crate::sockets::{connect, listen, refused, say, wait_until_broken};
use crate::topology::Node;

/// Nobody listens in the pod.
pub static CLOSED_PORT_IN_POD: Scenario = Scenario {
    name: "nobody listens in the pod",
    prepare: routed,
    happen: |lab| {
        refused(&lab.outside, OUTSIDE_CLIENT, POD_SERVER);
        Box::new(())
    },
    resets: &[Reset {
        seen: (POD_SERVER, OUTSIDE_CLIENT),
        flow: (POD_SERVER, OUTSIDE_CLIENT),
        side: Side::Pod,
        cause: "closed-port",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: None,
    }],
};

/// Nobody listens in the pod behind a published port.
pub static CLOSED_PORT_PUBLISHED: Scenario = Scenario {
    name: "nobody listens behind a published port",
    prepare: published,
    happen: |lab| {
        refused(&lab.outside, OUTSIDE_CLIENT, PUBLISHED);
        Box::new(())
    },
    resets: &[Reset {
        seen: (POD_SERVER, OUTSIDE_CLIENT),
        flow: (PUBLISHED, OUTSIDE_CLIENT),
        side: Side::Pod,
        cause: "closed-port",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: None,
    }],
};

/// Nobody listens outside, behind the masquerade.
pub static CLOSED_PORT_OUTSIDE: Scenario = Scenario {
    name: "nobody listens outside",
    prepare: masqueraded,
    happen: |lab| {
        refused(&lab.pod, POD_CLIENT, OUTSIDE_SERVER);
        Box::new(())
    },
    resets: &[Reset {
        seen: (OUTSIDE_SERVER, super::MASKED_CLIENT),
        flow: (OUTSIDE_SERVER, POD_CLIENT),
        side: Side::Uplink,
        cause: "closed-port",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: None,
    }],
};

/// Nobody listens outside, over IPv6.
pub static CLOSED_PORT_OUTSIDE_V6: Scenario = Scenario {
    name: "nobody listens outside, over IPv6",
    prepare: masqueraded,
    happen: |lab| {
        refused(&lab.pod, "[2001:db8:88::2]:40000", "[2001:db8:2::9]:443");
        Box::new(())
    },
    resets: &[Reset {
        seen: ("[2001:db8:2::9]:443", "[2001:db8:2::1]:40000"),
        flow: ("[2001:db8:2::9]:443", "[2001:db8:88::2]:40000"),
        side: Side::Uplink,
        cause: "closed-port",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: None,
    }],
};

/// A rule at `hook` that answers what matches with a reset.
fn reject(namespace: &Namespace, hook: &str, matching: &str) {
    namespace.nft(&format!(
        "table inet wall {{\n\
         chain here {{\n\
         type filter hook {hook} priority filter;\n\
         {matching} reject with tcp reset\n\
         }}\n\
         }}"
    ));
}

/// The node's firewall rejects a connection that would be forwarded.
pub static REJECTED_BY_NODE: Scenario = Scenario {
    name: "a rule on the node rejects a new connection",
    prepare: |lab| reject(&lab.node, "forward", "tcp dport 443"),
    happen: |lab| {
        refused(&lab.pod, POD_CLIENT, OUTSIDE_SERVER);
        Box::new(())
    },
    resets: &[Reset {
        seen: (OUTSIDE_SERVER, POD_CLIENT),
        flow: (OUTSIDE_SERVER, POD_CLIENT),
        side: Side::NodeToPod,
        cause: "reject-rule",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: None,
    }],
};

/// The node's firewall rejects a connection that was let through before.
pub static REJECTED_BY_NODE_LATER: Scenario = Scenario {
    name: "a rule on the node rejects an open connection",
    prepare: masqueraded,
    happen: |lab| {
        let mut connection = pod_with_outside(lab);
        reject(&lab.node, "forward", "tcp dport 443");
        say(&mut connection.client, b"more");
        wait_until_broken(&connection.client);
        Box::new(connection)
    },
    resets: &[Reset {
        seen: (OUTSIDE_SERVER, POD_CLIENT),
        flow: (OUTSIDE_SERVER, POD_CLIENT),
        side: Side::NodeToPod,
        cause: "reject-rule",
        phase: Some("established"),
        shape: Shape::RefusesData,
        or_unknown: None,
    }],
};

/// A firewall in the pod rejects what somebody listens for.
pub static REJECTED_BY_POD: Scenario = Scenario {
    name: "a rule in the pod rejects a new connection",
    prepare: |lab| {
        routed(lab);
        reject(&lab.pod, "input", "tcp dport 80");
    },
    happen: |lab| {
        let listener = listen(&lab.pod, POD_SERVER, 16);
        refused(&lab.outside, OUTSIDE_CLIENT, POD_SERVER);
        Box::new(listener)
    },
    resets: &[Reset {
        seen: (POD_SERVER, OUTSIDE_CLIENT),
        flow: (POD_SERVER, OUTSIDE_CLIENT),
        side: Side::Pod,
        cause: "reject-rule",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: None,
    }],
};

/// A firewall outside rejects what somebody listens for.
pub static REJECTED_OUTSIDE: Scenario = Scenario {
    name: "a rule outside rejects a new connection",
    prepare: |lab| reject(&lab.outside, "input", "tcp dport 443"),
    happen: |lab| {
        let listener = listen(&lab.outside, OUTSIDE_SERVER, 16);
        refused(&lab.pod, POD_CLIENT, OUTSIDE_SERVER);
        Box::new(listener)
    },
    resets: &[Reset {
        seen: (OUTSIDE_SERVER, super::MASKED_CLIENT),
        flow: (OUTSIDE_SERVER, POD_CLIENT),
        side: Side::Uplink,
        cause: "reject-rule",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: Some("a stack without a listener would send the very same bytes"),
    }],
};

/// Connections that fill the backlog of the pod's server.
const FIRST_OF_THE_QUEUE: u16 = 40_001;
const BACKLOG: u16 = 4;

/// The pod's server has no room for a connection whose handshake is about to be completed, and
/// its kernel is set to say so.
///
/// A SYN isn't answered once there is no room, so one handshake is held up in its middle until
/// others have filled the queue: its last segment is kept back until the server asks again.
pub static BACKLOG_OVERFLOW: Scenario = Scenario {
    name: "the pod's backlog overflows",
    prepare: |lab| {
        routed(lab);
        lab.pod.sysctl("net.ipv4.tcp_abort_on_overflow", "1");
    },
    happen: |lab| overflow(lab),
    resets: &[Reset {
        seen: (POD_SERVER, OUTSIDE_CLIENT),
        flow: (POD_SERVER, OUTSIDE_CLIENT),
        side: Side::Pod,
        cause: "backlog-overflow",
        // Its client has done its part of the handshake, its server never did.
        phase: None,
        shape: Shape::RefusesAck,
        or_unknown: None,
    }],
};

#[track_caller]
fn overflow(lab: &Node) -> Kept {
    let listener = listen(&lab.pod, POD_SERVER, i32::from(BACKLOG));
    lab.outside.nft(
        "table inet hold {\n\
         chain out {\n\
         type filter hook output priority filter;\n\
         tcp sport 40000 tcp flags & (syn | ack) == ack drop\n\
         }\n\
         }",
    );
    let made = |port: u16| {
        let from = format!("{}:{port}", Node::OUTSIDE_V4);
        match connect(&lab.outside, &from, POD_SERVER) {
            Ok(stream) => stream,
            Err(error) => panic!("{from}: {error}"),
        }
    };
    let held = made(40_000);
    let queue: Vec<_> = (FIRST_OF_THE_QUEUE..=FIRST_OF_THE_QUEUE + BACKLOG)
        .map(made)
        .collect();
    lab.outside.nft("delete table inet hold");
    wait_until_broken(&held);
    Box::new((listener, queue, held))
}
