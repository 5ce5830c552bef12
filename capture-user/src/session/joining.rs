//! Interfaces that come and go while a capture runs.

use tokio::time::Instant;

use super::completeness::Change;
use super::mover::Command;
use super::newcomers::Newcomer;
use super::{Session, attachment, clock, start};
use crate::target::inhabitants::Inhabitants;
use crate::target::links::Link;
use crate::target::name::printable;
use crate::target::watch::LinkEvent;

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
                self.join(&link, None);
                self.review_completeness();
            }
        }
    }

    /// Takes in that an interface came or went. True if none is left and none can come.
    pub(super) fn follow(&mut self, event: LinkEvent) -> bool {
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
                    self.join(&link, None);
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

    /// Captures on one more interface. What is behind it is looked for meanwhile, if it isn't `found`
    /// yet: its packets pass by.
    pub(super) fn join(&mut self, link: &Link, found: Option<&Inhabitants>) {
        let role = self.completeness.role(link.index);
        let nothing = Inhabitants::default();
        let mut interface = start::interface(&self.plan, link, role, found.unwrap_or(&nothing));
        interface.described = found.is_some()
            || !self.plan.wants_inhabitants()
            || link.peer.is_none_or(|peer| peer.netns_id.is_none());
        if !interface.described {
            self.naming.welcome(Newcomer {
                id: self.attached.next_id(),
                link: link.clone(),
                interface: interface.clone(),
            });
        }
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
        self.naming.let_go(index);
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
