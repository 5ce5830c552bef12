//! Swarm: the namespace that published ports come in by.

use lab::docker::Docker;
use lab::tool;
use lab::wait::wait_for;
use serde_json::Value;

use super::{capture, listening_on, nodecap};

#[test]
fn swarms_ingress_shows_as_what_it_is() {
    let docker = Docker::start();
    let node = docker.node();
    // Swarm wants an address to be known by.
    node.ip("link add known type veth peer name unused");
    node.ip("addr add 192.0.2.1/24 dev known");
    node.ip("link set known up");
    docker.docker("swarm init --advertise-addr 192.0.2.1");
    docker.docker(&format!(
        "service create --detach --name web --publish 8080:80 --stop-signal KILL box {}",
        Docker::IDLE
    ));
    let task = wait_for("a task of the service", || {
        let tasks = docker.docker("ps --filter name=web --format {{.Names}}");
        (!tasks.is_empty()).then_some(tasks)
    });
    // The name that Docker gave to it, where nodecap looks.
    tool::run(node.command("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    tool::run(node.command("mkdir").args(["-p", "/run/docker/netns"]));
    let here = "/run/docker/netns/ingress_sbox";
    tool::run(node.command("touch").arg(here));
    let there = docker.netns("ingress_sbox");
    // As it is: followed to its end, the way leads past the daemon's own mounts.
    let mut mount = node.command("mount");
    mount.args(["--no-canonicalize", "--bind"]);
    tool::run(mount.arg(&there).arg(here));

    let all = || -> Value {
        let shown = nodecap(&docker, &["interfaces", "--json"]).run();
        assert_eq!(shown.code(), Some(0), "{}", shown.stderr);
        serde_json::from_slice(&shown.stdout).expect("JSON")
    };
    let row = |label: &str| {
        let all = all();
        let mut rows = all.as_array().into_iter().flatten();
        rows.find(|row| row["behind"]["label"] == label).cloned()
    };
    let ingress = wait_for("an interface that leads to the ingress", || {
        row("Swarm's ingress (netns ingress_sbox)")
    });
    assert_eq!(ingress["master_name"], "docker_gwbridge", "{ingress:#}");
    assert_eq!(ingress["behind"]["netns"][0], "ingress_sbox", "{ingress:#}");
    wait_for("an interface that leads to the task", || {
        row(&format!("container {task}"))
    });
    // The service, as Docker knows it, whether or not this kernel has IPVS to balance it.
    let service = wait_for("the service with its task", || {
        let ingress = row("Swarm's ingress (netns ingress_sbox)")?;
        let services = ingress["behind"]["swarm"].as_array()?.clone();
        let service = services.into_iter().find(|it| it["name"] == "web")?;
        service["tasks"]
            .as_array()
            .is_some_and(|tasks| !tasks.is_empty())
            .then_some(service)
    });
    assert_eq!(service["network"], "ingress", "{service:#}");
    assert_eq!(service["tasks"][0]["name"], task, "{service:#}");
    assert!(
        service["mark"].as_u64().is_some_and(|mark| mark >= 256),
        "{service:#}"
    );
    let ports = service["ports"].to_string();
    assert!(
        ports.contains("80") && ports.contains("8080"),
        "{service:#}"
    );
    let vip = service["address"].as_str().expect("a virtual address");
    let drawn = nodecap(&docker, &["interfaces"]).run().stdout_text();
    let line = format!(
        "Swarm service web on ingress at {vip}, fwmark {}",
        service["mark"]
    );
    assert!(drawn.contains(&line), "no `{line}` in\n{drawn}");
    let veth = ingress["name"].as_str().unwrap_or_default();
    let running = capture(&docker, &["-q", "--netns", "ingress_sbox"]).start();
    assert_eq!(listening_on(&running), veth);
    running.stop();
}
