//! An expression captures what tcpdump captures with it at the same interface: the kernel takes
//! the tags out of the frames there, and knows which way they go.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use lab::Signal;
use lab::compare::assert_same;
use lab::frames::{self, END_MARKER, EXPERIMENT, Flow, Frame, corpus, ethernet, uncommon};
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::{Bare, Pair, Wire};

/// Captures with each expression by both, at both ends of a wire, while the frames go over it.
#[track_caller]
fn assert_same_as_tcpdump(frames: &[Frame], expressions: &[&str]) {
    // libpcap (1.10.3) filters the first packet once more by itself, without the metadata that
    // only the kernel knows: one that matches without.
    let mut sent = vec![ethernet(EXPERIMENT, b"first")];
    sent.extend_from_slice(frames);
    let frames = frames::then_end_marker(sent);
    // Each tcpdump takes a large buffer: not all at once.
    for batch in expressions.chunks(4) {
        let wire = Wire::new();
        // The marker ends tcpdump's wait.
        let marker = format!("ether proto {EXPERIMENT}");
        let ends = [Wire::SENDER, Wire::CATCHER];
        compare(&wire.namespace, &ends, &marker, batch, || {
            wire.send(&frames)
        });
    }
}

/// Captures with each expression by both, at each of the interfaces, while `send` makes packets, the
/// last of which holds the end marker and matches `marker`.
#[track_caller]
fn compare(
    namespace: &Namespace,
    ends: &[&str],
    marker: &str,
    expressions: &[&str],
    send: impl FnOnce(),
) {
    let scratch = Scratch::new();
    let mut captures = Vec::new();
    for expression in expressions {
        for end in ends {
            // The marker comes first, since `vlan` moves what follows.
            let expression = format!("{marker} or ({expression})");
            let file = scratch.path(&format!("{}.pcapng", captures.len()));
            // Frames of the corpus are alike but for addresses, and so one would be taken for
            // another that was translated.
            let ours = Nodecap::capture(namespace, end)
                .args(["--no-follow", "--ring-size", "1M", &expression])
                .write(&file)
                .spawn();
            captures.push((expression, end, file, ours));
        }
    }
    let tcpdumps: Vec<_> = captures
        .iter()
        .map(|(expression, end, ..)| Tcpdump::start(namespace, end, &[expression]))
        .collect();
    for (.., ours) in &captures {
        ours.wait_until_listening();
    }
    send();
    let theirs: Vec<_> = tcpdumps.into_iter().map(Tcpdump::finish).collect();
    for ((.., ours), theirs) in captures.iter().zip(&theirs) {
        ours.wait_until_captured(theirs.counts.captured);
        ours.signal(Signal::SIGINT);
    }
    for ((expression, end, file, ours), theirs) in captures.into_iter().zip(theirs) {
        let finished = ours.wait();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
        println!("{end}: {expression}: {}", theirs.file.packets.len());
        assert_same(&CaptureFile::read(&file).packets, &theirs.file.packets);
        assert_eq!(finished.counts().received, theirs.counts.captured);
    }
}

fn sent() -> Vec<Frame> {
    corpus::everything()
        .into_iter()
        .filter(corpus::comes_in)
        .collect()
}

#[test]
fn protocols_addresses_and_ports() {
    assert_same_as_tcpdump(
        &sent(),
        &[
            "tcp port 443",
            "host 192.0.2.1 and (tcp port 80 or udp portrange 53-5353)",
            "src host 192.0.2.1",
            "net 2001:db8:1::/48 and not icmp6",
            "ip6 proto 0 or ip proto 47",
            "arp or sctp",
            "ether multicast or ip broadcast",
            "not ip and not ip6",
        ],
    );
}

#[test]
fn bytes_and_lengths() {
    assert_same_as_tcpdump(
        &sent(),
        &[
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
            "((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0",
            "ip[6:2] & 0x1fff != 0",
            "icmp[icmptype] = icmp-echo or icmp6[icmp6type] = icmp6-echo",
            "greater 100 and ether[len - 1] != 0",
            "less 60",
            "ip6[6] = 17",
            "ether[20:4] & 0xffff = 0",
        ],
    );
}

#[test]
fn tags_that_the_kernel_took_out_of_the_frame() {
    assert_same_as_tcpdump(
        &sent(),
        &[
            "vlan",
            "not vlan",
            "vlan 5",
            "vlan and tcp port 443",
            "tcp port 443 or (vlan and tcp port 443)",
            "vlan 100 and vlan 200",
            "vlan 100 and vlan and ip6",
            "not (vlan and ip)",
            "vlan 4094 or udp",
            "vlan and ether[12:2] = 0x8100",
        ],
    );
}

