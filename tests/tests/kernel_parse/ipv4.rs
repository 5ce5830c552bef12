//! IPv4 headers: lengths, options, fragments, protocols.

use lab::frames::corpus::{FIRST_V4, SECOND_V4};
use lab::frames::ip::Ipv4;
use lab::frames::transport::{ACK, SCTP, SYN, TCP, UDP};
use lab::frames::{Flow, Frame, IPV4, ethernet, transport};

use crate::bench::Bench;

fn flow() -> Flow {
    Flow::new("192.0.2.1:40000", "192.0.2.200:443")
}

/// A sound frame with these bytes of its IP header replaced.
fn with(at: usize, bytes: &[u8]) -> Frame {
    let mut frame = flow().tcp(SYN, b"payload");
    frame[14 + at..][..bytes.len()].copy_from_slice(bytes);
    frame
}

#[test]
fn ports_are_found_behind_options_of_every_length() {
    let mut bench = Bench::load("--sport 40000 --dport 443");
    for len in (0..=40).step_by(4) {
        // Options that would be ports 443 and 443 themselves.
        let options: Vec<u8> = [1, 0xbb].repeat(len / 2);
        let header = Ipv4::new(FIRST_V4, SECOND_V4).options(&options);
        let segment = transport::tcp(flow(), SYN, b"");
        assert!(bench.matches(&ethernet(IPV4, &header.packet(TCP, &segment))));
        let other = transport::tcp(flow().back(), SYN, b"");
        assert!(!bench.matches(&ethernet(IPV4, &header.packet(TCP, &other))));
    }
}

#[test]
fn ports_are_read_where_the_header_length_says_also_where_it_is_invalid() {
    let mut bench = Bench::load("--dport 443");
    // One word of the packet ends in 443, as if it were ports; the others do not.
    for place in 0..16usize {
        for claimed in 0..16u8 {
            let mut packet = vec![0; 80];
            packet[place * 4 + 2..][..2].copy_from_slice(&443u16.to_be_bytes());
            packet[0] = 0x40 | claimed;
            // Words one and two hold the fragment field and the protocol, which must be sound.
            packet[9] = TCP;
            packet[6..8].fill(0);
            let at_place = usize::from(claimed) == place && place != 1;
            let matches = bench.matches(&ethernet(IPV4, &packet));
            assert_eq!(matches, at_place, "word {place}, header of {claimed}");
        }
    }
}

#[test]
fn the_total_length_and_the_checksum_make_no_difference() {
    let mut bench = Bench::load("--host 192.0.2.1 --port 443 --proto tcp");
    for len in [0, 1, 19, 20, 21, 40, 0x7fff, 0xffff_u16] {
        assert!(bench.matches(&with(2, &len.to_be_bytes())), "length {len}");
    }
    assert!(bench.matches(&with(10, &[0x12, 0x34])));
}

#[test]
fn a_port_is_in_the_first_fragment_only_and_all_else_in_every_one() {
    let mut by_port = Bench::load("--port 443");
    let mut by_others = Bench::load("--src 192.0.2.1 --dst 192.0.2.200 --proto tcp");
    // Reserved bit, don't fragment, more fragments.
    for flags in (0..8u16).map(|flags| flags << 13) {
        for offset in [0, 1, 2, 8, 185, 0x0fff, 0x1000, 0x1fff] {
            let frame = with(6, &(flags | offset).to_be_bytes());
            assert_eq!(by_port.matches(&frame), offset == 0, "{flags} {offset}");
            assert!(by_others.matches(&frame), "{flags} {offset}");
        }
    }
}

#[test]
fn only_tcp_udp_and_sctp_have_ports() {
    let mut bench = Bench::load("--port 0-65535");
    for protocol in 0..=255 {
        let has_ports = [TCP, UDP, SCTP].contains(&protocol);
        assert_eq!(
            bench.matches(&with(9, &[protocol])),
            has_ports,
            "{protocol}"
        );
    }
}

#[test]
fn every_protocol_number_can_be_asked_for_and_no_other_answers() {
    for asked in [0, 6, 255u8] {
        let mut bench = Bench::load(&format!("--proto {asked}"));
        for protocol in 0..=255 {
            let matches = bench.matches(&with(9, &[protocol]));
            assert_eq!(matches, protocol == asked, "{protocol} for {asked}");
        }
    }
}

#[test]
fn a_port_is_found_for_each_protocol_and_direction() {
    let frames = [flow().tcp(ACK, b""), flow().udp(b"x"), flow().sctp(b"x")];
    for (options, there, back) in [
        ("--port 443", true, true),
        ("--port 440-450,1", true, true),
        ("--port 444-39999", false, false),
        ("--sport 443", false, true),
        ("--dport 443", true, false),
        ("--sport 443 --dport 443", false, false),
        ("--port 0-39999 --sport 40000-65535", true, false),
    ] {
        let mut bench = Bench::load(options);
        for frame in &frames {
            assert_eq!(bench.matches(frame), there, "{options}");
        }
        for frame in [
            flow().back().tcp(ACK, b""),
            flow().back().udp(b"x"),
            flow().back().sctp(b"x"),
        ] {
            assert_eq!(bench.matches(&frame), back, "{options}");
        }
    }
}

#[test]
fn overlapping_prefixes_of_several_options_match_as_if_each_stood_alone() {
    let mut bench = Bench::load(
        "--host 192.0.2.0/24,192.0.2.128/25,198.51.100.7 --src 192.0.0.0/16,192.0.2.1 \
         --dst 192.0.2.200/32,0.0.0.0/2,198.51.0.0/16",
    );
    let hosts = [
        "192.0.2.1",
        "192.0.2.127",
        "192.0.2.128",
        "192.0.2.200",
        "192.0.3.1",
        "192.1.0.1",
        "198.51.100.7",
        "198.51.100.8",
        "10.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
    ];
    let mut matched = 0;
    for from in hosts {
        for to in hosts {
            let flow = Flow::new(&format!("{from}:1"), &format!("{to}:2"));
            matched += u32::from(bench.matches(&flow.udp(b"")));
        }
    }
    assert!((10..60).contains(&matched), "{matched} of 121");
}
