//! Recordings: captures of a wire with a flight recorder, and whether they account for everything.

use std::path::{Path, PathBuf};

use crate::nodecap::{Capture, Nodecap};
use crate::process::Finished;
use crate::read::{CaptureFile, Captured};
use crate::topology::Wire;
use crate::{Signal, tools};

/// Starts a recording of what comes in at the wire's end.
#[must_use]
#[track_caller]
pub fn record(wire: &Wire, file: &Path, more: &[&str]) -> Capture {
    Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(more)
        .args(["-v"])
        .write(file)
        .start()
}

/// Their bytes.
#[must_use]
pub fn data(packets: &[Captured]) -> Vec<&[u8]> {
    packets.iter().map(|packet| &packet.data[..]).collect()
}

/// The number in front of these words.
///
/// # Panics
///
/// When there is no such line.
#[must_use]
#[track_caller]
pub fn number(said: &str, words: &str) -> u64 {
    let line = said.lines().rev().find(|line| line.ends_with(words));
    let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no `… {words}` in:\n{said}"))
}

/// How many packets the recorder has forgotten, asked for by USR1. It is the last of the count
/// lines, so it may come a little after the others.
///
/// # Panics
///
/// When it says nothing.
#[must_use]
#[track_caller]
pub fn forgotten_so_far(capture: &Capture) -> u64 {
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
        let number = before.rsplit(' ').next().and_then(|it| it.parse().ok());
        number.unwrap_or_else(|| panic!("no number before `{words}`: {line}"))
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
///
/// # Panics
///
/// When that isn't so.
#[must_use]
#[track_caller]
pub fn assert_accounted(finished: &Finished, files: &[PathBuf], sent: u64) -> Vec<CaptureFile> {
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
        .map(|file| file.statistics_of(Wire::CATCHER).accepted.unwrap_or(0));
    assert_eq!(accepted.sum::<u64>(), received);
    read
}

/// They are in the order of time.
///
/// # Panics
///
/// When they aren't.
#[track_caller]
pub fn assert_in_order(packets: &[Captured]) {
    assert!(packets.is_sorted_by_key(|packet| packet.time_ns));
}
