//! What is called by their names, and when no more.

use std::path::Path;
use std::process::Command;

use lab::docker::Docker;
use lab::namespace::Namespace;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::wait::wait_until;
use lab::{Signal, tool, tools};
use serde_json::Value;

use super::{capture, entry, listening_on, names_in, nodecap};

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

    // `any` describes each by what is behind it, too.
    let any = scratch.path("any.pcapng");
    let running = capture(&docker, &["-q", "-i", "any"]).write(&any).start();
    running.stop();
    let written = CaptureFile::read(&any).interfaces;
    for (link, who) in [(&veth, "web"), (&docker.veth("late", "eth0"), "late")] {
        let mut one = written.iter().filter(|one| one.name.as_ref() == Some(link));
        let said = one.next().and_then(|one| one.description.clone());
        let said = said.unwrap_or_default();
        let behind = format!(", role pod, container {who} (eth0)");
        assert!(said.ends_with(&behind), "{link}: {said}");
    }

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
