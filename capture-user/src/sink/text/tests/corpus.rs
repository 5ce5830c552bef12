//! Frames to look at, of every kind.

use etherparse::{IpEcn, IpFragOffset, PacketBuilder, TcpHeader, TcpOptionElement};

use super::frames::*;

/// A segment that acknowledges up to `number`, with a timestamp.
fn acking(number: u32) -> impl Fn(&mut TcpHeader) {
    use TcpOptionElement::{Noop, Timestamp};
    move |header| {
        header.ack = true;
        header.acknowledgment_number = number;
        header
            .set_options(&[Noop, Noop, Timestamp(1_001, 2_000)])
            .unwrap();
    }
}

/// A connection from handshake to reset, with every common option on the way.
pub(super) fn tcp_frames() -> Vec<Vec<u8>> {
    use TcpOptionElement::{
        MaximumSegmentSize, Noop, SelectiveAcknowledgement, SelectiveAcknowledgementPermitted,
        Timestamp, WindowScale,
    };
    let syn_options = [
        MaximumSegmentSize(1460),
        SelectiveAcknowledgementPermitted,
        Timestamp(1_000, 0),
        Noop,
        WindowScale(7),
    ];
    let raw = |options: &'static [u8]| {
        move |header: &mut TcpHeader| {
            header.syn = true;
            header.set_options_raw(options).unwrap();
        }
    };
    vec![
        tcp(true, u32::MAX - 2, b"", |header| {
            header.syn = true;
            header.window_size = 64_240;
            header.set_options(&syn_options).unwrap();
        }),
        tcp(false, 5_000, b"", |header| {
            header.syn = true;
            header.ack = true;
            header.acknowledgment_number = u32::MAX - 1;
            header.set_options(&syn_options).unwrap();
        }),
        tcp(true, u32::MAX - 1, b"", acking(5_001)),
        // Wraps around.
        tcp(true, u32::MAX - 1, b"hello, world", |header| {
            acking(5_001)(header);
            header.psh = true;
        }),
        tcp(false, 5_001, b"", acking(10)),
        tcp(false, 5_001, &[0; 1_000], acking(10)),
        tcp(false, 6_001, b"odd", |header| {
            acking(10)(header);
            header.psh = true;
            header.urg = true;
            header.urgent_pointer = 3;
        }),
        tcp(true, 10, b"", |header| {
            header.ack = true;
            header.acknowledgment_number = 5_001;
            header
                .set_options(&[
                    Noop,
                    Noop,
                    SelectiveAcknowledgement((6_001, 6_004), [Some((7_000, 7_100)), None, None]),
                ])
                .unwrap();
        }),
        tcp(true, 10, b"", |header| {
            acking(6_004)(header);
            header.fin = true;
        }),
        tcp(false, 6_004, b"", |header| {
            acking(11)(header);
            header.rst = true;
        }),
        tcp(false, 6_004, b"", |header| header.rst = true),
        // A new connection on the same ports starts anew.
        tcp(true, 100, b"", |header| {
            header.syn = true;
            header.ece = true;
            header.cwr = true;
        }),
        tcp(false, 900, b"", |header| {
            header.syn = true;
            header.ack = true;
            header.ece = true;
            header.acknowledgment_number = 101;
        }),
        tcp(true, 101, b"x", |header| {
            header.ack = true;
            header.cwr = true;
            header.acknowledgment_number = 901;
        }),
        // Seen in the middle only.
        tcp_to(444, false, 70_000, b"abc", acking(80_000)),
        tcp_to(444, true, 80_000, b"defg", acking(70_003)),
        tcp_to(444, false, 70_003, b"", acking(80_004)),
        // Odd flags and odd options.
        tcp(true, 1, b"", |_| {}),
        tcp(true, 1, b"", |header| {
            header.fin = true;
            header.psh = true;
            header.urg = true;
        }),
        tcp(
            true,
            1,
            b"data in a SYN",
            raw(&[34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0]),
        ),
        tcp(true, 1, b"", raw(&[253, 4, 0xf9, 0x89, 0, 0, 0, 0])),
        tcp6(1_000, b"", |header| {
            header.syn = true;
            header.set_options(&syn_options).unwrap();
        }),
        tcp6(1_001, &[7; 99], acking(1)),
        tcp6(1_100, b"", |header| {
            header.rst = true;
            header.ack = true;
        }),
    ]
}

