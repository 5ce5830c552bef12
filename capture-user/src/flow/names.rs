//! What addresses were called, and when.
//!
//! An address goes from one container to the next, and a flow outlives the names that it began
//! under. So a name is known with the time in which it held, and one that may not have been
//! everybody's in question isn't told: a wrong name is worse than none.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::packet::InterfaceId;

/// Addresses with names that are remembered.
const MAX_ADDRESSES: usize = 1 << 16;
/// Names of one address that are remembered.
const MAX_SPELLS: usize = 8;
/// The longest name in bytes.
const MAX_LENGTH: usize = 255;

/// A time in which an address had a name.
#[derive(Clone, Debug)]
struct Spell {
    name: Box<str>,
    from: u64,
    /// Without an end it still holds.
    until: Option<u64>,
}

/// The names of one address, the oldest first.
#[derive(Clone, Debug, Default)]
struct Spells {
    known: VecDeque<Spell>,
    /// Until when there were names that aren't remembered any more.
    forgotten: Option<u64>,
}

/// See the module. Times are those of the sightings, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Names {
    addresses: HashMap<IpAddr, Spells, RandomState>,
    behind: HashMap<InterfaceId, Box<str>, RandomState>,
}

impl Names {
    /// From then on the address is called so. Nothing is learned of a name that can't stand in a
    /// comment as a word of its own, except that the name before it doesn't hold any more.
    pub fn learn(&mut self, address: IpAddr, name: &str, time: u64) {
        let address = address.to_canonical();
        let current = self.addresses.get(&address).and_then(Spells::current);
        if current.is_some_and(|current| &*current.name == name) {
            return;
        }
        self.forget(address, time);
        if !is_plain(name)
            || (self.addresses.len() >= MAX_ADDRESSES && !self.addresses.contains_key(&address))
        {
            return;
        }
        let spells = self.addresses.entry(address).or_default();
        if spells.known.len() >= MAX_SPELLS
            && let Some(oldest) = spells.known.pop_front()
        {
            spells.forgotten = oldest.until;
        }
        spells.known.push_back(Spell {
            name: name.into(),
            from: time,
            until: None,
        });
    }

    /// From then on nothing is known of the address.
    pub fn forget(&mut self, address: IpAddr, time: u64) {
        if let Some(spells) = self.addresses.get_mut(&address.to_canonical())
            && let Some(last) = spells.known.back_mut()
            && last.until.is_none()
        {
            last.until = Some(time.max(last.from));
        }
    }

    /// What the address was called at that time.
    #[must_use]
    pub fn at(&self, address: IpAddr, time: u64) -> Option<&str> {
        self.during(address, time, time)
    }

    /// What the address was called in a time, both ends included, if that was one name alone. It
    /// needn't have been known from the beginning: names are found out after the first packets.
    #[must_use]
    pub fn during(&self, address: IpAddr, first: u64, last: u64) -> Option<&str> {
        if self.addresses.is_empty() {
            return None;
        }
        let spells = self.addresses.get(&address.to_canonical())?;
        if spells.forgotten.is_some_and(|until| until >= first) {
            return None;
        }
        let mut held = spells
            .known
            .iter()
            .filter(|spell| spell.from <= last && spell.until.is_none_or(|until| until >= first));
        let name = &held.next()?.name;
        held.all(|spell| spell.name == *name).then_some(name)
    }

    /// Who is behind an interface; nobody that is known, for `None`.
    pub fn is_behind(&mut self, interface: InterfaceId, name: Option<&str>) {
        match name.filter(|name| is_plain(name)) {
            Some(name) => self.behind.insert(interface, name.into()),
            None => self.behind.remove(&interface),
        };
    }

    /// Who is behind an interface, by name.
    #[must_use]
    pub fn behind(&self, interface: InterfaceId) -> Option<&str> {
        self.behind.get(&interface).map(AsRef::as_ref)
    }
}

impl Spells {
    fn current(&self) -> Option<&Spell> {
        self.known.back().filter(|spell| spell.until.is_none())
    }
}

/// Whether it can stand in a sentence, and among the keys for programs, without being taken for
/// anything else.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_LENGTH
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"[]()=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> IpAddr {
        std::net::Ipv4Addr::new(172, 17, 0, 2).into()
    }

    #[test]
    fn an_address_that_goes_to_another_is_not_called_by_the_old_name() {
        let mut names = Names::default();
        names.learn(address(), "web", 100);
        names.forget(address(), 200);
        assert_eq!(names.at(address(), 250), None);
        names.learn(address(), "db", 300);
        assert_eq!(names.at(address(), 50), None);
        assert_eq!(names.at(address(), 150), Some("web"));
        assert_eq!(names.at(address(), 400), Some("db"));
        // A flow that saw both of them is neither's for sure.
        assert_eq!(names.during(address(), 150, 400), None);
        assert_eq!(names.during(address(), 250, 400), Some("db"));
        assert_eq!(names.during(address(), 50, 190), Some("web"));
    }

    #[test]
    fn another_name_ends_the_one_before_and_the_same_one_does_not() {
        let mut names = Names::default();
        names.learn(address(), "web", 1);
        names.learn(address(), "web", 2);
        assert_eq!(names.during(address(), 1, 9), Some("web"));
        // Looked at anew: nobody else had it.
        names.forget(address(), 5);
        names.learn(address(), "web", 7);
        assert_eq!(names.during(address(), 1, 9), Some("web"));
        names.learn(address(), "db", 10);
        assert_eq!(names.at(address(), 11), Some("db"));
        assert_eq!(names.during(address(), 8, 11), None);
    }

    #[test]
    fn of_more_names_than_are_remembered_none_is_mistaken_for_the_only_one() {
        let mut names = Names::default();
        for time in 0..20 {
            names.learn(address(), &format!("web-{time}"), time * 10);
        }
        assert_eq!(names.at(address(), 195), Some("web-19"));
        assert_eq!(names.at(address(), 35), None);
        assert_eq!(names.during(address(), 35, 125), None);
    }

    #[test]
    fn a_name_that_could_be_taken_for_something_else_is_none() {
        let mut names = Names::default();
        names.learn(address(), "web", 1);
        for name in ["", "a b", "x]", "[nodecap", "a=b", "\u{1b}[2J", "wéb"] {
            names.learn(address(), name, 2);
            assert_eq!(names.at(address(), 3), None, "{name}");
        }
        names.learn(address(), "default/web-0.x_y", 4);
        assert_eq!(names.at(address(), 5), Some("default/web-0.x_y"));
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_the_same() {
        let mut names = Names::default();
        names.learn("::ffff:172.17.0.2".parse().expect("an address"), "web", 1);
        assert_eq!(names.at(address(), 2), Some("web"));
    }

    #[test]
    fn who_is_behind_an_interface_is_told_by_the_last_word() {
        let mut names = Names::default();
        assert_eq!(names.behind(3), None);
        names.is_behind(3, Some("web"));
        assert_eq!(names.behind(3), Some("web"));
        names.is_behind(3, None);
        assert_eq!(names.behind(3), None);
    }
}
