//! The end of a file, and of the last one: statistics, and accounts completed.

use super::{CaptureFile, Member};
use crate::session::ledger::Account;
use crate::session::limits::Gate;
use crate::sink::files::Order;
use crate::sink::output::OutputError;
use crate::sink::pcapng::Statistics;
use crate::sink::pcapng::compose::Composed;

impl CaptureFile {
    /// Closes the file and completes the accounts.
    pub(in super::super) fn finish(
        mut self,
        accounts: &mut [(String, Account)],
        end: u64,
        gate: &Gate,
    ) -> Result<(), OutputError> {
        // What was lost on an interface that this file doesn't have must be told too.
        for (id, (_, account)) in (0..).zip(accounts.iter()) {
            let Ok(member) = self.member(id) else { break };
            if member.here.is_none() && account.kernel.lost() > member.lost {
                let len = self
                    .composer
                    .interface_len(&member.interface.describe(&self.common.filter));
                if gate.fits(|| self.finished_len() + len).is_ok() {
                    // It is told in the closing lines in any case.
                    let _ = self.describe(id);
                }
            }
        }
        let statistics = self.statistics(end, |id, member, _| {
            let account = accounts.get(id).map_or(Account::default(), |it| it.1);
            (
                account
                    .received()
                    .saturating_sub(member.handed + member.lost + member.forgotten_before),
                account.kernel.lost().saturating_sub(member.lost),
            )
        });
        self.settle();
        self.spool
            .order(Order::Close(self.composer.close(&statistics)));
        let Some(mut files) = self.spool.finish() else {
            return Err(OutputError::Abandoned);
        };
        files.wait_for_commands();
        let lost = files.lost().iter().copied().chain(std::iter::repeat(0));
        for (((_, account), member), lost) in accounts.iter_mut().zip(&self.members).zip(lost) {
            account.captured = member.handed.saturating_sub(lost);
            account.unwritten = lost;
        }
        files.failure().cloned().map_or(Ok(()), Err)
    }

    /// Each interface's statistics by the file's ids, with what `known` says was matched and lost
    /// in its time.
    pub(super) fn statistics(
        &self,
        end: u64,
        known: impl Fn(usize, &Member, Composed) -> (u64, u64),
    ) -> Vec<Statistics> {
        let composed = self.composer.composed();
        let here = self.here.iter().zip(composed);
        here.map(|(id, composed)| {
            let id = *id as usize;
            let Some(member) = self.members.get(id) else {
                return Statistics::default();
            };
            let (matched, lost) = known(id, member, *composed);
            Statistics {
                start: member.since.max(self.began),
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
        for (id, composed) in self.here.iter().zip(self.composer.composed()) {
            if let Some(member) = self.members.get_mut(*id as usize) {
                member.handed += composed.packets;
                member.lost += composed.lost;
                member.forgotten_before = member.forgotten;
            }
        }
    }
}
