//! The highest rate at which a capture has every packet in its file.

use crate::capture::{Keep, Tool, beside};
use crate::generator::Pace;
use crate::report::{Aim, Report, Row};
use crate::router::Router;
use crate::{Failure, Scale, progress};

/// Raises the rate for both, by turns, until each has lost packets twice at one rate.
pub(crate) fn measure(
    scale: Scale,
    router: &Router,
    other: &Tool,
    report: &mut Report,
) -> Result<(), Failure> {
    for (keep, name) in [
        (Keep::Start, "96 bytes"),
        (Keep::Whole, "whole 1,400 bytes"),
    ] {
        let mut ladders = [Tool::Nodecap, other.clone()].map(Ladder::new);
        for rate in scale.rates() {
            for ladder in &mut ladders {
                ladder.step(scale, router, keep, *rate)?;
            }
        }
        let [ours, other] = ladders;
        let limit = if ours.at_generators_limit || other.at_generators_limit {
            "; packets could come no faster"
        } else {
            ""
        };
        report.add(Row {
            what: format!("highest rate without loss, {name}{limit}"),
            unit: "/s",
            ours: ours.highest.map(|rate| rate as f64),
            other: other.highest.map(|rate| rate as f64),
            aim: Some(Aim::NoLess),
            ..Row::default()
        });
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
