//! What addresses are called, kept current while containers come and go.
//!
//! An interface is often there before the container behind it has its address, or even a process,
//! and nothing tells of those. So for a while after anything happened to an interface that leads
//! into another namespace, those are looked at again.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::sink::pcapng::Name;
use crate::target::inhabitants::Inhabitants;
use crate::target::links::Link;

/// How long a container may take to get its address before the first look.
const SOON: Duration = Duration::from_millis(300);
/// Between two looks: each looks at every process of the node.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// How long after the last event there are looks.
const PATIENCE: Duration = Duration::from_secs(5);

/// The names that are known, and when to look for more.
pub(super) struct Naming {
    wanted: bool,
    known: BTreeMap<IpAddr, String>,
    next: Option<Instant>,
    until: Instant,
    looking: Option<JoinHandle<Inhabitants>>,
}

impl Naming {
    /// With what is known from the start; nothing is ever looked for unless names are `wanted`.
    pub(super) fn new(wanted: bool, known: &[Name]) -> Self {
        Self {
            wanted,
            known: known.iter().cloned().collect(),
            next: None,
            until: Instant::now(),
            looking: None,
        }
    }

    /// Takes in that something has happened to a link.
    pub(super) fn hear(&mut self, link: &Link, now: Instant) {
        if self.wanted && link.peer.is_some() {
            self.until = now + PATIENCE;
            self.next.get_or_insert(now + SOON);
        }
    }

    /// Waits until there are names that weren't known before, and returns those. Nothing is lost
    /// when the future is dropped before it is ready.
    pub(super) async fn next(&mut self, links: &[Link]) -> Vec<Name> {
        loop {
            if self.looking.is_none() {
                match self.next {
                    Some(next) => sleep_until(next).await,
                    None => pending().await,
                }
                let links = links.to_vec();
                let look = async move { Inhabitants::look(&links).await };
                self.looking = Some(tokio::spawn(look));
            }
            let Some(looking) = &mut self.looking else {
                continue;
            };
            let found = looking.await;
            self.looking = None;
            let now = Instant::now();
            self.next = (now < self.until).then_some(now + BETWEEN_LOOKS);
            // A look that failed found nothing.
            let news = self.learn(found.map(|found| found.names()).unwrap_or_default());
            if !news.is_empty() {
                return news;
            }
        }
    }

    /// Those of the names that are new.
    fn learn(&mut self, names: Vec<Name>) -> Vec<Name> {
        names
            .into_iter()
            .filter(|(address, name)| {
                self.known.insert(*address, name.clone()).as_ref() != Some(name)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::links::{Peer, example};

    fn names(names: &[(&str, &str)]) -> Vec<Name> {
        names
            .iter()
            .map(|(address, name)| (address.parse().expect("an address"), (*name).to_owned()))
            .collect()
    }

    #[test]
    fn only_what_is_new_or_has_changed_is_news() {
        let mut naming = Naming::new(true, &names(&[("192.0.2.1", "web")]));
        let all = names(&[("192.0.2.1", "web"), ("192.0.2.2", "db")]);
        assert_eq!(naming.learn(all.clone()), all[1..]);
        assert!(naming.learn(all).is_empty());
        let changed = names(&[("192.0.2.1", "web-2")]);
        assert_eq!(naming.learn(changed.clone()), changed);
    }

    #[test]
    fn links_that_lead_somewhere_are_looked_behind_soon_and_once_for_many_events() {
        let mut naming = Naming::new(true, &[]);
        let now = Instant::now();
        naming.hear(&example(1, "lone"), now);
        assert_eq!(naming.next, None);
        let leading = Link {
            peer: Some(Peer {
                index: 2,
                netns_id: Some(0),
            }),
            ..example(1, "veth1")
        };
        naming.hear(&leading, now);
        naming.hear(&leading, now + SOON / 2);
        assert_eq!(naming.next, Some(now + SOON));
        assert_eq!(naming.until, now + SOON / 2 + PATIENCE);
    }

    #[test]
    fn nobody_looks_where_names_are_not_wanted() {
        let mut naming = Naming::new(false, &[]);
        let leading = Link {
            peer: Some(Peer {
                index: 2,
                netns_id: Some(0),
            }),
            ..example(1, "veth1")
        };
        naming.hear(&leading, Instant::now());
        assert_eq!(naming.next, None);
    }
}
