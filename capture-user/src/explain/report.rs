//! The findings as text, for people.

use std::io::{self, Write};

use jiff::Timestamp;

use super::Findings;
use super::recorded::name;
use crate::flow::record::{FlowRecord, NatRecord, Place, ResetRecord};
use crate::flow::reset::{Cause, OriginSide};
use crate::flow::role::Role;
use crate::flow::tuple::{Endpoint, Tuple};
use crate::packet::Direction;
use crate::source::file::{Ending, Interface, Reader};
use crate::target::name::printable;

/// How the report is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The flows, resets and translations one by one, not their numbers alone.
    pub details: bool,
}

/// Writes what is known of the file itself.
///
/// # Errors
///
/// What writing gives.
pub fn file<R: io::Read>(
    out: &mut dyn Write,
    shown: &str,
    reader: &Reader<R>,
    findings: &Findings,
) -> io::Result<()> {
    let packets = reader.packets();
    write!(
        out,
        "{shown}: {}, {}",
        reader.format(),
        count(packets, "packet", "packets")
    )?;
    if let Some((first, last)) = findings.span {
        let seconds = (last - first) as f64 / 1e9;
        write!(out, " in {seconds:.3} s from {}", time(first))?;
    }
    if let Some(application) = reader.application() {
        write!(out, ", written by {}", printable(application))?;
    }
    if reader.comments() > 0 {
        write!(out, ", {}", count(reader.comments(), "comment", "comments"))?;
    }
    writeln!(out)?;
    for (id, interface) in (0u32..).zip(reader.interfaces()) {
        if interface.name.is_some() || interface.description.is_some() {
            write_interface(out, findings.interface(id), interface)?;
        }
    }
    Ok(())
}

fn write_interface(out: &mut dyn Write, called: &str, interface: &Interface) -> io::Result<()> {
    write!(out, "  {}", printable(called))?;
    if let Some(description) = &interface.description {
        write!(out, ": {}", printable(description))?;
    }
    match interface.role {
        Role::Unknown => writeln!(out),
        Role::Uplink => writeln!(out, " (leads out of the node)"),
        Role::Pod => writeln!(out, " (leads to a container)"),
        Role::Shared => writeln!(out, " (shared by several)"),
        Role::Local => writeln!(out, " (the node itself)"),
    }
}

/// What is wrong with the file, or couldn't be looked at: each a line.
#[must_use]
pub fn complaints<R: io::Read>(shown: &str, reader: &Reader<R>) -> Vec<String> {
    let mut lines: Vec<_> = reader
        .skipped()
        .iter()
        .map(|(kind, packets)| {
            format!(
                "{shown}: {} of link type {kind} skipped: their headers aren't known here",
                count(*packets, "packet", "packets")
            )
        })
        .collect();
    match reader.ending() {
        None | Some(Ending::Whole) => {}
        Some(Ending::Cut { at }) => lines.push(format!(
            "{shown}: cut in the middle of a packet at byte {at}; everything before it was read"
        )),
        Some(Ending::Damaged { at, why }) => lines.push(format!(
            "{shown}: damaged at byte {at} ({why}); everything before it was read"
        )),
        Some(Ending::Unreadable { at, why }) => lines.push(format!(
            "{shown}: can't be read on from byte {at}: {why}; everything before it was read"
        )),
    }
    lines
}

/// Writes the findings.
///
/// # Errors
///
/// What writing gives.
pub fn findings(out: &mut dyn Write, findings: &Findings, style: Style) -> io::Result<()> {
    if style.details {
        flows(out, findings)?;
        for (index, reset) in findings.resets.iter().enumerate() {
            if index == 0 {
                writeln!(out, "\nresets")?;
            }
            write_reset(out, findings, reset)?;
        }
        for (index, nat) in findings.translations.iter().enumerate() {
            if index == 0 {
                writeln!(out, "\ntranslations")?;
            }
            write_nat(out, findings, nat)?;
        }
        if findings.left_out > 0 {
            let left_out = count(
                findings.left_out,
                "more reset or translation",
                "more resets and translations",
            );
            writeln!(out, "  {left_out} not shown: --flows has them all")?;
        }
        writeln!(out)?;
    }
    summary(out, findings)
}

fn flows(out: &mut dyn Write, findings: &Findings) -> io::Result<()> {
    if findings.flows.is_empty() {
        return Ok(());
    }
    write!(out, "\nflows, the largest first")?;
    let hidden = findings
        .summary
        .flows
        .saturating_sub(findings.flows.len() as u64);
    if hidden > 0 {
        write!(out, " ({hidden} smaller ones not shown: -v shows more)")?;
    }
    writeln!(
        out,
        "\n{:>7} {:>10} {:>12} {:<12} {:>11}  client > server",
        "flow", "packets", "bytes", "state", "handshake"
    )?;
    for flow in &findings.flows {
        write_flow(out, flow, findings)?;
    }
    Ok(())
}

