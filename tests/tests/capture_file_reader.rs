//! Files that other programs wrote hold for us what they hold for a reader that forgives nothing.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::path::Path;
use std::process::Command;

use capture_user::packet::Direction;
use capture_user::source::file::{Ending, Reader};
use lab::frames::corpus;
use lab::read::{CaptureFile, Direction as Way};
use lab::scratch::Scratch;
use lab::{replay, tool};

/// What both readers must agree on of each packet.
type Seen = (u64, usize, Vec<u8>, u32, Option<Way>);

fn read(path: &Path) -> (Vec<Seen>, Option<Ending>) {
    let mut reader = Reader::open(path).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next() {
        packets.push((
            packet.time,
            packet.interface as usize,
            packet.frame.to_vec(),
            packet.original_len,
            packet.direction.map(|direction| match direction {
                Direction::In => Way::Inbound,
                Direction::Out => Way::Outbound,
            }),
        ));
    }
    (packets, reader.ending().cloned())
}

fn strictly(path: &Path) -> Vec<Seen> {
    CaptureFile::read_cut(path)
        .packets
        .into_iter()
        .map(|it| {
            (
                it.time_ns,
                it.interface,
                it.data,
                it.original_len,
                it.direction,
            )
        })
        .collect()
}

#[track_caller]
fn assert_read_alike(path: &Path) {
    let (packets, ending) = read(path);
    assert_eq!(ending, Some(Ending::Whole), "{}", path.display());
    assert!(!packets.is_empty());
    assert!(packets == strictly(path), "{}", path.display());
}

#[test]
fn what_tcpdump_tshark_and_editcap_wrote_is_read_alike() {
    let scratch = Scratch::new();
    let original = scratch.path("original.pcap");
    replay::write_pcap(&original, &corpus::everything());
    assert_read_alike(&original);
    let source = original.to_str().unwrap();

    let dumped = scratch.path("tcpdump.pcap");
    let target = dumped.to_str().unwrap();
    tool::run(Command::new(tool::path("tcpdump")).args(["-Z", "root", "-r", source, "-w", target]));
    assert_read_alike(&dumped);

    for format in ["pcap", "nsecpcap", "pcapng"] {
        for writer in ["tshark", "editcap"] {
            let file = scratch.path(&format!("{writer}.{format}"));
            let mut command = Command::new(tool::path(writer));
            match writer {
                "tshark" => command.args(["-r", source, "-F", format, "-w"]).arg(&file),
                _ => command.args(["-F", format, source]).arg(&file),
            };
            tool::run(&mut command);
            assert_read_alike(&file);
        }
    }

    // Cut frames, shifted times and comments.
    let edited = scratch.path("edited.pcapng");
    tool::run(
        Command::new(tool::path("editcap"))
            .args([
                "-s",
                "40",
                "-t",
                "1.25",
                "-a",
                "1:said of the first",
                source,
            ])
            .arg(&edited),
    );
    assert_read_alike(&edited);
    let mut reader = Reader::open(&edited).unwrap();
    let first = reader.next().unwrap();
    assert_eq!(first.comments().collect::<Vec<_>>(), ["said of the first"]);

    // Several interfaces.
    let merged = scratch.path("merged.pcapng");
    tool::run(
        Command::new(tool::path("mergecap"))
            .args(["-a", "-I", "none", "-w"])
            .arg(&merged)
            .args([&edited, &original]),
    );
    assert_read_alike(&merged);
    let mut reader = Reader::open(&merged).unwrap();
    while reader.next().is_some() {}
    assert_eq!(reader.interfaces().len(), 2);
}

#[test]
fn a_file_cut_anywhere_gives_the_packets_that_are_whole() {
    let scratch = Scratch::new();
    let original = scratch.path("original.pcap");
    replay::write_pcap(&original, &corpus::rich());
    let bytes = std::fs::read(&original).unwrap();
    let cut = scratch.path("cut.pcap");
    for len in (24..bytes.len()).step_by(97) {
        std::fs::write(&cut, &bytes[..len]).unwrap();
        let (packets, ending) = read(&cut);
        assert!(packets == strictly(&cut), "{len}");
        let whole = !CaptureFile::read_cut(&cut).cut;
        assert_eq!(ending == Some(Ending::Whole), whole, "{len}");
    }
}
