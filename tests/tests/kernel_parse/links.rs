//! Ethernet, VLAN tags, ARP, and what is none of these.

use lab::frames::corpus::{FIRST_V4, SECOND_V4};
use lab::frames::transport::SYN;
use lab::frames::{ARP, DOT1AD, DOT1Q, Flow, Frame, IPV4, IPV6, arp, ethernet, tagged};

use crate::bench::Bench;

/// EtherType that was used for the outer of two tags before 802.1ad.
const OLD_QINQ: u16 = 0x9100;
const TAGS: [u16; 3] = [DOT1Q, DOT1AD, OLD_QINQ];

fn https() -> Frame {
    Flow::new("192.0.2.1:40000", "192.0.2.200:443").tcp(SYN, b"")
}

#[test]
fn one_and_two_tags_of_any_kind_are_looked_through_and_a_third_is_not() {
    let https_v6 = Flow::new("[2001:db8::1]:40000", "[2001:db8::2]:443").tcp(SYN, b"");
    let request = arp(1, FIRST_V4, SECOND_V4);
    for (options, frame) in [
        ("--dport 443", https()),
        ("--dst 2001:db8::2", https_v6),
        ("--proto arp --src 192.0.2.1", request),
    ] {
        let mut bench = Bench::load(options);
        assert!(bench.matches(&frame));
        for inner in TAGS {
            let one = tagged(inner, 5, &frame);
            assert!(bench.matches(&one), "{options} {inner:#x}");
            for outer in TAGS {
                let two = tagged(outer, 0xffff, &one);
                assert!(bench.matches(&two), "{options} {outer:#x} {inner:#x}");
                for outermost in TAGS {
                    assert!(!bench.matches(&tagged(outermost, 0, &two)));
                }
            }
        }
    }
}

#[test]
fn a_tag_with_nothing_behind_it_matches_no_option() {
    let mut bench = Bench::load("--host 0.0.0.0/0,::/0");
    for protocol in TAGS {
        let one = tagged(protocol, 5, &https());
        for frame in [one.clone(), tagged(protocol, 6, &one)] {
            // Up to before the last byte of the destination address.
            for len in 14..frame.len() - 21 {
                assert!(!bench.matches(&frame[..len]), "{len} bytes");
            }
        }
    }
}

#[test]
fn a_frame_that_is_no_ip_and_no_arp_matches_only_without_options() {
    let ip = &https()[14..];
    let snap = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], ip].concat();
    let others = [
        // IEEE 802.3 with a length instead of an EtherType, LLC, and SNAP around IPv4.
        ethernet(snap.len() as u16, &snap),
        ethernet(0, ip),
        ethernet(1_500, ip),
        // Reverse ARP, PPPoE session, MPLS, EAPOL, LLDP.
        ethernet(0x8035, &arp(1, FIRST_V4, SECOND_V4)[14..]),
        ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 42, 0, 0x21], ip].concat()),
        ethernet(0x8847, &[&[0, 0, 1, 64], ip].concat()),
        ethernet(0x888e, ip),
        ethernet(0x88cc, ip),
        ethernet(0xffff, ip),
        vec![0; 60],
        vec![0xff; 60],
        vec![0; 14],
    ];
    for options in [
        "--host 0.0.0.0/0,::/0",
        "--port 0-65535",
        "--proto arp,tcp,0,255",
    ] {
        let mut bench = Bench::load(options);
        for frame in &others {
            assert!(!bench.matches(frame), "{options} {frame:x?}");
        }
    }
    let mut bench = Bench::load("");
    for frame in &others {
        assert!(bench.matches(frame), "{frame:x?}");
    }
}

#[test]
fn the_ethertype_and_not_the_version_says_what_a_header_is() {
    let four = https();
    let six = Flow::new("[2001:db8::1]:40000", "[2001:db8::2]:443").tcp(SYN, b"");
    let mut bench = Bench::load("--host 192.0.2.1,2001:db8::1");
    assert!(bench.matches(&four));
    assert!(bench.matches(&six));
    assert!(!bench.matches(&ethernet(IPV6, &[&four[14..], &[0; 40]].concat())));
    assert!(!bench.matches(&ethernet(IPV4, &six[14..])));
    assert!(!bench.matches(&ethernet(ARP, &four[14..])));
    for version in 0..16 {
        let mut frame = four.clone();
        frame[14] = version << 4 | 5;
        assert!(bench.matches(&frame), "version {version}");
    }
}

#[test]
fn an_arp_packet_has_a_sender_and_a_target_and_no_ports() {
    let request = arp(1, FIRST_V4, SECOND_V4);
    let answer = arp(2, SECOND_V4, FIRST_V4);
    for (options, of_request, of_answer) in [
        ("--host 192.0.2.1", true, true),
        ("--src 192.0.2.1", true, false),
        ("--dst 192.0.2.1 --proto tcp,arp", false, true),
        ("--host 192.0.2.1,::/0 --proto tcp", false, false),
        ("--proto arp --port 0-65535", false, false),
        // Its number in Ethernet isn't one in IP.
        ("--proto 6,8", false, false),
    ] {
        let mut bench = Bench::load(options);
        assert_eq!(bench.matches(&request), of_request, "{options}");
        assert_eq!(bench.matches(&answer), of_answer, "{options}");
    }
}

#[test]
fn arp_of_other_hardware_or_protocols_has_no_addresses_that_could_match() {
    let mut by_address = Bench::load("--host 0.0.0.0/0");
    let mut by_protocol = Bench::load("--proto arp");
    let sound = arp(2, FIRST_V4, SECOND_V4);
    assert!(by_address.matches(&sound));
    // Hardware type, protocol type, the lengths of their addresses: all but what is right.
    for (place, right) in [0, 1, 8, 0, 6, 4].into_iter().enumerate() {
        for value in (0..=255).filter(|value| *value != right) {
            let mut frame = sound.clone();
            frame[14 + place] = value;
            assert!(!by_address.matches(&frame), "{value} at {place}");
            assert!(by_protocol.matches(&frame), "{value} at {place}");
        }
    }
    for operation in 0..=9 {
        let frame = arp(operation, FIRST_V4, SECOND_V4);
        assert!(by_address.matches(&frame), "operation {operation}");
    }
}
