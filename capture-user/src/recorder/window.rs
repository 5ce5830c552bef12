//! What the recorder knows of a flow: its newest packet, and for which of them an event asks.

use std::time::Duration;

use super::ring::NOWHERE;

/// How far something reaches from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// So long.
    Time(Duration),
    /// So many packets of the flow, as `--count` counts them: one that is seen on two hooks is two.
    Packets(u64),
}

impl Reach {
    /// As nanoseconds, if it is a time.
    pub(super) fn nanoseconds(self) -> Option<u64> {
        match self {
            Self::Time(time) => Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
            Self::Packets(_) => None,
        }
    }
}

/// A flow's window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// The place of its newest packet.
    pub(super) newest: u64,
    /// The first and the last moment that the latest event asks for; those of an earlier one are in
    /// it where the two touch. Empty while there was none.
    pub(super) from: u64,
    pub(super) until: u64,
    /// When the latest event was; 0 for never.
    pub(super) event: u64,
    /// The packet that it happened to; 0 for none.
    pub(super) packet: u64,
    /// Packets behind the event that it still asks for.
    pub(super) left: u64,
    /// When the latest packet was seen that memory couldn't hold for as long as was asked for; 0
    /// for none.
    pub(super) cut: u64,
    /// Packets that may still come are asked for.
    pub(super) open: bool,
}

impl Window {
    /// A flow of which no packet is held.
    pub(super) const fn new(cut: u64) -> Self {
        Self {
            newest: NOWHERE,
            from: u64::MAX,
            until: 0,
            event: 0,
            packet: 0,
            left: 0,
            cut,
            open: false,
        }
    }

    /// Whether the flow's next packet is asked for.
    pub(super) fn wants(&mut self, stamp: u64, packet: u64) -> bool {
        if self.is_of_the_event(packet) || (self.from..=self.until).contains(&stamp) {
            return true;
        }
        if self.left > 0 && stamp > self.event {
            self.left -= 1;
            return true;
        }
        false
    }

    /// Whether it is another sighting of what the latest event happened to.
    pub(super) const fn is_of_the_event(&self, packet: u64) -> bool {
        packet != 0 && packet == self.packet
    }

    /// Takes what an event asks for.
    pub(super) fn extend(&mut self, asked: &Self) {
        let touches = asked.from <= self.until && self.from <= asked.until;
        if touches {
            self.from = self.from.min(asked.from);
            self.until = self.until.max(asked.until);
        } else if asked.until >= self.until {
            (self.from, self.until) = (asked.from, asked.until);
        }
        if asked.event >= self.event {
            self.event = asked.event;
            self.packet = asked.packet;
        }
        self.left = self.left.max(asked.left);
    }
}
