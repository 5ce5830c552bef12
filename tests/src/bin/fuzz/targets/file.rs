//! A capture file's bytes: read, explained, told.

use capture_user::explain::{Bounds, analyse};
use capture_user::source::file::Reader;
use lab::flows::FlowsFile;
use lab::frames::corpus;
use lab::replay::pcap;

use super::{about, number};
use crate::engine::Target;

pub(super) struct File;

const BOUNDS: Bounds = Bounds {
    inner: false,
    max_flows: 8,
    flows: 4,
    events: 4,
    names: true,
};

/// The least that a packet takes in a file: a pcap record's header.
const PACKET_MIN: u64 = 16;

impl Target for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let frames = corpus::everything();
        let mut seeds: Vec<_> = frames.chunks(40).map(pcap).collect();
        seeds.extend(frames.chunks(40).map(pcapng));
        seeds
    }

    fn run(&self, input: &[u8]) -> Result<u64, String> {
        let mut reader = match Reader::new(input) {
            Ok(reader) => reader,
            Err(refusal) => return Ok(number(refusal.to_string().len())),
        };
        let mut text = String::new();
        let findings = analyse(&mut reader, BOUNDS, true, |line| {
            text.push_str(line);
            text.push('\n');
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(findings) = findings;
        let said = FlowsFile::parse(&text);
        let summary = &findings.summary;
        let told: u64 = said
            .flows
            .iter()
            .map(|flow| flow.packets.to_server + flow.packets.to_client)
            .sum();
        let packets = summary.packets - summary.untracked - summary.icmp_errors;
        if told != packets || said.flows.len() as u64 != summary.flows {
            return Err(format!("{told} packets were told of: {summary:?}"));
        }
        if reader.packets() * PACKET_MIN > input.len() as u64 {
            let (packets, len) = (reader.packets(), input.len());
            return Err(format!("{packets} packets in {len} bytes"));
        }
        if findings.flows.len() > BOUNDS.flows || findings.resets.len() > BOUNDS.events {
            return Err("more is kept than was asked for".to_owned());
        }
        Ok(number((
            about(reader.packets()),
            about(summary.flows),
            reader.interfaces().len().min(4),
            about(reader.comments()),
            reader.skipped().len().min(4),
            reader.ending().map(|ending| format!("{ending:?}").len()),
            format!("{:?}{:?}", summary.resets, summary.translations),
        )))
    }
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let len = (padded.len() as u32 + 12).to_le_bytes();
    [&kind.to_le_bytes(), &len, &padded[..], &len].concat()
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [code.to_le_bytes(), (value.len() as u16).to_le_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A pcapng file (draft-ietf-opsawg-pcapng) with two interfaces and all that packets can say.
fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut section = 0x1a2b_3c4du32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    section.extend(option(4, b"nodecap 0.1.0"));
    section.extend(option(0, b""));
    let mut file = block(0x0a0d_0d0a, &section);
    for (name, described) in [("veth1", "veth, container web"), ("eth0", "uplink")] {
        let mut body = vec![1, 0, 0, 0, 0, 0, 4, 0];
        body.extend(option(2, name.as_bytes()));
        body.extend(option(3, described.as_bytes()));
        body.extend(option(9, &[9]));
        body.extend(option(0, b""));
        file.extend(block(1, &body));
    }
    for (index, frame) in frames.iter().enumerate() {
        let index = index as u32;
        let len = (frame.len() as u32).to_le_bytes();
        let time = 1_700_000_000_000_000_000 + u64::from(index) * 1_000_000;
        let mut body = (index % 2).to_le_bytes().to_vec();
        body.extend(((time >> 32) as u32).to_le_bytes());
        body.extend((time as u32).to_le_bytes());
        body.extend(len);
        body.extend(len);
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(option(2, &(1 + index % 2).to_le_bytes()));
        body.extend(option(5, &u64::from(1 + index / 2).to_le_bytes()));
        body.extend(option(
            1,
            b"Connection reset by 192.0.2.1:80 [nodecap reset from=192.0.2.1:80 origin=uplink \
              interface=eth0 cause=closed-port confidence=kernel flow=1]",
        ));
        body.extend(option(0, b""));
        file.extend(block(6, &body));
    }
    let mut name = vec![1, 0, 8, 0, 192, 0, 2, 1];
    name.extend(b"web\0");
    name.extend([0; 4]);
    file.extend(block(4, &name));
    file.extend(block(5, &[0; 12]));
    file
}
