//! Interfaces that go and come while a capture runs.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

#[path = "common/attached.rs"]
mod attached;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use attached::{attached, wait_until_nothing_is_attached};
use lab::cgroup::Groups;
use lab::compare::assert_same;
use lab::frames::{EXPERIMENT, corpus, ethernet};
use lab::metrics;
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::add_wire;
use lab::wait::wait_until;
use lab::{Signal, need, replay, tool, tools};

#[test]
fn one_that_is_removed_is_told_of_and_the_others_go_on() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "stays-in", "stays-out", 1_500);
    add_wire(&namespace, "goes-in", "goes-out", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("two.pcapng");
    let capture = Nodecap::capture(&namespace, "goes-out")
        .args(["-i", "stays-out"])
        .write(&file)
        .start();
    let sent = corpus::rich();
    let count = sent.len() as u64;
    replay::send(&namespace, "goes-in", &sent);
    capture.wait_until_captured(count);
    let said = capture.process().stderr().len();
    namespace.ip("link del goes-out");
    capture
        .process()
        .wait_for_stderr("a word about goes-out", |text| {
            text[said..].contains("goes-out").then_some(())
        });
    replay::send(&namespace, "stays-in", &sent);
    capture.wait_until_captured(2 * count);
    let counts = capture.stop().counts();
    assert_eq!(
        (counts.received, counts.captured, counts.dropped),
        (2 * count, 2 * count, 0)
    );

    let written = CaptureFile::read(&file);
    for interface in ["goes-out", "stays-out"] {
        assert_same(&written.packets_of(interface), &sent);
        assert_eq!(written.statistics_of(interface).dropped, Some(0));
    }
    tools::assert_readable(&file);
    wait_until_nothing_is_attached(&namespace);
}

#[test]
fn with_none_left_the_file_is_finished_and_the_capture_ends() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "goes-in", "goes-out", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("one.pcapng");
    let capture = Nodecap::capture(&namespace, "goes-out")
        .write(&file)
        .start();
    let sent = corpus::rich();
    replay::send(&namespace, "goes-in", &sent);
    namespace.ip("link del goes-out");
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(
        finished.stop_reason().contains("interface"),
        "{}",
        finished.stop_reason()
    );
    assert_eq!(finished.counts().captured, sent.len() as u64);
    let written = CaptureFile::read(&file);
    assert_same(&written.packets, &sent);
    assert_eq!(written.statistics.len(), 1);
    tools::assert_readable(&file);
}

#[test]
fn a_glob_takes_interfaces_that_appear_later() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "there-in", "pod-there", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("glob.pcapng");
    let capture = Nodecap::capture(&namespace, "pod-*").write(&file).start();
    assert_eq!(attached(&namespace).len(), 2);
    add_wire(&namespace, "later-in", "pod-later", 1_500);
    wait_until("programs on both links that the glob matches", || {
        attached(&namespace).len() == 4
    });
    let sent = corpus::rich();
    let count = sent.len() as u64;
    replay::send(&namespace, "later-in", &sent);
    capture.wait_until_captured(count);
    replay::send(&namespace, "there-in", &sent);
    capture.wait_until_captured(2 * count);
    capture.stop();
    let written = CaptureFile::read(&file);
    for interface in ["pod-there", "pod-later"] {
        assert_same(&written.packets_of(interface), &sent);
    }
    assert_eq!(written.statistics.len(), 2);
    tools::assert_readable(&file);
    wait_until_nothing_is_attached(&namespace);
}

#[test]
fn any_takes_interfaces_that_appear_later_and_those_that_come_up() {
    let namespace = Namespace::silent();
    let capture = Nodecap::capture(&namespace, "any")
        .args(["-w", "/dev/null"])
        .start();
    namespace.ip("link add one-in type veth peer name one-out");
    namespace.ip("link set one-in up");
    namespace.ip("link set one-out up");
    // Loopback and both ends.
    wait_until("programs on all links", || attached(&namespace).len() == 6);
    replay::send(&namespace, "one-in", &corpus::rich());
    // Each frame goes out at one end and comes in at the other.
    capture.wait_until_captured(2 * corpus::rich().len() as u64);
    capture.stop();
}

/// So many links appear at a time, and so often.
const AT_ONCE: usize = 100;
const ROUNDS: usize = 11;

