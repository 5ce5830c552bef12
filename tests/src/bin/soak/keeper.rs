//! Whoever ends the soak early (Ctrl-C, TERM, a kill) shall find nothing left behind either: a process of its
//! own waits for the end, whatever that is, and removes the control groups and the folders that are left.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lab::tool;

/// Reads until there is nobody any more who could write. What is in a group ends with the soak, but that may
/// take a moment; and a group is removed only once it is empty.
const KEEP: &str = r#"
trap '' INT TERM HUP
cat
groups=$1; shift
rm -rf -- "$@"
for n in $(seq 200); do
    left=
    for group in $groups; do
        [ ! -d "$group" ] || rmdir "$group" || left=yes
    done
    [ "$left" ] || exit 0
    sleep 0.1
done"#;

/// The process. Its standard input ends with the value, or with this process.
pub(crate) struct Keeper {
    _process: Child,
}

impl Keeper {
    /// Keeps watch over control groups, which needn't be there, and folders.
    pub(crate) fn of(groups: &[PathBuf], folders: &[&Path]) -> io::Result<Self> {
        let groups: Vec<_> = groups.iter().map(|it| it.to_string_lossy()).collect();
        let process = Command::new(tool::path("sh"))
            .args(["-c", KEEP, "keeper", &groups.join(" ")])
            .args(folders)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for those in the foreground.
            .process_group(0)
            .spawn()?;
        Ok(Self { _process: process })
    }
}
