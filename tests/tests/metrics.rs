//! The figures for Prometheus: what they say is what the capture says at its end, whoever asks and
//! however he asks.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use lab::ability::missing;
use lab::conversation::{conversation, interleaved, reset};
use lab::frames::corpus;
use lab::metrics::{self, Page, scrape};
use lab::namespace::Namespace;
use lab::nodecap::{Capture, Nodecap};
use lab::recorder::{number, record};
use lab::scenario::{local, translations};
use lab::scratch::Scratch;
use lab::topology::{Node, Wire, add_wire};
use lab::wait::wait_for;
use lab::{need, replay, tool};

/// The figures once so many packets were captured and none waits any more.
#[track_caller]
fn settled(namespace: &Namespace, capture: &Capture, captured: u64) -> Page {
    let address = metrics::address(capture);
    wait_for("figures of all packets", || {
        let page = scrape(namespace, address);
        let done = page.value("nodecap_packets_captured_total") as u64 == captured
            && page.value("nodecap_packets_queued") as u64 == 0;
        done.then_some(page)
    })
}

/// What the closing lines say of flows, resets and translations.
fn line<'a>(stderr: &'a str, what: &str) -> &'a str {
    stderr
        .lines()
        .find(|line| {
            line.split(' ')
                .nth(1)
                .is_some_and(|word| word.starts_with(what))
        })
        .unwrap_or("")
}

#[test]
fn at_the_end_they_are_what_the_closing_lines_say() {
    need!("kernel 5.11");
    let lab = Node::new();
    (local::CLOSED_PORT_ON_NODE.prepare)(&lab);
    let scratch = Scratch::new();
    // Not loopback, over which the figures are asked for.
    let capture = Nodecap::capture(&lab.node, Node::UPLINK)
        .args([
            "-i",
            Node::POD_PORT,
            "--proto",
            "tcp",
            "--metrics",
            "0",
            "-v",
        ])
        .write(&scratch.path("x.pcapng"))
        .start();
    let address = metrics::address(&capture);
    let first = scrape(&lab.node, address);
    let kept = [
        (local::CLOSED_PORT_ON_NODE.happen)(&lab),
        (translations::MASQUERADE.happen)(&lab),
    ];
    // Nothing comes of these any more once both the packets and what is known of them are in.
    let page = wait_for("all that is known", || {
        let page = scrape(&lab.node, address);
        page.assert_grown_from(&first);
        let done = page.value("nodecap_packets_queued") as u64 == 0
            && page.sum("nodecap_resets_total") as u64 == 1
            && page.sum("nodecap_translations_total") as u64 == 1;
        done.then_some(page)
    });
    let finished = capture.stop();
    drop(kept);

    let whole = |name: &str| page.value(name) as u64;
    let counts = finished.counts();
    assert_eq!(whole("nodecap_packets_captured_total"), counts.captured);
    assert_eq!(whole("nodecap_packets_received_total"), counts.received);
    assert_eq!(
        page.sum("nodecap_packets_lost_total") as u64,
        counts.dropped
    );
    for interface in [Node::UPLINK, Node::POD_PORT] {
        let of = |name: &str| page.labelled(name, &[("interface", interface)]) as u64;
        let ledger = finished
            .stderr
            .lines()
            .find(|line| line.starts_with(&format!("{interface}: ")))
            .unwrap();
        let said = format!(
            "{interface}: {} received by filter = {} captured + 0 dropped",
            of("nodecap_interface_packets_received_total"),
            of("nodecap_interface_packets_captured_total"),
        );
        assert!(ledger.starts_with(&said), "{ledger}: not {said}");
    }
    let flows = whole("nodecap_flows_begun_total") - whole("nodecap_flows_merged_total");
    assert_eq!(line(&finished.stderr, "flow"), format!("{flows} flows"));
    let cause = if missing("reset-events").is_none() {
        "closed-port"
    } else {
        // Whatever it is called: the closing line must call it so too.
        let mut labels = page
            .samples
            .keys()
            .filter(|(name, _)| name == "nodecap_resets_total");
        &labels.next().unwrap().1["cause"]
    };
    assert_eq!(
        line(&finished.stderr, "reset"),
        format!("1 reset: 1 {cause} from local")
    );
    let labels = [("cause", cause), ("origin", "local")];
    assert_eq!(page.labelled("nodecap_resets_total", &labels) as u64, 1);
    assert_eq!(
        line(&finished.stderr, "translation"),
        "1 translation: 1 snat"
    );
    let snat = page.labelled("nodecap_translations_total", &[("kind", "snat")]);
    assert_eq!(snat as u64, 1);
    assert_eq!(whole("nodecap_files_total"), 1);
    assert_eq!(whole("nodecap_interfaces"), 2);
    assert!(page.value("process_cpu_seconds_total") > 0.0);
    assert!(page.value("process_resident_memory_bytes") > 1e6);
    let size = fs::metadata(scratch.path("x.pcapng")).unwrap().len();
    // The statistics come at the very end.
    assert!(whole("nodecap_output_bytes_total") <= size);
}

