//! Where things are: in the workspace, and in the user's cache.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The workspace's top folder.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A folder or file below `target/`.
pub(crate) fn target(below: &str) -> PathBuf {
    root().join("target").join(below)
}

/// The binary that `build` makes.
pub(crate) fn nodecap() -> PathBuf {
    target("release/nodecap")
}

/// A path as a person in the current directory would write it.
pub(crate) fn short(path: &Path) -> String {
    env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Where this user keeps tools that take minutes to build, so that every clone finds them.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        // The specification says that a relative one must be ignored.
        .filter(|path| path.is_absolute())
        .or_else(|| Some(env::home_dir()?.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set: set one, tools are kept below it")?;
    Ok(base.join("nodecap"))
}
