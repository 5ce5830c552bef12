//! The end: outputs closed, and every packet accounted for.

use std::collections::{BTreeMap, HashMap};

use super::Mover;
use super::interfaces::{Past, Seen};
use super::messages::{Final, Moved};
use crate::error::Error;
use crate::packet::InterfaceId;
use crate::session::clock;
use crate::session::ledger::Account;
use crate::session::outputs::Refusal;
use crate::session::recording::Recording;
use crate::session::roster::{GONE, Gone, Roster};
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
        let mut reason = self.ended.take().unwrap_or_else(|| {
            StopReason::Failure(Error::failure("closed without being told to stop"))
        });
        let end = self.clock.wall(clock::monotonic());
        self.count_forgotten();
        let recorded = self.recording.as_ref().map(Recording::recorded);
        let counters: HashMap<_, _> = last.counters.into_iter().collect();
        let counted = |id, seen: &Seen| {
            let live = counters.get(&id).copied();
            seen.closed.or(live).unwrap_or_default()
        };
        let mut accounts: BTreeMap<InterfaceId, Account> = self
            .interfaces
            .iter()
            .map(|(id, seen)| (id, seen.account(counted(id, seen))))
            .collect();
        let (lost, failure) = self.outputs.finish(&accounts, end, &self.gate);
        for (id, lost) in lost {
            let account = match accounts.get_mut(&id) {
                Some(account) => account,
                None => &mut self.gone.of(id).account,
            };
            account.captured = account.captured.saturating_sub(lost);
            account.unwritten += lost;
        }
        for leaving in std::mem::take(&mut self.leaving) {
            if let Some(seen) = self.interfaces.remove(leaving.id)
                && let Some(account) = accounts.remove(&leaving.id)
            {
                let written = seen.written;
                let past = Past { account, written };
                self.gone.push(leaving.id, seen.interface.name, past);
            }
        }
        let accounts = told(&accounts, &self.interfaces, &self.gone, last.stray);
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

/// The accounts by name, in the order in which the interfaces joined: those that are told of by
/// themselves, then the others.
fn told(
    accounts: &BTreeMap<InterfaceId, Account>,
    interfaces: &Roster<Seen>,
    gone: &Gone<Past>,
    stray: Counters,
) -> Vec<(String, Account)> {
    let mut all: BTreeMap<InterfaceId, (String, Account)> = BTreeMap::new();
    for (id, name, past) in gone.last() {
        all.insert(id, (name.to_owned(), past.account));
    }
    for (id, account) in accounts {
        if let Some(seen) = interfaces.get(*id) {
            all.insert(*id, (seen.interface.name.clone(), *account));
        }
    }
    let (older, past) = gone.older();
    let mut told: Vec<_> = all.into_values().collect();
    if older > 0 {
        let plural = if older == 1 { "" } else { "s" };
        told.push((
            format!("{older} interface{plural} gone before the last {GONE}"),
            past.account,
        ));
    }
    if stray != Counters::default() {
        let account = Account {
            kernel: stray,
            ..Account::default()
        };
        told.push(("unknown interface".to_owned(), account));
    }
    told
}
