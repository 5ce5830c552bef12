//! Which files go when there are too many.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

/// A file that may be removed, by its name and by what it is: the name may be another's by then.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    path: PathBuf,
    identity: (u64, u64),
}

/// The files that are there, the oldest first.
#[derive(Debug, Default)]
pub struct Retention {
    /// How many there may be; `None` for any number.
    most: Option<usize>,
    kept: VecDeque<Kept>,
}

impl Retention {
    /// Keeps `most` files.
    #[must_use]
    pub const fn new(most: Option<usize>) -> Self {
        Self {
            most,
            kept: VecDeque::new(),
        }
    }

    /// One more file is there, younger than all others.
    pub fn add(&mut self, path: &Path) {
        if self.most.is_none() {
            // Nobody asks for them, and over weeks there are many.
            return;
        }
        self.kept.retain(|kept| kept.path != path);
        if let Some(identity) = identity(path) {
            self.kept.push_back(Kept {
                path: path.to_owned(),
                identity,
            });
        }
    }

    /// Removes the oldest files, so that there is a place for one more. Returns what could not be
    /// removed, and why.
    pub fn make_room(&mut self) -> Vec<(PathBuf, Errno)> {
        let Some(most) = self.most else {
            return Vec::new();
        };
        let mut complaints = Vec::new();
        while self.kept.len() >= most {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            if identity(&oldest.path) != Some(oldest.identity) {
                // Somebody has taken it away, or put another in its place.
                continue;
            }
            if let Err(errno) = rustix::fs::unlink(&oldest.path) {
                complaints.push((oldest.path, errno));
            }
        }
        complaints
    }
}

/// Which regular file that is.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::lstat(path).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
        .then_some((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A folder in which files 0, 1, 2 were written in turn, and `most` kept.
    fn three(most: Option<usize>) -> (TempDir, Retention) {
        let folder = tempfile::tempdir().unwrap();
        let mut retention = Retention::new(most);
        for n in 0..3 {
            let path = folder.path().join(n.to_string());
            assert!(retention.make_room().is_empty());
            fs::write(&path, "").unwrap();
            retention.add(&path);
        }
        (folder, retention)
    }

    fn left(folder: &TempDir) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_go_and_there_are_never_more_than_asked_for() {
        assert_eq!(left(&three(Some(1)).0), ["2"]);
        assert_eq!(left(&three(Some(2)).0), ["1", "2"]);
        assert_eq!(left(&three(None).0), ["0", "1", "2"]);
    }

    #[test]
    fn what_another_put_in_a_file_s_place_stays() {
        let (folder, mut retention) = three(Some(3));
        let other = folder.path().join("other");
        fs::write(&other, "somebody else's").unwrap();
        fs::rename(&other, folder.path().join("0")).unwrap();
        fs::remove_file(folder.path().join("1")).unwrap();
        assert!(retention.make_room().is_empty());
        assert_eq!(left(&folder), ["0", "2"]);
    }

    #[test]
    fn a_file_that_is_written_anew_is_the_youngest() {
        let (folder, mut retention) = three(Some(3));
        retention.add(&folder.path().join("0"));
        assert!(retention.make_room().is_empty());
        assert_eq!(left(&folder), ["0", "2"]);
    }
}
