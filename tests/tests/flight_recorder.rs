//! The flight recorder: packets wait in memory, and only those of a flow around an event in it are
//! written.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lab::conversation::{conversation, interleaved, reset, sides};
use lab::flows::FlowsFile;
use lab::frames::Flow;
use lab::frames::transport::{ACK, PSH, RST, TCP, segment};
use lab::nodecap::Nodecap;
use lab::read::CaptureFile;
use lab::recorder::{assert_accounted, assert_in_order, data, forgotten_so_far, number, record};
use lab::scenario::endings::ABORTED_BY_POD;
use lab::scenario::{OUTSIDE_SERVER, POD_CLIENT, masqueraded};
use lab::scratch::Scratch;
use lab::segment::Segment;
use lab::sockets::Connection;
use lab::topology::{Node, Wire};
use lab::wait::wait_until;
use lab::{Signal, tools};

#[test]
fn without_an_event_nothing_is_written_and_all_is_accounted_for() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = record(&wire, &file, &["--on", "reset,retransmit,zero-window"]);
    let lists: Vec<_> = (0..20).map(|number| conversation(number, 10)).collect();
    let sent = interleaved(&lists);
    wire.send(&sent);
    capture.wait_until_received(sent.len() as u64);
    let finished = capture.stop();
    let read = assert_accounted(&finished, &[file], sent.len() as u64);
    assert!(read[0].packets.is_empty());
    assert_eq!(
        number(&finished.stderr, "forgotten by recorder"),
        sent.len() as u64
    );
    assert!(
        finished.stderr.contains("\n0 events\n"),
        "{}",
        finished.stderr
    );
}

#[test]
fn what_is_written_around_a_reset_is_all_of_its_flow_on_every_interface_and_nothing_else() {
    let (lab, scratch) = (Node::new(), Scratch::new());
    let (recorded, whole) = (
        scratch.path("recorded.pcapng"),
        scratch.path("whole.pcapng"),
    );
    masqueraded(&lab);
    let start = |file: &Path, more: &[&str]| {
        Nodecap::capture(&lab.node, "any")
            .args(["--proto", "tcp"])
            .args(more)
            .write(file)
            .start()
    };
    let recorder = start(&recorded, &["--on", "reset"]);
    let reference = start(&whole, &[]);
    let mut other = Connection::open(
        (&lab.pod, "10.88.0.2:41000"),
        "192.0.2.9:8443",
        (&lab.outside, "192.0.2.9:8443"),
    );
    other.exchange();
    let kept = (ABORTED_BY_POD.happen)(&lab);
    other.exchange();
    let finished = recorder.stop();
    reference.stop();
    drop((kept, other));

    let (recorded, whole) = (CaptureFile::read(&recorded), CaptureFile::read(&whole));
    let ports = [POD_CLIENT, OUTSIDE_SERVER].map(|end| lab::sockets::address(end).port());
    let seen = |file: &CaptureFile| -> Vec<(Vec<u8>, String, u32)> {
        let of_it = file.packets.iter().filter(|packet| {
            Segment::of(&packet.data).is_some_and(|segment| {
                ports.contains(&segment.source.port())
                    && ports.contains(&segment.destination.port())
            })
        });
        let seen = of_it.map(|packet| {
            let interface = file.interfaces[packet.interface].name.clone().unwrap();
            (packet.data.clone(), interface, packet.flags.unwrap_or(0))
        });
        // Two captures stamp each for itself: what crosses on two processors may change places.
        let mut seen: Vec<_> = seen.collect();
        seen.sort();
        seen
    };
    let expected = seen(&whole);
    let interfaces: BTreeSet<_> = expected.iter().map(|(_, interface, _)| interface).collect();
    assert!(interfaces.len() >= 3, "{interfaces:?}");
    assert!(expected.len() < whole.packets.len());
    assert_eq!(seen(&recorded), expected);
    assert_eq!(recorded.packets.len(), expected.len());
    assert_in_order(&recorded.packets);
    // With all that is known of them: the verdict, and the packet's number on every hook.
    let resets: Vec<_> = recorded
        .packets
        .iter()
        .filter(|packet| Segment::of(&packet.data).is_some_and(|segment| segment.has(RST)))
        .collect();
    for packet in &resets {
        assert!(
            packet
                .comments
                .iter()
                .any(|comment| comment.contains("cause=application-abort")),
            "{packet:#?}"
        );
        assert_eq!(packet.packet_id, resets[0].packet_id);
    }
    assert!(
        finished.stderr.contains("1 event: 1 reset"),
        "{}",
        finished.stderr
    );
}

