//! Found by name and id, followed through a restart, on all their networks.

use lab::docker::Docker;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;

use super::{capture, listening_on};

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
