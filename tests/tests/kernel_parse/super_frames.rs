//! Packets beyond 64 KiB, which only the stack itself makes: a TCP connection over IPv6 on a device
//! that takes such super-frames ("BIG TCP").

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use capture_common::record::{MAX_SNAPLEN, SIZE_CLASSES};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::need;
use lab::packet_socket::{Announced, PacketSocket};
use lab::topology::Pair;
use lab::wait::wait_for;

use crate::bench::{Bench, Make, Record};

/// What goes over the connection: numbers that count up, so that a piece that is missing or in
/// another's place shows.
const PERIOD: u8 = 251;

fn stream() -> Vec<u8> {
    (0..PERIOD)
        .cycle()
        .take(usize::from(PERIOD) * 4_096)
        .collect()
}

#[track_caller]
fn assert_counts_up(bytes: &[u8]) {
    let ends = bytes
        .windows(2)
        .position(|pair| pair[1] != (pair[0] + 1) % PERIOD);
    assert_eq!(ends, None, "of {}", bytes.len());
}

/// Sends over one connection from left to right for as long as `until` doesn't hold.
fn talk(pair: &Pair, mut until: impl FnMut()) {
    let address = format!("[{}]:9", Pair::RIGHT_V6);
    let listener = pair.right.run(|| TcpListener::bind(&address)).unwrap();
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut connection, _) = listener.accept().unwrap();
            let mut room = vec![0; 1 << 20];
            while connection.read(&mut room).is_ok_and(|read| read > 0) {}
        });
        let mut connection = pair.left.run(|| TcpStream::connect(&address)).unwrap();
        let enough = &enough;
        scope.spawn(move || {
            let stream = stream();
            while !enough.load(Ordering::Relaxed) {
                connection.write_all(&stream).unwrap();
            }
            connection.shutdown(Shutdown::Both).unwrap();
        });
        // Also if it panics, or the scope would never end.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(enough);
        until();
    });
}

#[test]
fn super_frames_are_recorded_whole_up_to_the_largest_snapshot_length_and_cut_there() {
    // Segments beyond 64 KiB over IPv4: gso_ipv4_max_size.
    need!("kernel 6.3");
    let pair = Pair::new();
    for host in [&pair.left, &pair.right] {
        host.ip(&format!(
            "link set {} gso_max_size 400000 gro_max_size 400000",
            Pair::LINK
        ));
    }
    let make = Make {
        ring_bytes: 1 << 23,
        ..Make::default()
    };
    let mut bench = Bench::make("--proto tcp --dport 9", &make);
    let index = PacketSocket::new(&pair.left, Pair::LINK, Announced::ByHeader).index();
    let kernel = &mut bench.kernel;
    let attached = pair
        .left
        .run(|| kernel.attach(index, Pair::LINK, Framing::Ethernet, Direction::Out));
    attached.unwrap();

    let beyond = SIZE_CLASSES[SIZE_CLASSES.len() - 2];
    let (mut whole, mut cut) = (None, None);
    let mut seen = 0;
    talk(&pair, || {
        wait_for("a super-frame of either kind", || {
            for (record, _) in bench.drain().unwrap() {
                seen += 1;
                let len = record.header.wire_len;
                if len > MAX_SNAPLEN {
                    cut = Some(record);
                } else if len > beyond {
                    whole = Some(record);
                }
            }
            (whole.is_some() && cut.is_some()).then_some(())
        });
    });
    println!("{seen} records");
    let right = |record: &Record| {
        let header = &record.header;
        println!("{header:?}");
        assert_eq!(header.captured_len, header.wire_len.min(MAX_SNAPLEN));
        assert_eq!(record.frame.len(), header.captured_len as usize);
        assert!((1_000..1_500).contains(&header.gso_size));
        // Ethernet, IPv6, perhaps a jumbo payload option (RFC 2675), TCP with timestamps.
        assert_counts_up(&record.frame[14 + 40 + 8 + 32..]);
    };
    right(&whole.unwrap());
    right(&cut.unwrap());
}
