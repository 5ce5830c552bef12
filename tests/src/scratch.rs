//! A folder for a test's files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder that goes, with all that is in it, when the value does.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// An empty folder.
    ///
    /// # Panics
    ///
    /// When none can be made.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        match TempDir::with_prefix("lab-") {
            Ok(folder) => Self { folder },
            Err(error) => panic!("no folder for scratch files can be made: {error}"),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a file of this name in it is called.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Default for Scratch {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}
