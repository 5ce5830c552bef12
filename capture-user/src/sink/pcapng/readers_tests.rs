//! Files made here, as the tools that people use read them: tcpdump, capinfos, tshark.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::{path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use super::{
    Annotations, Frames, InterfaceDescription, LinkType, Section, Statistics,
    testing::{Both, FRAMES, INTERFACES, plain},
};
use crate::{
    packet::{Direction, Gso, Packet, Reception},
    sink::output::Opened,
};

/// Ethernet, IPv4, UDP from 192.0.2.1 to 192.0.2.2, port 9, 12 bytes of payload; checksums unset.
const UDP: [u8; 54] = {
    let mut frame = [0; 54];
    let front = [
        2, 0x42, 0xac, 0x11, 0, 2, 2, 0x42, 0xac, 0x11, 0, 3, 8, 0, // Ethernet
        0x45, 0, 0, 40, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, // IPv4
        0x30, 0x39, 0, 9, 0, 20, 0, 0, // UDP
    ];
    let mut i = 0;
    while i < front.len() {
        frame[i] = front[i];
        i += 1;
    }
    frame
};

const COMMENT: &str = "Answered a retransmission. [nodecap retransmit=1]";

/// A capture file in a folder of its own, which goes with it.
struct Sample {
    path: PathBuf,
    _folder: TempDir,
}

impl Sample {
    /// Two Ethernet interfaces and these packets.
    fn new(packets: &[(Packet<'_>, Annotations<'_>)], closed: bool) -> Self {
        Self::of(FRAMES, &INTERFACES, packets, closed)
    }

