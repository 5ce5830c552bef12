//! Random packets: sound ones with something wrong in each of their headers now and then, cut
//! off and overwritten in places.
//!
//! They are built from a tape of random bytes, one for each decision. Where the tape has ended or
//! holds a zero, the plainest choice is made; so a packet becomes plainer as proptest shortens
//! and lowers its tape.

use proptest::collection::vec;
use proptest::prelude::*;

/// A frame with an Ethernet header, or what is left of it: at least a byte.
pub(crate) fn frames() -> impl Strategy<Value = Vec<u8>> {
    tapes().prop_map(|bytes| {
        let mut tape = Tape(bytes.iter());
        let mut frame = tape.bytes(12);
        for _ in 0..[0, 1, 2, 3, 4, 0, 0, 0, 1, 2][tape.below(10)] {
            let protocol = tape.one_of(&[0x8100u16, 0x88a8, 0x9100]);
            frame.extend(protocol.to_be_bytes());
            frame.extend(tape.bytes(2));
        }
        let (ethertype, packet) = announced(&mut tape);
        frame.extend(ethertype.to_be_bytes());
        frame.extend(packet);
        damaged(&mut tape, frame)
    })
}

/// A packet without a link header, and the EtherType that it is announced with.
pub(crate) fn bare_packets() -> impl Strategy<Value = (u16, Vec<u8>)> {
    tapes().prop_map(|bytes| {
        let mut tape = Tape(bytes.iter());
        let (ethertype, packet) = announced(&mut tape);
        (ethertype, damaged(&mut tape, packet))
    })
}

fn tapes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 40..240)
}

/// Random bytes, each to decide something by.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `end`, which is at most 256. Zero gives zero.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Whether the one time in `times` has come that something is odd.
    fn odd(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }
}

/// What happens to a packet on its way from an honest sender.
fn damaged(tape: &mut Tape<'_>, mut packet: Vec<u8>) -> Vec<u8> {
    if packet.is_empty() {
        packet.push(0);
    }
    for _ in 0..[0, 1, 0, 2, 0, 4, 0, 0][tape.below(8)] {
        let place = usize::from(tape.u16()) % packet.len();
        packet[place] = tape.byte();
    }
    if tape.odd(3) {
        let len = usize::from(tape.u16()) % packet.len();
        packet.truncate(1 + len);
    }
    packet
}

/// An EtherType, and a network header of that type, now and then of another or none.
fn announced(tape: &mut Tape<'_>) -> (u16, Vec<u8>) {
    let kind = tape.below(9);
    let (ethertype, packet) = match kind {
        0..=3 => (0x0800, ipv4(tape)),
        4..=7 => (0x86dd, ipv6(tape)),
        _ => (0x0806, arp(tape)),
    };
    if tape.odd(20) {
        let other = tape.u16();
        let lengths_and_types = [0x0806, 0x86dd, 0x0800, 0x8035, 0, 60, 1_500, other];
        return (tape.one_of(&lengths_and_types), packet);
    }
    (ethertype, packet)
}

fn ipv4(tape: &mut Tape<'_>) -> Vec<u8> {
    let version = if tape.odd(10) {
        tape.below(16) as u8
    } else {
        4
    };
    let words_of_options = if tape.odd(3) { tape.below(11) } else { 0 };
    let words = match tape.odd(6) {
        true => tape.below(16),
        false => 5 + words_of_options,
    };
    let mut packet = vec![version << 4 | words as u8, 0];
    // Total length and identification.
    packet.extend(tape.bytes(4));
    packet.extend(fragment_field(tape).to_be_bytes());
    let protocol = protocol(tape);
    packet.extend([64, protocol, 0, 0]);
    packet.extend(ipv4_address(tape));
    packet.extend(ipv4_address(tape));
    packet.extend(tape.bytes(4 * words_of_options));
    packet.extend(message(tape));
    packet
}

