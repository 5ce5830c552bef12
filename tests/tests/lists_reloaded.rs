//! Address lists from files are read again by HUP, while packets go by: what old and new list have
//! in common is captured without a gap.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs;
use std::path::Path;

use lab::Signal;
use lab::frames::{Flow, Frame};
use lab::nodecap::{Capture, Nodecap};
use lab::replay;
use lab::scratch::Scratch;
use lab::topology::Wire;

fn from(host: &str) -> Frame {
    Flow::new(&format!("{host}:40000"), "203.0.113.9:9").udp(b"whose")
}

fn start(wire: &Wire, list: &Path) -> Capture {
    Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--src", &format!("@{}", list.display())])
        .args(["--no-track", "-q"])
        .start()
}

#[track_caller]
fn reread(capture: &Capture, said: &str) {
    capture.signal(Signal::SIGHUP);
    capture.wait_for_line(said);
}

#[test]
fn a_new_list_counts_from_then_on() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let list = scratch.path("list");
    fs::write(
        &list,
        "192.0.2.0/24\n198.51.100.7\n!192.0.2.9 # not that one\n",
    )
    .unwrap();
    let capture = start(&wire, &list);
    let frames = ["192.0.2.1", "192.0.2.9", "198.51.100.7", "198.51.100.8"].map(from);
    wire.send(&frames);
    capture.wait_until_captured(2);
    fs::write(
        &list,
        "198.51.100.0-198.51.100.8\n!198.51.100.7\n192.0.2.9\n",
    )
    .unwrap();
    reread(&capture, "nodecap: read the lists again: 3 networks wanted");
    wire.send(&frames);
    capture.wait_until_captured(4);
    assert_eq!(capture.stop().counts().received, 4);
}

#[test]
fn a_list_that_is_wrong_changes_nothing() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let list = scratch.path("list");
    fs::write(&list, "192.0.2.1\n").unwrap();
    let capture = start(&wire, &list);
    fs::write(&list, "192.0.2.2\n192.0.2.300\n").unwrap();
    reread(&capture, "nodecap: the lists stay as they were: --src");
    fs::write(&list, "!192.0.2.2\n").unwrap();
    reread(&capture, "nodecap: the lists stay as they were: whether");
    wire.send(&[from("192.0.2.1"), from("192.0.2.2"), from("192.0.2.3")]);
    capture.wait_until_captured(1);
    assert_eq!(capture.stop().counts().received, 1);
}

#[test]
fn a_list_may_grow_a_thousandfold_and_beyond_its_room_it_is_refused() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let list = scratch.path("list");
    // All over the address space, where each takes the most.
    let spread = |count: u32| -> String {
        (0..count)
            .map(|n| n.wrapping_mul(2_654_435_761) | 0x8000_0000)
            .map(|bits| format!("{}\n", std::net::Ipv4Addr::from_bits(bits)))
            .collect()
    };
    fs::write(&list, "192.0.2.1\n").unwrap();
    let capture = start(&wire, &list);
    fs::write(&list, spread(40_000) + "192.0.2.2\n").unwrap();
    reread(
        &capture,
        "nodecap: read the lists again: 40001 networks wanted",
    );
    fs::write(&list, spread(200_000) + "192.0.2.3\n").unwrap();
    reread(
        &capture,
        "nodecap: the lists stay as they were: the address lists take ",
    );
    wire.send(&["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(from));
    capture.wait_until_captured(1);
    assert_eq!(capture.stop().counts().received, 1);
}

#[test]
fn what_both_lists_hold_is_captured_without_a_gap() {
    let wire = Wire::new();
    let scratch = Scratch::new();
    let list = scratch.path("list");
    // The host itself, in one list by its network, in the other by itself, among many others.
    let others =
        |third: u8| -> String { (0..250).map(|n| format!("198.18.{third}.{n}\n")).collect() };
    fs::write(&list, others(1) + "192.0.2.0/24\n").unwrap();
    let capture = start(&wire, &list);
    let (namespace, frames) = (&wire.namespace, [from("192.0.2.1")]);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| replay::flood(namespace, Wire::SENDER, &frames, 60_000));
        for round in 0..4 {
            let own = ["192.0.2.1\n", "192.0.2.0/24\n"][usize::from(round) % 2];
            fs::write(&list, others(round) + own).unwrap();
            reread(&capture, "nodecap: read the lists again");
        }
        sender.join().unwrap()
    });
    capture.wait_until_captured(sent);
    let counts = capture.stop().counts();
    assert_eq!((counts.received, counts.dropped), (sent, 0));
}
