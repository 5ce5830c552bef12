//! What a test needs of the kernel or the machine, and how it says that it is missing.
//!
//! A test that can't run here must not look like one that passed. It starts with
//! [`need!`](crate::need), which says on standard output, past libtest's capture, what is missing:
//! `skipped: TEST: ABILITY: WHY`. `cargo xtask test` and `cargo xtask vm` count such a test as
//! skipped.
//!
//! Abilities are asked of `nodecap doctor --json`, which tries each of them out: so a test is
//! skipped only where users are told the same. Those that no capture needs are tried out here.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Command;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::namespace::Namespace;
use crate::{nodecap, tool};

/// Whether this is a guest of `cargo xtask vm`: emulated, slow, and with few tools.
#[must_use]
pub fn is_guest() -> bool {
    std::env::var_os("NODECAP_GUEST").is_some()
}

/// One line of the doctor's table, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Line {
    name: String,
    available: bool,
    why: String,
}

/// The doctor's abilities by name: why it is missing, or nothing.
fn doctor() -> &'static BTreeMap<String, Option<String>> {
    static TABLE: OnceLock<BTreeMap<String, Option<String>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let binary = nodecap::binary();
        // Its status tells whether a capture is possible at all; the table comes either way.
        let said = match Command::new(&binary).args(["doctor", "--json"]).output() {
            Ok(output) => output.stdout,
            Err(error) => panic!("{} doctor can't be started: {error}", binary.display()),
        };
        let lines: Vec<Line> = match serde_json::from_slice(&said) {
            Ok(lines) => lines,
            Err(error) => panic!(
                "what the doctor says can't be read: {error}\n{}",
                String::from_utf8_lossy(&said)
            ),
        };
        lines
            .into_iter()
            .map(|line| (line.name, (!line.available).then_some(line.why)))
            .collect()
    })
}

/// The abilities that the doctor tells of.
pub fn names() -> impl Iterator<Item = &'static str> {
    doctor().keys().map(String::as_str)
}

/// Why this ability is missing here, or nothing if it is there: one of the doctor's, or `ipvs`,
/// `iptables-legacy`, `ext4 in a file`, `link KIND` for interfaces that sit on another one,
/// `program NAME`, `kernel A.B` for what only the version tells, `guest` for a machine of `cargo
/// xtask vm`, whose kernel's history is known.
///
/// # Panics
///
/// When nobody knows of an ability of that name.
#[must_use]
#[track_caller]
pub fn missing(ability: &str) -> Option<String> {
    if let Some(program) = ability.strip_prefix("program ") {
        return (!tool::is_here(program)).then(|| "it isn't installed here".to_owned());
    }
    if let Some(oldest) = ability.strip_prefix("kernel ") {
        return older_than(oldest);
    }
    if let Some(kind) = ability.strip_prefix("link ") {
        return link_missing(kind);
    }
    if ability == "ipvs" {
        return ipvs_missing();
    }
    if ability == "iptables-legacy" {
        return iptables_legacy_missing();
    }
    if ability == "ext4 in a file" {
        return ext4_missing();
    }
    if ability == "guest" {
        return (!is_guest()).then(|| "this is no guest of `cargo xtask vm`".to_owned());
    }
    match doctor().get(ability) {
        Some(why) => why.clone(),
        None => panic!("the doctor knows no ability `{ability}`"),
    }
}

/// A file system with a journal that can be made in a file, and mounted.
fn ext4_missing() -> Option<String> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.lines().any(|line| line.trim() == "ext4") {
        return Some("this kernel has no ext4".to_owned());
    }
    if !std::path::Path::new("/dev/loop-control").exists() {
        return Some("this kernel has no loop devices".to_owned());
    }
    missing("program mkfs.ext4")
}

/// Why this kernel won't do where one of this version is the oldest that will.
#[track_caller]
fn older_than(oldest: &str) -> Option<String> {
    let release = match std::fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(release) => release,
        Err(error) => panic!("the kernel doesn't tell its version: {error}"),
    };
    let release = release.trim();
    (numbers(release) < numbers(oldest)).then(|| format!("this is Linux {release}"))
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .take(2)
        .collect()
}

/// The load balancer of the kernel's own: built in, or a module that this kernel loads.
fn ipvs_missing() -> Option<String> {
    // Asking for the table makes the kernel load the module.
    drop(
        Command::new(tool::path("sh"))
            .args(["-c", "modprobe ip_vs"])
            .output(),
    );
    (!std::path::Path::new("/proc/net/ip_vs").exists())
        .then(|| "this kernel has no IPVS".to_owned())
}

/// A kind of interface that sits on another one, as `ip link add … type KIND` knows it.
#[track_caller]
fn link_missing(kind: &str) -> Option<String> {
    let namespace = Namespace::silent();
    namespace.ip("link add below type veth peer name beyond");
    let mut command = namespace.command("ip");
    command.args([
        "link", "add", "link", "below", "name", "above", "type", kind,
    ]);
    refusal(&mut command)
}

/// The firewall of old: its program, and its tables in the kernel.
#[track_caller]
fn iptables_legacy_missing() -> Option<String> {
    if !tool::is_here("iptables-legacy") {
        return Some("the program isn't installed here".to_owned());
    }
    refusal(Namespace::silent().command("iptables-legacy").arg("-nL"))
}

/// The last of what a program says when it fails.
#[track_caller]
fn refusal(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Some(said.lines().last().unwrap_or("it fails").to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Whether all of these are there; says which one isn't. Use [`need!`](crate::need).
#[doc(hidden)]
#[must_use]
#[track_caller]
pub fn all_there(abilities: &[&str]) -> bool {
    let Some((ability, why)) = abilities
        .iter()
        .find_map(|ability| Some((ability, missing(ability)?)))
    else {
        return true;
    };
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // In one write and with a line of its own: other tests print at the same time, and libtest
    // may have begun a line.
    let line = format!("\nskipped: {name}: {ability}: {why}\n");
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout
        .write_all(line.as_bytes())
        .and_then(|()| stdout.flush())
    {
        panic!("nobody hears that {name} was skipped: {error}");
    }
    false
}

/// Ends the test here, saying so, unless this kernel and machine have all these abilities: names
/// of `nodecap doctor`'s table, or what [`missing`](crate::ability::missing) knows besides.
#[macro_export]
macro_rules! need {
    ($($ability:literal),+ $(,)?) => {
        if !$crate::ability::all_there(&[$($ability),+]) {
            return;
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(numbers("5.10.0-46-cloud-amd64") < numbers("5.11"));
        assert!(numbers("6.1.0-56-cloud-amd64") < numbers("6.12"));
        assert!(numbers("7.3.4+deb13-cloud-amd64") > numbers("6.18"));
    }

    #[test]
    fn this_kernel_is_older_than_one_of_the_far_future() {
        assert_eq!(missing("kernel 2.6"), None);
        let why = missing("kernel 999.0");
        assert!(why.is_some_and(|why| why.starts_with("this is Linux ")));
    }
}
