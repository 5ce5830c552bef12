//! One capture, wired together.
//!
//! [`run`] attaches, then looks after everything but packets: signals, the clock, interfaces that
//! come and go, the status line. One thread, the mover, moves the packets.
//!
//! - [`plan`]: what to do; [`stop`]: why it ended; [`limits`]: when it must
//! - `mover`: ring → [`order`] → [`limits`] → `outputs`
//! - `tracking`: the flow core, driven by the mover; `summary`: what it found, for people
//! - [`clock`], [`frame`], `interface`: a record's stamp, bytes and index as a file tells them
//! - [`ledger`]: every packet accounted for; [`progress`], `status`: what is shown meanwhile
//! - `memory`: how much it takes at the most
//! - `about`: what every file says of the capture
//! - `start`: from a plan to everything attached and open; `attached`: the kernel side of it,
//!   `attachment`: what is said of how that is done, `evidence`: what else is listened to,
//!   `completeness`: whether nothing is missed
//! - [`outside`]: to whom a capture shows itself; `figures`: for Prometheus, `service`: for the
//!   service manager; `relinquish`: going on as an ordinary user
//! - `snapshots`: the node's state before and after
//! - `recording`: the flight recorder, driven by the mover
//! - `undecided`: interfaces of which it isn't known yet whose they are; `naming`: what addresses
//!   are called

mod about;
mod attached;
mod attachment;
pub mod clock;
mod completeness;
mod evidence;
mod figures;
pub mod frame;
mod inside;
mod interface;
pub mod ledger;
pub mod limits;
mod memory;
mod mover;
mod naming;
pub mod order;
mod outputs;
pub mod outside;
pub mod plan;
pub mod progress;
mod recording;
mod relinquish;
mod service;
mod signals;
mod snapshots;
mod start;
mod status;
pub mod stop;
mod summary;
mod tracking;
mod undecided;

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use self::attached::Attached;
use self::completeness::{Change, Completeness};
use self::figures::Figures;
use self::inside::{Inside, whereabouts};
use self::interface::Interface;
use self::ledger::Account;
use self::limits::Limit;
use self::mover::{Command, Event, Final, Moved};
use self::naming::{Naming, News};
use self::outside::Outside;
use self::plan::Plan;
use self::progress::Progress;
use self::service::Service;
use self::signals::{Signal, Signals};
use self::snapshots::Snapshots;
use self::status::Status;
use self::stop::StopReason;
use self::undecided::Undecided;
use crate::error::{Error, Result};
use crate::evidence::conntrack::{Conntrack, ConntrackError};
use crate::filter::Tables;
use crate::flow::evidence::{self as known, Evidence, Fact};
use crate::flow::role::Role;
use crate::kernel::log::KernelLog;
use crate::metrics::server::Question;
use crate::target::inhabitants::Inhabitants;
use crate::target::links::Link;
use crate::target::name::printable;
use crate::target::select::Selection;
use crate::target::watch::{LinkEvent, Watch};

/// After how long an end that takes its time is spoken of.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long it may take to find out what is behind an interface that joins.
const HASTE: Duration = Duration::from_millis(250);
/// How often what isn't asked for happens.
const NEVER: Duration = Duration::from_secs(24 * 3_600);
/// How often the status line and the kernel side's messages are refreshed.
const TICK: Duration = Duration::from_millis(500);

/// How a capture that got under way came out.
#[derive(Debug)]
pub struct Outcome {
    /// Matched packets that were lost.
    pub lost: u64,
    /// What cut it short.
    pub failure: Option<Error>,
}

/// Captures as planned, until a limit, a signal or a failure ends it, and reports on standard
/// error as it goes.
///
/// # Errors
///
/// When it can't start; then nothing stays attached, and no file is left or changed.
pub async fn run(plan: Plan, outside: Outside) -> Result<Outcome> {
    start::start(plan, outside).await?.run().await
}

/// The next who wants figures, if they are served.
async fn next_question(questions: Option<&mut Receiver<Question>>) -> Question {
    match questions {
        Some(questions) => match questions.recv().await {
            Some(question) => question,
            // Nobody serves them any more.
            None => pending().await,
        },
        None => pending().await,
    }
}

