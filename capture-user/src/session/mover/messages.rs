//! What the session and the mover tell each other.

use capture_common::counters::Counters;

use crate::error::Error;
use crate::evidence::sysctl::Sysctls;
use crate::flow::evidence::Evidence;
use crate::flow::summary::Summary;
use crate::packet::InterfaceId;
use crate::session::clock;
use crate::session::interface::Interface;
use crate::session::ledger::Account;
use crate::session::naming::News;
use crate::session::recording::Recorded;
use crate::session::stop::StopReason;

/// What the session tells the mover.
pub(in crate::session) enum Command {
    /// Everything is attached: from this stamp on time counts.
    Begin(u64),
    /// Packets of one more interface may come. If not everything is known of it, [`Command::Names`] tells
    /// the rest.
    Interface(Interface),
    /// An interface is gone.
    InterfaceGone {
        /// Its index, which may soon be another's.
        index: u32,
        /// When that was heard: no packet of it is stamped later.
        stamp: u64,
        /// What was counted there.
        counters: Counters,
    },
    /// What addresses and interfaces are called from now on.
    Names(News),
    /// Something was learned of the node's translations.
    Learn(Evidence),
    /// Since when everything that comes into the namespace is seen; `None`: it isn't.
    CompleteSince(Option<u64>),
    /// The capture goes on in another network namespace.
    Entered {
        /// The inode that tells it apart.
        netns: u32,
        /// Its kernel parameters.
        sysctls: Sysctls,
    },
    /// The kernel side had more to tell than there was room for.
    EventsLost,
    /// Write out what waits in buffers (USR2).
    Flush,
    /// Begin another file with what is stamped from now on (HUP).
    Rotate,
    /// Write what was stamped up to now, say [`Event::Enough`], and write nothing more. Why.
    Stop(StopReason),
    /// Close the outputs, and end.
    Close(Final),
}

/// What the session knows at the end.
#[derive(Default)]
pub(in crate::session) struct Final {
    /// The counters of each interface that is captured on, read after [`Event::Enough`].
    pub(in crate::session) counters: Vec<(InterfaceId, Counters)>,
    /// Counted for no interface that is known.
    pub(in crate::session) stray: Counters,
}

/// What the mover tells the session.
pub(in crate::session) enum Event {
    /// It has ended: a limit was met, it can write no more, or it was told to stop. Nothing
    /// changes any more in what was written.
    Enough,
    /// The wall clock was set.
    ClockStep(clock::Step),
    /// Something that the user should know.
    Note(String),
}

/// What a capture came to.
pub(in crate::session) struct Moved {
    /// Why it ended.
    pub(in crate::session) reason: StopReason,
    /// The account of each interface that is told of by itself, in the order of their ids, and of all
    /// others together.
    pub(in crate::session) accounts: Vec<(String, Account)>,
    /// What went wrong with the outputs.
    pub(in crate::session) failure: Option<Error>,
    /// Records that came later than the order could wait.
    pub(in crate::session) late: u64,
    /// Packets written before all that could be learned of them was, since the ring was filling.
    pub(in crate::session) hurried: u64,
    /// What the flight recorder did, if there is one.
    pub(in crate::session) recorded: Option<Recorded>,
    /// What was found out about flows, if anybody asked.
    pub(in crate::session) flows: Option<Summary>,
}
