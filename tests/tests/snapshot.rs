//! `--snapshot` tells the state of the network stack before and after, and exactly what changed.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use lab::namespace::Namespace;
use lab::nodecap::{Capture, Nodecap};
use lab::scratch::Scratch;
use lab::tool;
use lab::topology::add_wire;
use lab::{Signal, need};
use serde_json::Value;

/// A capture to nowhere, with snapshots in this file.
#[track_caller]
fn capture(node: &Namespace, arguments: &[&str], file: &Path) -> Capture {
    let name = file.display().to_string();
    let command = [
        &["capture", "-w", "/dev/null", "--snapshot", &name],
        arguments,
    ]
    .concat();
    Nodecap::new(node, &command).start()
}

#[track_caller]
fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn changes(snapshots: &Value) -> &Vec<Value> {
    snapshots["difference"]["changes"].as_array().unwrap()
}

/// Each change: the namespace, the section, the entry, what happened.
fn told(snapshots: &Value) -> BTreeSet<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    changes(snapshots)
        .iter()
        .map(|change| ["namespace", "section", "entry", "change"].map(|key| text(&change[key])))
        .collect()
}

fn expected(all: &[[&str; 4]]) -> BTreeSet<[String; 4]> {
    all.iter().map(|one| one.map(str::to_owned)).collect()
}

fn nft(node: &Namespace, script: &str) {
    tool::run(node.command("nft").arg(script));
}

