//! `--relinquish`: an ordinary user from the start of the capture on, on every thread, with three
//! capabilities; and everything that comes later still works.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use attached::{attached, wait_until_nothing_is_attached};
use lab::compare::assert_same;
use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::{Wire, add_wire};
use lab::wait::wait_until;
use lab::{Signal, need, replay, tools};

/// Whom the captures become: nobody's numbers, with a group of its own.
const USER: u32 = 65_534;
const GROUP: u32 = 65_533;

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF (include/uapi/linux/capability.h).
const THREE: u64 = 1 << 12 | 1 << 38 | 1 << 39;

/// A folder that the user may write to, below one that he can reach.
fn folder_of_the_user() -> Scratch {
    let scratch = Scratch::new();
    let anybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(scratch.folder(), anybody).unwrap();
    chown(scratch.folder(), Some(USER), Some(GROUP)).unwrap();
    scratch
}

/// What /proc says of each thread of a process: name and the lines that are about privileges.
fn threads(pid: u32) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let threads = tasks.flatten().filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        Some((name.trim().to_owned(), status))
    });
    threads.collect()
}

/// Every thread is the user's, and holds the three capabilities and nothing else.
#[track_caller]
fn assert_relinquished(pid: u32) {
    let threads = threads(pid);
    let names: BTreeSet<&str> = threads.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains("mover") && names.contains("writer"),
        "{names:?}"
    );
    for (name, status) in &threads {
        let field = |wanted: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(wanted));
            let words = line.unwrap_or_else(|| panic!("no {wanted} in {status}"));
            words
                .split_whitespace()
                .map(String::from)
                .collect::<Vec<_>>()
        };
        assert_eq!(field("Uid:"), vec![USER.to_string(); 4], "{name}");
        assert_eq!(field("Gid:"), vec![GROUP.to_string(); 4], "{name}");
        assert_eq!(field("Groups:"), [GROUP.to_string()], "{name}");
        let set = |wanted| u64::from_str_radix(&field(wanted)[0], 16).unwrap();
        assert_eq!(set("CapPrm:"), THREE, "{name}");
        assert_eq!(set("CapEff:"), THREE, "{name}");
        assert_eq!(set("CapInh:"), 0, "{name}");
        assert_eq!(set("CapAmb:"), 0, "{name}");
        assert_eq!(set("CapBnd:"), 0, "{name}");
        assert_eq!(field("NoNewPrivs:"), ["1"], "{name}");
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "pcapng"))
        .collect();
    files.sort();
    files
}

#[test]
fn rotation_joining_and_going_interfaces_and_the_end_work_as_that_user_by_every_hook() {
    need!("kernel 5.11");
    for hook in ["tc", "clsact", "xdp"] {
        let namespace = Namespace::silent();
        add_wire(&namespace, "in-1", "pod-1", 1_500);
        let scratch = folder_of_the_user();
        let capture = Nodecap::capture(&namespace, "pod-*")
            .args(["--hook", hook, "-C", "1M", "-Z", "65534:65533"])
            .args(["--flows".as_ref(), scratch.path("flows").as_os_str()])
            .write(&scratch.path("x.pcapng"))
            .start();
        assert_relinquished(capture.process().pid());
        let sent = corpus::rich();
        let count = sent.len() as u64;
        replay::send(&namespace, "in-1", &sent);
        capture.wait_until_captured(count);
        // Another file.
        capture.signal(Signal::SIGHUP);
        wait_until("a second file", || files(scratch.folder()).len() == 2);
        // Another interface.
        add_wire(&namespace, "in-2", "pod-2", 1_500);
        capture.wait_for_mention("listening on pod-2 too");
        replay::send(&namespace, "in-2", &sent);
        capture.wait_until_captured(2 * count);
        namespace.ip("link del pod-1");
        capture.wait_for_mention("pod-1 is gone");
        replay::send(&namespace, "in-2", &sent);
        capture.wait_until_captured(3 * count);
        assert_relinquished(capture.process().pid());
        let counts = capture.stop().counts();
        assert_eq!((counts.captured, counts.dropped), (3 * count, 0), "{hook}");
        wait_until_nothing_is_attached(&namespace);

        let files = files(scratch.folder());
        let written: Vec<_> = files.iter().map(|file| CaptureFile::read(file)).collect();
        assert_same(&written[0].packets, &sent);
        assert_same(&written[1].packets, &[sent.clone(), sent].concat());
        for file in files.iter().chain([&scratch.path("flows")]) {
            let metadata = fs::metadata(file).unwrap();
            let whose = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
            assert_eq!(whose, (USER, GROUP, 0o600), "{file:?}");
        }
        files.iter().for_each(|file| tools::assert_readable(file));
    }
}

