//! IPv6 and the extension headers that ports and protocols are found behind.

use capture_common::filter::MAX_EXTENSION_HEADERS;
use lab::frames::corpus::{self, FIRST_V6, SECOND_V6};
use lab::frames::ip::{
    AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, Ipv6, NO_NEXT_HEADER, ROUTING,
};
use lab::frames::transport::{SCTP, SYN, TCP, UDP};
use lab::frames::{Flow, Frame, IPV6, ethernet, transport};

use crate::bench::Bench;

/// Mobility (RFC 6275), HIP (RFC 7401), shim6 (RFC 5533).
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
/// The headers whose length counts eight bytes, the first eight left out.
const IN_EIGHTS: [u8; 6] = [
    HOP_BY_HOP,
    ROUTING,
    DESTINATION_OPTIONS,
    MOBILITY,
    HIP,
    SHIM6,
];

fn header() -> Ipv6 {
    Ipv6::new(FIRST_V6, SECOND_V6)
}

fn segment() -> Vec<u8> {
    let flow = Flow::new("[2001:db8:1::1]:40000", "[2001:db8:1::2]:443");
    transport::tcp(flow, SYN, b"payload")
}

fn frame(packet: &[u8]) -> Frame {
    ethernet(IPV6, packet)
}

/// TCP to port 443 behind the headers.
fn https(headers: &Ipv6) -> Frame {
    frame(&headers.packet(TCP, &segment()))
}

#[test]
fn ports_are_found_behind_a_header_of_each_kind_and_length() {
    let mut bench = Bench::load("--sport 40000 --dport 443 --proto tcp");
    assert!(bench.matches(&https(&header())));
    for kind in IN_EIGHTS {
        for len in [8, 16, 24, 64, 1_024, 2_048] {
            let frame = https(&header().extension(kind, len));
            assert!(bench.matches(&frame), "header {kind} of {len} bytes");
        }
    }
    // The authentication header counts words of four (RFC 4302, 2.2).
    for len in [8, 12, 16, 24, 28, 512, 1_028] {
        let frame = https(&header().authentication(len));
        assert!(bench.matches(&frame), "authentication of {len} bytes");
    }
    assert!(bench.matches(&https(&header().fragment(7, 0, true))));
}

#[test]
fn every_kind_of_header_may_follow_every_other() {
    let mut bench = Bench::load("--dport 443");
    let add = |headers: Ipv6, kind: u8| match kind {
        AUTHENTICATION => headers.authentication(24),
        FRAGMENT => headers.fragment(1, 0, true),
        kind => headers.extension(kind, 16),
    };
    let kinds = IN_EIGHTS.into_iter().chain([AUTHENTICATION, FRAGMENT]);
    for first in kinds.clone() {
        for second in kinds.clone() {
            for third in kinds.clone() {
                let headers = [first, second, third].into_iter().fold(header(), add);
                assert!(bench.matches(&https(&headers)), "{first} {second} {third}");
            }
        }
    }
}

#[test]
fn as_many_headers_as_promised_are_looked_through_and_no_more() {
    let mut by_port = Bench::load("--port 443");
    let mut by_protocol = Bench::load("--proto tcp");
    let mut by_address = Bench::load("--host 2001:db8:1::1");
    for many in 0..=2 * MAX_EXTENSION_HEADERS {
        let within = many <= MAX_EXTENSION_HEADERS;
        for kind in IN_EIGHTS {
            let headers = (0..many).fold(header(), |headers, _| headers.extension(kind, 8));
            let frame = https(&headers);
            assert_eq!(by_port.matches(&frame), within, "{many} of {kind}");
            assert_eq!(by_protocol.matches(&frame), within, "{many} of {kind}");
            assert!(by_address.matches(&frame), "{many} of {kind}");
        }
        let headers = (0..many).fold(header(), |headers, _| headers.authentication(12));
        assert_eq!(by_port.matches(&https(&headers)), within, "{many}");
        let headers = (0..many).fold(header(), |headers, _| headers.fragment(1, 0, true));
        assert_eq!(by_port.matches(&https(&headers)), within, "{many}");
    }
}

#[test]
fn the_longest_chain_there_can_be_is_looked_through() {
    // Headers of 2,048 bytes each are more than a page; see the outlet.
    let mut bench = Bench::load("--port 443");
    let longest = |many| (0..many).fold(header(), |headers, _| headers.extension(60, 2_048));
    assert!(bench.matches(&https(&longest(MAX_EXTENSION_HEADERS))));
    assert!(!bench.matches(&https(&longest(MAX_EXTENSION_HEADERS + 1))));
}

