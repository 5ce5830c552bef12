//! The translations that the kernel's own connection tracking knows of, over netlink.
//!
//! First it subscribes, then it asks for all entries, so that nothing which changes in between is
//! missed. Only new entries and removals are subscribed to: an entry's tuples never change once it
//! is confirmed, and updates, one for each change of a connection's state, are many.
//!
//! Two things that the kernel doesn't tell:
//! - Since Linux 5.19 (`net.netfilter.nf_conntrack_events` = 2, the default) it announces the
//!   removal of those entries only that were made while somebody listened. An entry of the first
//!   dump may go unheard.
//! - What it dropped because events came faster than they were read. That is counted, and answered
//!   by a fresh dump, which makes up for the entries that are there, not for those that went.
//!
//! So an absent removal proves nothing.

mod decode;

use std::collections::{HashSet, VecDeque};
use std::io;
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR};
use netlink_sys::{
    AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER,
};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use tokio::time::Instant;

pub use decode::{Entry, Status};

use crate::flow::evidence::{Change, Evidence, Fact};
use crate::flow::tuple::Tuple;
use crate::netlink;
use crate::session::clock::monotonic;

/// `NF_NETLINK_CONNTRACK_NEW` (nfnetlink_compat.h), a group as a mask.
const NEW_ENTRIES: u32 = 1;
/// `NF_NETLINK_CONNTRACK_DESTROY`.
const REMOVED_ENTRIES: u32 = 4;
/// The largest datagram: the kernel makes none longer than 32 KiB (`netlink_dump`).
const DATAGRAM_MAX: usize = 64 << 10;
/// Removals remembered while a dump runs; with more it is given up and tried again later.
const REMOVALS_MAX: usize = 1 << 18;

/// What is followed, and within which bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Tell only of entries whose packets leave with another tuple than they came with.
    pub translated_only: bool,
    /// The most entries that one dump reads, translated or not.
    pub dump_limit: usize,
    /// The least time between the starts of two dumps.
    pub dump_interval: Duration,
    /// Room in the kernel for events that wait, in bytes.
    pub receive_buffer: usize,
    /// How long an event may have waited to be heard for the entry that it tells of to be new: less than
    /// what the flow core reckons with (`LATEST_WORD` there).
    pub prompt: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            translated_only: true,
            dump_limit: 1_000_000,
            dump_interval: Duration::from_secs(5),
            receive_buffer: 8 << 20,
            prompt: Duration::from_secs(2),
        }
    }
}

/// Why conntrack can't be followed, what that weakens, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum ConntrackError {
    /// The kernel refuses it to this process.
    #[error(
        "conntrack can't be read without CAP_NET_ADMIN: translations are known only where a packet \
         is seen before and after, and no verdict rests on conntrack; run as root, or grant the \
         capability"
    )]
    NotPermitted,
    /// The kernel has no such part.
    #[error(
        "this kernel doesn't tell of conntrack ({0}): translations are known only where a packet \
         is seen before and after, and no verdict rests on conntrack; where it is a module, \
         `modprobe nf_conntrack_netlink`"
    )]
    Unavailable(#[source] io::Error),
    /// It worked, and then it didn't.
    #[error(
        "conntrack can't be followed any longer ({0}): from now on translations are known only \
         where a packet is seen before and after"
    )]
    Broken(#[source] io::Error),
}

impl ConntrackError {
    /// What the kernel's refusal means when it comes at the start.
    fn at_start(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted,
            // No NETLINK_NETFILTER at all; nobody registered as subsystem 1 there.
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EINVAL | libc::EOPNOTSUPP) => {
                Self::Unavailable(error)
            }
            _ => Self::Broken(error),
        }
    }
}

/// What was missed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// How often the kernel dropped events, an unknown number each time.
    pub overruns: u64,
    /// Dumps that ended before the last entry, by [`Options::dump_limit`] or for too many removals
    /// meanwhile.
    pub cut_dumps: u64,
}

/// Follows conntrack in one network namespace.
pub struct Conntrack {
    options: Options,
    events: TokioSocket,
    event_buffer: Vec<u8>,
    dump: Option<Dump>,
    dump_buffer: Vec<u8>,
    last_dump: Instant,
    /// When the next dump is to begin, if one is needed.
    due: Option<Instant>,
    ready: VecDeque<Evidence>,
    losses: Losses,
    /// When it was last listened to, and whether what is heard has waited since.
    listened: Instant,
    waited: bool,
}

/// A dump that is being read.
struct Dump {
    socket: TokioSocket,
    account: Account,
}

/// What came of a dump so far.
#[derive(Debug, Default)]
struct Account {
    entries: usize,
    /// What went since it began: the dump may still tell of it, having looked before.
    removed: HashSet<(u32, Tuple), foldhash::fast::RandomState>,
}

