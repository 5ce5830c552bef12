//! Interfaces of which it isn't known yet whose they are.
//!
//! An engine may make a container's interface before its first process, by which alone the
//! container is known: then nothing happens to the interface any more when that starts, and the
//! interface has to be looked at again.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::target::links::Link;

/// How often they are looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// For how long: a container that starts has a process by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// The interfaces that wait for a decision.
#[derive(Default)]
pub(super) struct Undecided {
    links: BTreeMap<u32, (Link, Instant)>,
    next: Option<Instant>,
}

impl Undecided {
    /// Puts the decision on this one off. Its patience runs from the first time.
    pub(super) fn put_off(&mut self, link: &Link, now: Instant) {
        self.links
            .entry(link.index)
            .and_modify(|(known, _)| known.clone_from(link))
            .or_insert_with(|| (link.clone(), now + PATIENCE));
        self.next.get_or_insert(now + BETWEEN_LOOKS);
    }

    /// It is decided upon, or gone.
    pub(super) fn forget(&mut self, index: u32) {
        self.links.remove(&index);
    }

    /// Waits until it is time to look at them; for ever while there are none.
    pub(super) async fn wait(&self) {
        match self.next.filter(|_| !self.links.is_empty()) {
            Some(next) => sleep_until(next).await,
            None => pending().await,
        }
    }

    /// Those to look at now. Of the others it is known by now that they are nobody's.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Link> {
        self.links.retain(|_, (_, until)| *until > now);
        self.next = Some(now + BETWEEN_LOOKS);
        self.links.values().map(|(link, _)| link.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::links::example;

    #[test]
    fn an_interface_is_looked_at_again_and_again_until_it_is_decided_upon() {
        let mut undecided = Undecided::default();
        let begun = Instant::now();
        undecided.put_off(&example(4, "veth4"), begun);
        for looks in 1..4 {
            let now = begun + BETWEEN_LOOKS * looks;
            assert_eq!(undecided.next, Some(now));
            assert_eq!(undecided.due(now), [example(4, "veth4")]);
        }
        undecided.forget(4);
        assert!(undecided.due(begun + PATIENCE / 2).is_empty());
    }

    #[test]
    fn patience_ends_though_the_interface_goes_on_changing() {
        let mut undecided = Undecided::default();
        let begun = Instant::now();
        undecided.put_off(&example(4, "veth4"), begun);
        let later = begun + PATIENCE - BETWEEN_LOOKS;
        undecided.put_off(&example(4, "renamed"), later);
        assert_eq!(undecided.due(later), [example(4, "renamed")]);
        assert!(undecided.due(begun + PATIENCE).is_empty());
    }
}
