//! What was found out about flows, in the lines that end a capture.

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

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::nat::NatKind;
    use crate::flow::reset::{Cause, OriginSide};

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
}
