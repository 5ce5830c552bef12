//! Found by name and id, followed through a restart, on all their networks.

use lab::Signal;
use lab::docker::Docker;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::add_wire;
use lab::wait::wait_until;

use super::{capture, listening_on, names_in};

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

#[test]
fn a_container_on_a_macvlan_is_captured_from_inside_and_gone_along_with() {
    let docker = Docker::start();
    let node = docker.node();
    add_wire(node, "parent", "beyond", 1_500);
    docker.docker(
        "network create --driver macvlan --opt parent=parent --subnet 10.8.0.0/24 \
         --gateway 10.8.0.1 direct",
    );
    docker.run("web", "--network direct --ip 10.8.0.5");
    docker.run("db", "--network direct --ip 10.8.0.6");
    let scratch = Scratch::new();
    let file = scratch.path("web.pcapng");
    let running = capture(
        &docker,
        &["--container", "web", "--proto", "icmp", "--print"],
    )
    .write(&file)
    .start();
    assert_eq!(listening_on(&running), "lo, eth0");
    docker.exec("web", "ping -c 1 10.8.0.6");
    running.wait_until_captured(2);
    // What others say to each other isn't the container's.
    docker.exec("db", "ping -c 1 10.8.0.6");
    docker.exec("web", "ping -c 1 10.8.0.6");
    running.wait_until_captured(4);
    // Started again, it has another namespace and another interface.
    docker.docker("restart --time 0 web");
    running.wait_for_mention("runs again: captured from inside its new namespace");
    // Its name comes soon after its address, more than once if that comes meanwhile.
    wait_until("its name in the file once more", || {
        running.signal(Signal::SIGUSR2);
        names_in(&file) >= 2
    });
    docker.exec("web", "ping -c 4 10.8.0.6");
    running.wait_until_captured(4 + 8);
    let text = running.stop().stdout_text();
    let to_db = text
        .lines()
        .filter(|line| line.contains(" > 10.8.0.6: ICMP echo request"));
    let by_name: Vec<_> = to_db.map(|line| line.contains("IP web > ")).collect();
    assert_eq!(by_name.len(), 2 + 4, "{text}");
    assert!(
        by_name.starts_with(&[true, true]) && by_name.ends_with(&[true]),
        "{text}"
    );
    let written = CaptureFile::read(&file);
    // All of them at the two interfaces that were called so, one after the other.
    assert_eq!(written.packets_of("eth0").len(), 4);
    assert_eq!(written.packets.len(), 4 + 8);
    let of_eth0 = written
        .interfaces
        .iter()
        .filter(|it| it.name.as_deref() == Some("eth0"));
    let described: Vec<_> = of_eth0.filter_map(|it| it.description.clone()).collect();
    assert_eq!(described.len(), 2);
    for said in described {
        assert!(said.ends_with(", container web"), "{said}");
    }
}