/// Flags and offset: whole, a first fragment, a later one, anything.
fn fragment_field(tape: &mut Tape<'_>) -> u16 {
    match tape.below(10) {
        0..=3 => 0,
        4..=5 => 0x4000,
        6 => 0x2000,
        7..=8 => tape.u16() & 0x1fff,
        _ => tape.u16(),
    }
}

fn ipv6(tape: &mut Tape<'_>) -> Vec<u8> {
    let extensions = match tape.below(8) {
        0..=1 => 0,
        2..=5 => 1 + tape.below(3),
        _ => 6 + tape.below(6),
    };
    let mut announced = Vec::new();
    let mut behind: Vec<Vec<u8>> = Vec::new();
    for _ in 0..extensions {
        let (kind, header) = extension(tape);
        announced.push(kind);
        behind.push(header);
    }
    announced.push(protocol(tape));
    // Each header names the one behind it in its first byte.
    for (header, next) in behind.iter_mut().zip(&announced[1..]) {
        header[0] = *next;
    }
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(tape.bytes(2));
    packet.extend([announced[0], 64]);
    packet.extend(ipv6_address(tape));
    packet.extend(ipv6_address(tape));
    packet.extend(behind.concat());
    packet.extend(message(tape));
    packet
}

/// An extension header's number, and the header.
fn extension(tape: &mut Tape<'_>) -> (u8, Vec<u8>) {
    let kind = tape.one_of(&[60, 0, 43, 44, 51, 135, 139, 140, 44, 51]);
    let more = tape.below(4);
    let mut header = match kind {
        44 => {
            // The offset is in the upper 13 bits here, in the lower 13 over IPv4.
            let offset = fragment_field(tape).rotate_left(3);
            [&[0, 0], &offset.to_be_bytes()[..], &tape.bytes(4)].concat()
        }
        51 => vec![0; 8 + 4 * more],
        _ => vec![0; 8 + 8 * more],
    };
    if kind != 44 {
        header[1] = more as u8;
    }
    if tape.odd(16) {
        header[1] = tape.byte();
    }
    (kind, header)
}

fn protocol(tape: &mut Tape<'_>) -> u8 {
    match tape.below(12) {
        0..=3 => 6,
        4..=6 => 17,
        7..=8 => 132,
        9..=10 => tape.one_of(&[1, 2, 41, 47, 50, 58, 59, 253]),
        _ => tape.byte(),
    }
}

/// Something that starts with ports.
fn message(tape: &mut Tape<'_>) -> Vec<u8> {
    let mut message = port(tape).to_be_bytes().to_vec();
    message.extend(port(tape).to_be_bytes());
    let more = tape.below(24);
    message.extend(tape.bytes(more));
    message
}

fn port(tape: &mut Tape<'_>) -> u16 {
    let any = tape.u16();
    tape.one_of(&[80, 443, 53, 444, 8_080, 50_000, 0, 65_535, any])
}

fn arp(tape: &mut Tape<'_>) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4];
    if tape.odd(6) {
        packet[tape.below(6)] = tape.byte();
    }
    packet.extend(tape.bytes(8));
    packet.extend(ipv4_address(tape));
    packet.extend(tape.bytes(6));
    packet.extend(ipv4_address(tape));
    packet
}

fn ipv4_address(tape: &mut Tape<'_>) -> [u8; 4] {
    let any = [tape.byte(), tape.byte(), tape.byte(), tape.byte()];
    tape.one_of(&[
        [192, 0, 2, 1],
        [192, 0, 2, 200],
        [198, 51, 100, 7],
        [203, 0, 113, 9],
        [0; 4],
        [255; 4],
        any,
    ])
}

fn ipv6_address(tape: &mut Tape<'_>) -> Vec<u8> {
    if tape.odd(8) {
        return tape.bytes(16);
    }
    let mut address = vec![0x20, 0x01, 0x0d, 0xb8, 0, 1 + tape.below(2) as u8];
    address.resize(15, 0);
    address.push(tape.below(3) as u8);
    address
}
