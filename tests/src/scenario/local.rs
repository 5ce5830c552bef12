//! The node's own sockets.

use super::{OUTSIDE_CLIENT, OUTSIDE_SERVER, Reset, Scenario, Shape, Side, masqueraded};
use crate::sockets::{Connection, abort, refused, wait_until_broken};

/// A port of the node's own, which isn't published.
const NODE_SERVER: &str = "192.0.2.1:82";
/// The node's own end of a connection that it opens.
const NODE_CLIENT: &str = "192.0.2.1:40000";

/// Nobody listens on the node itself.
pub static CLOSED_PORT_ON_NODE: Scenario = Scenario {
    name: "nobody listens on the node",
    prepare: masqueraded,
    happen: |lab| {
        refused(&lab.outside, OUTSIDE_CLIENT, NODE_SERVER);
        Box::new(())
    },
    resets: &[Reset {
        seen: (NODE_SERVER, OUTSIDE_CLIENT),
        flow: (NODE_SERVER, OUTSIDE_CLIENT),
        side: Side::NodeToUplink,
        cause: "closed-port",
        phase: Some("syn-sent"),
        shape: Shape::RefusesSyn,
        or_unknown: None,
    }],
};

/// A process of the node's own aborts its connection.
pub static ABORTED_BY_NODE: Scenario = Scenario {
    name: "a process on the node aborts",
    prepare: masqueraded,
    happen: |lab| {
        let mut connection = Connection::open(
            (&lab.node, NODE_CLIENT),
            OUTSIDE_SERVER,
            (&lab.outside, OUTSIDE_SERVER),
        );
        connection.exchange();
        let Connection { client, server } = connection;
        abort(client);
        wait_until_broken(&server);
        Box::new(server)
    },
    resets: &[Reset {
        seen: (NODE_CLIENT, OUTSIDE_SERVER),
        flow: (NODE_CLIENT, OUTSIDE_SERVER),
        side: Side::NodeToUplink,
        cause: "application-abort",
        phase: Some("established"),
        shape: Shape::Active,
        or_unknown: None,
    }],
};