/// What one datagram of a dump came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Continues,
    Complete,
    Cut,
}

impl Conntrack {
    /// Begins to follow the network namespace that the thread is in: subscribes, then asks for
    /// what is there.
    ///
    /// It must run on a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    ///
    /// [`ConntrackError`]; the capture can go on without.
    pub async fn start(options: Options) -> Result<Self, ConntrackError> {
        let events = netlink::open(NETLINK_NETFILTER, NEW_ENTRIES | REMOVED_ENTRIES)
            .map_err(ConntrackError::at_start)?;
        // Without the privilege the default room will do: what doesn't fit is noticed.
        if set_socket_recv_buffer_size_force(events.socket_ref(), options.receive_buffer).is_err() {
            let size = i32::try_from(options.receive_buffer).unwrap_or(i32::MAX);
            let _ = events.socket_ref().set_rx_buf_sz(size);
        }
        let mut conntrack = Self {
            options,
            events,
            event_buffer: Vec::with_capacity(DATAGRAM_MAX),
            dump: Some(Dump::begin().map_err(ConntrackError::at_start)?),
            dump_buffer: Vec::with_capacity(DATAGRAM_MAX),
            last_dump: Instant::now(),
            due: None,
            ready: VecDeque::new(),
            losses: Losses::default(),
            listened: Instant::now(),
            waited: false,
        };
        // Whether the kernel answers at all.
        while let Some(dump) = &conntrack.dump {
            let heard = receive(&dump.socket, &mut conntrack.dump_buffer).await;
            if heard.map_err(ConntrackError::at_start)? {
                conntrack.take_dump().map_err(ConntrackError::at_start)?;
                break;
            }
        }
        Ok(conntrack)
    }

    /// The next piece of evidence; waits for one. Nothing is lost when the future is dropped
    /// before it is ready.
    ///
    /// # Errors
    ///
    /// [`ConntrackError::Broken`] when the socket fails.
    pub async fn next(&mut self) -> Result<Evidence, ConntrackError> {
        loop {
            if let Some(evidence) = self.ready.pop_front() {
                return Ok(evidence);
            }
            self.hear().await?;
        }
    }

    /// The same, as long as the entries that were there haven't all been told of.
    ///
    /// # Errors
    ///
    /// As [`Conntrack::next`].
    pub async fn next_of_those_there(&mut self) -> Result<Option<Evidence>, ConntrackError> {
        loop {
            if let Some(evidence) = self.ready.pop_front() {
                return Ok(Some(evidence));
            }
            if self.is_settled() {
                return Ok(None);
            }
            self.hear().await?;
        }
    }

    /// Takes in what comes next.
    async fn hear(&mut self) -> Result<(), ConntrackError> {
        enum Heard {
            Event(io::Result<bool>),
            Dump(io::Result<bool>),
            Due,
        }
        // Others had their turn, such as attaching to hundreds of interfaces.
        self.waited |= self.listened.elapsed() >= self.options.prompt;
        // Also if nothing comes before somebody else has his turn, which ends this.
        self.listened = Instant::now();
        if self.waited {
            self.look_whether_any_waits();
        }
        let Self {
            events,
            event_buffer,
            dump,
            dump_buffer,
            due,
            ..
        } = self;
        let heard = tokio::select! {
            heard = receive(events, event_buffer) => Heard::Event(heard),
            heard = receive_dump(dump.as_ref(), dump_buffer) => Heard::Dump(heard),
            () = wait_until(due.filter(|_| dump.is_none())) => Heard::Due,
        };
        self.listened = Instant::now();
        match heard {
            Heard::Event(Ok(from_kernel)) => {
                if from_kernel {
                    self.take_events();
                }
            }
            Heard::Event(Err(error)) if netlink::is_overrun(&error) => self.overrun(),
            Heard::Event(Err(error)) => return Err(ConntrackError::Broken(error)),
            Heard::Dump(Ok(from_kernel)) => {
                if from_kernel && let Err(error) = self.take_dump() {
                    self.give_up_dump(&error);
                }
                // A long dump is ready to be read all the time: others want to run too.
                tokio::task::yield_now().await;
            }
            Heard::Dump(Err(error)) => self.give_up_dump(&error),
            Heard::Due => {
                self.due = None;
                self.last_dump = Instant::now();
                match Dump::begin() {
                    Ok(dump) => self.dump = Some(dump),
                    Err(error) => self.give_up_dump(&error),
                }
            }
        }
        Ok(())
    }

    /// Whether events wait to be heard: if none does, what comes next is new.
    fn look_whether_any_waits(&mut self) {
        let mut byte = [0; 1];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        match self.events.socket_ref().recv(&mut &mut byte[..], flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.waited = false,
            // Told once, so this was it.
            Err(error) if netlink::is_overrun(&error) => self.overrun(),
            _ => {}
        }
    }

