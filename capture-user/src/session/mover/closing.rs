//! The end: outputs closed, and every packet accounted for.

use super::Mover;
use super::messages::{Final, Moved};
use crate::error::Error;
use crate::session::clock;
use crate::session::ledger::Account;
use crate::session::outputs::Refusal;
use crate::session::recording::Recording;
use crate::session::stop::StopReason;
use capture_common::counters::Counters;

impl Mover {
    pub(super) fn close(mut self, last: Final) -> Moved {
        self.tell();
        let flows = self.tracking.as_mut().map(|tracking| {
            (
                tracking.finish(clock::monotonic(), &self.clock),
                tracking.summary(),
            )
        });
        let mut reason = self.ended.unwrap_or_else(|| {
            StopReason::Failure(Error::failure("closed without being told to stop"))
        });
        let mut clock = self.clock;
        let end = clock.wall(clock::monotonic());
        let recording = self.recording.as_ref();
        let forgotten = recording.map_or([].as_slice(), Recording::forgotten);
        let recorded = recording.map(Recording::recorded);
        self.outputs.forgotten(forgotten);
        let mut accounts: Vec<_> = self
            .interfaces
            .iter()
            .enumerate()
            .map(|(id, seen)| {
                let account = Account {
                    kernel: last.counters.get(id).copied().unwrap_or_default(),
                    forgotten: forgotten.get(id).copied().unwrap_or_default(),
                    ..Account::default()
                };
                (seen.interface.name.clone(), account)
            })
            .collect();
        let failure = self.outputs.finish(&mut accounts, end, &self.gate);
        if last.stray != Counters::default() {
            let account = Account {
                kernel: last.stray,
                ..Account::default()
            };
            accounts.push(("unknown interface".to_owned(), account));
        }
        let (told, flows) = flows.map_or((Ok(()), None), |(told, summary)| {
            (told.map(drop).map_err(Refusal::from), Some(summary))
        });
        let failure = match failure.and(told) {
            Err(Refusal::Failed(error)) => Some(error),
            Err(Refusal::Closed) => {
                reason = StopReason::OutputClosed;
                None
            }
            Err(Refusal::Limit(_)) | Ok(()) => None,
        };
        Moved {
            reason,
            accounts,
            failure,
            late: self.late,
            hurried: self.hurried,
            recorded,
            flows,
        }
    }
}
