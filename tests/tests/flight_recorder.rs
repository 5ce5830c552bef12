//! The flight recorder: packets wait in memory, and only those of a flow around an event in it are
//! written.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lab::flows::FlowsFile;
use lab::frames::transport::{ACK, PSH, RST, SYN, TCP, segment};
use lab::frames::{Flow, Frame};
use lab::nodecap::{Capture, Nodecap};
use lab::process::Finished;
use lab::read::{CaptureFile, Captured};
use lab::scenario::endings::ABORTED_BY_POD;
use lab::scenario::{OUTSIDE_SERVER, POD_CLIENT, masqueraded};
use lab::scratch::Scratch;
use lab::segment::Segment;
use lab::sockets::{Connection, connect, listen};
use lab::topology::{Node, Wire};
use lab::wait::wait_until;
use lab::{Signal, tools};

/// The client's and the server's side of connection `number`.
fn sides(number: u16) -> [Flow; 2] {
    let flow = Flow::new(&format!("192.0.2.1:{}", 20_000 + number), "192.0.2.2:443");
    [flow, flow.back()]
}

/// The beginning of a connection, and so many questions of ten bytes with their answers.
fn conversation(number: u16, exchanges: u32) -> Vec<Frame> {
    let [client, server] = sides(number);
    let frame = |flow: Flow, flags, sequence, acknowledgement, payload: &[u8]| {
        flow.around(
            TCP,
            &segment(flow, flags, sequence, acknowledgement, payload),
        )
    };
    let mut frames = vec![
        frame(client, SYN, 1_000, 0, b""),
        frame(server, SYN | ACK, 5_000, 1_001, b""),
    ];
    for at in (0..exchanges).map(|exchange| exchange * 10) {
        frames.push(frame(
            client,
            ACK | PSH,
            1_001 + at,
            5_001 + at,
            b"0123456789",
        ));
        frames.push(frame(
            server,
            ACK | PSH,
            5_001 + at,
            1_011 + at,
            b"0123456789",
        ));
    }
    frames
}

/// The reset that ends a conversation of so many exchanges.
fn reset(number: u16, exchanges: u32) -> Frame {
    let [client, _] = sides(number);
    let numbers = (1_001 + exchanges * 10, 5_001 + exchanges * 10);
    client.around(TCP, &segment(client, RST | ACK, numbers.0, numbers.1, b""))
}

/// Frames of several lists in turn: one of each, as long as there are any.
fn interleaved(lists: &[Vec<Frame>]) -> Vec<Frame> {
    let longest = lists.iter().map(Vec::len).max().unwrap();
    let turns = (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at)));
    turns.cloned().collect()
}

fn data(packets: &[Captured]) -> Vec<&[u8]> {
    packets.iter().map(|packet| &packet.data[..]).collect()
}

fn record(wire: &Wire, file: &Path, more: &[&str]) -> Capture {
    Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(more)
        .args(["-v"])
        .write(file)
        .start()
}

/// The number in front of these words.
#[track_caller]
fn number(said: &str, words: &str) -> u64 {
    let line = said.lines().rev().find(|line| line.ends_with(words));
    let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no `… {words}` in:\n{said}"))
}

/// How many packets the recorder has forgotten, asked for by USR1. It is the last of the count
/// lines, so it may come a little after the others.
#[track_caller]
fn forgotten_so_far(capture: &Capture) -> u64 {
    const WORDS: &str = "forgotten by recorder";
    let before = capture.process().stderr().len();
    capture.signal(Signal::SIGUSR1);
    capture.process().wait_for_stderr(WORDS, |text| {
        let said = &text[before..];
        said.contains(WORDS).then(|| number(said, WORDS))
    })
}

