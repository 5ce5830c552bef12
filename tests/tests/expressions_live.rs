//! An expression captures what tcpdump captures with it at the same interface: the kernel takes
//! the tags out of the frames there, and knows which way they go.

use lab::Signal;
use lab::compare::assert_same;
use lab::frames::{self, EXPERIMENT, Frame, corpus, ethernet};
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::Wire;

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
        let scratch = Scratch::new();
        let mut captures = Vec::new();
        for expression in batch {
            for end in [Wire::SENDER, Wire::CATCHER] {
                // The marker ends tcpdump's wait. It comes first, since `vlan` moves what follows.
                let expression = format!("ether proto {EXPERIMENT} or ({expression})");
                let file = scratch.path(&format!("{}.pcapng", captures.len()));
                // Frames of the corpus are alike but for addresses, and so one would be taken for
                // another that was translated.
                let ours = Nodecap::capture(&wire.namespace, end)
                    .args(["--no-follow", "--ring-size", "1M", &expression])
                    .write(&file)
                    .spawn();
                captures.push((expression, end, file, ours));
            }
        }
        let tcpdumps: Vec<_> = captures
            .iter()
            .map(|(expression, end, ..)| Tcpdump::start(&wire.namespace, end, &[expression]))
            .collect();
        for (.., ours) in &captures {
            ours.wait_until_listening();
        }
        wire.send(&frames);
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