/// The next piece of evidence from conntrack, if it is followed.
async fn next_evidence(
    conntrack: Option<&mut Conntrack>,
) -> std::result::Result<Evidence, ConntrackError> {
    match conntrack {
        Some(conntrack) => conntrack.next().await,
        None => pending().await,
    }
}

/// A capture under way.
struct Session {
    plan: Plan,
    /// The plan's filter, as the kernel has it.
    tables: Tables,
    attached: Attached,
    selection: Selection,
    watch: Watch,
    completeness: Completeness,
    conntrack: Option<Conntrack>,
    signals: Signals,
    commands: Sender<Command>,
    events: UnboundedReceiver<Event>,
    moved: oneshot::Receiver<Moved>,
    progress: Arc<Progress>,
    status: Status,
    log: Option<KernelLog>,
    events_lost: bool,
    undecided: Undecided,
    naming: Naming,
    inside: Option<Inside>,
    snapshots: Option<Snapshots>,
    /// When `--duration` is over.
    deadline: Option<Instant>,
    questions: Option<Receiver<Question>>,
    service: Option<Service>,
    figures: Figures,
}

impl Session {
    async fn run(mut self) -> Result<Outcome> {
        let reason = self.watch_over().await;
        self.finish(reason).await
    }

    /// Looks after everything until something ends the capture: what, unless the mover did.
    async fn watch_over(&mut self) -> Option<StopReason> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ticking = self.status.is_shown()
            || self.log.is_some()
            || self.plan.track
            || self.service.is_some();
        let mut feeding = self.feeding();
        let mut watching = true;
        loop {
            let deadline = self.deadline;
            let over = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                signal = self.signals.next() => match signal {
                    Signal::Stop(name) => return Some(StopReason::Signal(name)),
                    Signal::HangUp if self.plan.rotate.is_some() || self.plan.lists.is_some() => {
                        if self.plan.lists.is_some() {
                            self.read_lists_again();
                        }
                        if self.plan.rotate.is_some() {
                            self.command(Command::Rotate);
                        }
                    }
                    Signal::HangUp => return Some(StopReason::Signal("HUP")),
                    Signal::Counts => self.status.say(self.counts().trim_end()),
                    Signal::Flush => self.command(Command::Flush),
                },
                () = over => {
                    let duration = self.plan.limits.duration.unwrap_or_default();
                    return Some(StopReason::Limit(Limit::Duration(duration)));
                }
                event = self.events.recv() => match event {
                    // Why, the mover knows.
                    Some(Event::Enough) | None => return None,
                    Some(Event::Note(note)) => self.status.say(&format!("nodecap: {note}")),
                    Some(Event::ClockStep(step)) => self.status.say(&format!(
                        "nodecap: the system clock was set {} by {}; time stamps follow it",
                        if step.forward { "ahead" } else { "back" },
                        humantime::format_duration(step.by),
                    )),
                },
                event = self.watch.next(), if watching => match event {
                    Ok(event) => {
                        self.look_into(&event).await;
                        if self.follow(event).await {
                            return Some(StopReason::NoInterfaceLeft);
                        }
                    }
                    Err(error) => {
                        watching = false;
                        let change = self.completeness.is_blind();
                        self.tell_completeness(change);
                        self.status.say(&format!("nodecap: interfaces are no longer watched: {error}"));
                    }
                },
                evidence = next_evidence(self.conntrack.as_mut()) => match evidence {
                    Ok(evidence) => {
                        self.follow_translated(&evidence);
                        self.command(Command::Learn(evidence));
                    }
                    Err(error) => {
                        self.conntrack = None;
                        self.status.say(&format!("nodecap: {error}"));
                    }
                },
                () = self.undecided.wait() => self.decide().await,
                news = self.naming.next(self.completeness.links()) => self.tell_names(news),
                whereabouts = whereabouts(self.inside.as_mut()) => {
                    if let Some(reason) = self.go_along(whereabouts).await {
                        return Some(reason);
                    }
                }
                _ = tick.tick(), if ticking => self.tick(),
                question = next_question(self.questions.as_mut()) => self.answer(question),
                _ = feeding.tick() => self.feed(),
            }
        }
    }

    fn answer(&self, question: Question) {
        // Whoever asked may have given up.
        let _ = question.send(self.page());
    }

    /// When the service manager's watchdog is to be fed.
    fn feeding(&self) -> Interval {
        let wanted = self.service.as_ref().and_then(Service::feeding);
        let mut feeding = interval(wanted.unwrap_or(NEVER));
        feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
        feeding
    }

    fn feed(&mut self) {
        if let Some(service) = &mut self.service {
            service.feed(self.progress.rounds());
        }
    }

    /// Finds out whose an interface is that has appeared, before it is decided upon.
    async fn look_into(&mut self, event: &LinkEvent) {
        match event {
            LinkEvent::Removed { index, .. } => {
                self.undecided.forget(*index);
                let news = self.naming.hear_gone(*index, Instant::now());
                self.tell_names(news);
            }
            LinkEvent::Appeared(link) | LinkEvent::Changed(link) => {
                let news = self.naming.hear(link, Instant::now());
                self.tell_names(news);
                if self.attached.is_on(link.index) {
                    return;
                }
                self.selection.look_again(link).await;
                if self.selection.may_take_soon(link) && !self.selection.takes(link) {
                    self.undecided.put_off(link, Instant::now());
                } else {
                    self.undecided.forget(link.index);
                }
            }
        }
    }

    /// Looks again at the interfaces that couldn't be decided upon.
    async fn decide(&mut self) {
        for link in self.undecided.due(Instant::now()) {
            self.selection.look_again(&link).await;
            if self.selection.takes(&link) {
                self.undecided.forget(link.index);
                self.join(&link).await;
                self.review_completeness();
            }
        }
    }

    fn tell_names(&self, news: News) {
        if !news.is_empty() {
            self.command(Command::Names(news));
        }
    }

    fn command(&self, command: Command) {
        // A mover that is gone has said so through its other channels.
        let _ = self.commands.send(command);
    }

    /// A connection that conntrack translates, and of which one of its names matches, is captured
    /// by the other name too, from its first packet on.
    fn follow_translated(&mut self, evidence: &Evidence) {
        if let Fact::Conntrack(mapping) = evidence.fact
            && mapping.change == known::Change::Present
            && self.plan.follow
            && (self.tables.names(&mapping.original) || self.tables.names(&mapping.reply))
        {
            self.attached.follow(&mapping);
        }
    }

    fn tick(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        if self.plan.track && !self.events_lost && self.attached.events_lost() > 0 {
            self.events_lost = true;
            self.command(Command::EventsLost);
            self.status.say(
                "nodecap: the kernel told more than there was room for; verdicts rest on less from now on",
            );
        }
        self.tell_service();
        if self.status.is_shown() {
            let total = self.attached.total();
            self.status
                .show(&self.plan, &self.progress, &total, self.deadline);
        }
    }

    /// One line for `systemctl status`.
    fn tell_service(&mut self) {
        let Some(service) = &mut self.service else {
            return;
        };
        if service.wants_status() {
            let (captured, lost) = (self.progress.packets(), self.attached.total().lost());
            let live = self.attached.live();
            service.status(format!(
                "{captured} packets captured, {lost} lost, on {live} interfaces"
            ));
        }
    }

    /// The count lines of this moment.
    fn counts(&self) -> String {
        let account = Account {
            captured: self.progress.packets(),
            forgotten: self.progress.forgotten(),
            kernel: self.attached.total(),
            unwritten: 0,
        };
        ledger::count_lines(&account, self.plan.record.is_some())
    }

    /// Takes in that an interface came or went. True if none is left and none can come.
    async fn follow(&mut self, event: LinkEvent) -> bool {
        self.completeness.hear(&event);
        // Before an interface is joined as well, since until then it isn't seen.
        self.review_completeness();
        match event {
            LinkEvent::Removed { index, name } => {
                if !self.attached.forget(index) {
                    return false;
                }
                let stamp = clock::monotonic();
                self.command(Command::InterfaceGone { index, stamp });
                let left = self.attached.live();
                let more = match left {
                    0 if self.selection.takes_later() => "none left, waiting for one to appear",
                    0 => "none left",
                    _ => "the others go on",
                };
                self.status
                    .say(&format!("nodecap: {} is gone: {more}", printable(&name)));
                left == 0 && !self.selection.takes_later()
            }
            LinkEvent::Appeared(link) | LinkEvent::Changed(link) => {
                if !self.attached.is_on(link.index) && self.selection.takes(&link) {
                    self.join(&link).await;
                    self.review_completeness();
                }
                false
            }
        }
    }

    /// Tells the mover whether everything is seen, where that has changed.
    fn review_completeness(&mut self) {
        let change = self.completeness.update(&self.attached.indices());
        self.tell_completeness(change);
    }

    fn tell_completeness(&self, change: Option<Change>) {
        match change {
            Some(Change::Begins) => self.command(Command::CompleteSince(Some(clock::monotonic()))),
            Some(Change::Ends) => self.command(Command::CompleteSince(None)),
            None => {}
        }
    }

    /// An interface with what is behind it, if that is found out soon enough: packets pass by.
    async fn describe(&mut self, link: &Link, role: Role) -> Interface {
        let known = match self.plan.wants_inhabitants() {
            true => {
                let look = Inhabitants::look(std::slice::from_ref(link), self.plan.here());
                timeout(HASTE, look).await
            }
            false => Ok(Inhabitants::default()),
        };
        let known = known.unwrap_or_default();
        Interface {
            names: self.naming.admit(&known),
            ..start::interface(&self.plan, link, role, &known)
        }
    }

    /// Captures on one more interface.
    async fn join(&mut self, link: &Link) {
        let role = self.completeness.role(link.index);
        let interface = self.describe(link, role).await;
        // The mover is told first: it must know the interface when the first packet comes.
        self.command(Command::Interface(interface));
        match self.attached.join(link, &self.plan.directions) {
            Ok(how) => {
                self.status.say(&format!(
                    "nodecap: listening on {} too",
                    printable(&link.name)
                ));
                for note in attachment::notes_of(&link.name, &how) {
                    self.status.say(&format!("nodecap: {note}"));
                }
            }
            Err(error) if error.is_gone() => {}
            Err(error) => self.status.say(&format!("nodecap: {error}")),
        }
    }

    /// Lets the mover write what is left, closes the outputs, reports, and detaches.
    ///
    /// Detaching comes last because it is slow: the kernel waits for a grace period for every
    /// interface and direction (`tcx_entry_sync`). What the programs still count meanwhile comes
    /// after the end.
    async fn finish(mut self, reason: Option<StopReason>) -> Result<Outcome> {
        let mut patience = pin!(sleep(PATIENCE));
        let mut feeding = self.feeding();
        if let Some(service) = &self.service {
            service.stopping();
        }
        let mut asked = false;
        if let Some(reason) = reason {
            self.command(Command::Stop(reason));
            loop {
                tokio::select! {
                    event = self.events.recv() => match event {
                        Some(Event::Enough) | None => break,
                        Some(event) => self.pass_on(&event),
                    },
                    signal = self.signals.next() => self.hurry(signal)?,
                    question = next_question(self.questions.as_mut()) => self.answer(question),
                    _ = feeding.tick() => self.feed(),
                    () = &mut patience, if !asked => {
                        asked = true;
                        self.ask_for_patience();
                    }
                }
            }
        }
        self.command(Command::Close(Final {
            counters: self.attached.counters(),
            stray: self.attached.stray(),
        }));
        let moved = loop {
            tokio::select! {
                moved = &mut self.moved => break moved,
                Some(event) = self.events.recv() => self.pass_on(&event),
                signal = self.signals.next() => self.hurry(signal)?,
                question = next_question(self.questions.as_mut()) => self.answer(question),
                _ = feeding.tick() => self.feed(),
                () = &mut patience, if !asked => {
                    asked = true;
                    self.ask_for_patience();
                }
            }
        };
        let moved = moved.map_err(|_| {
            Error::failure("the thread that moves packets has failed: please report this")
        })?;
        while let Ok(event) = self.events.try_recv() {
            self.pass_on(&event);
        }
        self.tick();
        self.status.clear();
        let mut outcome = self.report(moved);
        if let Some(error) = self.complete_snapshot().await {
            outcome.failure.get_or_insert(error);
        }
        self.attached.detach_all();
        Ok(outcome)
    }

    /// Takes the state after the capture. What went wrong with that.
    async fn complete_snapshot(&mut self) -> Option<Error> {
        let snapshots = self.snapshots.take()?;
        match snapshots.finish().await {
            Ok(changes) => {
                self.status.say(&format!(
                    "{changes} changes between the snapshots before and after"
                ));
                None
            }
            Err(error) => Some(error),
        }
    }

    /// Takes the address lists as their files are now. What is wrong with them leaves the capture
    /// as it is.
    fn read_lists_again(&mut self) {
        let Some(lists) = &self.plan.lists else {
            return;
        };
        let said = match lists.read() {
            Err(error) => format!("the lists stay as they were: {error}"),
            Ok(held) => {
                let next = self.plan.filter.with(held);
                let count = next.hosts.len() + next.sources.len() + next.destinations.len();
                // What is asked for is frozen into the programs.
                let tables = next.tables();
                if tables.address_options != self.tables.address_options {
                    "the lists stay as they were: whether a list wants or bars any address can't \
                     change while a capture runs"
                        .to_owned()
                } else if let Err(error) = self.attached.replace_addresses(&tables) {
                    format!("the lists stay as they were: {error}")
                } else {
                    self.tables = tables;
                    self.plan.filter = next;
                    format!("read the lists again: {count} networks wanted")
                }
            }
        };
        self.status.say(&format!("nodecap: {said}"));
    }

    /// Tells what the user should know, also while it is ending.
    fn pass_on(&self, event: &Event) {
        if let Event::Note(note) = event {
            self.status.say(&format!("nodecap: {note}"));
        }
    }

    /// A disk that is slow, a pipe that nobody reads, or a command that takes its time keeps it
    /// from ending.
    fn ask_for_patience(&self) {
        self.status.say(&format!(
            "nodecap: still writing what was captured{}; an interrupt now stops at once",
            if self.plan.exec.is_some() {
                ", or running --exec on it"
            } else {
                ""
            }
        ));
    }

    /// A signal to stop while it is ending doesn't wait for anything.
    fn hurry(&self, signal: Signal) -> Result<()> {
        match signal {
            Signal::Stop(_) => {
                self.status.clear();
                Err(Error::failure(
                    "stopped at once by a signal while ending: what had not been written is lost",
                ))
            }
            Signal::HangUp | Signal::Counts | Signal::Flush => Ok(()),
        }
    }

    fn report(&self, moved: Moved) -> Outcome {
        let total = moved
            .accounts
            .iter()
            .fold(Account::default(), |sum, (_, account)| sum.plus(account));
        let records = moved.recorded.is_some();
        let mut text = ledger::count_lines(&total, records);
        text += &format!("stopped: {}\n", moved.reason);
        if self.plan.verbosity > 0 {
            text += &ledger::ledger_lines(&moved.accounts, "past the end", records);
            if moved.late > 0 {
                text += &format!("{} packets came too late to be put in order\n", moved.late);
            }
        }
        if let Some(recorded) = &moved.recorded {
            text += &summary::recorded(recorded);
        }
        if let Some(flows) = &moved.flows {
            text += &summary::lines(flows);
            if self.plan.verbosity > 0 && moved.hurried > 0 {
                text += &format!(
                    "{} packets were written before all about them could be known, since the ring was filling\n",
                    moved.hurried
                );
            }
        }
        self.status.say(text.trim_end());
        let failure = match moved.reason {
            StopReason::Failure(error) => Some(error),
            _ => moved.failure,
        };
        Outcome {
            lost: total.dropped(),
            failure,
        }
    }
}
