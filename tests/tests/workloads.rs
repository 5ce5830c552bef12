//! `--pid`, `--netns` and `--bridge` find the interfaces that nobody wants to look up.

#[path = "common/attached.rs"]
mod attached;

use std::fs;
use std::path::Path;

use attached::{attached, wait_until_nothing_is_attached};
use lab::namespace::Namespace;
use lab::need;
use lab::nodecap::{Capture, Nodecap};
use lab::process::Finished;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::tool;
use lab::topology::{Node, add_wire};
use lab::wait::wait_until;

/// The interfaces that a capture with these arguments listens on, as it says.
#[track_caller]
fn listens_on(namespace: &Namespace, arguments: &[&str]) -> Vec<String> {
    let command = [&["capture", "-w", "/dev/null"], arguments].concat();
    let capture = Nodecap::new(namespace, &command).start();
    let names = names(&capture);
    capture.stop();
    names
}

fn names(capture: &Capture) -> Vec<String> {
    let line = capture.wait_for_line("listening on ");
    let names = line
        .strip_prefix("listening on ")
        .and_then(|rest| rest.strip_suffix(", snapshot length 262144 bytes"));
    let names = names.unwrap_or_else(|| panic!("{line}"));
    names.split(", ").map(String::from).collect()
}

#[track_caller]
fn refused(namespace: &Namespace, arguments: &[&str], code: i32, words: &[&str]) {
    let command = [&["capture", "-w", "/dev/null"], arguments].concat();
    let finished: Finished = Nodecap::new(namespace, &command).run();
    let said = &finished.stderr;
    assert_eq!(finished.code(), Some(code), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: no `{word}` in: {said}");
    }
    wait_until_nothing_is_attached(namespace);
}

/// Gives a namespace a name, as `ip netns` does, among the files that `here` sees.
#[track_caller]
fn attach(here: &Namespace, name: &str, namespace: &Namespace) {
    let pid = namespace.pid().to_string();
    tool::run(here.command("ip").args(["netns", "attach", name, &pid]));
}

/// A link pair from `here` to `there`, both ends up.
#[track_caller]
fn connect(here: &Namespace, name: &str, there: &Namespace, far: &str) {
    here.ip(&format!(
        "link add {name} type veth peer name {far} netns {}",
        there.pid()
    ));
    there.ip(&format!("link set {far} up"));
    here.ip(&format!("link set {name} up"));
}

#[test]
fn a_pod_is_found_by_its_process_and_its_packets_show_there() {
    let lab = Node::new();
    let scratch = Scratch::new();
    let file = scratch.path("pod.pcapng");
    let pid = lab.pod.pid().to_string();
    let capture = Nodecap::new(&lab.node, &["capture", "--pid", &pid])
        .write(&file)
        .start();
    assert_eq!(names(&capture), [Node::POD_PORT]);
    tool::run(
        lab.pod
            .command("ping")
            .args(["-c1", "-W5", Node::OUTSIDE_V4]),
    );
    capture.wait_until_captured(2);
    capture.stop();
    let written = CaptureFile::read(&file);
    assert!(written.packets_of(Node::POD_PORT).len() >= 2);
    wait_until_nothing_is_attached(&lab.node);
}

#[test]
fn all_interfaces_that_lead_into_a_namespace_are_taken_and_no_others() {
    let node = Namespace::silent();
    let (pod, other) = (Namespace::silent(), Namespace::silent());
    connect(&node, "net-a", &pod, "eth0");
    connect(&node, "elsewhere", &other, "eth0");
    connect(&node, "net-b", &pod, "eth1");
    let path = pod.path();
    let path = path.to_str().unwrap_or_default();
    assert_eq!(listens_on(&node, &["--netns", path]), ["net-a", "net-b"]);
    assert_eq!(
        listens_on(&node, &["-i", "elsewhere", "--netns", path]),
        ["elsewhere", "net-a", "net-b"]
    );
    let (pid, other) = (pod.pid().to_string(), other.pid().to_string());
    assert_eq!(
        listens_on(&node, &["--pid", &pid, "--pid", &other, "-i", "net-b"]),
        ["net-b", "net-a", "elsewhere"]
    );
}

