//! What the tests of the capture file share.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use pcap_file::pcapng::{
    Block, PcapNgReader, blocks::interface_statistics::InterfaceStatisticsOption as Stat,
};
use proptest::prelude::*;

use super::{
    Annotations, Composer, EncodeError, Frames, InterfaceDescription, LinkType, PcapngError,
    PcapngFile, Section, Statistics, minimum_len,
};
use crate::{
    packet::{Direction, Gso, InterfaceId, Packet, Reception},
    sink::output::{
        Descriptor, Destination, Opened, OutputError, Packing, buffer::FLUSH_AT, fake::Fake,
    },
};

/// Ethernet, whole frames.
pub(super) const FRAMES: Frames = Frames::new(LinkType::Ethernet, 0);

/// Two interfaces with every option and with the fewest.
pub(super) const INTERFACES: [InterfaceDescription<'_>; 2] = [
    InterfaceDescription {
        name: "veth2482a36",
        description: Some("veth, container web, netns 4026532281"),
        mac: Some([2, 0x42, 0xac, 0x11, 0, 2]),
        filter: Some("tcp port 443"),
        os: Some("Linux 6.18"),
        names: &[],
    },
    InterfaceDescription {
        name: "eth0",
        description: None,
        mac: None,
        filter: None,
        os: None,
        names: &[],
    },
];

/// An incoming packet without anything special to it.
pub(super) fn plain(interface: InterfaceId, frame: &[u8]) -> Packet<'_> {
    Packet {
        time: 1_700_000_000_123_456_789,
        interface,
        direction: Direction::In,
        reception: Some(Reception::Unicast),
        original_len: u32::try_from(frame.len()).unwrap(),
        frame,
        lost_before: 0,
        gso: None,
    }
}

/// A packet that owns its frame.
#[derive(Clone, Debug)]
pub(super) struct OwnPacket {
    packet: Packet<'static>,
    frame: Vec<u8>,
    comments: Vec<String>,
    packet_id: Option<u64>,
}

impl OwnPacket {
    pub(super) fn borrow<T>(&self, use_it: impl FnOnce(&Packet<'_>, &Annotations<'_>) -> T) -> T {
        let comments: Vec<&str> = self.comments.iter().map(String::as_str).collect();
        let packet = Packet {
            frame: &self.frame,
            ..self.packet
        };
        use_it(
            &packet,
            &Annotations {
                comments: &comments,
                packet_id: self.packet_id,
            },
        )
    }
}

/// Any packet seen on one of that many interfaces, its frame shorter than `longest`.
pub(super) fn packets(interfaces: u32, longest: usize) -> impl Strategy<Value = OwnPacket> {
    let frame = (0..longest, any::<u8>()).prop_map(|(len, seed)| {
        (0..len)
            .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
            .collect::<Vec<u8>>()
    });
    let direction = prop_oneof![Just(Direction::In), Just(Direction::Out)];
    let reception = prop_oneof![
        Just(None),
        Just(Some(Reception::Unicast)),
        Just(Some(Reception::Multicast)),
        Just(Some(Reception::Broadcast)),
        Just(Some(Reception::Promiscuous)),
    ];
    let lost = prop_oneof![Just(0), any::<u64>()];
    let gso = proptest::option::of(any::<(u16, u16)>());
    let comments = proptest::collection::vec(".{0,40}", 0..3);
    let numbers = (any::<u64>(), 0..interfaces, 0u32..100_000);
    (
        numbers,
        direction,
        reception,
        frame,
        lost,
        gso,
        comments,
        any::<Option<u64>>(),
    )
        .prop_map(
            |(
                (time, interface, cut),
                direction,
                reception,
                frame,
                lost_before,
                gso,
                comments,
                id,
            )| {
                let original_len = u32::try_from(frame.len()).unwrap() + cut;
                let gso = gso.map(|(size, segments)| Gso { size, segments });
                let packet = Packet {
                    time,
                    interface,
                    direction,
                    reception,
                    original_len,
                    frame: &[],
                    lost_before,
                    gso,
                };
                OwnPacket {
                    packet,
                    frame,
                    comments,
                    packet_id: id,
                }
            },
        )
}

/// What another reader makes of a file; it must take every byte of it.
pub(super) fn read(file: &[u8]) -> Vec<Block<'static>> {
    let mut reader = PcapNgReader::new(file).unwrap();
    let mut blocks = vec![Block::SectionHeader(reader.section().clone())];
    while let Some(block) = reader.next_block() {
        blocks.push(block.unwrap().0.into_owned());
    }
    blocks
}

/// A file with [`INTERFACES`] on that destination.
pub(super) fn begin(fake: &Fake) -> Both<Fake> {
    Both::begin_on(
        "x.pcapng",
        fake.clone(),
        &Section::default(),
        FRAMES,
        &INTERFACES,
    )
    .unwrap()
}

