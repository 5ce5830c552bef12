//! What a session relies on, case by case: the header, the ledger, and what becomes of packets when
//! a destination fails.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;

use pcap_file::pcapng::{
    Block,
    blocks::{
        interface_description::InterfaceDescriptionOption,
        interface_statistics::InterfaceStatisticsOption as Stat,
        section_header::SectionHeaderOption,
    },
};
use rustix::io::Errno;

use super::{
    Annotations, EncodeError, Frames, InterfaceDescription, LinkType, PcapngError, Section,
    Statistics,
    testing::{
        Both, Count, Ended, FRAMES, INTERFACES, begin, ledger_in, minimum, packets_in, plain, read,
    },
};
use crate::{
    packet::Packet,
    sink::output::{Opened, OutputError, fake::Fake},
};

const NONE: Annotations<'_> = Annotations {
    comments: &[],
    packet_id: None,
};

#[test]
fn the_header_says_what_captured_where_and_with_what() {
    let fake = Fake::disk(usize::MAX);
    let section = Section {
        hardware: Some("x86_64"),
        os: Some("Linux 6.18.2"),
        comment: Some("capture 5f2c on node-7"),
        ..Section::default()
    };
    Both::begin_on("x", fake.clone(), &section, FRAMES, &INTERFACES).unwrap();
    let blocks = read(&fake.bytes());
    let [
        Block::SectionHeader(section),
        Block::InterfaceDescription(veth),
        Block::InterfaceDescription(eth0),
    ] = &blocks[..]
    else {
        panic!("{blocks:?}");
    };
    let version = concat!("nodecap ", env!("CARGO_PKG_VERSION"));
    assert!(
        section
            .options
            .contains(&SectionHeaderOption::Hardware("x86_64".into()))
    );
    assert!(
        section
            .options
            .contains(&SectionHeaderOption::OS("Linux 6.18.2".into()))
    );
    assert!(
        section
            .options
            .contains(&SectionHeaderOption::UserApplication(version.into()))
    );
    let filter = InterfaceDescriptionOption::IfFilter(b"\0tcp port 443".into());
    assert!(veth.options.contains(&filter), "{veth:?}");
    assert_eq!(eth0.options.len(), 2, "a name and a resolution: {eth0:?}");
    assert_eq!((veth.snaplen, veth.linktype), (eth0.snaplen, eth0.linktype));
}

#[test]
fn the_header_is_written_at_once() {
    let fake = Fake::disk(usize::MAX);
    let file = begin(&fake);
    assert_eq!(fake.bytes().len() as u64, file.bytes());
    assert_eq!(file.finished_len(), minimum() as u64);
}

#[test]
fn a_destination_that_can_not_take_the_header_fails_before_the_capture() {
    let opened = Opened::open("/dev/full").unwrap();
    let error = Both::begin(opened, &Section::default(), FRAMES, &INTERFACES).unwrap_err();
    assert!(matches!(
        error,
        PcapngError::Output(OutputError::Full { .. })
    ));
    assert_eq!(
        crate::error::Error::from(error).to_string(),
        "no space left on the file system that holds /dev/full: free some, or write elsewhere"
    );
}

#[test]
fn a_header_that_can_not_be_is_found_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    let begin = || {
        let opened = Opened::open(&path).unwrap();
        let raw = Frames::new(LinkType::Raw, 0);
        Both::begin(opened, &Section::default(), raw, &INTERFACES).unwrap_err()
    };
    begin();
    assert!(!path.exists());
    fs::write(&path, "precious").unwrap();
    begin();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_file_on_disk_is_whole_and_replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pcapng");
    fs::write(&path, vec![0xff; 100_000]).unwrap();
    let opened = Opened::open(&path).unwrap();
    let mut file = Both::begin(opened, &Section::default(), FRAMES, &INTERFACES[..1]).unwrap();
    file.packet(&plain(0, b"frame"), &NONE).unwrap();
    let finished = file.finish(&[Statistics {
        matched: 3,
        lost: 2,
        ..Statistics::default()
    }]);
    assert!(finished.closed && finished.failure.is_none());
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, finished.bytes);
    assert_eq!(ledger_in(&read(&bytes)), [(0, 2, 1)]);
}

#[test]
fn statistics_hold_the_ledger_of_each_interface() {
    let fake = Fake::disk(usize::MAX);
    let mut file = begin(&fake);
    file.packet(&plain(1, b"frame"), &NONE).unwrap();
    let known = Statistics {
        start: 5,
        end: 1 << 40,
        matched: 9,
        lost: 8,
        lost_in_kernel: 7,
    };
    let finished = file.finish(&[Statistics::default(), known]);
    assert_eq!((finished.packets(), finished.unwritten()), (1, 0));
    let blocks = read(&fake.bytes());
    let Some(Block::InterfaceStatistics(block)) = blocks.last() else {
        panic!("{blocks:?}")
    };
    let nanoseconds = std::time::Duration::from_nanos;
    assert_eq!(
        (block.interface_id, block.timestamp),
        (1, nanoseconds(1 << 40))
    );
    assert_eq!(
        block.options,
        [
            Stat::IsbStartTime(nanoseconds(5)),
            Stat::IsbEndTime(nanoseconds(1 << 40)),
            Stat::IsbIfRecv(9),
            Stat::IsbIfDrop(8),
            Stat::IsbFilterAccept(9),
            Stat::IsbOsDrop(7),
            Stat::IsbUsrDeliv(1),
        ]
    );
    assert_eq!(ledger_in(&blocks).len(), 2);
}

