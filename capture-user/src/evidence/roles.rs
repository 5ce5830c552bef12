//! What each interface of a namespace stands for in the path of a packet, and whether a capture
//! sees all of them.
//!
//! A role decides which side a reset is said to come from, so it is given only where it is
//! certain. Above all, what could lead out of the node is never called a pod: a veth is one in
//! shape, and may lead to a router in another namespace.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::role::Role;
use crate::target::links::{Device, Framing, Link};

/// The role of each of the links, by index. `links` are all links of one namespace, as
/// [`crate::target::links::list`] gives them.
///
/// - [`Role::Local`] is loopback.
/// - [`Role::Uplink`] is what has a default route, whatever it is made of, unless it is a switch,
///   behind which pods are as well; hardware; a bond of hardware; a VLAN on one of these.
/// - [`Role::Pod`] is a pair's end whose other end is in another namespace, where something else is
///   the way out. Where nothing else is, only as a port of a bridge that isn't the way out either.
/// - [`Role::Shared`] is switches, tunnels, a pair's end whose other end is here, and all else that
///   packets pass which were made elsewhere.
/// - [`Role::Unknown`] is what could be a pod or the way out; a tap, behind which may be a virtual
///   machine or a VPN.
#[must_use]
pub fn roles(links: &[Link]) -> BTreeMap<u32, Role> {
    let mut roles: BTreeMap<_, _> = links
        .iter()
        .map(|link| (link.index, by_itself(link)))
        .collect();
    // A VLAN may lie on a bond: twice takes the role all the way up.
    for _ in 0..2 {
        for link in links {
            if roles.get(&link.index) == Some(&Role::Shared)
                && stands_on_uplinks(link, links, &roles)
            {
                roles.insert(link.index, Role::Uplink);
            }
        }
    }
    let ways_out: BTreeSet<u32> = links
        .iter()
        .filter(|link| link.default_route)
        .map(|link| link.index)
        .collect();
    let uplink_exists = roles.values().any(|role| *role == Role::Uplink);
    for link in links {
        if roles.get(&link.index) == Some(&Role::Pod)
            && could_be_the_world(link, links, &roles, &ways_out, uplink_exists)
        {
            roles.insert(link.index, Role::Unknown);
        }
    }
    roles
}

/// The role that a link has if nothing around it speaks against it.
fn by_itself(link: &Link) -> Role {
    match &link.device {
        Device::Loopback => Role::Local,
        Device::Bridge => Role::Shared,
        // The kernel's name for a port that a switch of Open vSwitch has towards its own node.
        Device::Other(kind) if kind == "openvswitch" => Role::Shared,
        _ if link.default_route => Role::Uplink,
        Device::Physical => Role::Uplink,
        Device::Veth | Device::Netkit => match &link.peer {
            Some(peer) if peer.netns_id.is_some() => Role::Pod,
            _ => Role::Shared,
        },
        Device::Tap | Device::Unnamed => Role::Unknown,
        _ => Role::Shared,
    }
}

/// Whether what comes in at a link came in at an uplink below it, and nowhere else.
fn stands_on_uplinks(link: &Link, links: &[Link], roles: &BTreeMap<u32, Role>) -> bool {
    let is_uplink = |index: &u32| roles.get(index) == Some(&Role::Uplink);
    match &link.device {
        Device::Vlan => link
            .lower
            .as_ref()
            .is_some_and(|lower| lower.netns_id.is_none() && is_uplink(&lower.index)),
        Device::Bond => {
            members(link, links).next().is_some()
                && members(link, links).all(|member| is_uplink(&member.index))
        }
        _ => false,
    }
}

fn members<'a>(master: &Link, links: &'a [Link]) -> impl Iterator<Item = &'a Link> {
    let index = master.index;
    links.iter().filter(move |link| link.master == Some(index))
}

/// Whether a pair's end whose other end is elsewhere could lead out of the node.
fn could_be_the_world(
    link: &Link,
    links: &[Link],
    roles: &BTreeMap<u32, Role>,
    ways_out: &BTreeSet<u32>,
    uplink_exists: bool,
) -> bool {
    match link.master {
        // The way out leads over this switch: through which of its ports is known only if one of
        // them is an uplink by itself.
        Some(master) if ways_out.contains(&master) => !links.iter().any(|other| {
            other.master == Some(master) && roles.get(&other.index) == Some(&Role::Uplink)
        }),
        Some(_) if link.bridge_port => false,
        _ => !uplink_exists,
    }
}

/// Whether a capture sees everything that comes into or leaves the namespace: each link that is up
/// is among the captured ones, in both directions.
///
/// What came in over loopback was made here, so that may be left out. The caller knows whether its
/// filter lets all of a connection's forms through.
#[must_use]
pub fn is_complete(links: &[Link], captured: &BTreeSet<u32>, both_directions: bool) -> bool {
    both_directions
        && links
            .iter()
            .filter(|link| link.up && link.device != Device::Loopback)
            .all(|link| {
                captured.contains(&link.index) && !matches!(link.framing, Framing::Unsupported(_))
            })
}

/// A role's stable name, for an interface's description in a capture file.
#[must_use]
pub fn name(role: Role) -> &'static str {
    match role {
        Role::Uplink => "uplink",
        Role::Pod => "pod",
        Role::Shared => "shared",
        Role::Local => "local",
        Role::Unknown => "unknown",
    }
}

/// What an interface stands for by its description in a file of ours.
///
/// A clause `role NAME` says it. Without one, the kind that comes first does as far as that is
/// certain: the kind alone doesn't tell a pod's veth from one that leads to a router.
#[must_use]
pub fn from_description(description: &str) -> Role {
    let mut clauses = description.split(',').map(str::trim);
    let kind = clauses.next().unwrap_or_default();
    for clause in std::iter::once(kind).chain(clauses) {
        if let Some(said) = clause.strip_prefix("role ") {
            return [Role::Uplink, Role::Pod, Role::Shared, Role::Local]
                .into_iter()
                .find(|role| name(*role) == said)
                .unwrap_or(Role::Unknown);
        }
    }
    match kind {
        "uplink" | "physical" => Role::Uplink,
        "loopback" => Role::Local,
        "bridge" | "bond" | "vxlan" | "geneve" => Role::Shared,
        _ => Role::Unknown,
    }
}

#[cfg(test)]
mod tests;
