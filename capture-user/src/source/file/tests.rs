//! Files made by hand, block by block.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use super::order::Order;
use super::*;

/// What is remembered of a packet after the next one was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) time: u64,
    pub(super) interface: InterfaceId,
    pub(super) direction: Option<Direction>,
    pub(super) identity: Option<u64>,
    pub(super) frame: Vec<u8>,
    pub(super) original_len: u32,
    pub(super) comments: Vec<String>,
    pub(super) gso: Option<Gso>,
}

pub(super) fn read_all<R: std::io::Read>(reader: &mut Reader<R>) -> Vec<Read> {
    let mut packets = Vec::new();
    while let Some(packet) = reader.next() {
        packets.push(Read {
            time: packet.time,
            interface: packet.interface,
            direction: packet.direction,
            identity: packet.identity,
            frame: packet.frame.to_vec(),
            original_len: packet.original_len,
            comments: packet.comments().map(str::to_owned).collect(),
            gso: packet.gso,
        });
    }
    packets
}

/// A file of these bytes, read to its end.
#[track_caller]
fn read(bytes: &[u8]) -> (Vec<Read>, Reader<&[u8]>) {
    let mut reader = Reader::new(bytes).unwrap_or_else(|error| panic!("{error}"));
    let packets = read_all(&mut reader);
    (packets, reader)
}

/// Puts numbers in one byte order.
#[derive(Clone, Copy)]
pub(super) struct Put(pub(super) Order);

impl Put {
    pub(super) fn u16(self, number: u16) -> Vec<u8> {
        match self.0 {
            Order::Little => number.to_le_bytes().into(),
            Order::Big => number.to_be_bytes().into(),
        }
    }

    pub(super) fn u32(self, number: u32) -> Vec<u8> {
        match self.0 {
            Order::Little => number.to_le_bytes().into(),
            Order::Big => number.to_be_bytes().into(),
        }
    }

    pub(super) fn u64(self, number: u64) -> Vec<u8> {
        match self.0 {
            Order::Little => number.to_le_bytes().into(),
            Order::Big => number.to_be_bytes().into(),
        }
    }

    pub(super) fn block(self, kind: u32, body: &[Vec<u8>]) -> Vec<u8> {
        let mut body = body.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = self.u32(12 + body.len() as u32);
        [self.u32(kind), len.clone(), body, len].concat()
    }

    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [self.u16(code), self.u16(value.len() as u16), value.into()].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    pub(super) fn section(self, application: &str) -> Vec<u8> {
        self.block(
            0x0a0d_0d0a,
            &[
                self.u32(0x1a2b_3c4d),
                self.u16(1),
                self.u16(0),
                self.u64(u64::MAX),
                self.option(4, application.as_bytes()),
            ],
        )
    }

    pub(super) fn interface(self, link_type: u16, options: &[Vec<u8>]) -> Vec<u8> {
        let front = [self.u16(link_type), self.u16(0), self.u32(0)].concat();
        self.block(1, &[front, options.concat()])
    }

    pub(super) fn packet(
        self,
        interface: u32,
        stamp: u64,
        frame: &[u8],
        options: &[Vec<u8>],
    ) -> Vec<u8> {
        let mut padded = frame.to_vec();
        padded.resize(frame.len().next_multiple_of(4), 0);
        self.block(
            6,
            &[
                self.u32(interface),
                self.u32((stamp >> 32) as u32),
                self.u32(stamp as u32),
                self.u32(frame.len() as u32),
                self.u32(frame.len() as u32 + 100),
                padded,
                options.concat(),
            ],
        )
    }

    pub(super) fn pcap(self, magic: u32, link_type: u32) -> Vec<u8> {
        [
            self.u32(magic),
            self.u16(2),
            self.u16(4),
            vec![0; 8],
            self.u32(262_144),
            self.u32(link_type),
        ]
        .concat()
    }

    pub(super) fn record(self, seconds: u32, fraction: u32, frame: &[u8]) -> Vec<u8> {
        [
            self.u32(seconds),
            self.u32(fraction),
            self.u32(frame.len() as u32),
            self.u32(frame.len() as u32 + 100),
            frame.into(),
        ]
        .concat()
    }
}

pub(super) const BOTH: [Put; 2] = [Put(Order::Little), Put(Order::Big)];
const ETHERNET: u16 = 1;

