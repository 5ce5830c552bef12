//! SCTP (RFC 9260), chunk by chunk and briefly.

use super::context::Context;
use super::ip::Network;
use super::names::Service;
use super::view::{Truncated, View};

/// Bytes of the common header.
const HEADER: usize = 12;

/// How many chunks of one packet are shown.
const MAX_CHUNKS: usize = 16;

/// A packet.
pub(super) fn packet(
    cx: &mut Context<'_>,
    network: &Network,
    packet: View<'_>,
) -> Result<(), Truncated> {
    let packet = packet.of("sctp");
    let ports = network.ports(cx, packet)?;
    network.ends(cx, Service::Sctp, ports);
    cx.text("sctp");
    let mut chunks = packet.skip(HEADER);
    for number in 1..=MAX_CHUNKS {
        if chunks.is_empty() || network.fragment && chunks.bytes().is_empty() {
            return Ok(());
        }
        let [kind, flags] = chunks.array(0)?;
        let len = usize::from(chunks.be16(2)?);
        cx.put(format_args!(
            "{} ({number}) [{}]",
            if number == 1 { "" } else { "," },
            name(kind)
        ));
        if len < 4 {
            cx.put(format_args!(" [bad chunk length {len}]"));
            return Ok(());
        }
        chunk(cx, kind, flags, chunks.limit(len))?;
        // Padded to four bytes (RFC 9260, 3.2).
        chunks = chunks.skip(len.next_multiple_of(4));
    }
    cx.text(", ...");
    Ok(())
}

fn chunk(cx: &mut Context<'_>, kind: u8, flags: u8, chunk: View<'_>) -> Result<(), Truncated> {
    match kind {
        0 => {
            if flags & 4 != 0 {
                cx.text(" (U)");
            }
            if flags & 3 != 0 {
                cx.text(match flags & 3 {
                    1 => " (E)",
                    2 => " (B)",
                    _ => " (B)(E)",
                });
            }
            let (tsn, stream) = (chunk.be32(4)?, chunk.be16(8)?);
            let (sequence, protocol) = (chunk.be16(10)?, chunk.be32(12)?);
            cx.put(format_args!(
                " [TSN: {tsn}] [SID: {stream}] [SSEQ {sequence}] [PPID 0x{protocol:x}]"
            ));
        }
        1 | 2 => {
            let (tag, window) = (chunk.be32(4)?, chunk.be32(8)?);
            let (outbound, inbound, tsn) = (chunk.be16(12)?, chunk.be16(14)?, chunk.be32(16)?);
            cx.put(format_args!(
                " [init tag: {tag}] [rwnd: {window}] [OS: {outbound}] [MIS: {inbound}] [init TSN: {tsn}]"
            ));
        }
        3 => {
            let (tsn, window) = (chunk.be32(4)?, chunk.be32(8)?);
            let (gaps, duplicates) = (chunk.be16(12)?, chunk.be16(14)?);
            cx.put(format_args!(
                " [cum ack {tsn}] [a_rwnd {window}] [#gap acks {gaps}] [#dup tsns {duplicates}]"
            ));
        }
        _ => {}
    }
    Ok(())
}

/// The chunk types' names (RFC 9260, 3.2 and IANA's registry).
fn name(kind: u8) -> &'static str {
    match kind {
        0 => "DATA",
        1 => "INIT",
        2 => "INIT ACK",
        3 => "SACK",
        4 => "HB REQ",
        5 => "HB ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN ACK",
        9 => "OP ERR",
        10 => "COOKIE ECHO",
        11 => "COOKIE ACK",
        12 => "ECN ECHO",
        13 => "CWR",
        14 => "SHUTDOWN COMPLETE",
        15 => "AUTH",
        64 => "I-DATA",
        128 => "ASCONF-ACK",
        130 => "RE-CONFIG",
        132 => "PAD",
        192 => "FORWARD TSN",
        193 => "ASCONF",
        194 => "I-FORWARD TSN",
        _ => "unknown",
    }
}