#[test]
fn a_namespace_is_found_by_the_name_that_ip_netns_gave_it() {
    let node = Namespace::silent();
    let pod = Namespace::silent();
    connect(&node, "to-blue", &pod, "eth0");
    tool::run(node.command("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    attach(&node, "blue", &pod);
    assert_eq!(listens_on(&node, &["--netns", "blue"]), ["to-blue"]);
    refused(&node, &["--netns", "bleu"], 2, &["bleu", "blue"]);
}

#[test]
fn an_interface_that_a_namespace_gets_later_is_taken() {
    let node = Namespace::silent();
    let pod = Namespace::silent();
    connect(&node, "first", &pod, "eth0");
    let pid = pod.pid().to_string();
    let capture = Nodecap::new(&node, &["capture", "-w", "/dev/null", "--pid", &pid]).start();
    connect(&node, "second", &pod, "eth1");
    capture.wait_for_mention("listening on second");
    // Elsewhere isn't there.
    let other = Namespace::silent();
    connect(&node, "elsewhere", &other, "eth0");
    connect(&node, "third", &pod, "eth2");
    capture.wait_for_mention("listening on third");
    let finished = capture.stop();
    assert!(
        !finished.stderr.contains("elsewhere"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_number_that_goes_from_a_dead_pod_to_a_new_one_fools_nobody() {
    let node = Namespace::silent();
    add_wire(&node, "stays-in", "stays-out", 1_500);
    let pod = Namespace::silent();
    connect(&node, "of-the-dead", &pod, "eth0");
    let id = number(&node, "of-the-dead");
    let pid = pod.pid().to_string();
    let arguments = [
        "capture",
        "-w",
        "/dev/null",
        "-i",
        "stays-in",
        "--pid",
        &pid,
    ];
    let capture = Nodecap::new(&node, &arguments).start();
    assert_eq!(names(&capture), ["stays-in", "of-the-dead"]);
    drop(pod);
    capture.wait_for_mention("of-the-dead is gone");
    let next = Namespace::silent();
    connect(&node, "of-the-next", &next, "eth0");
    assert_eq!(
        number(&node, "of-the-next"),
        id,
        "the kernel gives the lowest free one"
    );
    // What comes after it on the same socket has been seen when it has.
    node.ip("link del stays-in");
    capture.wait_for_mention("stays-in is gone: none left");
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(
        !finished.stderr.contains("of-the-next"),
        "{}",
        finished.stderr
    );
}

/// The number of the namespace that a link leads into.
#[track_caller]
fn number(namespace: &Namespace, link: &str) -> String {
    let shown = namespace.ip(&format!("link show {link}"));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let after = shown.split_once("link-netnsid ").map(|(_, rest)| rest);
    let number = after.and_then(|rest| rest.split_whitespace().next());
    number.unwrap_or_else(|| panic!("{shown}")).to_owned()
}

#[test]
fn a_capture_of_a_process_ends_with_its_last_interface() {
    let node = Namespace::silent();
    let pod = Namespace::silent();
    connect(&node, "to-pod", &pod, "eth0");
    let pid = pod.pid().to_string();
    let capture = Nodecap::new(&node, &["capture", "-w", "/dev/null", "--pid", &pid]).start();
    drop(pod);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stop_reason().contains("interface"));
}

#[test]
fn a_namespace_that_no_interface_leads_into_is_captured_from_inside() {
    let node = Namespace::silent();
    let island = Namespace::silent();
    add_wire(&island, "one-in", "one-out", 1_500);
    let path = island.path();
    let path = path.to_str().unwrap_or_default();
    let scratch = Scratch::new();
    let file = scratch.path("island.pcapng");
    let capture = Nodecap::new(&node, &["capture", "--netns", path])
        .write(&file)
        .start();
    let mut inside = names(&capture);
    inside.sort();
    assert_eq!(inside, ["lo", "one-in", "one-out"]);
    capture.wait_for_mention("captured from inside");
    assert_eq!(attached(&island).len(), 6);
    assert!(attached(&node).is_empty());
    let sent = lab::frames::corpus::rich();
    lab::replay::send(&island, "one-in", &sent);
    capture.wait_until_captured(2 * sent.len() as u64);
    // What appears in there is taken too.
    add_wire(&island, "two-in", "two-out", 1_500);
    wait_until("programs on the new links", || {
        attached(&island).len() == 10
    });
    capture.stop();
    let written = CaptureFile::read(&file);
    lab::compare::assert_same(&written.packets_of("one-out"), &sent);
    wait_until_nothing_is_attached(&island);
    // The node's own interfaces can't be captured in the same go.
    refused(&node, &["-i", "lo", "--netns", path], 2, &["inside"]);
}

/// A pod on a link of this kind, which sits on one of the node's and leads nowhere that the node
/// could see. Its packets are captured in there.
#[track_caller]
fn assert_captured_from_inside(kind: &str) {
    let node = Namespace::silent();
    let pod = Namespace::silent();
    add_wire(&node, "below", "beyond", 1_500);
    node.ip(&format!("link add link below name eth0 type {kind}"));
    node.ip(&format!("link set eth0 netns {}", pod.pid()));
    pod.ip("addr add 192.0.2.7/24 dev eth0");
    pod.ip("link set eth0 up");
    let scratch = Scratch::new();
    let file = scratch.path("pod.pcapng");
    let pid = pod.pid().to_string();
    let capture = Nodecap::new(&node, &["capture", "--pid", &pid])
        .args(["--proto", "udp"])
        .write(&file)
        .start();
    assert_eq!(names(&capture), ["lo", "eth0"]);
    capture.wait_for_mention("captured from inside");
    assert!(attached(&node).is_empty());
    pod.ip("neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0");
    let socket = pod.udp("192.0.2.7:0");
    socket.send_to(b"hello", "192.0.2.9:9").expect("sent");
    capture.wait_until_captured(1);
    capture.stop();
    assert_eq!(CaptureFile::read(&file).packets_of("eth0").len(), 1);
    wait_until_nothing_is_attached(&pod);
}

#[test]
fn a_pod_on_a_macvlan_is_captured_from_inside() {
    assert_captured_from_inside("macvlan mode bridge");
}

#[test]
fn a_capture_from_inside_ends_with_the_process_that_it_was_for() {
    let (node, island) = (Namespace::silent(), Namespace::silent());
    let pid = island.pid().to_string();
    let capture = Nodecap::new(&node, &["capture", "-w", "/dev/null", "--pid", &pid]).start();
    assert_eq!(names(&capture), ["lo"]);
    // The capture itself keeps the namespace, and its loopback interface with it.
    drop(island);
    let finished = capture.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(finished.stop_reason().contains("interface"));
}

#[test]
fn a_pod_on_an_ipvlan_is_captured_from_inside() {
    need!("link ipvlan");
    assert_captured_from_inside("ipvlan mode l2");
    assert_captured_from_inside("ipvlan mode l3");
}

#[test]
fn a_name_that_two_namespaces_have_is_told_with_both() {
    let node = Namespace::silent();
    let (blue, other) = (Namespace::silent(), Namespace::silent());
    connect(&node, "to-blue", &blue, "eth0");
    connect(&node, "to-other", &other, "eth0");
    tool::run(node.command("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    attach(&node, "blue", &blue);
    let dockers = "/run/docker/netns/blue";
    tool::run(node.command("mkdir").args(["-p", "/run/docker/netns"]));
    tool::run(node.command("touch").arg(dockers));
    let bind = |namespace: &Namespace| {
        let mut mount = node.command("mount");
        mount.args(["--bind".as_ref(), namespace.path().as_os_str()]);
        tool::run(mount.arg(dockers));
    };
    bind(&other);
    refused(
        &node,
        &["--netns", "blue"],
        2,
        &["blue", "/run/netns/blue", dockers],
    );
    assert_eq!(listens_on(&node, &["--netns", dockers]), ["to-other"]);
    // One with two names is one.
    bind(&blue);
    assert_eq!(listens_on(&node, &["--netns", "blue"]), ["to-blue"]);
}

#[test]
fn what_is_on_the_nodes_own_network_is_refused_with_what_to_do_instead() {
    let node = Namespace::silent();
    let pid = node.pid().to_string();
    refused(
        &node,
        &["--pid", &pid],
        2,
        &["same network namespace", "-i any", "--port"],
    );
    let own = format!("/proc/{pid}/ns/net");
    refused(&node, &["--netns", &own], 2, &["same network namespace"]);
}

#[test]
fn what_is_not_there_is_wrong_usage() {
    let node = Namespace::silent();
    refused(
        &node,
        &["--pid", "4194305"],
        2,
        &["--pid 4194305", "no such process"],
    );
    refused(
        &node,
        &["--netns", "/nowhere"],
        2,
        &["/nowhere", "no such file"],
    );
    refused(
        &node,
        &["--netns", "/dev/null"],
        2,
        &["no network namespace"],
    );
    refused(&node, &["--bridge", "br9"], 2, &["br9", "no bridges here"]);
    let pod = Namespace::silent();
    connect(&node, "to-pod", &pod, "eth0");
    node.ip("link set to-pod down");
    let pid = pod.pid().to_string();
    refused(
        &node,
        &["--pid", &pid],
        1,
        &["to-pod", "down", "ip link set to-pod up"],
    );
}

#[test]
fn a_bridge_is_captured_on_with_the_ports_that_it_has_and_gets() {
    let node = Namespace::silent();
    node.ip("link add br0 type bridge");
    node.ip("link set br0 up");
    add_wire(&node, "port-a", "far-a", 1_500);
    add_wire(&node, "port-b", "far-b", 1_500);
    node.ip("link set port-a master br0");
    let scratch = Scratch::new();
    let file = scratch.path("bridge.pcapng");
    let capture = Nodecap::new(&node, &["capture", "--bridge", "br0"])
        .write(&file)
        .start();
    assert_eq!(names(&capture), ["br0", "port-a"]);
    node.ip("link set port-b master br0");
    capture.wait_for_mention("listening on port-b too");
    capture.stop();
    let mut described: Vec<_> = CaptureFile::read(&file)
        .interfaces
        .into_iter()
        .filter_map(|one| one.name)
        .collect();
    described.sort();
    assert_eq!(described, ["br0", "port-a", "port-b"]);
    let index = node.outside(Path::new("/sys/class/net/far-a/ifindex"));
    assert!(
        fs::read_to_string(index).is_ok(),
        "the others are as they were"
    );
    refused(&node, &["--bridge", "far-a"], 2, &["no bridge", "br0"]);
}
