//! Which files go when there are too many, or when they are too long together.

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

/// What there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// So many files; `None` for any number.
    pub files: Option<usize>,
    /// So many bytes of all files together, as they are on the disk.
    pub bytes: Option<Total>,
}

/// A bound of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// What all files together never exceed.
    pub all: u64,
    /// What one file never exceeds, unless packing makes it longer.
    pub each: u64,
}

/// The files that are there, the oldest first.
#[derive(Debug, Default)]
pub struct Retention {
    bounds: Bounds,
    kept: VecDeque<Kept>,
}

impl Retention {
    /// Keeps what is within the bounds.
    #[must_use]
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            kept: VecDeque::new(),
        }
    }

    /// One more file is there, younger than all others.
    pub fn add(&mut self, path: &Path) {
        if self.bounds == Bounds::default() {
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

    /// Removes the oldest files, so that there is a place for one more, however long that becomes.
    /// Returns what could not be removed, and why.
    pub fn make_room(&mut self) -> Vec<(PathBuf, Errno)> {
        let too_many = match self.bounds.files {
            Some(most) => (self.kept.len() + 1).saturating_sub(most),
            None => 0,
        };
        let room = self
            .bounds
            .bytes
            .map(|total| total.all.saturating_sub(total.each));
        self.remove(too_many.max(self.too_long(room)))
    }

    /// The same where the youngest file, which is being written, is longer than one should be.
    pub fn make_fit(&mut self) -> Vec<(PathBuf, Errno)> {
        let (Some(total), Some(youngest)) = (self.bounds.bytes, self.kept.back()) else {
            return Vec::new();
        };
        if length(youngest) <= total.each {
            return Vec::new();
        }
        let others = self.kept.len() - 1;
        self.remove(self.too_long(Some(total.all)).min(others))
    }

    /// How many of the oldest must go so that the others have no more than so many bytes.
    fn too_long(&self, room: Option<u64>) -> usize {
        let Some(room) = room else { return 0 };
        let mut sum: u64 = 0;
        let fit = self.kept.iter().rev().take_while(|kept| {
            sum = sum.saturating_add(length(kept));
            sum <= room
        });
        self.kept.len() - fit.count()
    }

    fn remove(&mut self, count: usize) -> Vec<(PathBuf, Errno)> {
        let mut complaints = Vec::new();
        for _ in 0..count {
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

/// A file's bytes on the disk; none if it isn't there any more.
fn length(kept: &Kept) -> u64 {
    match rustix::fs::lstat(&kept.path) {
        Ok(stat) if (stat.st_dev, stat.st_ino) == kept.identity => {
            u64::try_from(stat.st_size).unwrap_or(0)
        }
        _ => 0,
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
        let mut retention = Retention::new(Bounds {
            files: most,
            bytes: None,
        });
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

    /// A folder in which files of these lengths were written in turn, of which all are to have 100
    /// bytes together and each is to have 40.
    fn of_lengths(lengths: &[usize]) -> (TempDir, Retention) {
        let folder = tempfile::tempdir().unwrap();
        let total = Total { all: 100, each: 40 };
        let mut retention = Retention::new(Bounds {
            files: None,
            bytes: Some(total),
        });
        for (n, length) in lengths.iter().enumerate() {
            let path = folder.path().join(n.to_string());
            assert!(retention.make_room().is_empty());
            let room: u64 = retention.kept.iter().map(length_of).sum();
            assert!(room + total.each <= total.all);
            fs::write(&path, "").unwrap();
            retention.add(&path);
            fs::write(&path, vec![b' '; *length]).unwrap();
        }
        (folder, retention)
    }

    fn length_of(kept: &Kept) -> u64 {
        fs::metadata(&kept.path).unwrap().len()
    }

    #[test]
    fn as_many_stay_as_leave_room_for_a_whole_one() {
        assert_eq!(left(&of_lengths(&[40, 40, 40, 40]).0), ["2", "3"]);
        assert_eq!(
            left(&of_lengths(&[20, 20, 20, 20, 20]).0),
            ["1", "2", "3", "4"]
        );
        assert_eq!(left(&of_lengths(&[5, 40, 20, 40]).0), ["1", "2", "3"]);
        // One from an earlier capture that is longer than all may be.
        assert_eq!(left(&of_lengths(&[500, 40]).0), ["1"]);
    }

    #[test]
    fn a_file_that_becomes_too_long_takes_the_place_of_the_oldest() {
        let (folder, mut retention) = of_lengths(&[20, 20, 20, 40]);
        assert!(retention.make_fit().is_empty());
        assert_eq!(left(&folder), ["0", "1", "2", "3"]);
        for (length, stay) in [(45, &["1", "2", "3"][..]), (70, &["2", "3"]), (500, &["3"])] {
            fs::write(folder.path().join("3"), vec![b' '; length]).unwrap();
            assert!(retention.make_fit().is_empty());
            assert_eq!(left(&folder), stay);
        }
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
