//! What `nodecap explain` makes of a scenario's capture afterwards: less, perhaps, but nothing else.
//!
//! The same packets are told again as the capture wrote them, without its comments, and as one
//! interface's plain pcap file, as anybody could have it. A verdict may be less sure then, or
//! `unknown`; it may not be another one.

use std::path::Path;
use std::process::Command;

use super::verdict::Witnessed;
use crate::flows::{Ends, FlowsFile, NatLine, ResetLine};
use crate::nodecap::binary;
use crate::read::CaptureFile;
use crate::read::pcapng::ENHANCED_PACKET;
use crate::scratch::Scratch;
use crate::tool;
use crate::topology::Node;

/// A packet crosses the node within this: nanoseconds. Resets of one scenario that are of
/// different cause are further apart.
const CROSSING: u64 = 20_000_000;

/// Explains the capture's packets in all these forms and compares what is said with what the
/// capture itself said. `causes` are those that the scenario's resets truly have: what a capture
/// on an older kernel could only call `unknown` may look like one of them to a reader.
///
/// # Panics
///
/// When one says otherwise.
#[track_caller]
pub fn assert_agrees(name: &str, witnessed: &Witnessed, causes: &[&str]) {
    let agree = |what: &str, said: &FlowsFile| {
        assert_no_contradiction(&format!("{name}, {what}"), said, &witnessed.flows, causes);
    };
    let file = witnessed.path();
    let said = explain(&file);
    assert_eq!(
        said.resets.len(),
        witnessed.flows.resets.len(),
        "{name}, its own file: {:#?} instead of {:#?}",
        said.resets,
        witnessed.flows.resets
    );
    agree("its own file", &said);

    let scratch = Scratch::new();
    let bare = scratch.path("bare.pcapng");
    write(&bare, &without_comments(&read(&file)));
    agree("uncommented", &explain(&bare));

    for interface in [Node::UPLINK, Node::POD_PORT] {
        let plain = scratch.path(&format!("{interface}.pcap"));
        write(&plain, &one_interface(&witnessed.file, interface));
        agree(&format!("at {interface}"), &explain(&plain));
    }
}

#[track_caller]
fn explain(file: &Path) -> FlowsFile {
    let mut command = Command::new(binary());
    command.arg("explain").arg(file).args(["--flows", "-"]);
    let output = tool::run(&mut command);
    FlowsFile::parse(&String::from_utf8_lossy(&output.stdout))
}

#[track_caller]
fn assert_no_contradiction(what: &str, said: &FlowsFile, truth: &FlowsFile, causes: &[&str]) {
    for reset in &said.resets {
        let agrees = truth.resets.iter().any(|live| may_be(reset, live, causes));
        assert!(agrees, "{what}: {reset:#?} of {:#?}", truth.resets);
    }
    for nat in &said.nats {
        let agrees = truth.nats.iter().any(|live| is_part(nat, live));
        assert!(agrees, "{what}: {nat:#?} of {:#?}", truth.nats);
    }
    // Nor is a flow's translation told as a whole and by its steps.
    for (index, nat) in said.nats.iter().enumerate() {
        let again = said
            .nats
            .iter()
            .enumerate()
            .find(|(at, other)| *at != index && other.flow == nat.flow && is_part(nat, other));
        assert!(again.is_none(), "{what}: {nat:#?} is part of {again:#?}");
    }
}

/// What the packets look like, and what it was: a heuristic may say the former where nothing else
/// shows. A rule's reset is that of a closed port, byte by byte. And who gets a segment that
/// conntrack left untranslated truly knows no such connection; that conntrack was it doesn't show
/// where the segment is seen once.
const ALIKE: [(&str, &str); 2] = [
    ("closed-port", "reject-rule"),
    ("no-connection", "conntrack-invalid"),
];