fn write_flow(out: &mut dyn Write, flow: &FlowRecord, findings: &Findings) -> io::Result<()> {
    let during = During(findings, flow.first, flow.last);
    let handshake = flow.tcp.and_then(|tcp| tcp.handshake_us);
    writeln!(
        out,
        "{:>7} {:>10} {:>12} {:<12} {:>11}  {} {} > {}",
        flow.id,
        flow.packets.iter().sum::<u64>(),
        flow.bytes.iter().sum::<u64>(),
        flow.state,
        handshake.map_or_else(String::new, |us| format!("{us} µs")),
        protocol(flow.protocol),
        during.end(flow.client, flow.protocol),
        during.end(flow.server, flow.protocol),
    )?;
    if let Some(tunnel) = flow.tunnel {
        let others = if flow.tunnels_differ {
            ", and others: it may be several connections"
        } else {
            ""
        };
        writeln!(out, "{:>58}within {tunnel}{others}", "")?;
    }
    let Some(tcp) = flow.tcp else {
        return Ok(());
    };
    let mut troubles = Vec::new();
    for (numbers, one, more) in [
        (tcp.retransmits, "retransmission", "retransmissions"),
        (
            tcp.out_of_order,
            "segment out of order",
            "segments out of order",
        ),
        (
            tcp.zero_windows.map(u32::from),
            "closed window",
            "closed windows",
        ),
    ] {
        let number = numbers.into_iter().map(u64::from).sum();
        if number > 0 {
            troubles.push(count(number, one, more));
        }
    }
    if !troubles.is_empty() {
        writeln!(out, "{:>58}{}", "", troubles.join(", "))?;
    }
    Ok(())
}

fn write_reset(out: &mut dyn Write, findings: &Findings, reset: &ResetRecord) -> io::Result<()> {
    const TCP: u8 = 6;
    let during = During(findings, reset.time, reset.time);
    let interface = printable(findings.interface(reset.origin.interface));
    let origin = match reset.origin.side {
        OriginSide::Uplink => format!("came into the node at {interface}"),
        OriginSide::Pod => format!("came out of the container behind {interface}"),
        OriginSide::Local => format!("made by the node itself, first seen at {interface}"),
        OriginSide::Unknown => format!("from an unknown side, first seen at {interface}"),
    };
    writeln!(
        out,
        "  {} flow {}: {} reset its connection with {} while {}: {}",
        time(findings.wall(reset.time)),
        reset.flow,
        during.end(reset.from, TCP),
        during.end(reset.to, TCP),
        name(reset.phase),
        reset.cause.explain(),
    )?;
    writeln!(
        out,
        "      cause {}, by {}; {origin}",
        name(reset.cause),
        match reset.cause {
            Cause::Unknown => "nothing that decides".to_owned(),
            _ => name(reset.confidence),
        }
    )?;
    if let Some(tunnel) = reset.tunnel {
        writeln!(out, "      within {tunnel}")?;
    }
    for evidence in &reset.evidence {
        writeln!(out, "      - {}", printable(evidence))?;
    }
    Ok(())
}

fn write_nat(out: &mut dyn Write, findings: &Findings, nat: &NatRecord) -> io::Result<()> {
    let during = During(findings, nat.time, nat.time);
    let place = |place: &Place| {
        let direction = match place.direction {
            Some(Direction::In) => "into",
            Some(Direction::Out) => "out of",
            None => "at",
        };
        format!(
            "{direction} {}",
            printable(findings.interface(place.interface))
        )
    };
    let seen: Vec<_> = nat.seen.iter().map(place).collect();
    let evidence: Vec<_> = nat.evidence.iter().map(name).collect();
    writeln!(
        out,
        "  {} flow {}: {} {} {} becomes {} ({}{}{})",
        time(findings.wall(nat.time)),
        nat.flow,
        nat.kind.name(),
        protocol(nat.before.protocol),
        during.tuple(&nat.before),
        during.tuple(&nat.after),
        evidence.join(", "),
        if seen.is_empty() { "" } else { ": " },
        seen.join(", then "),
    )
}

fn summary(out: &mut dyn Write, findings: &Findings) -> io::Result<()> {
    let summary = &findings.summary;
    write!(out, "{}", count(summary.flows, "flow", "flows"))?;
    if summary.evicted > 0 {
        write!(
            out,
            " ({} had to make room before their end)",
            summary.evicted
        )?;
    }
    let resets: u64 = summary.resets.iter().map(|(_, _, number)| number).sum();
    write!(out, ", {}", count(resets, "reset", "resets"))?;
    let translations: u64 = summary.translations.iter().map(|(_, number)| number).sum();
    writeln!(
        out,
        ", {}",
        count(translations, "translation", "translations")
    )?;
    let untracked = summary.untracked + summary.unreadable;
    if untracked > 0 {
        writeln!(out, "{} of no flow", count(untracked, "packet", "packets"))?;
    }
    Ok(())
}

fn count(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

fn time(nanoseconds: u64) -> String {
    Timestamp::from_nanosecond(nanoseconds.into())
        .unwrap_or_default()
        .to_string()
}

fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmp6".to_owned(),
        132 => "sctp".to_owned(),
        number => format!("protocol {number}"),
    }
}

/// The names of a time: from the one moment to the other.
struct During<'a>(&'a Findings, u64, u64);

impl During<'_> {
    fn tuple(&self, tuple: &Tuple) -> String {
        format!(
            "{} > {}",
            self.end(tuple.source, tuple.protocol),
            self.end(tuple.destination, tuple.protocol)
        )
    }

    /// An end by its name, if the file has one, and with its port, if its protocol has such a
    /// thing.
    fn end(&self, end: Endpoint, protocol: u8) -> String {
        let has_port = matches!(protocol, 1 | 6 | 17 | 58 | 132);
        match (self.0.called(end.address, self.1, self.2), has_port) {
            (Some(name), true) => format!("{}:{}", printable(name), end.port),
            (Some(name), false) => printable(name).to_string(),
            (None, true) => end.to_string(),
            (None, false) => end.address.to_string(),
        }
    }
}
