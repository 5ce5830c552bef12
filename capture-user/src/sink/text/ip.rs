//! IPv4 (RFC 791), and what follows an IP header of either version.

use std::net::IpAddr;

use etherparse::err::ipv4::{HeaderError, HeaderSliceError};
use etherparse::{IpNumber, Ipv4HeaderSlice};

use super::checksum::{self, Verdict};
use super::context::Context;
use super::names::Service;
use super::view::{Truncated, View};
use super::{icmp, icmp6, igmp, ipv6, sctp, tcp, tunnel, udp};

/// What the layers above need to know of the IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Whether this is one fragment of several: lengths and checksums can't be judged.
    pub(super) fragment: bool,
    /// Whether the addresses were shown already, so that ports stand alone.
    pub(super) addressed: bool,
}

impl Network {
    /// `a > b`.
    pub(super) fn addresses(&self, cx: &mut Context<'_>) {
        cx.address(self.source);
        cx.text(" > ");
        cx.address(self.destination);
    }

    /// `a.p > b.q: `, or `p > q: ` if the addresses were shown already.
    pub(super) fn ends(&self, cx: &mut Context<'_>, service: Service, ports: [u16; 2]) {
        let [source, destination] = ports;
        if !self.addressed {
            cx.address(self.source);
            cx.text(".");
        }
        cx.port(service, source);
        cx.text(" > ");
        if !self.addressed {
            cx.address(self.destination);
            cx.text(".");
        }
        cx.port(service, destination);
        cx.text(": ");
    }

    /// The ports at the head of a segment. Where even they are missing the addresses are shown
    /// alone.
    pub(super) fn ports(
        &self,
        cx: &mut Context<'_>,
        segment: View<'_>,
    ) -> Result<[u16; 2], Truncated> {
        let Ok(ports) = segment.be32(0) else {
            if !self.addressed {
                self.addresses(cx);
                cx.text(":");
            }
            return Err(segment.truncated());
        };
        // Both halves of 32 bits.
        Ok([(ports >> 16) as u16, ports as u16])
    }
}

/// An IPv4 packet.
pub(super) fn packet(cx: &mut Context<'_>, packet: View<'_>) -> Result<(), Truncated> {
    cx.nested(|cx| whole(cx, packet.of("ip")))
}

fn whole(cx: &mut Context<'_>, packet: View<'_>) -> Result<(), Truncated> {
    cx.text("IP ");
    let header = match Ipv4HeaderSlice::from_slice(packet.bytes()) {
        Ok(header) => header,
        Err(HeaderSliceError::Len(_)) => return Err(packet.truncated()),
        Err(HeaderSliceError::Content(HeaderError::UnexpectedVersion { version_number })) => {
            cx.field("[version ", version_number);
            cx.text(" where 4 belongs]");
            return Ok(());
        }
        Err(HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { ihl })) => {
            cx.field("bad-hlen ", ihl * 4);
            return Ok(());
        }
    };
    let header_len = header.slice().len();
    let total_len = match usize::from(header.total_len()) {
        // A super-frame beyond 64 KiB ("BIG TCP") can't say its length.
        0 => packet.len(),
        len => len,
    };
    if total_len < header_len {
        cx.put(format_args!("bad-len {total_len}"));
        return Ok(());
    }
    if let Some(missing) = total_len.checked_sub(packet.len()).filter(|n| *n > 0) {
        cx.put(format_args!("truncated-ip - {missing} bytes missing! "));
    }
    if cx.verbose() {
        details(cx, &header, packet)?;
    }
    let network = Network {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        fragment: header.is_fragmenting_payload(),
        addressed: false,
    };
    let protocol = header.protocol();
    if header.fragments_offset().value() == 0 {
        return payload(
            cx,
            network,
            protocol,
            packet.limit(total_len).skip(header_len),
        );
    }
    network.addresses(cx);
    cx.text(": ");
    protocol_name(cx, protocol);
    Ok(())
}

/// What `-v` adds, in parentheses. tcpdump goes on in a new line; here a packet is one line.
fn details(
    cx: &mut Context<'_>,
    header: &Ipv4HeaderSlice<'_>,
    packet: View<'_>,
) -> Result<(), Truncated> {
    let tos = packet.u8(1)?;
    cx.put(format_args!("(tos 0x{tos:x}"));
    cx.text(match tos & 3 {
        1 => ",ECT(1)",
        2 => ",ECT(0)",
        3 => ",CE",
        _ => "",
    });
    cx.field(", ttl ", header.ttl());
    cx.field(", id ", header.identification());
    cx.field(
        ", offset ",
        u32::from(header.fragments_offset().value()) * 8,
    );
    cx.text(", flags [");
    // Bit order of RFC 791, 3.1: reserved, don't fragment, more fragments.
    cx.text(match packet.u8(6)? >> 5 {
        0 => "none",
        1 => "+",
        2 => "DF",
        3 => "+, DF",
        4 => "rsvd",
        5 => "+, rsvd",
        6 => "DF, rsvd",
        _ => "+, DF, rsvd",
    });
    let protocol = header.protocol();
    cx.put(format_args!(
        "], proto {} ({}), length {}",
        label(protocol),
        protocol.0,
        header.total_len()
    ));
    if !header.options().is_empty() {
        cx.text(", options (");
        options(cx, header.options());
        cx.text(")");
    }
    let field = header.header_checksum();
    if let Verdict::Incorrect(should_be) = checksum::of_message(header.slice(), field) {
        cx.put(format_args!(", bad cksum {field:x} (->{should_be:x})!"));
    }
    cx.text(") ");
    Ok(())
}

