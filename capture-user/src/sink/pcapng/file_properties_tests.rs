//! What a session relies on, whatever is written: lengths known beforehand, and a count that is
//! true of the file.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use proptest::prelude::*;

use super::{
    InterfaceDescription, Statistics,
    testing::{Both, Count, OwnPacket, begin, ledger_in, minimum, packets, packets_in, read},
};
use crate::sink::output::{OutputError, fake::Fake};

fn put(file: &mut Both<Fake>, packet: &OwnPacket) -> Result<(), OutputError> {
    packet.borrow(|packet, annotations| file.packet(packet, annotations))
}

fn would_be(file: &Both<Fake>, packet: &OwnPacket) -> u64 {
    packet.borrow(|packet, annotations| file.would_be(packet, annotations))
}

proptest! {
    #[test]
    fn a_size_limit_is_never_passed_and_is_used_up(
        given in proptest::collection::vec(packets(2, 400), 1..30),
        room in 0usize..6000,
    ) {
        let limit = (minimum() + room) as u64;
        let fake = Fake::disk(usize::MAX);
        let mut file = begin(&fake);
        let mut announced = minimum() as u64;
        let refused = given.iter().find(|packet| {
            let would_be = would_be(&file, packet);
            if would_be > limit {
                return true;
            }
            put(&mut file, packet).unwrap();
            announced = would_be;
            false
        });
        if let Some(packet) = refused {
            prop_assert!(would_be(&file, packet) > limit);
        }
        let finished = file.finish(&[]);
        prop_assert!(finished.bytes <= limit);
        prop_assert_eq!(finished.bytes, announced);
        prop_assert_eq!(finished.bytes, fake.bytes().len() as u64);
    }

    #[test]
    fn an_interface_s_length_is_known_beforehand(
        name in ".{0,20}",
        description: Option<String>,
        mac: Option<[u8; 6]>,
        filter: Option<String>,
        os: Option<String>,
        longest: bool,
        names: Vec<(std::net::IpAddr, String)>,
    ) {
        let long = "é".repeat(40_000);
        let filter = if longest { Some(long) } else { filter };
        let interface = InterfaceDescription {
            name: &name,
            description: description.as_deref(),
            mac,
            filter: filter.as_deref(),
            os: os.as_deref(),
            names: &names,
        };
        let fake = Fake::disk(usize::MAX);
        let mut file = begin(&fake);
        let would_be = file.would_be_with(&interface);
        let id = file.add_interface(&interface).unwrap();
        prop_assert_eq!(id, 2);
        prop_assert_eq!(file.finished_len(), would_be);
        prop_assert_eq!(file.finish(&[]).bytes, would_be);
        read(&fake.bytes());
    }

    #[test]
    fn wherever_the_disk_gets_full_the_file_is_readable_and_its_ledger_true(
        given in proptest::collection::vec(packets(2, 400), 1..30),
        room in 0usize..6000,
        at_once in 1usize..2000,
        flush_every in 1usize..8,
    ) {
        let fake = Fake::disk(minimum() + room).in_pieces_of(at_once);
        let mut file = begin(&fake);
        let mut handed = [0; 2];
        for (i, packet) in given.iter().enumerate() {
            packet.borrow(|packet, _| handed[packet.interface as usize] += 1);
            let _ = put(&mut file, packet);
            if i % flush_every == 0 {
                let _ = file.flush();
            }
        }
        let lost = 5;
        let finished = file.finish(&[Statistics { lost, ..Statistics::default() }; 2]);

        let bytes = fake.bytes();
        prop_assert_eq!(bytes.len() as u64, finished.bytes);
        let blocks = read(&bytes);
        let written = packets_in(&blocks);
        for id in 0..2 {
            let Count { written: counted, unwritten } = finished.interfaces[id];
            prop_assert_eq!(counted, written[id]);
            prop_assert_eq!(counted + unwritten, handed[id]);
        }
        let ledger = ledger_in(&blocks);
        if finished.closed {
            let true_one = |id: usize| {
                (id as u32, lost + finished.interfaces[id].unwritten, written[id])
            };
            prop_assert_eq!(ledger, [true_one(0), true_one(1)]);
        } else {
            prop_assert_eq!(ledger, []);
        }
        prop_assert_eq!(finished.failure.is_none(), finished.unwritten() == 0 && finished.closed);
    }
}
