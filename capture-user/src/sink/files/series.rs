//! A rotating capture's files, with those that earlier captures of the same name left.

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
                retention.add(path);
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
}
