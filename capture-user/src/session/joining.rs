//! Interfaces that come and go while a capture runs.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::completeness::Change;
use super::interface::Interface;
use super::mover::Command;
use super::{Session, attachment, clock, start};
use crate::flow::role::Role;
use crate::target::inhabitants::Inhabitants;
use crate::target::links::Link;
use crate::target::name::printable;
use crate::target::watch::LinkEvent;

/// How long it may take to find out what is behind an interface that joins.
const HASTE: Duration = Duration::from_millis(250);

impl Session {
    /// Finds out whose an interface is that has appeared, before it is decided upon.
    pub(super) async fn look_into(&mut self, event: &LinkEvent) {
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
    pub(super) async fn decide(&mut self) {
        for link in self.undecided.due(Instant::now()) {
            self.selection.look_again(&link).await;
            if self.selection.takes(&link) {
                self.undecided.forget(link.index);
                self.join(&link).await;
                self.review_completeness();
            }
        }
    }

    /// Takes in that an interface came or went. True if none is left and none can come.
    pub(super) async fn follow(&mut self, event: LinkEvent) -> bool {
        self.completeness.hear(&event);
        // Before an interface is joined as well, since until then it isn't seen.
        self.review_completeness();
        match event {
            LinkEvent::Removed { index, name } => {
                if !self.leave(index) {
                    return false;
                }
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
    pub(super) fn review_completeness(&mut self) {
        let change = self.completeness.update(&self.attached.indices());
        self.tell_completeness(change);
    }

    pub(super) fn tell_completeness(&self, change: Option<Change>) {
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
    pub(super) async fn join(&mut self, link: &Link) {
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
            Err(error) => {
                self.leave(link.index);
                if !error.is_gone() {
                    self.status.say(&format!("nodecap: {error}"));
                }
            }
        }
    }

    /// Captures on an interface no more. Whether it did.
    pub(super) fn leave(&mut self, index: u32) -> bool {
        let Some(counters) = self.attached.forget(index) else {
            return false;
        };
        self.command(Command::InterfaceGone {
            index,
            stamp: clock::monotonic(),
            counters,
        });
        true
    }
}
