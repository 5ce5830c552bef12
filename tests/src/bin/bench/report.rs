//! What was measured, for people and for programs.

use std::fmt;

use serde_json::{Value, json};

use crate::median;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    /// Ours, at the most.
    AtMost(f64),
    /// Ours divided by the other's, at the most.
    RatioAtMost(f64),
    /// Ours divided by the other's, at the least.
    RatioAtLeast(f64),
    /// Ours, no less than the other's.
    NoLess,
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::RatioAtMost(most) => write!(f, "≤ {most:.2} of it"),
            Self::RatioAtLeast(least) => write!(f, "≥ {least:.2} of it"),
            Self::NoLess => f.write_str("≥ it"),
        }
    }
}

/// One figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: Option<f64>,
    pub(crate) other: Option<f64>,
    /// The best of ours, where other work on the machine can only have made the rest worse.
    pub(crate) best: Option<f64>,
    pub(crate) aim: Option<Aim>,
}

impl Row {
    /// Nanoseconds, the median of several runs, without a counterpart.
    pub(crate) fn cost(what: &str, runs: &[f64]) -> Self {
        Self {
            what: what.to_owned(),
            unit: "ns",
            ours: Some(median(runs)),
            best: runs.iter().copied().reduce(f64::min),
            ..Self::default()
        }
    }

    /// Ours divided by the other's, where noise has made neither less than nothing.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let positive = |figure: &f64| *figure > 0.0;
        Some(self.ours.filter(positive)? / self.other.filter(positive)?)
    }

    /// Whether it is what it should be.
    pub(crate) fn is_met(&self) -> Option<bool> {
        Some(match self.aim? {
            Aim::AtMost(most) => self.ours? <= most,
            Aim::RatioAtMost(most) => self.ratio()? <= most,
            Aim::RatioAtLeast(least) => self.ratio()? >= least,
            Aim::NoLess => self.ours? >= self.other?,
        })
    }
}

/// All figures, in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What they were measured on, name and value.
    pub(crate) circumstances: Vec<(&'static str, String)>,
    /// What nodecap is compared with, unless a group of figures says otherwise.
    other: String,
    sections: Vec<Section>,
}

/// A group of figures.
#[derive(Debug, Default)]
struct Section {
    title: &'static str,
    other: String,
    rows: Vec<Row>,
}

impl Report {
    /// An empty one.
    pub(crate) fn beside(other: &str) -> Self {
        Self {
            other: other.to_owned(),
            ..Self::default()
        }
    }

    /// Starts a group of figures.
    pub(crate) fn section(&mut self, title: &'static str) {
        self.section_beside(title, &self.other.clone());
    }

    /// Starts one in which nodecap is compared with something else.
    pub(crate) fn section_beside(&mut self, title: &'static str, other: &str) {
        self.sections.push(Section {
            title,
            other: other.to_owned(),
            rows: Vec::new(),
        });
    }

    /// Adds a figure to the group.
    pub(crate) fn add(&mut self, row: Row) {
        if self.sections.is_empty() {
            self.section("");
        }
        if let Some(section) = self.sections.last_mut() {
            section.rows.push(row);
        }
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let circumstances: Value = self
            .circumstances
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let rows: Vec<_> = self
            .sections
            .iter()
            .flat_map(|section| section.rows.iter().map(move |row| (section, row)))
            .map(|(section, row)| {
                json!({
                    "section": section.title,
                    "what": row.what,
                    "unit": row.unit,
                    "nodecap": row.ours,
                    &section.other: row.other,
                    "ratio": row.ratio(),
                    "best": row.best,
                    "aim": row.aim.map(|aim| aim.to_string()),
                    "met": row.is_met(),
                })
            })
            .collect();
        json!({ "schema": 1, "circumstances": circumstances, "rows": rows })
    }
}

impl fmt::Display for Report {
    /// A table in Markdown, readable as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.circumstances {
            writeln!(f, "{name}: {value}")?;
        }
        for section in &self.sections {
            writeln!(f)?;
            write(f, section)?;
        }
        Ok(())
    }
}

fn write(f: &mut fmt::Formatter<'_>, section: &Section) -> fmt::Result {
    let heads = [
        section.title,
        "unit",
        "nodecap",
        "best",
        &section.other,
        "ratio",
        "aim",
        "met",
    ];
    let mut lines = vec![heads.map(str::to_owned)];
    for row in &section.rows {
        lines.push([
            row.what.clone(),
            row.unit.to_owned(),
            figure(row.ours),
            figure(row.best),
            figure(row.other),
            row.ratio()
                .map(|ratio| format!("{ratio:.2}"))
                .unwrap_or_default(),
            row.aim.map(|aim| aim.to_string()).unwrap_or_default(),
            match row.is_met() {
                Some(true) => "yes".to_owned(),
                Some(false) => "NO".to_owned(),
                None => String::new(),
            },
        ]);
    }
    let widths: [usize; 8] = std::array::from_fn(|column| {
        let width = |line: &[String; 8]| line[column].chars().count();
        lines.iter().map(width).max().unwrap_or(0).max(3)
    });
    // Numbers stand to the right.
    let is_number = |column| (2..=5).contains(&column);
    for (number, line) in lines.iter().enumerate() {
        f.write_str("|")?;
        for (column, (text, width)) in line.iter().zip(widths).enumerate() {
            if is_number(column) {
                write!(f, " {text:>width$} |")?;
            } else {
                write!(f, " {text:<width$} |")?;
            }
        }
        writeln!(f)?;
        if number == 0 {
            f.write_str("|")?;
            for (column, width) in widths.into_iter().enumerate() {
                let end = if is_number(column) { ":" } else { "-" };
                write!(f, " {}{end} |", "-".repeat(width - 1))?;
            }
            writeln!(f)?;
        }
    }
    Ok(())
}

/// Three digits or more, thousands set apart.
pub(crate) fn figure(value: Option<f64>) -> String {
    let Some(value) = value else {
        return String::new();
    };
    if value.abs() < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 && digits != "0" {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_set_in_thousands() {
        for (value, text) in [
            (7.0, "7"),
            (7.25, "7.2"),
            (1_000.0, "1,000"),
            (123_456.0, "123,456"),
            (-12.4, "-12"),
        ] {
            assert_eq!(figure(Some(value)), text);
        }
        assert_eq!(figure(None), "");
    }

    #[test]
    fn an_aim_is_met_or_missed_only_where_there_are_figures() {
        let row = Row {
            ours: Some(30.0),
            other: Some(100.0),
            ..Row::default()
        };
        let met = |aim| {
            Row {
                aim: Some(aim),
                ..row.clone()
            }
            .is_met()
        };
        assert_eq!(met(Aim::AtMost(30.0)), Some(true));
        assert_eq!(met(Aim::AtMost(29.0)), Some(false));
        assert_eq!(met(Aim::RatioAtMost(1.0 / 3.0)), Some(true));
        assert_eq!(met(Aim::RatioAtLeast(0.3)), Some(true));
        assert_eq!(met(Aim::RatioAtLeast(10.0)), Some(false));
        assert_eq!(met(Aim::NoLess), Some(false));
        assert_eq!(row.is_met(), None);
        let alone = Row {
            other: None,
            aim: Some(Aim::NoLess),
            ..row
        };
        assert_eq!(alone.is_met(), None);
    }
}
