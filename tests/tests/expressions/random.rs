//! Any classic program, over any packet: what libpcap would never make must not be run differently
//! either.
//!
//! `PROPTEST_CASES` sets how many programs there are; each meets some forty packets in five ways.

use capture_user::filter::expression::classic::{Instruction, Program};
use capture_user::filter::expression::interpret::{Metadata, interpret};
use capture_user::kernel::libpcap;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::alone::{Alone, Way};

const MEMORY_WORDS: u32 = 16;

/// An instruction's number, from what the tape says.
fn instruction(tape: [u8; 8], left: usize) -> Instruction {
    let [kind, x, jt, jf, k @ ..] = tape;
    let any = u32::from_le_bytes(k);
    let small = any % 128;
    let jump = |byte: u8| (usize::from(byte) % left.clamp(1, 24)) as u8;
    // Mostly inside the packet, now and then at its end or far beyond.
    let offset = match any >> 28 {
        0..=11 => any % 96,
        12 => any % 512,
        13 => 32_700 + any % 100,
        14 => 65_500 + any % 100,
        _ => any & 0x7fff_ffff,
    };
    let size = [0x00, 0x08, 0x10][usize::from(x) % 3];
    let (code, k) = match kind % 24 {
        0..=3 => (0x20 | size, offset),
        4..=6 => (0x40 | size, if any % 50 == 0 { any } else { small }),
        7 => (0x80 + u16::from(x & 1), 0),
        8 => (u16::from(x & 1), any),
        9 => (0x60 + u16::from(x & 1), any % MEMORY_WORDS),
        10 => (0xb1, offset),
        11 => (0x02 + u16::from(x & 1), any % MEMORY_WORDS),
        12 => (0x07 | if x & 1 == 0 { 0 } else { 0x80 }, 0),
        13 => (0x84, 0),
        14 => (0x05, (small as usize % left.max(1)) as u32),
        15 if x % 8 == 0 => (0x06, any),
        15 if x % 8 == 1 => (0x16, 0),
        15..=18 => {
            let operation = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0]
                [usize::from(x >> 1) % 10];
            let k = match operation {
                0x30 | 0x90 => any.max(1),
                0x60 | 0x70 => any % 32,
                _ if any & 1 == 0 => small,
                _ => any,
            };
            (0x04 | operation | if x & 1 == 0 { 0 } else { 0x08 }, k)
        }
        _ => {
            let test = [0x10, 0x20, 0x30, 0x40][usize::from(x >> 1) % 4];
            let k = if any & 1 == 0 { small } else { any };
            (0x05 | test | if x & 1 == 0 { 0 } else { 0x08 }, k)
        }
    };
    Instruction {
        code,
        jt: jump(jt),
        jf: jump(jf),
        k,
    }
}

fn programs() -> impl Strategy<Value = Program> {
    vec(any::<[u8; 8]>(), 1..160).prop_map(|tapes| {
        // libpcap's interpreter doesn't clear its memory.
        let clear = |k| Instruction {
            code: 0x02,
            jt: 0,
            jf: 0,
            k,
        };
        let mut code: Vec<_> = (0..MEMORY_WORDS).map(clear).collect();
        let len = tapes.len();
        code.extend(
            tapes
                .into_iter()
                .enumerate()
                .map(|(at, tape)| instruction(tape, len - at)),
        );
        code.push(Instruction {
            code: 0x16,
            jt: 0,
            jf: 0,
            k: 0,
        });
        Program::new(code).unwrap()
    })
}

/// Of no EtherType that the test run wants more of than there is.
fn packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let packet = (vec(any::<u8>(), 14..140), 0..40usize).prop_map(|(mut packet, zeros)| {
        for byte in packet.iter_mut().skip(14).take(zeros) {
            *byte = 0;
        }
        packet[12] = 0x12;
        packet
    });
    vec(packet, 40..44)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]
    #[test]
    fn any_program_gives_any_packet_the_same_answer(program in programs(), packets in packets()) {
        for way in Way::all() {
            let mut alone = Alone::load("random", &program, way);
            for packet in &packets {
                let expected = libpcap::interpret(&program, packet);
                prop_assert_eq!(interpret(&program, packet, &Metadata::default()), expected);
                let found = alone.run(packet).map_err(TestCaseError::fail)?;
                prop_assert_eq!(found, expected, "{:?}: {:02x?}", way, packet);
            }
        }
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(150)
}
