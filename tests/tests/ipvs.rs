//! IPVS: connections that the node balances, and what is said when it has forgotten one.

#[path = "common/engine.rs"]
mod engine;

use std::fs;
use std::path::Path;

use engine::Engine;
use lab::cgroup::Groups;
use lab::namespace::Namespace;
use lab::need;
use lab::nodecap::Nodecap;
use lab::scenario::ipvs;
use lab::scenario::proof::{assert_occurs, assert_translates};
use lab::scenario::verdict::{assert_followed, assert_judged};
use lab::scratch::Scratch;
use lab::tool;
use lab::topology::Node;
use serde_json::{Value, json};

#[test]
fn the_scenario_balances_a_connection() {
    need!("ipvs", "program ipvsadm");
    assert_translates(&ipvs::BALANCED);
}

#[test]
fn a_balanced_connection_is_followed_to_the_server() {
    need!("ipvs", "program ipvsadm");
    assert_followed(&ipvs::BALANCED);
}

#[test]
fn the_scenario_forgets_a_silent_connection() {
    need!("ipvs", "program ipvsadm");
    assert_occurs(&ipvs::EXPIRED_BALANCED);
}

#[test]
fn a_reset_for_a_connection_that_the_balancer_forgot_is_judged() {
    need!("ipvs", "program ipvsadm");
    assert_judged(&ipvs::EXPIRED_BALANCED);
}

fn ipvsadm(lab: &Node, words: &str) {
    tool::run(
        lab.node
            .command("ipvsadm")
            .args(words.split_ascii_whitespace()),
    );
}

#[test]
fn services_and_the_servers_behind_them_are_shown_with_what_changes_of_them() {
    need!("ipvs", "program ipvsadm");
    let lab = Node::new();
    // A published address of the node's own, and, as in Swarm's ingress, packets with a mark.
    ipvsadm(&lab, "-A -t 192.0.2.1:8080 -s wrr");
    ipvsadm(&lab, "-a -t 192.0.2.1:8080 -r 10.88.0.2:80 -m -w 3");
    ipvsadm(&lab, "-A -f 256 -s rr");
    ipvsadm(&lab, "-a -f 256 -r 10.88.0.2 -m");

    let shown = Nodecap::new(&lab.node, &["interfaces", "--json"]).run();
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let rows = shown.as_array().expect("a list");
    let services_at = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name);
        row.map(|row| row["services"].clone()).unwrap_or_default()
    };
    let at_uplink = services_at(Node::UPLINK);
    assert_eq!(at_uplink[0]["service"], "tcp 192.0.2.1:8080", "{shown:#}");
    assert_eq!(at_uplink[0]["scheduler"], "wrr");
    let server = &at_uplink[0]["backends"][0];
    assert_eq!(server["address"], "10.88.0.2:80", "{shown:#}");
    assert_eq!(
        (&server["method"], &server["weight"]),
        (&"masquerade".into(), &3.into())
    );
    // Nobody has that one as an address.
    let others = services_at("lo");
    assert_eq!(others[0]["service"], "fwmark 256", "{shown:#}");
    assert_eq!(others[0]["backends"][0]["address"], "10.88.0.2:0");
    let drawn = Nodecap::new(&lab.node, &["interfaces"]).run().stdout_text();
    let said = "IPVS tcp 192.0.2.1:8080 balances over 10.88.0.2:80 (wrr)";
    assert!(drawn.contains(said), "{drawn}");

    let scratch = Scratch::new();
    let file = scratch.path("state.json");
    let name = file.display().to_string();
    let arguments = [
        "capture",
        "-i",
        Node::UPLINK,
        "-w",
        "/dev/null",
        "--snapshot",
        &name,
    ];
    let running = Nodecap::new(&lab.node, &arguments).start();
    ipvsadm(&lab, "-a -t 192.0.2.1:8080 -r 10.88.0.3:80 -m");
    ipvsadm(&lab, "-D -f 256");
    running.stop();
    let bytes = fs::read(&file).expect("a file");
    let snapshots: Value = serde_json::from_slice(&bytes).expect("JSON");
    let changes = snapshots["difference"]["changes"]
        .as_array()
        .expect("a list");
    let of = |entry: &str| {
        let mut changes = changes.iter().filter(|change| change["section"] == "ipvs");
        changes.find(|change| change["entry"] == entry)
    };
    let changed = of("tcp 192.0.2.1:8080").expect("a change");
    let added = &changed["fields"]["backends.10.88.0.3:80"]["after"];
    assert_eq!(added["method"], "masquerade", "{changes:#?}");
    assert_eq!(of("fwmark 256").expect("a change")["change"], "removed");
}

/// A task's container, as Docker's list tells it.
fn listed(id: &str, name: &str, service: &str) -> Value {
    json!({"Id": id, "Names": [format!("/{name}")], "State": "running",
        "Labels": {"com.docker.swarm.service.name": service}})
}

