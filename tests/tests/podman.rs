//! Containers of a real podman, found by their names.

use lab::nodecap::Nodecap;
use lab::podman::Podman;
use lab::wait::wait_until;
use serde_json::Value;

#[test]
fn a_container_is_found_by_name_shown_by_it_and_followed() {
    let podman = Podman::start();
    let id = podman.run("web", "");
    podman.run("db", "");
    let address = podman.address("web");
    let endpoint = format!("unix://{}", podman.socket().display());
    let nodecap = |arguments: &[&str]| {
        Nodecap::new(podman.node(), arguments).env("CONTAINER_HOST", &endpoint)
    };

    let shown = nodecap(&["interfaces", "--json"]).run();
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let rows = shown.as_array().expect("a list");
    let mut rows = rows.iter();
    let row = rows.find(|row| row["behind"]["label"] == "container web");
    let row = row.unwrap_or_else(|| panic!("no web in {shown:#}"));
    assert_eq!(row["behind"]["containers"][0]["id"], id.as_str());
    assert_eq!(row["behind"]["containers"][0]["engine"], "podman");
    let veth = row["name"].as_str().unwrap_or_default();

    let running = nodecap(&["capture", "--container", "web", "--proto", "icmp"]).start();
    let line = running.wait_for_line("listening on ");
    let wanted = format!("listening on {veth}, snapshot");
    assert!(line.starts_with(&wanted), "{line}");
    let gateway = row_of_bridge(&shown);
    podman.exec("web", &format!("ping -c 1 {gateway}"));
    running.wait_until_captured(2);
    podman.podman("restart --time 0 web");
    running.wait_for_mention(" too");
    wait_until("packets of the container that was started again", || {
        podman.exec("web", &format!("ping -c 1 {gateway}"));
        running.counts().received >= 4
    });
    let text = running.stop().stdout_text();
    let said = format!("IP web > {gateway}: ICMP echo request");
    assert!(text.contains(&said), "no `{said}` in\n{text}");
    assert!(!text.contains(&format!("IP {gateway} > db")), "{text}");

    let by_id = nodecap(&["capture", "-q", "--container", &id[..12]]).start();
    by_id.wait_for_line("listening on ");
    by_id.stop();
    let wrong = nodecap(&["capture", "--container", "wbe"]).run();
    assert_eq!(wrong.code(), Some(2), "{}", wrong.stderr);
    for name in [&format!("web ({})", &id[..12]), "db ("] {
        assert!(wrong.stderr.contains(name), "{}", wrong.stderr);
    }
    assert!(!address.is_empty());
}

/// The address of the bridge that containers are on.
#[track_caller]
fn row_of_bridge(shown: &Value) -> String {
    let rows = shown.as_array().into_iter().flatten();
    let mut bridges = rows.filter(|row| row["kind"] == "bridge");
    let address = bridges
        .next()
        .and_then(|bridge| bridge["addresses"][0].as_str());
    let address = address.and_then(|address| address.split('/').next());
    address
        .unwrap_or_else(|| panic!("no bridge in {shown:#}"))
        .to_owned()
}
