//! The kernel accepts every program in every shape that the globals can give it, and each shape
//! answers every packet alike.

use capture_user::filter::expression::Expression;
use capture_user::filter::protocols::Protocol;
use capture_user::filter::{Barred, Filter};
use capture_user::kernel::abilities::reads_kernel_memory;
use capture_user::kernel::attach::Hook;
use capture_user::kernel::log::LogLevel;
use capture_user::kernel::{Kernel, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use ipnet::IpNet;
use lab::ability::is_guest;
use lab::frames::{Flow, Frame};
use lab::need;

/// Of everything something: offsets that the packet says, metadata, tags, tunnels.
const LONG: &str = "tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420 or (vlan and udp) or inbound \
    or (geneve and vlan 5) or (ip[2:2] % ip[8] = 3 and not ifindex 7) or mpls 100";

fn expression(text: &str) -> Expression {
    Expression::compile(text).expect("an expression")
}

fn filters() -> Vec<(&'static str, Filter)> {
    let net: IpNet = "198.51.100.0/24".parse().expect("a prefix");
    let net6: IpNet = "2001:db8::/32".parse().expect("a prefix");
    let port = "443".parse().expect("a port");
    let none = Filter::default();
    let all = Filter {
        hosts: vec![net, net6],
        sources: vec![net, net6],
        destinations: vec![net, net6],
        ports: vec![port],
        source_ports: vec![port],
        destination_ports: vec![port],
        protocols: vec![Protocol::Ip(6)],
        expression: Some(expression(LONG)),
        barred: Barred {
            hosts: vec![net, net6],
            sources: vec![net, net6],
            destinations: vec![net, net6],
        },
        reread: true,
        inner: false,
    };
    vec![
        ("none", none.clone()),
        (
            "hosts",
            Filter {
                hosts: vec![net, net6],
                ..none.clone()
            },
        ),
        (
            "sources",
            Filter {
                sources: vec![net, net6],
                ..none.clone()
            },
        ),
        (
            "ports",
            Filter {
                ports: vec![port],
                ..none.clone()
            },
        ),
        (
            "protocols",
            Filter {
                protocols: vec![Protocol::Ip(6), Protocol::Arp],
                ..none.clone()
            },
        ),
        (
            "all of it in a tunnel",
            Filter {
                inner: true,
                ..all.clone()
            },
        ),
        ("all", all),
        (
            "an expression about flows",
            Filter {
                expression: Some(expression("tcp port 443 or host 2001:db8::1")),
                ..none.clone()
            },
        ),
        (
            "an expression about packets",
            Filter {
                expression: Some(expression(LONG)),
                ..none
            },
        ),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    identity: bool,
    follow: bool,
    events: bool,
    log: LogLevel,
}

/// Every combination of what can be switched.
fn shapes() -> impl Iterator<Item = Shape> {
    (0..16).map(|bits| {
        let bit = |at: u32| bits >> at & 1 == 1;
        let log = if bit(3) {
            LogLevel::Debug
        } else {
            LogLevel::Off
        };
        Shape {
            identity: bit(0),
            follow: bit(1),
            events: bit(2),
            log,
        }
    })
}

const PROGRAMS: [(Framing, Direction); 4] = [
    (Framing::Ethernet, Direction::In),
    (Framing::Ethernet, Direction::Out),
    (Framing::Bare, Direction::In),
    (Framing::Bare, Direction::Out),
];

fn frame() -> Frame {
    Flow::new("198.51.100.1:443", "203.0.113.9:443").tcp(2, b"")
}

#[track_caller]
fn load(filter: &Filter, shape: Shape) -> Kernel {
    Kernel::load(&Setup {
        tables: filter.tables(),
        snaplen: 262_144,
        // With batches, and without: too little for a ring for each CPU.
        ring_bytes: if shape.identity { 1 << 23 } else { 1 << 16 },
        log: shape.log,
        identity: shape.identity,
        follow: shape.follow,
        events: shape.events,
    })
    .expect("the maps are made")
}

#[track_caller]
fn assert_accepted(name: &str, filter: &Filter, shape: Shape, programs: &[(Framing, Direction)]) {
    let mut kernel = load(filter, shape);
    for (framing, direction) in programs {
        match kernel.test_run(*direction, *framing, &frame(), 1) {
            Ok(run) => assert_eq!(run.verdict, -1),
            Err(error) => panic!("{name}, {shape:?}, {framing:?} {direction:?}: {error}"),
        }
    }
}

#[test]
fn every_program_is_accepted_in_every_shape() {
    for (name, filter) in filters() {
        for shape in shapes() {
            // The four differ by constants; each filter meets each of them in some shape.
            let at = usize::from(shape.identity) + 2 * usize::from(shape.log != LogLevel::Off);
            assert_accepted(name, &filter, shape, &PROGRAMS[at..=at]);
        }
    }
}

#[test]
fn all_programs_are_accepted_with_nothing_and_with_everything_switched_on() {
    for (at, (name, filter)) in filters().into_iter().enumerate() {
        let nothing = shapes().next().filter(|_| at == 0 || !is_guest());
        for shape in nothing.into_iter().chain(shapes().last()) {
            assert_accepted(name, &filter, shape, among(at));
        }
    }
}

/// All programs; an emulated machine, which takes seconds over each, loads two of them with each
/// filter, and only one filter with nothing switched on.
fn among(filter: usize) -> &'static [(Framing, Direction)] {
    match (is_guest(), filter % 2) {
        (false, _) => &PROGRAMS,
        (true, 0) => &PROGRAMS[..2],
        (true, _) => &PROGRAMS[2..],
    }
}

#[test]
fn the_xdp_programs_are_accepted_with_every_filter() {
    for (at, (name, filter)) in filters().into_iter().enumerate() {
        let logs = [LogLevel::Off, LogLevel::Debug];
        let logs = match is_guest() {
            true => &logs[at % 2..=at % 2],
            false => &logs[..],
        };
        for &log in logs {
            let shape = Shape {
                identity: false,
                follow: false,
                events: true,
                log,
            };
            let mut kernel = load(&filter, shape);
            kernel.set_hook(Hook::Xdp);
            match kernel.test_run(Direction::In, Framing::Ethernet, &frame(), 1) {
                // XDP_PASS
                Ok(run) => assert_eq!(run.verdict, 2),
                Err(error) => panic!("{name}, {log:?}: {error}"),
            }
        }
    }
}

#[test]
fn without_perfmon_a_capture_of_everything_works_and_what_keeps_an_address_is_refused() {
    // Before, the verifier follows each wrong guess of a processor into what is switched off.
    need!("kernel 6.18");
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    // Capabilities belong to a thread, and this one ends with the test.
    let thread = std::thread::spawn(|| {
        let few = CapabilitySet::BPF | CapabilitySet::NET_ADMIN;
        let sets = CapabilitySets {
            effective: few,
            permitted: few,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets).expect("capabilities can be given up");
        assert!(!reads_kernel_memory());
        // A filter's look-ups need it too: the verifier takes no pointer into the packet that a
        // variable was added to.
        let filter = Filter::default();
        let shape = shapes().next().expect("nothing switched on");
        assert_accepted("none", &filter, shape, &PROGRAMS);
        for more in [
            Shape {
                identity: true,
                ..shape
            },
            Shape {
                events: true,
                ..shape
            },
        ] {
            let mut kernel = load(&filter, more);
            let error = kernel
                .test_run(Direction::In, Framing::Ethernet, &frame(), 1)
                .expect_err("it keeps an address");
            assert!(error.to_string().contains("CAP_PERFMON"), "{error}");
            assert!(
                kernel
                    .attach_tracepoints()
                    .0
                    .iter()
                    .all(|it| it.outcome.is_err())
            );
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
