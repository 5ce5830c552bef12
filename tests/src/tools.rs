//! Other people's readers of capture files. They must read what nodecap wrote and have nothing to
//! say about it.

use std::path::Path;
use std::process::Command;

use crate::{ability, tool};

/// What they say on standard error about any file.
const HARMLESS: [&str; 2] = [
    "reading from file ",
    "Running as user \"root\" and group \"root\".",
];

/// What capinfos says about the file.
///
/// # Panics
///
/// When it fails or complains.
#[track_caller]
pub fn capinfos(file: &Path) -> String {
    read(Command::new(tool::path("capinfos")).arg("-M").arg(file))
}

/// One line a packet of the file from tshark, with names left unresolved and these arguments.
///
/// # Panics
///
/// When it fails or complains.
#[track_caller]
pub fn tshark(file: &Path, arguments: &[&str]) -> String {
    read(
        Command::new(tool::path("tshark"))
            .arg("-n")
            .args(arguments)
            .arg("-r")
            .arg(file),
    )
}

/// One line a packet of the file from `tcpdump -r`, with names left unresolved.
///
/// # Panics
///
/// When it fails or complains.
#[track_caller]
pub fn tcpdump_read(file: &Path) -> String {
    read(
        Command::new(tool::path("tcpdump"))
            .args(["-n", "-Z", "root", "-r"])
            .arg(file),
    )
}

/// Has all three read the file, of which a guest has no tshark: it is too large, and what is in a
/// file is no matter of the kernel.
///
/// # Panics
///
/// When one of them fails or complains.
#[track_caller]
pub fn assert_readable(file: &Path) {
    capinfos(file);
    if !ability::is_guest() {
        tshark(file, &[]);
    }
    tcpdump_read(file);
}

#[track_caller]
fn read(command: &mut Command) -> String {
    let output = tool::run(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.is_empty() && !HARMLESS.iter().any(|start| line.starts_with(start)))
        .collect();
    assert!(
        complaints.is_empty(),
        "{command:?} complains: {complaints:#?}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
