//! `nodecap doctor` tells what this kernel and these privileges allow.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;

use attached::wait_until_nothing_is_attached;
use lab::ability::missing;
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;

#[test]
fn root_can_capture_and_is_told_so() {
    let namespace = Namespace::new();
    let finished = Nodecap::new(&namespace, &["doctor"]).run();
    assert_eq!(
        finished.code(),
        Some(0),
        "{}\n{}",
        finished.stdout_text(),
        finished.stderr
    );
    let text = finished.stdout_text().to_lowercase();
    assert!(text.contains("yes") && text.contains("tcx"), "{text}");
    wait_until_nothing_is_attached(&namespace);
}

/// Before Linux 5.11 maps and programs count against it, together with those of all captures that run.
#[test]
fn a_limit_of_locked_memory_that_is_used_up_is_no_obstacle() {
    let namespace = Namespace::new();
    let mut command = namespace.command("sh");
    command.args(["-c", "ulimit -l 0 && exec \"$0\" doctor"]);
    let output = lab::tool::run(command.arg(lab::nodecap::binary()));
    let text = String::from_utf8(output.stdout).unwrap();
    for ability in ["bpf ", "ring-buffer ", "tc-program "] {
        assert!(text.contains(&format!("yes  {ability}")), "{text}");
    }
}

#[test]
fn a_user_without_privilege_is_told_which_and_how_to_get_it() {
    let namespace = Namespace::new();
    let finished = Nodecap::new(&namespace, &["doctor"]).as_nobody().run();
    assert_eq!(
        finished.code(),
        Some(1),
        "{}\n{}",
        finished.stdout_text(),
        finished.stderr
    );
    let text = finished.stdout_text();
    for capability in ["CAP_BPF", "CAP_NET_ADMIN"] {
        assert!(text.contains(capability), "no {capability} in:\n{text}");
    }
    assert!(text.contains("setcap"), "no remedy in:\n{text}");
}

#[test]
fn programs_get_the_same_as_json() {
    let namespace = Namespace::new();
    let finished = Nodecap::new(&namespace, &["doctor", "--json"]).run();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let value: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert!(
        value.is_object() || value.as_array().is_some_and(|list| !list.is_empty()),
        "{value}"
    );
}

#[test]
fn a_capture_says_at_the_start_what_the_doctor_says_is_missing_and_what_that_costs() {
    let namespace = Namespace::new();
    let capture = Nodecap::capture(&namespace, "lo").args(["-q"]).start();
    let said = capture.stop().stderr;
    for name in [
        "reset-events",
        "reset-reasons",
        "drop-reasons",
        "conntrack-entries",
    ] {
        // A reason can't be told where the event itself isn't.
        let told_already = name == "reset-reasons" && missing("reset-events").is_some();
        assert_eq!(
            said.contains(&format!("no {name} here: ")),
            missing(name).is_some() && !told_already,
            "{name}: {said}"
        );
    }
    assert_eq!(said.contains("no TCX"), missing("tcx").is_some(), "{said}");
}
