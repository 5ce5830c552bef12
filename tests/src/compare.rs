//! Whether two captures hold the same packets.

use crate::frames::Frame;
use crate::read::Captured;

/// What two captures of the same packets must agree on.
pub trait Seen {
    /// The bytes that were kept.
    fn data(&self) -> &[u8];
    /// The length that the packet had.
    fn original_len(&self) -> usize;
}

impl Seen for Captured {
    fn data(&self) -> &[u8] {
        &self.data
    }

    fn original_len(&self) -> usize {
        self.original_len as usize
    }
}

/// A frame that was sent, kept whole.
impl Seen for Frame {
    fn data(&self) -> &[u8] {
        self
    }

    fn original_len(&self) -> usize {
        self.len()
    }
}

/// A frame that was sent, of which the first bytes are kept.
#[derive(Clone, Copy, Debug)]
pub struct Truncated<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// How many bytes are kept.
    pub snap_len: usize,
}

impl Seen for Truncated<'_> {
    fn data(&self) -> &[u8] {
        &self.frame[..self.frame.len().min(self.snap_len)]
    }

    fn original_len(&self) -> usize {
        self.frame.len()
    }
}

/// Panics unless both hold the same packets, byte for byte, in the same order.
///
/// # Panics
///
/// With the first packet in which they differ.
#[track_caller]
pub fn assert_same(ours: &[impl Seen], theirs: &[impl Seen]) {
    let same = |one: &dyn Seen, other: &dyn Seen| {
        one.data() == other.data() && one.original_len() == other.original_len()
    };
    let differs = ours
        .iter()
        .zip(theirs)
        .position(|(one, other)| !same(one, other));
    if differs.is_none() && ours.len() == theirs.len() {
        return;
    }
    let place = differs.unwrap_or(ours.len().min(theirs.len()));
    panic!(
        "{} packets against {}; they differ from packet {} on\nours:   {}\ntheirs: {}",
        ours.len(),
        theirs.len(),
        place + 1,
        describe(ours.get(place).map(|packet| packet as &dyn Seen)),
        describe(theirs.get(place).map(|packet| packet as &dyn Seen)),
    );
}

fn describe(packet: Option<&dyn Seen>) -> String {
    let Some(packet) = packet else {
        return "none".into();
    };
    let data = packet.data();
    let mut text = format!("{} of {} bytes:", data.len(), packet.original_len());
    for byte in data.iter().take(96) {
        text.push_str(&format!(" {byte:02x}"));
    }
    if data.len() > 96 {
        text.push_str(" …");
    }
    text
}