    /// Writes a file as the session does; not closed, as it is when the session is killed.
    fn of(
        frames: Frames,
        interfaces: &[InterfaceDescription<'_>],
        packets: &[(Packet<'_>, Annotations<'_>)],
        closed: bool,
    ) -> Self {
        let folder = tempdir().unwrap();
        let path = folder.path().join("sample.pcapng");
        let section = Section {
            hardware: Some("x86_64"),
            os: Some("Linux 6.18.2"),
            comment: Some("Capture 5f2c on node-7, clock within 1 ms. [nodecap id=5f2c]"),
            ..Section::default()
        };
        let opened = Opened::open(&path).unwrap();
        let mut file = Both::begin(opened, &section, frames, interfaces).unwrap();
        for (packet, annotations) in packets {
            file.packet(packet, annotations).unwrap();
        }
        if closed {
            let start = 1_700_000_000_000_000_000;
            let end = start + 90_500_000_000;
            let finished = file.finish(&[
                Statistics {
                    start,
                    end,
                    matched: 1004,
                    lost: 5,
                    lost_in_kernel: 4,
                },
                Statistics {
                    start,
                    end,
                    matched: 1,
                    ..Statistics::default()
                },
            ]);
            assert!(finished.closed);
        } else {
            file.flush().unwrap();
        }
        Self {
            path,
            _folder: folder,
        }
    }

    /// What a tool prints about it. It must succeed, and say nothing on standard error but what it
    /// always says.
    fn shown_by(&self, tool: &str, options: &[&str]) -> String {
        let output = Command::new(tool)
            .args(options)
            .arg(&self.path)
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .output()
            .unwrap_or_else(|error| panic!("{tool} is needed for this test: {error}"));
        let errors = String::from_utf8(output.stderr).unwrap();
        let complaints: Vec<_> = errors
            .lines()
            // tcpdump's greeting; tshark's word to root.
            .filter(|line| !line.starts_with("reading from file "))
            .filter(|line| !line.starts_with("Running as user \"root\""))
            .collect();
        assert_eq!(complaints, [""; 0], "{tool}");
        assert!(output.status.success(), "{tool}: {}", output.status);
        // tshark cuts a long text in the middle of a character.
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What tshark dissects: its layers of each frame.
    fn dissected(&self, options: &[&str]) -> Vec<Value> {
        let options = [
            &["-n", "-T", "json", "--no-duplicate-keys"],
            options,
            &["-r"],
        ]
        .concat();
        let frames: Value = serde_json::from_str(&self.shown_by("tshark", &options)).unwrap();
        let frames = frames.as_array().unwrap().iter();
        frames
            .map(|frame| frame["_source"]["layers"].clone())
            .collect()
    }
}

/// Every value of that name, however deep, in order.
fn all(of: &Value, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(of, name, &mut found);
    found
}

fn collect(of: &Value, name: &str, found: &mut Vec<String>) {
    match of {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == name => found.push(text.clone()),
                    Value::Array(texts) if key == name && texts.iter().all(Value::is_string) => {
                        found.extend(texts.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => collect(value, name, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, name, found)),
        _ => {}
    }
}

/// One packet with every option and one with the fewest.
fn every_option() -> [(Packet<'static>, Annotations<'static>); 2] {
    let rich = Packet {
        direction: Direction::Out,
        reception: Some(Reception::Multicast),
        original_len: 1400,
        lost_before: 3,
        gso: Some(Gso {
            size: 1448,
            segments: 3,
        }),
        ..plain(0, &UDP)
    };
    let annotations = Annotations {
        comments: &[COMMENT],
        packet_id: Some(0x1234_5678_9abc_def0),
    };
    let poor = Packet {
        time: rich.time + 1,
        reception: None,
        ..plain(1, &UDP)
    };
    [(rich, annotations), (poor, Annotations::default())]
}

#[test]
fn tcpdump_reads_every_packet_with_its_nanoseconds() {
    let sample = Sample::new(&every_option(), true);
    let lines = sample.shown_by("tcpdump", &["-n", "--nano", "-tt", "-r"]);
    let lines: Vec<_> = lines.lines().collect();
    let udp = "IP 192.0.2.1.12345 > 192.0.2.2.9: UDP, length 12";
    assert_eq!(
        lines,
        [
            format!("1700000000.123456789 {udp}"),
            format!("1700000000.123456790 {udp}"),
        ]
    );
}

#[test]
fn capinfos_counts_packets_and_sees_what_captured_them() {
    let sample = Sample::new(&every_option(), true);
    let text = sample.shown_by("capinfos", &["-M"]);
    let has = |line: &str| {
        let found = text.lines().map(str::trim).any(|it| it == line);
        assert!(found, "no {line:?} in\n{text}");
    };
    has("Number of packets:   2");
    has("File encapsulation:  ether");
    has("File timestamp precision:  nanoseconds (9)");
    has("Capture hardware:    x86_64");
    has("Capture oper-sys:    Linux 6.18.2");
    has(concat!(
        "Capture application: nodecap ",
        env!("CARGO_PKG_VERSION")
    ));
    has("Capture comment:     Capture 5f2c on node-7, clock within 1 ms. [nodecap id=5f2c]");
    has("Number of interfaces in file: 2");
    has("Name = veth2482a36");
    has("Description = veth, container web, netns 4026532281");
    has("Filter string = tcp port 443");
    has("Operating system = Linux 6.18");
    has("Name = eth0");
    let of_each = |line: &str| text.lines().filter(|it| it.trim() == line).count();
    assert_eq!(of_each("Time precision = nanoseconds (9)"), 2, "{text}");
    assert_eq!(of_each("Capture length = 262144"), 2, "{text}");
    assert_eq!(of_each("Number of stat entries = 1"), 2, "{text}");
    assert_eq!(of_each("Number of packets = 1"), 2, "{text}");
}

#[test]
fn tshark_shows_every_option_of_a_packet() {
    let sample = Sample::new(&every_option(), true);
    let frames = sample.dissected(&[]);
    let [rich, poor] = &frames[..] else {
        panic!("{frames:#?}")
    };
    let gso = "GSO super-frame in place of 3 segments with 1448 bytes of payload each at most. \
               [nodecap gso_size=1448 gso_segments=3]";
    assert_eq!(all(rich, "frame.comment"), [gso, COMMENT]);
    assert_eq!(all(rich, "frame.packet_flags_direction"), ["0x00000002"]);
    assert_eq!(all(rich, "frame.packet_flags_reception_type"), ["2"]);
    assert_eq!(all(rich, "frame.drop_count"), ["3"]);
    assert_eq!(all(rich, "frame.packet_id"), ["1311768467463790320"]);
    assert_eq!(all(rich, "frame.interface_name"), ["veth2482a36"]);
    assert_eq!(all(rich, "frame.cap_len"), ["54"]);
    assert_eq!(all(rich, "frame.len"), ["1400"]);
    assert_eq!(all(rich, "frame.time_epoch"), ["1700000000.123456789"]);

    assert_eq!(all(poor, "frame.comment"), [""; 0]);
    assert_eq!(all(poor, "frame.packet_flags_direction"), ["0x00000001"]);
    assert_eq!(all(poor, "frame.packet_flags_reception_type"), ["0"]);
    assert_eq!(all(poor, "frame.drop_count"), [""; 0]);
    assert_eq!(all(poor, "frame.packet_id"), [""; 0]);
    assert_eq!(all(poor, "frame.interface_name"), ["eth0"]);
}

#[test]
fn tshark_finds_one_statistics_block_an_interface_at_the_end() {
    let sample = Sample::new(&every_option(), true);
    // The file itself as the thing to dissect, block by block.
    let frames = sample.dissected(&["-X", "read_format:MIME Files Format"]);
    let [file] = &frames[..] else {
        panic!("{frames:#?}")
    };
    let kinds = all(file, "pcapng.block.type");
    assert_eq!(
        kinds,
        [
            "0x0a0d0d0a",
            "0x00000001",
            "0x00000001",
            "0x00000006",
            "0x00000006",
            "0x00000005",
            "0x00000005"
        ]
    );
    let number = |name| {
        all(
            file,
            &format!("pcapng.options.option.data.interface.{name}"),
        )
    };
    assert_eq!(number("received"), ["1004", "1"]);
    assert_eq!(number("accepted_by_filter"), ["1004", "1"]);
    assert_eq!(number("dropped"), ["5", "0"]);
    assert_eq!(number("dropped_by_os"), ["4", "0"]);
    assert_eq!(number("delivered_to_user"), ["1", "1"]);
}

#[test]
fn a_capture_that_was_killed_is_read_up_to_the_cut() {
    let sample = Sample::new(&every_option(), false);
    assert_eq!(sample.shown_by("tcpdump", &["-n", "-r"]).lines().count(), 2);
    assert_eq!(sample.dissected(&[]).len(), 2);
    assert!(
        sample
            .shown_by("capinfos", &["-c"])
            .contains("Number of packets:   2")
    );
}

#[test]
fn raw_ip_is_read_as_such() {
    let packets = [(plain(0, &UDP[14..]), Annotations::default())];
    let sample = Sample::of(
        Frames::new(LinkType::Raw, 96),
        &INTERFACES[..1],
        &packets,
        true,
    );
    let text = sample.shown_by("tcpdump", &["-n", "-t", "-r"]);
    assert_eq!(text, "IP 192.0.2.1.12345 > 192.0.2.2.9: UDP, length 12\n");
    assert_eq!(all(&sample.dissected(&[])[0], "ip.src"), ["192.0.2.1"]);
    assert!(sample.shown_by("capinfos", &["-E"]).contains("Raw IP"));
}

#[test]
fn a_super_frame_of_64_kib_and_a_cut_frame_are_read() {
    let mut long = vec![0; 65_549];
    long[..UDP.len()].copy_from_slice(&UDP);
    let gso = Some(Gso {
        size: 1448,
        segments: 46,
    });
    let packets = [
        (
            Packet {
                gso,
                ..plain(0, &long)
            },
            Annotations::default(),
        ),
        (
            Packet {
                original_len: 9000,
                ..plain(1, &UDP[..1])
            },
            Annotations::default(),
        ),
    ];
    let sample = Sample::new(&packets, true);
    assert_eq!(sample.shown_by("tcpdump", &["-n", "-r"]).lines().count(), 2);
    let frames = sample.dissected(&[]);
    assert_eq!(all(&frames[0], "frame.cap_len"), ["65549"]);
    assert_eq!(all(&frames[1], "frame.len"), ["9000"]);
}

#[test]
fn the_longest_and_the_emptiest_texts_are_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("sample.pcapng");
    let long = "é".repeat(40_000);
    let text = Some(long.as_str());
    let empty = Some("");
    let section = Section {
        hardware: text,
        os: empty,
        comment: text,
        application: &long,
    };
    let names = [
        ("192.0.2.1".parse().unwrap(), long.clone()),
        ("2001:db8::1".parse().unwrap(), String::new()),
    ];
    let interfaces = [
        InterfaceDescription {
            name: &long,
            description: text,
            filter: text,
            os: text,
            mac: None,
            names: &names,
        },
        InterfaceDescription {
            name: "",
            description: empty,
            filter: empty,
            os: empty,
            mac: None,
            names: &names,
        },
    ];
    let opened = Opened::open(&path).unwrap();
    let mut file = Both::begin(opened, &section, FRAMES, &interfaces).unwrap();
    let annotations = Annotations {
        comments: &[&long, "", &long],
        packet_id: None,
    };
    file.packet(&plain(1, &UDP), &annotations).unwrap();
    assert!(file.finish(&[]).closed);
    let sample = Sample {
        path,
        _folder: folder,
    };
    assert_eq!(sample.shown_by("tcpdump", &["-n", "-r"]).lines().count(), 1);
    assert!(
        sample
            .shown_by("capinfos", &["-c"])
            .contains("Number of packets:   1")
    );
    assert_eq!(sample.dissected(&[]).len(), 1);
}
