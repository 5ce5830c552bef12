//! What happens to flows, for whoever waits for it: the flight recorder.
//!
//! Only what is told by evidence happens: a segment, a translation that was seen or that conntrack
//! tells of, the kernel's word. Nothing happens by a timer.

/// What can happen to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A side's first reset: one that a verdict is made on.
    Reset,
    /// A translation was recognised, each kind once a flow.
    Nat,
    /// A segment was sent again.
    Retransmit,
    /// The kernel dropped a segment that had been captured, and named the reason
    /// (`skb:kfree_skb`).
    Drop,
    /// An ICMP error quotes the flow.
    IcmpError,
    /// A side closed its window: it takes nothing more for now.
    ZeroWindow,
}

impl Kind {
    /// All of them, in the order of the command line.
    pub const ALL: [Self; 6] = [
        Self::Reset,
        Self::Nat,
        Self::Retransmit,
        Self::Drop,
        Self::IcmpError,
        Self::ZeroWindow,
    ];

    /// As the command line and the closing lines name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Nat => "nat",
            Self::Retransmit => "retransmit",
            Self::Drop => "drop",
            Self::IcmpError => "icmp-error",
            Self::ZeroWindow => "zero-window",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Whether it is one of them.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that there are.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<T: IntoIterator<Item = Kind>>(kinds: T) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | kind.bit()))
    }
}

/// What has become of a flow, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Something that was waited for.
    Event {
        /// What.
        kind: Kind,
        /// When: nanoseconds on the sightings' clock. Never later than it is told.
        time: u64,
        /// The flow.
        flow: u64,
        /// The packet that shows it, as [`super::tracker::Annotations::packet_id`]; 0 if none does.
        packet: u64,
    },
    /// Two flows turned out to be one.
    Joined {
        /// The number that is no flow's any more.
        gone: u64,
        /// The flow that its packets are of now.
        kept: u64,
    },
    /// No packet of the flow comes any more.
    Ended {
        /// The flow.
        flow: u64,
    },
}
