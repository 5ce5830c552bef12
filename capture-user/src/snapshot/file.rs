//! The file that both snapshots come into.
//!
//! It is whole at every moment: written beside, and then put in its place. From when the capture
//! has begun it holds the state before; a capture that is killed leaves that.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::difference::Difference;
use super::{SCHEMA, Snapshot};
use crate::error::Error;

/// What the file holds.
#[derive(Serialize)]
struct Contents<'a> {
    schema: u32,
    nodecap: &'static str,
    host: String,
    before: &'a Snapshot,
    after: Option<&'a Snapshot>,
    difference: Option<Difference>,
}

/// A file that is to hold snapshots.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    /// Written beside it, until it takes its place.
    beside: Option<(PathBuf, File)>,
    /// What is in its place now, of ours.
    placed: Option<File>,
}

impl SnapshotFile {
    /// Makes sure that it can be written, and leaves what is there as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Failure`] where it can't, or where something is there that isn't a file: a link
    /// isn't followed.
    pub fn reserve(path: &Path) -> Result<Self, Error> {
        let mut file = Self {
            path: path.to_owned(),
            beside: None,
            placed: None,
        };
        if path.file_name().is_none() || file.is_another_thing() {
            return Err(Error::failure(format!(
                "--snapshot {}: this is no ordinary file, and links aren't followed: name another",
                path.display()
            )));
        }
        let made = file.make_beside();
        file.beside = Some(made.map_err(|error| file.failure(&error))?);
        Ok(file)
    }

    /// Writes the state before a capture.
    ///
    /// # Errors
    ///
    /// [`Error::Failure`] when it can't be written.
    pub fn begin(&mut self, before: &Snapshot) -> Result<(), Error> {
        self.write(before, None)
    }

    /// Writes the state before and after a capture, and the difference.
    ///
    /// # Errors
    ///
    /// As [`SnapshotFile::begin`].
    pub fn finish(mut self, before: &Snapshot, after: &Snapshot) -> Result<(), Error> {
        self.write(before, Some(after))
    }

    fn write(&mut self, before: &Snapshot, after: Option<&Snapshot>) -> Result<(), Error> {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let contents = Contents {
            schema: SCHEMA,
            nodecap: env!("CARGO_PKG_VERSION"),
            host,
            before,
            after,
            difference: after.map(|after| Difference::between(before, after)),
        };
        let mut bytes = serde_json::to_vec_pretty(&contents)
            .map_err(|error| self.failure(&io::Error::from(error)))?;
        bytes.push(b'\n');
        match (self.put(&bytes), &mut self.placed) {
            // Another user since then (`-Z`), who may put no file there: over what is ours.
            (Err(error), Some(placed)) if error.kind() == io::ErrorKind::PermissionDenied => placed
                .rewind()
                .and_then(|()| placed.set_len(0))
                .and_then(|()| placed.write_all(&bytes))
                .and_then(|()| placed.sync_all()),
            (put, _) => put,
        }
        .map_err(|error| self.failure(&error))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (beside, mut file) = match self.beside.take() {
            Some(made) => made,
            None => self.make_beside()?,
        };
        let put = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            // It may have become another thing while the capture ran.
            .and_then(|()| match self.is_another_thing() {
                true => Err(io::Error::other("something else has taken its place")),
                false => fs::rename(&beside, &self.path),
            });
        match put {
            Ok(()) => self.placed = Some(file),
            // Whether or not it is still there.
            Err(_) => drop(fs::remove_file(&beside)),
        }
        put
    }

    /// What would be replaced must be a file: a device, or what a link leads to, is somebody's.
    fn is_another_thing(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|there| !there.is_file())
    }

    fn make_beside(&self) -> io::Result<(PathBuf, File)> {
        let mut beside = OsString::from(".");
        beside.push(self.path.file_name().unwrap_or_default());
        beside.push(format!(".{}", std::process::id()));
        let beside = self.path.with_file_name(beside);
        // `create_new`: neither a file that is there nor a link is taken.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        Ok((beside, file))
    }

    fn failure(&self, error: &io::Error) -> Error {
        Error::failure(format!(
            "--snapshot {}: can't be written: {error}; name a file in a folder that takes one",
            self.path.display()
        ))
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.beside {
            // Nobody is left to tell.
            let _ = fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn nothing() -> Snapshot {
        Snapshot {
            time: "2026-11-21T00:00:00Z".to_owned(),
            namespaces: Vec::new(),
        }
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_is_whole_at_every_moment_and_nobody_else_s() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        fs::write(&path, "before").expect("a file");
        let mut file = SnapshotFile::reserve(&path).expect("a file");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "before");
        file.begin(&nothing()).expect("written");
        let read = || -> serde_json::Value {
            serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON")
        };
        assert!(read()["after"].is_null() && read()["difference"].is_null());
        assert_eq!(read()["schema"], 1);
        file.finish(&nothing(), &nothing()).expect("written");
        assert_eq!(read()["difference"]["changes"], serde_json::json!([]));
        let mode = fs::metadata(&path).expect("a file").mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(files(folder.path()), ["state.json"]);
    }

    #[test]
    fn a_capture_that_does_not_begin_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(SnapshotFile::reserve(&folder.path().join("x")).expect("a file"));
        assert!(files(folder.path()).is_empty());
    }

    #[test]
    fn links_devices_and_folders_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "mine").expect("a file");
        symlink(&target, &link).expect("a link");
        for path in [link.as_path(), folder.path(), Path::new("/dev/null")] {
            let error = SnapshotFile::reserve(path).expect_err("refused");
            assert!(error.to_string().contains("no ordinary file"), "{error}");
        }
        let nowhere = folder.path().join("no/such/folder");
        assert!(SnapshotFile::reserve(&nowhere).is_err());
        assert!(SnapshotFile::reserve(Path::new("/")).is_err());
        assert_eq!(fs::read_to_string(&target).expect("a file"), "mine");
    }
}
