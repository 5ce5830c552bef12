//! The ledger: every packet that matched is accounted for, by interface.
//!
//! received = captured + dropped + forgotten + still queued or past a limit. Only the flight recorder
//! forgets: what nothing that happened asked for.

use capture_common::counters::Counters;

/// One interface's account, or the sum of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What the kernel side counted.
    pub kernel: Counters,
    /// Packets written: in the file, or printed.
    pub captured: u64,
    /// Packets taken for writing that the destination didn't take.
    pub unwritten: u64,
    /// Packets that the flight recorder let go.
    pub forgotten: u64,
}

impl Account {
    /// Packets that the filter matched.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.kernel.matched
    }

    /// Packets that matched and were lost, at whatever stage.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.kernel.lost() + self.unwritten
    }

    /// Packets that are neither written nor lost nor forgotten: still queued while the capture runs,
    /// past a limit once it has ended.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.received()
            .saturating_sub(self.captured + self.dropped() + self.forgotten)
    }

    /// The sum of two accounts.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            kernel: self.kernel.plus(&other.kernel),
            captured: self.captured + other.captured,
            unwritten: self.unwritten + other.unwritten,
            forgotten: self.forgotten + other.forgotten,
        }
    }
}

/// The count lines, as tcpdump writes them, and one more where the flight recorder is on.
#[must_use]
pub fn count_lines(total: &Account, records: bool) -> String {
    let lines = [
        (total.captured, "captured"),
        (total.received(), "received by filter"),
        (total.dropped(), "dropped by kernel"),
        (total.forgotten, "forgotten by recorder"),
    ];
    let shown = if records { &lines[..] } else { &lines[..3] };
    let lines = shown.iter().map(|(count, what)| {
        let plural = if *count == 1 { "" } else { "s" };
        format!("{count} packet{plural} {what}\n")
    });
    lines.collect()
}

/// The whole ledger, a line an interface and stage by stage. `rest` names what the remaining
/// packets are: `queued`, or `past the end`.
#[must_use]
pub fn ledger_lines(accounts: &[(String, Account)], rest: &str, records: bool) -> String {
    let mut lines = String::new();
    for (interface, account) in accounts {
        let forgotten = if records {
            format!(" + {} forgotten", account.forgotten)
        } else {
            String::new()
        };
        lines += &format!(
            "{interface}: {} received by filter = {} captured + {} dropped ({} ring full, {} unreadable, {} not written){forgotten} + {} {rest}\n",
            account.received(),
            account.captured,
            account.dropped(),
            account.kernel.ring_full,
            account.kernel.unreadable,
            account.unwritten,
            account.remaining(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account {
            kernel: Counters {
                matched: 1004,
                recorded: 1001,
                ring_full: 2,
                unreadable: 1,
            },
            captured: 1000,
            unwritten: 1,
            forgotten: 0,
        }
    }

    #[test]
    fn the_account_adds_up() {
        let account = account();
        assert_eq!(account.dropped(), 4);
        assert_eq!(account.remaining(), 0);
        let twice = account.plus(&account);
        assert_eq!(
            (twice.received(), twice.captured, twice.dropped()),
            (2008, 2000, 8)
        );
    }

    #[test]
    fn the_count_lines_are_tcpdumps() {
        let text =
            "1000 packets captured\n1004 packets received by filter\n4 packets dropped by kernel\n";
        assert_eq!(count_lines(&account(), false), text);
        let recorded = Account {
            forgotten: 1,
            ..account()
        };
        assert_eq!(
            count_lines(&recorded, true),
            format!("{text}1 packet forgotten by recorder\n")
        );
        assert!(
            count_lines(
                &Account {
                    captured: 1,
                    ..Account::default()
                },
                false
            )
            .starts_with("1 packet captured\n0 packets ")
        );
    }

    #[test]
    fn the_ledger_names_each_stage() {
        let line = ledger_lines(&[("eth0".into(), account())], "past the end", false);
        assert_eq!(
            line,
            "eth0: 1004 received by filter = 1000 captured + 4 dropped (2 ring full, 1 unreadable, 1 not written) + 0 past the end\n"
        );
        let recorded = Account {
            captured: 300,
            forgotten: 600,
            ..account()
        };
        let line = ledger_lines(&[("eth0".into(), recorded)], "past the end", true);
        assert!(
            line.ends_with("not written) + 600 forgotten + 100 past the end\n"),
            "{line}"
        );
    }
}
