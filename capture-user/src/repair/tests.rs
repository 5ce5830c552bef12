#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::packet::{Direction, Packet};
use crate::sink::output::Opened;
use crate::sink::pcapng::{
    Annotations, Composer, Frames, InterfaceDescription, LinkType, PcapngFile, Section, Statistics,
};
use crate::source::file::{Ending, Reader};

const INTERFACES: [InterfaceDescription<'_>; 2] = [
    InterfaceDescription {
        name: "one",
        description: None,
        mac: None,
        filter: None,
        os: None,
        names: &[],
    },
    InterfaceDescription {
        name: "two",
        description: None,
        mac: None,
        filter: None,
        os: None,
        names: &[],
    },
];

/// A closed file of so many packets, in pieces of ten, and where each packet's block ends before
/// packing.
fn file(ending: &str, packets: u32) -> (TempDir, PathBuf, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("x.{ending}"));
    let frames = Frames::new(LinkType::Ethernet, 0);
    let (mut composer, header) = Composer::begin(&Section::default(), frames, &INTERFACES).unwrap();
    let opened = Opened::open(&path).unwrap();
    let mut file = PcapngFile::begin(opened, Packing::of(&path), &header).unwrap();
    let (mut piece, mut ends) = (Vec::new(), Vec::new());
    for n in 0..packets {
        let frame = n.to_le_bytes().repeat(20);
        let packet = Packet {
            time: 1_700_000_000_000_000_000 + u64::from(n),
            interface: n % 2,
            direction: Direction::In,
            reception: None,
            original_len: 80,
            frame: &frame,
            lost_before: u64::from(n % 3),
            gso: None,
        };
        composer.packet(&packet, &Annotations::default(), &mut piece);
        ends.push(composer.len());
        if n % 10 == 9 {
            file.write(&mut piece).unwrap();
        }
    }
    file.write(&mut piece).unwrap();
    let finished = file.finish(&composer.close(&[Statistics::default(); 2]), true);
    assert!(finished.closed);
    (folder, path, ends)
}

fn packets(path: &Path) -> (u64, Option<Ending>) {
    let mut reader = Reader::open(path).unwrap();
    let mut times = Vec::new();
    while let Some(packet) = reader.next() {
        times.push(packet.time);
    }
    // The first ones, in order.
    let expected = (0..times.len() as u64).map(|n| 1_700_000_000_000_000_000 + n);
    assert!(times.iter().copied().eq(expected), "{times:?}");
    (times.len() as u64, reader.ending().cloned())
}

/// Statistics blocks of a file, by interface.
fn closed(path: &Path) -> Vec<u32> {
    let mut bytes = Vec::new();
    let mut input = crate::source::file::Input::new(File::open(path).unwrap()).unwrap();
    input.read_to_end(&mut bytes).unwrap();
    let blocks = crate::sink::pcapng::blocks::Blocks::new(&bytes);
    blocks
        .filter(|block| block.kind == 5)
        .map(|block| block.bytes[8].into())
        .collect()
}

fn cut(path: &Path, len: u64) {
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(len)
        .unwrap();
}

