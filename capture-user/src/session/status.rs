//! What a capture says on standard error while it runs: lines, and on a terminal one live line
//! under them.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use capture_common::counters::Counters;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::plan::Plan;
use super::progress::Progress;

/// Standard error, perhaps with a live line.
pub(super) struct Status {
    bar: Option<ProgressBar>,
    /// Packets and the time when the rate was last taken.
    last: (u64, Instant),
}

impl Status {
    /// A live line is shown on a terminal beside `-w`, where no packet lines would run into it.
    pub(super) fn new(plan: &Plan) -> Self {
        let live = plan.write.is_some() && !plan.print && std::io::stderr().is_terminal();
        let bar = live.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template without placeholders but the message is valid.
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            last: (0, Instant::now()),
        }
    }

    pub(super) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Writes lines to standard error, above the live line.
    pub(super) fn say(&self, text: &str) {
        let write = || {
            // Nobody is left to tell where standard error is closed.
            let _ = writeln!(std::io::stderr(), "{text}");
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Renews the live line.
    pub(super) fn show(
        &mut self,
        plan: &Plan,
        progress: &Progress,
        total: &Counters,
        deadline: Option<Instant>,
    ) {
        let Some(bar) = &self.bar else { return };
        let now = Instant::now();
        let packets = progress.packets();
        let seconds = (now - self.last.1).as_secs_f64();
        let rate = if seconds > 0.0 {
            (packets - self.last.0) as f64 / seconds
        } else {
            0.0
        };
        self.last = (packets, now);
        bar.set_message(line(
            plan,
            packets,
            progress.bytes(),
            rate,
            total,
            deadline.map(|at| at.saturating_duration_since(now)),
        ));
        bar.tick();
    }

    pub(super) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(
    plan: &Plan,
    packets: u64,
    bytes: u64,
    rate: f64,
    total: &Counters,
    remaining: Option<Duration>,
) -> String {
    let mut line = format!(
        "{packets} packets, {}, {rate:.0}/s, {} lost",
        HumanBytes(bytes),
        total.lost()
    );
    let mut left = Vec::new();
    if let Some(count) = plan.limits.count {
        left.push(format!("{} packets", count.saturating_sub(packets)));
    }
    if let Some(size) = plan.limits.size {
        left.push(HumanBytes(size.saturating_sub(bytes)).to_string());
    }
    if let Some(remaining) = remaining {
        let seconds = Duration::from_secs(remaining.as_secs());
        left.push(humantime::format_duration(seconds).to_string());
    }
    if !left.is_empty() {
        line += &format!("; left: {}", left.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::limits::Limits;

    #[test]
    fn the_live_line_tells_what_is_left_of_each_limit() {
        let plan = Plan {
            limits: Limits {
                count: Some(1_000),
                size: Some(1 << 20),
                duration: Some(Duration::from_secs(90)),
            },
            ..Plan::example()
        };
        let total = Counters {
            matched: 12,
            ring_full: 2,
            ..Counters::default()
        };
        let left = Some(Duration::from_millis(75_400));
        let text = line(&plan, 10, 1 << 19, 4.2, &total, left);
        assert_eq!(
            text,
            "10 packets, 512.00 KiB, 4/s, 2 lost; left: 990 packets, 512.00 KiB, 1m 15s"
        );
    }
}