#[test]
fn which_way_and_where() {
    assert_same_as_tcpdump(
        &sent(),
        &[
            "inbound",
            "outbound",
            "inbound and tcp",
            "not outbound and vlan",
            "ifindex 2",
            "ifindex 3 and udp",
        ],
    );
}

// Not `vlan and geneve`: of that libpcap makes a program that reads what it hasn't written. The kernel
// doesn't take it as a classic filter, and tcpdump goes on without, by libpcap's interpreter, in
// whose memory is anything.
#[test]
fn tunnels_and_labels_and_what_is_within() {
    let mut frames = uncommon::frames();
    // Tagged as well: the kernel takes the tag out.
    let tagged: Vec<_> = frames
        .iter()
        .map(|frame| frames::tagged(0x8100, 5, frame))
        .collect();
    frames.extend(tagged);
    assert_same_as_tcpdump(
        &frames,
        &[
            "geneve",
            "geneve 5 and tcp port 443",
            "mpls",
            "mpls 100 and mpls 200 and host 192.0.2.1",
            "vlan 5 and mpls",
            "pppoes 7 and ip",
            "udp port 6081 and udp[8] & 0x3f != 0",
            "llc or stp or (ether proto 0x88cc)",
            "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
        ],
    );
}

#[test]
fn what_lies_behind_the_part_of_a_packet_that_can_be_read_directly() {
    // A connection's own segments: the headers in one piece, what it says in another.
    let pair = Pair::new();
    let payload = "tcp[((tcp[12:1] & 0xf0) >> 2):4]";
    let expressions = [
        format!("{payload} = 0x47455420"),
        format!("{payload} != 0 and tcp dst port 9"),
        "ether[len - 1] = 0x21".to_owned(),
        "tcp and len > 200".to_owned(),
    ];
    let expressions: Vec<_> = expressions.iter().map(String::as_str).collect();
    let end = format!("udp port {}", EXPERIMENT_PORT);
    compare(&pair.left, &[Pair::LINK], &end, &expressions, || {
        let address = format!("{}:9", Pair::RIGHT_V4);
        let listener = pair.right.run(|| TcpListener::bind(&address)).unwrap();
        let mut client = pair.left.run(|| TcpStream::connect(&address)).unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for question in ["GET /", "PUT /", "GET /and/more!", &"long".repeat(100)] {
            client.write_all(question.as_bytes()).unwrap();
            let mut heard = vec![0; question.len()];
            server.read_exact(&mut heard).unwrap();
            server.write_all(b"OK!").unwrap();
            client.read_exact(&mut heard[..3]).unwrap();
        }
        let bye = pair.left.udp("0.0.0.0:0");
        let to = format!("{}:{EXPERIMENT_PORT}", Pair::RIGHT_V4);
        bye.send_to(END_MARKER, to).unwrap();
    });
}

#[test]
fn at_a_device_without_a_link_header() {
    let packets = corpus::ip_packets(&corpus::everything());
    let expressions = [
        "ip",
        "ip6",
        "tcp port 443",
        "udp and not port 53",
        "icmp or icmp6 or sctp",
        "host 192.0.2.1 or net 2001:db8:1::/48",
        "src host 192.0.2.1 and portrange 1-1024",
        "tcp[13] & 2 != 0",
        "ip[6:2] & 0x1fff != 0",
        "ip6[40:2] = 53",
        "((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0",
        "less 60",
        "inbound",
        "outbound and tcp",
        "not tcp",
    ];
    let of_the_lab = Flow::new("203.0.113.1:9", &format!("203.0.113.2:{EXPERIMENT_PORT}"));
    let end = format!("udp port {EXPERIMENT_PORT}");
    // Each tcpdump takes a large buffer: not all at once.
    for batch in expressions.chunks(8) {
        let device = Bare::new();
        compare(&device.namespace, &[Bare::LINK], &end, batch, || {
            // As above: libpcap's own look at the first packet knows no direction.
            device.send_out(&of_the_lab.udp(b"first")[14..]);
            for packet in &packets {
                device.send_out(packet);
            }
            device.send_in(&packets);
            device.send_in(&[of_the_lab.udp(END_MARKER)[14..].to_vec()]);
        });
    }
}

/// Where the end marker goes.
const EXPERIMENT_PORT: u16 = 3_503;
