//! The four programs, and what differs between the hooks that they are for.

use capture_common::record::RecordFlags;
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::frames::transport::{ACK, SYN};
use lab::frames::{DOT1AD, DOT1Q, Flow, Frame, tagged};
use lab::packet_socket::{Announced, PacketSocket};
use lab::topology::Wire;
use lab::wait::wait_until;

use crate::bench::{Bench, Record, on_one_cpu};
use crate::outlet::Outlet;
use crate::reference::Start;

/// A flow whose bare packets `BPF_PROG_TEST_RUN` announces as IPv4. It takes the EtherType from
/// where an Ethernet header has it, which here is the start of the source address.
fn v4() -> Flow {
    Flow::new("8.0.2.1:40000", "192.0.2.200:443")
}

/// The same for IPv6: there it is the third group of the source address.
fn v6() -> Flow {
    Flow::new("[2001:db8:86dd::1]:40000", "[2001:db8::2]:443")
}

/// What is said of the packet, not of its record.
fn flags(record: &Record) -> u16 {
    record.header.flags & !RecordFlags::ALONE
}

#[test]
fn every_program_lets_the_packet_go_on_and_says_how_it_saw_it() {
    let https = [v4().tcp(SYN, &[7; 40]), v6().tcp(SYN, &[7; 40])];
    let answer = [
        v4().back().tcp(ACK, &[7; 40]),
        v6().back().tcp(ACK, &[7; 40]),
    ];
    for options in ["", "--dport 443"] {
        let mut bench = Bench::load_whole(options);
        for (direction, flag) in [(Direction::In, 0), (Direction::Out, RecordFlags::EGRESS)] {
            for (frame, ethertype) in https.iter().zip([0x0800, 0x86dd]) {
                let seen = bench.run(direction, Start::Ethernet, frame).unwrap();
                assert_eq!(flags(&seen), flag);
                let start = Start::Network(ethertype);
                let seen = bench.run(direction, start, &frame[14..]).unwrap();
                assert_eq!(flags(&seen), flag | RecordFlags::NO_LINK_HEADER);
            }
            for frame in &answer {
                let matched = bench.run(direction, Start::Ethernet, frame).is_some();
                assert_eq!(matched, options.is_empty());
            }
        }
    }
}

#[test]
fn a_bare_packet_is_what_the_stack_says_it_is() {
    let (four, six) = (v4().udp(&[0; 60]), v6().udp(&[0; 60]));
    let mut bench = Bench::load_whole("--host 8.0.2.1,2001:db8::2 --port 443 --proto udp");
    bench.leave_by(&Outlet::tun());
    let mut matches = |ethertype, frame: &Frame| {
        let start = Start::Network(ethertype);
        bench.send(start, &frame[14..]).is_some()
    };
    assert!(matches(0x0800, &four));
    assert!(matches(0x86dd, &six));
    assert!(!matches(0x86dd, &four));
    assert!(!matches(0x0800, &six));
    assert!(!matches(0, &four));
    assert!(!matches(0, &six));
}

#[test]
fn whom_a_frame_is_meant_for_is_recorded() {
    let mut bench = Bench::load_whole("");
    // By its destination address, for a device whose own is zero (`eth_type_trans`): PACKET_HOST,
    // PACKET_MULTICAST, PACKET_OTHERHOST. Loopback has no broadcast address to compare with.
    let mut frame = v4().udp(b"to whom");
    for (destination, kind) in [
        ([0; 6], 0),
        ([1, 0, 0x5e, 0, 0, 1], 2),
        ([2, 0, 0, 0, 0, 2], 3),
    ] {
        frame[..6].copy_from_slice(&destination);
        let seen = bench.show(&frame).unwrap();
        assert_eq!(seen.header.packet_type, kind);
    }
}