/// UDP, ICMP, ARP, tunnels and fragments that tcpdump shows alike with and without details.
pub(super) fn other_frames() -> Vec<Vec<u8>> {
    let datagram = udp(5_000, 6_000, b"hello");
    let segment = tcp(true, 100, b"", |header| header.syn = true)[34..].to_vec();
    let mut built = Vec::new();
    PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ipv4(CLIENT, SERVER, 20)
        .udp(5_000, 6_000)
        .write(&mut built, b"with a checksum")
        .unwrap();
    let mut bad_header = eth_ip4(17, &datagram);
    bad_header[24] ^= 0x55;
    let mut bad_udp = built.clone();
    bad_udp[41] ^= 0x55;
    let mut padded = eth_ip4(17, &udp(5_000, 6_000, b"hi"));
    padded.resize(60, 0);
    let mut marked = ip4_header(17, datagram.len());
    marked.dont_fragment = true;
    marked.time_to_live = 1;
    marked.ecn = IpEcn::CongestionExperienced;
    marked.dscp = 46.try_into().unwrap();
    let big = udp(5_000, 6_000, &[0; 3_000]);
    let mut first = ip4_header(17, 1_480);
    first.more_fragments = true;
    let mut later = ip4_header(17, 1_480);
    later.more_fragments = true;
    later.fragment_offset = IpFragOffset::try_new(185).unwrap();
    let mut last = ip4_header(17, 48);
    last.fragment_offset = IpFragOffset::try_new(370).unwrap();
    let mut class = ip6(17, &udp6(5_000, 6_000, b"hello"));
    class[..4].copy_from_slice(&[0x62, 0x21, 0x23, 0x45]);
    let quoted = ip4(17, &datagram);
    let quoted_tcp = ip4(6, &segment);
    let icmp = |head: &[u8; 8], rest: &[u8]| eth_ip4(1, &checked(&join(&[head, rest])));
    let mut frames = vec![
        built,
        eth_ip4(17, &datagram),
        padded,
        bad_header,
        bad_udp,
        ethernet(0x0800, &ip4_with(marked, &datagram)),
        ethernet(0x0800, &ip4_with(first, &big[..1_480])),
        ethernet(0x0800, &ip4_with(later, &big[1_480..2_960])),
        ethernet(0x0800, &ip4_with(last, &big[2_960..])),
        eth_ip4(17, &[0x13, 0x88, 0x17, 0x70, 0, 100, 0, 0, 1, 2]),
        eth_ip4(17, &[0x13, 0x88, 0x17, 0x70, 0, 7, 0, 0]),
        eth_ip6(17, &udp6(5_000, 6_000, b"hello")),
        ethernet(0x86dd, &class),
        eth_ip6(
            44,
            &join(&[&[17, 0, 0, 1, 0, 0, 0x12, 0x34], &big[..1_448]]),
        ),
        eth_ip6(
            44,
            &join(&[&[17, 0, 5, 0xa8, 0, 0, 0x12, 0x34], &big[1_448..]]),
        ),
        eth_ip6(59, b""),
        arp(1, [0; 6], 0),
        arp(1, [2, 0, 0, 0, 0, 7], 18),
        arp(2, SERVER_MAC, 18),
        icmp(&[8, 0, 0, 0, 0, 7, 0, 1], &[0; 56]),
        icmp(&[0, 0, 0, 0, 0, 7, 0, 1], &[0; 56]),
        eth_ip4(1, &[8, 0, 0x12, 0x34, 0, 7, 0, 1]),
        icmp(&[3, 3, 0, 0, 0, 0, 0, 0], &quoted),
        icmp(&[3, 3, 0, 0, 0, 0, 0, 0], &quoted_tcp),
        icmp(&[3, 2, 0, 0, 0, 0, 0, 0], &quoted),
        icmp(&[3, 4, 0, 0, 0, 0, 5, 0x14], &quoted_tcp),
        icmp(&[3, 4, 0, 0, 0, 0, 0, 0], &quoted_tcp),
        icmp(&[3, 200, 0, 0, 0, 0, 0, 0], &quoted),
        // The least that a router quotes: the IP header and eight bytes.
        icmp(&[11, 0, 0, 0, 0, 0, 0, 0], &quoted[..28]),
        icmp(&[11, 1, 0, 0, 0, 0, 0, 0], &quoted),
        icmp(&[5, 1, 0, 0, 10, 0, 0, 1], &quoted),
        icmp(&[5, 0, 0, 0, 10, 0, 0, 1], &quoted),
        icmp(&[12, 0, 0, 0, 20, 0, 0, 0], &quoted),
        icmp(&[13, 0, 0, 0, 0, 1, 0, 2], &[0; 12]),
        icmp(&[42, 5, 0, 0, 0, 0, 0, 0], &[]),
        eth_ip4(253, b"experiment"),
        eth_ip4(4, &quoted),
        eth_ip4(41, &ip6(17, &udp6(5_000, 6_000, b"hello"))),
        eth_ip4(17, &udp(40_000, 4_789, &vxlan(&eth_ip4(17, &datagram)))),
        eth_ip4(50, &[0, 0, 0, 1, 0, 0, 0, 2, 3, 4, 5, 6]),
        eth_ip4(2, &checked(&[0x16, 0, 0, 0, 224, 0, 0, 251])),
        eth_ip4(2, &checked(&[0x17, 0, 0, 0, 224, 0, 0, 251])),
        eth_ip4(2, &checked(&[0x11, 50, 0, 0, 224, 0, 0, 251])),
        eth_ip4(2, &checked(&[0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0])),
    ];
    frames.extend(
        (5..16)
            .chain([0, 1])
            .map(|code| icmp(&[3, code, 0, 0, 0, 0, 0, 0], &quoted)),
    );
    frames
}

