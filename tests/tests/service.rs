//! What a service manager is told, and the unit that is in docs/.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::ffi::OsStr;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::nodecap::{self, Nodecap};
use lab::scratch::Scratch;
use lab::systemd::Systemd;
use lab::topology::Wire;
use lab::wait::{patience, wait_until};
use lab::{Signal, need, tool};

/// The next message.
#[track_caller]
fn told(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 1_024];
    manager.set_read_timeout(Some(patience())).unwrap();
    let len = manager.recv(&mut bytes).expect("a word to the manager");
    String::from_utf8_lossy(&bytes[..len]).into_owned()
}

/// Passes over whatever comes before a message with this line.
#[track_caller]
fn wait_to_be_told(manager: &UnixDatagram, line: &str) {
    while !told(manager).lines().any(|it| it == line) {}
}

/// A manager, and a capture as it would start one, with a watchdog of so many microseconds.
fn managed<'a>(wire: &'a Wire, scratch: &Scratch, watchdog: &str) -> (UnixDatagram, Nodecap<'a>) {
    let path = scratch.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-w", "/dev/null"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", watchdog);
    (manager, capture)
}

#[test]
fn it_is_told_that_the_capture_is_ready_goes_on_and_ends() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (manager, capture) = managed(&wire, &scratch, "100000");
    let capture = capture.spawn();
    // The first word, and not before everything is attached and open.
    let ready = told(&manager);
    assert!(
        ready.starts_with("READY=1\nSTATUS=listening on catcher"),
        "{ready}"
    );
    wire.send(&corpus::rich());
    capture.wait_until_captured(corpus::rich().len() as u64);
    for _ in 0..3 {
        wait_to_be_told(&manager, "WATCHDOG=1");
    }
    capture.signal(Signal::SIGTERM);
    wait_to_be_told(&manager, "STOPPING=1");
    assert_eq!(capture.wait().code(), Some(0));
}

#[test]
fn an_abstract_socket_of_where_it_was_started_will_do_though_it_captures_elsewhere() {
    let (here, there) = (Namespace::silent(), Namespace::silent());
    let name = format!("nodecap-test-{}", std::process::id());
    let manager = here.run(|| {
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        UnixDatagram::bind_addr(&address).unwrap()
    });
    let pid = there.pid().to_string();
    let capture = Nodecap::new(&here, &["capture", "--pid", &pid, "-w", "/dev/null"])
        .args(["--metrics", "0"])
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .start();
    assert!(told(&manager).starts_with("READY=1\n"));
    // Likewise who asks for figures.
    let page = lab::metrics::scrape(&here, lab::metrics::address(&capture));
    assert!(page.value("nodecap_interfaces") >= 1.0);
    capture.stop();
}

#[test]
fn the_watchdog_goes_hungry_once_the_thread_that_moves_packets_stands_still() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (manager, capture) = managed(&wire, &scratch, "20000");
    let capture = capture.start();
    wait_to_be_told(&manager, "WATCHDOG=1");
    let held = capture.process().hold("mover");
    // What was fed before it stood still.
    manager.set_nonblocking(true).unwrap();
    let mut bytes = [0; 256];
    while manager.recv(&mut bytes).is_ok() {}
    // At most one more: the rounds since the last one.
    manager.set_nonblocking(false).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut fed = 0;
    while let Ok(len) = manager.recv(&mut bytes) {
        fed += usize::from(&bytes[..len] == b"WATCHDOG=1");
        assert!(fed < 2, "it is fed while the mover stands still");
    }
    drop(held);
    wait_to_be_told(&manager, "WATCHDOG=1");
    capture.stop();
}

/// The unit, with the binary under test in it.
fn unit(folder: &Path) -> std::path::PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nodecap.service");
    let text = fs::read_to_string(docs).unwrap();
    assert!(text.contains("/usr/local/bin/nodecap"));
    let binary = nodecap::binary().display().to_string();
    let path = folder.join("nodecap.service");
    fs::write(&path, text.replace("/usr/local/bin/nodecap", &binary)).unwrap();
    path
}

#[test]
fn under_systemd_the_unit_is_ready_rotates_on_reload_and_ends_cleanly() {
    if let Some(why) = Systemd::missing() {
        eprintln!("skipped: {why}");
        return;
    }
    const UNIT: &str = "nodecap.service";
    let wire = Wire::new();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nodecap.service");
    let unit = fs::read_to_string(docs).unwrap();
    let systemd = Systemd::start(&wire.namespace, UNIT, &unit);
    // It comes back once everything is attached and open.
    systemd.systemctl(&format!("start {UNIT}"));
    assert_eq!(systemd.property(UNIT, "ActiveState"), "active");
    let status = systemd.property(UNIT, "StatusText");
    assert!(status.starts_with("listening on"), "{status}");
    assert!(status.contains(Wire::CATCHER), "{status}");
    wire.send(&corpus::rich());
    let file = |number: u32| {
        systemd.path(&format!(
            "/var/log/private/nodecap/node.{number:05}.pcapng.zst"
        ))
    };
    systemd.systemctl(&format!("reload {UNIT}"));
    wait_until("another file", || file(2).exists());
    systemd.systemctl(&format!("stop {UNIT}"));
    for (property, value) in [
        ("ActiveState", "inactive"),
        ("Result", "success"),
        ("ExecMainStatus", "0"),
        ("NRestarts", "0"),
    ] {
        assert_eq!(systemd.property(UNIT, property), value, "{property}");
    }
    let explained = Nodecap::new(&wire.namespace, &["explain"])
        .args([file(1)])
        .run();
    assert_eq!(explained.code(), Some(0), "{}", explained.stderr);
}

#[test]
fn systemd_has_no_complaint_about_the_unit() {
    need!("program systemd-analyze");
    let scratch = Scratch::new();
    let unit = unit(scratch.folder());
    let mut verify = Command::new(tool::path("systemd-analyze"));
    verify.args([OsStr::new("verify"), "--man=no".as_ref(), unit.as_os_str()]);
    let said = tool::run(&mut verify);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let about_it: Vec<_> = said
        .lines()
        .filter(|line| line.contains("nodecap"))
        .collect();
    assert!(about_it.is_empty(), "{said}");
}