/// The finished length of such a file without packets.
pub(super) fn minimum() -> usize {
    minimum_len(&Section::default(), FRAMES, &INTERFACES).unwrap() as usize
}

/// Packets of each of two interfaces in a file.
pub(super) fn packets_in(blocks: &[Block<'_>]) -> [u64; 2] {
    let mut counts = [0; 2];
    for packet in blocks.iter().filter_map(Block::as_enhanced_packet) {
        counts[packet.interface_id as usize] += 1;
    }
    counts
}

/// `isb_ifdrop` and `isb_usrdeliv` of each statistics block in a file, with its interface.
pub(super) fn ledger_in(blocks: &[Block<'_>]) -> Vec<(u32, u64, u64)> {
    let find = |options: &[Stat<'_>], pick: fn(&Stat<'_>) -> Option<u64>| {
        options.iter().find_map(pick).unwrap()
    };
    let blocks = blocks.iter().filter_map(Block::as_interface_statistics);
    blocks
        .map(|block| {
            let lost = find(&block.options, |it| match it {
                Stat::IsbIfDrop(n) => Some(*n),
                _ => None,
            });
            let written = find(&block.options, |it| match it {
                Stat::IsbUsrDeliv(n) => Some(*n),
                _ => None,
            });
            (block.interface_id, lost, written)
        })
        .collect()
}

/// What became of the packets of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) written: u64,
    pub(super) unwritten: u64,
}

/// How a file ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) bytes: u64,
    pub(super) interfaces: Vec<Count>,
    pub(super) closed: bool,
    pub(super) failure: Option<OutputError>,
}

impl Ended {
    pub(super) fn packets(&self) -> u64 {
        self.interfaces.iter().map(|count| count.written).sum()
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.interfaces.iter().map(|count| count.unwritten).sum()
    }
}

/// Both halves of a file on one thread: what is composed is written once enough waits.
#[derive(Debug)]
pub(super) struct Both<D: Destination = Descriptor> {
    composer: Composer,
    file: PcapngFile<D>,
    waiting: Vec<u8>,
    failed: bool,
}

impl Both {
    pub(super) fn begin(
        opened: Opened,
        section: &Section<'_>,
        frames: Frames,
        interfaces: &[InterfaceDescription<'_>],
    ) -> Result<Self, PcapngError> {
        let (composer, header) = Composer::begin(section, frames, interfaces)?;
        let file = PcapngFile::begin(opened, Packing::Plain, &header)?;
        Ok(Self::of(composer, file))
    }
}

impl<D: Destination> Both<D> {
    fn of(composer: Composer, file: PcapngFile<D>) -> Self {
        Self {
            composer,
            file,
            waiting: Vec::new(),
            failed: false,
        }
    }

    pub(super) fn begin_on(
        name: &str,
        destination: D,
        section: &Section<'_>,
        frames: Frames,
        interfaces: &[InterfaceDescription<'_>],
    ) -> Result<Self, PcapngError> {
        let (composer, header) = Composer::begin(section, frames, interfaces)?;
        let file = PcapngFile::begin_on(name, destination, Packing::Plain, &header)?;
        Ok(Self::of(composer, file))
    }

    pub(super) fn add_interface(
        &mut self,
        description: &InterfaceDescription<'_>,
    ) -> Result<InterfaceId, EncodeError> {
        self.composer.interface(description, &mut self.waiting)
    }

    pub(super) fn packet(
        &mut self,
        packet: &Packet<'_>,
        annotations: &Annotations<'_>,
    ) -> Result<(), OutputError> {
        self.composer.packet(packet, annotations, &mut self.waiting);
        if self.failed || self.waiting.len() >= FLUSH_AT {
            return self.flush();
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), OutputError> {
        let written = self.file.write(&mut self.waiting);
        self.failed |= written.is_err();
        assert!(self.waiting.is_empty());
        written
    }

    pub(super) fn finish(mut self, statistics: &[Statistics]) -> Ended {
        let _ = self.flush();
        let counts = self.counts();
        let finished = self.file.close(&self.composer.close(statistics));
        Ended {
            bytes: finished.bytes,
            interfaces: counts,
            closed: finished.closed,
            failure: finished.failure,
        }
    }

    pub(super) fn counts(&self) -> Vec<Count> {
        let lost = self.file.lost().iter().copied().chain(std::iter::repeat(0));
        self.composer
            .composed()
            .iter()
            .zip(lost)
            .map(|(composed, unwritten)| Count {
                written: composed.packets - unwritten,
                unwritten,
            })
            .collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.composer.len()
    }

    pub(super) fn finished_len(&self) -> u64 {
        self.composer.finished_len()
    }

    pub(super) fn would_be(&self, packet: &Packet<'_>, annotations: &Annotations<'_>) -> u64 {
        self.finished_len() + self.composer.packet_len(packet, annotations)
    }

    pub(super) fn would_be_with(&self, description: &InterfaceDescription<'_>) -> u64 {
        self.finished_len() + self.composer.interface_len(description)
    }
}
