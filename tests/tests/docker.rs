//! Containers of a real Docker, found by their names.

#[path = "common/groups.rs"]
mod groups;

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use groups::Groups;
use lab::docker::Docker;
use lab::namespace::Namespace;
use lab::nodecap::{Capture, Nodecap};
use lab::process::Finished;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::wait::{wait_for, wait_until};
use lab::{Signal, tool, tools};
use serde_json::Value;

/// A block's type in a capture file.
const NAME_RESOLUTION: u32 = 4;

fn nodecap<'a>(docker: &'a Docker, arguments: &[&str]) -> Nodecap<'a> {
    Nodecap::new(docker.node(), arguments).env("DOCKER_HOST", docker.host())
}

fn capture<'a>(docker: &'a Docker, arguments: &[&str]) -> Nodecap<'a> {
    nodecap(docker, &[&["capture"], arguments].concat())
}

fn listening_on(capture: &Capture) -> String {
    let line = capture.wait_for_line("listening on ");
    let names = line.strip_prefix("listening on ").unwrap_or_default();
    names
        .split(", snapshot")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[track_caller]
fn refused(finished: &Finished, code: i32, words: &[&str]) {
    let said = &finished.stderr;
    assert_eq!(finished.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

#[test]
fn a_container_is_found_by_name_and_id_and_followed_through_a_restart() {
    let docker = Docker::start();
    let id = docker.run("web", "");
    docker.run("db", "");
    let veth = docker.veth("web", "eth0");
    assert_ne!(veth, docker.veth("db", "eth0"));

    // Its packets show there and nowhere else.
    let scratch = Scratch::new();
    let (of_web, of_db) = (scratch.path("web.pcapng"), scratch.path("db.pcapng"));
    let web = capture(&docker, &["--container", "web", "--proto", "icmp"])
        .write(&of_web)
        .start();
    let db = capture(&docker, &["--container", "db", "--proto", "icmp"])
        .write(&of_db)
        .start();
    assert_eq!(listening_on(&web), veth);
    docker.exec("web", &format!("ping -c 3 {}", Docker::GATEWAY));
    web.wait_until_captured(6);
    assert_eq!(db.counts().received, 0);

    // A restart gives it another namespace and another interface.
    docker.docker("restart --time 0 web");
    let again = docker.veth("web", "eth0");
    assert_ne!(again, veth);
    web.wait_for_mention(&format!("{veth} is gone: none left, waiting"));
    web.wait_for_mention(&format!("listening on {again} too"));
    docker.exec("web", &format!("ping -c 2 {}", Docker::GATEWAY));
    web.wait_until_captured(10);
    // One that is made anew under the name is followed too.
    docker.docker("rm --force web");
    let anew = docker.run("web", "");
    assert_ne!(anew, id);
    let third = docker.veth("web", "eth0");
    web.wait_for_mention(&format!("listening on {third} too"));
    docker.exec("web", &format!("ping -c 1 {}", Docker::GATEWAY));
    web.wait_until_captured(12);
    web.stop();
    assert_eq!(db.stop().counts().received, 0);
    let written = CaptureFile::read(&of_web);
    for (interface, packets) in [(&veth, 6), (&again, 4), (&third, 2)] {
        assert_eq!(written.packets_of(interface).len(), packets, "{interface}");
    }

    // By its id, and by the beginning of that, nobody has to be asked.
    for which in [&*anew, &anew[..12], &anew[..7]] {
        let by_id = Nodecap::new(docker.node(), &["capture", "-q", "--container", which])
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .start();
        assert_eq!(listening_on(&by_id), third, "{which}");
        by_id.stop();
    }
}

#[test]
fn all_networks_of_a_container_are_captured_also_those_that_it_joins() {
    let docker = Docker::start();
    docker.docker("network create --opt com.docker.network.bridge.name=br-backend backend");
    docker.run("web", "--publish 8080:80");
    let first = docker.veth("web", "eth0");
    let running = capture(&docker, &["-q", "--container", "web"]).start();
    assert_eq!(listening_on(&running), first);
    docker.docker("network connect backend web");
    let second = docker.veth("web", "eth1");
    running.wait_for_mention(&format!("listening on {second} too"));
    running.stop();
    let both = capture(&docker, &["-q", "--container", "web"]).start();
    let listed = listening_on(&both);
    for veth in [&first, &second] {
        assert!(listed.split(", ").any(|name| name == veth), "{listed}");
    }
    both.stop();
    let bridge = capture(&docker, &["-q", "--bridge", "br-backend"]).start();
    assert_eq!(listening_on(&bridge), format!("br-backend, {second}"));
    bridge.stop();
}

/// What `nodecap interfaces --json` says of an interface.
#[track_caller]
fn entry(docker: &Docker, name: &str) -> Value {
    let finished = nodecap(docker, &["interfaces", "--json"]).run();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(finished.stderr, "");
    let all: Value = serde_json::from_slice(&finished.stdout).expect("JSON");
    let entry = all.as_array().into_iter().flatten();
    let entry = entry.into_iter().find(|entry| entry["name"] == name);
    entry
        .unwrap_or_else(|| panic!("no {name} in {all:#}"))
        .clone()
}

#[test]
fn names_show_wherever_a_container_does() {
    let docker = Docker::start();
    let id = docker.run("web", "");
    let (veth, address) = (docker.veth("web", "eth0"), docker.address("web"));

    let behind = entry(&docker, &veth)["behind"].clone();
    assert_eq!(behind["label"], "container web", "{behind:#}");
    assert_eq!(behind["containers"][0]["id"], id.as_str());
    assert_eq!(behind["containers"][0]["engine"], "docker");
    assert_eq!(behind["interface"], "eth0");
    assert_eq!(behind["addresses"][0], format!("{address}/24"));
    assert_eq!(behind["process"]["name"], "busybox");
    assert_eq!(behind["process"]["pid"], docker.pid(&id));
    assert!(behind["pod"].is_null());
    assert!(entry(&docker, Docker::BRIDGE)["behind"].is_null());

    let drawn = nodecap(&docker, &["interfaces"]).run().stdout_text();
    let line = drawn.lines().find(|line| line.contains(&veth));
    let line = line.unwrap_or_else(|| panic!("no {veth} in\n{drawn}"));
    assert!(line.contains(&format!("└─ {veth}")), "{drawn}");
    assert!(
        line.contains(&format!("container web: eth0 {address}/24")),
        "{drawn}"
    );

    // In the file, and in the lines; of one that comes later too.
    let scratch = Scratch::new();
    let file = scratch.path("names.pcapng");
    let running = capture(
        &docker,
        &["--bridge", Docker::BRIDGE, "--proto", "icmp", "--print"],
    )
    .write(&file)
    .start();
    docker.exec("web", &format!("ping -c 1 {}", Docker::GATEWAY));
    docker.run("late", "");
    let late = docker.veth("late", "eth0");
    running.wait_for_mention(&format!("listening on {late} too"));
    // Its address comes after its interface, and nothing tells of that.
    wait_until("the late container's name in the file", || {
        running.signal(Signal::SIGUSR2);
        names_in(&file) == 2
    });
    docker.exec("late", &format!("ping -c 1 {address}"));
    running.wait_until_captured(8);
    let text = running.stop().stdout_text();
    let late = "IP late > web: ICMP echo request";
    assert!(text.contains(late), "no `{late}` in\n{text}");
    let said = format!("IP web > {}: ICMP echo request", Docker::GATEWAY);
    assert!(text.contains(&said), "no `{said}` in\n{text}");
    let written = CaptureFile::read(&file);
    let described = written.interfaces.iter();
    let mut described = described.filter(|one| one.name.as_ref() == Some(&veth));
    let said = described.next().and_then(|one| one.description.clone());
    let said = said.unwrap_or_default();
    assert!(said.ends_with(", role pod, container web (eth0)"), "{said}");
    tools::assert_readable(&file);
    let mut tshark = Command::new(tool::path("tshark"));
    tshark.args(["-N", "n", "-r"]).arg(&file);
    let shown = String::from_utf8_lossy(&tool::run(&mut tshark).stdout).into_owned();
    assert!(shown.contains("late → web"), "{shown}");

    let numbers = capture(
        &docker,
        &["-n", "-c", "1", "--container", "web", "--proto", "icmp"],
    )
    .start();
    docker.exec("web", &format!("ping -c 1 {}", Docker::GATEWAY));
    let text = numbers.wait().stdout_text();
    assert!(text.contains(&format!("IP {address} > ")), "{text}");
}

#[test]
fn a_published_port_is_told_by_the_containers_name() {
    let docker = Docker::start();
    docker.run("web", "--publish 8080:80 --publish 8081:81");
    docker.docker("exec --detach web /bin/busybox httpd -f -p 80");
    wait_until("a server in the container", || {
        docker.exec("web", "netstat -ltn").contains(":80 ")
    });
    let veth = docker.veth("web", "eth0");
    let outside = Namespace::new();
    docker.node().ip(&format!(
        "link add uplink0 type veth peer name eth0 netns {}",
        outside.pid()
    ));
    for (host, link, address) in [
        (docker.node(), "uplink0", "192.0.2.1/24"),
        (&outside, "eth0", "192.0.2.9/24"),
    ] {
        host.ip(&format!("addr add {address} dev {link}"));
        host.ip(&format!("link set {link} up"));
    }
    docker.node().ip("route add default via 192.0.2.9");
    let scratch = Scratch::new();
    let (file, flows) = (scratch.path("web.pcapng"), scratch.path("web.flows"));
    let running = capture(
        &docker,
        &["-i", "uplink0", "--container", "web", "--proto", "tcp"],
    )
    .args(["--print", "--flows", &flows.display().to_string()])
    .write(&file)
    .start();
    assert_eq!(listening_on(&running), format!("uplink0, {veth}"));
    let connect = |to: &str| outside.run(|| std::net::TcpStream::connect(to));
    let client = connect("192.0.2.1:8080");
    drop(client.unwrap_or_else(|error| panic!("the published port: {error}")));
    running.wait_until_captured(12);
    // Nobody listens on this one.
    connect("192.0.2.1:8081").expect_err("a reset");
    running.wait_until_captured(16);
    let text = running.stop().stdout_text();
    let address = docker.address("web");
    let translation = format!("destination 192.0.2.1:8080 becomes web ({address}:80)");
    let reset = format!("first seen coming out of web at {veth}: nobody listens on that port");
    for said in [
        "> 192.0.2.1.http-alt: Flags [S]",
        "> web.http: Flags [S]",
        &translation,
        &reset,
    ] {
        assert!(text.contains(said), "no `{said}` in\n{text}");
    }
    let comments: String = CaptureFile::read(&file)
        .packets
        .iter()
        .flat_map(|packet| packet.comments.clone())
        .collect();
    assert!(comments.contains(&translation), "{comments}");
    assert!(comments.contains(" dst_name=web]"), "{comments}");
    // Beside the addresses, not in their place.
    let told = lines_of(&flows, "nat");
    let after = &told[0]["after"];
    assert_eq!(after["dst"], format!("{address}:80"), "{told:#?}");
    assert_eq!(after["dst_name"], "web", "{told:#?}");
    assert!(told[0]["before"].get("dst_name").is_none(), "{told:#?}");
    let told = lines_of(&flows, "reset");
    assert_eq!(told[0]["origin"]["name"], "web", "{told:#?}");
    // And again from the file, unless numbers are wanted.
    let explain = |more: &[&str]| {
        let name = file.display().to_string();
        nodecap(&docker, &[&["explain", &*name][..], more].concat())
            .run()
            .stdout_text()
    };
    let again = explain(&[]);
    assert!(again.contains(" > web:80 ("), "{again}");
    assert!(!explain(&["-n"]).contains("web:80"));
    let again = explain(&["--flows", "-"]);
    assert!(again.contains("\"dst_name\":\"web\""), "{again}");
}

/// The lines of a flows file of one type.
#[track_caller]
fn lines_of(path: &Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{error}"));
    let lines = text.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.map(|line| line.expect("JSON")).collect();
    lines.into_iter().filter(|it| it["type"] == kind).collect()
}

#[test]
fn an_address_that_goes_to_another_container_is_never_called_by_the_old_name() {
    let docker = Docker::start();
    docker.docker(
        "network create --subnet 10.9.0.0/24 --gateway 10.9.0.1 \
         --opt com.docker.network.bridge.name=br-shared shared",
    );
    let on_it = "--network shared --ip 10.9.0.5";
    docker.run("old", on_it);
    let scratch = Scratch::new();
    let (file, flows) = (scratch.path("shared.pcapng"), scratch.path("shared.flows"));
    let running = capture(&docker, &["--bridge", "br-shared", "--proto", "icmp"])
        .args(["--flows", &flows.display().to_string(), "--print"])
        .write(&file)
        .start();
    listening_on(&running);
    docker.exec("old", "ping -c 1 10.9.0.1");
    running.wait_until_captured(4);
    docker.docker("rm --force old");
    // Its first packet may be on its way before anybody can have asked for its name.
    docker.docker(&format!(
        "run --detach --stop-signal KILL --name new {on_it} box /bin/busybox ping 10.9.0.1"
    ));
    wait_until("the new container's name in the file", || {
        running.signal(Signal::SIGUSR2);
        names_in(&file) == 2
    });
    let so_far = running.counts().received;
    running.wait_until_captured(so_far + 4);
    let text = running.stop().stdout_text();
    let lines_with = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines_with("IP old > "), 2, "{text}");
    assert_eq!(lines_with(" > old: "), 2, "{text}");
    assert!(lines_with("IP new > ") >= 2, "{text}");
    let told = lines_of(&flows, "flow");
    let called = |name: &str| told.iter().filter(|it| it["client_name"] == name).count();
    assert_eq!(
        (told.len(), called("old"), called("new")),
        (2, 1, 1),
        "{told:#?}"
    );
}

/// How many name resolution blocks a file has so far.
fn names_in(file: &Path) -> usize {
    let blocks = CaptureFile::read(file).blocks;
    let of_names = blocks.iter().filter(|kind| **kind == NAME_RESOLUTION);
    of_names.count()
}

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
    let veth = ingress["name"].as_str().unwrap_or_default();
    let running = capture(&docker, &["-q", "--netns", "ingress_sbox"]).start();
    assert_eq!(listening_on(&running), veth);
    running.stop();
}

#[test]
fn a_pod_is_found_by_what_its_engine_or_kubelet_says_of_it() {
    const UID: &str = "2c48913c-b29f-11e7-9350-020968147796";
    let group = Groups::new("kubepods-docker");
    // Dropped first, and with it the containers in the group.
    let docker = Docker::start();
    // A control group and labels as kubelet has Docker give to a pod's containers, and a container
    // of the pod beside the one that holds its network.
    let parent = group.of_pod(UID);
    docker.run(
        "k8s_POD_web_default",
        &format!(
            "--cgroup-parent {parent} \
             --label io.kubernetes.pod.namespace=default --label io.kubernetes.pod.name=web"
        ),
    );
    docker.run(
        "k8s_nginx_web_default",
        &format!("--cgroup-parent {parent} --network container:k8s_POD_web_default"),
    );
    docker.run("other", "");
    let veth = docker.veth("k8s_POD_web_default", "eth0");
    let by_label = capture(&docker, &["-q", "--pod", "default/web"]).start();
    assert_eq!(listening_on(&by_label), veth);
    by_label.stop();
    assert_eq!(entry(&docker, &veth)["behind"]["label"], "pod default/web");
    refused(
        &capture(&docker, &["--pod", "default/wbe"]).run(),
        2,
        &["default/wbe", "default/web"],
    );
    refused(
        &capture(&docker, &["--pod", "web"]).run(),
        2,
        &["default/web"],
    );

    // Without an engine, by the folder that kubelet keeps its logs in.
    let alone = |arguments: &[&str]| {
        Nodecap::new(docker.node(), arguments).env("DOCKER_HOST", "unix:///nowhere/docker.sock")
    };
    let nameless = alone(&["capture", "--pod", "shop/web"]).run();
    refused(&nameless, 2, &["shop/web", "no container engine answers"]);
    let node = docker.node();
    tool::run(
        node.command("mount")
            .args(["-t", "tmpfs", "tmpfs", "/var/log"]),
    );
    tool::run(
        node.command("mkdir")
            .args(["-p", &format!("/var/log/pods/shop_web_{UID}")]),
    );
    let by_folder = alone(&["capture", "-q", "--pod", "shop/web"]).start();
    assert_eq!(listening_on(&by_folder), veth);
    by_folder.stop();
}

#[test]
fn without_an_engine_ids_are_shown_and_it_says_why() {
    let docker = Docker::start();
    let id = docker.run("web", "");
    let (veth, short) = (docker.veth("web", "eth0"), &id[..12]);
    let alone = |arguments: &[&str]| {
        Nodecap::new(docker.node(), arguments).env("DOCKER_HOST", "unix:///nowhere/docker.sock")
    };
    let shown = alone(&["interfaces"]).run();
    assert_eq!(shown.code(), Some(0));
    let line = format!("container {short}: eth0 ");
    assert!(
        shown.stdout_text().contains(&line),
        "{}",
        shown.stdout_text()
    );
    assert!(
        shown
            .stderr
            .contains("by their ids: no container engine answers here"),
        "{}",
        shown.stderr
    );
    let scratch = Scratch::new();
    let file = scratch.path("ids.pcapng");
    let running = alone(&["capture", "-i", &veth]).write(&file).start();
    running.wait_for_mention("containers are told by their ids");
    running.stop();
    let written = CaptureFile::read(&file);
    let said = written.interfaces[0]
        .description
        .clone()
        .unwrap_or_default();
    assert!(
        said.ends_with(&format!("container {short} (eth0)")),
        "{said}"
    );
}

#[test]
fn what_cannot_be_meant_is_told_with_what_could_be() {
    let docker = Docker::start();
    let (web, db) = (docker.run("web", ""), docker.run("db", ""));
    docker.run("hosted", "--network host");
    docker.docker("create --name resting box /bin/busybox true");
    let run = |which: &str| capture(&docker, &["--container", which]).run();
    refused(
        &run("wbe"),
        2,
        &[
            "wbe",
            &format!("web ({})", &web[..12]),
            &format!("db ({})", &db[..12]),
        ],
    );
    refused(
        &run("hosted"),
        2,
        &["container hosted", "host network", "-i any"],
    );
    refused(&run("resting"), 1, &["resting", "start it"]);
    refused(&run(""), 2, &["no container is called so"]);

    // Nobody to ask.
    let alone = Nodecap::new(docker.node(), &["capture", "--container", "web"])
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .run();
    refused(
        &alone,
        2,
        &["no container engine answers", "give the id", &web[..12]],
    );
}

#[test]
fn an_engine_that_hangs_or_babbles_does_not_hold_anything_up() {
    let docker = Docker::start();
    let web = docker.run("web", "");
    let scratch = Scratch::new();
    let silent = scratch.path("silent.sock");
    let listener = UnixListener::bind(&silent).unwrap_or_else(|error| panic!("{error}"));
    let ask = |which: &str| {
        Nodecap::new(docker.node(), &["capture", "-q", "--container", which])
            .env("DOCKER_HOST", format!("unix://{}", silent.display()))
    };
    refused(
        &ask("web").run(),
        2,
        &["no answer within 2 s", "silent.sock", &web[..12]],
    );
    let by_id = ask(&web[..5]).start();
    assert_eq!(listening_on(&by_id), docker.veth("web", "eth0"));
    by_id.stop();

    // One that closes what it accepts.
    let closing = std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(3) {
            let mut stream = stream;
            drop(stream.read(&mut [0; 64]));
        }
    });
    refused(
        &ask("web").run(),
        2,
        &["doesn't tell its containers' names"],
    );
    // Those that were given up before wait in the queue.
    wait_until("an end of the silent engine", || {
        drop(std::os::unix::net::UnixStream::connect(&silent));
        closing.is_finished()
    });
}