#[test]
fn a_pcap_of_either_order_and_either_resolution_is_read() {
    for put in BOTH {
        for (magic, nanoseconds) in [(0xa1b2_c3d4, 5_000), (0xa1b2_3c4d, 5)] {
            let file = [
                put.pcap(magic, 1),
                put.record(7, 5, b"frame"),
                put.record(8, 0, b""),
            ]
            .concat();
            let (packets, reader) = read(&file);
            assert_eq!(packets.len(), 2);
            assert_eq!(packets[0].time, 7_000_000_000 + nanoseconds);
            assert_eq!(packets[0].frame, b"frame");
            assert_eq!(packets[0].original_len, 105);
            assert_eq!(packets[0].direction, None);
            assert_eq!(reader.ending(), Some(&Ending::Whole));
            assert_eq!(reader.interfaces()[0].role, Role::Unknown);
        }
    }
}

#[test]
fn the_variant_of_pcap_with_longer_headers_is_read() {
    let put = Put(Order::Little);
    let record = |frame: &[u8]| {
        let mut record = put.record(7, 5, frame);
        record.splice(16..16, [0; 8]);
        record
    };
    let file = [put.pcap(0xa1b2_cd34, 1), record(b"one"), record(b"two")].concat();
    let (packets, _) = read(&file);
    let frames: Vec<_> = packets.iter().map(|it| it.frame.as_slice()).collect();
    assert_eq!(frames, [b"one", b"two"]);
}

#[test]
fn the_upper_half_of_a_pcaps_link_type_is_about_checksums() {
    let put = Put(Order::Big);
    let file = [put.pcap(0xa1b2_c3d4, 0x4400_0001), put.record(0, 0, b"f")].concat();
    let (packets, reader) = read(&file);
    assert_eq!(packets.len(), 1);
    assert_eq!(reader.interfaces()[0].link_type, LinkType::ETHERNET);
}

#[test]
fn sections_have_interfaces_and_a_byte_order_of_their_own() {
    let (little, big) = (Put(Order::Little), Put(Order::Big));
    let nanoseconds = |put: Put| put.option(9, &[9]);
    let file = [
        little.section("dumpcap"),
        little.interface(ETHERNET, &[little.option(2, b"eth0")]),
        little.packet(0, 5, b"first", &[]),
        big.section("dumpcap"),
        big.interface(ETHERNET, &[big.option(2, b"eth1"), nanoseconds(big)]),
        big.interface(
            ETHERNET,
            &[big.option(2, b"eth2"), big.option(14, &big.u64(2))],
        ),
        big.packet(1, 5, b"second", &[]),
        big.packet(0, 5, b"third", &[]),
    ]
    .concat();
    let (packets, reader) = read(&file);
    let seen: Vec<_> = packets.iter().map(|it| (it.interface, it.time)).collect();
    assert_eq!(seen, [(0, 5_000), (2, 2_000_005_000), (1, 5)]);
    let names: Vec<_> = reader
        .interfaces()
        .iter()
        .map(|it| (it.name.as_deref().unwrap(), it.section))
        .collect();
    assert_eq!(names, [("eth0", 0), ("eth1", 1), ("eth2", 1)]);
    assert_eq!(reader.ending(), Some(&Ending::Whole));
}

#[test]
fn a_packets_options_are_understood() {
    for put in BOTH {
        let options = [
            put.option(1, "Größe".as_bytes()),
            put.option(2, &put.u32(0b110)),
            put.option(5, &put.u64(77)),
            put.option(1, b"again"),
            put.option(1, b"\xff"),
            put.option(0, b""),
        ];
        let file = [
            put.section("nodecap 0.1.0"),
            put.interface(ETHERNET, &[]),
            put.packet(0, 0, b"one", &options),
            put.packet(0, 0, b"the same", &[put.option(5, &put.u64(77))]),
            put.packet(0, 0, b"another", &[put.option(5, &put.u64(78))]),
            put.packet(0, 0, b"unmarked", &[]),
        ]
        .concat();
        let (packets, reader) = read(&file);
        assert_eq!(packets[0].comments, ["Größe", "again"]);
        assert_eq!(packets[0].direction, Some(Direction::Out));
        assert!(packets[0].identity.is_some());
        assert_eq!(packets[0].identity, packets[1].identity);
        assert_ne!(packets[0].identity, packets[2].identity);
        assert_eq!((packets[3].identity, packets[3].direction), (None, None));
        assert_eq!(reader.comments(), 2);
    }
}