#[test]
fn any_header_of_the_chain_answers_to_its_number() {
    let mut chain = https(
        &header()
            .extension(HOP_BY_HOP, 8)
            .extension(DESTINATION_OPTIONS, 8)
            .authentication(24),
    );
    for (protocols, matches) in [
        ("0", true),
        ("60", true),
        ("51", true),
        ("tcp,udp", true),
        ("arp,udp,sctp,43,44,58,59", false),
    ] {
        let mut bench = Bench::load(&format!("--proto {protocols}"));
        assert_eq!(bench.matches(&chain), matches, "{protocols}");
    }
    // Not the header that would have come next, had it been announced.
    chain[14 + 6] = NO_NEXT_HEADER;
    assert!(!Bench::load("--proto tcp,0,60").matches(&chain));
}

#[test]
fn a_port_is_in_the_first_fragment_only_and_the_protocol_in_every_one() {
    let mut by_port = Bench::load("--port 443");
    let mut by_protocol = Bench::load("--proto tcp");
    let mut by_options = Bench::load("--proto 60");
    for offset in [0, 8, 16, 1_448, 0x7ff8, 0x8000, 0xfff8] {
        for more in [true, false] {
            let frame = https(&header().fragment(41, offset, more));
            assert_eq!(by_port.matches(&frame), offset == 0, "{offset} {more}");
            assert!(by_protocol.matches(&frame), "{offset} {more}");
            // Behind a later fragment's header is payload, whatever it looks like.
            let headers = header().fragment(41, offset, more);
            let frame = https(&headers.extension(DESTINATION_OPTIONS, 8));
            assert_eq!(by_port.matches(&frame), offset == 0, "{offset} {more}");
            assert_eq!(by_protocol.matches(&frame), offset == 0, "{offset} {more}");
            assert!(by_options.matches(&frame), "{offset} {more}");
        }
    }
    // The two reserved bits are no part of the offset.
    let mut frame = https(&header().fragment(41, 0, true));
    frame[14 + 40 + 3] |= 0b110;
    assert!(by_port.matches(&frame));
}

#[test]
fn a_header_that_claims_more_than_there_is_hides_the_ports_behind_it() {
    let mut by_port = Bench::load("--port 0-65535");
    let mut by_protocol = Bench::load("--proto tcp");
    for kind in IN_EIGHTS.into_iter().chain([AUTHENTICATION]) {
        let headers = match kind {
            AUTHENTICATION => header().authentication(8),
            kind => header().extension(kind, 8),
        };
        // Eight bytes, and as many as there are behind them.
        let behind = segment().len();
        let unit = if kind == AUTHENTICATION { 4 } else { 8 };
        for more in 1..=255u8 {
            let mut frame = https(&headers);
            frame[14 + 40 + 1] = more;
            let there = usize::from(more) * unit + 4 <= behind;
            assert_eq!(by_port.matches(&frame), there, "{kind} {more}");
            assert!(by_protocol.matches(&frame), "{kind} {more}");
        }
    }
}

#[test]
fn nothing_is_looked_for_behind_a_header_that_is_not_known() {
    let mut by_port = Bench::load("--port 0-65535");
    let mut by_protocol = Bench::load("--proto tcp");
    for next in 0..=255 {
        let packet = header().packet(next, &segment());
        let has_ports = [TCP, UDP, SCTP].contains(&next);
        // The headers that are known read what the segment starts with as theirs.
        let is_extension = IN_EIGHTS.contains(&next) || [FRAGMENT, AUTHENTICATION].contains(&next);
        let by_port = by_port.matches(&frame(&packet));
        assert!(by_port == has_ports || is_extension, "{next}");
        let by_protocol = by_protocol.matches(&frame(&packet));
        assert!(by_protocol == (next == TCP) || is_extension, "{next}");
    }
}

#[test]
fn the_payload_length_makes_no_difference() {
    let mut bench = Bench::load("--src 2001:db8:1::1 --dport 443 --proto tcp");
    for len in [0, 1, 19, 0xffff_u16] {
        let mut packet = header().packet(TCP, &segment());
        packet[4..6].copy_from_slice(&len.to_be_bytes());
        assert!(bench.matches(&frame(&packet)), "{len}");
    }
}

#[test]
fn the_chains_that_the_lab_has_match_the_port_behind_them() {
    let mut bench = Bench::load("--sport 50000 --dport 53 --proto udp");
    for frame in corpus::behind_extension_headers() {
        assert!(bench.matches(&frame), "{frame:x?}");
    }
}
