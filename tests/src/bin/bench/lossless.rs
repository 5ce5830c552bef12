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
        let mut highest = [Some(0), Some(0)];
        let mut going = [true, true];
        for rate in scale.rates() {
            for (place, tool) in [&Tool::Nodecap, other].into_iter().enumerate() {
                if !going[place] {
                    continue;
                }
                progress(&format!("{tool}, {name}, {rate} packets a second"));
                going[place] = is_lossless(scale, router, tool, keep, *rate)?;
                if going[place] {
                    highest[place] = Some(*rate);
                }
            }
        }
        let [ours, highest_other] = highest.map(|rate| rate.map(|rate| rate as f64));
        report.add(Row {
            what: format!("highest rate without loss, {name}"),
            unit: "/s",
            ours,
            other: highest_other,
            aim: Some(Aim::NoLess),
        });
    }
    Ok(())
}

/// Whether it has all packets, in one of two attempts: the machine may have had something else to
/// do in one of them.
fn is_lossless(
    scale: Scale,
    router: &Router,
    tool: &Tool,
    keep: Keep,
    rate: u64,
) -> Result<bool, Failure> {
    for _ in 0..2 {
        let packets = (rate as f64 * scale.lossless_seconds()) as u64;
        let outcome = beside(router, tool, keep, || {
            router.send(packets, Pace::PerSecond(rate))
        })?;
        // Where the generator itself couldn't keep the pace, the rate was another.
        if outcome.sent.rate() < rate as f64 * 0.95 {
            return Ok(false);
        }
        if outcome.is_lossless() {
            return Ok(true);
        }
    }
    Ok(false)
}
