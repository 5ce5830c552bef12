//! Lines in full: what tcpdump has no word for, and what is deliberately said otherwise.

use super::frames::{self, dns, dns_answer, dns_over_udp, dns_question, ethernet, join, tcp};
use super::{Printer, brief, corpus, options, printer, show, whole};
use crate::packet::{Direction, Gso, Packet, Reception};
use crate::sink::text::names::Names;

fn datagram() -> Vec<u8> {
    frames::eth_ip4(17, &frames::udp(5_000, 6_000, b"hello"))
}

#[test]
fn a_line_begins_with_time_interface_and_direction() {
    let frame = datagram();
    let packet = Packet {
        time: 1_763_760_896_123_456_789,
        ..whole(&frame)
    };
    assert_eq!(
        show(&mut printer(0), &packet),
        "21:34:56.123456 veth0 In  IP 10.0.0.2.5000 > 10.0.0.9.6000: UDP, length 5\n"
    );
}

#[test]
fn the_direction_says_whom_a_packet_was_meant_for_as_tcpdumps_any_does() {
    let frame = datagram();
    let column = |direction, reception| {
        let packet = Packet {
            direction,
            reception,
            ..whole(&frame)
        };
        show(&mut printer(0), &packet)[16..26].to_owned()
    };
    assert_eq!(column(Direction::In, None), "veth0 In  ");
    assert_eq!(
        column(Direction::In, Some(Reception::Unicast)),
        "veth0 In  "
    );
    assert_eq!(
        column(Direction::In, Some(Reception::Broadcast)),
        "veth0 B   "
    );
    assert_eq!(
        column(Direction::In, Some(Reception::Multicast)),
        "veth0 M   "
    );
    assert_eq!(
        column(Direction::In, Some(Reception::Promiscuous)),
        "veth0 P   "
    );
    assert_eq!(
        column(Direction::Out, Some(Reception::Broadcast)),
        "veth0 Out "
    );
}

#[test]
fn short_interface_names_are_padded_and_long_ones_are_not_cut() {
    let frame = datagram();
    let mut out = Vec::new();
    printer(0).line(&whole(&frame), "lo", &mut out);
    printer(0).line(&whole(&frame), "veth2482a36", &mut out);
    let text = String::from_utf8(out).unwrap();
    let columns: Vec<&str> = text.lines().map(|line| &line[16..30]).collect();
    assert_eq!(columns, ["lo    In  IP 1", "veth2482a36 In"]);
}

#[test]
fn a_loss_has_a_line_of_its_own_before_the_packet() {
    let frame = datagram();
    let lost = |lost_before| {
        let packet = Packet {
            lost_before,
            ..whole(&frame)
        };
        show(&mut printer(0), &packet)
    };
    let packet = lost(0);
    assert_eq!(lost(12), format!("... 12 packets lost on veth0\n{packet}"));
    assert_eq!(lost(1), format!("... 1 packet lost on veth0\n{packet}"));
}

#[test]
fn a_super_frame_says_what_it_stands_for() {
    let frame = tcp(true, 1, &[0; 4_344], |header| header.ack = true);
    let with = |segments| {
        let packet = Packet {
            gso: Some(Gso {
                size: 1_448,
                segments,
            }),
            ..whole(&frame)
        };
        show(&mut printer(0), &packet)
    };
    assert!(with(3).ends_with(", length 4344 (GSO 3 x 1448)\n"));
    assert!(with(0).ends_with(", length 4344 (GSO x 1448)\n"));
}

#[test]
fn a_super_frame_beyond_the_length_field_takes_its_length_from_the_frame() {
    let header = frames::ip4_header(6, 0);
    let segment = &tcp(true, 1, &[0; 100], |_| {})[34..];
    let mut packet = frames::ip4_with(header, segment);
    packet[2..4].fill(0);
    assert!(brief(&ethernet(0x0800, &packet), 0).ends_with(", length 100"));
    let mut packet = frames::ip6(6, segment);
    packet[4..6].fill(0);
    assert!(brief(&ethernet(0x86dd, &packet), 0).ends_with(", length 100"));
}

#[test]
fn vlan_tags_are_shown_without_being_asked_for() {
    let inner = frames::ip4(17, &frames::udp(5_000, 6_000, b"hello"));
    let frame = ethernet(0x88a8, &join(&[&[0x60, 10, 0x81, 0, 0, 20, 8, 0], &inner]));
    assert_eq!(
        brief(&frame, 0),
        "vlan 10, p 3, vlan 20, p 0, IP 10.0.0.2.5000 > 10.0.0.9.6000: UDP, length 5"
    );
}

#[test]
fn unknown_ether_types_show_the_link_addresses() {
    assert_eq!(
        brief(&ethernet(0x88b5, &[0; 46]), 0),
        "02:00:00:00:00:02 > 02:00:00:00:00:09, ethertype Unknown (0x88b5), length 60"
    );
    assert!(brief(&ethernet(0x88cc, &[0; 46]), 0).contains("ethertype LLDP (0x88cc)"));
}

