//! What became of the figures of an earlier run.

use std::fmt::Write as _;

use serde_json::Value;

use crate::report::figure;

/// A table of the figures that both runs have, as [`crate::report::Report::json`] has them: then,
/// now, and now divided by then.
pub(crate) fn table(now: &Value, before: &Value) -> String {
    let mut table =
        String::from("| what | unit | then | now | ratio |\n| - | - | -: | -: | -: |\n");
    for row in rows(now) {
        let Some(was) = rows(before).find(|was| key(was) == key(row)) else {
            continue;
        };
        // The quickest is what others' work disturbs least, where there is one.
        let pair = ["best", "nodecap"]
            .iter()
            .find_map(|column| Some((was[column].as_f64()?, row[column].as_f64()?)));
        let Some((then, now)) = pair else { continue };
        let ratio = if then > 0.0 && now > 0.0 {
            format!("{:.2}", now / then)
        } else {
            String::new()
        };
        // Writing to a string doesn't fail.
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {ratio} |",
            row["what"].as_str().unwrap_or_default(),
            row["unit"].as_str().unwrap_or_default(),
            figure(Some(then)),
            figure(Some(now)),
        );
    }
    table
}

fn rows(report: &Value) -> impl Iterator<Item = &Value> {
    report["rows"].as_array().into_iter().flatten()
}

/// What tells a figure from all others.
fn key(row: &Value) -> [&Value; 3] {
    [&row["section"], &row["what"], &row["unit"]]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_set_beside_those_of_the_same_name_and_the_quickest_counts() {
        let row = |what: &str, nodecap: f64, best: Option<f64>| json!({ "section": "s", "what": what, "unit": "ns", "nodecap": nodecap, "best": best });
        let before = json!({ "rows": [row("a", 100.0, Some(80.0)), row("b", 7.0, None), row("gone", 1.0, None)] });
        let now = json!({ "rows": [row("new", 1.0, None), row("a", 500.0, Some(60.0)), row("b", -7.0, None)] });
        let table = table(&now, &before);
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            ["| a | ns | 80 | 60 | 0.75 |", "| b | ns | 7 | -7 |  |"]
        );
    }
}