#[test]
fn so_many_packets_come_before_and_after_as_were_asked_for() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let on = ["--on", "reset", "--before", "5", "--after", "2"];
    let capture = record(&wire, &file, &on);
    let mut mine = conversation(0, 10);
    let at = mine.len();
    mine.push(reset(0, 10));
    // The other side hasn't heard of it yet.
    let [_, server] = sides(0);
    let late = (0..4).map(|at| {
        server.around(
            TCP,
            &segment(server, ACK | PSH, 5_101 + at * 10, 1_101, b"0123456789"),
        )
    });
    mine.extend(late);
    let sent = interleaved(&[mine.clone(), conversation(1, 20)]);
    wire.send(&sent);
    capture.wait_until_received(sent.len() as u64);
    let read = assert_accounted(&capture.stop(), &[file], sent.len() as u64);
    assert_eq!(data(&read[0].packets), &mine[at - 5..=at + 2]);
}

#[test]
fn many_events_at_once_are_written_in_the_order_of_time_and_nothing_twice() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    for (option, ordered) in [(None, true), (Some("-U"), false)] {
        let file = scratch.path(&format!("{ordered}.pcapng"));
        let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(["--on", "reset", "-v"])
            .args(option)
            .write(&file)
            .start();
        // Every other connection is reset; they all go on beside each other.
        let lists: Vec<_> = (0..400)
            .map(|number| {
                let mut frames = conversation(number, 6);
                if number % 2 == 0 {
                    frames.push(reset(number, 6));
                }
                frames
            })
            .collect();
        let sent = interleaved(&lists);
        wire.send(&sent);
        capture.wait_until_received(sent.len() as u64);
        let finished = capture.stop();
        let read = assert_accounted(&finished, &[file], sent.len() as u64);
        assert!(
            finished.stderr.contains("200 events: 200 reset"),
            "{}",
            finished.stderr
        );
        let reset_ones: Vec<_> = lists.iter().step_by(2).cloned().collect();
        let expected = interleaved(&reset_ones);
        let packets = &read[0].packets;
        assert_eq!(packets.len(), expected.len());
        if ordered {
            assert_in_order(packets);
            assert_eq!(data(packets), expected);
        }
        for (number, frames) in (0u16..).step_by(2).zip(&reset_ones) {
            let port = 20_000 + number;
            let mine: Vec<_> = packets
                .iter()
                .filter(|packet| {
                    Segment::of(&packet.data).is_some_and(|segment| {
                        [segment.source.port(), segment.destination.port()].contains(&port)
                    })
                })
                .cloned()
                .collect();
            assert_in_order(&mine);
            assert_eq!(
                data(&mine),
                frames.iter().map(Vec::as_slice).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn what_memory_can_no_longer_give_is_told() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let on = ["--on", "reset", "--recorder-size", "1M"];
    let capture = record(&wire, &file, &on);
    let mine = conversation(0, 10);
    wire.send(&mine);
    // More than there is memory for.
    let filler = Flow::new("192.0.2.1:9", "192.0.2.2:9").udp(&[7; 1_400]);
    let flooded = 2_000;
    wire.send(&vec![filler; flooded]);
    let recent = conversation(1, 10);
    wire.send(&recent);
    wire.send(&[reset(0, 10), reset(1, 10)]);
    let sent = (mine.len() + flooded + recent.len() + 2) as u64;
    capture.wait_until_received(sent);
    let finished = capture.stop();
    let read = assert_accounted(&finished, &[file], sent);
    // Of the first nothing is left but its end; the second began after all that had to go.
    let expected = [recent, vec![reset(0, 10), reset(1, 10)]].concat();
    assert_eq!(data(&read[0].packets), expected);
    let said = finished.stderr;
    assert!(said.contains("2 events: 2 reset"), "{said}");
    assert!(
        said.contains("1 of them may lack earlier packets"),
        "{said}"
    );
    assert!(said.contains("raise --recorder-size"), "{said}");
}

#[test]
fn the_limits_count_what_is_written() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let on = ["--on", "reset", "--before", "1h", "-U", "-c", "9"];
    let capture = record(&wire, &file, &on);
    let lists: Vec<_> = (0..10)
        .map(|number| [conversation(number, 2), vec![reset(number, 2)]].concat())
        .collect();
    let sent = lists.concat();
    wire.send(&sent);
    let finished = capture.wait();
    assert_eq!(finished.stop_reason(), "packet limit (9)");
    let counts = finished.counts();
    let read = assert_accounted(&finished, &[file], counts.received);
    assert_eq!(data(&read[0].packets), &sent[..9]);
}

#[test]
fn reading_along_the_event_is_in_the_file_at_once() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let on = ["--on", "reset", "--before", "1h", "-U"];
    let capture = record(&wire, &file, &on);
    let mine = [conversation(0, 3), vec![reset(0, 3)]].concat();
    wire.send(&mine);
    wait_until("the flow in the file", || {
        CaptureFile::read_cut(&file).packets.len() == mine.len()
    });
    // Meanwhile the account is open.
    wire.send(&conversation(1, 3));
    let received = capture.wait_until_received((mine.len() + 8) as u64);
    assert_eq!(received.captured, mine.len() as u64);
    capture.stop();
}