#[test]
fn spanning_tree_is_named() {
    let bpdu = join(&[&[0x42, 0x42, 3, 0, 0, 2, 2], &[0; 32], &[0; 8]]);
    assert_eq!(
        brief(&ethernet(39, &bpdu), 0),
        "STP 802.1w, Rapid STP, length 36"
    );
}

#[test]
fn a_packet_with_details_is_still_one_line() {
    let frame = tcp(true, 1, b"", |header| header.syn = true);
    assert_eq!(
        brief(&frame, 1),
        "IP (tos 0x0, ttl 64, id 0, offset 0, flags [DF], proto TCP (6), length 40) \
         10.0.0.2.41022 > 10.0.0.9.443: Flags [S], cksum 0xf7e8 (correct), seq 1, win 501, length 0"
    );
}

#[test]
fn a_checksum_left_to_the_device_is_not_called_incorrect() {
    let mut frame = tcp(true, 1, b"", |header| header.syn = true);
    // The pseudo-header's sum: 10.0.0.2, 10.0.0.9, protocol 6, 20 bytes.
    frame[50..52].copy_from_slice(&(0x0a00_u16 + 2 + 0x0a00 + 9 + 6 + 20).to_be_bytes());
    assert!(brief(&frame, 1).contains(", cksum 0x1425 (offloaded), "));
    frame[51] ^= 1;
    assert!(brief(&frame, 1).contains(", cksum 0x1424 (incorrect -> 0xf7e8), "));
    let mut frame = frames::eth_ip6(17, &frames::udp6(5_000, 6_000, b"hello"));
    let sum = 0xfd00_u32 + 2 + 0xfd00 + 9 + 17 + 13;
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    frame[60..62].copy_from_slice(&sum.to_be_bytes());
    assert!(brief(&frame, 1).ends_with("[udp sum offloaded] UDP, length 5"));
}

#[test]
fn ip_options_are_named() {
    let datagram = frames::udp(5_000, 6_000, b"hello");
    let mut header = frames::ip4_header(17, datagram.len());
    header.options = [148, 4, 0, 0, 1, 7, 3, 0].into();
    header.total_len += 8;
    let frame = ethernet(0x0800, &frames::ip4_with(header, &datagram));
    assert!(brief(&frame, 1).contains(", length 41, options (RA,NOP,RR)) 10.0.0.2"));
}

#[test]
fn neighbour_discovery_with_details_shows_flags_and_options() {
    let target = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let advertisement = join(&[
        &[136, 0, 0x1b, 0x13, 0x60, 0, 0, 0],
        &target,
        &[2, 1, 2, 0, 0, 0, 0, 2],
    ]);
    assert_eq!(
        brief(&frames::eth_ip6(58, &advertisement), 1),
        "IP6 (hlim 64, next-header ICMPv6 (58) payload length: 32) fd00::2 > fd00::9: \
         [icmp6 sum ok] ICMP6, neighbor advertisement, tgt is fe80::1, \
         Flags [solicited, override], length 32, destination link-address 02:00:00:00:00:02"
    );
}

#[test]
fn vxlan_on_linux_own_port_is_vxlan() {
    let inner = join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &datagram()]);
    assert_eq!(
        brief(&frames::eth_ip4(17, &frames::udp(40_000, 8_472, &inner)), 0),
        "IP 10.0.0.2.40000 > 10.0.0.9.8472: VXLAN, flags [I] (0x08), vni 42: \
         IP 10.0.0.2.5000 > 10.0.0.9.6000: UDP, length 5"
    );
}

#[test]
fn geneve_options_and_other_protocols_are_told() {
    let inner = frames::ip4(17, &frames::udp(5_000, 6_000, b"hello"));
    let packet = frames::geneve(0x0800, &[0; 8], &inner);
    assert_eq!(
        brief(
            &frames::eth_ip4(17, &frames::udp(40_000, 6_081, &packet)),
            0
        ),
        "IP 10.0.0.2.40000 > 10.0.0.9.6081: Geneve, Flags [none], vni 0x2a, proto IPv4 (0x0800), \
         options [8 bytes]: IP 10.0.0.2.5000 > 10.0.0.9.6000: UDP, length 5"
    );
}

#[test]
fn options_cut_short_are_shown_as_far_as_they_go() {
    let frame = corpus::tcp_frames().swap_remove(0);
    let packet = Packet {
        original_len: u32::try_from(frame.len()).unwrap(),
        ..whole(&frame[..62])
    };
    let line = show(&mut printer(0), &packet);
    assert!(
        line.ends_with(", win 64240, options [mss 1460,sackOK, [|tcp]\n"),
        "{line}"
    );
}

