//! `--snapshot` by those who may not read everything: what is missing is named in its place, and
//! the rest is there.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use lab::namespace::Namespace;
use lab::need;
use lab::nodecap::Nodecap;
use lab::scratch::Scratch;
use serde_json::Value;

/// The ordinary user of [`Nodecap::with_capabilities`].
const ORDINARY: u32 = 1_000;
/// Whom `-Z` makes of root here.
const USER: u32 = 65_534;

/// A folder that a user may write to, below one that he can reach.
fn folder_of(user: u32) -> Scratch {
    let scratch = Scratch::new();
    let anybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(scratch.folder(), anybody).unwrap();
    chown(scratch.folder(), Some(user), Some(user)).unwrap();
    scratch
}

/// A node with rules of nf_tables, and a pod.
fn node_and_pod() -> (Namespace, Namespace) {
    let (node, pod) = (Namespace::silent(), Namespace::silent());
    node.ip(&format!(
        "link add to-pod type veth peer name eth0 netns {}",
        pod.pid()
    ));
    node.ip("link set to-pod up");
    node.nft("add table inet lab");
    node.nft("add chain inet lab seen { type filter hook input priority 0; }");
    (node, pod)
}

#[track_caller]
fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// The node's part of one of the snapshots has it all, but for what this kernel hasn't and for
/// these sections.
#[track_caller]
fn assert_of_node(snapshot: &Value, but_for: &[&str]) {
    let node = &snapshot["namespaces"][0];
    assert_eq!(node["name"], "node", "{snapshot:#}");
    let sections = node["sections"].as_object().unwrap();
    assert_eq!(sections.len(), 11, "{snapshot:#}");
    for (name, section) in sections {
        let why = section["not_available"].as_str();
        let known = why.is_none_or(|why| why.contains("isn't loaded in this kernel"));
        assert!(known || but_for.contains(&name.as_str()), "{name}: {why:?}");
    }
    let rules = &sections["nftables"]["entries"];
    assert!(rules["chain inet lab seen"].is_object(), "{rules:#}");
    assert!(sections["links"]["entries"]["to-pod"].is_object());
}

/// The pod's part says why it isn't there.
#[track_caller]
fn assert_without_pod(snapshot: &Value) {
    let pod = &snapshot["namespaces"][1];
    let why = pod["not_available"].as_str().unwrap_or_default();
    assert!(why.contains("CAP_SYS_ADMIN"), "{pod:#}");
    assert!(
        pod["sections"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
    );
}

/// The one change is the node's, and the pod is among what wasn't compared.
#[track_caller]
fn assert_difference(snapshots: &Value, pod: &str) {
    let difference = &snapshots["difference"];
    let changes = difference["changes"].as_array().unwrap();
    let [change] = changes.as_slice() else {
        panic!("one change, not {changes:#?}");
    };
    assert_eq!(change["entry"], "inet main 203.0.113.0/24 blackhole");
    let mut unknown = difference["not_compared"].as_array().unwrap().iter();
    let unknown = unknown.find(|it| it["namespace"] == pod);
    let why = unknown
        .and_then(|it| it["why"].as_str())
        .unwrap_or_default();
    assert!(why.contains("CAP_SYS_ADMIN"), "{difference:#}");
}

#[test]
fn an_ordinary_user_gets_what_he_may_read_and_is_told_of_the_rest() {
    need!("kernel 5.11");
    let (node, pod) = node_and_pod();
    let scratch = folder_of(ORDINARY);
    let file = scratch.path("state.json");
    let (pid, name) = (pod.pid().to_string(), file.display().to_string());
    let capture = Nodecap::new(&node, &["capture", "-w", "/dev/null", "--pid", &pid])
        .args(["--snapshot", &name])
        .with_capabilities(&["bpf", "net_admin", "perfmon"])
        .start();
    node.ip("route add blackhole 203.0.113.0/24");
    let finished = capture.stop();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

    let snapshots = read(&file);
    for snapshot in ["before", "after"].map(|when| &snapshots[when]) {
        assert_of_node(snapshot, &["iptables_legacy"]);
        assert_without_pod(snapshot);
        // Which tables there are is root's to know, and "none" would be a guess.
        let legacy = &snapshot["namespaces"][0]["sections"]["iptables_legacy"];
        let there = node.run(|| Path::new("/proc/thread-self/net/ip_tables_names").exists());
        assert_eq!(legacy["not_available"].is_string(), there, "{legacy:#}");
    }
    assert_difference(&snapshots, &format!("pid {pid}"));
    assert_eq!(fs::metadata(&file).unwrap().uid(), ORDINARY);
}

#[test]
fn who_becomes_another_user_has_the_state_before_and_is_told_what_is_missing_after() {
    need!("kernel 5.11");
    // In a folder of that user's, and in one that he may not even look into.
    for (scratch, owner) in [(folder_of(USER), USER), (Scratch::new(), 0)] {
        let (node, pod) = node_and_pod();
        let file = scratch.path("state.json");
        let (pid, name) = (pod.pid().to_string(), file.display().to_string());
        let capture = Nodecap::new(&node, &["capture", "-w", "/dev/null", "--pid", &pid])
            .args(["-Z", "65534:65534", "--snapshot", &name])
            .start();
        let begun = read(&file);
        assert!(begun["after"].is_null() && begun["difference"].is_null());
        node.ip("route add blackhole 203.0.113.0/24");
        let finished = capture.stop();
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr);

        let snapshots = read(&file);
        assert_eq!(snapshots["before"], begun["before"]);
        assert_of_node(&snapshots["before"], &[]);
        let before = &snapshots["before"]["namespaces"][1];
        assert!(before["sections"]["links"]["entries"]["eth0"].is_object());
        assert_of_node(&snapshots["after"], &["iptables_legacy"]);
        assert_without_pod(&snapshots["after"]);
        assert_difference(&snapshots, &format!("pid {pid}"));
        let metadata = fs::metadata(&file).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (owner, 0o600));
        assert_eq!(fs::read_dir(scratch.folder()).unwrap().count(), 1);
    }
}
