//! What frames are built of: common ones by etherparse, odd ones by hand.

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpNumber, Ipv4Header, PacketBuilder, TcpHeader, UdpHeader};

pub(super) const CLIENT: [u8; 4] = [10, 0, 0, 2];
pub(super) const SERVER: [u8; 4] = [10, 0, 0, 9];
pub(super) const CLIENT6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
pub(super) const SERVER6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
pub(super) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub(super) const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Many bytes from a few of various kinds.
pub(super) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(super) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&SERVER_MAC, &CLIENT_MAC, &ether_type.to_be_bytes(), payload])
}

pub(super) fn ip4_header(protocol: u8, payload_len: usize) -> Ipv4Header {
    let mut header = Ipv4Header::new(
        u16::try_from(payload_len).unwrap(),
        64,
        IpNumber(protocol),
        CLIENT,
        SERVER,
    )
    .unwrap();
    header.identification = 7;
    header.dont_fragment = false;
    header
}

/// An IPv4 packet with this header, but for the checksum.
pub(super) fn ip4_with(mut header: Ipv4Header, payload: &[u8]) -> Vec<u8> {
    header.header_checksum = header.calc_header_checksum();
    join(&[&header.to_bytes(), payload])
}

pub(super) fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ip4_with(ip4_header(protocol, payload.len()), payload)
}

pub(super) fn ip6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    join(&[
        &[0x60, 0, 0, 0],
        &len,
        &[next_header, 64],
        &CLIENT6,
        &SERVER6,
        payload,
    ])
}

/// An ICMP or IGMP message with its checksum.
pub(super) fn checked(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = Sum16BitWords::new().add_slice(&message).ones_complement();
    message[2..4].copy_from_slice(&sum.to_ne_bytes());
    message
}

pub(super) fn eth_ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ip4(protocol, payload))
}

pub(super) fn eth_ip6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(0x86dd, &ip6(next_header, payload))
}

/// A UDP datagram without checksum.
pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let header = UdpHeader::without_ipv4_checksum(source, destination, payload.len()).unwrap();
    join(&[&header.to_bytes(), payload])
}

/// A UDP datagram for IPv6, checksum and all.
pub(super) fn udp6(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = UdpHeader::without_ipv4_checksum(source, destination, payload.len()).unwrap();
    header.checksum = header
        .calc_checksum_ipv6_raw(CLIENT6, SERVER6, payload)
        .unwrap();
    join(&[&header.to_bytes(), payload])
}

pub(super) fn arp(operation: u8, target_mac: [u8; 6], padding: usize) -> Vec<u8> {
    let packet = join(&[
        &[0, 1, 8, 0, 6, 4, 0, operation],
        &CLIENT_MAC,
        &CLIENT,
        &target_mac,
        &SERVER,
        &vec![0; padding],
    ]);
    ethernet(0x0806, &packet)
}

/// A segment from client to server, or back, over IPv4.
pub(super) fn tcp(
    from_client: bool,
    sequence: u32,
    payload: &[u8],
    change: impl FnOnce(&mut TcpHeader),
) -> Vec<u8> {
    tcp_to(443, from_client, sequence, payload, change)
}

/// The same with the server's port.
pub(super) fn tcp_to(
    port: u16,
    from_client: bool,
    sequence: u32,
    payload: &[u8],
    change: impl FnOnce(&mut TcpHeader),
) -> Vec<u8> {
    let (source, destination, ports) = if from_client {
        (CLIENT, SERVER, (41_022, port))
    } else {
        (SERVER, CLIENT, (port, 41_022))
    };
    let mut header = TcpHeader::new(ports.0, ports.1, sequence, 501);
    change(&mut header);
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ipv4(source, destination, 64)
        .tcp_header(header);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

pub(super) fn tcp6(sequence: u32, payload: &[u8], change: impl FnOnce(&mut TcpHeader)) -> Vec<u8> {
    let mut header = TcpHeader::new(41_022, 443, sequence, 501);
    change(&mut header);
    let builder = PacketBuilder::ethernet2(CLIENT_MAC, SERVER_MAC)
        .ipv6(CLIENT6, SERVER6, 64)
        .tcp_header(header);
    let mut frame = Vec::new();
    builder.write(&mut frame, payload).unwrap();
    frame
}

pub(super) fn geneve(protocol: u16, options: &[u8], inner: &[u8]) -> Vec<u8> {
    let units = u8::try_from(options.len() / 4).unwrap();
    join(&[
        &[units, 0],
        &protocol.to_be_bytes(),
        &[0, 0, 42, 0],
        options,
        inner,
    ])
}

/// The DNS question `KIND NAME`, class Internet.
pub(super) fn dns_question(name: &[&[u8]], kind: u16) -> Vec<u8> {
    let mut question = Vec::new();
    for label in name {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend_from_slice(label);
    }
    join(&[&question, &[0], &kind.to_be_bytes(), &[0, 1]])
}

/// A DNS message with its counts of questions, answers, authorities and additionals.
pub(super) fn dns(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut message = join(&[&1_234_u16.to_be_bytes(), &flags.to_be_bytes()]);
    for count in counts {
        message.extend_from_slice(&count.to_be_bytes());
    }
    join(&[&message, body])
}

pub(super) fn dns_over_udp(message: &[u8]) -> Vec<u8> {
    eth_ip4(17, &udp(5_000, 53, message))
}

/// An answer about the question's name, which is at byte 12.
pub(super) fn dns_answer(kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    join(&[
        &[0xc0, 12],
        &kind.to_be_bytes(),
        &[0, 1, 0, 0, 0, 60],
        &len.to_be_bytes(),
        data,
    ])
}

pub(super) fn vxlan(inner: &[u8]) -> Vec<u8> {
    join(&[&[8, 0, 0, 0, 0, 0, 42, 0], inner])
}

pub(super) fn sctp(chunks: &[&[u8]]) -> Vec<u8> {
    join(&[
        &[0xc3, 0x50, 0x96, 0x0c, 0, 0, 0, 5, 0, 0, 0, 0],
        &chunks.concat(),
    ])
}
