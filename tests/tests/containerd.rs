//! Pods of a real containerd, found by the names that it tells over CRI.

#[path = "common/groups.rs"]
mod groups;

use groups::Groups;
use lab::containerd::Containerd;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use serde_json::Value;

#[test]
fn a_pod_is_found_by_name_and_shown_by_it() {
    const UID: &str = "7d3c2a10-0b5e-4e0f-9a51-1f2e3d4c5b6a";
    let group = Groups::new("kubepods-cri");
    // Dropped first, and with it the pods in the group.
    let mut containerd = Containerd::start();
    let web = containerd.run_pod("default", "web", UID, &group.of_pod(UID));
    let other = UID.replace('7', "8");
    containerd.run_pod("shop", "db", &other, &group.of_pod(&other));
    let endpoint = format!("unix://{}", containerd.socket().display());
    let nodecap = |arguments: &[&str]| {
        Nodecap::new(containerd.node(), arguments).env("CONTAINER_RUNTIME_ENDPOINT", &endpoint)
    };

    let shown = nodecap(&["interfaces", "--json"]).run();
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let rows = shown.as_array().expect("a list");
    let row = |label: &str| {
        let row = rows.iter().find(|row| row["behind"]["label"] == label);
        row.unwrap_or_else(|| panic!("no {label} in {shown:#}"))
    };
    let behind = &row("pod default/web")["behind"];
    assert_eq!(behind["pod"], "default/web");
    assert_eq!(behind["interface"], "eth0");
    assert_eq!(behind["containers"][0]["id"], web.as_str());
    assert_eq!(behind["containers"][0]["pod_uid"], UID);
    row("pod shop/db");
    let veth = row("pod default/web")["name"].as_str().unwrap_or_default();

    let scratch = Scratch::new();
    let file = scratch.path("pod.pcapng");
    let capture = nodecap(&["capture", "--pod", "default/web"])
        .write(&file)
        .start();
    let line = capture.wait_for_line("listening on ");
    assert!(
        line.starts_with(&format!("listening on {veth}, snapshot")),
        "{line}"
    );
    capture.stop();
    let said = CaptureFile::read(&file).interfaces[0].description.clone();
    let said = said.unwrap_or_default();
    assert!(said.ends_with(", pod default/web (eth0)"), "{said}");

    // Its containers have names of their own, and ids.
    let by_id = nodecap(&["capture", "-q", "--container", &web[..12]]).start();
    assert!(by_id.wait_for_line("listening on ").contains(veth));
    by_id.stop();
    let wrong = nodecap(&["capture", "--pod", "default/wbe"]).run();
    assert_eq!(wrong.code(), Some(2), "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("running here: default/web, shop/db"),
        "{}",
        wrong.stderr
    );
    // The name of a container that each pod has.
    let several = nodecap(&["capture", "--container", "POD"]).run();
    assert_eq!(several.code(), Some(2), "{}", several.stderr);
    assert!(
        several.stderr.contains("POD of pod shop/db"),
        "{}",
        several.stderr
    );
}
