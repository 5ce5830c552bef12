//! IPv6 and its extension headers (RFC 8200).

use capture_common::filter::MAX_EXTENSION_HEADERS;
use etherparse::err::ipv6::HeaderSliceError;
use etherparse::{IpNumber, Ipv6HeaderSlice};

use super::context::Context;
use super::ip::{self, Network};
use super::view::{Truncated, View};

/// An IPv6 packet.
pub(super) fn packet(cx: &mut Context<'_>, packet: View<'_>) -> Result<(), Truncated> {
    cx.nested(|cx| whole(cx, packet.of("ip6")))
}

fn whole(cx: &mut Context<'_>, packet: View<'_>) -> Result<(), Truncated> {
    cx.text("IP6 ");
    let header = match Ipv6HeaderSlice::from_slice(packet.bytes()) {
        Ok(header) => header,
        Err(HeaderSliceError::Len(_)) => return Err(packet.truncated()),
        Err(HeaderSliceError::Content(_)) => {
            cx.field("[version ", packet.u8(0)? >> 4);
            cx.text(" where 6 belongs]");
            return Ok(());
        }
    };
    let rest = packet.skip(header.slice().len());
    let payload_len = match usize::from(header.payload_length()) {
        // A jumbogram (RFC 2675), or a super-frame beyond 64 KiB ("BIG TCP"): the frame's end
        // is the packet's.
        0 => rest.len(),
        len => len,
    };
    if let Some(missing) = payload_len.checked_sub(rest.len()).filter(|n| *n > 0) {
        cx.put(format_args!("truncated-ip6 - {missing} bytes missing! "));
    }
    let protocol = header.next_header();
    if cx.verbose() {
        cx.text("(");
        if header.traffic_class() != 0 {
            cx.put(format_args!("class 0x{:02x}, ", header.traffic_class()));
        }
        if header.flow_label().value() != 0 {
            cx.put(format_args!(
                "flowlabel 0x{:05x}, ",
                header.flow_label().value()
            ));
        }
        cx.put(format_args!(
            "hlim {}, next-header {} ({}) payload length: {}) ",
            header.hop_limit(),
            ip::label(protocol),
            protocol.0,
            header.payload_length()
        ));
    }
    let network = Network {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        fragment: false,
        addressed: false,
    };
    ip::payload(cx, network, protocol, rest.limit(payload_len))
}

/// Shows the extension headers and gives what comes behind them; nothing if this is a later
/// fragment. IPv4 knows but one of them, the authentication header.
pub(super) fn extensions<'a>(
    cx: &mut Context<'_>,
    network: &mut Network,
    mut protocol: IpNumber,
    mut payload: View<'a>,
) -> Result<Option<(IpNumber, View<'a>)>, Truncated> {
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let len = match protocol {
            IpNumber::AUTHENTICATION_HEADER => authentication(cx, payload.of("ah"))?,
            _ if network.source.is_ipv4() => return Ok(Some((protocol, payload))),
            IpNumber::IPV6_HEADER_HOP_BY_HOP => {
                cx.text("HBH ");
                options_len(payload.of("hbhopt"))?
            }
            IpNumber::IPV6_DESTINATION_OPTIONS => {
                cx.text("DSTOPT ");
                options_len(payload.of("dstopt"))?
            }
            IpNumber::IPV6_ROUTE_HEADER => routing(cx, payload.of("rt6"))?,
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                let header = payload.of("frag");
                let later = fragment(cx, network, header)?;
                if later {
                    return Ok(None);
                }
                8
            }
            _ => return Ok(Some((protocol, payload))),
        };
        protocol = IpNumber(payload.u8(0)?);
        payload = payload.skip(len);
    }
    cx.text("[further extension headers not shown]");
    Ok(None)
}

/// The length of a header that counts in units of eight bytes beyond the first.
fn options_len(header: View<'_>) -> Result<usize, Truncated> {
    Ok((usize::from(header.u8(1)?) + 1) * 8)
}

fn routing(cx: &mut Context<'_>, header: View<'_>) -> Result<usize, Truncated> {
    let [len, kind, segments_left] = header.array(1)?;
    cx.put(format_args!(
        "RT6 (len={len}, type={kind}, segleft={segments_left}) "
    ));
    options_len(header)
}

/// Whether it is a fragment beyond the first one.
fn fragment(
    cx: &mut Context<'_>,
    network: &mut Network,
    header: View<'_>,
) -> Result<bool, Truncated> {
    let offset_and_more = header.be16(2)?;
    let identification = header.be32(4)?;
    let offset = offset_and_more & !7;
    cx.text("frag (");
    if cx.verbose() {
        cx.put(format_args!("0x{identification:08x}:"));
    }
    cx.put(format_args!("{offset}|{})", header.len().saturating_sub(8)));
    network.fragment |= offset_and_more & !6 != 0;
    if offset == 0 {
        cx.text(" ");
    }
    Ok(offset != 0)
}

/// The authentication header (RFC 4302), which counts in units of four bytes beyond the second.
fn authentication(cx: &mut Context<'_>, header: View<'_>) -> Result<usize, Truncated> {
    let len = (usize::from(header.u8(1)?) + 2) * 4;
    let (spi, sequence) = (header.be32(4)?, header.be32(8)?);
    cx.put(format_args!("AH(spi=0x{spi:08x},seq=0x{sequence:x}): "));
    Ok(len)
}
