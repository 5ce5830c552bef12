//! What can't be meant, and engines that don't answer.

use std::io::Read;
use std::os::unix::net::UnixListener;

use lab::docker::Docker;
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::wait::wait_until;

use super::{capture, listening_on, refused};

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
