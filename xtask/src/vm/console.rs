//! What a guest's kernel says on its console when something is badly wrong.

use std::fmt;

/// Trouble, with the line that tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The kernel gave up. Oopses end in it too, see init.sh.
    Panic(String),
    /// A bug of the kernel's that it survived so far.
    Oops(String),
    /// A processor or a task made no progress.
    Stall(String),
    /// The kernel found itself in a state that it thinks impossible.
    Warning(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, line) = match self {
            Self::Panic(line) => ("kernel panic", line),
            Self::Oops(line) => ("kernel oops", line),
            Self::Stall(line) => ("stall", line),
            Self::Warning(line) => ("kernel warning", line),
        };
        write!(f, "{what}: {line}")
    }
}

/// The messages, as printk's callers write them.
const PANICS: [&str; 2] = [
    "Kernel panic - not syncing",
    "Out of memory and no killable",
];
const OOPSES: [&str; 6] = [
    "Oops: ",
    "BUG: unable to handle",
    "BUG: kernel NULL pointer",
    "kernel BUG at",
    "general protection fault",
    "unregister_netdevice: waiting for",
];
const STALLS: [&str; 5] = [
    "soft lockup",
    "hard LOCKUP",
    "detected stalls on CPUs",
    "self-detected stall",
    "blocked for more than",
];
const WARNINGS: [&str; 2] = ["WARNING: CPU: ", "WARNING: possible"];

/// The first thing on the console that is trouble, the worst kind first.
pub(super) fn trouble(console: &str) -> Option<Trouble> {
    let find = |messages: &[&str]| {
        console
            .lines()
            .find(|line| messages.iter().any(|message| line.contains(message)))
            .map(|line| line.trim().to_owned())
    };
    // What led to a panic says more than the panic.
    find(&OOPSES)
        .map(Trouble::Oops)
        .or_else(|| find(&STALLS).map(Trouble::Stall))
        .or_else(|| find(&PANICS).map(Trouble::Panic))
        .or_else(|| find(&WARNINGS).map(Trouble::Warning))
}

/// Whether nothing more is to be expected of the guest.
pub(super) fn is_over(console: &str) -> bool {
    PANICS.iter().any(|message| console.contains(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oops_is_told_rather_than_the_panic_that_it_ended_in() {
        let console = "[ 1.0] BUG: kernel NULL pointer dereference, address: 0\n\
            [ 1.1] Kernel panic - not syncing: Fatal exception\n";
        assert!(matches!(trouble(console), Some(Trouble::Oops(_))));
        assert!(is_over(console));
    }

    #[test]
    fn a_stall_is_trouble_and_not_the_end() {
        let console = "[ 70.0] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [x:1]\n";
        assert!(matches!(trouble(console), Some(Trouble::Stall(_))));
        assert!(!is_over(console));
    }

    #[test]
    fn ordinary_messages_are_none() {
        let console = "[ 0.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled\n\
            [ 0.2] bridge: filtering via arp/ip/ip6tables is no longer available\n";
        assert_eq!(trouble(console), None);
    }
}
