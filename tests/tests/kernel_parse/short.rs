//! Packets that end anywhere: from one byte to whole, each is answered, and matches just what it
//! still holds.
//!
//! An Ethernet device lets no frame through that is shorter than its header, and
//! `BPF_PROG_TEST_RUN` none that is shorter than its IP header. A tun device lets both through to
//! the program, so that is where these go.

use std::rc::Rc;

use lab::frames::corpus::{self, FIRST_V4, FIRST_V6, SECOND_V4, SECOND_V6};
use lab::frames::ip::{AUTHENTICATION, DESTINATION_OPTIONS, HOP_BY_HOP, Ipv4, Ipv6, ROUTING};
use lab::frames::transport::{SYN, TCP};
use lab::frames::{DOT1AD, DOT1Q, Flow, Frame, arp, ethernet_ip, tagged, transport};

use crate::bench::Bench;
use crate::outlet::Outlet;
use crate::reference::Start;

fn https_v4() -> Frame {
    Flow::new("192.0.2.1:40000", "192.0.2.200:443").tcp(SYN, b"")
}

fn https_v6() -> Frame {
    Flow::new("[2001:db8:1::1]:40000", "[2001:db8:1::2]:443").tcp(SYN, b"")
}

/// Sends every start of each packet and asserts that it matches from so many bytes on.
#[track_caller]
fn match_from(options: &str, outlet: &Rc<Outlet>, packets: &[(Start, &[u8], usize)]) {
    let mut bench = Bench::load(options);
    bench.leave_by(outlet);
    for (start, packet, from) in packets {
        assert!((1..=packet.len()).contains(from));
        for len in 1..=packet.len() {
            let matches = bench.send(*start, &packet[..len]).is_some();
            assert_eq!(
                matches,
                len >= *from,
                "{options}: {len} bytes of {packet:x?}"
            );
        }
    }
}

#[test]
fn frames_cut_off_anywhere_match_what_they_still_hold() {
    let (v4, v6, request) = (https_v4(), https_v6(), arp(1, FIRST_V4, SECOND_V4));
    let one = tagged(DOT1Q, 1, &v4);
    let two = tagged(DOT1AD, 2, &tagged(DOT1Q, 1, &v6));
    let outlet = Outlet::tun_of_ethernet();
    let ethernet = |frame, from| (Start::Ethernet, frame, from);
    for (options, of_v4, of_v6, of_arp) in [
        ("--host 192.0.2.0/24,2001:db8::/32", 20, 40, 28),
        ("--src 192.0.2.1,2001:db8:1::1", 20, 40, 28),
        (
            "--dst 192.0.2.200,2001:db8:1::2 --proto tcp,arp",
            20,
            40,
            28,
        ),
        ("--proto tcp,arp", 10, 7, 0),
    ] {
        let frames = [
            ethernet(&v4[..], 14 + of_v4),
            ethernet(&one, 18 + of_v4),
            ethernet(&v6, 14 + of_v6),
            ethernet(&two, 22 + of_v6),
            ethernet(&request, 14 + of_arp),
        ];
        match_from(options, &outlet, &frames);
    }
    for options in [
        "--port 443",
        "--proto tcp --host 192.0.2.1,::/0 --dport 443",
    ] {
        let frames = [
            ethernet(&v4[..], 14 + 20 + 4),
            ethernet(&one, 18 + 20 + 4),
            ethernet(&v6, 14 + 40 + 4),
            ethernet(&two, 22 + 40 + 4),
        ];
        match_from(options, &outlet, &frames);
    }
}

#[test]
fn packets_without_a_link_header_cut_off_anywhere_match_what_they_still_hold() {
    let outlet = Outlet::tun();
    let (v4, v6) = (https_v4(), https_v6());
    for (options, of_v4, of_v6) in [
        ("--host 192.0.2.0/24,2001:db8::/32", 20, 40),
        ("--proto tcp", 10, 7),
        ("--port 443", 24, 44),
    ] {
        let packets = [
            (Start::Network(0x0800), &v4[14..], of_v4),
            (Start::Network(0x86dd), &v6[14..], of_v6),
        ];
        match_from(options, &outlet, &packets);
    }
}

#[test]
fn a_header_that_says_it_has_no_length_has_its_ports_where_it_begins() {
    // What it begins with, as ports: 16384 and 0. One byte further they would be 0 and 53.
    let packet = [
        [0x40, 0, 0, 0],
        [53, 0, 0, 0],
        [64, 6, 0, 0],
        [192, 0, 2, 1],
        [0, 0, 0, 0],
        [0, 80, 0, 80],
    ]
    .concat();
    for (options, expected) in [("--sport 16384", true), ("--dport 53", false)] {
        let mut bench = Bench::load(options);
        bench.leave_by(&Outlet::tun());
        let matches = bench.send(Start::Network(0x0800), &packet).is_some();
        assert_eq!(matches, expected, "{options}");
    }
}

#[test]
fn chains_and_options_cut_off_anywhere_hide_the_ports_behind_them() {
    let v6 = Flow::new("[2001:db8:1::1]:40000", "[2001:db8:1::2]:443");
    let chain = Ipv6::new(FIRST_V6, SECOND_V6)
        .extension(HOP_BY_HOP, 8)
        .extension(ROUTING, 24)
        .authentication(24)
        .fragment(31, 0, true)
        .extension(DESTINATION_OPTIONS, 16)
        .packet(TCP, &transport::tcp(v6, SYN, b""));
    let chain = ethernet_ip(&chain);
    let v4 = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let options = Ipv4::new(FIRST_V4, SECOND_V4).options(&[1; 40]);
    let options = ethernet_ip(&options.packet(TCP, &transport::tcp(v4, SYN, b"")));
    let outlet = Outlet::tun_of_ethernet();
    let behind = 14 + 40 + 8 + 24 + 24 + 8;
    match_from(
        "--port 443",
        &outlet,
        &[
            (Start::Ethernet, &chain, behind + 16 + 4),
            (Start::Ethernet, &options, 14 + 60 + 4),
        ],
    );
    // A header names the next one in its first byte, but is read together with its length.
    match_from(
        "--proto tcp",
        &outlet,
        &[
            (Start::Ethernet, &chain, behind + 2),
            (Start::Ethernet, &options, 14 + 10),
        ],
    );
    match_from(
        &format!("--proto {AUTHENTICATION}"),
        &outlet,
        &[(Start::Ethernet, &chain, 14 + 40 + 8 + 2)],
    );
}

#[test]
fn frames_shorter_than_an_ethernet_header_are_recorded_when_nothing_is_asked_and_match_no_option() {
    let ones = vec![0xff; 13];
    let runts = corpus::runts();
    let mut all = Bench::load("");
    let mut by_address = Bench::load("--host 0.0.0.0/0,::/0");
    let mut by_protocol = Bench::load("--proto arp,tcp,0");
    for runt in runts.iter().chain([&ones]) {
        assert_eq!(&all.show(runt).unwrap().frame, runt);
        assert!(!by_address.matches(runt));
        assert!(!by_protocol.matches(runt));
    }
}

#[test]
fn every_malformed_frame_of_the_lab_is_answered() {
    for options in [
        "",
        "--dport 443",
        "--host 192.0.2.1,2001:db8::/32 --proto tcp",
    ] {
        let mut bench = Bench::load(options);
        for (what, frame) in corpus::malformed() {
            if let Err(error) = bench.try_show(&frame) {
                panic!("`{options}`, {what}: {error}");
            }
        }
    }
}
