//! Looking after a capture under way: signals, the clock, news of links, addresses and translations.

use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::Session;
use super::inside::whereabouts;
use super::limits::Limit;
use super::mover::{Command, Event};
use super::signals::Signal;
use super::stop::StopReason;
use crate::evidence::conntrack::{Conntrack, ConntrackError};
use crate::flow::evidence::{self as known, Evidence, Fact};
use crate::metrics::server::Question;

/// How often the status line and the kernel side's messages are refreshed.
const TICK: Duration = Duration::from_millis(500);
/// How long a capture waits at its start, at the most, for what conntrack has.
const AT_THE_START: Duration = Duration::from_millis(500);

/// The next who wants figures, if they are served.
pub(super) async fn next_question(questions: Option<&mut Receiver<Question>>) -> Question {
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

impl Session {
    /// Looks after everything until something ends the capture: what, unless the mover did.
    pub(super) async fn watch_over(&mut self) -> Option<StopReason> {
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
                signal = self.signals.next() => if let Some(reason) = self.heed(signal) {
                    return Some(reason);
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
                        if self.follow(event) {
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

    /// Does what a signal asks for. What ends the capture, if that does.
    pub(super) fn heed(&mut self, signal: Signal) -> Option<StopReason> {
        match signal {
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
        }
        None
    }

    /// A connection that conntrack translates, and of which one of its names matches, is captured
    /// by the other name too, from its first packet on.
    fn follow_translated(&mut self, evidence: &Evidence) {
        if let Fact::Conntrack(mapping) = evidence.fact
            && mapping.change != known::Change::Removed
            && self.plan.follow
            && (self.tables.names(&mapping.original) || self.tables.names(&mapping.reply))
        {
            self.attached.follow(&mapping);
        }
    }

    /// Follows what conntrack translates already, before the capture is said to have begun: the next
    /// packet of such a connection may be the first one. A long table is read on beside the capture.
    pub(super) async fn follow_what_is_translated(&mut self) {
        if !self.plan.follow || self.tables.is_empty() {
            return;
        }
        let until = Instant::now() + AT_THE_START;
        while let Some(conntrack) = &mut self.conntrack
            && Instant::now() < until
        {
            match timeout_at(until, conntrack.next_of_those_there()).await {
                Ok(Ok(Some(evidence))) => {
                    self.follow_translated(&evidence);
                    self.command(Command::Learn(evidence));
                }
                Ok(Ok(None)) => return,
                Ok(Err(error)) => {
                    self.conntrack = None;
                    self.notes.push(error.to_string());
                }
                Err(_) => break,
            }
        }
        if self.conntrack.is_some() {
            self.notes.push(
                "conntrack has many entries: connections that are translated already are followed \
                 once it has told of them"
                    .to_owned(),
            );
        }
    }

    /// One line for `systemctl status`.
    pub(super) fn tell_service(&mut self) {
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
}