#[test]
fn a_number_that_marks_a_packet_marks_another_one_in_another_section() {
    let put = Put(Order::Little);
    let section = [
        put.section("nodecap 0.1.0"),
        put.interface(ETHERNET, &[]),
        put.packet(0, 0, b"one", &[put.option(5, &put.u64(77))]),
    ]
    .concat();
    let (packets, _) = read(&section.repeat(2));
    assert_ne!(packets[0].identity, packets[1].identity);
}

#[test]
fn only_our_own_files_say_what_an_interface_stands_for() {
    let put = Put(Order::Little);
    let with = |application: &str| {
        let description = put.option(3, b"veth, peer #2 in netns 0, role pod");
        let comment = put.option(1, b"Large. [nodecap gso_size=1448 gso_segments=2]");
        let file = [
            put.section(application),
            put.interface(ETHERNET, &[description]),
            put.packet(0, 0, b"frame", &[comment]),
        ]
        .concat();
        let (packets, reader) = read(&file);
        (reader.interfaces()[0].role, packets[0].gso)
    };
    let gso = Gso {
        size: 1_448,
        segments: 2,
    };
    assert_eq!(with("nodecap 0.1.0"), (Role::Pod, Some(gso)));
    assert_eq!(with("Dumpcap (Wireshark) 4.0"), (Role::Unknown, None));
}

#[test]
fn the_older_kinds_of_packet_blocks_are_read_and_unknown_blocks_are_not_in_the_way() {
    let put = Put(Order::Little);
    let old = [
        put.u16(0),
        put.u16(3),
        put.u32(0),
        put.u32(9),
        put.u32(3),
        put.u32(60),
        b"old\0".to_vec(),
    ];
    let simple = [put.u32(6), b"simple".to_vec()];
    let file = [
        put.section("x"),
        put.interface(ETHERNET, &[]),
        put.block(2, &old),
        put.block(0xbad, &[vec![1; 40]]),
        put.block(3, &simple),
        put.block(5, &[vec![0; 12]]),
    ]
    .concat();
    let (packets, reader) = read(&file);
    let seen: Vec<_> = packets
        .iter()
        .map(|it| (it.time, it.frame.as_slice(), it.original_len))
        .collect();
    assert_eq!(seen, [(9_000, &b"old"[..], 60), (9_000, b"simple", 6)]);
    assert_eq!(reader.ending(), Some(&Ending::Whole));
}

#[test]
fn a_block_of_somebodys_own_may_be_larger_than_any_packet() {
    let put = Put(Order::Little);
    let file = [
        put.section("x"),
        put.interface(ETHERNET, &[]),
        put.block(0xbad, &[vec![1; LENGTH_MAX + 4]]),
        put.packet(0, 0, b"behind", &[]),
    ]
    .concat();
    let (packets, reader) = read(&file);
    assert_eq!(packets.len(), 1);
    assert_eq!(reader.ending(), Some(&Ending::Whole));
}

#[test]
fn link_types_that_are_not_known_are_skipped_and_counted() {
    let put = Put(Order::Little);
    let file = [
        put.section("x"),
        put.interface(127, &[]),
        put.interface(101, &[]),
        put.packet(0, 0, b"radio", &[]),
        put.packet(1, 0, b"\x45", &[]),
        put.packet(0, 0, b"radio", &[]),
    ]
    .concat();
    let (packets, reader) = read(&file);
    assert_eq!(packets.len(), 1);
    assert_eq!(reader.packets(), 3);
    assert_eq!(
        reader.skipped().iter().collect::<Vec<_>>(),
        [(&LinkType(127), &2)]
    );
}

