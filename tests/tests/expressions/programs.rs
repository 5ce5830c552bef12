//! Expressions in nodecap's own programs: each of the four runs the code that is meant for it, and
//! what else was asked for must hold too.

use capture_user::filter::Filter;
use capture_user::filter::expression::Expression;
use capture_user::kernel::log::LogLevel;
use capture_user::kernel::{Kernel, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::frames::transport::{ACK, SYN};
use lab::frames::{Flow, Frame};

use crate::list::{many_hosts, many_tests};

/// The interface that `BPF_PROG_TEST_RUN` says its packets come from.
const LOOPBACK: u32 = 1;

struct Programs {
    kernel: Kernel,
    matched: u64,
}

impl Programs {
    /// Loads all with an expression, and with whatever else the filter has.
    #[track_caller]
    fn load(expression: &str, filter: Filter) -> Self {
        let filter = Filter {
            expression: Some(Expression::compile(expression).unwrap()),
            ..filter
        };
        let loaded = Kernel::load(&Setup {
            tables: filter.tables(),
            snaplen: 96,
            ring_bytes: 1 << 20,
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
    fn match_(&mut self, direction: Direction, framing: Framing, packet: &[u8]) -> bool {
        let run = self.kernel.test_run(direction, framing, packet, 1);
        if let Err(error) = run {
            panic!("{error}");
        }
        let matched = self.kernel.counters(LOOPBACK).unwrap().matched;
        std::mem::replace(&mut self.matched, matched) != matched
    }
}

/// A flow whose bare packets a test run takes for IPv4: it looks for the EtherType where the
/// source address is.
fn flow() -> Flow {
    Flow::new("8.0.2.1:40000", "192.0.2.200:443")
}

#[test]
fn packets_that_come_and_go_with_a_link_header_and_without() {
    let mut programs = Programs::load("tcp dst port 443", Filter::default());
    let (there, back) = (flow().tcp(SYN, b""), flow().back().tcp(ACK, b""));
    for direction in [Direction::In, Direction::Out] {
        assert!(programs.match_(direction, Framing::Ethernet, &there));
        assert!(!programs.match_(direction, Framing::Ethernet, &back));
        assert!(programs.match_(direction, Framing::Bare, &there[14..]));
        assert!(!programs.match_(direction, Framing::Bare, &back[14..]));
        // Each reads where its packets have their headers, and nowhere else.
        assert!(!programs.match_(direction, Framing::Bare, &there));
    }
}

#[test]
fn which_way_a_packet_goes_is_known_by_the_hook() {
    let frame = flow().udp(b"which way");
    for (expression, way) in [("inbound", Direction::In), ("outbound", Direction::Out)] {
        let mut programs = Programs::load(expression, Filter::default());
        for direction in [Direction::In, Direction::Out] {
            for (framing, packet) in [
                (Framing::Ethernet, &frame[..]),
                (Framing::Bare, &frame[14..]),
            ] {
                let matches = programs.match_(direction, framing, packet);
                assert_eq!(matches, direction == way, "{expression} {direction:?}");
            }
        }
    }
}

#[test]
fn the_options_must_hold_too() {
    let only_udp = Filter {
        protocols: vec!["udp".parse().unwrap()],
        ..Filter::default()
    };
    let mut programs = Programs::load("port 443", only_udp);
    let mut matches = |frame: &Frame| programs.match_(Direction::In, Framing::Ethernet, frame);
    assert!(matches(&flow().udp(b"both")));
    assert!(!matches(&flow().tcp(SYN, b"")));
    assert!(!matches(
        &Flow::new("192.0.2.1:1", "192.0.2.2:2").udp(b"neither port")
    ));
}

#[test]
fn what_means_nothing_without_a_link_header_matches_nothing_there() {
    let mut programs = Programs::load("ether src 02:00:00:00:00:01", Filter::default());
    let frame = flow().udp(b"from that one");
    assert!(programs.match_(Direction::In, Framing::Ethernet, &frame));
    assert!(!programs.match_(Direction::In, Framing::Bare, &frame[14..]));
}

#[test]
fn long_expressions_are_taken_by_the_verifier() {
    for (expression, port) in [(many_hosts(60), 443), (many_tests(2_000), 443)] {
        let mut programs = Programs::load(&expression, Filter::default());
        let frame = Flow::new("192.0.2.1:40000", &format!("192.0.2.200:{port}")).tcp(SYN, &[7; 60]);
        for direction in [Direction::In, Direction::Out] {
            assert!(programs.match_(direction, Framing::Ethernet, &frame));
            programs.match_(direction, Framing::Bare, &frame[14..]);
        }
    }
}
