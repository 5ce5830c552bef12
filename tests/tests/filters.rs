//! Each address, port and protocol option keeps the packets that the equivalent expression of
//! tcpdump keeps, and the few that it is documented to keep beyond them.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;

use lab::Signal;
use lab::ability::is_guest;
use lab::compare::assert_same;
use lab::frames::ip::FRAGMENT;
use lab::frames::{self, END_MARKER, Flow, Frame, IPV6, corpus};
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::{Bare, Wire};

/// Options, and what tcpdump calls the same packets when they aren't in a VLAN.
type Equivalent<'a> = (&'a str, &'a str);

/// Sends the corpus once, with a nodecap for each of the options and one tcpdump that keeps all,
/// and compares each file with what tcpdump's expression leaves of its own.
#[track_caller]
fn assert_equivalent(cases: &[Equivalent<'_>]) {
    assert_equivalent_for(&corpus::rich(), cases);
}

/// The same for these frames alone.
#[track_caller]
fn assert_equivalent_for(frames: &[Frame], cases: &[Equivalent<'_>]) {
    let wire = Wire::new();
    let place = (&wire.namespace, Wire::CATCHER);
    assert_equivalent_at(place, within_vlans, cases, || {
        wire.send(&frames::then_end_marker(frames.to_vec()));
    });
}

/// The same for what `send` sends past an interface, the end marker last. tcpdump's expression is
/// looked for as `wherever` puts it.
#[track_caller]
fn assert_equivalent_at(
    (namespace, interface): (&Namespace, &str),
    wherever: impl Fn(&str) -> String,
    cases: &[Equivalent<'_>],
    send: impl FnOnce(),
) {
    // An emulated machine takes some seconds over each.
    let step = if is_guest() { 4 } else { 1 };
    let cases: Vec<_> = cases.iter().step_by(step).copied().collect();
    let scratch = Scratch::new();
    let file = |case: usize| scratch.path(&format!("{case}.pcapng"));
    let start = |(case, (options, _)): (usize, &Equivalent<'_>)| {
        Nodecap::capture(namespace, interface)
            .args(["--no-follow"])
            .args(["--ring-size", "1M"])
            .args(options.split_whitespace())
            .write(&file(case))
            .spawn()
    };
    let captures: Vec<_> = cases.iter().enumerate().map(start).collect();
    let tcpdump = Tcpdump::start(namespace, interface, &[]);
    captures
        .iter()
        .for_each(lab::nodecap::Capture::wait_until_listening);
    send();
    let all = tcpdump.finish();
    let matching = |(_, expression): &Equivalent<'_>| {
        let theirs = all.matching(&wherever(expression)).packets;
        let some = (1..all.file.packets.len()).contains(&theirs.len());
        assert!(
            some,
            "`{expression}` matches all or nothing, which proves nothing"
        );
        theirs
    };
    let matching: Vec<_> = cases.iter().map(matching).collect();
    // The end of a capture takes a moment in the kernel: they have it together.
    for (capture, theirs) in captures.iter().zip(&matching) {
        capture.wait_until_captured(theirs.len() as u64);
        capture.signal(Signal::SIGINT);
    }
    for (case, (capture, theirs)) in captures.into_iter().zip(&matching).enumerate() {
        let (options, expression) = cases[case];
        println!("{options}  against  {expression}");
        let finished = capture.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        assert_same(&CaptureFile::read(&file(case)).packets, theirs);
        let counts = finished.counts();
        assert_eq!((counts.received, counts.dropped), (theirs.len() as u64, 0));
    }
}

/// The corpus without IPv6 fragments, in which tcpdump finds no ports; nodecap does in the first.
fn without_ipv6_fragments() -> Vec<Frame> {
    let fragment = |frame: &Frame| frame[12..14] == IPV6.to_be_bytes() && frame[14 + 6] == FRAGMENT;
    corpus::rich()
        .into_iter()
        .filter(|frame| !fragment(frame))
        .collect()
}

/// The expression, and the same behind one tag and behind two. `vlan` moves what follows it.
fn within_vlans(expression: &str) -> String {
    format!("({expression}) or (vlan and (({expression}) or (vlan and ({expression}))))")
}

#[test]
fn addresses_of_either_end() {
    assert_equivalent(&[
        ("--host 192.0.2.1", "host 192.0.2.1"),
        ("--host 192.0.2.1/32", "host 192.0.2.1"),
        ("--host 192.0.2.0/25", "net 192.0.2.0/25"),
        ("--host 198.51.100.0/24", "net 198.51.100.0/24"),
        ("--host 2001:db8:1::1", "host 2001:db8:1::1"),
        ("--host 2001:db8:2::/48", "net 2001:db8:2::/48"),
        (
            "--host 192.0.2.200,2001:db8:2::7",
            "host 192.0.2.200 or host 2001:db8:2::7",
        ),
        ("--host 0.0.0.0/0", "ip or arp"),
        ("--host ::/0", "ip6"),
    ]);
}

#[test]
fn ranges_and_barred_addresses() {
    assert_equivalent(&[
        ("--dst 192.0.2.0-192.0.2.127", "dst net 192.0.2.0/25"),
        (
            "--host 192.0.2.0/24,!192.0.2.200",
            "net 192.0.2.0/24 and not host 192.0.2.200",
        ),
        (
            "--host !192.0.2.1,!2001:db8:1::1",
            "(ip or ip6 or arp) and not host 192.0.2.1 and not host 2001:db8:1::1",
        ),
        (
            "--src !198.51.100.0/24,!2001:db8:1::/48",
            "(ip or ip6 or arp) and not src net 198.51.100.0/24 and not src net 2001:db8:1::/48",
        ),
        (
            "--host 192.0.2.0/24 --dst !192.0.2.200",
            "net 192.0.2.0/24 and not dst host 192.0.2.200",
        ),
    ]);
}

#[test]
fn addresses_of_one_end() {
    assert_equivalent(&[
        ("--src 192.0.2.1", "src host 192.0.2.1"),
        ("--dst 192.0.2.1", "dst host 192.0.2.1"),
        ("--src 2001:db8:1::/64", "src net 2001:db8:1::/64"),
        ("--dst 2001:db8:1::2", "dst host 2001:db8:1::2"),
        (
            "--src 192.0.2.0/24 --dst 198.51.100.7",
            "src net 192.0.2.0/24 and dst host 198.51.100.7",
        ),
        (
            "--host 192.0.2.1 --dst 192.0.2.200",
            "host 192.0.2.1 and dst host 192.0.2.200",
        ),
        (
            "--src 192.0.2.1,2001:db8:1::1 --dst 192.0.2.200,2001:db8:2::7",
            "(src host 192.0.2.1 or src host 2001:db8:1::1) and \
             (dst host 192.0.2.200 or dst host 2001:db8:2::7)",
        ),
        (
            "--host 192.0.2.0/24 --src 192.0.2.200",
            "net 192.0.2.0/24 and src host 192.0.2.200",
        ),
    ]);
}

#[test]
fn addresses_from_a_file() {
    let scratch = Scratch::new();
    let list = scratch.path("list");
    fs::write(&list, "198.51.100.0/24\n2001:db8:2::7\n").unwrap();
    let list = list.to_str().unwrap();
    let nets = "net 198.51.100.0/24 or host 2001:db8:2::7";
    assert_equivalent(&[
        (&format!("--host @{list}"), nets),
        (
            &format!("--src @{list}"),
            "src net 198.51.100.0/24 or src host 2001:db8:2::7",
        ),
        (
            &format!("--host @{list} --port 443"),
            &format!("({nets}) and port 443"),
        ),
    ]);
}

#[test]
fn a_long_list_of_addresses_matches_like_its_members() {
    let scratch = Scratch::new();
    let list = scratch.path("list");
    let strangers = (0..5_000).map(|n| format!("203.0.{}.{}/32\n", 113 + n / 256, n % 256));
    fs::write(
        &list,
        strangers
            .chain(["192.0.2.200\n".to_owned()])
            .collect::<String>(),
    )
    .unwrap();
    assert_equivalent(&[(
        &format!("--dst @{}", list.display()),
        "dst host 192.0.2.200",
    )]);
}

#[test]
fn ports() {
    assert_equivalent_for(
        &without_ipv6_fragments(),
        &[
            ("--port 53", "port 53"),
            ("--port 80", "port 80"),
            ("--sport 443", "src port 443"),
            ("--dport 443", "dst port 443"),
            ("--port 53,123", "port 53 or port 123"),
            ("--port 440-450", "portrange 440-450"),
            (
                "--dport 1-1023,8080",
                "dst portrange 1-1023 or dst port 8080",
            ),
            ("--sport 0-65535", "src portrange 0-65535"),
            ("--sport 80 --dport 8080", "src port 80 and dst port 8080"),
            ("--port 80 --sport 40000", "port 80 and src port 40000"),
        ],
    );
}

#[test]
fn protocols() {
    assert_equivalent(&[
        ("--proto tcp", "tcp"),
        ("--proto udp", "udp"),
        ("--proto icmp", "icmp"),
        ("--proto icmp6", "icmp6"),
        ("--proto sctp", "sctp"),
        ("--proto arp", "arp"),
        ("--proto 47", "ip proto 47 or ip6 proto 47"),
        ("--proto 6", "tcp"),
        ("--proto tcp,arp,58", "tcp or arp or icmp6"),
        ("--proto udp,sctp", "udp or sctp"),
    ]);
}

#[test]
fn options_of_different_kinds_together() {
    assert_equivalent_for(
        &without_ipv6_fragments(),
        &[
            ("--proto tcp --port 443", "tcp port 443"),
            ("--host 192.0.2.1 --port 443", "host 192.0.2.1 and port 443"),
            (
                "--proto udp --host 2001:db8:1::1 --dport 53",
                "udp and host 2001:db8:1::1 and dst port 53",
            ),
            (
                "--proto arp --host 198.51.100.7",
                "arp and host 198.51.100.7",
            ),
            (
                "--proto sctp --src 198.51.100.0/24 --dport 80",
                "sctp and src net 198.51.100.0/24 and dst port 80",
            ),
            (
                "--proto udp,arp --host 192.0.2.200",
                "(udp or arp) and host 192.0.2.200",
            ),
        ],
    );
}

#[test]
fn at_a_device_without_a_link_header() {
    let device = Bare::new();
    let packets = corpus::ip_packets(&without_ipv6_fragments());
    let cases = [
        ("--host 192.0.2.1", "host 192.0.2.1"),
        ("--src 2001:db8:1::/64", "src net 2001:db8:1::/64"),
        (
            "--dst 192.0.2.0/24,!192.0.2.200",
            "dst net 192.0.2.0/24 and not dst host 192.0.2.200",
        ),
        ("--proto tcp,icmp6", "tcp or icmp6"),
        ("--port 443", "port 443"),
        ("--dport 1-1023", "dst portrange 1-1023"),
        (
            "--proto udp --host 2001:db8:1::1 --dport 53",
            "udp and host 2001:db8:1::1 and dst port 53",
        ),
    ];
    let place = (&device.namespace, Bare::LINK);
    assert_equivalent_at(place, str::to_owned, &cases, || {
        for packet in &packets {
            device.send_out(packet);
        }
        device.send_in(&packets);
        let end = Flow::new("203.0.113.1:9999", "203.0.113.2:9999").udp(END_MARKER);
        device.send_in(&[end[14..].to_vec()]);
    });
}

/// What of the frames the options let through.
#[track_caller]
fn kept(options: &str, frames: &[Frame]) -> CaptureFile {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("kept.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--no-follow"])
        .args(options.split_whitespace())
        .write(&file)
        .start();
    let tcpdump = Tcpdump::start(&wire.namespace, Wire::CATCHER, &[]);
    wire.send(&frames::then_end_marker(frames.to_vec()));
    tcpdump.wait_for_end_marker();
    let counts = capture.stop().counts();
    let kept = CaptureFile::read(&file);
    assert_eq!(counts.received, kept.packets.len() as u64);
    kept
}

#[test]
fn ports_and_protocols_are_found_behind_ipv6_extension_headers() {
    let sent = corpus::behind_extension_headers();
    for options in [
        "--port 53",
        "--sport 50000",
        "--proto udp",
        "--proto udp --dport 53",
    ] {
        assert_same(&kept(options, &sent).packets, &sent);
    }
    for options in ["--port 54", "--proto tcp", "--dport 50000"] {
        assert_eq!(kept(options, &sent).packets, [], "{options}");
    }
}

#[test]
fn a_port_matches_the_first_fragment_and_a_protocol_or_an_address_all() {
    let sent = corpus::fragments();
    // Three of UDP over IPv4, two of TCP over IPv4, three of UDP over IPv6.
    assert_eq!(sent.len(), 8);
    let only = |places: &[usize]| {
        places
            .iter()
            .map(|place| sent[*place].clone())
            .collect::<Vec<_>>()
    };
    for (options, places) in [
        ("--port 53", &[0, 5][..]),
        ("--port 443", &[3]),
        ("--proto tcp --dport 443", &[3]),
        ("--proto udp", &[0, 1, 2, 5, 6, 7]),
        ("--proto tcp", &[3, 4]),
        ("--host 2001:db8:1::1", &[5, 6, 7]),
        ("--src 192.0.2.1", &[0, 1, 2, 3, 4]),
    ] {
        assert_same(&kept(options, &sent).packets, &only(places));
    }
}

#[test]
fn broken_frames_match_no_port_that_they_do_not_hold() {
    // Whatever is wrong with them, what is kept must hold the bytes that the option asks for.
    let sent: Vec<Frame> = corpus::malformed()
        .into_iter()
        .map(|(_, frame)| frame)
        .collect();
    let sent: Vec<Frame> = sent.into_iter().filter(corpus::comes_in).collect();
    let kept = kept("--dport 443", &sent);
    assert!(!kept.packets.is_empty());
    for packet in &kept.packets {
        assert!(
            packet
                .data
                .windows(2)
                .any(|bytes| bytes == 443u16.to_be_bytes()),
            "{:x?}",
            packet.data
        );
    }
}
