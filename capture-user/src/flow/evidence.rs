//! What is known besides the packets: from the kernel's tracepoints and from conntrack.

use super::mappings::same;
use super::tuple::Tuple;

/// One piece of evidence, with when it was true: nanoseconds on the sightings' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// When.
    pub time: u64,
    /// What.
    pub fact: Fact,
}

/// What happened, or is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A socket of this machine sent a reset (`tcp:tcp_send_reset`), in whatever namespace.
    ResetSent(KernelReset),
    /// A socket of this machine received a reset (`tcp:tcp_receive_reset`).
    ResetReceived(KernelReset),
    /// The kernel dropped a packet that this capture had seen (`skb:kfree_skb`).
    Dropped(Drop),
    /// conntrack has, or had, an entry.
    Conntrack(Mapping),
    /// conntrack's word on entries that went may have been lost.
    RemovalsLost,
}

/// A reset that the kernel told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelReset {
    /// The reset's own direction: its sender is the source.
    pub tuple: Tuple,
    /// Why it was sent (`enum sk_rst_reason`, since 6.10), by name as in the kernel without its
    /// prefix: `NO_SOCKET`, `TCP_STATE`. `None` where the kernel gives none.
    pub reason: Option<&'static str>,
    /// The network namespace's inode number, 0 if not known.
    pub netns: u32,
}

/// A packet that the kernel dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop {
    /// As [`super::sighting::Sighting::identity`].
    pub identity: u64,
    /// Its addresses and ports where it was dropped, if they could be read.
    pub tuple: Option<Tuple>,
    /// Why (`enum skb_drop_reason`, since 5.17), by name without its prefix: `NETFILTER_DROP`.
    pub reason: Option<&'static str>,
}

/// An entry of conntrack, in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first packet's tuple, before any translation.
    pub original: Tuple,
    /// The tuple that replies have before they are translated back.
    pub reply: Tuple,
    /// Whether it is there, or has gone.
    pub change: Change,
}

impl Mapping {
    /// What is known of an entry by this one's word, after that of the `known` one: that its end will be
    /// told stays so, whoever says that it is there.
    pub(super) fn after(self, known: Option<&Self>) -> Self {
        let told = |known: &Self| same(known, &self) && known.change == Change::Made;
        if self.change == Change::Present && known.is_some_and(told) {
            return Self {
                change: Change::Made,
                ..self
            };
        }
        self
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there. That it goes may not be told.
    Present,
    /// It was just made, while somebody listened: that it goes will be told.
    Made,
    /// It was removed, by its timeout or by hand.
    Removed,
}
