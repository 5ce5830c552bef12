//! Who lives in the network namespaces that this one's links lead into.
//!
//! A veth is called by chance, and people know what is behind it: a pod, a container, a namespace
//! with a name, or at least a process. [`Inhabitants::look`] finds out about all of them at once.

mod look;
mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use super::links::Link;
use super::name::printable;
use super::process::cgroup::{Engine, short};
use super::runtime::{Pod, Service};

/// What Docker calls the namespace of Swarm's ingress, in its folder of namespaces.
pub const INGRESS: &str = "ingress_sbox";
/// What stands for the number of the namespace that was looked from: the kernel's begin at 0.
const HERE: i32 = -1;
/// Docker's folder of namespaces.
pub const DOCKERS_NAMESPACES: &str = "/run/docker/netns";

/// The inhabitants of all namespaces that links lead into, by the namespaces' numbers.
#[derive(Clone, Debug, Default)]
pub struct Inhabitants {
    by_netns: BTreeMap<i32, Inhabitant>,
    /// The addresses of the namespace that was looked from: nobody else is called by them.
    own: BTreeSet<IpAddr>,
    /// The services of Swarm; looked up only where its ingress is among the namespaces.
    services: Vec<Service>,
    /// Whose the namespace is that was looked from, where that was entered for its sake.
    pub here: Option<Here>,
    /// Why names of containers are missing, if they are: one line.
    pub missing: Option<String>,
}

/// Whose a namespace is that was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Who lives there in words: `container web`.
    pub label: String,
    /// What people call who lives there; none for what isn't a container or a pod.
    pub name: Option<String>,
}

/// Who lives in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inhabitant {
    /// The containers, the oldest first: those of a pod share a namespace, and others may.
    pub containers: Vec<Container>,
    /// The oldest process.
    pub process: Option<Process>,
    /// Whether that one is in no container: then the namespace isn't the containers' own, as where
    /// pods are on the host's network.
    pub shared: bool,
    /// The names that the namespace itself has (`ip netns`).
    pub netns: Vec<String>,
    /// Whether it is Docker Swarm's ingress: where the ports that services publish come in, and
    /// IPVS balances them.
    pub ingress: bool,
    /// Its links, by their index in there; empty where they can't be seen.
    links: BTreeMap<u32, Link>,
}

/// A container that lives there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, where its engine told.
    pub name: Option<String>,
    /// What made it.
    pub engine: Engine,
    /// The pod that it is part of, by name.
    pub pod: Option<Pod>,
    /// The pod's uid.
    pub pod_uid: Option<String>,
    /// The service of Docker Swarm that it is a task of.
    pub service: Option<String>,
}

/// A process that lives there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// What it is called. Print it through [`printable`].
    pub name: String,
    /// The systemd unit that it belongs to, if it is in no container.
    pub unit: Option<String>,
}

/// What is behind one link.
#[derive(Clone, Copy, Debug)]
pub struct Behind<'a> {
    /// Who lives there.
    pub inhabitant: &'a Inhabitant,
    /// The link's other end.
    pub far_end: Option<&'a Link>,
}

