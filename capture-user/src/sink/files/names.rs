//! What the files of a rotating capture are called.
//!
//! `trace.pcapng` becomes `trace.00001.pcapng`, `trace.00002.pcapng` and so on, which sort by name
//! as they came. A name with a `%` is one of strftime(3), as with `tcpdump -G`; it has a number
//! too where several files may begin within what it tells apart.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

/// The fewest digits of a number: enough for ten weeks of minutes to sort.
const DIGITS: usize = 5;
/// The most that a number has, of ten million files: eight are a date in somebody else's name.
const DIGITS_MAX: usize = 7;
/// Endings that say how a file is packed, before which the one that says what it is comes.
const PACKED: [&[u8]; 2] = [b".zst", b".gz"];

/// A name with a `%` that strftime(3) wouldn't know either.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` can't be made a file name: {reason}")]
pub struct BadName {
    name: String,
    reason: String,
}

/// Makes the names, one after the other.
#[derive(Clone, Debug)]
pub struct Names {
    scheme: Scheme,
    /// The number of the next file.
    next: u64,
}

#[derive(Clone, Debug)]
enum Scheme {
    Numbered(Parts),
    Timed {
        format: String,
        zone: TimeZone,
        /// Whether each has a number, or only one whose time is that of the file before it.
        numbered: bool,
        last: Option<(PathBuf, u64)>,
    },
}

/// A path taken apart where the number goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) folder: PathBuf,
    stem: Vec<u8>,
    /// With its dot.
    ending: Vec<u8>,
}

impl Names {
    /// For a capture that is written to `path`. `by_size`: files may begin at any time, so that
    /// times alone don't tell them apart.
    ///
    /// # Errors
    ///
    /// [`BadName`], for a `%` that means nothing.
    pub fn new(path: &Path, by_size: bool, zone: TimeZone) -> Result<Self, BadName> {
        let scheme = if path.as_os_str().as_bytes().contains(&b'%') {
            let bad = |reason: &str| BadName {
                name: path.display().to_string(),
                reason: reason.to_owned(),
            };
            let format = path
                .to_str()
                .ok_or_else(|| bad("with a % it must be UTF-8"))?
                .to_owned();
            let now = Timestamp::now().to_zoned(zone.clone());
            strtime::format(&format, &now).map_err(|error| bad(&error.to_string()))?;
            Scheme::Timed {
                format,
                zone,
                numbered: by_size,
                last: None,
            }
        } else {
            Scheme::Numbered(Parts::of(path))
        };
        Ok(Self { scheme, next: 1 })
    }

    /// Whether files that are numbered by this path may come to have that one, both names in one folder.
    #[must_use]
    pub fn may_number(path: &Path, other: &Path) -> bool {
        let name = other.file_name();
        name.is_some_and(|name| Parts::of(path).number(name).is_some())
    }

    /// The next file's, which begins then: nanoseconds since the Unix epoch.
    pub fn next(&mut self, time: u64) -> PathBuf {
        let number = self.next;
        self.next += 1;
        match &mut self.scheme {
            Scheme::Numbered(parts) => parts.numbered(b'.', number),
            Scheme::Timed {
                format,
                zone,
                numbered,
                last,
            } => {
                let path = PathBuf::from(formatted(format, zone, time));
                if *numbered {
                    return Parts::of(&path).numbered(b'.', number);
                }
                match last {
                    Some((name, count)) if *name == path => {
                        *count += 1;
                        // `_` sorts behind the dot of the first one.
                        Parts::of(&path).numbered(b'_', *count)
                    }
                    _ => {
                        *last = Some((path.clone(), 1));
                        path
                    }
                }
            }
        }
    }

    /// What earlier captures of the same name left, where names have nothing but a number.
    pub(super) fn parts(&self) -> Option<&Parts> {
        match &self.scheme {
            Scheme::Numbered(parts) => Some(parts),
            Scheme::Timed { .. } => None,
        }
    }

    /// Goes on behind that number.
    pub(super) fn skip_to(&mut self, last: u64) {
        self.next = last.saturating_add(1);
    }
}

fn formatted(format: &str, zone: &TimeZone, time: u64) -> String {
    let timestamp = i128::from(time);
    let when = Timestamp::from_nanosecond(timestamp).unwrap_or_default();
    // It was tried when the capture began.
    strtime::format(format, &when.to_zoned(zone.clone())).unwrap_or_else(|_| format.to_owned())
}

