//! What was found out about flows, and what the flight recorder did, in the lines that end a capture.

use super::recording::Recorded;
use crate::flow::summary::Summary;

/// The closing lines: flows, resets by cause and origin, translations. Empty without any flow.
pub(super) fn lines(summary: &Summary) -> String {
    if summary.flows == 0 {
        return String::new();
    }
    let mut lines = format!("{} flow{}", summary.flows, plural(summary.flows));
    if summary.evicted > 0 {
        lines += &format!(
            " ({} forgotten before their end: raise --max-flows)",
            summary.evicted
        );
    }
    lines.push('\n');
    let resets: u64 = summary.resets.iter().map(|(_, _, count)| count).sum();
    if resets > 0 {
        let by_cause: Vec<_> = summary
            .resets
            .iter()
            .map(|(cause, side, count)| {
                format!("{count} {} from {}", cause.as_str(), side.as_str())
            })
            .collect();
        lines += &format!(
            "{resets} reset{}: {}\n",
            plural(resets),
            by_cause.join(", ")
        );
    }
    let translations: u64 = summary.translations.iter().map(|(_, count)| count).sum();
    if translations > 0 {
        let by_kind: Vec<_> = summary
            .translations
            .iter()
            .map(|(kind, count)| format!("{count} {}", kind.name()))
            .collect();
        lines += &format!(
            "{translations} translation{}: {}\n",
            plural(translations),
            by_kind.join(", ")
        );
    }
    lines
}

/// What the flight recorder did: events by kind, and what it could no longer give.
pub(super) fn recorded(recorded: &Recorded) -> String {
    let counts = &recorded.counts;
    let by_kind: Vec<_> = recorded
        .kinds
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    let mut lines = format!("{} event{}", counts.events, plural(counts.events));
    if !by_kind.is_empty() {
        lines += &format!(": {}", by_kind.join(", "));
    }
    lines.push('\n');
    if counts.cut > 0 {
        lines += &format!(
            "{} of them may lack earlier packets, which memory had no more room for",
            counts.cut
        );
        if let Some(least) = counts.least_wait {
            lines += &format!(": it held {}", seconds(least));
            if let Some(wanted) = recorded.wanted {
                lines += &format!(" of {}", seconds(wanted));
            }
            lines += " at the worst";
        }
        lines += "; raise --recorder-size, or keep less of each packet with --snaplen\n";
    }
    if counts.closed_early > 0 {
        lines += &format!(
            "{} of them may lack later packets: too many flows were waited for; raise --recorder-size, or lower --after\n",
            counts.closed_early
        );
    }
    lines
}

fn seconds(nanoseconds: u64) -> String {
    format!("{:.1}s", nanoseconds as f64 / 1e9)
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::happening::Kind;
    use crate::flow::nat::NatKind;
    use crate::flow::reset::{Cause, OriginSide};
    use crate::recorder::Counts;

    #[test]
    fn the_closing_lines_tell_resets_by_cause_and_origin() {
        let summary = Summary {
            flows: 12,
            resets: vec![
                (Cause::ClosedPort, OriginSide::Uplink, 1),
                (Cause::Unknown, OriginSide::Pod, 2),
            ],
            translations: vec![(NatKind::Snat, 9)],
            ..Summary::default()
        };
        assert_eq!(
            lines(&summary),
            "12 flows\n3 resets: 1 closed-port from uplink, 2 unknown from pod\n9 translations: 9 snat\n"
        );
        assert_eq!(lines(&Summary::default()), "");
    }

    #[test]
    fn the_closing_lines_tell_what_the_recorder_could_no_longer_give() {
        let mut told = Recorded {
            counts: Counts {
                events: 5,
                ..Counts::default()
            },
            forgotten: 0,
            kinds: vec![(Kind::Reset, 3), (Kind::Nat, 0), (Kind::Drop, 2)],
            wanted: Some(30_000_000_000),
        };
        assert_eq!(recorded(&told), "5 events: 3 reset, 2 drop\n");
        told.counts.cut = 2;
        told.counts.least_wait = Some(3_210_000_000);
        let said = recorded(&told);
        assert!(
            said.contains("2 of them may lack earlier packets")
                && said.contains("it held 3.2s of 30.0s at the worst; raise --recorder-size"),
            "{said}"
        );
    }
}
