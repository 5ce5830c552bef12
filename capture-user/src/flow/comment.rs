//! A packet's comment: one sentence for people, then ` [nodecap key=value …]` for programs.

use std::fmt::{Display, Write as _};

use super::json::{End, Protocol};
use super::names::Names;
use super::nat::NatKind;
use super::record::{NatRecord, ResetRecord};
use super::reset::{Cause, Confidence, OriginSide};
use super::tunnel::Tunnel;
use super::tuple::Endpoint;
use crate::packet::Direction;

/// The name of a value as the flows file has it.
fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

/// An end by its name, with its address, or by its address alone.
fn called(end: impl Display, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{name} ({end})"),
        None => end.to_string(),
    }
}

/// A key for programs, where there is a value.
fn key(key: &str, name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" {key}={name}"))
}

/// On every sighting of a reset. `interface` and `direction` are its first sighting's.
pub(super) fn reset(
    reset: &ResetRecord,
    interface: &str,
    direction: Direction,
    names: &Names,
) -> String {
    let seen = match (reset.origin.side, direction) {
        (OriginSide::Uplink, _) => "first seen entering at",
        (OriginSide::Pod, Direction::In) => match names.behind(reset.origin.interface) {
            Some(name) => &format!("first seen coming out of {name} at"),
            None => "first seen coming out of the container behind",
        },
        (OriginSide::Pod, Direction::Out) => "first seen leaving the container at",
        (OriginSide::Local, _) => "made by this node, first seen at",
        (OriginSide::Unknown, Direction::In) => "first seen coming in at",
        (OriginSide::Unknown, Direction::Out) => "first seen going out at",
    };
    // Where somebody else made it, its source isn't who reset.
    let by = match reset.cause {
        Cause::Injected => "in the name of",
        _ => "by",
    };
    let name_of = |end: Endpoint| names.at(end.address, reset.time);
    let (from_name, to_name) = (name_of(reset.from), name_of(reset.to));
    let mut text = format!(
        "Connection reset {by} {}, {seen} {interface}: {}",
        called(reset.from, from_name),
        reset.cause.explain()
    );
    if reset.confidence == Confidence::Heuristic && reset.cause != Cause::Unknown {
        let _ = write!(text, " ({})", reset.confidence.explain());
    }
    within(&mut text, reset.tunnel);
    // Writing to a string can't fail.
    let _ = write!(
        text,
        " [nodecap reset from={} origin={} interface={interface} cause={} confidence={} flow={}{}{}{}]",
        reset.from,
        name(reset.origin.side),
        name(reset.cause),
        name(reset.confidence),
        reset.flow,
        key("from_name", from_name),
        key("to_name", to_name),
        keys(reset.tunnel),
    );
    text
}

/// Which tunnel the connection runs in.
fn within(text: &mut String, tunnel: Option<Tunnel>) {
    if let Some(tunnel) = tunnel {
        let _ = write!(text, "; within {tunnel}");
    }
}

/// The same for programs, behind the other keys.
fn keys(tunnel: Option<Tunnel>) -> String {
    let Some(tunnel) = tunnel else {
        return String::new();
    };
    let id = tunnel
        .id
        .map_or_else(String::new, |id| format!(" tunnel_id={id}"));
    format!(
        " tunnel={}{id} outer={}>{}",
        tunnel.kind.name(),
        tunnel.source,
        tunnel.destination
    )
}

/// On the packet on which a translation first shows.
pub(super) fn nat(nat: &NatRecord, names: &Names) -> String {
    let protocol = nat.before.protocol;
    let end = |end| End::new(end, protocol);
    let name_of = |end: Endpoint| names.at(end.address, nat.time);
    let by_name = |one: Endpoint| called(end(one), name_of(one));
    let (before, after) = (&nat.before, &nat.after);
    let source = format!(
        "source {} becomes {}",
        by_name(before.source),
        by_name(after.source)
    );
    let destination = format!(
        "destination {} becomes {}",
        by_name(before.destination),
        by_name(after.destination)
    );
    let mut text = match nat.kind {
        NatKind::Snat => format!(
            "Translated on the way to {}: {source}",
            by_name(after.destination)
        ),
        NatKind::Dnat => format!(
            "Translated on the way from {}: {destination}",
            by_name(before.source)
        ),
        NatKind::Both => format!("Translated at both ends: {source}, {destination}"),
    };
    let evidence: Vec<_> = nat
        .evidence
        .iter()
        .map(|evidence| evidence.name())
        .collect();
    within(&mut text, nat.tunnel);
    // Writing to a string can't fail.
    let _ = write!(
        text,
        " [nodecap nat kind={} proto={} before={}>{} after={}>{} evidence={} flow={}{}{}{}]",
        nat.kind.name(),
        Protocol(protocol),
        end(before.source),
        end(before.destination),
        end(after.source),
        end(after.destination),
        evidence.join(","),
        nat.flow,
        key("src_name", name_of(before.source)),
        key("dst_name", name_of(after.destination)),
        keys(nat.tunnel),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::reset::{Origin, Phase};
    use crate::flow::tuple::Endpoint;

    fn end(port: u16) -> Endpoint {
        Endpoint {
            address: std::net::Ipv4Addr::new(192, 0, 2, 9).into(),
            port,
        }
    }

    fn comment(cause: Cause) -> String {
        let record = ResetRecord {
            time: 0,
            flow: 1,
            from: end(443),
            to: end(40_000),
            origin: Origin {
                side: OriginSide::Uplink,
                interface: 0,
            },
            cause,
            confidence: Confidence::Packet,
            evidence: Vec::new(),
            phase: Phase::Established,
            idle: 0,
            tunnel: None,
        };
        reset(&record, "eth0", Direction::In, &Names::default())
    }

    #[test]
    fn the_source_of_an_injected_reset_is_never_accused() {
        let said = comment(Cause::Injected);
        assert!(
            said.starts_with("Connection reset in the name of 192.0.2.9:443, "),
            "{said}"
        );
        for cause in Cause::ALL
            .into_iter()
            .filter(|cause| *cause != Cause::Injected)
        {
            let said = comment(cause);
            assert!(
                said.starts_with("Connection reset by 192.0.2.9:443, "),
                "{said}"
            );
        }
    }
}
