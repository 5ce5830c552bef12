//! The highest rate at which a capture has every packet in its file.

use crate::capture::{Keep, Tool, Tracking, beside};
use crate::generator::Pace;
use crate::report::{Aim, Report, Row};
use crate::router::Router;
use crate::{Failure, Scale, progress};

/// Twice what the others can.
const WHOLE_AIM: Aim = Aim::RatioAtLeast(2.0);

/// Raises the rate for all, by turns, until each has lost packets twice at one rate.
pub(crate) fn measure(
    scale: Scale,
    router: &Router,
    other: &Tool,
    report: &mut Report,
) -> Result<(), Failure> {
    let start = [other.clone()];
    let whole: Vec<_> = start.iter().cloned().chain(Tool::further()).collect();
    for (keep, name, others, aim) in [
        (Keep::Start, "96 bytes", &start[..], Aim::NoLess),
        (Keep::Whole, "whole 1,400 bytes", &whole, WHOLE_AIM),
    ] {
        let mut ours = Ladder::new(Tool::Nodecap(Tracking::On));
        let mut others: Vec<_> = others.iter().cloned().map(Ladder::new).collect();
        for rate in scale.rates() {
            for ladder in std::iter::once(&mut ours).chain(&mut others) {
                ladder.step(scale, router, keep, *rate)?;
            }
        }
        for other in others {
            let limit = if ours.at_generators_limit || other.at_generators_limit {
                "; packets could come no faster"
            } else {
                ""
            };
            // Those that the column isn't about are named.
            let name = match &other.tool {
                Tool::Dumpcap | Tool::NetsniffNg => format!("{name}, beside {}", other.tool),
                _ => name.to_owned(),
            };
            report.add(Row {
                what: format!("highest rate without loss, {name}{limit}"),
                unit: "/s",
                ours: ours.highest.map(|rate| rate as f64),
                other: other.highest.map(|rate| rate as f64),
                aim: Some(aim),
                ..Row::default()
            });
        }
    }
    Ok(())
}

/// How far one capture has come.
struct Ladder {
    tool: Tool,
    /// The highest rate that it had all packets at.
    highest: Option<u64>,
    ended: bool,
    /// It ended since the packets couldn't be made any faster.
    at_generators_limit: bool,
}

impl Ladder {
    fn new(tool: Tool) -> Self {
        Self {
            tool,
            highest: None,
            ended: false,
            at_generators_limit: false,
        }
    }

    /// Tries this rate, twice if need be: the machine may have had something else to do.
    fn step(
        &mut self,
        scale: Scale,
        router: &Router,
        keep: Keep,
        rate: u64,
    ) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        progress(&format!("{}, {keep:?}, {rate} packets a second", self.tool));
        let packets = (rate as f64 * scale.lossless_seconds()) as u64;
        for _ in 0..2 {
            let outcome = beside(router, &self.tool, keep, || {
                router.send(packets, Pace::PerSecond(rate))
            })?;
            self.at_generators_limit = outcome.sent.rate() < rate as f64 * 0.95;
            if outcome.is_lossless() && !self.at_generators_limit {
                self.highest = Some(rate);
                return Ok(());
            }
        }
        self.ended = true;
        Ok(())
    }
}