#[test]
fn of_more_than_a_thousand_that_come_and_go_each_packet_and_each_interface_is_accounted_for() {
    let (namespace, scratch) = (Namespace::silent(), Scratch::new());
    add_wire(&namespace, "in-first", "pod-first", 1_500);
    // Without queries of its own.
    namespace.ip("link add hub type bridge mcast_snooping 0");
    namespace.ip("link set hub up");
    let file = scratch.path("churn.pcapng");
    let capture = Nodecap::capture(&namespace, "pod-*")
        // Each way of each takes a grace period: one way will do.
        .args(["-n", "-v", "--metrics", "0", "-Q", "in"])
        .write(&file)
        .start();
    let address = metrics::address(&capture);
    // Opens what is made on first use.
    drop(metrics::scrape(&namespace, address));
    let descriptors = || {
        let open = format!("/proc/{}/fd", capture.process().pid());
        fs::read_dir(open).unwrap().count()
    };
    let at_first = descriptors();
    let batch = |lines: String| {
        let path = scratch.path("batch");
        fs::write(&path, lines).unwrap();
        tool::run(namespace.command("ip").arg("-batch").arg(path));
    };
    let wait_for = |what: &str, count: usize| {
        capture.process().wait_for_stderr(what, |text| {
            let lines = text.lines().filter(|line| line.contains(what));
            (lines.count() == count).then_some(())
        });
    };
    // Goes out at every port of the bridge, and comes in at the other end of each.
    let mut frame = ethernet(EXPERIMENT, b"to everybody");
    frame[..6].fill(0xff);
    for round in 1..=ROUNDS {
        let these = || (0..AT_ONCE).map(|n| (round, n));
        batch(these().map(|(round, n)| {
            format!(
                "link add pod-{round}-{n} type veth peer name in-{round}-{n}\nlink set in-{round}-{n} master hub up\nlink set pod-{round}-{n} up\n"
            )
        }).collect());
        wait_for(" too", round * AT_ONCE);
        wait_until("every port to forward", || {
            let ports = namespace.ip("-d link show master hub");
            let ports = String::from_utf8_lossy(&ports.stdout).into_owned();
            ports.matches("state forwarding").count() == AT_ONCE
        });
        replay::send(&namespace, "hub", std::slice::from_ref(&frame));
        capture.wait_until_captured((round * AT_ONCE) as u64);
        batch(
            these()
                .map(|(round, n)| format!("link del pod-{round}-{n}\n"))
                .collect(),
        );
        wait_for(" is gone: ", round * AT_ONCE);
    }
    let all = (ROUNDS * AT_ONCE) as u64;
    let page = metrics::scrape(&namespace, address);
    assert_eq!(page.value("nodecap_packets_captured_total") as u64, all);
    assert_eq!(page.value("nodecap_interfaces") as u64, 1);
    // The first one, and those that went last, are told of one by one.
    for figure in ["received", "captured"] {
        let name = format!("nodecap_interface_packets_{figure}_total");
        let samples = page.samples.iter();
        let told: Vec<_> = samples
            .filter(|((family, _), _)| *family == name)
            .map(|((_, labels), value)| (labels["interface"] == "pod-first", *value as u64))
            .collect();
        let expected = |told: &(bool, u64)| told.1 == u64::from(!told.0);
        assert!(told.len() == 1_001 && told.iter().all(expected), "{told:?}");
    }
    wait_until("no more descriptors than at first", || {
        descriptors() <= at_first
    });
    let finished = capture.stop();
    let counts = finished.counts();
    assert_eq!(
        (counts.received, counts.captured, counts.dropped),
        (all, all, 0)
    );
    let ledger: Vec<_> = finished
        .stderr
        .lines()
        .filter(|line| line.contains(" received by filter = "))
        .collect();
    assert_eq!(ledger.len(), 1_002);
    let older = format!(
        "{0} interfaces gone before the last 1000: {0} received by filter = {0} captured",
        all - 1_000
    );
    assert!(ledger[1_001].starts_with(&older), "{}", ledger[1_001]);

    let written = CaptureFile::read(&file);
    assert_eq!(written.packets.len() as u64, all);
    assert_eq!(written.interfaces.len() as u64, all + 1);
    assert_eq!(written.statistics.len() as u64, all + 1);
    let statistics: BTreeSet<_> = written
        .statistics
        .iter()
        .map(|block| (block.interface as u64, block.accepted, block.dropped))
        .collect();
    // The first one is the first there too.
    let expected = (0..=all).map(|id| (id, Some(u64::from(id > 0)), Some(0)));
    assert_eq!(statistics, expected.collect());
    tools::assert_readable(&file);
}

/// A veth pair between them, the pod's end up.
fn wire(node: &Namespace, pod: &Namespace, name: &str) {
    let inside = pod.pid();
    node.ip(&format!(
        "link add {name} type veth peer name eth0 netns {inside}"
    ));
    pod.ip("link set eth0 up");
}

/// What the file says of the interface with that name.
fn said_of(written: &CaptureFile, name: &str) -> String {
    let mut named = written.interfaces.iter();
    let one = named.find(|it| it.name.as_deref() == Some(name));
    one.and_then(|it| it.description.clone())
        .unwrap_or_default()
}