#[test]
fn what_is_lost_is_told_by_cause_and_interface_while_the_output_is_stuck() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let fifo = scratch.path("fifo");
    tool::run(Command::new(tool::path("mkfifo")).arg(&fifo));
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--ring-size", "512K", "--metrics", ":0"])
        .write(&fifo)
        .spawn();
    // A reader that doesn't read.
    let mut reader = File::open(&fifo).unwrap();
    capture.wait_until_listening();
    let address = metrics::address(&capture);
    let before = scrape(&wire.namespace, address);
    let sent = replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 900);
    let page = wait_for("figures of what was sent", || {
        let page = scrape(&wire.namespace, address);
        page.assert_grown_from(&before);
        (page.value("nodecap_packets_received_total") as u64 == sent).then_some(page)
    });
    let labels = [("interface", Wire::CATCHER), ("cause", "ring_full")];
    let lost = page.labelled("nodecap_interface_packets_lost_total", &labels) as u64;
    assert_eq!(lost, capture.counts().dropped);
    assert!(lost > 0 && page.value("nodecap_writer_queue_bytes") > 1e6);
    assert!(page.value("nodecap_ring_used_bytes") > 0.0);

    let reading = std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    let page = settled(&wire.namespace, &capture, sent - lost);
    let counts = capture.stop().counts();
    drop(reading.join());
    assert_eq!((counts.received, counts.dropped), (sent, lost));
    for (whole, by_interface) in [
        (
            "nodecap_packets_received_total",
            "nodecap_interface_packets_received_total",
        ),
        (
            "nodecap_packets_captured_total",
            "nodecap_interface_packets_captured_total",
        ),
        (
            "nodecap_packets_lost_total",
            "nodecap_interface_packets_lost_total",
        ),
        (
            "nodecap_captured_bytes_total",
            "nodecap_interface_captured_bytes_total",
        ),
    ] {
        assert_eq!(
            page.sum(whole) as u64,
            page.sum(by_interface) as u64,
            "{whole}"
        );
    }
    assert_eq!(
        page.value("nodecap_packets_captured_total") as u64,
        counts.captured
    );
}

#[test]
fn an_interface_that_is_gone_keeps_its_figures_and_one_of_its_name_adds_to_them() {
    let namespace = Namespace::silent();
    add_wire(&namespace, "stays-in", "pod-0", 1_500);
    let capture = Nodecap::capture(&namespace, "pod-*")
        .args(["--metrics", "0", "-w", "/dev/null"])
        .start();
    let address = metrics::address(&capture);
    let sent = corpus::rich();
    let mut before = scrape(&namespace, address);
    for round in 1..=2 {
        add_wire(&namespace, "in", "pod-1", 1_500);
        wait_for("it to be captured on", || {
            let page = scrape(&namespace, address);
            (page.value("nodecap_interfaces") as u64 == 2).then_some(())
        });
        replay::send(&namespace, "in", &sent);
        let page = settled(&namespace, &capture, round * sent.len() as u64);
        page.assert_grown_from(&before);
        before = page;
        namespace.ip("link del pod-1");
        wait_for("it to be gone", || {
            let page = scrape(&namespace, address);
            page.assert_grown_from(&before);
            (page.value("nodecap_interfaces") as u64 == 1).then_some(())
        });
    }
    let page = scrape(&namespace, address);
    let labels = [("interface", "pod-1")];
    for name in [
        "nodecap_interface_packets_received_total",
        "nodecap_interface_packets_captured_total",
    ] {
        assert_eq!(page.labelled(name, &labels) as u64, 2 * sent.len() as u64);
    }
    capture.stop();
}

