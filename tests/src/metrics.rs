//! Figures as Prometheus takes them: asked for over HTTP, and read by a parser that accepts nothing
//! sloppy.
//!
//! The rules are those of the text exposition format 0.0.4 and of
//! <https://prometheus.io/docs/practices/naming/>; promtool's linter has no more of them that matter
//! here.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::namespace::Namespace;
use crate::nodecap::Capture;

/// What a sample is told apart by besides its name.
pub type Labels = BTreeMap<String, String>;

/// A page of figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// `counter` or `gauge`, by the family's name.
    pub kinds: BTreeMap<String, String>,
    /// The samples.
    pub samples: BTreeMap<(String, Labels), f64>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    ///
    /// When anything about it isn't as it should be.
    #[must_use]
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        match parse(text) {
            Ok(page) => page,
            Err(why) => panic!("{why}\n{text}"),
        }
    }

    /// The sample of a family without labels.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str) -> f64 {
        self.labelled(name, &[])
    }

    /// The sample with just these labels.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn labelled(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        match self.samples.get(&(name.to_owned(), wanted)) {
            Some(value) => *value,
            None => panic!("no {name} with {labels:?} in {self:#?}"),
        }
    }

    /// The sum of a family.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        let of_it = self.samples.iter().filter(|((it, _), _)| it == name);
        of_it.map(|(_, value)| value).sum()
    }

    /// No counter of an earlier page has gone back or away.
    ///
    /// # Panics
    ///
    /// When one has.
    #[track_caller]
    pub fn assert_grown_from(&self, earlier: &Self) {
        for ((name, labels), before) in &earlier.samples {
            if earlier.kinds[name] != "counter" {
                continue;
            }
            let now = self.samples.get(&(name.clone(), labels.clone()));
            assert!(
                now.is_some_and(|now| now >= before),
                "{name} {labels:?}: {before}, then {now:?}"
            );
        }
    }
}

fn parse(text: &str) -> Result<Page, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut page = Page::default();
    let mut helped = BTreeSet::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let wrong = |why: &str| format!("`{line}`: {why}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
            if !is_name(name, true) || !helped.insert(name.to_owned()) {
                return Err(wrong("not a name, or there twice"));
            }
            unescape(help, false).ok_or_else(|| wrong("a bad escape"))?;
            if !help.ends_with('.') {
                return Err(wrong("not a sentence"));
            }
            current = None;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
            if !helped.contains(name) || page.kinds.contains_key(name) {
                return Err(wrong("without help before it, or there twice"));
            }
            match (kind, name.ends_with("_total")) {
                ("counter", true) | ("gauge", false) => {}
                _ => return Err(wrong("a counter ends in _total, nothing else does")),
            }
            if [
                "_seconds_bytes",
                "_ms",
                "_milliseconds",
                "_kb",
                "_percent",
                "_count",
            ]
            .iter()
            .any(|unit| name.trim_end_matches("_total").ends_with(unit))
            {
                return Err(wrong("not a base unit"));
            }
            page.kinds.insert(name.to_owned(), kind.to_owned());
            current = Some(name.to_owned());
        } else {
            let (name, labels, value) = sample(line).ok_or_else(|| wrong("not a sample"))?;
            if current.as_ref() != Some(&name) {
                return Err(wrong("not behind its own TYPE line"));
            }
            if page.kinds[&name] == "counter" && !(value >= 0.0 && value.is_finite()) {
                return Err(wrong("not a count"));
            }
            if page.samples.insert((name, labels), value).is_some() {
                return Err(wrong("there twice"));
            }
        }
    }
    let typed: BTreeSet<_> = page.kinds.keys().cloned().collect();
    if typed == helped {
        Ok(page)
    } else {
        Err("a family has no type".to_owned())
    }
}

fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, behind) = rest.split_once("=\"")?;
            let quote = closing_quote(behind)?;
            let value = unescape(&behind[..quote], true)?;
            if !is_name(label, false) || labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            rest = &behind[quote + 1..];
            if let Some(end) = rest.strip_prefix('}') {
                rest = end;
                break;
            }
            rest = rest.strip_prefix(',')?;
        }
    }
    let value = rest.strip_prefix(' ')?;
    let is_number = !value.contains(char::is_whitespace);
    (is_name(name, true) && is_number).then_some(())?;
    Some((name.to_owned(), labels, value.parse().ok()?))
}