/// Frames that are shown as by tcpdump without details only.
pub(super) fn briefly_alike_frames() -> Vec<Vec<u8>> {
    let datagram = udp6(5_000, 6_000, b"hello");
    let segment = tcp6(100, b"", |header| header.syn = true)[54..].to_vec();
    let quoted = ip6(17, &datagram);
    let icmp6 = |head: &[u8; 8], rest: &[u8]| eth_ip6(58, &join(&[head, rest]));
    let link_address = [1, 1, 2, 0, 0, 0, 0, 2];
    let inner = ip4(17, &udp(5_000, 6_000, b"hello"));
    vec![
        eth_ip6(0, &join(&[&[17, 0, 1, 4, 0, 0, 0, 0], &datagram])),
        eth_ip6(60, &join(&[&[6, 0, 1, 4, 0, 0, 0, 0], &segment])),
        icmp6(&[128, 0, 0, 0, 0, 7, 0, 1], &[0; 56]),
        icmp6(&[129, 0, 0, 0, 0, 7, 0, 1], &[0; 56]),
        icmp6(
            &[135, 0, 0, 0, 0, 0, 0, 0],
            &join(&[&SERVER6, &link_address]),
        ),
        icmp6(
            &[136, 0, 0, 0, 0xe0, 0, 0, 0],
            &join(&[&SERVER6, &link_address]),
        ),
        icmp6(&[133, 0, 0, 0, 0, 0, 0, 0], &link_address),
        icmp6(
            &[134, 0, 0, 0, 64, 0xc0, 7, 8],
            &join(&[&[0; 8], &link_address]),
        ),
        icmp6(&[1, 0, 0, 0, 0, 0, 0, 0], &quoted),
        icmp6(&[1, 1, 0, 0, 0, 0, 0, 0], &quoted),
        icmp6(&[1, 3, 0, 0, 0, 0, 0, 0], &quoted),
        icmp6(&[1, 4, 0, 0, 0, 0, 0, 0], &quoted),
        icmp6(&[1, 4, 0, 0, 0, 0, 0, 0], &ip6(6, &segment)),
        icmp6(&[2, 0, 0, 0, 0, 0, 5, 0x14], &quoted),
        icmp6(&[3, 0, 0, 0, 0, 0, 0, 0], &quoted),
        icmp6(&[3, 1, 0, 0, 0, 0, 0, 0], &quoted),
        icmp6(&[4, 1, 0, 0, 0, 0, 0, 6], &quoted),
        icmp6(
            &[143, 0, 0, 0, 0, 0, 0, 1],
            &join(&[&[4, 0, 0, 0], &SERVER6]),
        ),
        eth_ip4(47, &join(&[&[0, 0, 8, 0], &inner])),
        eth_ip4(
            47,
            &join(&[
                &[0x20, 0, 0x65, 0x58, 0, 0, 0, 7],
                &ethernet(0x0800, &inner),
            ]),
        ),
        eth_ip4(
            17,
            &udp(
                40_000,
                6_081,
                &geneve(0x6558, &[], &ethernet(0x0800, &inner)),
            ),
        ),
        eth_ip4(
            132,
            &sctp(&[&[
                1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 10, 0, 10, 0, 0, 0, 7,
            ]]),
        ),
        eth_ip4(
            132,
            &sctp(&[
                &[
                    0, 3, 0, 19, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 51, b'a', b'b', b'c', 0,
                ],
                &[3, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 0, 0, 0],
            ]),
        ),
        tcp_to(80, true, 1, b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", |_| {}),
        tcp_to(80, false, 1, b"HTTP/1.1 200 OK\r\n\r\nbody", |_| {}),
        tcp_to(80, false, 24, b"more of the body", |_| {}),
    ]
}

/// DNS queries, which are shown as by tcpdump.
pub(super) fn dns_query_frames() -> Vec<Vec<u8>> {
    let question = dns_question(&[b"example", b"com"], 1);
    let query = dns(0x0100, [1, 0, 0, 0], &question);
    let opt = [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0];
    let len = u16::try_from(query.len()).unwrap().to_be_bytes();
    vec![
        dns_over_udp(&query),
        dns_over_udp(&dns(0x0120, [1, 0, 0, 1], &join(&[&question, &opt]))),
        dns_over_udp(&dns(0x0110, [1, 0, 0, 0], &dns_question(&[b"x"], 28))),
        dns_over_udp(&dns(0x0100, [1, 0, 0, 0], &dns_question(&[], 2))),
        dns_over_udp(&dns(0x0100, [1, 0, 0, 0], &dns_question(&[b"x"], 999))),
        dns_over_udp(&dns(0x0100, [2, 0, 0, 0], &join(&[&question, &question]))),
        dns_over_udp(&dns(0x2800, [1, 0, 0, 0], &dns_question(&[b"z"], 6))),
        eth_ip4(17, &udp(5_353, 5_353, &dns(0, [1, 0, 0, 0], &question))),
        tcp_to(53, true, 1, &join(&[&len, &query]), |header| {
            header.psh = true
        }),
    ]
}

/// DNS responses, which name the question more readily than tcpdump does.
pub(super) fn dns_response_frames() -> Vec<Vec<u8>> {
    let question = dns_question(&[b"example", b"com"], 1);
    let respond = |flags, answers: &[&[u8]]| {
        let count = u16::try_from(answers.len()).unwrap();
        let body = join(&[&question, &answers.concat()]);
        dns_over_udp(&dns(flags, [1, count, 0, 0], &body))
    };
    vec![
        respond(0x8180, &[&dns_answer(1, &[192, 0, 2, 7])]),
        respond(0x8183, &[]),
        respond(0x8582, &[]),
        respond(0x8305, &[]),
        respond(
            0x8180,
            &[
                &dns_answer(5, &[1, b'a', 0xc0, 12]),
                &dns_answer(28, &SERVER6),
                &dns_answer(15, &[0, 10, 1, b'm', 0xc0, 12]),
                &dns_answer(16, &[2, b'h', b'i', 2, b'y', b'o']),
                &dns_answer(33, &[0, 1, 0, 2, 0, 80, 1, b'm', 0xc0, 12]),
                &dns_answer(6, &[0; 22]),
            ],
        ),
    ]
}

/// Frames of every kind that there is a decoder for.
pub(super) fn every_kind() -> Vec<Vec<u8>> {
    let mut frames = tcp_frames();
    frames.extend(other_frames());
    frames.extend(briefly_alike_frames());
    frames.extend(dns_query_frames());
    frames.extend(dns_response_frames());
    let mut tagged = ethernet(0x88a8, &[0x60, 10, 0x81, 0, 0, 20, 8, 0]);
    tagged.extend(ip4(17, &udp(5_000, 6_000, b"hello")));
    let mut options = ip4_header(17, 13);
    options.options = [148, 4, 0, 0, 1, 7, 3, 0].into();
    options.total_len += 8;
    frames.extend([
        tagged,
        ethernet(0x0800, &ip4_with(options, &udp(5_000, 6_000, b"hello"))),
        ethernet(0x88b5, &[0; 46]),
        ethernet(38, &join(&[&[0x42, 0x42, 3], &[0; 35]])),
        ethernet(38, &[0xaa; 38]),
        ethernet(0x8035, &arp(3, CLIENT_MAC, 0)[14..]),
        eth_ip6(43, &join(&[&[17, 2, 4, 1], &[0; 20], &udp6(1, 2, b"")])),
        eth_ip4(51, &join(&[&[17, 4, 0, 0], &[0; 20], &udp(1, 2, b"")])),
        eth_ip6(58, &join(&[&[131, 0, 0, 0, 0, 0, 0, 0], &SERVER6])),
        eth_ip6(58, &join(&[&[130, 0, 0, 0, 0, 0, 0, 0], &SERVER6, &[0; 4]])),
        eth_ip6(
            58,
            &join(&[&[137, 0, 0, 0, 0, 0, 0, 0], &SERVER6, &CLIENT6]),
        ),
        eth_ip6(58, &[200, 0, 0, 0]),
        eth_ip4(2, &checked(&[0x22, 0, 0, 0, 0, 0, 0, 1])),
    ]);
    frames
}