    fn overrun(&mut self) {
        self.losses.overruns += 1;
        self.ready.push_back(Evidence {
            time: monotonic(),
            fact: Fact::RemovalsLost,
        });
        self.want_dump();
    }

    /// What was missed so far.
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Whether all entries that were there have been told of; more than the limit are not.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.dump.is_none() && self.due.is_none() && self.ready.is_empty()
    }

    fn take_events(&mut self) {
        let time = monotonic();
        for message in netlink::messages(&self.event_buffer) {
            let Some(mut entry) = decode::entry(message.kind, message.payload) else {
                continue;
            };
            if entry.mapping.change == Change::Present {
                // Of one that waited to be heard it can't be told which packets came before it.
                if !self.waited {
                    entry.mapping.change = Change::Made;
                }
            } else if let Some(dump) = &mut self.dump {
                dump.account
                    .removed
                    .insert((entry.id, entry.mapping.original));
            }
            self.ready.extend(told(&entry, self.options, time));
        }
        let too_many = |dump: &Dump| dump.account.removed.len() > REMOVALS_MAX;
        if self.dump.as_ref().is_some_and(too_many) {
            self.losses.cut_dumps += 1;
            self.dump = None;
            self.want_dump();
        }
    }

    fn take_dump(&mut self) -> io::Result<()> {
        let time = monotonic();
        let Some(dump) = &mut self.dump else {
            return Ok(());
        };
        let options = self.options;
        let ready = &mut self.ready;
        let progress = dump
            .account
            .take(&self.dump_buffer, options.dump_limit, |entry| {
                ready.extend(told(entry, options, time));
            })?;
        match progress {
            Progress::Continues => {}
            Progress::Complete => self.dump = None,
            Progress::Cut => {
                self.losses.cut_dumps += 1;
                self.dump = None;
                tracing::debug!(
                    limit = options.dump_limit,
                    "conntrack has more entries than are read"
                );
            }
        }
        Ok(())
    }

    fn want_dump(&mut self) {
        self.due
            .get_or_insert(self.last_dump + self.options.dump_interval);
    }

    fn give_up_dump(&mut self, error: &io::Error) {
        tracing::debug!(%error, "a dump of conntrack failed");
        self.losses.cut_dumps += 1;
        self.dump = None;
        self.want_dump();
    }
}

impl Dump {
    fn begin() -> io::Result<Self> {
        let socket = netlink::open(NETLINK_NETFILTER, 0)?;
        let request =
            netlink::request(decode::GET, NLM_F_REQUEST | NLM_F_DUMP, &decode::ANY_FAMILY);
        // A socket of its own has room for one request: this doesn't wait.
        socket
            .socket_ref()
            .send_to(&request, &SocketAddr::new(0, 0), 0)?;
        Ok(Self {
            socket,
            account: Account::default(),
        })
    }
}

impl Account {
    /// Takes one datagram in.
    fn take(
        &mut self,
        datagram: &[u8],
        limit: usize,
        mut each: impl FnMut(&Entry),
    ) -> io::Result<Progress> {
        for message in netlink::messages(datagram) {
            if matches!(message.kind, NLMSG_DONE | NLMSG_ERROR) {
                return match netlink::errno(message.payload) {
                    0 => Ok(Progress::Complete),
                    errno => Err(io::Error::from_raw_os_error(errno)),
                };
            }
            let Some(entry) = decode::entry(message.kind, message.payload) else {
                continue;
            };
            if self.entries == limit {
                return Ok(Progress::Cut);
            }
            self.entries += 1;
            if !self.removed.contains(&(entry.id, entry.mapping.original)) {
                each(&entry);
            }
        }
        Ok(Progress::Continues)
    }
}

/// The entries that a datagram of conntrack's tells of, up to its first malformed message.
pub fn entries(datagram: &[u8]) -> impl Iterator<Item = Entry> {
    netlink::messages(datagram).filter_map(|message| decode::entry(message.kind, message.payload))
}

/// The evidence in an entry, if it is to be told of.
fn told(entry: &Entry, options: Options, time: u64) -> Option<Evidence> {
    (entry.is_translated() || !options.translated_only).then_some(Evidence {
        time,
        fact: Fact::Conntrack(entry.mapping),
    })
}

/// Receives a datagram, and tells whether it is from the kernel: any process may send one.
async fn receive(socket: &TokioSocket, buffer: &mut Vec<u8>) -> io::Result<bool> {
    buffer.clear();
    let sender = socket.recv_from(buffer).await?;
    Ok(sender.port_number() == 0)
}

async fn receive_dump(dump: Option<&Dump>, buffer: &mut Vec<u8>) -> io::Result<bool> {
    match dump {
        Some(dump) => receive(&dump.socket, buffer).await,
        None => std::future::pending().await,
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
