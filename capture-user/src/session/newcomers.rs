//! Interfaces that are captured on already, and of which it isn't known yet what is behind them.
//!
//! Their packets pass by, so they are attached to first. Those that join while others are being looked at
//! are looked at together, afterwards.

use std::future::pending;

use super::interface::Interface;
use super::looking::{Looking, Meanwhile};
use crate::packet::InterfaceId;
use crate::target::inhabitants::{Here, Inhabitants};
use crate::target::links::Link;

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    /// Its id in the capture.
    pub(super) id: InterfaceId,
    pub(super) link: Link,
    /// What is known of it.
    pub(super) interface: Interface,
}

/// All of them.
#[derive(Default)]
pub(super) struct Newcomers {
    /// To be looked at next.
    waiting: Vec<Newcomer>,
    /// Being looked at.
    looked_at: Vec<Newcomer>,
    pub(super) looking: Option<Looking>,
}

impl Newcomers {
    pub(super) fn push(&mut self, newcomer: Newcomer) {
        self.waiting.push(newcomer);
    }

    /// The interface with that index is gone, and so is what was asked of it.
    pub(super) fn forget(&mut self, index: u32) {
        for newcomers in [&mut self.waiting, &mut self.looked_at] {
            newcomers.retain(|it| it.link.index != index);
        }
    }

    /// Something has happened to a link: if it leads elsewhere now, it is looked at once more.
    pub(super) fn hear(&mut self, link: &Link) {
        let is_it = |it: &mut Newcomer| it.link.index == link.index && it.link.peer != link.peer;
        let again = self.looked_at.extract_if(.., |it| is_it(it));
        self.waiting.extend(again);
        for newcomer in self
            .waiting
            .iter_mut()
            .filter_map(|it| is_it(it).then_some(it))
        {
            newcomer.link.clone_from(link);
        }
    }

    /// Begins to look at those that wait, unless it is still being looked at others.
    pub(super) fn look(&mut self, here: Option<&Here>) {
        if self.looking.is_none() && !self.waiting.is_empty() {
            self.looked_at = std::mem::take(&mut self.waiting);
            let links = self.looked_at.iter().map(|it| it.link.clone()).collect();
            self.looking = Some(Looking::begin(links, here.cloned()));
        }
    }

    /// Waits until a look is over. Nothing is lost when the future is dropped before it is ready.
    pub(super) async fn found(&mut self) -> (Vec<Newcomer>, Inhabitants, Meanwhile) {
        let Some(looking) = &mut self.looking else {
            return pending().await;
        };
        // Of a look that failed nothing more is to be expected.
        let found = looking.found().await.unwrap_or_default();
        let meanwhile = self.looking.take().map(|it| it.meanwhile);
        let newcomers = std::mem::take(&mut self.looked_at);
        (newcomers, found, meanwhile.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::role::Role;
    use crate::target::inhabitants::example as inhabited;
    use crate::target::links::{Peer, example};

    fn leading(index: u32, netns: i32) -> Link {
        let netns_id = Some(netns);
        Link {
            peer: Some(Peer { index: 2, netns_id }),
            ..example(index, "veth")
        }
    }

    fn newcomer(index: u32) -> Newcomer {
        let link = leading(index, 0);
        Newcomer {
            id: index,
            interface: Interface::new(&link, Role::Pod, None, None),
            link,
        }
    }

    fn indices(newcomers: &[Newcomer]) -> Vec<u32> {
        newcomers.iter().map(|it| it.link.index).collect()
    }

    #[tokio::test]
    async fn who_is_gone_is_told_of_no_more_and_who_leads_elsewhere_is_looked_at_once_more() {
        let (looking, tell) = Looking::example();
        let mut newcomers = Newcomers {
            looked_at: [4, 5, 6].map(newcomer).into(),
            looking: Some(looking),
            ..Newcomers::default()
        };
        newcomers.push(newcomer(7));
        newcomers.forget(4);
        newcomers.hear(&leading(5, 1));
        newcomers.hear(&leading(6, 0));
        newcomers.look(None);
        tell.send(inhabited(&[(0, "web", &["172.17.0.2/16"])]))
            .expect("somebody who waits");
        let (described, found, _) = newcomers.found().await;
        assert_eq!(indices(&described), [6]);
        assert!(found.behind(&described[0].link).is_some());
        assert_eq!(indices(&newcomers.waiting), [7, 5]);
        assert_eq!(newcomers.waiting[1].link, leading(5, 1));
    }

    #[tokio::test]
    async fn a_look_that_fails_describes_what_is_known() {
        let (looking, tell) = Looking::example();
        let mut newcomers = Newcomers {
            looked_at: vec![newcomer(4)],
            looking: Some(looking),
            ..Newcomers::default()
        };
        drop(tell);
        let (described, _, _) = newcomers.found().await;
        assert_eq!(indices(&described), [4]);
        assert!(newcomers.looking.is_none());
    }
}
