//! A command for each finished file.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lab::Signal;
use lab::frames::corpus;
use lab::nodecap::{Capture, Nodecap};
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::wait::wait_until;

/// A program that does this.
fn script(scratch: &Scratch, text: &str) -> String {
    let path = scratch.path("command");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

fn start(wire: &Wire, scratch: &Scratch, command: &str, more: &[&str]) -> Capture {
    fs::create_dir(scratch.path("files")).unwrap();
    Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--exec", command])
        .args(more)
        .write(&scratch.path("files/x.pcapng"))
        .start()
}

fn hang_up(capture: &Capture, scratch: &Scratch, files_then: usize) {
    capture.signal(Signal::SIGHUP);
    wait_until("another file", || {
        fs::read_dir(scratch.path("files")).unwrap().count() == files_then
    });
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(String::from).collect()
}

#[test]
fn it_runs_on_every_file_once_it_is_whole_and_on_the_last_one_before_the_capture_ends() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let log = scratch.path("log");
    // A file that isn't whole makes capinfos fail, and one in which something is still written has
    // fewer bytes than later.
    let text = format!(
        "capinfos -M \"$2\" >/dev/null 2>&1 || exit 7\necho \"$1 $2 $(stat -c %s \"$2\")\" >>{}",
        log.display()
    );
    let command = format!("{} word", script(&scratch, &text));
    let capture = start(&wire, &scratch, &command, &["-G", "1h"]);
    for files in 2..=3 {
        wire.send(&corpus::rich());
        hang_up(&capture, &scratch, files);
    }
    wait_until("two commands", || lines(&log).len() == 2);
    wire.send(&corpus::rich());
    let finished = capture.stop();
    assert!(!finished.stderr.contains("command"), "{}", finished.stderr);
    let expected: Vec<String> = (1..=3)
        .map(|number| {
            let file = scratch.path(&format!("files/x.{number:05}.pcapng"));
            let len = fs::metadata(&file).unwrap().len();
            format!("word {} {len}", file.display())
        })
        .collect();
    assert_eq!(lines(&log), expected);
}

#[test]
fn a_single_file_is_given_to_it_too() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let capture = start(&wire, &scratch, "rm", &[]);
    capture.stop();
    assert_eq!(fs::read_dir(scratch.path("files")).unwrap().count(), 0);
}

#[test]
fn what_fails_is_told_and_the_capture_goes_on() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let command = script(&scratch, "exit 3");
    let capture = start(&wire, &scratch, &command, &["-G", "1h"]);
    hang_up(&capture, &scratch, 2);
    capture.wait_for_mention("x.00001.pcapng failed: exit status 3");
    wire.send(&corpus::rich());
    let finished = capture.stop();
    assert_eq!(finished.counts().captured, corpus::rich().len() as u64);
    assert!(
        finished
            .stderr
            .contains("x.00002.pcapng failed: exit status 3"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_slow_command_holds_up_neither_packets_nor_files_and_leaves_no_zombie() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (command, gate) = waiting(&scratch);
    let capture = start(&wire, &scratch, &command, &["-G", "1h"]);
    let mut sent = 0;
    for files in 2..=4 {
        wire.send(&corpus::rich());
        sent += corpus::rich().len() as u64;
        capture.wait_until_captured(sent);
        hang_up(&capture, &scratch, files);
    }
    let pid = capture.process().pid();
    wait_until("the command to run", || children(pid).len() == 1);
    fs::write(&gate, "").unwrap();
    wait_until("no child, not even a dead one", || children(pid).is_empty());
    let finished = capture.stop();
    assert_eq!(finished.counts().captured, sent);
}

#[test]
fn at_the_end_it_is_waited_for_and_a_second_interrupt_is_the_way_out() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (command, gate) = waiting(&scratch);
    let capture = start(&wire, &scratch, &command, &[]);
    capture.signal(Signal::SIGINT);
    capture.wait_for_mention("running --exec on it; an interrupt now stops at once");
    capture.signal(Signal::SIGINT);
    let stat = format!("/proc/{}/stat", capture.process().pid());
    wait_until("the end of the capture", || {
        fs::read_to_string(&stat).is_ok_and(|text| text.contains(") Z "))
    });
    // The command is left to itself, and holds standard error open: let it go.
    fs::write(&gate, "").unwrap();
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
}

#[test]
fn a_command_that_can_not_be_run_is_wrong_usage() {
    let wire = Wire::new();
    for arguments in [
        &["--exec", "no-such-program", "-w", "/dev/null"][..],
        &["--exec", "", "-w", "/dev/null"],
        &["--exec", "true", "-w", "-"],
        &["--exec", "true"],
    ] {
        let finished = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(arguments)
            .run();
        assert_eq!(
            finished.code(),
            Some(2),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert!(finished.stderr.contains("exec") || finished.stderr.contains("write"));
    }
}

/// A command that ends once the gate is there, or its folder is not.
fn waiting(scratch: &Scratch) -> (String, PathBuf) {
    let gate = scratch.path("gate");
    let text = format!(
        "while [ -e {} ] && ! [ -e {} ]; do sleep 0.02; done",
        scratch.folder().display(),
        gate.display()
    );
    (script(scratch, &text), gate)
}

/// The child processes of all its threads, dead ones included.
fn children(pid: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children = threads.flat_map(|thread| {
        let path = thread.unwrap().path().join("children");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    });
    children.collect()
}
