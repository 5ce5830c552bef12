//! What a killed capture leaves on a kernel without TCX, and that exactly this is swept away: by
//! `nodecap sweep`, and by the next capture that starts.

#[path = "common/filters.rs"]
mod filters;

use filters::{PASS, filters, has_clsact, our_filters};
use lab::Signal;
use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::nodecap::{self, Capture, Nodecap};
use lab::process::{Process, Stdout};
use lab::topology::Wire;

#[track_caller]
fn start(host: &Namespace) -> Capture {
    Nodecap::capture(host, Wire::CATCHER)
        .args(["--hook", "clsact", "-w", "/dev/null"])
        .start()
}

#[track_caller]
fn kill(capture: Capture) {
    capture.signal(Signal::SIGKILL);
    drop(capture.wait());
}

/// What `nodecap sweep` prints.
#[track_caller]
fn sweep(host: &Namespace) -> String {
    let finished = Nodecap::new(host, &["sweep"]).run();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    finished.stdout_text()
}

#[test]
fn without_anything_left_behind_it_says_so() {
    let wire = Wire::new();
    assert_eq!(sweep(&wire.namespace), "nothing to remove\n");
}

#[test]
fn what_a_kill_left_is_removed_and_named_the_qdisc_included() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let capture = start(host);
    let process = capture.process().pid();
    kill(capture);
    assert_eq!(our_filters(host, link).len(), 2);
    assert_eq!(
        sweep(host),
        format!(
            "removed {link}: ingress filter of process {process}\n\
             removed {link}: egress filter of process {process}\n\
             removed {link}: clsact qdisc\n"
        )
    );
    assert!(filters(host, link).is_empty() && !has_clsact(host, link));
    assert_eq!(sweep(host), "nothing to remove\n");
}

#[test]
fn others_filters_and_a_qdisc_that_holds_one_stay() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let capture = start(host);
    // The qdisc is the capture's, this filter isn't: not even by its handle, which is like ours.
    host.tc(&format!(
        "filter add dev {link} ingress pref 1 handle 0x4e000001 bpf da bytecode {PASS}"
    ));
    kill(capture);
    let swept = sweep(host);
    assert_eq!(swept.lines().count(), 2, "{swept}");
    assert!(!swept.contains("qdisc"), "{swept}");
    let left = filters(host, link);
    assert!(left.iter().any(|line| line.contains("handle 0x4e000001")));
    assert!(our_filters(host, link).is_empty());
}

#[test]
fn a_running_capture_keeps_its_filters_and_takes_the_killed_ones_qdisc_at_its_end() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let (killed, running) = (start(host), start(host));
    let process = running.process().pid();
    kill(killed);
    let swept = sweep(host);
    assert_eq!(swept.matches("removed").count(), 2, "{swept}");
    assert_eq!(
        swept
            .matches(&format!("of process {process}, which is running"))
            .count(),
        2,
        "{swept}"
    );
    let sent = corpus::rich();
    wire.send(&sent);
    running.wait_until_captured(sent.len() as u64);
    running.stop();
    assert!(!has_clsact(host, link));
}

#[test]
fn whenever_it_is_killed_a_sweep_finds_all_that_it_left() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let mut rounds_with_filters = 0;
    // Qdiscs and filters come and go by what it sends to the kernel: killed at its first message,
    // then at its second, and so on, until it comes to its end.
    for message in 1.. {
        let mut command = host.command("strace");
        command
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e"])
            .arg(format!("inject=sendto:signal=KILL:when={message}"))
            .arg(nodecap::binary())
            .args(["capture", "-i", link, "--hook", "clsact", "--no-track"])
            .args(["--duration", "1ms", "-w", "/dev/null"]);
        let finished = Process::start(&mut command, Stdout::Collected).wait();
        if !our_filters(host, link).is_empty() {
            rounds_with_filters += 1;
        }
        sweep(host);
        assert!(
            filters(host, link).is_empty() && !has_clsact(host, link),
            "killed at message {message}"
        );
        if finished.code() == Some(0) {
            break;
        }
    }
    // Once the first was there, and once the second.
    assert!(rounds_with_filters >= 2, "{rounds_with_filters}");
}

#[test]
fn a_capture_in_another_pid_namespace_is_known_to_be_running() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    let mut command = host.command("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(nodecap::binary())
        .args(["capture", "-i", link, "--hook", "clsact", "-w", "/dev/null"]);
    let capture = Process::start(&mut command, Stdout::Collected);
    capture.wait_for_stderr("`listening on`", |text| {
        text.contains("listening on").then_some(())
    });
    // There it is process 1, which runs here as well.
    assert!(our_filters(host, link)[0].contains("nodecap:1:"));
    let swept = sweep(host);
    assert!(swept.contains("which is running") && !swept.contains("removed"));
    assert_eq!(our_filters(host, link).len(), 2);
    drop(capture);
    lab::wait::wait_until("all of it removed", || {
        sweep(host);
        !has_clsact(host, link)
    });
}

#[test]
fn the_next_capture_sweeps_too_and_says_so() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    kill(start(host));
    // Wherever and however that one attaches.
    let next = Nodecap::capture(host, Wire::SENDER)
        .args(["-w", "/dev/null"])
        .start();
    assert!(filters(host, link).is_empty() && !has_clsact(host, link));
    let finished = next.stop();
    let said = finished
        .stderr
        .matches("removed what a killed capture left")
        .count();
    assert_eq!(said, 3, "{}", finished.stderr);
}

#[test]
fn without_privilege_it_fails_with_the_remedy_and_removes_nothing() {
    let wire = Wire::new();
    let (host, link) = (&wire.namespace, Wire::CATCHER);
    kill(start(host));
    let finished = Nodecap::new(host, &["sweep"]).as_nobody().run();
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("CAP_NET_ADMIN"),
        "{}",
        finished.stderr
    );
    assert_eq!(our_filters(host, link).len(), 2);
    sweep(host);
}
