//! Network namespaces by file and by name.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Ids, Place};
use crate::error::{Error, Result};
use crate::target::name::printable;

/// Where namespaces have names: `ip netns` keeps its own there (ip-netns(8)), CNI plug-ins too;
/// Docker has a folder of its own.
pub(crate) const FOLDERS: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// Finds a namespace by its path, which holds a slash, or by its name.
pub(super) async fn find(which: &str, ids: &mut Ids) -> Result<Place> {
    let paths = paths(which);
    let Some(path) = paths.first() else {
        return Err(Error::usage(format!(
            "--netns {}: no namespace has this name; {}",
            printable(which),
            candidates()
        )));
    };
    // Files that stand for one namespace are one.
    let distinct: BTreeSet<_> = paths.iter().filter_map(|path| inode(path)).collect();
    if distinct.len() > 1 {
        let paths = paths.iter().map(|path| path.display().to_string());
        return Err(Error::usage(format!(
            "--netns {}: that could be {}: give the path",
            printable(which),
            paths.collect::<Vec<_>>().join(", ")
        )));
    }
    let file = open(path).map_err(|error| refusal(which, &error))?;
    let netns = ids
        .of_file(&file)
        .await
        .map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => Error::usage(format!(
                "--netns {}: this file stands for no network namespace; {}",
                printable(which),
                candidates()
            )),
            _ => refusal(which, &error),
        })?;
    Ok(Place {
        netns,
        file: path.clone(),
        whose: format!("netns {}", printable(which)),
        container: None,
        process: None,
    })
}

/// The file that stands for a namespace; none for a name that isn't one.
pub(super) fn path(which: &str) -> Option<PathBuf> {
    paths(which).into_iter().next()
}

/// All files that may be meant: several where more than one folder has the name.
fn paths(which: &str) -> Vec<PathBuf> {
    if which.contains('/') {
        return vec![PathBuf::from(which)];
    }
    // `.` and `..` are folders, not namespaces.
    FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(which))
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir()))
        .collect()
}

/// What tells namespaces apart.
fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Opens it, without waiting for anything where it is a pipe, or a device after all.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

fn refusal(which: &str, error: &std::io::Error) -> Error {
    let which = printable(which);
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::usage(format!("--netns {which}: no such file; {}", candidates()))
        }
        std::io::ErrorKind::PermissionDenied => Error::failure(format!(
            "--netns {which}: {error}; run as root, or with CAP_SYS_PTRACE for another user's process"
        )),
        _ => Error::failure(format!(
            "--netns {which}: {error}; name another file that stands for it, as /proc/PID/ns/net"
        )),
    }
}

/// The names to choose from, in words.
fn candidates() -> String {
    let names = names();
    match names.is_empty() {
        true => "none has a name here: give a path, as /proc/PID/ns/net".into(),
        false => format!(
            "those with names are {}",
            names
                .iter()
                .map(|name| printable(name).to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

fn names() -> BTreeSet<String> {
    FOLDERS
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_makes_a_path_and_a_folder_is_no_name() {
        assert_eq!(path("/proc/1/ns/net"), Some("/proc/1/ns/net".into()));
        assert_eq!(path("./here"), Some("./here".into()));
        assert_eq!(path(".."), None);
        assert_eq!(path("nobody-has-this-name"), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let mut ids = Ids::open().expect("a socket");
            for (which, said) in [
                ("/nowhere/at/all", "no such file"),
                ("/dev/null", "no network namespace"),
                ("nobody-has-this-name", "no namespace has this name"),
                ("/proc/self/ns/mnt", "no network namespace"),
            ] {
                match find(which, &mut ids).await {
                    Err(Error::Usage(text)) => assert!(text.contains(said), "{text}"),
                    other => panic!("{which}: {other:?}"),
                }
            }
        });
    }
}
