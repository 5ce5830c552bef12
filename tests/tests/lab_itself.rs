//! The lab does what the other tests rely on, shown with tcpdump alone.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use lab::compare::assert_same;
use lab::frames::{self, corpus};
use lab::namespace::Namespace;
use lab::process::{Process, Stdout};
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::{Node, Pair, Wire};
use lab::{Signal, replay, tools};

#[test]
fn what_is_sent_on_a_wire_comes_in_at_its_other_end_in_the_same_order() {
    let wire = Wire::new();
    let tcpdump = Tcpdump::start(&wire.namespace, Wire::CATCHER, &[]);
    let sent = corpus::everything()
        .into_iter()
        .filter(corpus::comes_in)
        .collect();
    let sent = frames::then_end_marker(sent);
    wire.send(&sent);
    let dumped = tcpdump.finish();
    assert_eq!(dumped.counts.captured, sent.len() as u64);
    assert_same(&dumped.file.packets, &sent);
}

#[test]
fn a_wide_wire_carries_jumbo_frames() {
    let wire = Wire::with_mtu(9_000);
    let tcpdump = Tcpdump::start(&wire.namespace, Wire::CATCHER, &[]);
    let sent = frames::then_end_marker(vec![frames::ethernet(frames::EXPERIMENT, &[7; 9_000])]);
    wire.send(&sent);
    assert_same(&tcpdump.finish().file.packets, &sent);
}

#[test]
fn a_flood_says_how_many_frames_it_was() {
    let wire = Wire::new();
    let received = |wire: &Wire| {
        let statistics = format!("/sys/class/net/{}/statistics/rx_packets", Wire::CATCHER);
        let path = wire.namespace.outside(Path::new(&statistics));
        fs::read_to_string(path)
            .unwrap()
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    let sent = replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 20);
    assert_eq!(received(&wire), sent);
}

#[test]
fn well_formed_frames_are_well_formed_to_tshark() {
    let scratch = Scratch::new();
    let file = scratch.path("rich.pcap");
    let mut frames = corpus::rich();
    frames.extend(corpus::behind_extension_headers());
    replay::write_pcap(&file, &frames);
    tools::capinfos(&file);
    tools::tcpdump_read(&file);
    let checks = [
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
        // The payloads are nobody's: these would look for their own protocol in them.
        "--disable-protocol",
        "dns",
        "--disable-protocol",
        "ntp",
        "--disable-protocol",
        "vxlan",
    ];
    for wrong in [
        "_ws.malformed",
        "ip.checksum.status == 0",
        "tcp.checksum.status == 0",
        "udp.checksum.status == 0",
        "icmp.checksum.status == 0",
        "icmpv6.checksum.status == 0",
    ] {
        let mut arguments = checks.to_vec();
        arguments.extend(["-Y", wrong]);
        assert_eq!(tools::tshark(&file, &arguments), "", "{wrong}");
    }
    for (filter, count) in [
        ("arp && !vlan", 6),
        ("sctp && !vlan", 6),
        ("ipv6.hopopts", 3),
        ("ipv6.fraghdr", 4),
        ("ip.flags.mf == 1", 3),
    ] {
        let lines = tools::tshark(&file, &["-Y", filter]);
        assert_eq!(lines.lines().count(), count, "{filter}\n{lines}");
    }
}

#[test]
fn two_hosts_talk_over_tcp_and_nobody_else_does() {
    let pair = Pair::new();
    let tcpdump = Tcpdump::start(&pair.left, Pair::LINK, &[]);
    for address in [Pair::RIGHT_V4.to_owned(), format!("[{}]", Pair::RIGHT_V6)] {
        let server = pair
            .right
            .run(|| TcpListener::bind(format!("{address}:80")))
            .unwrap();
        let mut client = pair
            .left
            .run(|| TcpStream::connect(format!("{address}:80")))
            .unwrap();
        client.write_all(b"ask").unwrap();
        let (mut serving, _) = server.accept().unwrap();
        let mut asked = [0; 3];
        serving.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"ask");
    }
    replay::send(&pair.left, Pair::LINK, &[frames::end_marker()]);
    let dumped = tcpdump.finish();
    let talk = dumped.matching("tcp port 80").packets.len();
    assert!(talk >= 8, "{talk} packets");
    // They do tell multicast routers, of which there are none, that they have addresses.
    let noise = dumped.matching("not tcp and not ether proto 0x88b5 and not ether multicast");
    assert!(noise.packets.is_empty(), "{noise:?}");
}

