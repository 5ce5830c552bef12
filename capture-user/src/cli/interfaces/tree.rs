//! The order in which interfaces are shown: a node's way out first, then its switches with their
//! ports, then all else, each with what sits on it below it.

use crate::target::links::{Device, Link, LinkKind};

/// A link, and what is drawn before its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Branch<'a> {
    pub(super) link: &'a Link,
    pub(super) indent: String,
    /// What is drawn before that which stands under it.
    pub(super) below: String,
}

/// All links, each once.
pub(super) fn tree(links: &[Link]) -> Vec<Branch<'_>> {
    let mut drawing = Drawing {
        links,
        branches: Vec::with_capacity(links.len()),
    };
    let mut roots: Vec<_> = links
        .iter()
        .filter(|link| parent(link, links).is_none())
        .collect();
    roots.sort_by_key(|link| (rank(link), link.index));
    for root in roots {
        drawing.draw(root, "", "");
    }
    // Those that stand on each other in a circle, which the kernel doesn't allow, have no root.
    for link in links {
        drawing.draw(link, "", "");
    }
    drawing.branches
}

struct Drawing<'a> {
    links: &'a [Link],
    branches: Vec<Branch<'a>>,
}

impl<'a> Drawing<'a> {
    /// Draws a link and what is below it: `indent` stands before its own name, `below` before
    /// everything under it.
    fn draw(&mut self, link: &'a Link, indent: &str, below: &str) {
        let is_drawn = |branch: &Branch<'_>| branch.link.index == link.index;
        if self.branches.iter().any(is_drawn) {
            return;
        }
        let at = self.branches.len();
        self.branches.push(Branch {
            link,
            indent: indent.to_owned(),
            below: below.to_owned(),
        });
        let children: Vec<_> = self
            .links
            .iter()
            .filter(|child| parent(child, self.links) == Some(link.index))
            .collect();
        if !children.is_empty() {
            self.branches[at].below += "│";
        }
        let last = children.len().saturating_sub(1);
        for (at, child) in children.into_iter().enumerate() {
            let (own, under) = match at == last {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            self.draw(child, &format!("{below}{own}"), &format!("{below}{under}"));
        }
    }
}

/// The link that it is shown below: its master, or else what it sits on.
fn parent(link: &Link, links: &[Link]) -> Option<u32> {
    let lower = link.lower.filter(|lower| lower.netns_id.is_none());
    let parent = link.master.or(lower.map(|lower| lower.index))?;
    let is_here = links.iter().any(|other| other.index == parent);
    (is_here && parent != link.index).then_some(parent)
}

fn rank(link: &Link) -> u8 {
    match (link.kind(), &link.device) {
        (LinkKind::Uplink, _) => 0,
        (_, Device::Bridge) if link.default_route => 0,
        (_, Device::Physical | Device::Bond) => 1,
        (_, Device::Bridge) => 2,
        (_, Device::Loopback) => 4,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::links::{Peer, example};

    fn drawn(links: &[Link]) -> Vec<String> {
        tree(links)
            .iter()
            .map(|branch| format!("{}{}", branch.indent, branch.link.name))
            .collect()
    }

    fn on(index: u32, netns_id: Option<i32>) -> Option<Peer> {
        Some(Peer { index, netns_id })
    }

    #[test]
    fn ports_are_below_their_bridge_and_what_sits_on_a_link_is_below_that() {
        let bridge = |index, name| Link {
            device: Device::Bridge,
            ..example(index, name)
        };
        let port = |index, name, master| Link {
            master: Some(master),
            bridge_port: true,
            ..example(index, name)
        };
        let links = [
            Link {
                device: Device::Loopback,
                ..example(1, "lo")
            },
            bridge(2, "br0"),
            port(3, "veth3", 2),
            Link {
                default_route: true,
                ..example(4, "eth0")
            },
            Link {
                lower: on(4, None),
                ..example(5, "eth0.7")
            },
            Link {
                lower: on(4, None),
                ..port(6, "eth0.8", 2)
            },
            Link {
                lower: on(5, None),
                ..example(7, "macvlan7")
            },
            example(8, "veth8"),
        ];
        assert_eq!(
            drawn(&links),
            [
                "eth0",
                "└─ eth0.7",
                "   └─ macvlan7",
                "br0",
                "├─ veth3",
                "└─ eth0.8",
                "veth8",
                "lo"
            ]
        );
    }

    #[test]
    fn every_link_is_drawn_once_whatever_they_stand_on() {
        let mut links = [example(1, "a"), example(2, "b"), example(3, "c")];
        links[0].lower = on(2, None);
        links[1].lower = on(1, None);
        links[2].lower = on(3, None);
        let mut names = drawn(&links);
        names.sort();
        assert_eq!(names.len(), 3);
        // What is below in another namespace isn't here, nor what is gone.
        links[0].lower = on(2, Some(0));
        links[1].lower = on(99, None);
        assert_eq!(drawn(&links), ["a", "b", "c"]);
    }
}