/// Swarm's ingress as Docker makes it, without Docker: a namespace of its name, in which IPVS
/// balances packets with a mark, and the task's container, both behind interfaces of the node.
#[test]
fn a_service_of_swarm_is_called_by_its_name() {
    need!("ipvs", "program ipvsadm");
    let (node, ingress, task) = (Namespace::new(), Namespace::new(), Namespace::new());
    for (name, there, address) in [
        ("to-ingress", &ingress, "10.0.0.2/24"),
        ("to-task", &task, "10.0.0.4/24"),
    ] {
        node.ip(&format!(
            "link add {name} type veth peer name eth0 netns {}",
            there.pid()
        ));
        node.ip(&format!("link set {name} up"));
        there.ip(&format!("addr add {address} dev eth0"));
        there.ip("link set eth0 up");
    }
    ingress.ip("addr add 10.0.0.3/32 dev lo");
    tool::run(node.command("mount").args(["-t", "tmpfs", "tmpfs", "/run"]));
    let place = "/run/docker/netns/ingress_sbox";
    let outside = node.outside(Path::new(place));
    fs::create_dir_all(outside.parent().expect("a folder")).expect("a folder");
    fs::write(&outside, "").expect("a file");
    let mut mount = node.command("mount");
    mount.args(["--bind".as_ref(), ingress.path().as_os_str()]);
    tool::run(mount.arg(place));
    let balance = |words: &str| {
        tool::run(ingress.command("ipvsadm").args(words.split(' ')));
    };
    for mark in ["257", "300"] {
        balance(&format!("-A -f {mark} -s rr"));
        balance(&format!("-a -f {mark} -r 10.0.0.4 -m"));
    }
    balance("-a -f 257 -r 10.0.0.9 -m");
    balance("-A -t 10.0.0.3:80 -s rr");

    let scratch = Scratch::new();
    let groups = Groups::new(&node, "lab-swarm");
    let id = "a".repeat(64);
    groups.put(task.pid(), &format!("docker/{id}"));
    let socket = scratch.path("docker.sock");
    let network = json!({"Name": "ingress", "Id": "n1", "Services": {"shop": {
        "VIP": "10.0.0.3", "LocalLBIndex": 257, "Ports": ["Target: 80, Publish: 8080"],
        "Tasks": [{"Name": "shop.1.x", "EndpointIP": "10.0.0.4"},
                  {"Name": "shop.2.y", "EndpointIP": "10.0.0.9"}]}}});
    let answers = |services: bool| {
        let containers = json!([listed(&id, "shop.1.x", "shop")]).to_string();
        let networks = json!([{"Name": "ingress", "Id": "n1"}]).to_string();
        let mut answers = vec![("/containers/json".to_owned(), containers)];
        if services {
            answers.push(("/networks".to_owned(), networks));
            answers.push(("/networks/n1".to_owned(), network.to_string()));
        }
        answers
    };
    let interfaces = |arguments: &[&str]| {
        Nodecap::new(&node, &[&["interfaces"], arguments].concat())
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .run()
    };
    let engine = Engine::start(&socket, answers(true));
    let shown: Value = serde_json::from_slice(&interfaces(&["--json"]).stdout).expect("JSON");
    let mut rows = shown.as_array().expect("a list").iter();
    let row = rows
        .find(|row| row["name"] == "to-ingress")
        .expect("to-ingress");
    let services = row["behind"]["services"].as_array().expect("a list");
    let called = |of: &str| {
        let one = services.iter().find(|it| it["service"] == of);
        one.map(|one| one["name"].clone()).unwrap_or_default()
    };
    assert_eq!(called("fwmark 257"), "shop", "{row:#}");
    assert_eq!(called("tcp 10.0.0.3:80"), "shop", "{row:#}");
    // Docker knows nothing of that mark; whom it is balanced over, it does.
    assert_eq!(called("fwmark 300"), "shop", "{row:#}");
    assert_eq!(row["behind"]["swarm"][0]["address"], "10.0.0.3", "{row:#}");
    // The kernel tells servers in an order of its own.
    let of_mark = |drawn: &str| {
        let begins = "IPVS fwmark 257 (service shop) balances over ";
        let line = drawn.lines().find(|line| line.contains(begins));
        line.unwrap_or_else(|| panic!("no `{begins}` in\n{drawn}"))
            .to_owned()
    };
    let line = of_mark(&interfaces(&[]).stdout_text());
    for server in ["10.0.0.4:0 (shop.1.x)", "10.0.0.9:0 (shop.2.y)"] {
        assert!(line.contains(server), "no `{server}` in {line}");
    }
    // Without what Docker says of networks, the containers' label is left, and that is said.
    drop(engine);
    fs::remove_file(&socket).expect("no socket");
    let _engine = Engine::start(&socket, answers(false));
    let drawn = interfaces(&[]);
    let line = of_mark(&drawn.stdout_text());
    assert!(line.contains("10.0.0.4:0 (shop.1.x)"), "{line}");
    assert!(!line.contains("shop.2.y"), "{line}");
    let said = "doesn't tell Swarm's services: it says 404";
    assert!(drawn.stderr.contains(said), "{}", drawn.stderr);
}
