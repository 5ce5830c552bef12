//! TCP (RFC 9293), but for its options.

use etherparse::IpNumber;

use super::checksum::{self, Verdict};
use super::connections::Numbers;
use super::context::Context;
use super::ip::Network;
use super::names::Service;
use super::view::{Truncated, View};
use super::{dns, http, tcp_options};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;

/// Bytes of a header without options.
const HEADER: usize = 20;

/// The header's bits in the order in which tcpdump shows them, W being CWR and E being ECE.
const FLAGS: [(u8, &str); 8] = [
    (FIN, "F"),
    (SYN, "S"),
    (RST, "R"),
    (0x08, "P"),
    (ACK, "."),
    (URG, "U"),
    (0x40, "E"),
    (0x80, "W"),
];

/// A segment.
pub(super) fn segment(
    cx: &mut Context<'_>,
    network: &Network,
    segment: View<'_>,
) -> Result<(), Truncated> {
    let segment = segment.of("tcp");
    let ports = network.ports(cx, segment)?;
    network.ends(cx, Service::Tcp, ports);
    let header_len = usize::from(segment.u8(12)? >> 4) * 4;
    if header_len < HEADER {
        cx.put(format_args!(
            "[bad hdr length {header_len} - too short, < {HEADER}]"
        ));
        return Ok(());
    }
    if header_len > segment.len() {
        cx.put(format_args!(
            "[bad hdr length {header_len} - too long, > {}]",
            segment.len()
        ));
        return Ok(());
    }
    let sequence = segment.be32(4)?;
    let acknowledgement = segment.be32(8)?;
    let flags = segment.u8(13)?;
    show_flags(cx, flags);
    let numbers = if flags & ACK == 0 {
        Numbers {
            sequence,
            acknowledgement,
            sack_base: 0,
        }
    } else {
        let [source, destination] = ports;
        cx.connections.numbers(
            (network.source, source),
            (network.destination, destination),
            flags & SYN != 0,
            sequence,
            acknowledgement,
        )
    };
    let window = segment.be16(14)?;
    if cx.verbose() && !network.fragment && segment.is_whole() {
        show_checksum(cx, network, segment)?;
    }
    let payload = segment.skip(header_len);
    if !payload.is_empty() || flags & (SYN | FIN | RST) != 0 || cx.verbosity > 1 {
        cx.field(", seq ", numbers.sequence);
        if !payload.is_empty() {
            // Sequence numbers wrap, so the low 32 bits are what counts.
            cx.field(":", numbers.sequence.wrapping_add(payload.len() as u32));
        }
    }
    if flags & ACK != 0 {
        cx.field(", ack ", numbers.acknowledgement);
    }
    cx.field(", win ", window);
    if flags & URG != 0 {
        cx.field(", urg ", segment.be16(18)?);
    }
    let options = segment.limit(header_len).skip(HEADER);
    if !options.is_empty() {
        cx.text(", options [");
        tcp_options::show(cx, options, numbers.sack_base)?;
        cx.text("]");
    }
    cx.put(format_args!(", length {}", payload.len()));
    if network.fragment || payload.bytes().is_empty() {
        return Ok(());
    }
    if ports.contains(&dns::PORT) {
        dns::over_tcp(cx, payload)
    } else if http::PORTS.iter().any(|port| ports.contains(port)) {
        http::first_line(cx, payload);
        Ok(())
    } else {
        Ok(())
    }
}

fn show_flags(cx: &mut Context<'_>, flags: u8) {
    cx.text("Flags [");
    if flags == 0 {
        cx.text("none");
    }
    for (bit, letter) in FLAGS {
        if flags & bit != 0 {
            cx.text(letter);
        }
    }
    cx.text("]");
}

fn show_checksum(
    cx: &mut Context<'_>,
    network: &Network,
    segment: View<'_>,
) -> Result<(), Truncated> {
    let field = segment.be16(16)?;
    cx.put(format_args!(", cksum 0x{field:04x} "));
    match checksum::of_segment(
        network.source,
        network.destination,
        IpNumber::TCP,
        segment.bytes(),
        field,
    ) {
        Verdict::Correct => cx.text("(correct)"),
        Verdict::Offloaded => cx.text("(offloaded)"),
        Verdict::Incorrect(should_be) => {
            cx.put(format_args!("(incorrect -> 0x{should_be:04x})"));
        }
    }
    Ok(())
}
