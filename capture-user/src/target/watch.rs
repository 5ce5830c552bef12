//! What happens to the links of a namespace, as it happens.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
};

use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket};

use crate::{
    error::{Error, Result},
    target::{
        links::{self, Link},
        netlink,
    },
};

/// `RTMGRP_LINK` (include/uapi/linux/rtnetlink.h), the group `RTNLGRP_LINK` as a mask.
const RTMGRP_LINK: u32 = 1;
/// Room for a burst of news, in bytes; the kernel caps it at net.core.rmem_max and says nothing.
const RECEIVE_BUFFER: i32 = 4 << 20;

/// Something that happened to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A link that wasn't there before: created, or moved here from another namespace.
    Appeared(Link),
    /// Its name, state, master or anything else that [`Link`] shows is another one now.
    Changed(Link),
    /// It is no longer in this namespace: deleted, or moved to another one.
    Removed {
        /// The index that it had.
        index: u32,
        /// The name that it had last.
        name: String,
    },
}

/// Follows the links of one namespace.
///
/// The addresses and default routes of a link are those of the last list: at the start, and after
/// a burst of news that the kernel had to drop.
pub struct Watch {
    socket: TokioSocket,
    known: BTreeMap<u32, Link>,
    events: VecDeque<LinkEvent>,
    /// The kernel dropped news: what is known has to be compared with a fresh list.
    stale: bool,
}

impl Watch {
    /// Begins to follow the network namespace that the thread is in, and returns the links that
    /// are there now. Nothing that happens after that list is missed.
    ///
    /// It must run on a tokio runtime with I/O enabled.
    ///
    /// # Errors
    ///
    /// As [`links::list`].
    pub async fn start() -> Result<(Self, Vec<Link>)> {
        let mut watch = Self {
            // Heard from before the list is made: what comes between is in both. Told twice, it
            // may turn a link back for a moment, until the news after it is heard too.
            socket: netlink::open(RTMGRP_LINK).map_err(links::unreadable)?,
            known: BTreeMap::new(),
            events: VecDeque::new(),
            stale: false,
        };
        // The default room will do where this is refused: what doesn't fit is noticed.
        let _ = watch.socket.socket_ref().set_rx_buf_sz(RECEIVE_BUFFER);
        let links = links::list().await?;
        watch.known = by_index(links.clone());
        Ok((watch, links))
    }

    /// The next event; waits for one. Nothing is lost when the future is dropped before it is
    /// ready.
    ///
    /// # Errors
    ///
    /// When the socket fails, or the list that makes up for dropped news.
    pub async fn next(&mut self) -> Result<LinkEvent> {
        loop {
            if self.stale {
                self.resynchronise().await?;
            }
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match self.socket.recv_from_full().await {
                Ok((datagram, sender)) if sender.port_number() == 0 => self.hear(&datagram),
                Ok(_) => {} // not from the kernel
                Err(error) if netlink::is_overrun(&error) => self.stale = true,
                Err(error) => return Err(unwatchable(&error)),
            }
        }
    }

    fn hear(&mut self, datagram: &[u8]) {
        for message in netlink::messages(datagram) {
            let Some(link) = links::link(message.payload) else {
                continue;
            };
            match message.kind {
                links::RTM_NEWLINK => self.events.extend(learn(&mut self.known, link)),
                links::RTM_DELLINK => self.events.extend(forget(&mut self.known, link.index)),
                _ => {}
            }
        }
    }

    /// Makes up for dropped news.
    async fn resynchronise(&mut self) -> Result<()> {
        // The news still queued is older than what was dropped: a link that it tells of may be
        // long gone. And the kernel goes on dropping, without another word, until the queue has
        // been emptied (NETLINK_S_CONGESTED in net/netlink/af_netlink.c).
        loop {
            match self.socket.socket_ref().recv_from_full() {
                Ok(_) => {}
                Err(error) if netlink::is_overrun(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unwatchable(&error)),
            }
        }
        let links = by_index(links::list().await?);
        self.events.extend(differences(&self.known, &links));
        self.known = links;
        self.stale = false;
        tracing::debug!("too much happened to the links at once: listed them anew");
        Ok(())
    }
}

fn unwatchable(error: &io::Error) -> Error {
    Error::failure(format!(
        "can't follow the interfaces over netlink: {error}; start the capture again"
    ))
}

fn by_index(links: Vec<Link>) -> BTreeMap<u32, Link> {
    links.into_iter().map(|link| (link.index, link)).collect()
}

