//! UDP (RFC 768).

use etherparse::IpNumber;

use super::checksum::{self, Verdict};
use super::context::Context;
use super::ip::Network;
use super::names::Service;
use super::view::{Truncated, View};
use super::{dns, tunnel};

const HEADER: usize = 8;

/// A datagram.
pub(super) fn datagram(
    cx: &mut Context<'_>,
    network: &Network,
    datagram: View<'_>,
) -> Result<(), Truncated> {
    let datagram = datagram.of("udp");
    let ports = network.ports(cx, datagram)?;
    network.ends(cx, Service::Udp, ports);
    if datagram.len() < HEADER {
        cx.put(format_args!("truncated-udp {}", datagram.len()));
        return Ok(());
    }
    let len = match usize::from(datagram.be16(4)?) {
        // A jumbogram (RFC 2675, 4) or a super-frame that is too long to say.
        0 if datagram.len() > usize::from(u16::MAX) => datagram.len(),
        len => len,
    };
    let Some(payload_len) = len.checked_sub(HEADER) else {
        cx.put(format_args!("truncated-udplength {len}"));
        return Ok(());
    };
    let field = datagram.be16(6)?;
    let datagram = datagram.limit(len);
    let payload = datagram.skip(HEADER);
    // tcpdump asks for one more -v over IPv4, where the header has a checksum of its own.
    let wanted = if network.source.is_ipv4() { 2 } else { 1 };
    if cx.verbosity >= wanted && !network.fragment {
        show_checksum(cx, network, datagram, field);
    }
    let [source, destination] = ports;
    // A tunnel's source port is a hash of the inner flow: only its destination says what it is.
    // A fragment holds a part of the payload only.
    match destination {
        tunnel::VXLAN_PORT | tunnel::LINUX_VXLAN_PORT if !network.fragment => {
            return tunnel::vxlan(cx, payload);
        }
        tunnel::GENEVE_PORT if !network.fragment => return tunnel::geneve(cx, payload),
        _ => {}
    }
    if !network.fragment && [source, destination].contains(&dns::PORT) {
        return dns::message(cx, payload, false);
    }
    if !network.fragment && [source, destination].contains(&dns::MULTICAST_PORT) {
        return dns::message(cx, payload, true);
    }
    if payload_len > payload.len() && !network.fragment {
        cx.put(format_args!(
            "UDP, bad length {payload_len} > {}",
            payload.len()
        ));
    } else {
        cx.put(format_args!("UDP, length {payload_len}"));
    }
    Ok(())
}

fn show_checksum(cx: &mut Context<'_>, network: &Network, datagram: View<'_>, field: u16) {
    if field == 0 {
        cx.text("[no cksum] ");
        return;
    }
    if !datagram.is_whole() {
        return;
    }
    match checksum::of_segment(
        network.source,
        network.destination,
        IpNumber::UDP,
        datagram.bytes(),
        field,
    ) {
        Verdict::Correct => cx.text("[udp sum ok] "),
        Verdict::Offloaded => cx.text("[udp sum offloaded] "),
        Verdict::Incorrect(should_be) => cx.put(format_args!(
            "[bad udp cksum 0x{field:04x} -> 0x{should_be:04x}!] "
        )),
    }
}
