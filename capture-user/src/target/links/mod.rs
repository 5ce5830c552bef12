//! The links of the current network namespace, with all that rtnetlink tells of them.
//!
//! - [`Link`] and what it is made of: `model`
//! - the kernel's messages, taken apart: [`decode`]

pub mod decode;
mod model;

use std::{collections::BTreeMap, io, net::IpAddr, path::Path};

use ipnet::IpNet;

pub use model::{Device, Framing, Link, LinkKind, Mac, Peer};

pub(super) use decode::{RTM_DELLINK, RTM_NEWLINK};

use crate::{
    error::{Error, Result},
    target::netlink::dump,
};

/// The links of the network namespace that the thread is in, by index.
///
/// It must run on a tokio runtime with I/O enabled.
///
/// # Errors
///
/// When the kernel refuses a netlink socket or an answer.
pub async fn list() -> Result<Vec<Link>> {
    read().await.map_err(unreadable)
}

/// A failure to read links, with the usual reason for it.
pub(super) fn unreadable(error: io::Error) -> Error {
    Error::failure(format!(
        "can't read the interfaces over netlink: {error}; allow AF_NETLINK sockets \
         (RestrictAddressFamilies= of a systemd unit, the seccomp profile of a container)"
    ))
}

/// The links of another namespace, with their addresses, by the number that this one knows it by;
/// of their routes nothing is told.
pub(super) async fn list_in(netns: i32) -> io::Result<BTreeMap<u32, Link>> {
    let mut links = links(Some(netns)).await?;
    add_addresses(&mut links, Some(netns)).await?;
    Ok(links)
}

async fn read() -> io::Result<Vec<Link>> {
    let mut links = links(None).await?;
    add_addresses(&mut links, None).await?;

    let mut uplinks = Vec::new();
    dump(
        decode::RTM_GETROUTE,
        &decode::ROUTE_REQUEST,
        false,
        |answer| match answer {
            None => uplinks.clear(),
            Some((_, payload)) => uplinks.extend(decode::default_route(payload)),
        },
    )
    .await?;
    for index in uplinks {
        if let Some(link) = links.get_mut(&index) {
            link.default_route = true;
        }
    }

    Ok(links.into_values().collect())
}

async fn links(netns: Option<i32>) -> io::Result<BTreeMap<u32, Link>> {
    let mut links = BTreeMap::new();
    dump(
        decode::RTM_GETLINK,
        &decode::link_request(netns),
        netns.is_some(),
        |answer| match answer {
            None => links.clear(),
            Some((_, payload)) => {
                if let Some(link) = link(payload) {
                    links.insert(link.index, link);
                }
            }
        },
    )
    .await?;
    Ok(links)
}

/// The addresses that the links of the namespace have that the thread is in.
pub(super) async fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let addresses = addresses(None).await?;
    Ok(addresses.iter().map(|(_, net)| net.addr()).collect())
}

async fn add_addresses(links: &mut BTreeMap<u32, Link>, netns: Option<i32>) -> io::Result<()> {
    for (index, address) in addresses(netns).await? {
        if let Some(link) = links.get_mut(&index) {
            link.addresses.push(address);
        }
    }
    Ok(())
}

async fn addresses(netns: Option<i32>) -> io::Result<Vec<(u32, IpNet)>> {
    let mut addresses = Vec::new();
    dump(
        decode::RTM_GETADDR,
        &decode::address_request(netns),
        netns.is_some(),
        |answer| match answer {
            None => addresses.clear(),
            Some((_, payload)) => addresses.extend(decode::address(payload)),
        },
    )
    .await?;
    Ok(addresses)
}

/// The link that an `RTM_NEWLINK` or `RTM_DELLINK` tells of, without addresses and routes; none
/// for a message that is not about a link as such.
pub(super) fn link(message: &[u8]) -> Option<Link> {
    let mut link = decode::link(message)?;
    if link.device == Device::Unnamed && has_hardware(&link) {
        link.device = Device::Physical;
    }
    Some(link)
}

/// Whether sysfs knows hardware behind a link. Kernels before 5.14 don't say so over netlink.
///
/// What sysfs shows is the namespace that it was mounted in, perhaps not this one: the index there
/// must be the same too.
fn has_hardware(link: &Link) -> bool {
    let directory = Path::new("/sys/class/net").join(&link.name);
    std::fs::read_to_string(directory.join("ifindex"))
        .is_ok_and(|index| index.trim() == link.index.to_string())
        && directory.join("device").exists()
}

/// A veth that is up, for tests.
#[cfg(test)]
pub(crate) fn example(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
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
