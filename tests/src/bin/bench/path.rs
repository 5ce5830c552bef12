//! What a capture costs: the packets on their way, and the node.

use std::fmt;

use crate::capture::{Keep, Outcome, Tool, Tracking, beside};
use crate::generator::Pace;
use crate::report::{Aim, Report, Row};
use crate::router::{Both, Router};
use crate::{Failure, Scale, median, progress};

/// A rate that both captures can follow.
const MODERATE: u64 = 100_000;

/// A third of tcpdump's.
const PATH_AIM: Aim = Aim::RatioAtMost(1.0 / 3.0);
/// No more than tcpdump's, which tracks nothing.
const TRACKING_CPU_AIM: Aim = Aim::RatioAtMost(1.0);
/// Without tracking either.
const CPU_AIM: Aim = Aim::RatioAtMost(0.6);

/// The added time in the packet's path and the process's CPU time, at a moderate rate and at full
/// speed.
pub(crate) fn measure(
    scale: Scale,
    router: &Router,
    other: &Tool,
    (keep, tracking): (Keep, Tracking),
    report: &mut Report,
) -> Result<(), Failure> {
    let moderate = Pace::PerSecond(MODERATE);
    for (pace, name) in [
        (moderate, "100,000 a second"),
        (Pace::FullSpeed, "full speed"),
    ] {
        let packets = scale.path_packets(pace);
        let mut rounds = Vec::new();
        for round in 1..=scale.path_rounds() {
            progress(&format!("the packet's path at {name}, round {round}"));
            let round = Round::run(router, other, (keep, tracking), packets, pace)?;
            progress(&round.to_string());
            rounds.push(round);
        }
        let cpu_aim = match (keep, tracking) {
            (Keep::Start, Tracking::On) => Some(TRACKING_CPU_AIM),
            (Keep::Start, Tracking::Off) => Some(CPU_AIM),
            (Keep::Whole, _) => None,
        };
        describe(&rounds, name, cpu_aim, report);
    }
    Ok(())
}

/// One after the other: no capture, one of the two, no capture, the other, no capture.
struct Round {
    ours: Stretch,
    other: Stretch,
}

impl Round {
    fn run(
        router: &Router,
        other: &Tool,
        (keep, tracking): (Keep, Tracking),
        packets: u64,
        pace: Pace,
    ) -> Result<Self, Failure> {
        let send = || router.send_both(packets, pace);
        let before = send()?;
        let ours = beside(router, &Tool::Nodecap(tracking), keep, send)?;
        let between = send()?;
        let other = beside(router, &other.tracking(tracking), keep, send)?;
        let after = send()?;
        Ok(Self {
            ours: Stretch::new(before, ours, between),
            other: Stretch::new(between, other, after),
        })
    }
}

/// Traffic beside a capture, and a packet's path without it just before and after.
struct Stretch {
    outcome: Outcome<Both>,
    /// Nanoseconds.
    alone: f64,
}

impl Stretch {
    fn new(before: Both, outcome: Outcome<Both>, after: Both) -> Self {
        Self {
            outcome,
            alone: f64::midpoint(before.plain.nanoseconds(), after.plain.nanoseconds()),
        }
    }

    /// What the capture added to the path of packets that it had nothing to do with.
    fn elsewhere(&self) -> f64 {
        self.outcome.sent.plain.nanoseconds() - self.alone
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:.0} ns", self.ours.alone)?;
        for (name, stretch) in [("ours", &self.ours), ("other", &self.other)] {
            let outcome = &stretch.outcome;
            write!(
                f,
                "; {name} {:+.0} ns, elsewhere {:+.0} ns, CPU {:.0} ns, {:.1} %",
                outcome.added(),
                stretch.elsewhere(),
                outcome.cpu_per_packet(),
                outcome.share() * 100.0,
            )?;
        }
        Ok(())
    }
}

fn describe(rounds: &[Round], name: &str, cpu_aim: Option<Aim>, report: &mut Report) {
    let over =
        |figure: &dyn Fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    let both =
        |figure: fn(&Stretch) -> f64| [over(&|it| figure(&it.ours)), over(&|it| figure(&it.other))];
    let mut add = |what: &str, unit, [ours, other]: [f64; 2], aim| {
        report.add(Row {
            what: format!("{what}, {name}"),
            unit,
            ours: Some(ours),
            other: Some(other).filter(|other| !other.is_nan()),
            aim,
            ..Row::default()
        });
    };
    let alone = over(&|round| round.ours.alone);
    add(
        "forwarding without a capture",
        "ns",
        [alone, f64::NAN],
        None,
    );
    let more = both(|stretch| stretch.outcome.added());
    let elsewhere = both(Stretch::elsewhere);
    let added = [more[0] + elsewhere[0], more[1] + elsewhere[1]];
    add("added to a captured packet", "ns", added, Some(PATH_AIM));
    add("of it, added to every packet", "ns", elsewhere, None);
    let cpu = both(|stretch| stretch.outcome.cpu_per_packet());
    add("process CPU for a captured packet", "ns", cpu, cpu_aim);
    let share = both(|stretch| stretch.outcome.share() * 100.0);
    add("packets captured", "%", share, Some(Aim::NoLess));
}

/// What a capture costs a node on which little happens: neither may keep a CPU busy waiting.
pub(crate) fn measure_waiting(
    scale: Scale,
    router: &Router,
    other: &Tool,
    report: &mut Report,
) -> Result<(), Failure> {
    for (rate, name) in [(1_000, "1,000"), (10_000, "10,000"), (100_000, "100,000")] {
        progress(&format!("CPU at {name} packets a second"));
        let mut shares = Vec::new();
        for tool in [&Tool::Nodecap(Tracking::On), other] {
            let packets = rate * scale.waiting_seconds();
            let outcome = beside(router, tool, Keep::Start, || {
                router.send(packets, Pace::PerSecond(rate))
            })?;
            shares.push(outcome.cpu_share() * 100.0);
        }
        report.add(Row {
            what: format!("process CPU at {name} packets a second, of one CPU"),
            unit: "%",
            ours: Some(shares[0]),
            other: Some(shares[1]),
            ..Row::default()
        });
    }
    Ok(())
}
