//! The same packets through tcpdump and through the printer.
//!
//! Both run with `-n` and UTC. Removed before the comparison: our column of interface and
//! direction, and how tcpdump spaces things (it puts two blanks in places, and goes on in new
//! lines where a packet is one line here). Everything else must be the same, letter by letter,
//! unless a test says otherwise.

use std::io::Seek as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::tz::TimeZone;
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};

use super::{INTERFACE, corpus, frames, options, printer, show};
use crate::packet::Packet;
use crate::sink::text::names::Names;
use crate::sink::text::{LinkType, Printer};

/// A frame, its length on the wire, and its time in nanoseconds.
struct Sample {
    frame: Vec<u8>,
    original_len: u32,
    time: u64,
}

/// The frames as captured whole, a little more than a second apart.
fn samples(frames: Vec<Vec<u8>>) -> Vec<Sample> {
    frames
        .into_iter()
        .zip(1_u64..)
        .map(|(frame, number)| Sample {
            original_len: u32::try_from(frame.len()).unwrap(),
            frame,
            time: 1_763_760_000_000_000_000 + number * 1_000_123_000,
        })
        .collect()
}

/// What tcpdump says, a packet an item.
fn tcpdump(arguments: &[&str], zone: &str, link: DataLink, samples: &[Sample]) -> Vec<String> {
    // tcpdump may give up its privileges before it opens a file, so it gets an open one.
    let mut file = tempfile::tempfile().unwrap();
    let header = PcapHeader {
        datalink: link,
        snaplen: 262_144,
        ..Default::default()
    };
    let mut writer = PcapWriter::with_header(&file, header).unwrap();
    for sample in samples {
        let time = Duration::from_nanos(sample.time);
        let packet = PcapPacket::new(time, sample.original_len, &sample.frame).unwrap();
        writer.write_packet(&packet).unwrap();
    }
    writer.flush().unwrap();
    file.rewind().unwrap();
    let output = Command::new("tcpdump")
        .args(["-n", "-r", "-"])
        .args(arguments)
        .env("TZ", zone)
        .stdin(Stdio::from(file))
        .output()
        .expect("tcpdump is installed where the tests run");
    assert!(output.status.success(), "{output:?}");
    let mut packets: Vec<String> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let starts_packet = line.as_bytes().get(2) == Some(&b':') && line.contains('.');
        match packets.last_mut() {
            Some(packet) if !starts_packet => {
                // What belongs to the IP header above is indented by blanks; what is inside the
                // packet by a tab, or within VXLAN not at all.
                packet.push_str(if line.starts_with(' ') { " " } else { ": " });
                packet.push_str(line.trim_start());
            }
            _ => packets.push(line.to_owned()),
        }
    }
    packets.iter().map(|packet| respaced(packet)).collect()
}

fn respaced(line: &str) -> String {
    line.split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" , ", ", ")
}

/// What the printer says, without interface and direction.
fn ours(mut printer: Printer, samples: &[Sample]) -> Vec<String> {
    samples
        .iter()
        .map(|sample| {
            let packet = Packet {
                time: sample.time,
                original_len: sample.original_len,
                ..super::whole(&sample.frame)
            };
            let line = show(&mut printer, &packet);
            respaced(&line.replacen(&format!("{INTERFACE} In "), "", 1))
        })
        .collect()
}

/// Compares packet by packet and tells of every difference at once.
fn assert_same(tcpdump: &[String], ours: &[String]) {
    let differences: Vec<String> = tcpdump
        .iter()
        .zip(ours)
        .filter(|(theirs, ours)| theirs != ours)
        .map(|(theirs, ours)| format!("tcpdump: {theirs}\nours:    {ours}\n"))
        .collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    assert_eq!(tcpdump.len(), ours.len());
}

fn assert_alike(arguments: &[&str], verbosity: u8, frames: Vec<Vec<u8>>) {
    let samples = samples(frames);
    assert_same(
        &tcpdump(arguments, "UTC", DataLink::ETHERNET, &samples),
        &ours(printer(verbosity), &samples),
    );
}

#[test]
fn tcp_is_shown_as_by_tcpdump() {
    assert_alike(&[], 0, corpus::tcp_frames());
}

#[test]
fn tcp_with_details_is_shown_as_by_tcpdump() {
    assert_alike(&["-v"], 1, corpus::tcp_frames());
}

#[test]
fn tcp_with_more_details_is_shown_as_by_tcpdump() {
    assert_alike(&["-vv"], 2, corpus::tcp_frames());
}

#[test]
fn udp_icmp_arp_fragments_and_tunnels_are_shown_as_by_tcpdump() {
    assert_alike(&[], 0, corpus::other_frames());
}

#[test]
fn udp_icmp_arp_fragments_and_tunnels_with_details_are_shown_as_by_tcpdump() {
    assert_alike(&["-v"], 1, corpus::other_frames());
}

