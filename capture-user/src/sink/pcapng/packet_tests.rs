//! The packet block that is written here against the one that `pcap-file` writes.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::{borrow::Cow, time::Duration};

use pcap_file::{
    Endianness,
    pcapng::{
        Block, PcapNgWriter,
        blocks::{
            enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption as Opt},
            opt_common::{CommonOption, UnknownOption},
        },
    },
};
use proptest::prelude::*;

use super::{
    Annotations, Composer, Encoder, Frames, LinkType, SNAPLEN_MAX, Section,
    comment::GsoComment,
    packet::{COMMENTS_MAX, flags},
    testing::{FRAMES, INTERFACES, packets, plain, read},
};
use crate::packet::{Direction, Gso, Packet, Reception};

/// A file with a header and this packet, and where the packet's block begins.
fn encode(packet: &Packet<'_>, annotations: &Annotations<'_>, frames: Frames) -> (Vec<u8>, usize) {
    let mut file = Vec::new();
    let mut encoder = Encoder::begin(&Section::default(), frames, &mut file).unwrap();
    for interface in &INTERFACES {
        encoder.interface(interface, &mut file).unwrap();
    }
    let start = file.len();
    encoder.packet(packet, annotations, &mut file);
    assert_eq!(
        (file.len() - start) as u64,
        encoder.packet_len(packet, annotations)
    );
    (file, start)
}

/// The same packet in the words of `pcap-file`.
fn reference(packet: &Packet<'_>, annotations: &Annotations<'_>) -> EnhancedPacketBlock<'static> {
    let mut options = vec![Opt::Flags(flags(packet))];
    if packet.lost_before > 0 {
        options.push(Opt::DropCount(packet.lost_before));
    }
    if let Some(id) = annotations.packet_id {
        let value = Cow::Owned(id.to_le_bytes().to_vec());
        options.push(Opt::Common(CommonOption::Unknown(UnknownOption {
            code: 5,
            value,
        })));
    }
    let gso = packet
        .gso
        .map(|gso| String::from_utf8(GsoComment::new(gso).as_bytes().to_vec()).unwrap());
    let comments = gso
        .into_iter()
        .chain(annotations.comments.iter().map(|&it| it.to_owned()));
    options.extend(comments.map(|it| Opt::Common(CommonOption::Comment(it.into()))));
    EnhancedPacketBlock {
        interface_id: packet.interface,
        timestamp: Duration::from_nanos(packet.time),
        original_len: packet.original_len,
        data: packet.frame.to_vec().into(),
        options,
    }
}

fn reference_bytes(block: EnhancedPacketBlock<'_>) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    for interface in &INTERFACES {
        writer.write_pcapng_block(interface.block(FRAMES)).unwrap();
    }
    let header = writer.get_ref().len();
    writer.write_pcapng_block(block).unwrap();
    writer.into_inner().split_off(header)
}

/// The packet block of a file with just one.
fn only_packet(file: &[u8]) -> EnhancedPacketBlock<'static> {
    let found = read(file).into_iter().find_map(Block::into_enhanced_packet);
    found.unwrap()
}

proptest! {
    #[test]
    fn every_packet_is_byte_equal_to_what_another_writer_makes_of_it_and_is_read_back_equal(
        packet in packets(2, 70_000),
    ) {
        packet.borrow(|packet, annotations| {
            let (file, start) = encode(packet, annotations, FRAMES);
            let reference = reference(packet, annotations);
            prop_assert_eq!(only_packet(&file), reference.clone());
            // Compared as a truth value: two frames of 70,000 bytes are no message.
            prop_assert!(file[start..] == reference_bytes(reference));
            Ok(())
        })?;
    }

    #[test]
    fn a_frame_longer_than_the_snapshot_length_is_cut_there(
        packet in packets(2, 300),
        snaplen in 1u32..300,
    ) {
        packet.borrow(|packet, annotations| {
            let (file, _) = encode(packet, annotations, Frames::new(LinkType::Ethernet, snaplen));
            let read = only_packet(&file);
            let kept = packet.frame.len().min(snaplen as usize);
            prop_assert_eq!(&read.data[..], &packet.frame[..kept]);
            prop_assert_eq!(read.original_len, packet.original_len);
            Ok(())
        })?;
    }
}

