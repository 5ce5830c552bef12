//! ARP (RFC 826) and RARP (RFC 903).

use super::context::Context;
use super::view::{Truncated, View};

/// An ARP packet; `name` tells ARP and RARP apart.
pub(super) fn packet(
    cx: &mut Context<'_>,
    name: &'static str,
    packet: View<'_>,
) -> Result<(), Truncated> {
    let packet = packet.of("arp");
    cx.text(name);
    cx.text(", ");
    let hardware = packet.be16(0)?;
    let protocol = packet.be16(2)?;
    let lengths: [u8; 2] = packet.array(4)?;
    let operation = packet.be16(6)?;
    if (hardware, protocol, lengths) == (1, 0x0800, [6, 4]) {
        if cx.verbose() {
            cx.text("Ethernet (len 6), IPv4 (len 4), ");
        }
        ethernet_ipv4(cx, operation, packet)?;
    } else {
        cx.put(format_args!(
            "hardware #{hardware} (len {}), protocol 0x{protocol:04x} (len {}), operation {operation}",
            lengths[0], lengths[1]
        ));
    }
    cx.put(format_args!(", length {}", packet.len()));
    Ok(())
}

fn ethernet_ipv4(cx: &mut Context<'_>, operation: u16, packet: View<'_>) -> Result<(), Truncated> {
    let sender: [u8; 6] = packet.array(8)?;
    let sender_ip = packet.ipv4(14)?;
    let target: [u8; 6] = packet.array(18)?;
    let target_ip = packet.ipv4(24)?;
    match operation {
        1 => {
            cx.text("Request who-has ");
            cx.address(target_ip);
            // A probe of a neighbour that is known already names it.
            if target != [0; 6] {
                cx.text(" (");
                cx.mac(target);
                cx.text(")");
            }
            cx.text(" tell ");
            cx.address(sender_ip);
        }
        2 => {
            cx.text("Reply ");
            cx.address(sender_ip);
            cx.text(" is-at ");
            cx.mac(sender);
        }
        3 => {
            cx.text("Reverse Request who-is ");
            cx.mac(target);
            cx.text(" tell ");
            cx.mac(sender);
        }
        4 => {
            cx.text("Reverse Reply ");
            cx.mac(target);
            cx.text(" at ");
            cx.address(target_ip);
        }
        _ => cx.field("operation ", operation),
    }
    Ok(())
}
