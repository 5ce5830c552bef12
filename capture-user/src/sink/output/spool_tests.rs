#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::sync::mpsc::{Receiver, Sender, channel};

use super::buffer::FLUSH_AT;
use super::spool::{Background, QUEUE, Spool};
use super::{Output, OutputError, Plain, open::Opened};

/// Waits for a word before each write, and fails when told so.
struct Slow {
    go: Receiver<Result<(), OutputError>>,
    written: Vec<u8>,
    lost: Vec<u8>,
    orders: Vec<usize>,
    failure: Option<OutputError>,
}

impl Slow {
    fn start() -> (Spool<Self>, Sender<Result<(), OutputError>>) {
        let (tell, go) = channel();
        let slow = Self {
            go,
            written: Vec::new(),
            lost: Vec::new(),
            orders: Vec::new(),
            failure: None,
        };
        (Spool::start("slow", slow).unwrap(), tell)
    }
}

impl Background for Slow {
    type Order = ();

    fn write(&mut self, bytes: &mut Vec<u8>) -> Result<(), OutputError> {
        if self.failure.is_none() {
            // Whoever is gone doesn't hold it up.
            self.failure = self.go.recv().unwrap_or(Ok(())).err();
        }
        match &self.failure {
            None => {
                self.written.append(bytes);
                Ok(())
            }
            Some(failure) => {
                self.lost.append(bytes);
                Err(failure.clone())
            }
        }
    }

    fn obey(&mut self, (): ()) -> Result<(), OutputError> {
        self.orders.push(self.written.len());
        Ok(())
    }

    fn delivered(&self) -> u64 {
        self.written.len() as u64
    }
}

fn full() -> OutputError {
    OutputError::Full { name: "x".into() }
}

#[test]
fn a_destination_that_takes_nothing_holds_nobody_up_and_the_queue_says_when_it_is_full() {
    let (mut spool, go) = Slow::start();
    let mut appended = 0u64;
    while spool.has_room() {
        spool.append(|out| out.resize(out.len() + 10_000, 7));
        appended += 10_000;
        assert!(appended <= QUEUE + 10_000, "it never gets full");
    }
    assert!(appended >= QUEUE);
    assert_eq!((spool.len(), spool.delivered()), (appended, 0));
    drop(go);
    let slow = spool.finish().unwrap();
    assert_eq!(slow.written.len() as u64, appended);
}

#[test]
fn there_is_room_again_once_something_was_written() {
    let (mut spool, go) = Slow::start();
    while spool.has_room() {
        spool.append(|out| out.resize(out.len() + FLUSH_AT, 7));
    }
    go.send(Ok(())).unwrap();
    while !spool.has_room() {
        std::thread::yield_now();
    }
    assert_eq!(spool.delivered(), FLUSH_AT as u64);
}

#[test]
fn an_order_comes_behind_what_was_appended_before_it() {
    let (mut spool, go) = Slow::start();
    drop(go);
    spool.append(|out| out.extend(b"one"));
    spool.order(());
    spool.append(|out| out.extend(b"three"));
    spool.order(());
    let slow = spool.finish().unwrap();
    assert_eq!(
        (slow.orders, &slow.written[..]),
        (vec![3, 8], &b"onethree"[..])
    );
}

#[test]
fn after_a_failure_all_that_was_queued_is_handed_over_to_be_counted_as_lost() {
    let (mut spool, go) = Slow::start();
    for n in 0..3u8 {
        spool.append(|out| out.push(n));
        spool.hand_over();
    }
    assert_eq!(spool.failure(), None);
    go.send(Ok(())).unwrap();
    go.send(Err(full())).unwrap();
    while spool.failure().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(spool.check(), Err(full()));
    spool.append(|out| out.push(3));
    let slow = spool.finish().unwrap();
    assert_eq!((slow.written, slow.lost), (vec![0], vec![1, 2, 3]));
}

#[test]
fn a_plain_destination_has_every_byte_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines");
    let (descriptor, started) = Opened::open(&path).unwrap().start().unwrap();
    started.keep();
    let output = Output::new("lines", descriptor, |bytes| bytes.len());
    let mut spool = Spool::start("plain", Plain::new(output)).unwrap();
    let mut expected = Vec::new();
    for n in 0..200_000u32 {
        spool.append(|out| out.extend(n.to_le_bytes()));
        expected.extend(n.to_le_bytes());
    }
    let len = spool.len();
    assert_eq!(spool.finish().unwrap().delivered(), len);
    assert_eq!(std::fs::read(&path).unwrap(), expected);
}
