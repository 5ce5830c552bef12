//! `nodecap filter`, and what `nodecap capture` says of an expression.

use lab::frames::transport::{RST, SYN};
use lab::frames::{Flow, tagged};
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::process::Finished;
use lab::read::CaptureFile;
use lab::replay;
use lab::scratch::Scratch;
use lab::sockets;
use lab::tcpdump::Tcpdump;
use lab::topology::{Pair, Wire};

#[track_caller]
fn filter(words: &[&str]) -> Finished {
    let namespace = Namespace::new();
    Nodecap::new(&namespace, &[&["filter"], words].concat())
        .as_nobody()
        .run()
}

#[test]
fn an_expression_is_shown_as_tcpdump_shows_it_and_as_the_kernel_gets_it() {
    let shown = filter(&["--proto", "tcp", "tcp port 443 or vlan 7"]);
    assert_eq!(shown.code(), Some(0), "{}", shown.stderr);
    let text = shown.stdout_text();
    assert!(
        text.starts_with("--proto tcp tcp port 443 or vlan 7\n"),
        "{text}"
    );
    for part in [
        "(000) ldh      [12]",
        // The tag that the kernel took out of the frame.
        "ldb      [vlanp]",
        "r2 = *(u32 *)(r1 +76)",
        "call bpf_skb_load_bytes",
        " instructions, ",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let bare = filter(&["--bare", "tcp port 443"]).stdout_text();
    assert!(bare.contains("(000) ldb      [0]"), "{bare}");
}

#[test]
fn what_is_wrong_with_an_expression_is_said_in_one_line() {
    for (words, said) in [
        (
            &["tcp prt 80"][..],
            "expression `tcp prt 80`: can't parse filter expression",
        ),
        (&["ip6", "protochain", "6"], "`protochain`"),
        (&["--host", "192.0.2.300", "tcp"], "--host"),
        (&["--bare", "ether src 02:00:00:00:00:01"], "ether"),
        (&[], "every packet matches"),
    ] {
        let refused = filter(words);
        assert_eq!(refused.code(), Some(2), "{words:?}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
}

#[test]
fn the_packets_of_a_file_that_match_are_told_by_their_numbers() {
    let scratch = Scratch::new();
    let file = scratch.path("some.pcap");
    let https = Flow::new("192.0.2.1:40000", "192.0.2.200:443").tcp(SYN, b"");
    let other = Flow::new("192.0.2.1:40000", "192.0.2.200:53").udp(b"else");
    let tag = tagged(0x8100, 7, &https);
    replay::write_pcap(
        &file,
        &[
            https.clone(),
            other,
            https.clone(),
            https,
            tag,
            vec![0; 9_000],
        ],
    );
    let namespace = Namespace::new();
    let path = file.to_string_lossy().into_owned();
    let tried = |words: &[&str]| {
        let words = [&["filter", "--test", &path], words].concat();
        let tried = Nodecap::new(&namespace, &words).run();
        assert_eq!(tried.code(), Some(0), "{}", tried.stderr);
        tried.stdout_text()
    };
    let text = tried(&["tcp port 443"]);
    assert!(text.contains("4 of 6 packets match: 1, 3-5\n"), "{text}");
    assert!(text.contains("bytes of machine code"), "{text}");
    assert!(text.contains("1 not tried"), "{text}");
    assert!(tried(&["vlan 7"]).contains("1 of 6 packets match: 5\n"));
    assert!(tried(&["vlan 7", "--port", "80"]).contains("0 of 6 packets match\n"));
    assert!(tried(&["--proto", "udp"]).contains("1 of 6 packets match: 2\n"));
}

#[test]
fn the_file_says_what_was_asked_for() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let file = scratch.path("asked.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args([
            "--host",
            "192.0.2.0/24,!192.0.2.9",
            "tcp[tcpflags]",
            "&",
            "tcp-rst",
            "!=",
            "0",
        ])
        .write(&file)
        .start();
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    wire.send(&[flow.tcp(SYN, b""), flow.tcp(RST, b"")]);
    capture.wait_until_captured(1);
    assert_eq!(capture.stop().counts().received, 1);
    let file = CaptureFile::read(&file);
    assert_eq!(
        file.interfaces.first().and_then(|it| it.filter.as_deref()),
        Some("--host 192.0.2.0/24,!192.0.2.9/32 tcp[tcpflags] & tcp-rst != 0")
    );
}

#[test]
fn where_there_is_no_link_header_an_expression_is_about_ip_packets() {
    let namespace = Namespace::new();
    namespace.ip("tuntap add mode tun name tun0");
    namespace.ip("addr add 203.0.113.1/24 dev tun0");
    namespace.ip("link set tun0 up");
    let scratch = Scratch::new();
    let file = scratch.path("bare.pcapng");
    let capture = Nodecap::capture(&namespace, "tun0")
        .args(["udp dst port 9999 and ip[8] > 1"])
        .write(&file)
        .start();
    for port in [9_998, 9_999] {
        let sent = namespace
            .udp("0.0.0.0:0")
            .send_to(b"to nobody", ("203.0.113.9", port));
        assert!(sent.is_ok(), "{sent:?}");
    }
    capture.wait_until_captured(1);
    assert_eq!(capture.stop().counts().received, 1);

    let refused = Nodecap::capture(&namespace, "tun0")
        .args(["ether src 02:00:00:00:00:01"])
        .run();
    assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("ether"), "{}", refused.stderr);
    let noted = Nodecap::capture(&namespace, "tun0")
        .args([
            "-i",
            "lo",
            "--duration",
            "0.1",
            "ether src 02:00:00:00:00:01",
        ])
        .run();
    assert_eq!(noted.code(), Some(0), "{}", noted.stderr);
    assert!(
        noted.stderr.contains("nothing will match on tun0"),
        "{}",
        noted.stderr
    );
}

#[test]
fn following_adds_nothing_to_what_tcpdump_captures_at_one_interface() {
    for expression in [
        "tcp dst port 5002",
        "tcp[tcpflags] & tcp-syn != 0",
        "src host 198.51.100.1",
    ] {
        let pair = Pair::new();
        let scratch = Scratch::new();
        let file = scratch.path("one.pcapng");
        // The marker is there to end tcpdump.
        let expression = format!("ether proto 0x88b5 or ({expression})");
        let capture = Nodecap::capture(&pair.left, Pair::LINK)
            .args([&expression])
            .write(&file)
            .start();
        let tcpdump = Tcpdump::start(&pair.left, Pair::LINK, &[&expression]);
        let listener = sockets::listen(&pair.right, "198.51.100.2:5002", 8);
        for _ in 0..3 {
            let connected = sockets::connect(&pair.left, "198.51.100.1:0", "198.51.100.2:5002");
            assert!(connected.is_ok(), "{connected:?}");
            let accepted = listener.accept();
            assert!(accepted.is_ok(), "{accepted:?}");
        }
        replay::send(&pair.left, Pair::LINK, &[lab::frames::end_marker()]);
        let theirs = tcpdump.finish();
        capture.wait_until_captured(theirs.counts.captured);
        let ours = capture.stop().counts();
        assert_eq!(ours.received, theirs.counts.captured, "{expression}");
        assert!(ours.received > 3, "{expression}");
    }
}