impl Inhabitants {
    /// What is behind a link, if that leads into another namespace and anything is known of it.
    #[must_use]
    pub fn behind(&self, link: &Link) -> Option<Behind<'_>> {
        let peer = link.peer?;
        let inhabitant = self.by_netns.get(&peer.netns_id?)?;
        Some(Behind {
            inhabitant,
            far_end: inhabitant.links.get(&peer.index),
        })
    }

    /// What people call who lives in the namespace with that number.
    #[must_use]
    pub fn name_of(&self, netns: i32) -> Option<String> {
        self.by_netns.get(&netns)?.name()
    }

    /// What the addresses of containers and pods are called, in the order of the addresses, each
    /// with the number of its namespace. An address that more than one of them has, or that this
    /// namespace has too, is called nothing. Those of this namespace are, where it is [`Here`].
    #[must_use]
    pub fn names(&self) -> Vec<(IpAddr, String, i32)> {
        let mut names: BTreeMap<IpAddr, Option<(String, i32)>> = BTreeMap::new();
        for (netns, inhabitant) in &self.by_netns {
            let own_name = inhabitant.name();
            let addresses = inhabitant.links.values().flat_map(|link| &link.addresses);
            for address in addresses.map(ipnet::IpNet::addr).filter(is_ones_own) {
                // The ingress has the services' virtual addresses beside its own.
                let service = inhabitant.ingress.then(|| self.service_at(address));
                let name = service.flatten().or_else(|| own_name.clone());
                let name = name.map(|name| (name, *netns));
                names
                    .entry(address)
                    .and_modify(|known| {
                        if *known != name {
                            *known = None;
                        }
                    })
                    .or_insert_with(|| name.clone());
            }
        }
        names.retain(|address, _| !self.own.contains(address));
        if let Some(name) = self.here.as_ref().and_then(|here| here.name.as_ref()) {
            let own = self.own.iter().copied().filter(is_ones_own);
            names.extend(own.map(|address| (address, Some((name.clone(), HERE)))));
        }
        names
            .into_iter()
            .filter_map(|(address, named)| named.map(|(name, netns)| (address, name, netns)))
            .collect()
    }
}

/// Whether it is an address that others don't have as well.
fn is_ones_own(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_unspecified()
}

impl Inhabitant {
    /// The pod whose namespace it is.
    #[must_use]
    pub fn pod(&self) -> Option<&Pod> {
        self.own_containers().iter().find_map(|it| it.pod.as_ref())
    }

    /// The containers, if the namespace is theirs.
    fn own_containers(&self) -> &[Container] {
        match self.shared {
            true => &[],
            false => &self.containers,
        }
    }

    /// What people call who lives there: `default/web` for a pod, `web` for a container,
    /// `ingress_sbox` for Swarm's ingress; none for anything else.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        if self.ingress {
            return Some(INGRESS.to_owned());
        }
        if let Some(pod) = self.pod() {
            return Some(pod.to_string());
        }
        let name = self.own_containers().first()?.name.as_deref()?;
        Some(printable(name).to_string())
    }

    /// Who lives there in words, as well as it is known.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        if self.ingress {
            return Some(format!("Swarm's ingress (netns {INGRESS})"));
        }
        if let Some(pod) = self.pod() {
            return Some(format!("pod {pod}"));
        }
        let containers = self.own_containers();
        if let Some(uid) = containers.iter().find_map(|it| it.pod_uid.as_deref()) {
            return Some(format!("pod with uid {uid}"));
        }
        match containers {
            [] => {}
            [one] => return Some(format!("container {}", called(one))),
            [first, others @ ..] => {
                return Some(format!(
                    "container {} and {} more",
                    called(first),
                    others.len()
                ));
            }
        }
        if let Some(name) = self.netns.first() {
            return Some(format!("netns {}", printable(name)));
        }
        let process = self.process.as_ref()?;
        Some(match &process.unit {
            Some(unit) if unit.ends_with(".service") => format!("unit {}", printable(unit)),
            _ => format!("process {} (pid {})", printable(&process.name), process.pid),
        })
    }
}

/// A container by its name, or by its id.
fn called(container: &Container) -> String {
    match &container.name {
        Some(name) => printable(name).to_string(),
        None => short(&container.id).to_owned(),
    }
}

/// Containers, each by its namespace's number, its name and the addresses of its one link.
#[cfg(test)]
pub(crate) fn example(all: &[(i32, &str, &[&str])]) -> Inhabitants {
    let by_netns = all.iter().map(|(netns, name, addresses)| {
        let mut link = super::links::example(2, "eth0");
        let addresses = addresses.iter();
        link.addresses = addresses
            .map(|text| text.parse().expect("a prefix"))
            .collect();
        let container = Container {
            id: "a".repeat(64),
            name: Some((*name).to_owned()),
            engine: Engine::Docker,
            pod: None,
            pod_uid: None,
            service: None,
        };
        let inhabitant = Inhabitant {
            containers: vec![container],
            links: [(2, link)].into(),
            ..Inhabitant::default()
        };
        (*netns, inhabitant)
    });
    Inhabitants {
        by_netns: by_netns.collect(),
        ..Inhabitants::default()
    }
}

#[cfg(test)]
mod tests;