#[test]
fn the_pod_reaches_the_outside_under_the_nodes_address() {
    let lab = Node::new();
    for (address, node) in [
        (Node::OUTSIDE_V4.to_owned(), Node::NODE_V4),
        (format!("[{}]", Node::OUTSIDE_V6), Node::NODE_V6),
    ] {
        let server = lab
            .outside
            .run(|| TcpListener::bind(format!("{address}:443")))
            .unwrap();
        let _client = lab
            .pod
            .run(|| TcpStream::connect(format!("{address}:443")))
            .unwrap();
        let (_, peer) = server.accept().unwrap();
        assert_eq!(peer.ip().to_string(), node);
    }
}

#[test]
fn a_namespace_and_what_runs_in_it_end_with_their_values() {
    let namespace = Namespace::new();
    let process = Process::start(namespace.command("cat").arg("/dev/zero"), Stdout::Unread);
    let of = |pid: u32| Path::new(&format!("/proc/{pid}")).to_owned();
    let (holder, program) = (of(namespace.pid()), of(process.pid()));
    assert!(holder.exists() && program.exists());
    drop(process);
    drop(namespace);
    assert!(!holder.exists() && !program.exists());
}

#[test]
fn a_file_system_mounted_in_a_namespace_is_seen_there_alone() {
    let namespace = Namespace::new();
    let scratch = Scratch::new();
    let mut mount = namespace.command("mount");
    lab::tool::run(
        mount
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(scratch.folder()),
    );
    let file = scratch.path("file");
    fs::write(namespace.outside(&file), b"inside").unwrap();
    assert!(!file.exists());
    let read = lab::tool::run(namespace.command("cat").arg(&file));
    assert_eq!(read.stdout, b"inside");
}

#[test]
fn a_program_of_nobody_has_no_capability() {
    let namespace = Namespace::new();
    let status = lab::tool::run(namespace.command_as_nobody("cat").arg("/proc/self/status"));
    let status = String::from_utf8(status.stdout).unwrap();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd"] {
        assert!(
            status.contains(&format!("{set}:\t0000000000000000\n")),
            "{status}"
        );
    }
}

#[test]
fn a_program_that_ends_says_how_and_what_it_said() {
    let namespace = Namespace::new();
    let mut command = namespace.command("sh");
    command.args(["-c", "echo out; echo err >&2; read line < /dev/tty; exit 3"]);
    let finished = Process::start(&mut command, Stdout::Collected).wait();
    assert_eq!(finished.code(), Some(3));
    assert_eq!(finished.stdout_text(), "out\n");
    assert!(finished.stderr.starts_with("err\n"));

    let process = Process::start(namespace.command("cat").arg("/dev/zero"), Stdout::Unread);
    process.signal(Signal::SIGTERM);
    assert_eq!(process.wait().code(), None);
}

#[test]
fn the_reader_refuses_what_breaks_the_format() {
    let word = |number: u32| number.to_ne_bytes();
    let header = [
        word(0x0a0d_0d0a),
        word(28),
        word(0x1a2b_3c4d),
        word(1),
        [0xff; 4],
        [0xff; 4],
        word(28),
    ]
    .concat();
    let whole = CaptureFile::parse(&header, "header");
    assert!(!whole.cut);
    assert!(CaptureFile::parse(&[&header[..], &word(6)].concat(), "half").cut);
    let refused = |bytes: Vec<u8>| {
        std::panic::catch_unwind(|| CaptureFile::parse(&bytes, "refused")).is_err()
    };
    let interface = |len: u32, options: &[u8]| {
        [
            &header[..],
            &word(1),
            &word(len),
            &word(1),
            &word(0),
            options,
            &word(len),
        ]
        .concat()
    };
    assert!(!refused(interface(20, &[])));
    assert!(refused(interface(16, &[])), "a length that doesn't add up");
    let name = [&2u16.to_ne_bytes()[..], &3u16.to_ne_bytes(), b"lo0"].concat();
    let ended = |padding: u8| [&name[..], &[padding], &word(0)].concat();
    assert!(!refused(interface(32, &ended(0))));
    assert!(refused(interface(32, &ended(1))), "padding that isn't zero");
    assert!(
        refused(interface(28, &[&name[..], &[0]].concat())),
        "options without their end"
    );
    let packet = [
        word(6),
        word(32),
        word(0),
        word(0),
        word(0),
        word(0),
        word(0),
        word(32),
    ]
    .concat();
    assert!(
        refused([&header[..], &packet].concat()),
        "a packet of an unknown interface"
    );
}
