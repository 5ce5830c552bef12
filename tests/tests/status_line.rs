//! On a terminal, a capture into a file shows how it is getting on.

#[path = "common/attached.rs"]
mod attached;

use attached::{attached, wait_until_nothing_is_attached};
use lab::frames::corpus;
use lab::nodecap;
use lab::process::{Process, Stdout};
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::wait::wait_until;

/// Captures the corpus with this redirection, on a terminal, and returns what was to be seen there.
#[track_caller]
fn on_a_terminal(redirection: &str) -> String {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let command = format!(
        "{} capture -i {} -w {} -c 100000 --duration 2s {redirection}",
        nodecap::binary().display(),
        Wire::CATCHER,
        scratch.path("beside.pcapng").display(),
    );
    // script runs it on a terminal of its own and copies what appears there to its output.
    let mut script = wire.namespace.command("script");
    script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    let process = Process::start(&mut script, Stdout::Collected);
    wait_until("both hooks taken", || attached(&wire.namespace).len() == 2);
    wire.send(&corpus::rich());
    let finished = process.wait();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
    wait_until_nothing_is_attached(&wire.namespace);
    finished.stdout_text()
}

#[test]
fn the_status_line_shows_packets_loss_and_what_is_left_of_the_limits() {
    let count = corpus::rich().len();
    let shown = on_a_terminal("");
    let left = 100_000 - count;
    let line = shown
        .split('\r')
        .find(|line| line.contains(&format!("{count} packets,")));
    let line = line.unwrap_or_else(|| panic!("no status line with {count} packets in {shown:?}"));
    assert!(line.contains("0 lost"), "{line:?}");
    assert!(line.contains(&format!("{left} packets")), "{line:?}");
    assert!(
        shown.contains(&format!("{count} packets captured")),
        "{shown:?}"
    );
}

#[test]
fn it_is_not_shown_where_standard_error_is_no_terminal() {
    let shown = on_a_terminal("2>/dev/null");
    assert!(!shown.contains("packets"), "{shown:?}");
}
