//! Devices whose frames begin with the IP header, alone and beside those with Ethernet.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use lab::frames::{IPV4, IPV6};
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::tools;

/// What is sent to here goes out at `tun0`.
const BEHIND_V4: &str = "203.0.113.9:9999";
const BEHIND_V6: &str = "[2001:db8:9::9]:9999";

fn with_tun() -> Namespace {
    let namespace = Namespace::new();
    namespace.ip("tuntap add mode tun name tun0");
    namespace.ip("addr add 203.0.113.1/24 dev tun0");
    namespace.ip("addr add 2001:db8:9::1/64 dev tun0 nodad");
    namespace.ip("link set tun0 up");
    namespace
}

#[test]
fn their_packets_get_an_ethernet_header_beside_interfaces_that_have_one() {
    let namespace = with_tun();
    let scratch = Scratch::new();
    let file = scratch.path("mixed.pcapng");
    let capture = Nodecap::capture(&namespace, "tun0")
        .args(["-i", "lo", "--proto", "udp", "--port", "9999"])
        .write(&file)
        .start();
    let payload = b"to nobody";
    namespace
        .udp("0.0.0.0:0")
        .send_to(payload, BEHIND_V4)
        .unwrap();
    namespace.udp("[::]:0").send_to(payload, BEHIND_V6).unwrap();
    namespace
        .udp("127.0.0.1:0")
        .send_to(payload, "127.0.0.1:9999")
        .unwrap();
    // Loopback sees its packet twice: out and in.
    capture.wait_until_captured(4);
    capture.stop();

    let written = CaptureFile::read(&file);
    assert!(
        written
            .interfaces
            .iter()
            .all(|interface| interface.link_type == 1)
    );
    let tun = written.packets_of("tun0");
    assert_eq!(tun.len(), 2);
    for (packet, ethertype, version) in [(&tun[0], IPV4, 4), (&tun[1], IPV6, 6)] {
        assert_eq!(packet.data[12..14], ethertype.to_be_bytes());
        assert_eq!(packet.data[14] >> 4, version);
        assert!(packet.data.ends_with(payload));
        assert_eq!(packet.original_len as usize, packet.data.len());
    }
    assert_eq!(written.packets_of("lo").len(), 2);
    tools::assert_readable(&file);
}

#[test]
fn alone_their_packets_are_read_by_every_reader() {
    let namespace = with_tun();
    let scratch = Scratch::new();
    let file = scratch.path("bare.pcapng");
    let capture = Nodecap::capture(&namespace, "tun0")
        .args(["--dst", "203.0.113.9"])
        .write(&file)
        .start();
    namespace
        .udp("0.0.0.0:0")
        .send_to(b"to nobody", BEHIND_V4)
        .unwrap();
    capture.wait_until_captured(1);
    capture.stop();
    assert_eq!(CaptureFile::read(&file).packets.len(), 1);
    let line = tools::tshark(
        &file,
        &["-T", "fields", "-e", "ip.dst", "-e", "udp.dstport"],
    );
    assert_eq!(line.trim(), "203.0.113.9\t9999");
    assert!(tools::tcpdump_read(&file).contains("203.0.113.9.9999"));
}
