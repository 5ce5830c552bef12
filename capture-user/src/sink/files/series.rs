//! A rotating capture's files, with those that earlier captures of the same name left.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::names::Names;
use super::retention::{Bounds, Retention};

/// Names files and removes old ones.
#[derive(Debug)]
pub struct Series {
    names: Names,
    retention: Retention,
}

impl Series {
    /// Looks for what an earlier capture of the same name left: numbers go on behind it, so that
    /// nothing is overwritten, and it counts within the bounds of what is kept. A service that
    /// is started again keeps what it had, and fills no disk.
    #[must_use]
    pub fn new(mut names: Names, bounds: Bounds) -> Self {
        let mut retention = Retention::new(bounds);
        if let Some(parts) = names.parts() {
            let folder = if parts.folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                &parts.folder
            };
            // A folder that can't be read has nothing to go on behind; opening a file says why.
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut earlier: Vec<_> = entries
                .filter_map(|entry| {
                    let name = entry.file_name();
                    Some((parts.number(&name)?, parts.folder.join(name)))
                })
                .collect();
            earlier.sort();
            for (_, path) in &earlier {
                if may_be_ours(path) {
                    retention.add(path);
                }
            }
            if let Some((last, _)) = earlier.last() {
                names.skip_to(*last);
            }
        }
        Self { names, retention }
    }

    /// The next file's path, which begins then: nanoseconds since the Unix epoch.
    pub fn next_path(&mut self, time: u64) -> PathBuf {
        self.names.next(time)
    }

    /// A file is there.
    pub fn began(&mut self, path: &Path) {
        self.retention.add(path);
    }

    /// Removes the oldest files, so that there is a place for one more. Returns what to tell.
    pub fn make_room(&mut self) -> Vec<String> {
        told(self.retention.make_room())
    }

    /// The same where the file that is being written becomes longer than one should.
    pub fn make_fit(&mut self) -> Vec<String> {
        told(self.retention.make_fit())
    }
}

/// Whether a file may be what a capture left, by how it begins: nothing else is ever removed, whatever it
/// is called. Empty is one that was killed at its beginning.
fn may_be_ours(path: &Path) -> bool {
    /// A pcapng's section header (RFC draft-ietf-opsawg-pcapng, 4.1), a Zstandard frame (RFC 8878, 3.1.1), a
    /// gzip member (RFC 1952, 2.3.1).
    const BEGINNINGS: [&[u8]; 3] = [
        &[0x0a, 0x0d, 0x0d, 0x0a],
        &[0x28, 0xb5, 0x2f, 0xfd],
        &[0x1f, 0x8b],
    ];
    // A FIFO would wait for a writer.
    if !path.symlink_metadata().is_ok_and(|it| it.is_file()) {
        return false;
    }
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut beginning));
    read.is_ok() && (beginning.is_empty() || BEGINNINGS.iter().any(|it| beginning.starts_with(it)))
}

/// What couldn't be removed, for the user.
fn told(complaints: Vec<(PathBuf, Errno)>) -> Vec<String> {
    complaints
        .into_iter()
        .map(|(path, errno)| {
            let reason = std::io::Error::from(errno);
            format!("can't remove {}: {reason}", path.display())
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_capture_goes_on_behind_the_files_of_the_one_before_and_keeps_as_many_in_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [
            "x.00001.pcapng",
            "x.00004.pcapng",
            "x.00003.pcapng",
            "x.pcapng",
        ] {
            std::fs::write(path(name), "").unwrap();
        }
        let names = Names::new(&path("x.pcapng"), true, TimeZone::UTC).unwrap();
        let mut series = Series::new(
            names,
            Bounds {
                files: Some(2),
                bytes: None,
            },
        );
        assert_eq!(series.make_room(), [""; 0]);
        assert_eq!(series.next_path(0), path("x.00005.pcapng"));
        assert!(!path("x.00001.pcapng").exists() && !path("x.00003.pcapng").exists());
        assert!(path("x.00004.pcapng").exists() && path("x.pcapng").exists());
    }

    #[test]
    fn what_no_capture_wrote_is_not_removed_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files: [(&str, &[u8], bool); 5] = [
            ("x.00001.pcapng", b"\x0a\x0d\x0d\x0a and so on", false),
            ("x.00002.pcapng", b"a letter", true),
            ("x.00003.pcapng", b"\x28\xb5\x2f\xfd packed", false),
            ("x.00004.pcapng", b"\xd4\xc3\xb2\xa1 of tcpdump", true),
            ("x.20261127.pcapng", b"\x0a\x0d\x0d\x0a of a day", true),
        ];
        for (name, bytes, _) in files {
            std::fs::write(path(name), bytes).unwrap();
        }
        let names = Names::new(&path("x.pcapng"), true, TimeZone::UTC).unwrap();
        let bounds = Bounds {
            files: Some(1),
            bytes: None,
        };
        let mut series = Series::new(names, bounds);
        assert_eq!(series.make_room(), [""; 0]);
        // Nothing is overwritten either.
        assert_eq!(series.next_path(0), path("x.00005.pcapng"));
        for (name, _, stays) in files {
            assert_eq!(path(name).exists(), stays, "{name}");
        }
    }
}