#[test]
fn an_interface_that_joins_has_the_next_id_and_statistics_of_its_own() {
    let fake = Fake::disk(usize::MAX);
    let mut file = begin(&fake);
    let id = file.add_interface(&INTERFACES[0]).unwrap();
    assert_eq!(id, 2);
    file.packet(&plain(2, b"frame"), &NONE).unwrap();
    let finished = file.finish(&[]);
    assert_eq!(
        finished.interfaces[2],
        Count {
            written: 1,
            unwritten: 0
        }
    );
    assert_eq!(ledger_in(&read(&fake.bytes())).len(), 3);
}

#[test]
fn raw_ip_takes_one_interface_only_since_libpcap_reads_no_more() {
    let raw = Frames::new(LinkType::Raw, 0);
    let begin = |interfaces| {
        Both::begin_on(
            "x",
            Fake::disk(usize::MAX),
            &Section::default(),
            raw,
            interfaces,
        )
    };
    let mut file = begin(&INTERFACES[..1]).unwrap();
    assert!(matches!(
        file.add_interface(&INTERFACES[1]),
        Err(EncodeError::SecondRawInterface)
    ));
    assert!(matches!(
        begin(&INTERFACES).err(),
        Some(PcapngError::Encode(EncodeError::SecondRawInterface))
    ));
}

#[test]
fn an_interface_whose_description_was_lost_gets_no_statistics() {
    let fake = Fake::disk(minimum() + 10);
    let mut file = begin(&fake);
    let interface = InterfaceDescription {
        description: Some(&"x".repeat(500)),
        ..INTERFACES[0]
    };
    let id = file.add_interface(&interface).unwrap();
    file.packet(&plain(id, b"frame"), &NONE).unwrap();
    file.flush().unwrap_err();
    let finished = file.finish(&[]);
    assert!(finished.closed, "{finished:?}");
    assert_eq!(
        finished.interfaces[2],
        Count {
            written: 0,
            unwritten: 1
        }
    );
    assert_eq!(ledger_in(&read(&fake.bytes())), [(0, 0, 0), (1, 0, 0)]);
}

#[test]
fn after_a_failure_every_further_packet_counts_as_unwritten() {
    let fake = Fake::disk(minimum());
    let mut file = begin(&fake);
    file.packet(&plain(0, &[7; 1000]), &NONE).unwrap();
    file.flush().unwrap_err();
    file.packet(&plain(0, b"frame"), &NONE).unwrap_err();
    assert_eq!(
        file.counts(),
        [
            Count {
                written: 0,
                unwritten: 2
            },
            Count::default()
        ]
    );
    let finished = file.finish(&[Statistics {
        matched: 5,
        lost: 3,
        ..Statistics::default()
    }]);
    assert!(finished.closed);
    assert_eq!(ledger_in(&read(&fake.bytes())), [(0, 5, 0), (1, 0, 0)]);
}

#[test]
fn a_closed_pipe_is_told_apart_from_a_failure() {
    for (errno, closed) in [(Errno::PIPE, true), (Errno::IO, false)] {
        let fake = Fake::pipe(minimum()).failing_with(errno);
        let mut file = begin(&fake);
        file.packet(&plain(0, &[7; 1000]), &NONE).unwrap();
        assert_eq!(file.flush().unwrap_err().is_closed(), closed);
        let Ended {
            failure,
            closed: whole,
            ..
        } = file.finish(&[]);
        assert_eq!(failure.map(|it| it.is_closed()), Some(closed));
        assert!(!whole);
    }
}

#[test]
fn a_failure_that_only_the_statistics_meet_is_told() {
    let fake = Fake::disk(minimum() - 1);
    let finished = begin(&fake).finish(&[]);
    assert!(!finished.closed);
    assert!(matches!(finished.failure, Some(OutputError::Full { .. })));
    assert_eq!(finished.bytes, fake.bytes().len() as u64);
    assert_eq!(read(&fake.bytes()).len(), 3, "a section and two interfaces");
}

#[test]
fn a_long_capture_is_written_as_it_goes() {
    let fake = Fake::disk(usize::MAX);
    let mut file = begin(&fake);
    let frame = [7; 1500];
    for n in 0..1000 {
        file.packet(
            &Packet {
                time: n,
                ..plain(0, &frame)
            },
            &NONE,
        )
        .unwrap();
    }
    assert!(fake.bytes().len() > 1_000_000);
    assert!(file.bytes() > fake.bytes().len() as u64);
    file.flush().unwrap();
    assert_eq!(packets_in(&read(&fake.bytes())), [1000, 0]);
}