#[test]
fn a_pod_that_joins_is_described_with_what_is_behind_it_though_its_packets_come_at_once() {
    let (node, scratch) = (Namespace::silent(), Scratch::new());
    add_wire(&node, "in-first", "pod-first", 1_500);
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&node, "pod-*").write(&file).start();
    let sent = corpus::rich();
    let pods: Vec<_> = (0..4).map(|_| Namespace::silent()).collect();
    for (n, pod) in pods.iter().enumerate() {
        let name = format!("pod-{n}");
        wire(&node, pod, &name);
        node.ip(&format!("link set {name} up"));
        wait_until("programs there", || attached(&node).len() == 2 * (n + 2));
        replay::send(pod, "eth0", &sent);
    }
    capture.wait_until_captured((pods.len() * sent.len()) as u64);
    capture.stop();
    let written = CaptureFile::read(&file);
    assert_eq!(written.interfaces.len(), 1 + pods.len());
    for (n, pod) in pods.iter().enumerate() {
        let name = format!("pod-{n}");
        let (said, who) = (said_of(&written, &name), format!("(pid {})", pod.pid()));
        assert!(said.ends_with(&format!("{who} (eth0)")), "{said}");
        assert_same(&written.packets_of(&name), &sent);
    }
    tools::assert_readable(&file);
}

#[test]
fn packets_do_not_wait_for_an_engine_that_hangs_and_the_next_file_says_what_it_did_not() {
    let (node, scratch) = (Namespace::silent(), Scratch::new());
    add_wire(&node, "in-first", "pod-first", 1_500);
    let pod = Namespace::silent();
    let groups = Groups::new(&node, "lab-hangs");
    groups.put(pod.pid(), &format!("docker/{}", "a".repeat(64)));
    // Nobody answers there.
    let socket = scratch.path("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let folder = scratch.path("files");
    fs::create_dir(&folder).unwrap();
    let capture = Nodecap::capture(&node, "pod-*")
        .args(["-C", "1M"])
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .write(&folder.join("x.pcapng"))
        .start();
    wire(&node, &pod, "pod-late");
    node.ip("link set pod-late up");
    capture.wait_for_mention("listening on pod-late too");
    let sent = corpus::rich();
    replay::send(&pod, "eth0", &sent);
    capture.wait_until_captured(sent.len() as u64);
    let files = || {
        let written = fs::read_dir(&folder).unwrap();
        let mut files: Vec<_> = written.map(|it| it.unwrap().path()).collect();
        files.sort();
        files
    };
    wait_until("a file that says what is behind the pod", || {
        let before = files();
        capture.signal(Signal::SIGHUP);
        wait_until("another file", || files().len() > before.len());
        // The last but one is complete.
        let complete = files().into_iter().nth_back(1).unwrap();
        let said = said_of(&CaptureFile::read(&complete), "pod-late");
        said.ends_with(", container aaaaaaaaaaaa (eth0)")
    });
    capture.stop();
    drop(listener);
    let mut packets = Vec::new();
    for path in files() {
        let written = CaptureFile::read(&path);
        assert_eq!(written.statistics.len(), written.interfaces.len());
        packets.extend(written.packets);
    }
    assert_same(&packets, &sent);
}

#[test]
fn what_is_removed_or_renamed_before_its_turn_comes_is_not_taken_for_what_it_was() {
    // By clsact it takes no time to attach to them all.
    need!("tcx");
    let (node, scratch) = (Namespace::silent(), Scratch::new());
    let many = (0..100).map(|n| {
        format!(
            "link add pod-{n} type veth peer name in-{n}\nlink set in-{n} up\nlink set pod-{n} up\n"
        )
    });
    fs::write(scratch.path("batch"), many.collect::<String>()).unwrap();
    tool::run(node.command("ip").arg("-batch").arg(scratch.path("batch")));
    let index = node.outside(Path::new("/sys/class/net/pod-99/ifindex"));
    let index = fs::read_to_string(index).unwrap();
    let file = scratch.path("x.pcapng");
    // Each takes a grace period, and they have their turns in the order of their indices.
    let capture = Nodecap::capture(&node, "pod-*")
        .args(["-Q", "in"])
        .write(&file)
        .spawn();
    drop(capture.process().hold("mover"));
    let held = capture.process().hold("nodecap");
    node.ip("link del pod-99");
    node.ip(&format!(
        "link add other index {index} type veth peer name in-other"
    ));
    for up in ["other", "in-other"] {
        node.ip(&format!("link set {up} up"));
    }
    for (name, new) in [("pod-98", "another"), ("pod-97", "pod-new")] {
        node.ip(&format!("link set {name} down"));
        node.ip(&format!("link set {name} name {new} up"));
    }
    drop(held);
    capture.wait_for_mention("listening on pod-new too");
    let sent = corpus::rich();
    for from in ["in-other", "in-98", "in-97", "in-0"] {
        replay::send(&node, from, &sent);
    }
    capture.wait_until_captured(2 * sent.len() as u64);
    let counts = capture.stop().counts();
    assert_eq!(counts.received, 2 * sent.len() as u64);
    let written = CaptureFile::read(&file);
    for interface in ["pod-new", "pod-0"] {
        assert_same(&written.packets_of(interface), &sent);
    }
}
