//! The end of a capture: what is left is written, outputs are closed, and all is told.

use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;

use super::ledger::{self, Account};
use super::mover::{Command, Event, Final, Moved};
use super::signals::Signal;
use super::stop::StopReason;
use super::watching::next_question;
use super::{Outcome, Session, summary};
use crate::error::{Error, Result};

/// After how long an end that takes its time is spoken of.
const PATIENCE: Duration = Duration::from_secs(1);

impl Session {
    /// Lets the mover write what is left, closes the outputs, reports, and detaches.
    ///
    /// Detaching comes last because it is slow: the kernel waits for a grace period for every
    /// interface and direction (`tcx_entry_sync`). What the programs still count meanwhile comes
    /// after the end.
    pub(super) async fn finish(mut self, reason: Option<StopReason>) -> Result<Outcome> {
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
            counters: self
                .attached
                .counters()
                .map(|(id, _, counters)| (id, counters))
                .collect(),
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

    /// Tells what the user should know, also while it is ending.
    pub(super) fn pass_on(&self, event: &Event) {
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