/// Whether a verdict is a live one told again, or less.
fn may_be(said: &ResetLine, live: &ResetLine, causes: &[&str]) -> bool {
    let near = nanoseconds(&said.time).abs_diff(nanoseconds(&live.time)) <= CROSSING;
    let side = said.origin.side == live.origin.side || said.origin.side == "unknown";
    let cause = said.cause == live.cause && sureness(said) <= sureness(live);
    let looks_like = |cause: &str| ALIKE.contains(&(&said.cause, cause));
    let guess = match live.cause.as_str() {
        "unknown" => causes.iter().any(|cause| looks_like(cause)),
        cause => looks_like(cause),
    };
    let alike = said.confidence == "heuristic" && guess;
    near && side && (cause || alike || said.cause == "unknown")
}

fn sureness(reset: &ResetLine) -> usize {
    let all = ["heuristic", "packet", "conntrack", "kernel"];
    match all.iter().position(|name| *name == reset.confidence) {
        Some(place) => place,
        None => panic!("no such confidence: {reset:#?}"),
    }
}

/// Whether a translation is a live one, or a step of it.
fn is_part(said: &NatLine, live: &NatLine) -> bool {
    let within = |ends: &Ends| {
        [&live.before.src, &live.after.src].contains(&&ends.src)
            && [&live.before.dst, &live.after.dst].contains(&&ends.dst)
    };
    said.proto == live.proto && within(&said.before) && within(&said.after)
}

/// Of a time such as `2026-11-22T01:02:03.004005006Z`, since midnight.
#[track_caller]
fn nanoseconds(time: &str) -> u64 {
    let parts = || {
        let clock = time.split_once('T')?.1.strip_suffix('Z')?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let seconds = clock
            .split(':')
            .try_fold(0, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
        Some(seconds * 1_000_000_000 + format!("{fraction:0<9}").parse::<u64>().ok()?)
    };
    parts().unwrap_or_else(|| panic!("not a time: {time}"))
}

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

#[track_caller]
fn write(path: &Path, bytes: &[u8]) {
    if let Err(error) = std::fs::write(path, bytes) {
        panic!("{}: {error}", path.display());
    }
}

/// Makes each packet's comments options for local use, which no reader knows.
fn without_comments(file: &[u8]) -> Vec<u8> {
    const COMMENT: u16 = 1;
    const LOCAL: u16 = 0x8001;
    let mut bytes = file.to_vec();
    let u32_at = |at: usize| {
        let word = file.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(word) as usize)
    };
    let u16_at = |at: usize| {
        let half = file.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_ne_bytes(half))
    };
    let mut block = 0;
    while let (Some(kind), Some(len)) = (u32_at(block), u32_at(block + 4)) {
        if kind == ENHANCED_PACKET as usize {
            let captured = u32_at(block + 20).unwrap_or(0);
            let mut option = block + 28 + captured.next_multiple_of(4);
            while option + 4 < block + len {
                let code = u16_at(option);
                if code == Some(COMMENT) {
                    bytes[option..option + 2].copy_from_slice(&LOCAL.to_ne_bytes());
                }
                let value = usize::from(u16_at(option + 2).unwrap_or(0));
                option += 4 + value.next_multiple_of(4);
            }
        }
        block += len.max(12);
    }
    bytes
}

/// A pcap file (nanoseconds, Ethernet) of the packets at one interface.
fn one_interface(file: &CaptureFile, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(0xa1b2_3c4du32.to_ne_bytes());
    bytes.extend([2u16.to_ne_bytes(), 4u16.to_ne_bytes()].concat());
    for field in [0, 0, 262_144, 1u32] {
        bytes.extend(field.to_ne_bytes());
    }
    for packet in &file.packets {
        let interface = file.interfaces.get(packet.interface);
        if interface.and_then(|interface| interface.name.as_deref()) != Some(name) {
            continue;
        }
        for field in [
            (packet.time_ns / 1_000_000_000) as u32,
            (packet.time_ns % 1_000_000_000) as u32,
            packet.data.len() as u32,
            packet.original_len,
        ] {
            bytes.extend(field.to_ne_bytes());
        }
        bytes.extend(&packet.data);
    }
    bytes
}
