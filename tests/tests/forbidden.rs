//! What the node's own security forbids is named, and what helps: a seccomp filter, lockdown.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;

use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::need;
use lab::nodecap::{self, Nodecap};
use lab::tool;
use lab::topology::Wire;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// `__NR_bpf` on x86-64.
const BPF: i64 = 321;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// Does something under a seccomp filter by which bpf(2) fails like this, as container runtimes
/// have it. What it starts inherits the filter, which belongs to a thread that ends with this.
fn without_bpf<T: Send>(errno: u32, work: impl FnOnce() -> T + Send) -> T {
    let filter = SeccompFilter::new(
        BTreeMap::from([(BPF, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        TargetArch::x86_64,
    );
    let program = BpfProgram::try_from(filter.unwrap()).unwrap();
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            apply_filter(&program).unwrap();
            work()
        });
        worker.join().unwrap()
    })
}

#[test]
fn a_seccomp_filter_that_refuses_bpf_is_named_with_what_to_allow() {
    let namespace = Namespace::new();
    for errno in [EPERM, ENOSYS] {
        let (doctor, capture) = without_bpf(errno, || {
            (
                Nodecap::new(&namespace, &["doctor"]).run(),
                Nodecap::capture(&namespace, "lo").run(),
            )
        });
        assert_eq!(doctor.code(), Some(1), "{errno}: {}", doctor.stdout_text());
        let told = doctor.stdout_text();
        assert!(told.contains("a seccomp filter is in force"), "{told}");
        assert!(
            told.contains("allow bpf(2) in the seccomp profile"),
            "{told}"
        );
        assert_eq!(capture.code(), Some(1), "{errno}: {}", capture.stderr);
        let last = capture.stderr.lines().last().unwrap();
        assert!(
            last.contains("seccomp filter is in force") && last.contains("allow bpf(2)"),
            "{errno}: {}",
            capture.stderr
        );
    }
}

/// Nothing takes it back before the machine ends.
#[test]
fn under_lockdown_packets_are_captured_and_the_kernels_evidence_is_said_to_be_missing() {
    need!("guest");
    let wire = Wire::new();
    fs::write("/sys/kernel/security/lockdown", "confidentiality").unwrap();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER).start();
    let sent = corpus::rich();
    wire.send(&sent);
    capture.wait_until_captured(sent.len() as u64);
    let finished = capture.stop();
    assert_eq!(finished.counts().dropped, 0);
    for name in ["reset-events", "conntrack-entries"] {
        let said = format!("no {name} here: ");
        assert!(finished.stderr.contains(&said), "{}", finished.stderr);
    }

    let mut doctor = Command::new(nodecap::binary());
    let told = String::from_utf8(tool::run(doctor.arg("doctor")).stdout).unwrap();
    let why = "kernel memory can't be read: lockdown is confidentiality";
    assert!(told.contains(why), "{told}");
    assert!(told.contains("boot with lockdown=integrity"), "{told}");
    // A namespace of a test's own shows nothing of the mode.
    let told = Nodecap::new(&wire.namespace, &["doctor"])
        .run()
        .stdout_text();
    assert!(told.contains("no program may read kernel memory"), "{told}");
    assert!(told.contains("boot with lockdown=integrity"), "{told}");
}