#[test]
fn udp_icmp_arp_fragments_and_tunnels_with_more_details_are_shown_as_by_tcpdump() {
    assert_alike(&["-vv"], 2, corpus::other_frames());
}

#[test]
fn icmp6_extension_headers_and_more_tunnels_are_shown_as_by_tcpdump() {
    assert_alike(&[], 0, corpus::briefly_alike_frames());
}

#[test]
fn dns_queries_are_shown_as_by_tcpdump() {
    assert_alike(&[], 0, corpus::dns_query_frames());
}

#[test]
fn dns_responses_are_shown_as_by_tcpdump_but_name_the_question() {
    let samples = samples(corpus::dns_response_frames());
    let theirs = tcpdump(&[], "UTC", DataLink::ETHERNET, &samples);
    let ours: Vec<String> = ours(printer(0), &samples)
        .iter()
        .map(|line| line.replacen(" q: A? example.com.", "", 1))
        .collect();
    assert_same(&theirs, &ours);
}

#[test]
fn vlan_tags_are_shown_as_by_tcpdump_with_link_headers() {
    let inner = frames::ip4(17, &frames::udp(5_000, 6_000, b"hello"));
    let tagged = |ether_type, tags: &[u8]| {
        frames::ethernet(ether_type, &frames::join(&[tags, &[8, 0], &inner]))
    };
    let samples = samples(vec![
        tagged(0x8100, &[0x00, 10]),
        tagged(0x8100, &[0xf0, 10]),
        tagged(0x88a8, &[0x60, 10, 0x81, 0, 0x0f, 0xff]),
    ]);
    // Ours leave addresses and types out of the link header, and say IP where tcpdump then
    // doesn't.
    let theirs: Vec<String> = tcpdump(&["-e"], "UTC", DataLink::ETHERNET, &samples)
        .iter()
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            let (_, tags) = rest.split_once(": ").unwrap();
            let tags = tags.split(", ").filter(|part| {
                part.starts_with("vlan ") || part.starts_with("p ") || *part == "DEI"
            });
            let (_, packet) = rest.rsplit_once("(0x0800), ").unwrap();
            format!(
                "{time} {}, IP {packet}",
                tags.collect::<Vec<_>>().join(", ")
            )
        })
        .collect();
    assert_same(&theirs, &ours(printer(0), &samples));
}

#[test]
fn packets_without_a_link_header_are_shown_as_by_tcpdump() {
    let bare = corpus::tcp_frames()
        .into_iter()
        .map(|frame| frame[14..].to_vec())
        .collect();
    let samples = samples(bare);
    let mut options = options(0);
    options.link = LinkType::BareIp;
    assert_same(
        &tcpdump(&[], "UTC", DataLink::RAW, &samples),
        &ours(Printer::with_names(options, Names::none()), &samples),
    );
}

#[test]
fn times_are_local_as_tcpdumps_are() {
    let mut samples = samples(corpus::tcp_frames());
    // Half a year apart, so that summer time comes and goes.
    for (sample, number) in samples.iter_mut().zip(0_u64..) {
        sample.time += number * 15_778_476 * 1_000_000_000;
    }
    samples.truncate(4);
    // Central Europe, Newfoundland and Nepal by their rules: no time zone database is needed.
    let zones = [
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "NST3:30NDT,M3.2.0,M11.1.0",
        "<+0545>-5:45",
    ];
    for zone in zones {
        let mut options = options(0);
        options.zone = TimeZone::posix(zone).expect("a rule as POSIX writes it");
        assert_same(
            &tcpdump(&[], zone, DataLink::ETHERNET, &samples),
            &ours(Printer::with_names(options, Names::none()), &samples),
        );
    }
}

#[test]
fn packets_cut_short_are_marked_where_tcpdump_marks_them() {
    // The lengths at which both say the same: where an end lies within a header tcpdump goes on
    // to show what it has read of it.
    let tcp = corpus::tcp_frames().swap_remove(5);
    let udp = frames::eth_ip4(17, &frames::udp(5_000, 6_000, &[0; 100]));
    let cuts = [
        (&tcp, [15, 20, 33, 34, 36, 66, 70, 200].as_slice()),
        (&udp, &[15, 33, 34, 38, 42, 60]),
    ];
    let samples: Vec<Sample> = cuts
        .iter()
        .flat_map(|(frame, lengths)| lengths.iter().map(move |len| (frame, *len)))
        .map(|(frame, len)| Sample {
            frame: frame[..len].to_vec(),
            original_len: u32::try_from(frame.len()).unwrap(),
            time: 1_763_760_000_000_000_000,
        })
        .collect();
    assert_same(
        &tcpdump(&[], "UTC", DataLink::ETHERNET, &samples),
        &ours(printer(0), &samples),
    );
}