#[test]
fn by_time_packets_are_written_once_nothing_older_can_follow() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = record(
        &wire,
        &file,
        &["--on", "reset", "--before", "200ms", "--after", "0s"],
    );
    let mine = [conversation(0, 3), vec![reset(0, 3)]].concat();
    wire.send(&mine);
    // No packet comes that would push them out.
    capture.wait_until_captured(mine.len() as u64);
    // And what nobody asks for is forgotten in its time.
    wire.send(&conversation(1, 3));
    wait_until("the rest forgotten", || forgotten_so_far(&capture) == 8);
    let finished = capture.stop();
    let read = assert_accounted(&finished, &[file], (mine.len() + 8) as u64);
    assert_eq!(data(&read[0].packets), mine);
}

#[test]
fn rotation_and_compression_go_with_it() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x.pcapng");
    let capture = record(&wire, &file, &["--on", "reset", "-C", "16K"]);
    let lists: Vec<_> = (0..200)
        .map(|number| [conversation(number, 4), vec![reset(number, 4)]].concat())
        .collect();
    let sent = interleaved(&lists);
    wire.send(&sent);
    capture.wait_until_received(sent.len() as u64);
    let finished = capture.stop();
    let mut files: Vec<_> = fs::read_dir(scratch.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 3, "{files:?}");
    let read = assert_accounted(&finished, &files, sent.len() as u64);
    let packets: Vec<_> = read.iter().flat_map(|file| file.packets.clone()).collect();
    assert_in_order(&packets);
    assert_eq!(data(&packets), sent);
    for file in &read {
        let block = file.statistics_of(Wire::CATCHER);
        let span = block.start_ns.unwrap()..=block.end_ns.unwrap();
        assert!(
            file.packets
                .iter()
                .all(|packet| span.contains(&packet.time_ns))
        );
    }

    let packed = scratch.path("y.pcapng.zst");
    let capture = record(&wire, &packed, &["--on", "reset"]);
    wire.send(&sent);
    capture.wait_until_received(sent.len() as u64);
    assert_eq!(capture.stop().counts().captured, sent.len() as u64);
    tools::capinfos(&packed);
}

