//! Small captures, explained.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::convert::Infallible;

use proptest::prelude::*;

use super::report::{Style, complaints, file, findings};
use super::*;

pub(super) const BOUNDS: Bounds = Bounds {
    inner: false,
    max_flows: 1_000,
    flows: 20,
    events: 20,
    names: true,
};
pub(super) const SYN: u8 = 2;
const ACK: u8 = 16;
pub(super) const RST_ACK: u8 = 4 | 16;

/// A pcap record with a TCP segment from one port of 192.0.2.1 to another.
fn record(millisecond: u32, ports: [u16; 2], flags: u8, numbers: [u32; 2]) -> Vec<u8> {
    let tcp = [
        &ports[0].to_be_bytes()[..],
        &ports[1].to_be_bytes(),
        &numbers[0].to_be_bytes(),
        &numbers[1].to_be_bytes(),
        &[0x50, flags, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let ip = [
        &[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0][..],
        &[192, 0, 2, 1, 192, 0, 2, 1],
        &tcp,
    ]
    .concat();
    let fields = [
        1_700_000_000,
        millisecond * 1_000,
        ip.len() as u32,
        ip.len() as u32,
    ];
    let header: Vec<u8> = fields.iter().flat_map(|it| it.to_le_bytes()).collect();
    [header, ip].concat()
}

/// A pcap file of IP packets.
pub(super) fn pcap(records: &[Vec<u8>]) -> Vec<u8> {
    let fields = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101_u32];
    let header: Vec<u8> = fields.iter().flat_map(|it| it.to_le_bytes()).collect();
    [header, records.concat()].concat()
}

pub(super) fn refused(port: u16, millisecond: u32) -> [Vec<u8>; 2] {
    [
        record(millisecond, [port, 80], SYN, [1_000, 0]),
        record(millisecond + 1, [80, port], RST_ACK, [0, 1_001]),
    ]
}

/// The report on a file, its lines for `--flows`, and what is complained of.
#[track_caller]
pub(super) fn explain(bytes: &[u8], bounds: Bounds) -> (String, Vec<String>, Vec<String>) {
    let mut reader = Reader::new(bytes).unwrap_or_else(|error| panic!("{error}"));
    let mut lines = Vec::new();
    let Ok(found) = analyse(&mut reader, bounds, true, |line| {
        lines.push(line.to_owned());
        Ok::<_, Infallible>(())
    });
    let mut out = Vec::new();
    let style = Style { details: true };
    file(&mut out, "x.pcap", &reader, &found).unwrap();
    findings(&mut out, &found, style).unwrap();
    let complaints = complaints("x.pcap", &reader);
    (String::from_utf8(out).unwrap(), lines, complaints)
}

#[test]
fn a_refused_connection_is_a_flow_with_a_reset_from_no_known_side() {
    let (report, lines, complaints) = explain(&pcap(&refused(40_000, 5)), BOUNDS);
    assert!(
        report.starts_with("x.pcap: pcap, 2 packets in 0.001 s from 2023-11-14T22:13:20.005Z\n"),
        "{report}"
    );
    assert!(
        report.contains("tcp 192.0.2.1:40000 > 192.0.2.1:80\n"),
        "{report}"
    );
    assert!(
        report.contains("192.0.2.1:80 reset its connection with 192.0.2.1:40000"),
        "{report}"
    );
    assert!(report.contains("from an unknown side"), "{report}");
    assert!(
        report.ends_with("1 flow, 1 reset, 0 translations\n"),
        "{report}"
    );
    assert_eq!(complaints, Vec::<String>::new());
    let kind = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["schema"], 1);
        line["type"].as_str().unwrap().to_owned()
    };
    let mut kinds: Vec<_> = lines.iter().map(kind).collect();
    kinds.sort();
    assert_eq!(kinds, ["flow", "reset"]);
}

#[test]
fn the_largest_flows_are_kept_and_all_are_counted() {
    let records: Vec<_> = (0..50)
        .flat_map(|it| refused(40_000 + it, u32::from(it)))
        .collect();
    let large: Vec<_> = (0..9)
        .map(|it| record(it + 100, [50_000, 80], ACK, [it, 0]))
        .collect();
    let bounds = Bounds {
        flows: 1,
        events: 3,
        ..BOUNDS
    };
    let (report, lines, _) = explain(&pcap(&[records, large].concat()), bounds);
    let flows = report
        .lines()
        .filter(|line| line.contains("tcp 192."))
        .count();
    assert_eq!(flows, 1, "{report}");
    assert!(
        report.contains("192.0.2.1:50000 > 192.0.2.1:80"),
        "{report}"
    );
    assert!(report.contains("50 smaller ones not shown"), "{report}");
    assert!(
        report.contains("47 more resets and translations not shown"),
        "{report}"
    );
    assert!(
        report.ends_with("51 flows, 50 resets, 0 translations\n"),
        "{report}"
    );
    assert_eq!(lines.len(), 101);
}

#[test]
fn a_cut_file_is_explained_up_to_the_cut() {
    let bytes = pcap(&refused(40_000, 5));
    let (report, _, complaints) = explain(&bytes[..bytes.len() - 1], BOUNDS);
    assert!(report.contains("1 flow, 0 resets"), "{report}");
    assert_eq!(complaints.len(), 1);
    assert!(
        complaints[0].contains("cut in the middle of a packet at byte 80"),
        "{complaints:?}"
    );
}

#[test]
fn a_file_without_packets_has_nothing_to_explain() {
    let (report, lines, _) = explain(&pcap(&[]), BOUNDS);
    assert_eq!(
        report,
        "x.pcap: pcap, 0 packets\n\n0 flows, 0 resets, 0 translations\n"
    );
    assert!(lines.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_bytes_behind_a_header_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let records: Vec<_> = (0..4).flat_map(|it| refused(40_000 + it, u32::from(it))).collect();
        let mut whole = pcap(&records);
        for (at, value) in changes {
            let at = 24 + at.index(whole.len() - 24);
            whole[at] = value;
        }
        explain(&[whole, bytes.clone()].concat(), BOUNDS);
        explain(&[pcap(&[]), bytes].concat(), BOUNDS);
    }
}
