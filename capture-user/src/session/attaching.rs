//! Attaching at the start: to what was named before anything else happens, to the rest of what a glob or
//! `any` stands for while packets are moved already.
//!
//! The kernel waits for a grace period each time (`tcx_entry_sync`), some 10 to 20 ms for each way of each
//! interface, and under a lock that all of them share: hundreds of interfaces take many seconds, whoever
//! waits for them. (It waits for none with clsact filters.) What comes meanwhile at those that are
//! attached to would fill the ring if nobody emptied it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use capture_common::counters::Counters;

use super::at_once::at_once;
use super::attached::Attached;
use super::attachment::Attachments;
use super::mover::{Command, Event};
use super::plan::Plan;
use super::stop::StopReason;
use super::{Session, clock};
use crate::error::{Error, Result};
use crate::kernel::attach::Hook;
use crate::kernel::error::KernelError;
use crate::target::links::Link;
use crate::target::name::printable;
use crate::target::select::Selection;
use crate::target::watch::{LinkEvent, Watch};

/// After how long it is said how long it takes.
const LONG: Duration = Duration::from_secs(1);

/// The interfaces that are still to be attached to.
pub(super) struct Attaching {
    left: VecDeque<Link>,
    /// Those of them that are gone, or are called otherwise now: the index may mean another one.
    stale: BTreeSet<u32>,
    /// What has happened meanwhile, to be followed once all is attached.
    later: Vec<LinkEvent>,
    attachments: Attachments,
    notes: Vec<String>,
    refusal: Option<KernelError>,
    /// The names of those that are captured on.
    names: Vec<String>,
}

impl Attaching {
    pub(super) fn new(links: Vec<Link>) -> Self {
        Self {
            left: links.into(),
            stale: BTreeSet::new(),
            later: Vec::new(),
            attachments: Attachments::default(),
            notes: Vec::new(),
            refusal: None,
            names: Vec::new(),
        }
    }

    /// Whether one more must be attached to before anything is written: all that were asked for by name,
    /// and otherwise one, which shows that it can be done.
    pub(super) fn must_go_on(&self, attached: &Attached, selection: &Selection) -> bool {
        !self.left.is_empty() && (!selection.takes_later() || attached.live() == 0)
    }

    /// Takes in what has happened since the interfaces were listed.
    async fn hear(&mut self, watch: &mut Watch) {
        // What goes wrong here does so again for whoever watches next.
        while let Some(Ok(event)) = at_once(watch.next()).await {
            let (index, name) = match &event {
                LinkEvent::Removed { index, .. } => (*index, None),
                LinkEvent::Appeared(link) | LinkEvent::Changed(link) => {
                    (link.index, Some(&link.name))
                }
            };
            let mut left = self.left.iter();
            if left.any(|link| link.index == index && Some(&link.name) != name) {
                self.stale.insert(index);
            }
            self.later.push(event);
        }
    }