#[test]
fn a_hang_up_begins_another_file_at_once_though_packets_wait() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let path = |number: u32| scratch.path(&format!("x.{number:05}.pcapng"));
    let file = scratch.path("x.pcapng");
    let capture = record(
        &wire,
        &file,
        &["--on", "reset", "-G", "1h", "--before", "10m"],
    );
    let mine = [conversation(0, 3), vec![reset(0, 3)]].concat();
    wire.send(&mine);
    capture.wait_until_received(mine.len() as u64);
    capture.signal(Signal::SIGHUP);
    wait_until("another file", || path(2).exists());
    let finished = capture.stop();
    let read = assert_accounted(&finished, &[path(1), path(2)], mine.len() as u64);
    assert!(read[0].packets.is_empty());
    assert_eq!(data(&read[1].packets), mine);
}

#[test]
fn on_a_terminal_lines_come_of_the_flow_alone() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-n", "--on", "reset"])
        .start();
    let sent = interleaved(&[
        [conversation(0, 2), vec![reset(0, 2)]].concat(),
        conversation(1, 5),
    ]);
    wire.send(&sent);
    capture.wait_until_captured(7);
    let finished = capture.stop();
    let said = finished.stdout_text();
    let lines: Vec<_> = said.lines().filter(|line| line.contains(" IP ")).collect();
    assert_eq!(lines.len(), 7, "{said}");
    assert!(lines.iter().all(|line| line.contains(".20000")), "{said}");
    assert!(said.contains("Flags [R.]"), "{said}");
}

#[test]
fn lines_flows_and_a_command_go_with_it() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (file, flows) = (scratch.path("x.pcapng"), scratch.path("flows.jsonl"));
    let copies = scratch.path("copies");
    fs::create_dir(&copies).unwrap();
    let command = format!("cp -t {}", copies.display());
    let flows_to = flows.display().to_string();
    let more = [
        "-n",
        "--on",
        "reset",
        "--print",
        "--min-free",
        "1",
        "--flows",
    ];
    let capture = record(
        &wire,
        &file,
        &[&more[..], &[&flows_to, "--exec", &command]].concat(),
    );
    let kept = [conversation(0, 2), vec![reset(0, 2)]].concat();
    let sent = interleaved(&[kept.clone(), conversation(1, 5)]);
    wire.send(&sent);
    capture.wait_until_received(sent.len() as u64);
    let finished = capture.stop();
    let read = assert_accounted(&finished, std::slice::from_ref(&file), sent.len() as u64);
    assert_eq!(
        data(&read[0].packets),
        kept.iter().map(|frame| &frame[..]).collect::<Vec<_>>()
    );
    let said = finished.stdout_text();
    let lines = said.lines().filter(|line| line.contains(" IP "));
    assert_eq!(lines.count(), kept.len(), "{said}");
    // Flows are told of whether they are written or not.
    let told = FlowsFile::read(&flows);
    assert_eq!((told.flows.len(), told.resets.len()), (2, 1));
    assert_eq!(
        fs::read(copies.join("x.pcapng")).unwrap(),
        fs::read(&file).unwrap()
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("x");
    for (arguments, said) in [
        (&["--before", "5s"][..], "--on"),
        (&["--after", "5"], "--on"),
        (&["--on", "reset", "--no-track"], "--no-track"),
        (
            &["--on", "crash"],
            "reset, nat, retransmit, drop, icmp-error, zero-window",
        ),
        (&["--on", "reset", "--before", "soon"], "neither a time"),
        (
            &["--on", "reset", "--recorder-size", "1K"],
            "--recorder-size",
        ),
    ] {
        Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(arguments)
            .write(&file)
            .assert_refused(said);
    }
    assert!(!file.exists());
}
