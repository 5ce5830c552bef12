//! An ordinary user with three capabilities captures as root does; what each of the three is for
//! is what is lost without it.

#[path = "common/filters.rs"]
mod filters;

use filters::{PASS, filters, has_clsact, our_filters};
use lab::Signal;
use lab::ability::{is_guest, missing};
use lab::flows::FlowsFile;
use lab::frames::corpus;
use lab::need;
use lab::nodecap::{self, Nodecap};
use lab::process::{Finished, Process, Stdout};
use lab::scenario::local;
use lab::topology::{Node, Wire};

const ALL: [&str; 3] = ["bpf", "net_admin", "perfmon"];
const HOOKS: [&str; 3] = ["tc", "clsact", "xdp"];

/// All of them, or on an emulated machine, which takes some seconds over each, the usual one.
fn some_hooks() -> &'static [&'static str] {
    if is_guest() { &HOOKS[..1] } else { &HOOKS }
}

/// A capture of everything at these hooks: it works, and says what is missing, if anything is.
#[track_caller]
fn assert_captures(hooks: &[&str], capabilities: &[&str], said: Option<&str>) {
    for hook in hooks {
        let wire = Wire::new();
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--hook", hook, "-q"])
            .with_capabilities(capabilities)
            .start();
        let sent = corpus::rich();
        wire.send(&sent);
        capture.wait_until_captured(sent.len() as u64);
        let finished = capture.stop();
        assert_eq!(finished.counts().dropped, 0);
        let missing = finished.stderr.contains("CAP_");
        assert_eq!(missing, said.is_some(), "{hook}: {}", finished.stderr);
        assert!(finished.stderr.contains(said.unwrap_or("")));
        assert!(!has_clsact(&wire.namespace, Wire::CATCHER));
    }
}

/// It fails at every hook, in one line that names what is missing.
#[track_caller]
fn assert_refused(capabilities: &[&str], arguments: &[&str], missing: &str) {
    for hook in some_hooks() {
        let wire = Wire::new();
        let refused = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--hook", hook])
            .args(arguments)
            .with_capabilities(capabilities)
            .run();
        assert_eq!(refused.code(), Some(1), "{hook}: {}", refused.stderr);
        let last = refused.stderr.lines().last().unwrap_or_default();
        assert!(
            last.contains(missing) && last.contains("doctor"),
            "{hook}: {}",
            refused.stderr
        );
        assert!(filters(&wire.namespace, Wire::CATCHER).is_empty());
    }
}

#[test]
fn three_capabilities_are_enough_to_capture_by_every_hook() {
    if missing("kernel 5.11").is_some() {
        // The maps count against the locked memory there, and raising that limit takes more.
        assert_refused(&ALL, &[], "ulimit -l");
    }
    need!("kernel 5.11");
    assert_captures(&HOOKS, &ALL, None);
}

#[test]
fn three_capabilities_are_enough_for_verdicts_on_the_kernels_word() {
    need!("kernel 5.11", "reset-events");
    let scenario = &local::CLOSED_PORT_ON_NODE;
    let lab = Node::new();
    (scenario.prepare)(&lab);
    let capture = Nodecap::capture(&lab.node, "any")
        .args(["--proto", "tcp", "--flows", "-"])
        .with_capabilities(&ALL)
        .start();
    let kept = (scenario.happen)(&lab);
    // The segment and its answer.
    capture.wait_until_captured(2);
    let finished = capture.stop();
    drop(kept);
    let flows = FlowsFile::parse(&finished.stdout_text());
    let [reset] = flows.resets.as_slice() else {
        panic!("one reset, not {:#?}", flows.resets);
    };
    // The reset's own reason, or that of dropping what it answers.
    if missing("reset-reasons").is_none() || missing("drop-reasons").is_none() {
        assert_eq!(
            (&*reset.cause, &*reset.confidence),
            ("closed-port", "kernel")
        );
    } else {
        // A rule that rejects would look the same, and the kernel doesn't say that it was none.
        assert!(
            ["closed-port", "unknown"].contains(&&*reset.cause) && reset.confidence != "kernel",
            "{reset:#?}"
        );
    }
}

#[test]
fn without_perfmon_everything_is_captured_and_nothing_is_known_beside() {
    need!("kernel 5.11");
    let held = ["bpf", "net_admin"];
    if missing("kernel 6.12").is_some() {
        // The verifier follows each wrong guess of a processor, into what is switched off too.
        assert_refused(&held, &[], "CAP_PERFMON missing");
    }
    // Which of those between is the first to go past it isn't known.
    need!("kernel 6.18");
    assert_captures(some_hooks(), &held, Some("without CAP_PERFMON"));
}

#[test]
fn without_perfmon_a_filter_is_refused() {
    need!("kernel 5.11");
    assert_refused(
        &["bpf", "net_admin"],
        &["--src", "192.0.2.1", "--port", "443"],
        "CAP_PERFMON missing",
    );
}

#[test]
fn without_net_admin_or_bpf_nothing_is_captured() {
    assert_refused(&["bpf", "perfmon"], &[], "CAP_NET_ADMIN missing");
    assert_refused(&["net_admin", "perfmon"], &[], "CAP_BPF missing");
    assert_refused(&[], &[], "CAP_BPF and CAP_NET_ADMIN missing");
}

#[test]
fn capabilities_of_a_user_namespace_count_for_nothing_and_that_is_said() {
    let wire = Wire::new();
    let mut command = wire.namespace.command("unshare");
    command
        .args(["--user", "--map-root-user"])
        .arg(nodecap::binary())
        .args(["capture", "-i", Wire::CATCHER]);
    let finished: Finished = Process::start(&mut command, Stdout::Collected).wait();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("user namespace"),
        "{}",
        finished.stderr
    );
}

#[test]
fn sweeping_takes_net_admin_alone() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let capture = Nodecap::capture(host, link)
        .args(["--hook", "clsact", "-w", "/dev/null"])
        .start();
    host.tc(&format!(
        "filter add dev {link} ingress pref 9 bpf da bytecode {PASS}"
    ));
    capture.signal(Signal::SIGKILL);
    drop(capture.wait());
    let swept = Nodecap::new(host, &["sweep"])
        .with_capabilities(&["net_admin"])
        .run();
    assert_eq!(swept.code(), Some(0), "{}", swept.stderr);
    assert_eq!(swept.stdout_text().matches("removed").count(), 2);
    assert!(our_filters(host, link).is_empty() && has_clsact(host, link));
}
