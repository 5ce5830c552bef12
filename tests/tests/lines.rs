//! One line a packet on standard output, as tcpdump prints it.

use lab::frames::transport::{ACK, SYN};
use lab::frames::{Flow, Frame, arp, corpus, tagged};
use lab::nodecap::Nodecap;
use lab::process::Finished;
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;

/// Captures the frames with these arguments.
#[track_caller]
fn capture(arguments: &[&str], frames: &[Frame]) -> Finished {
    let wire = Wire::new();
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--no-track"])
        .args(arguments)
        .start();
    wire.send(frames);
    capture.stop()
}

#[test]
fn each_packet_is_a_line_that_names_its_ends() {
    let v4 = Flow::new("192.0.2.1:40000", "192.0.2.200:443");
    let v6 = Flow::new("[2001:db8:1::1]:50000", "[2001:db8:1::2]:53");
    let frames = [
        v4.tcp(SYN, b""),
        v4.back().tcp(SYN | ACK, b""),
        v6.udp(b"question"),
        arp(1, corpus::FIRST_V4, corpus::SECOND_V4),
        tagged(0x8100, 5, &v4.tcp(ACK, b"")),
    ];
    let finished = capture(&["-n"], &frames);
    let text = finished.stdout_text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), frames.len(), "{text}\n{}", finished.stderr);
    for (line, ends) in lines.iter().zip([
        &["192.0.2.1.40000 > 192.0.2.200.443", "[S]"][..],
        &["192.0.2.200.443 > 192.0.2.1.40000", "[S.]"],
        &["2001:db8:1::1.50000 > 2001:db8:1::2.53"],
        &["192.0.2.200", "192.0.2.1"],
        &["192.0.2.1.40000 > 192.0.2.200.443", "[.]"],
    ]) {
        for end in ends {
            assert!(line.contains(end), "no `{end}` in: {line}");
        }
    }
    assert_eq!(finished.counts().captured, frames.len() as u64);
}

#[test]
fn every_frame_of_every_kind_makes_one_line() {
    let frames: Vec<Frame> = corpus::everything()
        .into_iter()
        .filter(corpus::comes_in)
        .collect();
    let finished = capture(&["-n"], &frames);
    let text = finished.stdout_text();
    assert_eq!(text.lines().count(), frames.len());
    assert!(text.lines().all(|line| !line.trim().is_empty()));
}

#[test]
fn more_detail_is_still_about_the_same_packets() {
    let frames = corpus::rich();
    let finished = capture(&["-n", "-v"], &frames);
    assert!(
        finished.stdout_text().lines().count() >= frames.len(),
        "{finished:?}"
    );
    assert_eq!(finished.counts().captured, frames.len() as u64);
}

#[test]
fn quiet_prints_no_packet_lines() {
    let finished = capture(&["-q"], &corpus::rich());
    assert_eq!(finished.stdout_text(), "");
    assert_eq!(finished.counts().captured, corpus::rich().len() as u64);
}

#[test]
fn a_file_takes_the_place_of_the_lines_unless_both_are_asked_for() {
    let scratch = Scratch::new();
    let file = scratch.path("beside.pcapng");
    let name = file.to_string_lossy();
    let finished = capture(&["-n", "-w", &name], &corpus::rich());
    assert_eq!(finished.stdout_text(), "");
    let finished = capture(&["-n", "--print", "-w", &name], &corpus::rich());
    assert_eq!(finished.stdout_text().lines().count(), corpus::rich().len());
    assert_eq!(CaptureFile::read(&file).packets.len(), corpus::rich().len());
}
