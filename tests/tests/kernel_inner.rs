//! With `--inner` the options match the packet within a tunnel's exactly where they would match it
//! alone: every tunnel around every packet, cut off anywhere.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use capture_user::filter::{Barred, Filter};
use capture_user::kernel::attach::Hook;
use capture_user::kernel::log::LogLevel;
use capture_user::kernel::{Kernel, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::frames::transport::{self, SYN};
use lab::frames::{Flow, Frame, IPV4, IPV6, corpus, ethernet, tagged};

/// The interface that `BPF_PROG_TEST_RUN` says its packets come from.
const LOOPBACK: u32 = 1;
/// The longest packet that it takes, with room for a tunnel's headers.
const LONGEST: usize = 3_000;

struct Programs {
    kernel: Kernel,
    matched: u64,
}

impl Programs {
    #[track_caller]
    fn load(filter: &Filter) -> Self {
        let loaded = Kernel::load(&Setup {
            tables: filter.tables(),
            snaplen: 96,
            ring_bytes: 1 << 16,
            log: LogLevel::Off,
            identity: false,
            follow: false,
            events: false,
        });
        let mut kernel = loaded.unwrap();
        kernel.count_from_zero(LOOPBACK).unwrap();
        Self { kernel, matched: 0 }
    }

    #[track_caller]
    fn take(&mut self, direction: Direction, packet: &[u8]) -> bool {
        let run = self
            .kernel
            .test_run(direction, Framing::Ethernet, packet, 1);
        if let Err(error) = run {
            panic!("{error:?}: {packet:02x?}");
        }
        let matched = self.kernel.counters(LOOPBACK).unwrap().matched;
        std::mem::replace(&mut self.matched, matched) != matched
    }
}

/// Between whom the tunnels are; nothing of it is asked for.
fn outside(v6: bool, port: u16) -> Flow {
    if v6 {
        Flow::new(
            "[2001:db8:ffff::1]:49152",
            &format!("[2001:db8:ffff::2]:{port}"),
        )
    } else {
        Flow::new("203.0.113.1:49152", &format!("203.0.113.2:{port}"))
    }
}

/// The frame within each kind of tunnel, by the tunnel's name.
fn tunnels(frame: &[u8]) -> Vec<(String, Frame)> {
    let ethertype = frame
        .get(12..14)
        .map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let packet = &frame[14..];
    let vxlan = [&[0x08, 0, 0, 0, 0, 0, 7, 0][..], frame].concat();
    let geneve = |options: u8, protocol: u16, within: &[u8]| {
        let mut header = vec![options / 4, 0];
        header.extend(protocol.to_be_bytes());
        header.extend([0, 0, 7, 0]);
        header.resize(8 + usize::from(options), 0xee);
        [&header, within].concat()
    };
    let gre = |flags: u8, protocol: u16, within: &[u8]| {
        let mut header = vec![flags, 0];
        header.extend(protocol.to_be_bytes());
        header.resize(4 + 4 * flags.count_ones() as usize, 0xee);
        [&header, within].concat()
    };
    let mut tunnels = Vec::new();
    for v6 in [false, true] {
        let mut add = |name: &str, frame: Frame| {
            tunnels.push((format!("{name}, IPv6 outside: {v6}"), frame));
        };
        for port in [4_789, 8_472] {
            add("vxlan", outside(v6, port).udp(&vxlan));
        }
        for options in [0, 8, 252] {
            add(
                "geneve",
                outside(v6, 6_081).udp(&geneve(options, 0x6558, frame)),
            );
        }
        // Checksum, key, sequence number: one, some, all.
        for flags in [0, 0x20, 0x30, 0xb0] {
            let message = gre(flags, 0x6558, frame);
            add(
                "gre with a frame",
                outside(v6, 0).around(transport::GRE, &message),
            );
        }
        if ethertype == IPV4 || ethertype == IPV6 {
            add(
                "geneve with a packet",
                outside(v6, 6_081).udp(&geneve(4, ethertype, packet)),
            );
            let message = gre(0x20, ethertype, packet);
            add("gre", outside(v6, 0).around(transport::GRE, &message));
            let protocol = if ethertype == IPV4 { 4 } else { 41 };
            add("ip in ip", outside(v6, 0).around(protocol, packet));
        }
    }
    tunnels
}

fn filters() -> Vec<Filter> {
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
    vec![
        Filter {
            hosts: nets(&["192.0.2.1/32", "2001:db8:1::/64"]),
            ..Filter::default()
        },
        Filter {
            ports: vec!["443".parse().unwrap(), "53".parse().unwrap()],
            protocols: vec!["tcp".parse().unwrap(), "udp".parse().unwrap()],
            ..Filter::default()
        },
        Filter {
            sources: nets(&["192.0.2.0/24", "2001:db8::/32"]),
            barred: Barred {
                destinations: nets(&["192.0.2.200/32", "2001:db8:1::2/128"]),
                ..Barred::default()
            },
            ..Filter::default()
        },
        Filter {
            protocols: vec!["arp".parse().unwrap(), "icmp".parse().unwrap()],
            ..Filter::default()
        },
    ]
}

fn inner(filter: &Filter) -> Filter {
    Filter {
        inner: true,
        ..filter.clone()
    }
}

fn frames() -> Vec<Frame> {
    let mut frames = corpus::rich();
    frames.extend(corpus::behind_extension_headers());
    let whole = |frame: &Frame| match frame.get(12..14) {
        Some([0x08, 0x00]) => frame.len() >= 34,
        Some([0x86, 0xdd]) => frame.len() >= 54,
        _ => frame.len() >= 14,
    };
    frames.retain(|frame| whole(frame) && frame.len() < LONGEST);
    frames
}

#[test]
fn the_inner_packet_matches_as_it_would_alone() {
    for filter in filters() {
        let mut alone = Programs::load(&filter);
        let mut within = Programs::load(&inner(&filter));
        let (mut matching, mut others) = (0, 0);
        for frame in frames().iter().step_by(2) {
            let expected = alone.take(Direction::In, frame);
            for (name, tunnel) in tunnels(frame) {
                let matches = within.take(Direction::In, &tunnel);
                assert_eq!(matches, expected, "{name}: {filter:?} {frame:02x?}");
                *(if matches { &mut matching } else { &mut others }) += 1;
            }
            // In no tunnel it isn't what was asked for.
            assert!(!within.take(Direction::In, frame) || transport_is_tunnel(frame));
        }
        assert!(matching > 0 && others > 0, "{filter:?}");
    }
}

/// The corpus has GRE packets of its own.
fn transport_is_tunnel(frame: &[u8]) -> bool {
    frame
        .windows(4)
        .any(|bytes| bytes == [0x40, transport::GRE, 0, 0])
        || frame.contains(&47)
}

#[test]
fn it_does_so_under_xdp_and_on_the_way_out() {
    let filter = &filters()[0];
    let mut alone = Programs::load(filter);
    let mut out = Programs::load(&inner(filter));
    let mut xdp = Programs::load(&inner(filter));
    xdp.kernel.set_hook(Hook::Xdp);
    for frame in frames().iter().step_by(5) {
        let expected = alone.take(Direction::In, frame);
        for (name, tunnel) in tunnels(frame) {
            assert_eq!(out.take(Direction::Out, &tunnel), expected, "{name}");
            assert_eq!(xdp.take(Direction::In, &tunnel), expected, "{name}");
        }
    }
}

#[test]
fn what_only_looks_like_a_tunnel_is_none() {
    let filter = inner(&Filter {
        hosts: vec!["192.0.2.1/32".parse().unwrap()],
        ..Filter::default()
    });
    let mut programs = Programs::load(&filter);
    let mut matches = |frame: &Frame| programs.take(Direction::In, frame);
    let frame = Flow::new("192.0.2.1:40000", "192.0.2.2:443").tcp(SYN, b"");
    let vxlan = |flags: u8| [&[flags, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat();
    assert!(matches(&outside(false, 4_789).udp(&vxlan(0x08))));
    // The flag isn't set; another port; GENEVE of another version.
    assert!(!matches(&outside(false, 4_789).udp(&vxlan(0))));
    assert!(!matches(&outside(false, 4_790).udp(&vxlan(0x08))));
    assert!(!matches(&outside(false, 6_081).udp(
        &[&[0x40, 0, 0x65, 0x58, 0, 0, 0, 0][..], &frame].concat()
    )));
    // GRE with source routing, and of version 1 (PPTP).
    let gre = |flags: [u8; 2]| {
        let message = [&flags[..], &[0x08, 0x00], &frame[14..]].concat();
        outside(false, 0).around(transport::GRE, &message)
    };
    assert!(matches(&gre([0, 0])));
    assert!(!matches(&gre([0x40, 0])));
    assert!(!matches(&gre([0, 1])));
    // Only one level is looked through.
    let twice = outside(false, 0).around(4, &frame[14..]);
    assert!(matches(&twice));
    assert!(!matches(&outside(true, 0).around(4, &twice[14..])));
    // The tunnel's own ends aren't asked.
    assert!(!matches(
        &Flow::new("192.0.2.1:1", "192.0.2.2:4789").udp(
            &[
                &[0x08, 0, 0, 0, 0, 0, 7, 0][..],
                &ethernet(0x88b5, b"something else")
            ]
            .concat()
        )
    ));
    // Tags outside and inside.
    let inside = [&[0x08, 0, 0, 0, 0, 0, 7, 0][..], &tagged(0x8100, 5, &frame)].concat();
    assert!(matches(&tagged(
        0x88a8,
        7,
        &outside(true, 8_472).udp(&inside)
    )));
}

#[test]
fn a_tunnel_that_is_cut_off_matches_only_where_all_that_was_asked_for_is_there() {
    let filter = inner(&Filter {
        hosts: vec!["192.0.2.1/32".parse().unwrap()],
        ports: vec!["443".parse().unwrap()],
        ..Filter::default()
    });
    let mut programs = Programs::load(&filter);
    let frame = Flow::new("192.0.2.1:40000", "192.0.2.2:443").tcp(SYN, b"");
    for (name, tunnel) in tunnels(&frame) {
        // Up to the inner ports.
        let needed = tunnel.len() - 16;
        for len in 54..=tunnel.len() {
            let matches = programs.take(Direction::In, &tunnel[..len]);
            assert_eq!(
                matches,
                len >= needed,
                "{name}, {len} of {} bytes",
                tunnel.len()
            );
        }
    }
}