/// Takes in what a message tells of a link. The kernel sends many that change nothing.
fn learn(known: &mut BTreeMap<u32, Link>, mut link: Link) -> Option<LinkEvent> {
    match known.get_mut(&link.index) {
        None => {
            known.insert(link.index, link.clone());
            Some(LinkEvent::Appeared(link))
        }
        Some(before) => {
            // The message doesn't tell of these.
            link.addresses.clone_from(&before.addresses);
            link.default_route = before.default_route;
            if *before == link {
                return None;
            }
            before.clone_from(&link);
            Some(LinkEvent::Changed(link))
        }
    }
}

fn forget(known: &mut BTreeMap<u32, Link>, index: u32) -> Option<LinkEvent> {
    let Link { name, .. } = known.remove(&index)?;
    Some(LinkEvent::Removed { index, name })
}

/// What must have happened between two lists: the removals first.
fn differences(before: &BTreeMap<u32, Link>, after: &BTreeMap<u32, Link>) -> VecDeque<LinkEvent> {
    let mut events = VecDeque::new();
    for (&index, old) in before {
        if after.get(&index).is_none_or(|new| is_another(old, new)) {
            events.push_back(LinkEvent::Removed {
                index,
                name: old.name.clone(),
            });
        }
    }
    for (index, new) in after {
        match before.get(index) {
            Some(old) if is_another(old, new) => {
                events.push_back(LinkEvent::Appeared(new.clone()));
            }
            Some(old) if old != new => events.push_back(LinkEvent::Changed(new.clone())),
            Some(_) => {}
            None => events.push_back(LinkEvent::Appeared(new.clone())),
        }
    }
    events
}

/// Whether an index means another link now: one was removed and the next one got its index. A link
/// can be renamed and can get another MAC address, rarely both at once; it never becomes another
/// device.
fn is_another(old: &Link, new: &Link) -> bool {
    old.device != new.device || (old.name != new.name && old.mac != new.mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::links::{Device, Framing, Mac};

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.into(),
            altnames: Vec::new(),
            device: Device::Veth,
            bridge_port: false,
            default_route: false,
            up: true,
            running: true,
            mtu: 1500,
            mac: None,
            addresses: Vec::new(),
            master: None,
            peer: None,
            lower: None,
            framing: Framing::Ethernet,
        }
    }

    fn removed(index: u32, name: &str) -> LinkEvent {
        LinkEvent::Removed {
            index,
            name: name.into(),
        }
    }

    #[test]
    fn news_that_changes_nothing_is_no_event() {
        let mut known = by_index(vec![link(1, "a")]);
        assert_eq!(learn(&mut known, link(1, "a")), None);
    }

    #[test]
    fn a_change_keeps_the_addresses_and_routes_that_the_news_does_not_tell_of() {
        let mut full = link(1, "a");
        full.addresses = vec!["192.0.2.1/24".parse().expect("a prefix")];
        full.default_route = true;
        let mut known = by_index(vec![full.clone()]);
        let down = Link {
            up: false,
            ..link(1, "a")
        };
        let expected = Link { up: false, ..full };
        assert_eq!(learn(&mut known, down), Some(LinkEvent::Changed(expected)));
    }

    #[test]
    fn a_link_appears_once_and_is_removed_once_under_its_last_name() {
        let mut known = BTreeMap::new();
        let appeared = learn(&mut known, link(3, "a"));
        assert_eq!(appeared, Some(LinkEvent::Appeared(link(3, "a"))));
        learn(&mut known, link(3, "b"));
        assert_eq!(forget(&mut known, 3), Some(removed(3, "b")));
        assert_eq!(forget(&mut known, 3), None);
    }

    #[test]
    fn a_fresh_list_shows_what_was_missed() {
        let before = by_index(vec![link(1, "same"), link(2, "gone"), link(3, "old")]);
        let after = by_index(vec![link(1, "same"), link(3, "new"), link(4, "late")]);
        assert_eq!(
            differences(&before, &after),
            [
                removed(2, "gone"),
                LinkEvent::Changed(link(3, "new")),
                LinkEvent::Appeared(link(4, "late")),
            ]
        );
    }

    #[test]
    fn a_link_that_got_the_index_of_a_removed_one_is_no_change_of_it() {
        let mac = |last| Some(Mac([2, 0, 0, 0, 0, last]));
        let old = Link {
            mac: mac(1),
            ..link(5, "veth1")
        };
        let new = Link {
            mac: mac(2),
            ..link(5, "veth2")
        };
        let events = differences(&by_index(vec![old]), &by_index(vec![new.clone()]));
        assert_eq!(events, [removed(5, "veth1"), LinkEvent::Appeared(new)]);
    }
}
