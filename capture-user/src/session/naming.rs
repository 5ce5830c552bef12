//! What addresses are called, kept current while containers come and go.
//!
//! An interface is often there before the container behind it has its address, or even a process.
//! So for a while after anything happened to an interface that leads into another namespace, or to
//! an address there, those are looked at again. A name is given up at once when anything happens
//! to its address or to the interface that leads there: a wrong one is worse than none.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::interface::Interface;
use super::looking::{Looking, Meanwhile};
use super::newcomers::{Newcomer, Newcomers};
use crate::packet::InterfaceId;
use crate::sink::pcapng::Name;
use crate::target::addresses::{AddressWatch, Heard};
use crate::target::inhabitants::{Here, Inhabitants};
use crate::target::links::Link;

/// How long a container may take to get its address before the first look.
const SOON: Duration = Duration::from_millis(300);
/// Between two looks: each looks at every process of the node.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// How long after the last event there are looks.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has changed. What is forgotten comes first: an address may be in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Addresses of which nothing is known any more.
    pub(super) forgotten: Vec<IpAddr>,
    /// Addresses that are called so now.
    pub(super) learned: Vec<Name>,
    /// Who is behind interfaces, by their indices.
    pub(super) behind: Vec<(u32, Option<String>)>,
    /// Interfaces of which everything is known now, by their ids.
    pub(super) described: Vec<(InterfaceId, Interface)>,
}

impl News {
    /// Whether nothing has changed.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An address' name, and the number of the namespace that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: String,
    netns: i32,
}

/// The names that are known, and when to look for more.
pub(super) struct Naming {
    wanted: bool,
    /// Whose the namespace of the capture is, if it was entered.
    here: Option<Here>,
    watch: Option<AddressWatch>,
    known: BTreeMap<IpAddr, Known>,
    /// Into which namespace each interface leads.
    leads: BTreeMap<u32, i32>,
    behind: BTreeMap<u32, String>,
    next: Option<Instant>,
    until: Instant,
    /// A look at all links.
    looking: Option<Looking>,
    newcomers: Newcomers,
}

impl Naming {
    /// With what is known from the start; nothing is ever looked for unless names are `wanted`.
    /// `watch` had better been there before what was `found` was looked for; it is none where
    /// listening to addresses isn't allowed.
    pub(super) fn new(
        wanted: bool,
        watch: Option<AddressWatch>,
        links: &[Link],
        found: &Inhabitants,
    ) -> Self {
        let mut naming = Self {
            wanted,
            here: found.here.clone(),
            watch,
            known: BTreeMap::new(),
            leads: BTreeMap::new(),
            behind: BTreeMap::new(),
            next: None,
            until: Instant::now(),
            looking: None,
            newcomers: Newcomers::default(),
        };
        for link in links {
            naming.lead(link);
        }
        if wanted {
            // Who is told of them gets them with the interfaces.
            drop(naming.compare(found, &Meanwhile::default()));
        }
        naming
    }

    /// The names that are known, in the order of the addresses.
    pub(super) fn all(&self) -> Vec<Name> {
        let names = self.known.iter();
        names
            .map(|(address, known)| (*address, known.name.clone()))
            .collect()
    }

    /// Forgets everything, as of another namespace.
    pub(super) fn forget_all(&mut self) -> News {
        let known = std::mem::take(&mut self.known);
        let behind = std::mem::take(&mut self.behind);
        News {
            forgotten: known.into_keys().collect(),
            learned: Vec::new(),
            behind: behind.into_keys().map(|index| (index, None)).collect(),
            described: Vec::new(),
        }
    }

    /// Looks at what is behind an interface that has joined, at once.
    pub(super) fn welcome(&mut self, newcomer: Newcomer) {
        self.newcomers.push(newcomer);
        self.newcomers.look(self.here.as_ref());
    }

    /// The interface with that index isn't captured on any more.
    pub(super) fn let_go(&mut self, index: u32) {
        self.newcomers.forget(index);
    }

    /// Takes in that something has happened to a link.
    pub(super) fn hear(&mut self, link: &Link, now: Instant) -> News {
        let before = self.leads.get(&link.index).copied();
        self.newcomers.hear(link);
        self.lead(link);
        if self.wanted && link.peer.is_some() {
            self.look_soon(now);
        }
        match before {
            Some(netns) if self.leads.get(&link.index) != Some(&netns) => {
                self.leads_no_more(link.index, netns)
            }
            _ => News::default(),
        }
    }

    /// Takes in that a link is gone.
    pub(super) fn hear_gone(&mut self, index: u32, now: Instant) -> News {
        let Some(netns) = self.leads.remove(&index) else {
            return News::default();
        };
        if self.wanted {
            self.look_soon(now);
        }
        self.leads_no_more(index, netns)
    }

    /// Takes what was found with newcomers.
    fn introduce(
        &mut self,
        newcomers: Vec<Newcomer>,
        found: &Inhabitants,
        meanwhile: &Meanwhile,
    ) -> News {
        let described = newcomers.into_iter().map(|newcomer| {
            let Newcomer {
                id,
                link,
                interface,
            } = newcomer;
            let behind = found.behind(&link);
            let described = Interface::new(&link, interface.role, behind, self.here.as_ref());
            let who = described.who.filter(|_| self.wanted);
            (id, Interface { who, ..described })
        });
        News {
            described: described.collect(),
            learned: self.admit(found, meanwhile),
            ..News::default()
        }
    }