/// What the programs see of the frames where they come in. The last one must match.
#[track_caller]
fn seen_coming_in(options: &str, frames: &[Frame]) -> Vec<Record> {
    on_one_cpu();
    let wire = Wire::new();
    let mut bench = Bench::load_whole(options);
    let socket = |link| PacketSocket::new(&wire.namespace, link, Announced::ByHeader);
    let (sender, catcher) = (socket(Wire::SENDER), socket(Wire::CATCHER));
    let kernel = &mut bench.kernel;
    let attached = wire.namespace.run(|| {
        let (index, way) = (catcher.index(), Direction::In);
        kernel.attach(index, Wire::CATCHER, Framing::Ethernet, way)
    });
    attached.unwrap();
    for frame in frames {
        sender.send(frame);
    }
    let last = frames.last().unwrap();
    let mut records = Vec::new();
    wait_until("the last frame in the ring", || {
        let news = bench.drain().unwrap();
        records.extend(news.into_iter().map(|(record, _)| record));
        records.last().is_some_and(|record| record.frame == *last)
    });
    records
}

#[test]
fn a_tag_that_the_stack_took_out_of_the_frame_is_recorded_beside_it() {
    let plain = v4().tcp(SYN, b"");
    let frames = [
        tagged(DOT1Q, 5 << 13 | 100, &plain),
        tagged(DOT1AD, 200, &tagged(DOT1Q, 100, &plain)),
        plain.clone(),
    ];
    let seen = seen_coming_in("--dport 443", &frames);
    let metadata = |record: &Record| {
        let header = &record.header;
        (flags(record), header.vlan_proto, header.vlan_tci)
    };
    assert_eq!(seen.len(), 3);
    assert_eq!(
        metadata(&seen[0]),
        (RecordFlags::VLAN, DOT1Q, 5 << 13 | 100)
    );
    assert_eq!(metadata(&seen[1]), (RecordFlags::VLAN, DOT1AD, 200));
    assert_eq!(metadata(&seen[2]), (0, 0, 0));
    assert_eq!(seen[0].frame, plain);
    assert_eq!(seen[1].frame, tagged(DOT1Q, 100, &plain));
    for record in &seen {
        assert_eq!(record.header.wire_len as usize, record.frame.len());
        assert_eq!(record.header.captured_len, record.header.wire_len);
    }
}

#[test]
fn tags_count_alike_in_the_frame_and_beside_it() {
    let plain = v4().tcp(SYN, b"");
    let nest = |tags: u16| (0..tags).fold(plain.clone(), |frame, tag| tagged(DOT1Q, tag, &frame));
    let mut frames: Vec<Frame> = (0..5).map(nest).collect();
    frames.push(plain.clone());
    let seen = seen_coming_in("--dport 443", &frames);
    // The stack takes out the outermost: as they leave, one, two and three tags are in the frame.
    let mut leaving = Bench::load_whole("--dport 443");
    let matching: Vec<bool> = frames.iter().map(|frame| leaving.matches(frame)).collect();
    assert_eq!(matching, [true, true, true, false, false, true]);
    let frames: Vec<&Frame> = seen.iter().map(|record| &record.frame).collect();
    assert_eq!(frames, [&plain, &plain, &nest(1), &plain]);
}

#[test]
fn headers_that_lie_in_page_fragments_are_read_all_the_same() {
    let mut by_port = Bench::load_whole("--dport 443 --proto tcp --dst 192.0.2.200,2001:db8::2");
    by_port.leave_by(&Outlet::veth());
    for payload in [4_096, 9_000, 60_000] {
        let payload = vec![0xa5; payload];
        for flow in [v4(), v6()] {
            let there = flow.tcp(ACK, &payload);
            assert!(by_port.send(Start::Ethernet, &there).is_some());
            let tagged = tagged(DOT1AD, 1, &tagged(DOT1Q, 2, &there));
            assert!(by_port.send(Start::Ethernet, &tagged).is_some());
            let back = flow.back().tcp(ACK, &payload);
            assert!(by_port.send(Start::Ethernet, &back).is_none());
        }
    }
}