impl Parts {
    fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let packed = PACKED
            .iter()
            .find(|ending| name.ends_with(ending))
            .map_or(0, |ending| ending.len());
        let plain = &name[..name.len() - packed];
        // A dot in front is part of the name, not the beginning of an ending.
        let dot = plain
            .iter()
            .rposition(|byte| *byte == b'.')
            .filter(|at| *at > 0);
        let (stem, ending) = name.split_at(dot.unwrap_or(plain.len()));
        Self {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            stem: stem.to_vec(),
            ending: ending.to_vec(),
        }
    }

    fn numbered(&self, mark: u8, number: u64) -> PathBuf {
        let mut name = self.stem.clone();
        name.push(mark);
        name.extend_from_slice(format!("{number:0DIGITS$}").as_bytes());
        name.extend_from_slice(&self.ending);
        self.folder.join(OsString::from_vec(name))
    }

    /// The number in a name of this scheme.
    pub(super) fn number(&self, name: &OsStr) -> Option<u64> {
        let digits = name
            .as_bytes()
            .strip_prefix(&self.stem[..])?
            .strip_prefix(b".")?
            .strip_suffix(&self.ending[..])?;
        let padded = digits.len() > DIGITS && digits.starts_with(b"0");
        if !(DIGITS..=DIGITS_MAX).contains(&digits.len()) || padded {
            return None;
        }
        let all_are = digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits)
            .ok()
            .filter(|_| all_are)?
            .parse()
            .ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use super::*;

    /// 2026-11-22 01:02:03 UTC.
    const TIME: u64 = 1_795_309_323_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    fn names(path: &str, by_size: bool) -> Names {
        Names::new(Path::new(path), by_size, TimeZone::UTC).unwrap()
    }

    fn first_two(path: &str, by_size: bool, apart: u64) -> [String; 2] {
        let mut names = names(path, by_size);
        [TIME, TIME + apart].map(|time| names.next(time).into_os_string().into_string().unwrap())
    }

    #[test]
    fn the_number_comes_before_the_ending() {
        for (path, expected) in [
            ("trace.pcapng", "trace.00001.pcapng"),
            ("/var/x.y/trace", "/var/x.y/trace.00001"),
            ("a.b.pcapng.zst", "a.b.00001.pcapng.zst"),
            ("a.gz", "a.00001.gz"),
            (".hidden", ".hidden.00001"),
        ] {
            assert_eq!(first_two(path, false, 0)[0], expected);
        }
    }

    #[test]
    fn names_sort_as_the_files_came() {
        let mut names = names("x.pcapng", true);
        let all: Vec<_> = (0..1_000).map(|_| names.next(TIME)).collect();
        assert!(all.is_sorted());
    }

    #[test]
    fn a_percent_sign_stands_for_a_part_of_the_time() {
        assert_eq!(
            first_two("x-%Y%m%d-%H%M%S.pcapng", false, SECOND),
            ["x-20261122-010203.pcapng", "x-20261122-010204.pcapng"]
        );
    }

    #[test]
    fn files_within_one_name_s_time_are_told_apart_and_sort() {
        let names = first_two("x-%H.pcapng", false, SECOND);
        assert_eq!(names, ["x-01.pcapng", "x-01_00002.pcapng"]);
        assert!(names.is_sorted());
        let names = first_two("x-%H.pcapng", true, SECOND);
        assert_eq!(names, ["x-01.00001.pcapng", "x-01.00002.pcapng"]);
    }

    #[test]
    fn a_percent_sign_that_means_nothing_is_refused() {
        let error = Names::new(Path::new("x-%!.pcapng"), false, TimeZone::UTC).unwrap_err();
        assert!(error.to_string().contains("x-%!.pcapng"), "{error}");
    }

    #[test]
    fn only_names_of_the_scheme_have_a_number() {
        let parts = Parts::of(Path::new("/tmp/x.pcapng"));
        for (name, number) in [
            ("x.00007.pcapng", Some(7)),
            ("x.123456.pcapng", Some(123_456)),
            ("x.001234.pcapng", None),
            // A day.
            ("x.20261127.pcapng", None),
            ("x.7.pcapng", None),
            ("x.0000a.pcapng", None),
            ("x.00007.pcapng.zst", None),
            ("y.00007.pcapng", None),
            ("x.pcapng", None),
            ("x.99999999999999999999999.pcapng", None),
        ] {
            assert_eq!(parts.number(OsStr::new(name)), number, "{name}");
            let other = Path::new("elsewhere").join(name);
            assert_eq!(
                Names::may_number(Path::new("/tmp/x.pcapng"), &other),
                number.is_some()
            );
        }
    }
}