    /// The names that were found with newcomers, as far as they can be believed; they are taken as
    /// known.
    fn admit(&mut self, found: &Inhabitants, meanwhile: &Meanwhile) -> Vec<Name> {
        let mut admitted = Vec::new();
        if !self.wanted || meanwhile.too_much {
            return admitted;
        }
        for (address, name, netns) in found.names() {
            if meanwhile.addresses.contains(&address) || meanwhile.namespaces.contains(&netns) {
                continue;
            }
            let known = Known { name, netns };
            // Somebody else has it: the next look decides.
            if self.known.get(&address).is_none_or(|had| *had == known) {
                admitted.push((address, known.name.clone()));
                self.known.insert(address, known);
            }
        }
        admitted
    }

    /// Waits until names have changed, and returns what. Nothing is lost when the future is
    /// dropped before it is ready.
    pub(super) async fn next(&mut self, links: &[Link]) -> News {
        loop {
            if self.looking.is_none() && self.next.is_some_and(|next| next <= Instant::now()) {
                self.next = None;
                self.looking = Some(Looking::begin(links.to_vec(), self.here.clone()));
            }
            self.newcomers.look(self.here.as_ref());
            tokio::select! {
                heard = heard(&mut self.watch) => {
                    let news = self.hear_addresses(heard, Instant::now());
                    if !news.is_empty() {
                        return news;
                    }
                }
                found = found(&mut self.looking) => {
                    let meanwhile = self.looking.take().map(|it| it.meanwhile);
                    let meanwhile = meanwhile.unwrap_or_default();
                    let now = Instant::now();
                    // What happened meanwhile is looked at as soon as ever.
                    let later = (now < self.until).then_some(now + BETWEEN_LOOKS);
                    self.next = self.next.or(later);
                    // A look that failed found nothing.
                    let news = found.map(|found| self.compare(&found, &meanwhile)).unwrap_or_default();
                    if !news.is_empty() {
                        return news;
                    }
                }
                (newcomers, found, meanwhile) = self.newcomers.found() => {
                    let news = self.introduce(newcomers, &found, &meanwhile);
                    if !news.is_empty() {
                        return news;
                    }
                }
                () = time(self.next), if self.looking.is_none() => {}
            }
        }
    }

    fn look_soon(&mut self, now: Instant) {
        self.until = now + PATIENCE;
        let soon = now + SOON;
        self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
    }

    /// The looks that go on can't know this.
    fn note(&mut self, happened: impl Fn(&mut Meanwhile)) {
        let looks = [&mut self.looking, &mut self.newcomers.looking];
        for looking in looks.into_iter().flatten() {
            happened(&mut looking.meanwhile);
        }
    }

    fn lead(&mut self, link: &Link) {
        match link.peer.and_then(|peer| peer.netns_id) {
            Some(netns) => self.leads.insert(link.index, netns),
            None => self.leads.remove(&link.index),
        };
    }

    /// A link leads elsewhere, or nowhere. The number of its namespace may stand for another one
    /// soon.
    fn leads_no_more(&mut self, index: u32, netns: i32) -> News {
        let mut news = News::default();
        if self.behind.remove(&index).is_some() {
            news.behind.push((index, None));
        }
        self.note(|meanwhile| meanwhile.namespaces.extend([netns]));
        if !self.leads.values().any(|other| *other == netns) {
            self.known.retain(|address, known| {
                let stays = known.netns != netns;
                if !stays {
                    news.forgotten.push(*address);
                }
                stays
            });
        }
        news
    }

    fn hear_addresses(&mut self, heard: Option<Heard>, now: Instant) -> News {
        let mut news = News::default();
        match heard {
            // It is heard no more: links are, and the looks that follow them.
            None => self.watch = None,
            Some(Heard::Of(addresses)) => {
                for address in addresses {
                    if self.known.remove(&address).is_some() {
                        news.forgotten.push(address);
                    }
                    self.note(|meanwhile| meanwhile.addresses.extend([address]));
                }
                self.look_soon(now);
            }
            Some(Heard::TooMuch) => {
                self.note(|meanwhile| meanwhile.too_much = true);
                news.forgotten.extend(self.known.keys());
                self.known.clear();
                self.look_soon(now);
            }
        }
        news
    }

    /// Takes what a look found.
    fn compare(&mut self, found: &Inhabitants, meanwhile: &Meanwhile) -> News {
        let mut news = News::default();
        if meanwhile.too_much {
            return news;
        }
        let mut present = BTreeSet::new();
        for (address, name, netns) in found.names() {
            if meanwhile.addresses.contains(&address) || meanwhile.namespaces.contains(&netns) {
                continue;
            }
            present.insert(address);
            let known = Known { name, netns };
            let before = self.known.insert(address, known.clone());
            if before.as_ref().map(|before| &before.name) != Some(&known.name) {
                news.learned.push((address, known.name));
            }
        }
        // Where engines didn't answer, a name that isn't there says nothing.
        if found.missing.is_none() {
            self.known.retain(|address, _| {
                let stays = present.contains(address);
                if !stays {
                    news.forgotten.push(*address);
                }
                stays
            });
        }
        for (index, netns) in &self.leads {
            let name = found.name_of(*netns);
            if meanwhile.namespaces.contains(netns) || (name.is_none() && found.missing.is_some()) {
                continue;
            }
            let before = match &name {
                Some(name) => self.behind.insert(*index, name.clone()),
                None => self.behind.remove(index),
            };
            if before != name {
                news.behind.push((*index, name));
            }
        }
        news
    }
}

/// What is heard of addresses; `None` if nothing is any more.
async fn heard(watch: &mut Option<AddressWatch>) -> Option<Heard> {
    match watch {
        Some(watch) => watch.next().await.ok(),
        None => pending().await,
    }
}

async fn found(looking: &mut Option<Looking>) -> Option<Inhabitants> {
    match looking {
        Some(looking) => looking.found().await,
        None => pending().await,
    }
}

async fn time(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => pending().await,
    }
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
