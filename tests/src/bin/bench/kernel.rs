//! What one run of the kernel side's program costs, by `BPF_PROG_TEST_RUN`: without an interface,
//! without a process at the other end of the ring, on a packet that is in the CPU's cache.

use capture_user::filter::Filter;
use capture_user::filter::expression::Expression;
use capture_user::kernel::log::LogLevel;
use capture_user::kernel::{Kernel, Rings, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::frames::{Flow, Frame};

use crate::report::{Aim, Report, Row};
use crate::steady::{Runs, Steady};
use crate::{Failure, Scale, median};

/// nodecap's own default.
const RING_BYTES: u32 = 32 << 20;
/// `BPF_PROG_TEST_RUN` sees the packet on the loopback interface.
const LOOPBACK: u32 = 1;

const UNMATCHED_AIM: Option<Aim> = Some(Aim::AtMost(15.0));
const MATCHED_AIM: Option<Aim> = Some(Aim::AtMost(70.0));
const FOLLOWING_AIM: Option<Aim> = Some(Aim::AtMost(40.0));

/// One thing to be measured.
struct Case {
    what: &'static str,
    filter: Filter,
    snaplen: u32,
    packet: Frame,
    /// Whether packets are remembered, followed and told of, as in a capture that tracks flows.
    tracking: bool,
    aim: Option<Aim>,
    /// Runs at once: so many that their records fit into one of two rings.
    repeat: u32,
}

/// A tracked case is measured beside the one that is the same but for that.
const TRACKED: &str = ", tracked";
const UNMATCHED_HOST: &str = "not matching --host, tracked";
const UNMATCHED_PORT: &str = "not matching --port, tracked";
const MATCHED: &str = "matching, 96 bytes, tracked";
const MATCHED_ALL: &str = "matching all three options, 96 bytes, tracked";

fn tracked(case: Case) -> Case {
    Case {
        tracking: true,
        aim: None,
        ..case
    }
}

fn cases() -> Result<Vec<Case>, Failure> {
    let four = Flow::new("198.51.100.2:40000", "203.0.113.2:9").udp(&[0x5a; 1_358]);
    let six = Flow::new("[2001:db8:1::2]:40000", "[2001:db8:2::2]:9").udp(&[0x5a; 1_338]);
    let host = Filter {
        hosts: vec!["192.0.2.77/32".parse()?],
        ..Filter::default()
    };
    let port = Filter {
        ports: vec!["443".parse()?],
        ..Filter::default()
    };
    let protocol = Filter {
        protocols: vec!["tcp".parse()?],
        ..Filter::default()
    };
    // The port is looked at last, so all three are looked at.
    let all = Filter {
        hosts: vec!["203.0.113.2/32".parse()?, "2001:db8:2::2/128".parse()?],
        protocols: vec!["udp".parse()?],
        ..port.clone()
    };
    let all_match = Filter {
        ports: vec!["9".parse()?],
        ..all.clone()
    };
    let unmatched = |what, filter, packet: &Frame| Case {
        what,
        filter,
        snaplen: 96,
        packet: packet.clone(),
        tracking: false,
        aim: UNMATCHED_AIM,
        repeat: 500_000,
    };
    let matched = |what, filter, snaplen, aim, repeat| Case {
        what,
        filter,
        snaplen,
        packet: four.clone(),
        tracking: false,
        aim,
        repeat,
    };
    let of = |text: &str| -> Result<Filter, Failure> {
        Ok(Filter {
            expression: Some(Expression::compile(text)?),
            ..Filter::default()
        })
    };
    let networks: Vec<_> = (0..50).map(|n| format!("host 192.0.2.{}", n + 1)).collect();
    Ok(vec![
        unmatched("not matching tcp port 443", of("tcp port 443")?, &four),
        unmatched(
            "not matching host A and (tcp port 80 or udp portrange 5000-6000)",
            of("host 203.0.113.2 and (tcp port 80 or udp portrange 5000-6000)")?,
            &four,
        ),
        unmatched(
            "not matching 50 hosts or'ed",
            of(&networks.join(" or "))?,
            &four,
        ),
        unmatched("not matching --host", host.clone(), &four),
        unmatched("not matching --port", port.clone(), &four),
        unmatched("not matching --proto", protocol, &four),
        unmatched("not matching all three, by the last", all.clone(), &four),
        unmatched("not matching all three, by the last, IPv6", all, &six),
        matched(
            "matching, 96 bytes",
            Filter::default(),
            96,
            MATCHED_AIM,
            60_000,
        ),
        matched(
            "matching all three options, 96 bytes",
            all_match.clone(),
            96,
            MATCHED_AIM,
            60_000,
        ),
        matched(
            "matching, whole 1,400 bytes",
            Filter::default(),
            1_400,
            None,
            8_000,
        ),
        tracked(unmatched(UNMATCHED_HOST, host, &four)),
        tracked(unmatched(UNMATCHED_PORT, port, &four)),
        tracked(matched(MATCHED, Filter::default(), 96, None, 60_000)),
        tracked(matched(MATCHED_ALL, all_match, 96, None, 60_000)),
    ])
}

/// A case with its program loaded.
struct Bench {
    case: Case,
    kernel: Kernel,
    rings: Rings,
    runs: Runs,
}

/// Measures all cases, by turns.
pub(crate) fn measure(
    scale: Scale,
    steady: &mut Steady,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut benches = Vec::new();
    for case in cases()? {
        let mut kernel = Kernel::load(&Setup {
            tables: case.filter.tables(),
            snaplen: case.snaplen,
            ring_bytes: RING_BYTES,
            log: LogLevel::Off,
            identity: case.tracking,
            follow: case.tracking,
            events: case.tracking,
        })?;
        kernel.count_from_zero(LOOPBACK)?;
        let rings = kernel.rings()?;
        benches.push(Bench {
            case,
            kernel,
            rings,
            runs: Runs::default(),
        });
    }
    while !steady.suffices(scale.kernel_runs(), benches.iter().map(|bench| &bench.runs)) {
        for bench in &mut benches {
            bench.run(steady)?;
        }
    }
    report.add(Row::cost("an empty program", &steady.empty_costs()));
    at_once(scale, steady, &benches[0].case.packet, report)?;
    for bench in &benches {
        bench.check()?;
        let row = Row::cost(bench.case.what, &steady.beyond_empty(&bench.runs));
        report.add(Row {
            aim: bench.case.aim,
            ..row
        });
    }
    for bench in benches.iter().filter(|bench| bench.case.tracking) {
        let plain = bench.case.what.trim_end_matches(TRACKED);
        let Some(without) = benches.iter().find(|other| other.case.what == plain) else {
            return Err(format!("{}: nothing to compare with", bench.case.what).into());
        };
        let taken = |bench: &Bench| median(&steady.costs(&bench.runs));
        let more = taken(bench) - taken(without);
        let aim = plain.starts_with("not").then_some(FOLLOWING_AIM).flatten();
        report.add(Row {
            aim,
            best: None,
            ..Row::cost(&format!("tracking adds: {plain}"), &[more])
        });
    }
    Ok(())
}

/// What a matching packet costs while other CPUs have one at the same moment, each with a ring of
/// its own, and all with the same one: what waiting for each other at its lock would cost.
fn at_once(
    scale: Scale,
    steady: &mut Steady,
    packet: &[u8],
    report: &mut Report,
) -> Result<(), Failure> {
    let cpus: Vec<_> = (0..std::thread::available_parallelism()?.get().min(4)).collect();
    let mut several = Vec::new();
    let setup = Setup {
        tables: Filter::default().tables(),
        snaplen: 96,
        ring_bytes: RING_BYTES,
        log: LogLevel::Off,
        identity: false,
        follow: false,
        events: false,
    };
    for (what, kernel) in [
        ("a ring for each", Kernel::load(&setup)?),
        ("one ring for all", Kernel::load_with_one_ring(&setup)?),
    ] {
        let mut kernel = kernel;
        kernel.count_from_zero(LOOPBACK)?;
        let rings = kernel.rings()?;
        several.push((what, kernel, rings, vec![Runs::default(); cpus.len()]));
    }
    // So many on each CPU that all their records fit in.
    let repeat = RING_BYTES / 256 / cpus.len() as u32;
    while !steady.suffices(
        scale.kernel_runs(),
        several.iter().flat_map(|(.., runs)| runs),
    ) {
        for (_, kernel, rings, runs) in &mut several {
            for (count, runs) in (1..).zip(runs) {
                steady.run(runs, || {
                    let taken = kernel.test_run_on(&cpus[..count], packet, repeat)?;
                    let sum: u64 = taken.iter().map(|run| run.nanoseconds).sum();
                    Ok(sum as f64 / count as f64)
                })?;
                rings.drain(|_, _| {})?;
            }
        }
    }
    for (what, .., runs) in &several {
        for (count, runs) in (1..).zip(runs) {
            report.add(Row::cost(
                &format!("matching, 96 bytes, on {count} CPUs at once, {what}"),
                &steady.beyond_empty(runs),
            ));
        }
    }
    Ok(())
}

impl Bench {
    fn run(&mut self, steady: &mut Steady) -> Result<(), Failure> {
        let Case { packet, repeat, .. } = &self.case;
        let kernel = &mut self.kernel;
        steady.run(&mut self.runs, || {
            let run = kernel.test_run(Direction::In, Framing::Ethernet, packet, *repeat)?;
            Ok(run.nanoseconds as f64)
        })?;
        // So that they never are full.
        self.rings.drain(|_, _| {})?;
        Ok(())
    }

    /// Whether it was what it says that was measured.
    fn check(&self) -> Result<(), Failure> {
        let counters = self.kernel.counters(LOOPBACK)?;
        let runs = u64::from(self.case.repeat) * self.runs.len() as u64;
        let matched = if self.case.what.starts_with("matching") {
            runs
        } else {
            0
        };
        if (counters.matched, counters.recorded) != (matched, matched) {
            let what = self.case.what;
            return Err(format!("{what}: of {runs} runs {counters:?}").into());
        }
        Ok(())
    }
}
