//! nodecap's file holds what tcpdump's holds, captured at the same interface in the same run: the
//! same frames, byte for byte, in the same order.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use lab::compare::{Truncated, assert_same};
use lab::frames::{self, DOT1AD, DOT1Q, Flow, Frame, corpus, tagged};
use lab::nodecap::Nodecap;
use lab::read::{CaptureFile, Captured};
use lab::replay;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::{Pair, Wire};

/// Sends the frames with both listening, with these arguments, and returns what nodecap's file
/// holds and what tcpdump's.
#[track_caller]
fn both(wire: &Wire, interface: &str, arguments: &[&str], frames: &[Frame]) -> [CaptureFile; 2] {
    let scratch = Scratch::new();
    let file = scratch.path("ours.pcapng");
    let capture = Nodecap::capture(&wire.namespace, interface)
        .args(arguments)
        .write(&file)
        .start();
    let tcpdump = Tcpdump::start(&wire.namespace, interface, arguments);
    wire.send(frames);
    let theirs = tcpdump.finish();
    capture.wait_until_captured(theirs.counts.captured);
    let counts = capture.stop().counts();
    assert_eq!(counts.captured, theirs.counts.captured);
    assert_eq!(counts.received, theirs.counts.captured);
    assert_eq!(counts.dropped, 0);
    [CaptureFile::read(&file), theirs.file]
}

#[test]
fn frames_of_every_kind_that_come_in() {
    let sent: Vec<Frame> = corpus::everything()
        .into_iter()
        .filter(corpus::comes_in)
        .collect();
    let sent = frames::then_end_marker(sent);
    let [ours, theirs] = both(&Wire::new(), Wire::CATCHER, &[], &sent);
    assert_same(&ours.packets, &theirs.packets);
    assert_same(&ours.packets, &sent);
}

#[test]
fn frames_of_every_kind_that_go_out() {
    let sent = frames::then_end_marker(corpus::everything());
    let [ours, theirs] = both(&Wire::new(), Wire::SENDER, &[], &sent);
    assert_same(&ours.packets, &theirs.packets);
    assert_same(&ours.packets, &sent);
}

#[test]
fn a_tag_that_the_kernel_took_out_of_the_frame_is_back_in_it() {
    let plain = Flow::new("192.0.2.1:40000", "192.0.2.200:443").tcp(frames::transport::SYN, b"");
    // Priority and drop bit must survive too, and the outer tag's protocol.
    let sent = frames::then_end_marker(vec![
        tagged(DOT1Q, 5, &plain),
        tagged(DOT1Q, 0xffff, &plain),
        tagged(DOT1Q, 0, &plain),
        tagged(DOT1AD, 100, &plain),
        tagged(DOT1AD, 100, &tagged(DOT1Q, 200, &plain)),
        tagged(DOT1Q, 1, &tagged(DOT1Q, 2, &tagged(DOT1Q, 3, &plain))),
    ]);
    let [ours, theirs] = both(&Wire::new(), Wire::CATCHER, &[], &sent);
    assert_same(&ours.packets, &theirs.packets);
    assert_same(&ours.packets, &sent);
}

#[test]
fn jumbo_frames() {
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let sizes = [1_501, 4_000, 4_104 - 54, 8_191, 8_960];
    let sent: Vec<Frame> = sizes
        .iter()
        .map(|size| flow.tcp(frames::transport::ACK, &vec![*size as u8; *size]))
        .collect();
    let sent = frames::then_end_marker(sent);
    let [ours, theirs] = both(&Wire::with_mtu(9_000), Wire::CATCHER, &[], &sent);
    assert_same(&ours.packets, &theirs.packets);
    assert_same(&ours.packets, &sent);
}

#[test]
fn frames_cut_at_the_snapshot_length() {
    let flow = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let mut sent = corpus::rich();
    sent.extend([0, 1, 9, 10, 11, 41, 42, 43, 200].map(|len| flow.udp(&vec![b'x'; len])));
    let sent = frames::then_end_marker(sent);
    // The end marker must stay whole in tcpdump's file for the lab to see it.
    for snap_len in ["64", "96", "256"] {
        let [ours, theirs] = both(&Wire::new(), Wire::CATCHER, &["-s", snap_len], &sent);
        assert_same(&ours.packets, &theirs.packets);
        assert_same(&ours.packets, &truncated(&sent, snap_len.parse().unwrap()));
        assert_eq!(ours.interfaces[0].snap_len.to_string(), snap_len);
    }
}

