//! Packets inside packets: GRE (RFC 2784, RFC 2890), VXLAN (RFC 7348), Geneve (RFC 8926). What is
//! inside is shown on the same line, behind a colon.

use super::context::Context;
use super::link;
use super::view::{Truncated, View};

/// VXLAN's registered port.
pub(super) const VXLAN_PORT: u16 = 4789;
/// The port that Linux gives VXLAN unless told otherwise; flannel and Cilium use it.
pub(super) const LINUX_VXLAN_PORT: u16 = 8472;
/// Geneve's registered port.
pub(super) const GENEVE_PORT: u16 = 6081;

/// The protocol type of an Ethernet frame within GRE and Geneve.
const TRANSPARENT_ETHERNET_BRIDGING: u16 = 0x6558;

/// VXLAN.
pub(super) fn vxlan(cx: &mut Context<'_>, payload: View<'_>) -> Result<(), Truncated> {
    let payload = payload.of("vxlan");
    let flags = payload.u8(0)?;
    let vni = payload.be24(4)?;
    cx.put(format_args!(
        "VXLAN, flags [{}] (0x{flags:02x}), vni {vni}: ",
        if flags & 0x08 == 0 { "." } else { "I" }
    ));
    cx.nested(|cx| link::ethernet(cx, payload.skip(8)))
}

/// Geneve. Its options are shown as so many bytes.
pub(super) fn geneve(cx: &mut Context<'_>, payload: View<'_>) -> Result<(), Truncated> {
    let payload = payload.of("geneve");
    let [version_and_len, flags] = payload.array(0)?;
    let protocol = payload.be16(2)?;
    let vni = payload.be24(4)?;
    let options = usize::from(version_and_len & 0x3f) * 4;
    let flags = match flags & 0xc0 {
        0x00 => "none",
        0x40 => "C",
        0x80 => "O",
        _ => "OC",
    };
    cx.put(format_args!("Geneve, Flags [{flags}], vni 0x{vni:x}"));
    if protocol != TRANSPARENT_ETHERNET_BRIDGING {
        cx.put(format_args!(
            ", proto {} (0x{protocol:04x})",
            link::name(protocol)
        ));
    }
    if options != 0 {
        cx.put(format_args!(", options [{options} bytes]"));
    }
    cx.text(": ");
    inner(cx, protocol, payload.skip(8 + options))
}

/// GRE, version 0. Version 1 is PPTP's and only named.
pub(super) fn gre(cx: &mut Context<'_>, packet: View<'_>) -> Result<(), Truncated> {
    let packet = packet.of("gre");
    let flags = packet.be16(0)?;
    let protocol = packet.be16(2)?;
    let version = flags & 7;
    cx.field("GREv", version);
    if version != 0 {
        cx.put(format_args!(", length {}", packet.len()));
        return Ok(());
    }
    let mut header = 4;
    // RFC 1701's routing bit asks for the checksum's four bytes as well.
    if flags & 0xc000 != 0 {
        header += 4;
    }
    if flags & 0x2000 != 0 {
        cx.put(format_args!(", key=0x{:x}", packet.be32(header)?));
        header += 4;
    }
    if flags & 0x1000 != 0 {
        cx.field(", seq ", packet.be32(header)?);
        header += 4;
    }
    cx.put(format_args!(", length {}: ", packet.len()));
    inner(cx, protocol, packet.skip(header))
}

fn inner(cx: &mut Context<'_>, protocol: u16, packet: View<'_>) -> Result<(), Truncated> {
    if protocol == TRANSPARENT_ETHERNET_BRIDGING {
        return cx.nested(|cx| link::ethernet(cx, packet));
    }
    if !link::network(cx, protocol, packet)? {
        cx.put(format_args!("{} 0x{protocol:04x}", link::name(protocol)));
    }
    Ok(())
}