/// The numbers of an interface's line in the ledger: received, captured, dropped, forgotten, past
/// the end.
#[track_caller]
fn ledger(finished: &Finished, interface: &str) -> [u64; 5] {
    let said = &finished.stderr;
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{interface}: ")))
        .unwrap_or_else(|| panic!("no ledger of {interface} in:\n{said}"));
    let before = |words: &str| -> u64 {
        let (before, _) = line
            .split_once(words)
            .unwrap_or_else(|| panic!("{words}: {line}"));
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    [
        before(" received by filter"),
        before(" captured"),
        before(" dropped"),
        before(" forgotten"),
        before(" past the end"),
    ]
}

/// Nothing may be unaccounted for, and the file has what is said to be captured.
#[track_caller]
fn assert_accounted(finished: &Finished, files: &[PathBuf], sent: u64) -> Vec<CaptureFile> {
    let counts = finished.counts();
    let forgotten = number(&finished.stderr, "forgotten by recorder");
    let [received, captured, dropped, in_ledger, past] = ledger(finished, Wire::CATCHER);
    assert_eq!(
        [counts.received, counts.captured, counts.dropped, forgotten],
        [received, captured, dropped, in_ledger]
    );
    assert_eq!(received, sent);
    assert_eq!(received, captured + dropped + forgotten + past);
    let read: Vec<_> = files
        .iter()
        .map(|file| {
            tools::assert_readable(file);
            CaptureFile::read(file)
        })
        .collect();
    let written: usize = read.iter().map(|file| file.packets.len()).sum();
    assert_eq!(captured, written as u64);
    let accepted = read
        .iter()
        .map(|file| file.statistics_of(Wire::CATCHER).accepted.unwrap());
    assert_eq!(accepted.sum::<u64>(), received);
    read
}

#[track_caller]
fn assert_in_order(packets: &[Captured]) {
    assert!(packets.is_sorted_by_key(|packet| packet.time_ns));
}

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

/// Runs a capture on the node around what `happen` does. Which flows were written, by their clients'
/// ports, and what was said.
fn on(
    events: &str,
    prepare: impl FnOnce(&Node),
    happen: impl FnOnce(&Node),
) -> (BTreeSet<u16>, String) {
    let (lab, scratch) = (Node::new(), Scratch::new());
    prepare(&lab);
    let file = scratch.path("x.pcapng");
    let capture = Nodecap::capture(&lab.node, "any")
        .args(["--on", events, "--proto", "tcp,udp,icmp"])
        .write(&file)
        .start();
    happen(&lab);
    let finished = capture.stop();
    let written = CaptureFile::read(&file);
    let ports = written.packets.iter().filter_map(|packet| {
        let ip = packet
            .data
            .get(14..)
            .filter(|_| packet.data[12..14] == [8, 0])?;
        let port = |at: usize| Some(u16::from_be_bytes(*ip.get(at..)?.first_chunk()?));
        let ports = [port(20)?, port(22)?];
        matches!(ip[9], 6 | 17).then_some(*ports.iter().max()?)
    });
    (ports.collect(), finished.stderr)
}

fn exchange(lab: &Node, port: u16) {
    let server = "192.0.2.9:443";
    let client = format!("10.88.0.2:{port}");
    Connection::open((&lab.pod, &client), server, (&lab.outside, server)).exchange();
}

#[test]
fn a_translation_is_an_event() {
    let (ports, said) = on("nat", masqueraded, |lab| {
        exchange(lab, 41_000);
        // The node's own connection isn't translated.
        let listener = listen(&lab.outside, "192.0.2.9:444", 1);
        drop(connect(&lab.node, "192.0.2.1:42000", "192.0.2.9:444"));
        drop(listener);
    });
    assert_eq!(ports, BTreeSet::from([41_000]), "{said}");
    assert!(said.contains("1 event: 1 nat"), "{said}");
}

#[test]
fn a_drop_and_the_retransmission_that_follows_it_are_events() {
    let refuse = |lab: &Node| {
        lab.node.nft(
            "table inet refuse { chain forward { type filter hook forward priority 0; \
             tcp dport 8080 drop\n}\n}",
        );
    };
    for (events, expected) in [("drop", "drop"), ("retransmit", "retransmit")] {
        let (ports, said) = on(events, refuse, |lab| {
            exchange(lab, 41_000);
            let socket = lab.pod.run(|| {
                use socket2::{Domain, Socket, Type};
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
                    .bind(&lab::sockets::address("10.88.0.2:42000").into())
                    .unwrap();
                let _ = socket.connect(&lab::sockets::address("192.0.2.9:8080").into());
                socket
            });
            // The SYN is sent again after a second.
            wait_until("a second SYN", || {
                let stat = lab
                    .pod
                    .run(|| fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
                let values: Vec<_> = stat
                    .lines()
                    .filter(|line| line.starts_with("Tcp:"))
                    .collect();
                let at = values[0]
                    .split(' ')
                    .position(|name| name == "RetransSegs")
                    .unwrap();
                values[1].split(' ').nth(at).unwrap() != "0"
            });
            drop(socket);
        });
        assert_eq!(ports, BTreeSet::from([42_000]), "{events}: {said}");
        assert!(said.contains(&format!(" {expected}\n")), "{said}");
    }
}

#[test]
fn an_icmp_error_is_an_event_of_the_flow_that_it_quotes() {
    let (ports, said) = on("icmp-error", masqueraded, |lab| {
        exchange(lab, 41_000);
        let socket = lab.pod.udp("10.88.0.2:43000");
        socket.connect("192.0.2.9:33434").unwrap();
        socket.send(b"anybody?").unwrap();
        wait_until("the refusal", || socket.recv(&mut [0]).is_err());
    });
    assert_eq!(ports, BTreeSet::from([43_000]), "{said}");
    assert!(said.contains("1 event: 1 icmp-error"), "{said}");
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
        let finished = Nodecap::capture(&wire.namespace, Wire::CATCHER)
            .args(arguments)
            .write(&file)
            .run();
        assert_eq!(
            finished.code(),
            Some(2),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert!(
            finished.stderr.contains(said),
            "{arguments:?}: {}",
            finished.stderr
        );
        assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    }
    assert!(!file.exists());
}
