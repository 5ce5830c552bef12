//! What is in the file, and what other people's readers make of it.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lab::compare::assert_same;
use lab::frames::{SOURCE_MAC, corpus};
use lab::nodecap::Nodecap;
use lab::process::Finished;
use lab::read::pcapng::{ENHANCED_PACKET, INTERFACE_STATISTICS, SECTION_HEADER};
use lab::read::{CaptureFile, Direction};
use lab::scratch::Scratch;
use lab::tools;
use lab::topology::Wire;

/// Captures the corpus at both ends of a wire, which thus go out at one and come in at the other.
#[track_caller]
fn capture(wire: &Wire, scratch: &Scratch, arguments: &[&str]) -> (CaptureFile, Finished) {
    let file = scratch.path("both.pcapng");
    let capture = Nodecap::capture(&wire.namespace, Wire::SENDER)
        .args(["-i", Wire::CATCHER])
        .args(arguments)
        .write(&file)
        .start();
    wire.send(&corpus::rich());
    let finished = capture.stop();
    (CaptureFile::read(&file), finished)
}

#[test]
fn other_readers_have_no_complaint_and_find_every_packet() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (written, finished) = capture(&wire, &scratch, &[]);
    let count = 2 * corpus::rich().len();
    assert_eq!(written.packets.len(), count);
    assert_eq!(finished.counts().captured, count as u64);
    let file = scratch.path("both.pcapng");
    // tcpdump shows some packets on several lines, of which the first alone begins with the time.
    let lines = tools::tcpdump_read(&file);
    let packets = lines.lines().filter(|line| line.get(8..9) == Some("."));
    assert_eq!(packets.count(), count);
    let frames = tools::tshark(&file, &["-T", "fields", "-e", "frame.interface_name"]);
    for interface in [Wire::SENDER, Wire::CATCHER] {
        assert_eq!(
            frames.lines().filter(|name| *name == interface).count(),
            count / 2
        );
    }
    let info = tools::capinfos(&file);
    assert!(info.contains("pcapng"), "{info}");
    assert!(info.contains("Strict time order:   True"), "{info}");
    assert!(info.contains("(9)"), "not in nanoseconds: {info}");
}

#[test]
fn a_file_without_packets_is_whole_too() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let file = scratch.path("empty.pcapng");
    Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .write(&file)
        .start()
        .stop();
    let written = CaptureFile::read(&file);
    assert_eq!((written.interfaces.len(), written.packets.len()), (1, 0));
    assert_eq!(written.statistics_of(Wire::CATCHER).dropped, Some(0));
    tools::assert_readable(&file);
}

#[test]
fn the_section_header_says_who_captured_where() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (written, _) = capture(&wire, &scratch, &[]);
    let version = Nodecap::new(&wire.namespace, &["--version"])
        .run()
        .stdout_text();
    let section = written.section;
    assert_eq!(section.application.as_deref(), Some(version.trim()));
    assert!(version.starts_with("nodecap "), "{version}");
    assert!(section.hardware.is_some_and(|text| !text.is_empty()));
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(section.os.is_some_and(|os| os.contains(release.trim())));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(
        section
            .comments
            .iter()
            .any(|comment| comment.contains(host.trim()))
    );
}

#[test]
fn an_interface_block_describes_each_interface() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let filter = ["--proto", "tcp", "--port", "443"];
    let (written, _) = capture(&wire, &scratch, &[&["-s", "96"][..], &filter].concat());
    assert_eq!(written.interfaces.len(), 2);
    for name in [Wire::SENDER, Wire::CATCHER] {
        let block = &written.interfaces[written.interface(name)];
        assert_eq!((block.link_type, block.snap_len), (1, 96));
        assert_eq!(block.units_per_second, 1_000_000_000);
        assert!(
            block
                .description
                .as_ref()
                .is_some_and(|text| text.contains("veth"))
        );
        let text = block.filter.clone().expect("if_filter");
        assert!(text.contains("tcp") && text.contains("443"), "{text}");
        let address = format!("/sys/class/net/{name}/address");
        let address = fs::read_to_string(wire.namespace.outside(address.as_ref())).unwrap();
        let octets: Vec<u8> = address
            .trim()
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).unwrap())
            .collect();
        assert_eq!(block.hardware_address.as_ref(), Some(&octets));
        assert_ne!(octets, SOURCE_MAC);
    }
}

#[test]
fn packets_say_which_way_they_went_and_come_in_time_order() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (written, _) = capture(&wire, &scratch, &[]);
    for (name, direction) in [
        (Wire::SENDER, Direction::Outbound),
        (Wire::CATCHER, Direction::Inbound),
    ] {
        let packets = written.packets_of(name);
        assert_same(&packets, &corpus::rich());
        assert!(
            packets
                .iter()
                .all(|packet| packet.direction == Some(direction)),
            "{name}"
        );
    }
    assert!(written.packets.is_sorted_by_key(|packet| packet.time_ns));
}

#[test]
fn one_statistics_block_an_interface_ends_the_file() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (written, _) = capture(&wire, &scratch, &["--proto", "tcp"]);
    let (packets, end) = written.blocks.split_at(written.blocks.len() - 2);
    assert_eq!(end, [INTERFACE_STATISTICS; 2]);
    assert_eq!(packets.last(), Some(&ENHANCED_PACKET));
    assert_eq!(packets.first(), Some(&SECTION_HEADER));
    assert!(!packets.contains(&INTERFACE_STATISTICS));
    for name in [Wire::SENDER, Wire::CATCHER] {
        let kept = written.packets_of(name).len() as u64;
        let block = written.statistics_of(name);
        assert_eq!(block.dropped, Some(0));
        assert_eq!(block.accepted, Some(kept));
        assert_eq!(block.delivered, Some(kept));
        let (start, end) = (block.start_ns.unwrap(), block.end_ns.unwrap());
        assert!(
            written
                .packets
                .iter()
                .all(|packet| (start..=end).contains(&packet.time_ns))
        );
    }
}

#[test]
fn the_file_is_for_its_owner_alone() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    capture(&wire, &scratch, &[]);
    let mode = fs::metadata(scratch.path("both.pcapng"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_existing_file_is_written_anew() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    fs::write(scratch.path("both.pcapng"), vec![b'x'; 1 << 20]).unwrap();
    let (written, _) = capture(&wire, &scratch, &["--proto", "arp"]);
    assert_eq!(written.packets.len() as u64 % 2, 0);
    assert!(fs::metadata(scratch.path("both.pcapng")).unwrap().len() < 1 << 20);
}

#[test]
fn a_pipe_gets_the_same_as_a_file() {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-w", "-"])
        .start();
    wire.send(&corpus::rich());
    let finished = capture.stop();
    let written = CaptureFile::parse(&finished.stdout, "standard output");
    assert!(!written.cut);
    assert_same(&written.packets, &corpus::rich());
    assert_eq!(written.statistics.len(), 1);
}

#[test]
fn a_pipe_whose_reader_has_gone_is_no_error() {
    let wire = Wire::new();
    let binary = lab::nodecap::binary();
    let mut shell = wire.namespace.command("sh");
    shell
        .args([
            "-c",
            "\"$0\" capture -i catcher -w - | head -c 1000 >/dev/null; wait",
        ])
        .arg(binary);
    let shell = lab::process::Process::start(&mut shell, lab::process::Stdout::Collected);
    shell.wait_for_stderr("`listening on`", |text| {
        text.contains("listening on").then_some(())
    });
    lab::replay::flood(&wire.namespace, Wire::SENDER, &corpus::rich(), 20);
    let finished = shell.wait();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}
