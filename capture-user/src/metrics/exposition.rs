//! Prometheus's text exposition format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write as _;

/// What the format calls itself over HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a figure does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It is what it is at this moment.
    Gauge,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A figure: whole, or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A measure.
    Real(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// A page of figures, family by family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins the family of that name: a name of the format's, with its unit and, for a counter,
    /// `_total` at the end. It is there to be found also when no sample follows.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        escape(&mut self.text, help, false);
        self.text.push_str("\n# TYPE ");
        self.text.push_str(name);
        self.text.push(' ');
        self.text.push_str(kind.name());
        self.text.push('\n');
        Family {
            text: &mut self.text,
            name,
        }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Into<Value>) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The page as it is sent.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

/// The family under way.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Adds a sample. No two of a family may have the same labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.text.push_str(self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(self.text, value, true);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        // Writing to a string doesn't fail.
        let _ = match value.into() {
            Value::Whole(value) => writeln!(self.text, " {value}"),
            Value::Real(value) => writeln!(self.text, " {value}"),
        };
    }
}

/// A label's value may have anything in it: the name of an interface is its owner's choice. A help
/// text has no quotes to be escaped.
fn escape(text: &mut String, from: &str, quotes: bool) {
    for letter in from.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_written_as_the_format_has_it() {
        let mut page = Page::default();
        let mut family = page.family("a_total", Kind::Counter, "What \\ there\nis \"now\".");
        family.sample(&[("interface", "eth\"0\\\n"), ("cause", "x")], 3_u64);
        family.sample(&[], 0.25);
        page.single("b_bytes", Kind::Gauge, "B.", 1_usize << 40);
        assert_eq!(
            page.into_text(),
            "# HELP a_total What \\\\ there\\nis \"now\".\n# TYPE a_total counter\n\
             a_total{interface=\"eth\\\"0\\\\\\n\",cause=\"x\"} 3\na_total 0.25\n\
             # HELP b_bytes B.\n# TYPE b_bytes gauge\nb_bytes 1099511627776\n"
        );
    }
}
