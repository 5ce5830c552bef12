//! Who sent it, from its earliest sighting.
//!
//! Coming in at an interface proves on which side of it the sender is. Going out proves nothing by
//! itself: the packet may have come in where nobody looked. Only a capture that misses nothing, or
//! the kernel's word, makes it this node's own.

use super::shape::first;
use super::{Case, Origin, OriginSide};
use crate::flow::role::Role;
use crate::packet::Direction;

/// The origin, and the clause that says what it rests on.
pub(super) fn find(case: &Case<'_>) -> (Origin, String) {
    let Some(stop) = first(case) else {
        let origin = Origin {
            side: OriginSide::Unknown,
            interface: 0,
        };
        return (origin, "no sighting of it".to_owned());
    };
    let name = case.environment.name(stop.interface);
    let (side, clause) = match (stop.direction, stop.role) {
        (_, Role::Local) => (OriginSide::Local, format!("first seen on {name}, loopback")),
        (Direction::In, Role::Uplink) => {
            (OriginSide::Uplink, format!("first seen entering at {name}"))
        }
        (Direction::In, Role::Pod) => (
            OriginSide::Pod,
            format!("first seen coming out of the pod at {name}"),
        ),
        // One of a bridge's ports sent it, and which one wasn't seen.
        (Direction::In, Role::Shared | Role::Unknown) if case.environment.undirected => (
            OriginSide::Unknown,
            format!("first seen at {name}, the file doesn't say going which way"),
        ),
        (Direction::In, Role::Shared | Role::Unknown) => (
            OriginSide::Unknown,
            format!("first seen entering at {name}, which doesn't tell whose it is"),
        ),
        (Direction::Out, _) => outgoing(case, &name),
    };
    let origin = Origin {
        side,
        interface: stop.interface,
    };
    (origin, clause)
}

/// It was first seen going out.
fn outgoing(case: &Case<'_>, name: &str) -> (OriginSide, String) {
    let here = case.environment.netns;
    let told = case.sent.map_or(0, |sent| sent.netns);
    if told != 0 && told == here {
        return (
            OriginSide::Local,
            format!("this node's own stack sent it out at {name} (tcp_send_reset)"),
        );
    }
    if told != 0 && here != 0 {
        return (
            OriginSide::Unknown,
            format!("first seen going out at {name}, a socket in another namespace sent it"),
        );
    }
    if case.would_have_been_seen() {
        return (
            OriginSide::Local,
            format!("first seen going out at {name}, and it came in nowhere"),
        );
    }
    (
        OriginSide::Unknown,
        format!("first seen going out at {name}, where it came from was not captured"),
    )
}
