//! ICMPv6 (RFC 4443), with neighbour discovery (RFC 4861) and MLD (RFC 2710, RFC 3810).

use etherparse::IpNumber;

use super::checksum::{self, Verdict};
use super::context::Context;
use super::icmp;
use super::ip::Network;
use super::view::{Truncated, View};

/// Where the packet that an error is about begins.
const QUOTE: usize = 8;

/// How many neighbour discovery options of one message are shown.
const MAX_OPTIONS: usize = 16;

/// A message.
pub(super) fn message(
    cx: &mut Context<'_>,
    network: &Network,
    message: View<'_>,
) -> Result<(), Truncated> {
    let message = message.of("icmp6");
    if cx.verbose() && !network.fragment && message.is_whole() {
        show_checksum(cx, network, message)?;
    }
    cx.text("ICMP6, ");
    let [kind, code] = message.array(0)?;
    let options = match kind {
        1..=4 => {
            error(cx, kind, code, message)?;
            None
        }
        128 | 129 => {
            let (id, sequence) = (message.be16(4)?, message.be16(6)?);
            cx.text(if kind == 128 {
                "echo request"
            } else {
                "echo reply"
            });
            cx.put(format_args!(", id {id}, seq {sequence}"));
            None
        }
        130..=132 | 143 => {
            listener(cx, kind, message)?;
            None
        }
        133..=137 => Some(neighbour(cx, kind, message)?),
        _ => {
            cx.put(format_args!("type-#{kind}, code {code}"));
            None
        }
    };
    cx.put(format_args!(", length {}", message.len()));
    match options {
        Some(at) if cx.verbose() => show_options(cx, message.skip(at)),
        _ => Ok(()),
    }
}

fn show_checksum(
    cx: &mut Context<'_>,
    network: &Network,
    message: View<'_>,
) -> Result<(), Truncated> {
    let field = message.be16(2)?;
    match checksum::of_segment(
        network.source,
        network.destination,
        IpNumber::IPV6_ICMP,
        message.bytes(),
        field,
    ) {
        Verdict::Correct => cx.text("[icmp6 sum ok] "),
        Verdict::Offloaded => cx.text("[icmp6 sum offloaded] "),
        Verdict::Incorrect(should_be) => cx.put(format_args!(
            "[bad icmp6 cksum 0x{field:04x} -> 0x{should_be:04x}!] "
        )),
    }
    Ok(())
}

fn error(cx: &mut Context<'_>, kind: u8, code: u8, message: View<'_>) -> Result<(), Truncated> {
    let quote = message.skip(QUOTE);
    match (kind, code) {
        (1, 4) => {
            cx.text("destination unreachable, unreachable port, ");
            let protocol = IpNumber(quote.u8(6)?);
            let destination = quote.ipv6(24)?;
            let port = quote.be16(42)?;
            cx.address(destination);
            icmp::port_of(cx, protocol, port);
            return Ok(());
        }
        (1, _) => {
            cx.text("destination unreachable, ");
            match code {
                0 => cx.text("unreachable route "),
                1 => cx.text("unreachable prohibited "),
                2 => cx.text("beyond scope "),
                3 => cx.text("unreachable address "),
                5 => cx.text("source address failed policy "),
                6 => cx.text("reject route "),
                _ => cx.put(format_args!("code-#{code} ")),
            }
        }
        (2, _) => {
            cx.field("packet too big, mtu ", message.be32(4)?);
            return Ok(());
        }
        (3, 0) => cx.text("time exceeded in-transit for "),
        (3, 1) => {
            cx.text("time exceeded in-transit (reassembly)");
            return Ok(());
        }
        (3, _) => cx.put(format_args!("time exceeded, unknown code #{code} for ")),
        _ => {
            cx.text("parameter problem, ");
            match code {
                0 => cx.text("erroneous - octet "),
                1 => cx.text("next header - octet "),
                2 => cx.text("option - octet "),
                3 => cx.text("incomplete header chain - octet "),
                _ => cx.put(format_args!("code-#{code} - octet ")),
            }
            cx.number(message.be32(4)?);
            return Ok(());
        }
    }
    cx.address(quote.ipv6(24)?);
    Ok(())
}

fn listener(cx: &mut Context<'_>, kind: u8, message: View<'_>) -> Result<(), Truncated> {
    if kind == 143 {
        cx.put(format_args!(
            "multicast listener report v2, {} group record(s)",
            message.be16(6)?
        ));
        return Ok(());
    }
    cx.text(match kind {
        // The second version's query is longer (RFC 3810, 8.1).
        130 if message.len() >= 28 => "multicast listener query v2",
        130 => "multicast listener query",
        131 => "multicast listener report",
        _ => "multicast listener done",
    });
    let delay = message.be16(4)?;
    let group = message.ipv6(8)?;
    cx.put(format_args!(" max resp delay: {delay} addr: {group}"));
    Ok(())
}

/// Gives the place where the options begin.
fn neighbour(cx: &mut Context<'_>, kind: u8, message: View<'_>) -> Result<usize, Truncated> {
    match kind {
        133 => {
            cx.text("router solicitation");
            Ok(8)
        }
        134 => {
            cx.text("router advertisement");
            if cx.verbose() {
                let [hop_limit, flags] = message.array(4)?;
                cx.field(", hop limit ", hop_limit);
                cx.text(match flags & 0xc0 {
                    0x00 => ", Flags [none]",
                    0x40 => ", Flags [other stateful]",
                    0x80 => ", Flags [managed]",
                    _ => ", Flags [managed, other stateful]",
                });
                cx.put(format_args!(", router lifetime {}s", message.be16(6)?));
            }
            Ok(16)
        }
        135 => {
            cx.text("neighbor solicitation, who has ");
            cx.address(message.ipv6(8)?);
            Ok(24)
        }
        136 => {
            cx.text("neighbor advertisement, tgt is ");
            cx.address(message.ipv6(8)?);
            if cx.verbose() {
                cx.text(match message.u8(4)? >> 5 {
                    0 => ", Flags [none]",
                    1 => ", Flags [override]",
                    2 => ", Flags [solicited]",
                    3 => ", Flags [solicited, override]",
                    4 => ", Flags [router]",
                    5 => ", Flags [router, override]",
                    6 => ", Flags [router, solicited]",
                    _ => ", Flags [router, solicited, override]",
                });
            }
            Ok(24)
        }
        _ => {
            let (target, destination) = (message.ipv6(8)?, message.ipv6(24)?);
            cx.text("redirect, ");
            cx.address(destination);
            cx.text(" to ");
            cx.address(target);
            Ok(40)
        }
    }
}

fn show_options(cx: &mut Context<'_>, mut options: View<'_>) -> Result<(), Truncated> {
    for _ in 0..MAX_OPTIONS {
        if options.is_empty() {
            return Ok(());
        }
        let [kind, units] = options.array(0)?;
        if units == 0 {
            cx.text(", option of length 0");
            return Ok(());
        }
        match kind {
            1 => {
                cx.text(", source link-address ");
                cx.mac(options.array(2)?);
            }
            2 => {
                cx.text(", destination link-address ");
                cx.mac(options.array(2)?);
            }
            3 => {
                let prefix = options.ipv6(16)?;
                cx.put(format_args!(", prefix {prefix}/{}", options.u8(2)?));
            }
            5 => cx.field(", mtu ", options.be32(4)?),
            _ => cx.field(", option ", kind),
        }
        options = options.skip(usize::from(units) * 8);
    }
    Ok(())
}