#[test]
fn a_program_that_is_needed_only_later_is_loaded_as_that_user() {
    need!("kernel 5.11");
    let namespace = Namespace::silent();
    add_wire(&namespace, "in-0", "pod-0", 1_500);
    let capture = Nodecap::capture(&namespace, "pod-*")
        .args([
            "-Z",
            "65534:65533",
            "-w",
            "/dev/null",
            "--src",
            "192.0.2.0/24",
            "not",
            "port",
            "53",
        ])
        .start();
    // A device without a link header has a program of its own.
    namespace.ip("tuntap add pod-2 mode tun");
    namespace.ip("link set pod-2 up");
    capture.wait_for_mention("listening on pod-2 too");
    capture.stop();
    wait_until_nothing_is_attached(&namespace);
}

#[test]
fn address_lists_are_read_again_as_that_user_if_he_may() {
    need!("kernel 5.11");
    let (wire, scratch) = (Wire::new(), folder_of_the_user());
    let list = scratch.path("list");
    for (mode, said) in [
        (0o644, "read the lists again"),
        (0o600, "the lists stay as they were"),
    ] {
        fs::write(&list, "192.0.2.0/24\n").unwrap();
        fs::set_permissions(&list, fs::Permissions::from_mode(mode)).unwrap();
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["-Z", "65534:65533", "-w", "/dev/null", "--host"])
            .args([format!("@{}", list.display())])
            .start();
        let warned = capture.process().stderr().contains("can't be read again");
        assert_eq!(warned, mode == 0o600);
        capture.signal(Signal::SIGHUP);
        capture.wait_for_mention(said);
        capture.stop();
    }
}

#[test]
fn a_single_file_in_anybodys_folder_is_handed_over() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let there = scratch.path("there.pcapng");
    fs::write(&there, "somebody's").unwrap();
    for file in [&file, &there] {
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["-Z", "nobody"])
            .write(file)
            .start();
        wire.send(&corpus::rich());
        capture.wait_until_captured(corpus::rich().len() as u64);
        capture.stop();
        assert_same(&CaptureFile::read(file).packets, &corpus::rich());
    }
    assert_eq!(fs::metadata(&file).unwrap().uid(), USER);
    // Whose a file was, he stays.
    assert_eq!(fs::metadata(&there).unwrap().uid(), 0);
}

#[test]
fn what_could_not_go_on_is_refused_before_anything_is_attached() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = |user: &str, rotate: &[&str]| {
        Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["-Z", user])
            .args(rotate)
            .write(&scratch.path("x.pcapng"))
    };
    // The folder is root's.
    let refused = capture("nobody", &["-C", "1M"]).run();
    assert_eq!(refused.code(), Some(1), "{}", refused.stderr);
    for said in ["can't make files in", "chown 65534"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let refused = capture("no-such-user", &[]).run();
    assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("/etc/passwd"), "{}", refused.stderr);
    assert_eq!(fs::read_dir(scratch.folder()).unwrap().count(), 0);
    assert!(attached(&wire.namespace).is_empty());
}

#[test]
fn without_the_right_to_become_another_user_it_is_refused() {
    need!("kernel 5.11");
    let wire = Wire::new();
    let refused = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-Z", "65534:65533", "-q"])
        .with_capabilities(&["bpf", "net_admin", "perfmon"])
        .run();
    assert_eq!(refused.code(), Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("run it as root"),
        "{}",
        refused.stderr
    );
}