fn is_name(name: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescape(text: &str, quotes: bool) -> Option<String> {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next()? {
                '\\' => '\\',
                'n' => '\n',
                '"' if quotes => '"',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(plain)
}

/// What came back over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head's lines behind the first, in lower case.
    pub head: String,
    /// What follows it.
    pub body: String,
}

/// A connection to the figures of a capture in that namespace.
///
/// # Panics
///
/// When there is none to be had.
#[must_use]
#[track_caller]
pub fn connect(namespace: &Namespace, address: SocketAddr) -> TcpStream {
    let stream = namespace.run(|| TcpStream::connect(address));
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => panic!("{address}: {error}"),
    };
    // Far longer than it can take: a test that waits for ever tells nothing.
    if let Err(error) = stream.set_read_timeout(Some(Duration::from_secs(60))) {
        panic!("{error}");
    }
    stream
}

/// Sends these bytes and reads to the end; none if what comes back is no HTTP.
#[must_use]
#[track_caller]
pub fn exchange(namespace: &Namespace, address: SocketAddr, request: &[u8]) -> Option<Answer> {
    let mut stream = connect(namespace, address);
    // Refused in the middle of it, it may be closed already.
    drop(stream.write_all(request));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (first, head) = head.split_once("\r\n")?;
    let status = first.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// Where a capture with `--metrics` says that its figures are.
///
/// # Panics
///
/// When it doesn't.
#[must_use]
#[track_caller]
pub fn address(capture: &Capture) -> SocketAddr {
    let line = capture.wait_for_line("nodecap: figures at http://");
    let address = line
        .strip_prefix("nodecap: figures at http://")
        .and_then(|rest| rest.strip_suffix("/metrics"))
        .and_then(|address| address.parse().ok());
    match address {
        Some(address) => address,
        None => panic!("{line}"),
    }
}

/// The figures of this moment.
///
/// # Panics
///
/// When they aren't given, or aren't as they should be.
#[must_use]
#[track_caller]
pub fn scrape(namespace: &Namespace, address: SocketAddr) -> Page {
    let request = b"GET /metrics HTTP/1.1\r\nHost: nodecap\r\n\r\n";
    match exchange(namespace, address, request) {
        Some(answer) if answer.status == 200 => {
            assert!(
                answer
                    .head
                    .contains("content-type: text/plain; version=0.0.4"),
                "{}",
                answer.head
            );
            Page::parse(&answer.body)
        }
        other => panic!("no figures: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# HELP a_total A \\\\ b.\n# TYPE a_total counter\na_total{x=\"1,}\\\"\"} 3\n\
        a_total 4\n# HELP b_bytes B.\n# TYPE b_bytes gauge\nb_bytes 1.5\n";

    #[test]
    fn a_page_is_read_as_it_is_meant() {
        let page = Page::parse(GOOD);
        assert_eq!(page.labelled("a_total", &[("x", "1,}\"")]), 3.0);
        assert!((page.value("b_bytes") - 1.5).abs() < f64::EPSILON);
        assert_eq!(page.sum("a_total"), 7.0);
    }

    #[test]
    fn whatever_is_sloppy_is_refused() {
        for (good, sloppy) in [
            ("b_bytes 1.5\n", "b_bytes 1.5"),
            ("b_bytes 1.5", "b_bytes  1.5"),
            ("b_bytes 1.5", "b_bytes x"),
            ("b_bytes 1.5", "b_bytes 1.5\nb_bytes 2"),
            ("b_bytes 1.5", "a_total{x=\"2\"} 1"),
            ("a_total 4", "a_total -4"),
            ("a_total 4", "a_total{} 4"),
            ("a_total 4", "a_total{x=\"1\",x=\"2\"} 4"),
            ("a_total 4", "a_total{0=\"1\"} 4"),
            ("a_total 4", "a_total{x=\"\\t\"} 4"),
            ("# TYPE b_bytes gauge\n", ""),
            ("# HELP b_bytes B.\n", ""),
            ("B.", "B"),
            ("b_bytes gauge", "b_bytes counter"),
            ("a_total counter", "a_total gauge"),
        ] {
            let text = GOOD.replacen(good, sloppy, 1);
            assert_ne!(text, GOOD, "{good}");
            assert!(parse(&text).is_err(), "{sloppy} was taken");
        }
    }
}
