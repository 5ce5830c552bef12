//! Whether everything that comes into or leaves the namespace is captured, as links come and go.
//!
//! From a packet that wasn't seen coming in it follows that this node made it, if nothing that
//! came in could be missed: so the moment matters from which that holds.

use std::collections::BTreeSet;

use super::plan::Plan;
use crate::evidence::roles;
use crate::flow::role::Role;
use crate::target::links::Link;
use crate::target::watch::LinkEvent;

/// The namespace's links as they are now, and whether a capture sees all of them.
pub(super) struct Completeness {
    links: Vec<Link>,
    /// Whether the plan lets all through that comes.
    possible: bool,
    both_directions: bool,
    holds: bool,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// From now on everything is seen.
    Begins,
    /// Something isn't seen any more.
    Ends,
}

impl Completeness {
    /// With the links that there are at the start, of which these are captured.
    pub(super) fn new(plan: &Plan, links: Vec<Link>, captured: &BTreeSet<u32>) -> Self {
        let mut completeness = Self {
            links,
            // Under a filter a packet can come in by a name that doesn't match, and be seen only
            // when it leaves by one that does: then it wasn't made here.
            // A tunnel's packet may be seen leaving that came in unwrapped and, taken apart or put
            // together on its way, isn't known again.
            possible: plan.filter.is_empty() && !plan.filter.inner,
            both_directions: plan.directions.len() == 2,
            holds: false,
        };
        completeness.update(captured);
        completeness
    }

    /// The links that there are now.
    pub(super) fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether everything is seen.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    /// Takes in what happened to a link.
    pub(super) fn hear(&mut self, event: &LinkEvent) {
        let (LinkEvent::Removed { index, .. }
        | LinkEvent::Appeared(Link { index, .. })
        | LinkEvent::Changed(Link { index, .. })) = event;
        self.links.retain(|known| known.index != *index);
        if let LinkEvent::Appeared(link) | LinkEvent::Changed(link) = event {
            self.links.push(link.clone());
        }
    }

    /// Links are no longer watched: any may appear.
    pub(super) fn is_blind(&mut self) -> Option<Change> {
        self.possible = false;
        self.update(&BTreeSet::new())
    }

    /// Looks again, now that these are captured.
    pub(super) fn update(&mut self, captured: &BTreeSet<u32>) -> Option<Change> {
        let held = self.holds;
        self.holds =
            self.possible && roles::is_complete(&self.links, captured, self.both_directions);
        match (held, self.holds) {
            (false, true) => Some(Change::Begins),
            (true, false) => Some(Change::Ends),
            _ => None,
        }
    }

    /// What a link stands for among those that there are now.
    pub(super) fn role(&self, index: u32) -> Role {
        roles::roles(&self.links)
            .get(&index)
            .copied()
            .unwrap_or(Role::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction;
    use crate::target::links::{Device, Framing};

    fn link(index: u32) -> Link {
        Link {
            index,
            name: format!("veth{index}"),
            altnames: Vec::new(),
            device: Device::Veth,
            bridge_port: false,
            default_route: false,
            up: true,
            running: true,
            mtu: 1_500,
            mac: None,
            addresses: Vec::new(),
            master: None,
            peer: None,
            lower: None,
            framing: Framing::Ethernet,
        }
    }

    fn indices(indices: &[u32]) -> BTreeSet<u32> {
        indices.iter().copied().collect()
    }

    fn of_two(plan: &Plan) -> Completeness {
        Completeness::new(plan, vec![link(2), link(3)], &indices(&[2, 3]))
    }

    #[test]
    fn a_capture_of_all_links_is_complete_until_one_appears_and_again_once_that_is_captured() {
        let mut completeness = of_two(&Plan::example());
        assert!(completeness.holds());
        completeness.hear(&LinkEvent::Appeared(link(4)));
        assert_eq!(completeness.update(&indices(&[2, 3])), Some(Change::Ends));
        assert_eq!(
            completeness.update(&indices(&[2, 3, 4])),
            Some(Change::Begins)
        );
        assert_eq!(completeness.update(&indices(&[2, 3, 4])), None);
    }

    #[test]
    fn news_of_a_captured_link_changes_nothing() {
        let mut completeness = of_two(&Plan::example());
        completeness.hear(&LinkEvent::Changed(link(3)));
        assert_eq!(completeness.update(&indices(&[2, 3])), None);
    }

    #[test]
    fn a_link_that_is_gone_or_down_need_not_be_captured() {
        let mut completeness = of_two(&Plan::example());
        let mut down = link(4);
        down.up = false;
        completeness.hear(&LinkEvent::Appeared(down));
        completeness.hear(&LinkEvent::Removed {
            index: 3,
            name: "veth3".to_owned(),
        });
        assert_eq!(completeness.update(&indices(&[2])), None);
        assert!(completeness.holds());
    }

    #[test]
    fn with_a_direction_limit_or_unwatched_links_nothing_is_ever_complete() {
        let one_way = Plan {
            directions: vec![Direction::In],
            ..Plan::example()
        };
        assert!(!of_two(&one_way).holds());
        let mut unwatched = of_two(&Plan::example());
        assert_eq!(unwatched.is_blind(), Some(Change::Ends));
        assert_eq!(unwatched.update(&indices(&[2, 3])), None);
    }
}