#[test]
fn options_with_a_wrong_length_are_shown_as_bytes() {
    let with = |options: &[u8]| {
        brief(
            &tcp(true, 1, b"", |header| {
                header.set_options_raw(options).unwrap()
            }),
            0,
        )
    };
    assert!(with(&[2, 6, 1, 2, 3, 4, 0, 0]).contains("options [mss 0x01020304,eol], length 0"));
    assert!(with(&[5, 4, 1, 2]).contains("options [sack 0x0102], length 0"));
    assert!(with(&[8, 1, 0, 0]).contains("options [[bad opt]], length 0"));
    assert!(with(&[8, 200, 0, 0]).contains("options [[bad opt]], length 0"));
    assert!(with(&[30, 4, 0x10, 0]).contains("options [mptcp 4 join], length 0"));
}

#[test]
fn a_dns_response_names_its_question() {
    let question = dns_question(&[b"nope", b"example"], 28);
    assert_eq!(
        brief(&dns_over_udp(&dns(0x8183, [1, 0, 1, 0], &question)), 0),
        "IP 10.0.0.2.5000 > 10.0.0.9.53: 1234 NXDomain q: AAAA? nope.example. 0/1/0 (30)"
    );
}

#[test]
fn a_dns_answer_with_details_has_its_owner_before_it() {
    let body = join(&[
        &dns_question(&[b"a", b"b"], 1),
        &dns_answer(1, &[192, 0, 2, 7]),
    ]);
    let line = brief(&dns_over_udp(&dns(0x8180, [1, 1, 0, 0], &body)), 1);
    assert!(
        line.ends_with("1234 q: A? a.b. 1/0/0 a.b. A 192.0.2.7 (37)"),
        "{line}"
    );
}

#[test]
fn names_in_packets_are_escaped() {
    let question = dns_question(&[b"a.b c\\\n\x1b[2J\xff", b"d"], 1);
    assert!(
        brief(&dns_over_udp(&dns(0x0100, [1, 0, 0, 0], &question)), 0)
            .contains(r"A? a\.b\032c\092\010\027[2J\255.d. (")
    );
    let frame = frames::tcp_to(80, true, 1, b"GET /\x1b]0;x\x07 HTTP/1.1\r\n", |_| {});
    assert!(brief(&frame, 0).ends_with(r": HTTP: GET /\027]0;x\007 HTTP/1.1"));
}

#[test]
fn names_that_point_at_themselves_or_forwards_end() {
    for target in [12, 14, 200] {
        let question = [0xc0, target, 0, 1, 0, 1];
        assert!(
            brief(&dns_over_udp(&dns(0x0100, [1, 0, 0, 0], &question)), 0)
                .ends_with("A? <bad pointer> (18)")
        );
    }
    let long = dns_question(&[[b'x'; 63].as_slice(); 5], 1);
    assert!(brief(&dns_over_udp(&dns(0x0100, [1, 0, 0, 0], &long)), 0).contains("<name too long>"));
}

#[test]
fn a_tcp_segment_on_the_dns_port_that_starts_no_message_is_not_taken_for_one() {
    for payload in [b"GET / HTTP/1.1".as_slice(), b"\0", b"\0\x05hello"] {
        let frame = frames::tcp_to(53, true, 1, payload, |_| {});
        assert!(brief(&frame, 0).ends_with(&format!(", length {}", payload.len())));
    }
}

#[test]
fn names_come_from_the_files_and_ports_by_protocol() {
    let names = Names::parse(
        "# a comment\n10.0.0.2\tclient client.example # me\n::1 six\n10.0.0.2 second\nnonsense\n",
        "first 6000/udp alias\nsecond 6000/udp\nother 5000/tcp\nbroken\nbroken x/udp\n",
    );
    let mut printer = Printer::with_names(options(0), names);
    let line = show(&mut printer, &whole(&datagram()));
    assert_eq!(
        &line[26..],
        "IP client.5000 > 10.0.0.9.first: UDP, length 5\n"
    );
}

#[test]
fn names_that_would_break_a_line_are_not_used() {
    let names = Names::parse("10.0.0.2 \u{1b}[2J\n10.0.0.9 \u{202e}x\n", "");
    let mut printer = Printer::with_names(options(0), names);
    let line = show(&mut printer, &whole(&datagram()));
    assert_eq!(
        &line[26..],
        "IP 10.0.0.2.5000 > 10.0.0.9.6000: UDP, length 5\n"
    );
}

#[test]
fn later_fragments_name_their_protocol() {
    let mut header = frames::ip4_header(17, 8);
    header.fragment_offset = etherparse::IpFragOffset::try_new(185).unwrap();
    let frame = ethernet(0x0800, &frames::ip4_with(header, &[0; 8]));
    assert_eq!(brief(&frame, 0), "IP 10.0.0.2 > 10.0.0.9: ip-proto-17");
    let mut named = Printer::with_names(options(0), Names::parse("", ""));
    assert_eq!(
        &show(&mut named, &whole(&frame))[26..],
        "IP 10.0.0.2 > 10.0.0.9: udp\n"
    );
}