#[test]
fn frames_cut_within_their_link_header() {
    // No comparison here: tcpdump leaves a tag out, and out of the length, when it keeps less than
    // the addresses before it.
    let sent = corpus::rich();
    for snap_len in [1, 11, 13, 15, 17] {
        let wire = Wire::new();
        let scratch = Scratch::new();
        let file = scratch.path("ours.pcapng");
        let arguments = ["-s".to_owned(), snap_len.to_string()];
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(&arguments)
            .write(&file)
            .start();
        wire.send(&sent);
        capture.wait_until_captured(sent.len() as u64);
        capture.stop();
        assert_same(
            &CaptureFile::read(&file).packets,
            &truncated(&sent, snap_len),
        );
    }
}

fn truncated(frames: &[Frame], snap_len: usize) -> Vec<Truncated<'_>> {
    frames
        .iter()
        .map(|frame| Truncated { frame, snap_len })
        .collect()
}

#[test]
fn segments_that_the_stack_sends_and_receives_as_one() {
    const TO_SEND: usize = 4 << 20;
    let pair = Pair::new();
    let scratch = Scratch::new();
    for (address, source_port) in [
        (Pair::RIGHT_V4.to_owned(), 14 + 20),
        (format!("[{}]", Pair::RIGHT_V6), 14 + 40),
    ] {
        let hosts = [&pair.left, &pair.right];
        let file = |host: usize| scratch.path(&format!("{host}.pcapng"));
        let captures = [0, 1].map(|host| {
            Nodecap::capture(hosts[host], Pair::LINK)
                .args(["--proto", "tcp", "--port", "5001"])
                .write(&file(host))
                .start()
        });
        let tcpdumps = hosts.map(|host| Tcpdump::start(host, Pair::LINK, &["-s", "262144"]));

        let server = pair
            .right
            .run(|| TcpListener::bind(format!("{address}:5001")))
            .unwrap();
        let mut client = pair
            .left
            .run(|| TcpStream::connect(format!("{address}:5001")))
            .unwrap();
        let (mut serving, _) = server.accept().unwrap();
        let receiver = std::thread::spawn(move || {
            let mut received = Vec::new();
            serving.read_to_end(&mut received).unwrap();
            received.len()
        });
        client.write_all(&vec![0x5a; TO_SEND]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(receiver.join().unwrap(), TO_SEND);
        // The server's end of the connection has closed once this reads its end.
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        replay::send(&pair.left, Pair::LINK, &[frames::end_marker()]);

        for ((host, capture), tcpdump) in captures.into_iter().enumerate().zip(tcpdumps) {
            let theirs = tcpdump.finish().matching("tcp port 5001").packets;
            capture.wait_until_captured(theirs.len() as u64);
            assert_eq!(capture.stop().counts().dropped, 0);
            let ours = CaptureFile::read(&file(host)).packets;
            // The two directions may run on two CPUs, and then nobody can say which packet of one
            // came before which of the other.
            let server_port = 5_001u16.to_be_bytes();
            let split = |packets: &[Captured]| -> [Vec<Captured>; 2] {
                let (back, forth) = packets
                    .iter()
                    .cloned()
                    .partition(|packet| packet.data[source_port..][..2] == server_port);
                [back, forth]
            };
            for (ours, theirs) in split(&ours).iter().zip(&split(&theirs)) {
                assert!(!ours.is_empty());
                assert_same(ours, theirs);
            }
            let super_frames: Vec<_> = ours
                .iter()
                .filter(|packet| packet.original_len > 1_514)
                .collect();
            assert!(!super_frames.is_empty(), "the stack made no super-frame");
            for packet in super_frames {
                assert_eq!(packet.data.len(), packet.original_len as usize);
                assert!(
                    packet
                        .comments
                        .iter()
                        .any(|comment| comment.contains("gso")),
                    "not marked: {:?}",
                    packet.comments
                );
            }
        }
    }
}
