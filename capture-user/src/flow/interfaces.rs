//! The interfaces that sightings tell of.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::role::Role;
use crate::packet::InterfaceId;

/// Interfaces that are gone and still called by their names: the last so many. A flow can outlive its
/// pod's by as long as flows are remembered, and where interfaces come and go for weeks not all of them can
/// be.
const GONE: usize = 1 << 14;

/// An interface, as the tracker knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As comments name it.
    pub name: Box<str>,
    /// What lies behind it.
    pub role: Role,
}

/// Those that are there, and the last ones that are gone, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    known: HashMap<InterfaceId, Interface, RandomState>,
    /// In the order in which they went.
    gone: VecDeque<InterfaceId>,
    /// The next one's id.
    next: InterfaceId,
}

impl Interfaces {
    /// Takes the next interface, in the order of their [`InterfaceId`]s.
    pub fn add(&mut self, interface: Interface) -> InterfaceId {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        self.known.insert(id, interface);
        id
    }

    /// Nothing more is sighted there.
    pub fn gone(&mut self, id: InterfaceId) {
        self.gone.push_back(id);
        while self.gone.len() > GONE
            && let Some(oldest) = self.gone.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Its name; `None` if it was never added, or is gone for too long.
    #[must_use]
    pub fn name(&self, id: InterfaceId) -> Option<&str> {
        self.known.get(&id).map(|interface| &*interface.name)
    }

    /// What it stands for, as far as that is known.
    #[must_use]
    pub fn role(&self, id: InterfaceId) -> Role {
        self.known
            .get(&id)
            .map_or(Role::Unknown, |interface| interface.role)
    }

    /// Changes what it stands for.
    pub(super) fn set_role(&mut self, id: InterfaceId, role: Role) {
        if let Some(interface) = self.known.get_mut(&id) {
            interface.role = role;
        }
    }
}

impl FromIterator<Interface> for Interfaces {
    fn from_iter<T: IntoIterator<Item = Interface>>(all: T) -> Self {
        let mut interfaces = Self::default();
        for interface in all {
            interfaces.add(interface);
        }
        interfaces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_gone_keeps_its_name_for_long_and_not_for_ever() {
        let mut interfaces = Interfaces::default();
        let mut add = |number: usize| {
            let id = interfaces.add(Interface {
                name: format!("veth{number}").into(),
                role: Role::Pod,
            });
            if number > 0 {
                interfaces.gone(id);
            }
            id
        };
        let ids: Vec<_> = (0..GONE + 2).map(&mut add).collect();
        assert_eq!(interfaces.name(ids[0]), Some("veth0"));
        assert_eq!(interfaces.name(ids[1]), None);
        assert_eq!(interfaces.role(ids[1]), Role::Unknown);
        assert_eq!(interfaces.name(ids[2]), Some("veth2"));
        assert_eq!(interfaces.known.len(), GONE + 1);
    }
}
