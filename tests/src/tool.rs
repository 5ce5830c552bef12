//! The programs that the lab needs, and the packages they come in.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Each program with the Debian package that installs it.
const PACKAGES: &[(&str, &str)] = &[
    ("bpftool", "bpftool"),
    ("bridge", "iproute2"),
    ("busybox", "busybox-static"),
    ("capinfos", "wireshark-common"),
    ("cat", "coreutils"),
    ("chmod", "coreutils"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("curl", "curl"),
    ("docker", "docker.io"),
    ("dockerd", "docker.io"),
    ("ethtool", "ethtool"),
    ("gzip", "gzip"),
    ("ip", "iproute2"),
    ("ip6tables-legacy", "iptables"),
    ("iptables-legacy", "iptables"),
    ("ipvsadm", "ipvsadm"),
    ("mkdir", "coreutils"),
    ("mkfifo", "coreutils"),
    ("modprobe", "kmod"),
    ("mount", "mount"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("ping", "iputils-ping"),
    ("podman", "podman"),
    ("script", "bsdutils"),
    ("setpriv", "util-linux"),
    ("sh", "dash"),
    ("sha256sum", "coreutils"),
    ("ss", "iproute2"),
    ("stat", "coreutils"),
    ("strace", "strace"),
    ("tar", "tar"),
    ("taskset", "util-linux"),
    ("tc", "iproute2"),
    ("tcpdump", "tcpdump"),
    ("tcpreplay", "tcpreplay"),
    ("touch", "coreutils"),
    ("tshark", "tshark"),
    ("umount", "mount"),
    ("unshare", "util-linux"),
    ("zstd", "zstd"),
];

/// Where `name` is installed.
///
/// # Panics
///
/// When it isn't, with the package to install. A test that can't run has failed.
#[must_use]
#[track_caller]
pub fn path(name: &str) -> PathBuf {
    if name.contains('/') {
        return PathBuf::from(name);
    }
    find(name).unwrap_or_else(|| match package(name) {
        Some(package) => panic!("{name} is missing: apt-get install {package}"),
        None => panic!("{name} is missing, and the lab doesn't know which package has it"),
    })
}

/// Whether `name` is installed: for what a test can do without.
#[must_use]
pub fn is_here(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    // An ordinary user's PATH often lacks the two where half of these are.
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|folder| Path::new(folder).join(name))
        .find(|candidate| candidate.is_file())
}

fn package(name: &str) -> Option<&'static str> {
    PACKAGES
        .iter()
        .find(|(program, _)| *program == name)
        .map(|(_, package)| *package)
}

/// Runs the command to its end and returns what it put out.
///
/// # Panics
///
/// When it can't be started, or ends otherwise than with success.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?} can't be started: {error}"),
    };
    must_succeed(command, output)
}

/// What the command put out, if it ended with success.
///
/// # Panics
///
/// If it didn't.
#[track_caller]
pub fn must_succeed(command: &Command, output: Output) -> Output {
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}
