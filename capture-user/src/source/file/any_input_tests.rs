//! Any bytes at all, and good files gone bad: no panic, no endless loop, nothing made up.

use proptest::prelude::*;

use super::tests::{BOTH, Put, Read, read_all};
use super::*;

#[derive(Clone, Debug)]
struct Sample {
    time: u32,
    frame: Vec<u8>,
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (any::<u32>(), prop::collection::vec(any::<u8>(), 0..80))
        .prop_map(|(time, frame)| Sample { time, frame });
    prop::collection::vec(sample, 1..12)
}

/// A valid file, and where each of its packets ends.
fn file(put: Put, pcapng: bool, samples: &[Sample]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = if pcapng {
        [
            put.section("nodecap 0.1.0"),
            put.interface(1, &[put.option(2, b"eth0")]),
        ]
        .concat()
    } else {
        put.pcap(0xa1b2_3c4d, 1)
    };
    let mut ends = Vec::new();
    for Sample { time, frame } in samples {
        bytes.extend(if pcapng {
            let options = [put.option(2, &put.u32(1)), put.option(1, b"said")];
            put.packet(0, u64::from(*time), frame, &options)
        } else {
            put.record(*time, 0, frame)
        });
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn read(bytes: &[u8]) -> Option<(Vec<Read>, Ending)> {
    let mut reader = Reader::new(bytes).ok()?;
    let packets = read_all(&mut reader);
    let ending = reader.ending().cloned()?;
    Some((packets, ending))
}

fn put() -> impl Strategy<Value = Put> {
    prop::bool::ANY.prop_map(|big| BOTH[usize::from(big)])
}

impl std::fmt::Debug for Put {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_go_on_for_ever(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        magic in prop::sample::select(vec![
            vec![], b"\n\r\r\n".to_vec(), b"\xd4\xc3\xb2\xa1\x02\0\x04\0".to_vec(),
            b"\xa1\xb2\x3c\x4d\0\x02\0\x04".to_vec(),
            b"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0".to_vec(),
        ]),
    ) {
        let bytes = [magic, bytes].concat();
        if let Some((packets, _)) = read(&bytes) {
            let frames: usize = packets.iter().map(|it| it.frame.len()).sum();
            prop_assert!(frames <= bytes.len());
        }
    }

    #[test]
    fn a_whole_file_is_read_whole(samples in samples(), put in put(), pcapng: bool) {
        let (bytes, _) = file(put, pcapng, &samples);
        let (packets, ending) = read(&bytes).ok_or(TestCaseError::fail("refused"))?;
        prop_assert_eq!(ending, Ending::Whole);
        prop_assert_eq!(packets.len(), samples.len());
        for (packet, sample) in packets.iter().zip(&samples) {
            prop_assert_eq!(&packet.frame, &sample.frame);
            let unit = if pcapng { 1_000 } else { 1_000_000_000 };
            prop_assert_eq!(packet.time, u64::from(sample.time) * unit);
        }
    }

    #[test]
    fn a_file_that_was_cut_gives_every_whole_packet_and_says_so(
        samples in samples(), put in put(), pcapng: bool, cut: prop::sample::Index,
    ) {
        let (bytes, ends) = file(put, pcapng, &samples);
        let cut = cut.index(bytes.len() + 1);
        let whole: Vec<_> = ends.iter().copied().filter(|end| *end <= cut).collect();
        if let Some((packets, ending)) = read(&bytes[..cut]) {
            prop_assert_eq!(packets.len(), whole.len());
            let whole_up_to = match ending {
                Ending::Whole => cut as u64,
                Ending::Cut { at } => at,
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert!(whole_up_to <= cut as u64);
            if let Some(end) = whole.last() {
                prop_assert!(whole_up_to >= *end as u64);
            }
        }
    }

    #[test]
    fn a_file_with_bytes_changed_keeps_what_comes_before_the_change(
        samples in samples(), put in put(), pcapng: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let (mut bytes, ends) = file(put, pcapng, &samples);
        let mut first = bytes.len();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
            first = first.min(at);
        }
        if let Some((packets, _)) = read(&bytes) {
            let untouched = ends.iter().filter(|end| **end <= first).count();
            prop_assert!(packets.len() >= untouched);
            for (packet, sample) in packets.iter().zip(&samples[..untouched]) {
                prop_assert_eq!(&packet.frame, &sample.frame);
            }
        }
    }
}
