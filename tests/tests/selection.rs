//! Which interfaces and directions a capture is about.

#[path = "common/attached.rs"]
mod attached;

use std::fs;
use std::path::Path;

use attached::{attached, wait_until_nothing_is_attached};
use lab::compare::assert_same;
use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::replay;
use lab::scratch::Scratch;
use lab::topology::{Wire, add_wire};

/// The names of the interfaces in the file that these arguments make.
#[track_caller]
fn interfaces(namespace: &Namespace, arguments: &[&str]) -> Vec<String> {
    let scratch = Scratch::new();
    let file = scratch.path("names.pcapng");
    let command = [&["capture"], arguments].concat();
    let capture = Nodecap::new(namespace, &command).write(&file).start();
    let listening = capture.wait_for_line("listening on");
    capture.stop();
    let mut names: Vec<String> = CaptureFile::read(&file)
        .interfaces
        .into_iter()
        .filter_map(|one| one.name)
        .collect();
    for name in &names {
        assert!(listening.contains(name.as_str()), "{listening}");
    }
    assert!(
        listening.ends_with("snapshot length 262144 bytes"),
        "{listening}"
    );
    names.sort();
    names
}

#[test]
fn names_indices_globs_and_any() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "one-in", "one-out", 1_500);
    add_wire(&namespace, "two-in", "two-out", 1_500);
    namespace.ip("link add down-in type veth peer name down-out");
    let index = namespace.outside(Path::new("/sys/class/net/two-out/ifindex"));
    let index = fs::read_to_string(index).unwrap_or_default();
    let by_index = format!("#{}", index.trim());

    assert_eq!(interfaces(&namespace, &["-i", "one-in"]), ["one-in"]);
    assert_eq!(
        interfaces(&namespace, &["-i", "one-in", "-i", "two-in"]),
        ["one-in", "two-in"]
    );
    assert_eq!(interfaces(&namespace, &["-i", &by_index]), ["two-out"]);
    assert_eq!(
        interfaces(&namespace, &["-i", "one-*"]),
        ["one-in", "one-out"]
    );
    assert_eq!(
        interfaces(&namespace, &["-i", "*-out"]),
        ["one-out", "two-out"]
    );
    let all = ["lo", "one-in", "one-out", "two-in", "two-out"];
    assert_eq!(interfaces(&namespace, &["-i", "any"]), all);
    // What is named twice is captured once.
    assert_eq!(
        interfaces(&namespace, &["-i", "one-in", "-i", "one-i*"]),
        ["one-in"]
    );
}

#[test]
fn a_direction_is_attached_alone_and_captured_alone() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let sent = corpus::rich();
    for (direction, hooks, kept) in [
        ("in", &["catcher ingress"][..], true),
        ("out", &["catcher egress"], false),
        ("inout", &["catcher ingress", "catcher egress"], true),
    ] {
        let file = scratch.path("directed.pcapng");
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["-Q", direction])
            .write(&file)
            .start();
        let found = attached(&wire.namespace);
        assert_eq!(found.len(), hooks.len(), "{found:?}");
        for hook in hooks {
            assert!(
                found.iter().any(|program| program.ends_with(hook)),
                "{found:?}"
            );
        }
        wire.send(&sent);
        capture.stop();
        let expected = if kept { &sent[..] } else { &[] };
        assert_same(&CaptureFile::read(&file).packets, expected);
        wait_until_nothing_is_attached(&wire.namespace);
    }
}

#[test]
fn two_captures_at_one_interface_do_not_disturb_each_other() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let files = ["one.pcapng", "two.pcapng"].map(|name| scratch.path(name));
    let captures = files.each_ref().map(|file| {
        Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .write(file)
            .start()
    });
    let sent = corpus::rich();
    replay::send(&wire.namespace, Wire::SENDER, &sent);
    for (capture, file) in captures.into_iter().zip(&files) {
        capture.stop();
        assert_same(&CaptureFile::read(file).packets, &sent);
    }
}
