//! What matching costs: expressions, beside the kernel's own classic filter and a check by hand, and
//! address lists of any length.
//!
//! All of it by `BPF_PROG_TEST_RUN`, less what an empty program takes there; the classic filter as
//! [`Classic`] says.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use capture_user::filter::ebpf::Instruction;
use capture_user::filter::expression::Expression;
use capture_user::filter::expression::classic::Program;
use capture_user::filter::expression::translate::{Hook, translate};
use capture_user::filter::{Filter, Tables};
use capture_user::kernel::log::LogLevel;
use capture_user::kernel::{Kernel, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use ipnet::IpNet;
use lab::elf::instruction;
use lab::frames::transport::ACK;
use lab::frames::{Flow, Frame};

use crate::classic::Classic;
use crate::code::Code;
use crate::report::{Aim, Report, Row};
use crate::steady::{Runs, Steady};
use crate::{Failure, Scale, median};

/// Runs at once.
const REPEAT: u32 = 300_000;

/// How long the lists are.
const LENGTHS: [u32; 4] = [1, 100, 10_000, 100_000];

/// An expression's code, for what comes in.
fn code_of(program: &Program) -> Result<Code, Failure> {
    // r2 = 0: the direction.
    let mut code = vec![instruction(0xb4, 2, 0, 0, 0)];
    code.extend(
        translate(program, Hook::Tc)?
            .iter()
            .map(Instruction::encode),
    );
    Code::load(&code)
}

/// How many nanoseconds a program takes to tell whether this packet matches, and that it tells so.
fn timed(code: &mut Code, packet: &[u8], matches: bool) -> Result<f64, Failure> {
    let (found, taken) = code.run(packet, REPEAT)?;
    if (found != 0) != matches {
        return Err(format!("{found}, not {matches}").into());
    }
    Ok(taken)
}

/// `tcp port 443` as one would write it: both IP versions, no fragment but the first, no extension
/// headers, which libpcap doesn't look behind either. Each step as [`instruction`] takes it; r2 is
/// the packet's beginning, r3 its end, r4 what is read.
#[rustfmt::skip]
const BY_HAND: [(u8, u8, u8, i16, i32); 37] = {
    let (load32, load16, load8) = (0x61, 0x69, 0x71);
    let (set, copy, add, and, shift, plus) = (0xb7, 0xbf, 0x07, 0x57, 0x67, 0x0f);
    let (beyond, is, isnt, exit) = (0x2d, 0x15, 0x55, 0x95);
    [
        // Offsets of data and data_end in struct __sk_buff.
        (load32, 2, 1, 76, 0), (load32, 3, 1, 80, 0), (set, 0, 0, 0, 0),
        // Up to the ports behind an IPv4 header without options.
        (copy, 4, 2, 0, 0), (add, 4, 0, 0, 38), (beyond, 4, 3, 30, 0),
        (load16, 4, 2, 12, 0), (isnt, 4, 0, 17, 0x0008),
        // IPv4: the protocol, the fragment's offset, the header's length, both ports.
        (load8, 4, 2, 23, 0), (isnt, 4, 0, 26, 6),
        (load16, 4, 2, 20, 0), (and, 4, 0, 0, 0xff1f), (isnt, 4, 0, 23, 0),
        (load8, 4, 2, 14, 0), (and, 4, 0, 0, 15), (shift, 4, 0, 0, 2), (plus, 2, 4, 0, 0),
        (copy, 4, 2, 0, 0), (add, 4, 0, 0, 18), (beyond, 4, 3, 16, 0),
        (load16, 4, 2, 14, 0), (is, 4, 0, 13, 0xbb01),
        (load16, 4, 2, 16, 0), (is, 4, 0, 11, 0xbb01), (exit, 0, 0, 0, 0),
        // IPv6: the protocol, both ports.
        (isnt, 4, 0, 10, 0xdd86),
        (copy, 4, 2, 0, 0), (add, 4, 0, 0, 58), (beyond, 4, 3, 7, 0),
        (load8, 4, 2, 20, 0), (isnt, 4, 0, 5, 6),
        (load16, 4, 2, 54, 0), (is, 4, 0, 2, 0xbb01),
        (load16, 4, 2, 56, 0), (isnt, 4, 0, 1, 0xbb01),
        (set, 0, 0, 0, 1), (exit, 0, 0, 0, 0),
    ]
};

/// Expressions, each with packets that it doesn't match and that it does.
pub(crate) fn measure_expressions(
    scale: Scale,
    steady: &mut Steady,
    report: &mut Report,
) -> Result<(), Failure> {
    let hosts: Vec<_> = (1..=50).map(|n| format!("host 192.0.2.{n}")).collect();
    let hosts = hosts.join(" or ");
    let flow = |from: &str, to: &str| Flow::new(from, to);
    let a = "host 203.0.113.2 and (tcp port 80 or udp portrange 5000-6000)";
    let cases: [(&str, &str, [Frame; 2]); 3] = [
        (
            "tcp port 443",
            "tcp port 443",
            [
                flow("198.51.100.2:40000", "203.0.113.2:80").tcp(ACK, b""),
                flow("198.51.100.2:40000", "203.0.113.2:443").tcp(ACK, b""),
            ],
        ),
        (
            "host A and (tcp port 80 or udp portrange 5000-6000)",
            a,
            [
                flow("198.51.100.2:40000", "203.0.113.2:9").udp(b"neither"),
                flow("198.51.100.2:40000", "203.0.113.2:5500").udp(b"in it"),
            ],
        ),
        (
            "50 hosts or'ed",
            &hosts,
            [
                flow("198.51.100.2:40000", "203.0.113.2:80").tcp(ACK, b""),
                flow("198.51.100.2:40000", "192.0.2.50:80").tcp(ACK, b""),
            ],
        ),
    ];
    let mut hand = Code::load(
        &BY_HAND.map(|(op, to, from, offset, number)| instruction(op, to, from, offset, number)),
    )?;
    let classic = Classic::new()?;
    for (name, text, packets) in &cases {
        let expression = Expression::compile(text)?;
        let program = expression
            .program(Framing::Ethernet)
            .map_err(Clone::clone)?;
        let mut code = code_of(program)?;
        for (matches, packet) in [false, true].into_iter().zip(packets) {
            let (mut ours, mut hands, mut theirs) = (Runs::default(), Runs::default(), Vec::new());
            let by_hand = *name == "tcp port 443";
            while !steady.suffices(scale.kernel_runs(), [&ours]) {
                steady.run(&mut ours, || timed(&mut code, packet, matches))?;
                if by_hand {
                    steady.run(&mut hands, || timed(&mut hand, packet, matches))?;
                }
                if theirs.len() < scale.kernel_runs() {
                    theirs.push(classic.cost(program, packet)?);
                }
            }
            let what = format!("{}matching {name}", if matches { "" } else { "not " });
            report.add(Row {
                other: Some(median(&theirs)),
                ..Row::cost(&what, &steady.beyond_empty(&ours))
            });
            if by_hand {
                let hands = steady.beyond_empty(&hands);
                report.add(Row::cost(&format!("{what}, a check by hand"), &hands));
                let more = median(&steady.beyond_empty(&ours)) - median(&hands);
                report.add(Row {
                    aim: Some(Aim::AtMost(3.0)),
                    best: None,
                    ..Row::cost(&format!("{what}, more than by hand"), &[more])
                });
            }
        }
    }
    Ok(())
}

/// Networks all over the address space, none of which holds an address that is asked for.
fn networks(count: u32, v6: bool) -> Vec<IpNet> {
    // Steps of an odd number go through all residues.
    let spread = |n: u32| n.wrapping_mul(2_654_435_761);
    (0..count)
        .flat_map(|n| {
            let bits = spread(n);
            // One in four is a host, the others are networks of /16 to /28.
            let len = if n % 4 == 0 { 32 } else { 16 + (n % 13) as u8 };
            if v6 {
                let top = 0x2600_0000_0000_0000 | u64::from(bits) << 16 | u64::from(n & 0xff) << 4;
                let address = Ipv6Addr::from_bits(u128::from(top) << 64 | u128::from(n));
                IpNet::new(address.into(), if len == 32 { 128 } else { 24 + len })
            } else {
                // Nothing in 198.51.0.0/16 and 203.0.0.0/16, where the packet's ends are.
                let top = match bits >> 16 {
                    0xc633 | 0xcb00 => 0x0a00,
                    top => top,
                };
                let address = Ipv4Addr::from_bits(top << 16 | bits & 0xffff);
                IpNet::new(address.into(), len)
            }
        })
        .map(|net| net.trunc())
        .collect()
}

/// Address lists of all lengths: a packet whose addresses aren't on the list, and one whose
/// receiver is, deep in it.
pub(crate) fn measure_lists(
    scale: Scale,
    steady: &mut Steady,
    report: &mut Report,
) -> Result<(), Failure> {
    // What is on the list is let go by the port, which is asked next: recording costs more than all
    // of this, and isn't what is measured.
    let port = Filter {
        ports: vec!["443".parse()?],
        ..Filter::default()
    };
    let mut port_alone = load(port.tables())?;
    for v6 in [false, true] {
        for count in LENGTHS {
            let (packet, on_it): (Frame, IpNet) = if v6 {
                (
                    Flow::new("[2001:db8:1::2]:40000", "[2600:db8:2::2]:9").udp(b"on a list?"),
                    "2600:db8:2::2/128".parse()?,
                )
            } else {
                (
                    Flow::new("198.51.100.2:40000", "203.0.113.2:9").udp(b"on a list?"),
                    "203.0.113.2/32".parse()?,
                )
            };
            let version = if v6 { "IPv6" } else { "IPv4" };
            let near: &[&str] = if v6 {
                &["2600:db8:2::3/128", "2600:db8:2:1::/64", "2600:db8::/47"]
            } else {
                &["203.0.113.3/32", "203.0.113.16/28", "203.0.96.0/20"]
            };
            for hit in [false, true] {
                let mut hosts: Vec<_> = hit.then_some(on_it).into_iter().collect();
                if count > 1 {
                    hosts.extend(near.iter().flat_map(|net| net.parse::<IpNet>()));
                }
                let others = count.saturating_sub(hosts.len() as u32);
                hosts.extend(networks(others, v6));
                let filter = Filter {
                    hosts,
                    ..port.clone()
                };
                let started = Instant::now();
                let tables = filter.tables();
                let bits = if v6 {
                    tables.addresses_v6.bits(on_it.addr())
                } else {
                    tables.addresses_v4.bits(on_it.addr())
                };
                if (bits != 0) != hit {
                    return Err(format!("{on_it} is on the list: {}", bits != 0).into());
                }
                let size = tables.addresses_v4.size() + tables.addresses_v6.size();
                let mut kernel = load(tables)?;
                kernel.test_run(Direction::In, Framing::Ethernet, &packet, 1)?;
                let loaded = started.elapsed();
                let (mut with, mut without) = (Runs::default(), Runs::default());
                while !steady.suffices(scale.kernel_runs(), [&with, &without]) {
                    steady.run(&mut with, || run(&mut kernel, &packet))?;
                    steady.run(&mut without, || run(&mut port_alone, &packet))?;
                }
                let costs = steady.beyond_empty(&with);
                let list = median(&steady.costs(&with)) - median(&steady.costs(&without));
                let what = format!("{version}, {count} networks");
                if hit {
                    report.add(Row::cost(&format!("{what}, on the list"), &costs));
                    report.add(Row {
                        aim: Some(Aim::AtMost(40.0)),
                        best: None,
                        ..Row::cost(&format!("{what}, on the list, the list alone"), &[list])
                    });
                } else {
                    report.add(Row {
                        aim: Some(Aim::AtMost(40.0)),
                        ..Row::cost(&format!("{what}, not on the list"), &costs)
                    });
                }
                if count == 100_000 && hit {
                    add_size(report, version, loaded, size);
                }
            }
        }
    }
    Ok(())
}

/// The whole program with these tables, and nothing else.
fn load(tables: Tables) -> Result<Kernel, Failure> {
    Ok(Kernel::load(&Setup {
        tables,
        snaplen: 96,
        ring_bytes: 1 << 20,
        log: LogLevel::Off,
        identity: false,
        follow: false,
        events: false,
    })?)
}

/// Nanoseconds that it takes for a packet that comes in.
fn run(kernel: &mut Kernel, packet: &[u8]) -> Result<f64, Failure> {
    let run = kernel.test_run(Direction::In, Framing::Ethernet, packet, REPEAT)?;
    Ok(run.nanoseconds as f64)
}

/// How long it took to load the longest list, and what it takes in memory.
fn add_size(report: &mut Report, version: &str, loaded: Duration, size: usize) {
    report.add(Row {
        what: format!("{version}, building and loading 100,000 networks"),
        unit: "ms",
        ours: Some(loaded.as_secs_f64() * 1_000.0),
        aim: Some(Aim::AtMost(500.0)),
        ..Row::default()
    });
    report.add(Row {
        what: format!("{version}, memory for them"),
        unit: "MiB",
        ours: Some(size as f64 / f64::from(1 << 20)),
        ..Row::default()
    });
}
