//! ICMP (RFC 792).

use etherparse::IpNumber;

use super::checksum::{self, Verdict};
use super::context::Context;
use super::ip::{self, Network};
use super::names::Service;
use super::view::{Truncated, View};

/// Where the packet that an error is about begins.
const QUOTE: usize = 8;

/// A message.
pub(super) fn message(
    cx: &mut Context<'_>,
    network: &Network,
    message: View<'_>,
) -> Result<(), Truncated> {
    let message = message.of("icmp");
    cx.text("ICMP ");
    let [kind, code] = message.array(0)?;
    let mut quotes = true;
    match kind {
        3 => unreachable(cx, code, message)?,
        5 => redirect(cx, code, message)?,
        11 => match code {
            0 => cx.text("time exceeded in-transit"),
            1 => cx.text("ip reassembly time exceeded"),
            _ => cx.field("time exceeded-#", code),
        },
        12 if code != 0 => cx.field("parameter problem - code ", code),
        12 => cx.field("parameter problem - octet ", message.u8(4)?),
        4 => cx.text("source quench"),
        _ => {
            quotes = false;
            query(cx, kind, message)?;
        }
    }
    cx.put(format_args!(", length {}", message.len()));
    if !cx.verbose() || network.fragment {
        return Ok(());
    }
    if message.is_whole() {
        let field = message.be16(2)?;
        match checksum::of_message(message.bytes(), field) {
            Verdict::Incorrect(should_be) => cx.put(format_args!(
                " (wrong icmp cksum {field:x} (->{should_be:x})!)"
            )),
            Verdict::Correct | Verdict::Offloaded => {}
        }
    }
    if quotes {
        cx.text(": ");
        return ip::packet(cx, message.skip(QUOTE).as_quote());
    }
    Ok(())
}

fn query(cx: &mut Context<'_>, kind: u8, message: View<'_>) -> Result<(), Truncated> {
    let (name, separator) = match kind {
        0 => ("echo reply", ","),
        8 => ("echo request", ","),
        13 => ("time stamp query", ""),
        14 => ("time stamp reply", ""),
        9 => {
            cx.text("router advertisement");
            return Ok(());
        }
        10 => {
            cx.text("router solicitation");
            return Ok(());
        }
        _ => {
            cx.field("type-#", kind);
            return Ok(());
        }
    };
    let (id, sequence) = (message.be16(4)?, message.be16(6)?);
    cx.put(format_args!(
        "{name}{separator} id {id}{separator} seq {sequence}"
    ));
    Ok(())
}

fn unreachable(cx: &mut Context<'_>, code: u8, message: View<'_>) -> Result<(), Truncated> {
    let quote = message.skip(QUOTE);
    let (before, after) = match code {
        0 => ("net ", " unreachable"),
        1 => ("host ", " unreachable"),
        2 => return protocol_unreachable(cx, quote),
        3 => return port_unreachable(cx, quote),
        4 => ("", " unreachable - need to frag"),
        5 => ("", " unreachable - source route failed"),
        6 => ("net ", " unreachable - unknown"),
        7 => ("host ", " unreachable - unknown"),
        8 => ("", " unreachable - source host isolated"),
        9 => ("net ", " unreachable - admin prohibited"),
        10 => ("host ", " unreachable - admin prohibited"),
        11 => ("net ", " unreachable - tos prohibited"),
        12 => ("host ", " unreachable - tos prohibited"),
        13 => ("host ", " unreachable - admin prohibited filter"),
        14 => ("host ", " unreachable - host precedence violation"),
        15 => ("host ", " unreachable - precedence cutoff"),
        _ => ("", " unreachable - #"),
    };
    let destination = quote.ipv4(16)?;
    cx.text(before);
    cx.address(destination);
    cx.text(after);
    match code {
        4 => {
            let mtu = message.be16(6)?;
            if mtu != 0 {
                cx.put(format_args!(" (mtu {mtu})"));
            }
        }
        16.. => cx.number(code.into()),
        _ => {}
    }
    Ok(())
}

fn protocol_unreachable(cx: &mut Context<'_>, quote: View<'_>) -> Result<(), Truncated> {
    let (protocol, destination) = (quote.u8(9)?, quote.ipv4(16)?);
    cx.address(destination);
    cx.put(format_args!(" protocol {protocol} unreachable"));
    Ok(())
}

fn port_unreachable(cx: &mut Context<'_>, quote: View<'_>) -> Result<(), Truncated> {
    let header_len = usize::from(quote.u8(0)? & 0x0f) * 4;
    let protocol = IpNumber(quote.u8(9)?);
    let destination = quote.ipv4(16)?;
    let port = quote.be16(header_len + 2)?;
    cx.address(destination);
    port_of(cx, protocol, port);
    cx.text(" unreachable");
    Ok(())
}

/// ` tcp port 443`.
pub(super) fn port_of(cx: &mut Context<'_>, protocol: IpNumber, port: u16) {
    let (name, service) = match protocol {
        IpNumber::TCP => (" tcp port ", Service::Tcp),
        IpNumber::UDP => (" udp port ", Service::Udp),
        IpNumber::SCTP => (" sctp port ", Service::Sctp),
        other => {
            cx.put(format_args!(" protocol {} port {port}", other.0));
            return;
        }
    };
    cx.text(name);
    cx.port(service, port);
}

fn redirect(cx: &mut Context<'_>, code: u8, message: View<'_>) -> Result<(), Truncated> {
    let gateway = message.ipv4(4)?;
    let destination = message.skip(QUOTE).ipv4(16)?;
    let (name, to) = match code {
        0 => ("redirect ", " to net "),
        1 => ("redirect ", " to host "),
        2 => ("redirect-tos ", " to net "),
        3 => ("redirect-tos ", " to host "),
        _ => ("redirect-#", " to "),
    };
    cx.text(name);
    if code > 3 {
        cx.put(format_args!("{code} "));
    }
    cx.address(destination);
    cx.text(to);
    cx.address(gateway);
    Ok(())
}