#[test]
fn a_cooked_capture_on_all_interfaces_has_each_of_them() {
    let put = Put(Order::Little);
    let cooked = |index: u8| {
        let mut frame = vec![8, 0, 0, 0, 0, 0, 0, index, 0, 1, 4, 6];
        frame.extend([0; 8]);
        frame.push(0x45);
        put.record(0, 0, &frame)
    };
    let file = [put.pcap(0xa1b2_c3d4, 276), cooked(2), cooked(3), cooked(2)].concat();
    let (packets, reader) = read(&file);
    let seen: Vec<_> = packets.iter().map(|it| it.interface).collect();
    assert_eq!(seen, [1, 2, 1]);
    assert_eq!(reader.interfaces()[2].name.as_deref(), Some("#3"));
    assert_eq!(packets[0].frame, b"\x45");
    assert_eq!(packets[0].original_len, 101);
    assert_eq!(packets[0].direction, Some(Direction::Out));
}

#[test]
fn what_can_not_be_is_said_by_its_place_and_what_came_before_is_kept() {
    let put = Put(Order::Little);
    let start = [
        put.section("x"),
        put.interface(ETHERNET, &[]),
        put.packet(0, 0, b"good", &[]),
    ]
    .concat();
    let mut two_lengths = put.packet(0, 0, b"bad", &[]);
    *two_lengths.last_mut().unwrap() = 1;
    let mut too_long = put.packet(0, 0, b"bad", &[]);
    too_long[20] = 200;
    for (bad, why) in [
        (two_lengths, "a block with two different lengths"),
        (too_long, "a packet longer than its block"),
        (
            put.packet(1, 0, b"bad", &[]),
            "a packet of an interface that isn't described",
        ),
        (
            [put.u32(6), put.u32(13)].concat(),
            "a block whose length can't be",
        ),
        (
            [put.u32(6), put.u32(1 << 30)].concat(),
            "a block of more than 16 MiB",
        ),
        (
            put.block(6, &[]),
            "a packet's block that is shorter than it can be",
        ),
    ] {
        let at = start.len() as u64;
        let file = [start.clone(), bad].concat();
        let (packets, reader) = read(&file);
        assert_eq!(packets.len(), 1, "{why}");
        assert_eq!(reader.ending(), Some(&Ending::Damaged { at, why }));
    }
    let file = [put.pcap(0xa1b2_c3d4, 1), vec![0xff; 16]].concat();
    let (packets, reader) = read(&file);
    assert!(packets.is_empty());
    let why = "a packet of more than 16 MiB";
    assert_eq!(reader.ending(), Some(&Ending::Damaged { at: 24, why }));
}

#[test]
fn a_read_error_ends_the_file_where_it_happens() {
    struct Failing<'a>(&'a [u8]);
    impl std::io::Read for Failing<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match std::io::Read::read(&mut self.0, into) {
                Ok(0) => Err(io::Error::other("the disk is gone")),
                read => read,
            }
        }
    }
    let put = Put(Order::Little);
    let file = [put.pcap(0xa1b2_c3d4, 1), put.record(0, 0, b"frame")].concat();
    let mut reader = Reader::new(Failing(&file)).unwrap();
    assert_eq!(read_all(&mut reader).len(), 1);
    let at = file.len() as u64;
    let why = "the disk is gone".to_owned();
    assert_eq!(reader.ending(), Some(&Ending::Unreadable { at, why }));
}

#[test]
fn what_is_no_capture_file_is_refused_with_what_helps() {
    let refusal = |bytes: &[u8]| match Reader::new(bytes) {
        Ok(_) => panic!("{bytes:x?} is taken"),
        Err(refusal) => refusal.to_string(),
    };
    let neither = "is neither a pcapng nor a pcap file";
    for (bytes, said) in [
        (&b""[..], "is empty"),
        (b"\xd4\xc3", neither),
        (b"#!/bin/sh", neither),
        (b"\xd4\xc3\xb2\xa1\x02", neither),
        (
            b"\xd4\xc3\xb2\xa1\x09\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0",
            neither,
        ),
        (b"\x1f\x8b\x08\0", "gunzip"),
        (b"\x28\xb5\x2f\xfd", "unzstd"),
    ] {
        let refusal = refusal(bytes);
        assert!(refusal.contains(said), "{refusal}");
    }
    let missing = Reader::open(Path::new("/nonexistent/x.pcap"))
        .err()
        .unwrap();
    assert!(
        missing.to_string().contains("/nonexistent/x.pcap"),
        "{missing}"
    );
    let folder = Reader::open(Path::new("/")).err().unwrap();
    assert!(folder.to_string().contains("directory"), "{folder}");
}
