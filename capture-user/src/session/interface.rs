//! An interface of a capture, as the outputs know it.

use crate::evidence::roles;
use crate::flow::role::Role;
use crate::flow::tracker;
use crate::sink::pcapng::{InterfaceDescription, Name};
use crate::target::inhabitants::{Behind, Here};
use crate::target::links::{Framing, Link};
use crate::target::name::printable;

/// What a capture remembers of an interface from the moment it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// `ifindex` in the namespace of the capture.
    pub(super) index: u32,
    /// Its name then.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) description: String,
    /// Its hardware address, where it has one.
    pub(super) mac: Option<[u8; 6]>,
    /// What it stands for in the path of a packet.
    pub(super) role: Role,
    /// What addresses are called that were learned with it.
    pub(super) names: Vec<Name>,
    /// Who is behind it, by name.
    pub(super) who: Option<String>,
    /// Whether all is said of it that can be: what is behind it may still be looked for.
    pub(super) described: bool,
}

impl Interface {
    /// Describes a link, with what is behind it, and whose the namespace is that it is in, if that was
    /// entered.
    #[must_use]
    pub(super) fn new(
        link: &Link,
        role: Role,
        behind: Option<Behind<'_>>,
        here: Option<&Here>,
    ) -> Self {
        let mut description = link.kind().name().to_owned();
        if let Some(peer) = &link.peer {
            description += &format!(", peer #{}", peer.index);
            if let Some(id) = peer.netns_id {
                description += &format!(" in netns {id}");
            }
        }
        description += &format!(", role {}", roles::name(role));
        if link.framing == Framing::Bare {
            description += ", no link header";
        }
        // After the role: what is behind it chose its name itself, and could call itself a role.
        if let Some(behind) = behind
            && let Some(label) = behind.inhabitant.label()
        {
            description += &format!(", {label}");
            if let Some(far_end) = behind.far_end {
                description += &format!(" ({})", printable(&far_end.name));
            }
        }
        if let Some(here) = here {
            description += &format!(", {}", here.label);
        }
        Self {
            index: link.index,
            name: link.name.clone(),
            description,
            mac: link.mac.map(|mac| mac.0),
            role,
            names: Vec::new(),
            who: behind.and_then(|behind| behind.inhabitant.name()),
            described: true,
        }
    }

    /// The interface as the flow core knows it.
    pub(super) fn tracked(&self) -> tracker::Interface {
        tracker::Interface {
            name: printable(&self.name).to_string().into(),
            role: self.role,
        }
    }

    /// The interface as the capture file describes it.
    #[must_use]
    pub(super) fn describe<'a>(&'a self, filter: &'a str) -> InterfaceDescription<'a> {
        InterfaceDescription {
            name: &self.name,
            description: Some(&self.description),
            mac: self.mac,
            filter: (!filter.is_empty()).then_some(filter),
            os: None,
            names: &self.names,
        }
    }
}