    /// Attaches to the next one. The mover is told of those that can't be.
    pub(super) async fn next(
        &mut self,
        attached: &mut Attached,
        plan: &Plan,
        selection: &Selection,
        watch: &mut Watch,
        commands: &Sender<Command>,
    ) -> Result<()> {
        self.hear(watch).await;
        let Some(link) = self.left.pop_front() else {
            return Ok(());
        };
        // A mover that is gone has said so through its other channels.
        let tell_gone = |counters| {
            let _ = commands.send(Command::InterfaceGone {
                index: link.index,
                stamp: clock::monotonic(),
                counters,
            });
        };
        if self.stale.remove(&link.index) {
            if !selection.takes_later() {
                return Err(Error::failure(format!(
                    "{} was removed or renamed in this moment; `nodecap interfaces` lists those \
                     that there are",
                    printable(&link.name)
                )));
            }
            attached.pass_over(&link);
            tell_gone(Counters::default());
            return Ok(());
        }
        match attached.join(&link, &plan.directions) {
            Ok(how) => {
                self.attachments.add(&link.name, &how);
                self.names.push(printable(&link.name).to_string());
                Ok(())
            }
            // With a glob or `any` nobody asked for this very interface.
            Err(error)
                if selection.takes_later() && (error.is_gone() || error.is_of_the_interface()) =>
            {
                if let Some(counters) = attached.forget(link.index) {
                    tell_gone(counters);
                }
                self.notes.push(error.to_string());
                self.refusal = Some(error);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Why there is nothing to capture on, if nothing could be attached to.
    pub(super) fn refused(&mut self, attached: &Attached) -> Option<Error> {
        let refusal = self.refusal.take()?;
        (refusal.is_of_the_interface() && attached.live() == 0).then(|| refusal.into())
    }

    fn notes(self, asked: Hook) -> (Vec<String>, Vec<String>) {
        let mut notes = self.notes;
        notes.extend(self.attachments.notes(asked));
        (notes, self.names)
    }
}

impl Session {
    /// Attaches to what is left, and says so once all is attached and open. What ended the capture before
    /// that, if anything did: then it is `None` if the mover knows why.
    pub(super) async fn begin(&mut self) -> Option<Option<StopReason>> {
        let mut attaching = self.attaching.take()?;
        let begun = Instant::now();
        let mut told = false;
        let mut ended = None;
        while ended.is_none() && !attaching.left.is_empty() {
            let next = attaching.next(
                &mut self.attached,
                &self.plan,
                &self.selection,
                &mut self.watch,
                &self.commands,
            );
            ended = match next.await {
                Ok(()) => self.ended_meanwhile().await,
                Err(error) => Some(Some(StopReason::Failure(error))),
            };
            let taken = begun.elapsed();
            if !told && taken > LONG && self.plan.hook == Hook::Tc {
                told = true;
                let (done, left) = (attaching.names.len(), attaching.left.len());
                if let Some(hint) = hint(done, left, taken) {
                    self.status.say(&format!("nodecap: {hint}"));
                }
            }
        }
        if ended.is_none() {
            self.follow_what_is_translated().await;
        }
        let now = clock::monotonic();
        self.command(Command::Begin(now));
        self.deadline = self
            .plan
            .limits
            .duration
            .map(|it| tokio::time::Instant::now() + it);
        self.review_completeness();
        let later = std::mem::take(&mut attaching.later);
        let (notes, names) = attaching.notes(self.plan.hook);
        for note in self.notes.drain(..).chain(notes) {
            self.status.say(&format!("nodecap: {note}"));
        }
        if matches!(ended, None | Some(None)) {
            let listening = format!("listening on {}", names.join(", "));
            self.status.say(&format!(
                "{listening}, snapshot length {} bytes",
                self.plan.snaplen
            ));
            if let Some(service) = &mut self.service {
                service.ready(&listening);
            }
        }
        let mut later = later.into_iter();
        while ended.is_none()
            && let Some(event) = later.next()
        {
            self.look_into(&event).await;
            ended = match self.follow(event) {
                true => Some(Some(StopReason::NoInterfaceLeft)),
                false => self.ended_meanwhile().await,
            };
        }
        ended
    }

    /// Whether somebody, or the mover, has ended the capture.
    async fn ended_meanwhile(&mut self) -> Option<Option<StopReason>> {
        while let Some(signal) = self.signals.waiting().await {
            if let Some(reason) = self.heed(signal) {
                return Some(Some(reason));
            }
        }
        while let Some(questions) = &mut self.questions
            && let Ok(question) = questions.try_recv()
        {
            self.answer(question);
        }
        loop {
            match self.events.try_recv() {
                Ok(Event::Enough) => return Some(None),
                Ok(event) => self.pass_on(&event),
                // If it is gone, that is found out soon.
                Err(_) => return None,
            }
        }
    }
}

/// What to say where so many interfaces took so long, and so many are left; nothing, if they soon are
/// attached to as well.
fn hint(done: usize, left: usize, taken: Duration) -> Option<String> {
    let to_go = taken.as_secs_f64() / done.max(1) as f64 * left as f64;
    (to_go >= 1.0).then(|| {
        format!(
            "attached to the first {done} interfaces, {left} more take some {to_go:.0} s: the kernel \
             waits a moment for each; with --hook clsact it doesn't"
        )
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use std::time::Duration;

    use super::hint;

    #[test]
    fn it_is_said_how_long_hundreds_of_interfaces_take() {
        let second = Duration::from_secs(1);
        let said = hint(50, 450, second).unwrap();
        assert!(said.starts_with("attached to the first 50 interfaces, 450 more take some 9 s"));
        assert!(said.contains("--hook clsact"));
        assert_eq!(hint(50, 40, second), None);
    }
}