#[test]
fn nobody_who_asks_holds_up_the_capture_or_the_next_one() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--metrics", "localhost:0", "-w", "/dev/null"])
        .start();
    let address = metrics::address(&capture);
    let ask = |request: &[u8]| metrics::exchange(&wire.namespace, address, request);
    // More than are served at a time, who say nothing, or half of what they want.
    let mut idle: Vec<_> = (0..12)
        .map(|_| metrics::connect(&wire.namespace, address))
        .collect();
    for stream in idle.iter_mut().skip(6) {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
    }
    wire.send(&corpus::rich());
    capture.wait_until_captured(corpus::rich().len() as u64);
    // They are given up after a while.
    drop(scrape(&wire.namespace, address));
    drop(idle);

    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost nodecap\r\n\r\n",
        b"GET \xff\xfe HTTP/1.1\r\n\r\n",
        &[b'A'; 100_000],
        &[
            b"GET /metrics HTTP/1.1\r\n".as_slice(),
            &b"A: b\r\n".repeat(20_000),
        ]
        .concat(),
    ] {
        let status = ask(garbage).map(|answer| answer.status);
        assert!(
            status.is_none_or(|it| (400..500).contains(&it)),
            "{status:?}"
        );
    }
    let status = |request: &[u8]| ask(request).map(|answer| answer.status);
    assert_eq!(
        status(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"),
        Some(405)
    );
    assert_eq!(status(b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"), Some(404));
    assert_eq!(
        status(b"GET / HTTP/1.0\r\n\r\n"),
        None,
        "HTTP/1.0 is answered as such"
    );
    let head = ask(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    drop(scrape(&wire.namespace, address));
    assert_eq!(
        capture.stop().counts().captured,
        corpus::rich().len() as u64
    );
}

#[test]
fn an_address_that_is_taken_or_none_is_told_with_the_remedy() {
    let wire = Wire::new();
    let taken = wire
        .namespace
        .run(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = taken.local_addr().unwrap().port().to_string();
    for (endpoint, code, said) in [
        (port.as_str(), 1, "take another port"),
        ("192.0.2.77:9100", 1, "take an address of this node"),
        ("nowhere:9100", 2, "is not an address and a port"),
        ("70000", 2, "is not an address and a port"),
    ] {
        let refused = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--metrics", endpoint, "-w", "/dev/null"])
            .run();
        assert_eq!(refused.code(), Some(code), "{endpoint}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(said),
            "{endpoint}: {}",
            refused.stderr
        );
    }
}

#[test]
fn a_flight_recorder_tells_what_happened_and_what_it_let_go() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let on = [
        "--on",
        "reset",
        "--before",
        "200ms",
        "--after",
        "0s",
        "--metrics",
        "0",
    ];
    let capture = record(&wire, &scratch.path("x.pcapng"), &on);
    let kept = [conversation(0, 2), vec![reset(0, 2)]].concat();
    let (kept, other) = (kept, conversation(1, 5));
    wire.send(&interleaved(&[kept.clone(), other.clone()]));
    // What nobody asks for is forgotten in its time.
    let page = settled(&wire.namespace, &capture, kept.len() as u64);
    let forgotten = page.value("nodecap_recorder_forgotten_packets_total") as u64;
    assert_eq!(forgotten, other.len() as u64);
    let labelled = |name: &str, label, value| page.labelled(name, &[(label, value)]) as u64;
    assert_eq!(
        labelled("nodecap_recorder_events_total", "event", "reset"),
        1
    );
    for side in ["before", "after"] {
        assert_eq!(
            labelled("nodecap_recorder_cut_events_total", "side", side),
            0
        );
    }
    assert!(page.value("nodecap_recorder_size_bytes") >= 1e6);
    let said = capture.stop().stderr;
    assert_eq!(number(&said, "forgotten by recorder"), forgotten);
    assert!(said.contains("1 event: 1 reset"), "{said}");
}

/// The names of families in an expression of PromQL.
fn families(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    expression
        .split(|c| !is_part(c))
        .filter(|word| word.starts_with("nodecap_") || word.starts_with("process_"))
        .map(String::from)
        .collect()
}

fn expressions(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    serde_json::Value::String(text)
                        if ["expr", "definition"].contains(&name.as_str()) =>
                    {
                        found.push(text.clone());
                    }
                    value => expressions(value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|it| expressions(it, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_and_the_documentation_name_only_figures_that_there_are() {
    let wire = Wire::new();
    // With a flight recorder, which has figures of its own.
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--metrics", "0", "-w", "/dev/null", "--on", "reset"])
        .start();
    // The tracker's, and its, are there once the mover has said something.
    let page = wait_for("all families", || {
        let page = scrape(&wire.namespace, metrics::address(&capture));
        page.kinds.contains_key("nodecap_flows").then_some(page)
    });
    capture.stop();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let dashboard = fs::read_to_string(docs.join("grafana-dashboard.json")).unwrap();
    let mut found = Vec::new();
    expressions(&serde_json::from_str(&dashboard).unwrap(), &mut found);
    let shown: BTreeSet<_> = found.iter().flat_map(|it| families(it)).collect();
    assert!(shown.len() > 15, "{shown:?}");
    let described = families(&fs::read_to_string(docs.join("running.md")).unwrap());
    for name in shown.iter().chain(&described) {
        assert!(page.kinds.contains_key(name), "there is no {name}");
    }
    // And what there is, is described.
    for name in page.kinds.keys() {
        assert!(described.contains(name), "{name} isn't described");
    }
}