#[test]
fn every_change_is_found_in_the_difference_and_nothing_else() {
    let node = Namespace::silent();
    add_wire(&node, "wire-in", "wire-out", 1_500);
    add_wire(&node, "goes", "goes-too", 1_500);
    nft(
        &node,
        "table netdev lab { chain seen { \
         type filter hook ingress device \"wire-in\" priority 0; counter comment \"all\"; }; }",
    );
    let scratch = Scratch::new();
    let file = scratch.path("state.json");
    let capture = capture(&node, &["-i", "wire-in"], &file);
    let sent = lab::frames::corpus::rich();
    lab::replay::send(&node, "wire-out", &sent);
    capture.wait_until_captured(sent.len() as u64);
    node.ip("route add 198.51.100.0/24 dev wire-in metric 5");
    node.ip("neigh add 198.51.100.7 lladdr 02:00:00:00:00:07 dev wire-in");
    node.ip("rule add priority 77 fwmark 0x7 lookup 78");
    node.sysctl("net.ipv4.tcp_fin_timeout", "33");
    node.ip("link del goes");
    let finished = capture.stop();
    assert!(
        finished.stderr.contains(" changes between the snapshots"),
        "{}",
        finished.stderr
    );

    let snapshots = read(&file);
    let of = |name: &str| format!("net.ipv4.conf.{name}");
    let (goes, too) = (of("goes"), of("goes-too"));
    let gone = [
        format!("{goes}.rp_filter"),
        format!("{goes}.forwarding"),
        format!("{too}.rp_filter"),
        format!("{too}.forwarding"),
    ];
    let mut wanted = expected(&[
        ["node", "links", "wire-in", "changed"],
        ["node", "links", "wire-out", "changed"],
        ["node", "links", "goes", "removed"],
        ["node", "links", "goes-too", "removed"],
        [
            "node",
            "routes",
            "inet main 198.51.100.0/24 dev wire-in metric 5",
            "added",
        ],
        ["node", "neighbours", "wire-in 198.51.100.7", "added"],
        [
            "node",
            "rules",
            "inet 77: fwmark 0x7/0xffffffff lookup 78",
            "added",
        ],
        [
            "node",
            "nftables",
            "rule netdev lab seen handle 2",
            "changed",
        ],
        ["node", "sysctls", "net.ipv4.tcp_fin_timeout", "changed"],
    ]);
    wanted.extend(expected(
        &gone
            .each_ref()
            .map(|name| ["node", "sysctls", name, "removed"]),
    ));
    assert_eq!(told(&snapshots), wanted, "{snapshots:#}");

    let find = |entry: &str| {
        let mut all = changes(&snapshots).iter();
        all.find(|change| change["entry"] == entry).unwrap()
    };
    // The counters by how much they have grown, and nothing of the link but counters.
    let count = sent.len();
    let wire = &find("wire-in")["fields"];
    assert_eq!(wire["statistics.rx_packets"]["by"], count, "{wire:#}");
    let fields: Vec<_> = wire.as_object().unwrap().keys().collect();
    assert!(
        fields.iter().all(|field| field.starts_with("statistics.")),
        "{wire:#}"
    );
    let rule = &find("rule netdev lab seen handle 2")["fields"];
    assert_eq!(rule["packets"]["by"], count, "{rule:#}");
    let timeout = find("net.ipv4.tcp_fin_timeout");
    assert_eq!(
        (&timeout["before"], &timeout["after"]),
        (&Value::from("60"), &Value::from("33"))
    );
    assert_eq!(find("goes")["before"]["device"], "veth");

    // What can't be known here is said, and no more than that.
    let unknown = snapshots["difference"]["not_compared"].as_array().unwrap();
    let sections = unknown.iter().map(|it| it["section"].as_str().unwrap());
    let possible = ["ipvs", "conntrack"];
    for section in sections {
        assert!(possible.contains(&section), "{unknown:#?}");
    }
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn rules_of_iptables_legacy_are_told_with_what_they_counted() {
    need!("iptables-legacy");
    let node = Namespace::new();
    let legacy = |program: &str, words: &str| {
        tool::run(node.command(program).args(words.split(' ')));
    };
    legacy("iptables-legacy", "-N pings");
    legacy(
        "iptables-legacy",
        "-A pings -m comment --comment seen -j RETURN",
    );
    let jump = "-i lo -p icmp -m icmp --icmp-type 8 -j pings";
    legacy("iptables-legacy", &format!("-A INPUT {jump}"));
    legacy("ip6tables-legacy", "-P FORWARD DROP");
    let scratch = Scratch::new();
    let file = scratch.path("state.json");
    let capture = capture(&node, &["-i", "lo"], &file);
    // First, since iptables has the policies count anew whenever it changes a table.
    let barred = "-s 192.0.2.0/24 ! -p tcp -j DROP";
    legacy("iptables-legacy", &format!("-I INPUT {barred}"));
    tool::run(node.command("ping").args(["-c3", "-i0.01", "127.0.0.1"]));
    legacy("ip6tables-legacy", "-P FORWARD ACCEPT");
    capture.stop();

    let snapshots = read(&file);
    let all = changes(&snapshots).iter();
    let of_firewall: Vec<_> = all
        .filter(|change| change["section"] == "iptables_legacy")
        .collect();
    let find = |entry: &str| {
        let found = of_firewall.iter().find(|change| change["entry"] == entry);
        *found.unwrap_or_else(|| panic!("no `{entry}` in {of_firewall:#?}"))
    };
    // Requests and replies, two hooks; and three rules, of which the new one moved nothing.
    let jump = format!("rule ip filter INPUT {jump}");
    for (entry, packets) in [
        ("chain ip filter INPUT", 6),
        ("chain ip filter OUTPUT", 6),
        (&jump, 3),
        ("rule ip filter pings -j RETURN", 3),
    ] {
        let fields = &find(entry)["fields"];
        assert_eq!(fields["packets"]["by"], packets, "{entry}: {fields:#}");
        assert_eq!(fields["bytes"]["by"], 84 * packets, "{entry}: {fields:#}");
        assert_eq!(fields.as_object().unwrap().len(), 2, "{entry}: {fields:#}");
    }
    let added = find(&format!("rule ip filter INPUT {barred}"));
    assert_eq!(added["change"], "added");
    let policy = &find("chain ip6 filter FORWARD")["fields"]["policy"];
    assert_eq!(
        (&policy["before"], &policy["after"]),
        (&Value::from("DROP"), &Value::from("ACCEPT"))
    );
    assert_eq!(of_firewall.len(), 6, "{of_firewall:#?}");
    let before = &snapshots["before"]["namespaces"][0]["sections"]["iptables_legacy"]["entries"];
    let pings = &before["rule ip filter pings -j RETURN"];
    assert_eq!(pings["comment"], "seen", "{before:#}");
}

#[test]
fn the_namespaces_of_what_is_captured_are_told_too_also_when_they_go() {
    let (node, pod) = (Namespace::silent(), Namespace::silent());
    node.ip(&format!(
        "link add to-pod type veth peer name eth0 netns {}",
        pod.pid()
    ));
    node.ip("link set to-pod up");
    let scratch = Scratch::new();
    let file = scratch.path("state.json");
    let pid = pod.pid().to_string();
    let running = capture(&node, &["--pid", &pid], &file);
    pod.ip("route add blackhole 203.0.113.0/24");
    running.stop();
    let name = format!("pid {pid}");
    let route = "inet main 203.0.113.0/24 blackhole";
    let wanted = expected(&[[&name, "routes", route, "added"]]);
    assert_eq!(told(&read(&file)), wanted);

    let running = capture(&node, &["--pid", &pid], &file);
    drop(pod);
    running.wait();
    let told = told(&read(&file));
    assert!(
        told.contains(&[&*name, "-", "-", "removed"].map(str::to_owned)),
        "{told:?}"
    );
    let gone = ["node", "links", "to-pod", "removed"];
    assert!(told.contains(&gone.map(str::to_owned)), "{told:?}");
}

#[test]
fn a_capture_that_is_killed_leaves_the_state_before_it() {
    let node = Namespace::silent();
    add_wire(&node, "wire-in", "wire-out", 1_500);
    let scratch = Scratch::new();
    let file = scratch.path("state.json");
    let running = capture(&node, &["-i", "wire-in"], &file);
    running.signal(Signal::SIGKILL);
    running.wait();
    let left = read(&file);
    let links = &left["before"]["namespaces"][0]["sections"]["links"]["entries"];
    assert_eq!(links["wire-in"]["mtu"], 1_500, "{left:#}");
    assert!(left["after"].is_null() && left["difference"].is_null());
    let entries = fs::read_dir(scratch.folder()).unwrap().count();
    assert_eq!(entries, 1, "nothing beside it");
}

#[test]
fn what_must_not_be_written_to_is_refused_before_anything_happens() {
    let node = Namespace::silent();
    add_wire(&node, "wire-in", "wire-out", 1_500);
    let scratch = Scratch::new();
    let (target, link) = (scratch.path("target"), scratch.path("link"));
    fs::write(&target, "mine").unwrap();
    symlink(&target, &link).unwrap();
    let run = |arguments: &[&str]| {
        let command = [&["capture", "-i", "wire-in"], arguments].concat();
        Nodecap::new(&node, &command).run()
    };
    let link = link.display().to_string();
    let refused = run(&["-w", "/dev/null", "--snapshot", &link]);
    assert_eq!(refused.code(), Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("no ordinary file"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    let same = scratch.path("same").display().to_string();
    let refused = run(&["-w", &same, "--snapshot", &same]);
    assert_eq!(refused.code(), Some(2), "{}", refused.stderr);
    // One that can't begin leaves nothing.
    let file = scratch.path("state.json").display().to_string();
    let refused = run(&["-i", "nowhere0", "-w", "/dev/null", "--snapshot", &file]);
    assert_ne!(refused.code(), Some(0));
    assert_eq!(fs::read_dir(scratch.folder()).unwrap().count(), 2);
}