proptest! {
    #[test]
    fn what_is_put_within_a_length_is_what_any_packet_is_put_as_and_what_is_longer_is_left(
        packet in packets(2, 300),
        snaplen in 200u32..400,
        room in 0..500u64,
        wanted in any::<bool>(),
    ) {
        packet.borrow(|packet, annotations| {
            let numbered = Annotations { comments: &[], ..*annotations };
            let frames = Frames::new(LinkType::Ethernet, snaplen);
            let begin = || Composer::begin(&Section::default(), frames, &INTERFACES).unwrap().0;
            let (mut within, mut carefully) = (begin(), begin());
            let mut expected = Vec::new();
            carefully.packet(packet, &numbered, &mut expected);
            let room = if wanted { expected.len() as u64 } else { room };
            let before = within.len();
            let mut out = Vec::new();
            let (id, of) = (numbered.packet_id, packet.interface);
            let put = within.put_within(packet, id, of, room, &mut out);
            if expected.len() as u64 <= room {
                prop_assert_eq!(put, Some(expected.len() as u64));
                prop_assert_eq!(out, expected);
                prop_assert_eq!(within.len(), carefully.len());
                prop_assert_eq!(within.composed(), carefully.composed());
                prop_assert_eq!(within.packets(), carefully.packets());
            } else {
                prop_assert_eq!((put, out.len(), within.len()), (None, 0, before));
                prop_assert_eq!(within.packets(), 0);
            }
            let nobody = INTERFACES.len() as u32;
            prop_assert_eq!(within.put_within(packet, id, nobody, room, &mut Vec::new()), None);
            Ok(())
        })?;
    }
}

#[test]
fn the_flags_word_holds_direction_and_reception() {
    let word = |direction, reception| {
        flags(&Packet {
            direction,
            reception,
            ..plain(0, &[])
        })
    };
    assert_eq!(word(Direction::In, None), 1);
    assert_eq!(word(Direction::Out, None), 2);
    assert_eq!(word(Direction::In, Some(Reception::Unicast)), 1 | 1 << 2);
    assert_eq!(word(Direction::In, Some(Reception::Multicast)), 1 | 2 << 2);
    assert_eq!(word(Direction::Out, Some(Reception::Broadcast)), 2 | 3 << 2);
    assert_eq!(
        word(Direction::In, Some(Reception::Promiscuous)),
        1 | 4 << 2
    );
}

#[test]
fn a_drop_count_is_there_only_where_something_was_lost() {
    let has = |lost_before| {
        let packet = Packet {
            lost_before,
            ..plain(0, b"frame")
        };
        let (file, _) = encode(&packet, &Annotations::default(), FRAMES);
        only_packet(&file)
            .options
            .contains(&Opt::DropCount(lost_before))
    };
    assert!(!has(0));
    assert!(has(1));
    assert!(has(u64::MAX));
}

#[test]
fn a_super_frame_keeps_its_length_and_says_what_it_is() {
    let frame = vec![0xab; 65_550];
    let packet = Packet {
        gso: Some(Gso {
            size: 1448,
            segments: 46,
        }),
        ..plain(1, &frame)
    };
    let (file, _) = encode(&packet, &Annotations::default(), FRAMES);
    let read = only_packet(&file);
    assert_eq!((read.data.len(), read.original_len), (65_550, 65_550));
    let Some(Opt::Common(CommonOption::Comment(comment))) = read.options.last() else {
        panic!("no comment in {:?}", read.options);
    };
    assert!(
        comment.ends_with(". [nodecap gso_size=1448 gso_segments=46]"),
        "{comment}"
    );
}

#[test]
fn an_original_length_below_what_came_is_not_believed() {
    let packet = Packet {
        original_len: 3,
        ..plain(0, b"longer")
    };
    let (file, _) = encode(&packet, &Annotations::default(), FRAMES);
    assert_eq!(only_packet(&file).original_len, 6);
}

#[test]
fn the_most_and_longest_comments_on_the_longest_frame_stay_below_what_readers_take() {
    let comment = "é".repeat(50_000);
    let comments = vec![comment.as_str(); COMMENTS_MAX + 1];
    let annotations = Annotations {
        comments: &comments,
        packet_id: Some(1),
    };
    let frame = vec![1; SNAPLEN_MAX as usize + 1];
    let (file, start) = encode(&plain(0, &frame), &annotations, FRAMES);
    assert!(file.len() - start < 16 << 20);
    let comments = only_packet(&file)
        .options
        .into_iter()
        .filter_map(|option| match option {
            Opt::Common(CommonOption::Comment(text)) => Some(text),
            _ => None,
        });
    let comments: Vec<_> = comments.collect();
    assert_eq!(comments.len(), COMMENTS_MAX);
    assert!(
        comments
            .iter()
            .all(|it| it.len() == 65_534 && comment.starts_with(it.as_ref()))
    );
}
