//! A packet's comment: one sentence for people, then ` [nodecap key=value …]` for programs.

use std::fmt::Write as _;

use super::json::{End, Protocol};
use super::nat::NatKind;
use super::record::{NatRecord, ResetRecord};
use super::reset::{Cause, OriginSide};
use crate::packet::Direction;

/// The name of a value as the flows file has it.
fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

/// On every sighting of a reset. `interface` and `direction` are its first sighting's.
pub(super) fn reset(reset: &ResetRecord, interface: &str, direction: Direction) -> String {
    let seen = match (reset.origin.side, direction) {
        (OriginSide::Uplink, _) => "first seen entering at",
        (OriginSide::Pod, Direction::In) => "first seen coming out of the container behind",
        (OriginSide::Pod, Direction::Out) => "first seen leaving the container at",
        (OriginSide::Local, _) => "made by this node, first seen at",
        (OriginSide::Unknown, Direction::In) => "first seen coming in at",
        (OriginSide::Unknown, Direction::Out) => "first seen going out at",
    };
    let mut text = format!(
        "Connection reset by {}, {seen} {interface}: {}",
        reset.from,
        why(reset.cause)
    );
    // Writing to a string can't fail.
    let _ = write!(
        text,
        " [nodecap reset from={} origin={} interface={interface} cause={} confidence={} flow={}]",
        reset.from,
        name(reset.origin.side),
        name(reset.cause),
        name(reset.confidence),
        reset.flow,
    );
    text
}

/// A cause in plain words.
const fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::ClosedPort => "no process listens on that port",
        Cause::NoConnection => "its sender knows no such connection",
        Cause::RejectRule => "a firewall rule rejects it",
        Cause::ApplicationAbort => "the application aborted the connection",
        Cause::UnreadData => "the application closed the connection before it had read everything",
        Cause::DataAfterClose => "data arrived after the application had closed the connection",
        Cause::BacklogOverflow => "the listener's queue of new connections is full",
        Cause::Timeout => "the other side stopped answering",
        Cause::TimeWait => "the connection was already closed and waiting in TIME-WAIT",
        Cause::ConntrackInvalid => {
            "conntrack took a reply for invalid, so it left without being translated back"
        }
        Cause::IdleExpiry => "a translation or firewall had forgotten the idle connection",
        Cause::Injected => "somebody in between forged it",
        Cause::Unknown => "the evidence doesn't tell why",
    }
}

/// On the packet on which a translation first shows.
pub(super) fn nat(nat: &NatRecord) -> String {
    let protocol = nat.before.protocol;
    let end = |end| End::new(end, protocol);
    let (before, after) = (&nat.before, &nat.after);
    let source = format!(
        "source {} becomes {}",
        end(before.source),
        end(after.source)
    );
    let destination = format!(
        "destination {} becomes {}",
        end(before.destination),
        end(after.destination)
    );
    let mut text = match nat.kind {
        NatKind::Snat => format!(
            "Translated on the way to {}: {source}",
            end(after.destination)
        ),
        NatKind::Dnat => format!(
            "Translated on the way from {}: {destination}",
            end(before.source)
        ),
        NatKind::Both => format!("Translated at both ends: {source}, {destination}"),
    };
    let evidence: Vec<_> = nat
        .evidence
        .iter()
        .map(|evidence| evidence.name())
        .collect();
    // Writing to a string can't fail.
    let _ = write!(
        text,
        " [nodecap nat kind={} proto={} before={}>{} after={}>{} evidence={} flow={}]",
        nat.kind.name(),
        Protocol(protocol),
        end(before.source),
        end(before.destination),
        end(after.source),
        end(after.destination),
        evidence.join(","),
        nat.flow,
    );
    text
}
