//! Pods of a real containerd, found by the names that it tells over CRI.

#[path = "common/groups.rs"]
mod groups;

use std::fs;
use std::net::TcpStream;

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

    // What the pod sends shows there, by its name, in every output.
    let scratch = Scratch::new();
    let (file, flows) = (scratch.path("pod.pcapng"), scratch.path("pod.flows"));
    let capture = nodecap(&[
        "capture",
        "--pod",
        "default/web",
        "--proto",
        "tcp",
        "--print",
    ])
    .args(["--flows".as_ref(), flows.as_os_str()])
    .write(&file)
    .start();
    let line = capture.wait_for_line("listening on ");
    assert!(
        line.starts_with(&format!("listening on {veth}, snapshot")),
        "{line}"
    );
    let of_other = nodecap(&["capture", "--pod", "shop/db", "--proto", "tcp"]).start();
    let address = behind["addresses"][0].as_str().unwrap_or_default();
    let address = address.split('/').next().unwrap_or_default();
    // Nobody listens at either end.
    containerd.exec(&web, &format!("nc {} 81", Containerd::GATEWAY));
    capture.wait_until_captured(2);
    let to_pod = format!("{address}:82");
    let refused = containerd.node().run(|| TcpStream::connect(&to_pod));
    refused.expect_err("a reset");
    capture.wait_until_captured(4);
    let text = capture.stop().stdout_text();
    assert_eq!(of_other.stop().counts().received, 0);
    for said in ["IP default/web.", " > default/web.82: Flags [S]"] {
        assert!(text.contains(said), "no `{said}` in\n{text}");
    }
    let called = format!("Connection reset by default/web ({to_pod}), first seen coming out of");
    let written = CaptureFile::read(&file);
    let said = written.interfaces[0].description.clone();
    let said = said.unwrap_or_default();
    assert!(said.ends_with(", pod default/web (eth0)"), "{said}");
    let comments = written
        .packets
        .iter()
        .flat_map(|packet| packet.comments.clone());
    let comments: String = comments.collect();
    assert!(comments.contains(&called), "no `{called}` in {comments}");
    for key in [" to_name=default/web", " from_name=default/web"] {
        assert!(comments.contains(key), "no `{key}` in {comments}");
    }
    let lines = fs::read_to_string(&flows).expect("flows");
    for field in ["client_name", "server_name", "from_name", "to_name"] {
        let said = format!("\"{field}\":\"default/web\"");
        assert!(lines.contains(&said), "no `{said}` in {lines}");
    }

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