#[test]
fn a_whole_file_is_left_as_it_is() {
    for ending in ["pcapng", "pcapng.zst", "pcapng.gz"] {
        let (_folder, path, _) = file(ending, 25);
        let before = std::fs::read(&path).unwrap();
        let repaired = repair(&path).unwrap();
        assert_eq!((repaired.packets, repaired.changed()), (25, false));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

#[test]
fn wherever_a_file_is_cut_no_whole_packet_is_lost_and_each_interface_has_its_statistics_once() {
    let (_folder, path, ends) = file("pcapng", 40);
    let whole = std::fs::read(&path).unwrap();
    let first = ends[0] - 124;
    for len in (first..=whole.len() as u64).rev() {
        std::fs::write(&path, &whole[..len as usize]).unwrap();
        let expected = ends.iter().filter(|end| **end <= len).count() as u64;
        let repaired = repair(&path).unwrap();
        assert_eq!(repaired.packets, expected, "cut to {len}");
        assert_eq!(
            packets(&path),
            (expected, Some(Ending::Whole)),
            "cut to {len}"
        );
        assert_eq!(closed(&path), [0, 1], "cut to {len}");
        assert!(!repair(&path).unwrap().changed(), "cut to {len}");
    }
}

#[test]
fn zeroes_where_data_did_not_reach_the_disk_go() {
    let (_folder, path, ends) = file("pcapng", 40);
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole[..ends[29] as usize].to_vec();
    bytes.resize(whole.len() + 3 * CHUNK, 0);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(repair(&path).unwrap().packets, 30);
    assert_eq!(packets(&path), (30, Some(Ending::Whole)));
}

#[test]
fn damage_that_good_packets_follow_is_no_cut_and_nothing_is_changed() {
    let (_folder, path, ends) = file("pcapng", 40);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[ends[9] as usize + 4] = 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = repair(&path).unwrap_err().to_string();
    assert!(error.contains(&format!("at byte {}", ends[9])), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

/// A pcap file (little-endian, microseconds) of three packets, whose second one may say that it had
/// no bytes on the wire.
fn pcap(whole: u32) -> (TempDir, PathBuf, Vec<u8>) {
    let mut bytes = [0xa1b2_c3d4u32, 4 << 16 | 2, 0, 0, 65_535, 1]
        .map(u32::to_le_bytes)
        .concat();
    for whole in [40, whole, 40] {
        bytes.extend([7, 8, 40, whole].map(u32::to_le_bytes).concat());
        bytes.extend([9; 40]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcap");
    std::fs::write(&path, &bytes).unwrap();
    (folder, path, bytes)
}

#[test]
fn a_pcap_file_is_cut_behind_its_last_packet_and_nowhere_else() {
    let (_folder, path, bytes) = pcap(40);
    cut(&path, bytes.len() as u64 - 3);
    assert_eq!(repair(&path).unwrap().packets, 2);
    assert_eq!(std::fs::read(&path).unwrap(), bytes[..24 + 2 * 56]);
    // Half a header, and zeroes where nothing more had reached the disk.
    let half = [&bytes[..24 + 56 + 8], &[0; 500]].concat();
    std::fs::write(&path, half).unwrap();
    assert_eq!(repair(&path).unwrap().packets, 1);
    assert_eq!(std::fs::read(&path).unwrap(), bytes[..24 + 56]);
    // What can't be in the middle isn't an end: a reader may make something of what follows.
    let (_folder, path, bytes) = pcap(0);
    assert!(
        repair(&path)
            .unwrap_err()
            .to_string()
            .contains("goes on behind")
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_damaged_piece_that_good_ones_follow_is_no_cut_and_nothing_is_changed() {
    for ending in ["pcapng.zst", "pcapng.gz"] {
        let (_folder, path, _) = file(ending, 200);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        let refusal = repair(&path).unwrap_err().to_string();
        assert!(refusal.contains("a good one follows"), "{refusal}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_file_that_is_being_written_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let frames = Frames::new(LinkType::Ethernet, 0);
    let (_, header) = Composer::begin(&Section::default(), frames, &INTERFACES).unwrap();
    let opened = Opened::open(&path).unwrap();
    let file = PcapngFile::begin(opened, Packing::Plain, &header).unwrap();
    let error = repair(&path).unwrap_err().to_string();
    assert!(error.contains("still writing"), "{error}");
    drop(file);
    assert!(repair(&path).unwrap().changed());
}

#[test]
fn what_is_no_capture_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let text = b"a long enough text that is nothing else".repeat(10);
    let packed = Packer::new(Packing::Zstd)
        .unwrap()
        .unwrap()
        .pack(&text)
        .unwrap();
    for bytes in [&text[..], &packed, b"", b"\x0a\x0d\x0d\x0a"] {
        std::fs::write(&path, bytes).unwrap();
        repair(&path).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(
        repair(&link)
            .unwrap_err()
            .to_string()
            .contains("symbolic link")
    );
    assert!(
        repair(folder.path())
            .unwrap_err()
            .to_string()
            .contains("directory")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_packed_file_keeps_all_that_can_be_unpacked(part in 0.05f64..1.0, gzip: bool) {
        let (_folder, path, _) = file(if gzip { "pcapng.gz" } else { "pcapng.zst" }, 200);
        let len = std::fs::metadata(&path).unwrap().len();
        cut(&path, (len as f64 * part) as u64);
        let (readable, _) = packets(&path);
        let repaired = repair(&path).unwrap();
        prop_assert!(repaired.packets >= readable);
        prop_assert_eq!(packets(&path), (repaired.packets, Some(Ending::Whole)));
        prop_assert_eq!(closed(&path), [0, 1]);
        prop_assert!(!repair(&path).unwrap().changed());
    }

    #[test]
    fn no_bytes_make_it_panic_or_a_file_worse(
        change in proptest::collection::vec((0usize..4_000, any::<u8>()), 0..4),
        len in 0u64..4_500,
    ) {
        let (_folder, path, _) = file("pcapng", 30);
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in change {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(len as usize);
        std::fs::write(&path, &bytes).unwrap();
        match repair(&path) {
            Ok(repaired) => {
                let kept = std::fs::read(&path).unwrap();
                let same = bytes.len() - repaired.cut as usize;
                prop_assert_eq!(&kept[..same], &bytes[..same]);
                prop_assert!(!repair(&path).unwrap().changed());
            }
            Err(_) => prop_assert_eq!(std::fs::read(&path).unwrap(), bytes),
        }
    }
}
