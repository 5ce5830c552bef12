//! Whatever can't be done is said in one line, with the documented exit status, before anything is
//! attached and without a file left behind.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use attached::wait_until_nothing_is_attached;
use lab::nodecap::{self, Nodecap};
use lab::process::Finished;
use lab::scratch::Scratch;
use lab::tool;
use lab::topology::Wire;

/// Asserts that it refused with this status and one line in which each of these words stands.
#[track_caller]
fn assert_refused(what: &str, finished: &Finished, code: i32, words: &[&str]) {
    let stderr = &finished.stderr;
    assert_eq!(finished.code(), Some(code), "{what}\n{stderr}");
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(lines.len(), 1, "{what}: not one line\n{stderr}");
    for word in words {
        assert!(lines[0].contains(word), "{what}: no `{word}` in: {stderr}");
    }
    assert!(
        finished.stdout.is_empty(),
        "{what}: {}",
        finished.stdout_text()
    );
}

/// Runs a capture with these arguments and a file to write, and asserts that it refuses and leaves
/// no trace.
#[track_caller]
fn refuses(wire: &Wire, arguments: &[&str], code: i32, words: &[&str]) {
    let scratch = Scratch::new();
    let file = scratch.path("none.pcapng");
    let command = [&["capture"], arguments].concat();
    let finished = Nodecap::new(&wire.namespace, &command).write(&file).run();
    assert_refused(&format!("{arguments:?}"), &finished, code, words);
    assert!(!file.exists(), "{arguments:?} left a file behind");
    wait_until_nothing_is_attached(&wire.namespace);
}

#[test]
fn interfaces_that_cannot_be_captured_on() {
    let wire = Wire::new();
    wire.namespace
        .ip("link add resting type veth peer name idle");
    refuses(&wire, &["-i", "nonesuch"], 1, &["nonesuch"]);
    refuses(&wire, &["-i", "#4711"], 1, &["4711"]);
    refuses(
        &wire,
        &["-i", "resting"],
        1,
        &["resting", "down", "ip link set"],
    );
    refuses(&wire, &["-i", "none*such"], 1, &["none*such"]);
    // One that can be captured on doesn't make up for one that can't.
    refuses(
        &wire,
        &["-i", Wire::CATCHER, "-i", "nonesuch"],
        1,
        &["nonesuch"],
    );
    refuses(&wire, &["-i", "../../etc/passwd"], 1, &[]);
}

#[test]
fn option_values_that_make_no_sense() {
    let wire = Wire::new();
    for (option, value, culprit) in [
        ("--host", "192.0.2.1/33", "192.0.2.1/33"),
        ("--host", "192.0.2", "192.0.2"),
        ("--host", "2001:db8::/129", "2001:db8::/129"),
        ("--host", "", ""),
        ("--src", "192.0.2.1,nonsense", "nonsense"),
        ("--dst", "192.0.2.1,,192.0.2.2", ""),
        ("--port", "70000", "70000"),
        ("--port", "-1", "-1"),
        ("--port", "http//", "http//"),
        ("--port", "80,70000", "70000"),
        ("--sport", "200-100", "200-100"),
        ("--dport", "1-2-3", "1-2-3"),
        ("--dport", "80,", ""),
        ("--proto", "nonsense", "nonsense"),
        ("--proto", "256", "256"),
        ("-c", "0", "0"),
        ("-c", "-5", "-5"),
        ("-c", "many", "many"),
        ("--size", "0", "0"),
        ("--size", "12Q", "12Q"),
        ("--duration", "0", "0"),
        ("--duration", "soon", "soon"),
        ("-s", "-1", "-1"),
        ("-s", "lots", "lots"),
        ("-Q", "sideways", "sideways"),
        ("--ring-size", "0", "0"),
        ("--ring-size", "a lot", "a lot"),
    ] {
        // In one word, so that a value with a leading dash isn't taken for an option.
        let (one, name) = if option.starts_with("--") {
            (format!("{option}={value}"), option)
        } else {
            (format!("{option}{value}"), "")
        };
        refuses(&wire, &["-i", Wire::CATCHER, &one], 2, &[culprit, name]);
    }
    refuses(
        &wire,
        &["-i", Wire::CATCHER, "--nonsense"],
        2,
        &["--nonsense"],
    );
    refuses(
        &wire,
        &["-i", Wire::CATCHER, "-s", "99999999999"],
        2,
        &["99999999999"],
    );
}

#[test]
fn address_lists_that_cannot_be_read() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let list = scratch.path("list");
    let option = format!("@{}", list.display());
    refuses(
        &wire,
        &["-i", Wire::CATCHER, "--host", &option],
        2,
        &[&option[1..]],
    );
    fs::write(&list, "192.0.2.0/24\n192.0.2.300\n").unwrap();
    refuses(
        &wire,
        &["-i", Wire::CATCHER, "--host", &option],
        2,
        &["192.0.2.300", "2"],
    );
}

#[test]
fn destinations_that_cannot_be_written() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let capture = |file: &Path| {
        let finished = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .write(file)
            .run();
        wait_until_nothing_is_attached(&wire.namespace);
        finished
    };
    let refused = |what: &str, file: &Path, words: &[&str]| {
        let words = [&[file.to_str().unwrap()], words].concat();
        assert_refused(what, &capture(file), 1, &words);
    };

    refused("an existing directory", scratch.folder(), &["directory"]);
    refused(
        "a directory that isn't there",
        &scratch.path("none/file.pcapng"),
        &[],
    );

    let target = scratch.path("target");
    fs::write(&target, "untouched").unwrap();
    let link = scratch.path("link.pcapng");
    symlink(&target, &link).unwrap();
    refused("a symbolic link", &link, &["link"]);
    assert_eq!(fs::read(&target).unwrap(), b"untouched");

    let mount = |options: &str| {
        let folder = scratch.path(options);
        fs::create_dir(&folder).unwrap();
        let mut mount = wire.namespace.command("mount");
        tool::run(
            mount
                .args(["-t", "tmpfs", "-o", options, "tmpfs"])
                .arg(&folder),
        );
        folder
    };
    refused(
        "a read-only file system",
        &mount("ro").join("file.pcapng"),
        &[],
    );

    let full = mount("size=4k");
    fs::write(wire.namespace.outside(&full.join("filler")), [0; 4_096]).unwrap();
    let file = full.join("file.pcapng");
    refused("a full file system", &file, &["space"]);
    assert!(
        !wire.namespace.outside(&file).exists(),
        "an empty file was left behind"
    );
    assert_refused(
        "a full device",
        &capture(Path::new("/dev/full")),
        1,
        &["/dev/full"],
    );
}

#[test]
fn a_user_without_privilege_is_told_what_is_missing() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    fs::set_permissions(scratch.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    let file = scratch.path("none.pcapng");
    let finished = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .as_nobody()
        .run();
    assert_refused("no privilege", &finished, 1, &["CAP_BPF"]);
    assert!(!file.exists());
    wait_until_nothing_is_attached(&wire.namespace);
}

#[test]
fn help_and_version_are_no_errors() {
    let wire = Wire::new();
    for arguments in [&["--help"][..], &["--version"], &["capture", "--help"]] {
        let finished = Nodecap::new(&wire.namespace, arguments).run();
        assert_eq!(
            finished.code(),
            Some(0),
            "{arguments:?}\n{}",
            finished.stderr
        );
        assert!(!finished.stdout.is_empty() && finished.stderr.is_empty());
    }
    assert!(nodecap::binary().is_file());
}