/// The kinds of options, without what is in them.
fn options(cx: &mut Context<'_>, mut options: &[u8]) {
    let mut separator = "";
    while let [kind, rest @ ..] = options {
        cx.text(separator);
        separator = ",";
        let name = match kind {
            0 => "EOL",
            1 => "NOP",
            7 => "RR",
            68 => "TS",
            130 => "SEC",
            131 => "LSRR",
            137 => "SSRR",
            148 => "RA",
            _ => "unknown",
        };
        cx.text(name);
        if name == "unknown" {
            cx.field(" ", *kind);
        }
        options = match kind {
            0 => return,
            1 => rest,
            _ => match rest
                .first()
                .and_then(|len| options.get(usize::from(*len).max(2)..))
            {
                Some(next) => next,
                None => {
                    cx.text(" [bad length]");
                    return;
                }
            },
        };
    }
}

/// What an IP packet of either version carries, extension headers first.
pub(super) fn payload(
    cx: &mut Context<'_>,
    mut network: Network,
    protocol: IpNumber,
    payload: View<'_>,
) -> Result<(), Truncated> {
    if !matches!(protocol, IpNumber::TCP | IpNumber::UDP | IpNumber::SCTP) {
        network.addresses(cx);
        cx.text(": ");
        network.addressed = true;
    }
    match ipv6::extensions(cx, &mut network, protocol, payload)? {
        Some((protocol, payload)) => upper(cx, &network, protocol, payload),
        None => Ok(()),
    }
}

fn upper(
    cx: &mut Context<'_>,
    network: &Network,
    protocol: IpNumber,
    payload: View<'_>,
) -> Result<(), Truncated> {
    match protocol {
        IpNumber::TCP => tcp::segment(cx, network, payload),
        IpNumber::UDP => udp::datagram(cx, network, payload),
        IpNumber::SCTP => sctp::packet(cx, network, payload),
        IpNumber::ICMP => icmp::message(cx, network, payload),
        IpNumber::IPV6_ICMP => icmp6::message(cx, network, payload),
        IpNumber::IGMP => igmp::message(cx, payload),
        IpNumber::IPV4 => packet(cx, payload),
        IpNumber::IPV6 => ipv6::packet(cx, payload),
        IpNumber::GRE => tunnel::gre(cx, payload),
        IpNumber::ENCAPSULATING_SECURITY_PAYLOAD => {
            let payload = payload.of("esp");
            let (spi, sequence) = (payload.be32(0)?, payload.be32(4)?);
            cx.put(format_args!(
                "ESP(spi=0x{spi:08x},seq=0x{sequence:x}), length {}",
                payload.len()
            ));
            Ok(())
        }
        IpNumber::IPV6_NO_NEXT_HEADER => {
            cx.text("no next header");
            Ok(())
        }
        other => {
            protocol_name(cx, other);
            cx.put(format_args!(" {}", payload.len()));
            Ok(())
        }
    }
}

/// The protocol as tcpdump names it in the details of `-v`.
pub(super) fn label(protocol: IpNumber) -> &'static str {
    match protocol {
        IpNumber::IPV6_HEADER_HOP_BY_HOP => "Options",
        IpNumber::IPV4 => "IPIP",
        IpNumber::IPV6_ROUTE_HEADER => "Routing",
        IpNumber::IPV6_FRAGMENTATION_HEADER => "Fragment",
        IpNumber::IPV6_ICMP => "ICMPv6",
        IpNumber::OSPFIGP => "OSPF",
        IpNumber::IPV6_DESTINATION_OPTIONS | IpNumber::IPV6_NO_NEXT_HEADER => "unknown",
        other => other.keyword_str().unwrap_or("unknown"),
    }
}

/// `udp`, or `ip-proto-17` with `-n` or without a name.
fn protocol_name(cx: &mut Context<'_>, protocol: IpNumber) {
    match protocol.keyword_str() {
        Some(name) if !cx.names.is_numeric() => {
            cx.out
                .extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        _ => cx.field("ip-proto-", protocol.0),
    }
}
