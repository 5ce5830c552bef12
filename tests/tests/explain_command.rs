//! `nodecap explain` on files from elsewhere, by anybody.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::nodecap::{Nodecap, binary};
use lab::process::Finished;
use lab::scratch::Scratch;
use lab::tcpdump::Tcpdump;
use lab::topology::Node;
use lab::{replay, tool, tools};
use serde_json::Value;

/// Run by nobody: it needs no privilege.
#[track_caller]
fn explain(file: &Path, more: &[&str]) -> Finished {
    let namespace = Namespace::new();
    let file = file.to_str().unwrap();
    let arguments = [&["explain", file], more].concat();
    Nodecap::new(&namespace, &arguments).as_nobody().run()
}

/// Files that nobody may read are of no use here.
fn readable_by_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let folder = path.parent().unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn lines(finished: &Finished) -> Vec<Value> {
    finished
        .stdout_text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn tcpdumps_capture_of_a_connection_is_one_flow_with_all_its_packets() {
    let lab = Node::new();
    let tcpdump = Tcpdump::start(&lab.node, Node::UPLINK, &["tcp or ether proto 0x88b5"]);
    let address = format!("{}:443", Node::OUTSIDE_V4);
    let server = lab.outside.run(|| TcpListener::bind(&address)).unwrap();
    let mut client = lab.pod.run(|| TcpStream::connect(&address)).unwrap();
    let port = client.local_addr().unwrap().port();
    let (mut serving, _) = server.accept().unwrap();
    client.write_all(b"ask").unwrap();
    drop(client);
    let mut asked = Vec::new();
    serving.read_to_end(&mut asked).unwrap();
    drop(serving);
    replay::send(&lab.node, Node::UPLINK, &[lab::frames::end_marker()]);
    let dumped = tcpdump.finish();

    let scratch = Scratch::new();
    let file = scratch.path("dumped.pcap");
    let frames: Vec<_> = dumped
        .file
        .packets
        .iter()
        .map(|it| it.data.clone())
        .collect();
    replay::write_pcap(&file, &frames);
    readable_by_all(&file);
    let finished = explain(&file, &["--flows", "-"]);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    let flows = lines(&finished);
    assert_eq!(flows.len(), 1, "{flows:#?}");
    assert_eq!(flows[0]["type"], "flow");
    assert_eq!(flows[0]["proto"], "tcp");
    assert_eq!(flows[0]["client"], format!("{}:{port}", Node::NODE_V4));
    assert_eq!(flows[0]["server"], address);
    let ways = &flows[0]["packets"];
    let packets = ways["to_server"].as_u64().unwrap() + ways["to_client"].as_u64().unwrap();
    assert_eq!(packets, frames.len() as u64 - 1, "{:#}", flows[0]);

    let report = explain(&file, &[]).stdout_text();
    assert!(
        report.contains(&format!("{}:{port} > {address}", Node::NODE_V4)),
        "{report}"
    );
    assert!(
        report.contains("1 flow, 0 resets, 0 translations"),
        "{report}"
    );
}

#[test]
fn it_finds_the_connections_that_tshark_finds() {
    let scratch = Scratch::new();
    let file = scratch.path("rich.pcap");
    // Only what both call a conversation: no fragments, no tunnels, no errors that quote.
    let frames: Vec<_> = corpus::rich()
        .into_iter()
        .filter(|frame| frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&6))
        .collect();
    replay::write_pcap(&file, &frames);
    readable_by_all(&file);
    let found = tools::tshark(&file, &["-q", "-z", "conv,tcp"]);
    let expected = found.lines().filter(|line| line.contains("<->")).count();
    assert!(expected > 0, "{found}");
    let flows = lines(&explain(&file, &["--flows", "-"]));
    let flows = flows
        .iter()
        .filter(|line| line["type"] == "flow" && line["proto"] == "tcp")
        .count();
    assert_eq!(flows, expected, "{found}");
}

#[test]
fn any_file_is_explained_or_refused_in_one_line() {
    let scratch = Scratch::new();
    let file = scratch.path("everything.pcap");
    replay::write_pcap(&file, &corpus::everything());
    readable_by_all(&file);
    let finished = explain(&file, &["-v"]);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(finished.stderr, "");

    // A cut isn't a failure, damage is one; either way what came before is told.
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 3]).unwrap();
    let cut = explain(&file, &["-q"]);
    assert_eq!(cut.code(), Some(0));
    assert!(
        cut.stderr.contains("cut in the middle of a packet"),
        "{}",
        cut.stderr
    );
    std::fs::write(&file, [&bytes[..], &[0xff; 16]].concat()).unwrap();
    let damaged = explain(&file, &["-q"]);
    assert_eq!(damaged.code(), Some(1));
    assert!(
        damaged.stderr.contains("damaged at byte"),
        "{}",
        damaged.stderr
    );
    assert!(
        damaged.stdout_text().contains("flows"),
        "{}",
        damaged.stdout_text()
    );

    let text = scratch.path("text.txt");
    std::fs::write(&text, "not a capture").unwrap();
    readable_by_all(&text);
    for (path, said) in [
        (text.as_path(), "is neither a pcapng nor a pcap file"),
        (
            Path::new("/nonexistent.pcap"),
            "can't read /nonexistent.pcap",
        ),
        (scratch.folder(), "is a directory"),
    ] {
        let refused = explain(path, &[]);
        assert_eq!(refused.code(), Some(1), "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
        assert_eq!(refused.stdout_text(), "");
    }
}

#[test]
fn the_flows_file_never_takes_the_captures_place() {
    let scratch = Scratch::new();
    let file = scratch.path("rich.pcap");
    replay::write_pcap(&file, &corpus::rich());
    let before = std::fs::read(&file).unwrap();
    let mut command = Command::new(binary());
    command.arg("explain").arg(&file).arg("--flows").arg(&file);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read(&file).unwrap(), before);

    let flows = scratch.path("flows.json");
    let mut command = Command::new(binary());
    tool::run(command.arg("explain").arg(&file).arg("--flows").arg(&flows));
    let written = std::fs::read_to_string(&flows).unwrap();
    assert!(written.lines().count() > 5);
    for line in written.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["schema"], 1);
    }
}
