//! The end of an interface, of a file, and of the last file: statistics.

use std::collections::BTreeMap;

use super::super::Lost;
use super::{CaptureFile, Here, Member};
use crate::packet::InterfaceId;
use crate::session::ledger::Account;
use crate::session::limits::Gate;
use crate::sink::files::Order;
use crate::sink::output::OutputError;
use crate::sink::pcapng::Statistics;
use crate::sink::pcapng::compose::Composed;

impl CaptureFile {
    /// Closes the file. See [`super::super::Outputs::finish`].
    pub(in super::super) fn finish(
        mut self,
        accounts: &BTreeMap<InterfaceId, Account>,
        end: u64,
        gate: &Gate,
    ) -> (Lost, Result<(), OutputError>) {
        for (id, account) in accounts {
            self.describe_at_last(*id, account, gate);
        }
        let statistics = self.statistics(end, |id, member, _| {
            let account = accounts.get(&id).copied().unwrap_or_default();
            member.of_this_file(&account)
        });
        self.settle();
        self.spool
            .order(Order::Close(self.composer.close(&statistics)));
        let Some(mut files) = self.spool.finish() else {
            return (Lost::new(), Err(OutputError::Abandoned));
        };
        files.wait_for_commands();
        let failure = files.failure().cloned();
        (files.into_lost(), failure.map_or(Ok(()), Err))
    }

    /// Nothing more comes of an interface, and this is its account: only its statistics are kept, until
    /// the file is closed.
    pub(in super::super) fn settle_interface(
        &mut self,
        id: InterfaceId,
        account: &Account,
        gate: &Gate,
    ) {
        self.describe_at_last(id, account, gate);
        let Some(member) = self.members.remove(id) else {
            return;
        };
        if let Some(here) = member.here
            && let Some(place) = self.here.get_mut(here as usize)
        {
            let (matched, lost) = member.of_this_file(account);
            *place = Here::Settled {
                since: member.since,
                matched,
                lost,
            };
        }
    }

    /// What was lost on an interface that this file doesn't have must be told too, if there is room, and so
    /// must one that no file has yet. Both are told in the closing lines in any case.
    fn describe_at_last(&mut self, id: InterfaceId, account: &Account, gate: &Gate) {
        let Ok(member) = self.member(id) else { return };
        let is_wanted = !member.told || account.kernel.lost() > member.lost;
        if member.here.is_none() && is_wanted {
            let len = self
                .composer
                .interface_len(&member.interface.describe(&self.common.filter));
            if gate.fits(|| self.finished_len() + len).is_ok() {
                let _ = self.describe(id);
            }
        }
    }

    /// Each interface's statistics by the file's ids, with what `known` says was matched and lost
    /// in its time.
    pub(super) fn statistics(
        &self,
        end: u64,
        known: impl Fn(InterfaceId, &Member, Composed) -> (u64, u64),
    ) -> Vec<Statistics> {
        let composed = self.composer.composed();
        let here = self.here.iter().zip(composed);
        here.map(|(here, composed)| {
            let (since, (matched, lost)) = match *here {
                Here::Settled {
                    since,
                    matched,
                    lost,
                } => (since, (matched, lost)),
                Here::Open(id) => match self.members.get(id) {
                    Some(member) => (member.since, known(id, member, *composed)),
                    None => return Statistics::default(),
                },
            };
            Statistics {
                start: since.max(self.began),
                end,
                matched,
                lost,
                lost_in_kernel: lost,
            }
        })
        .collect()
    }

    /// Adds what this file has to what those before it had.
    pub(super) fn settle(&mut self) {
        for (here, composed) in self.here.iter().zip(self.composer.composed()) {
            if let Here::Open(id) = here
                && let Some(member) = self.members.get_mut(*id)
            {
                member.handed += composed.packets;
                member.lost += composed.lost;
                member.forgotten_before = member.forgotten;
            }
        }
    }
}

impl Member {
    /// Packets matched and lost in this file's time, when this is the interface's account at its end.
    fn of_this_file(&self, account: &Account) -> (u64, u64) {
        (
            account
                .received()
                .saturating_sub(self.handed + self.lost + self.forgotten_before),
            account.kernel.lost().saturating_sub(self.lost),
        )
    }
}
