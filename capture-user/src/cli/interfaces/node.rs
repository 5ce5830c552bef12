//! All that is shown: the links, who is behind them, and what the kernel's tables hold of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use crate::error::Result;
use crate::node::ipvs::{self, Service};
use crate::node::links::{self as facts, Facts};
use crate::node::neighbours::{self, Forwarding, Neighbour};
use crate::node::{self, Unavailable};
use crate::target::inhabitants::{DOCKERS_NAMESPACES, INGRESS, Inhabitants};
use crate::target::links::{self, Link};

/// See the module.
#[derive(Default)]
pub(super) struct Node {
    pub(super) links: Vec<Link>,
    pub(super) inhabitants: Inhabitants,
    /// What Swarm's ingress balances.
    pub(super) ingress: Vec<Service>,
    pub(super) facts: BTreeMap<u32, Facts>,
    pub(super) neighbours: Vec<Neighbour>,
    pub(super) forwarding: Vec<Forwarding>,
    /// What this namespace balances, by the index of the interface that it is shown at.
    pub(super) services: BTreeMap<u32, Vec<Service>>,
    pub(super) names: BTreeMap<IpAddr, String>,
    /// What can't be shown, and why.
    pub(super) missing: Vec<String>,
}

impl Node {
    /// Reads all of it, in the network namespace that the thread is in.
    pub(super) async fn read() -> Result<Self> {
        let links = links::list().await?;
        let inhabitants = Inhabitants::look(&links, None).await;
        let mut node = Self {
            names: inhabitants
                .names()
                .into_iter()
                .map(|(address, name, _)| (address, name))
                .collect(),
            missing: inhabitants.missing.clone().into_iter().collect(),
            links,
            inhabitants,
            ..Self::default()
        };
        let facts = node.part("statistics", facts::links());
        node.facts = facts.into_iter().map(|it| (it.index, it)).collect();
        node.neighbours = node.part("neighbours", neighbours::neighbours());
        node.forwarding = node.part("learned MAC addresses", neighbours::forwarding());
        node.read_services();
        Ok(node)
    }

    /// What was read of a part, or why it wasn't.
    fn part<T: Default>(&mut self, what: &str, read: std::io::Result<T>) -> T {
        read.unwrap_or_else(|error| {
            let why = Unavailable::from(error);
            self.missing.push(format!("{what} can't be read: {why}"));
            T::default()
        })
    }

    /// Where there is no IPVS nothing is said: most nodes have none.
    fn read_services(&mut self) {
        let services = ipvs::read().unwrap_or_else(|why| {
            if ipvs::is_there() {
                let missing = format!("what IPVS balances can't be read: {why}");
                self.missing.push(missing);
            }
            Vec::new()
        });
        for mut service in services {
            self.name(&mut service, false);
            let at = self.place(&service);
            self.services.entry(at).or_default().push(service);
        }
        let behind = self
            .links
            .iter()
            .filter_map(|link| self.inhabitants.behind(link));
        if !behind.into_iter().any(|behind| behind.inhabitant.ingress) {
            return;
        }
        let file = Path::new(DOCKERS_NAMESPACES).join(INGRESS);
        match node::inside(&file, ipvs::read) {
            Ok(Ok(services)) => self.ingress = services,
            // It isn't there where Swarm does without.
            Ok(Err(_)) => {}
            Err(error) => self.missing.push(format!(
                "what Swarm's ingress balances can't be read: {error}; run as root"
            )),
        }
        let mut ingress = std::mem::take(&mut self.ingress);
        for service in &mut ingress {
            self.name(service, true);
        }
        self.ingress = ingress;
    }

    fn name(&self, service: &mut Service, in_ingress: bool) {
        for backend in &mut service.backends {
            let address = backend.address.ip();
            let here = self.names.get(&address).cloned();
            let elsewhere = || self.inhabitants.task_at(address).filter(|_| in_ingress);
            backend.name = here.or_else(elsewhere);
        }
        let address = service.address().map(|socket| socket.ip());
        let balanced = self.inhabitants.service_balanced(service.mark(), address);
        let backends = service.backends.iter();
        let servers: Vec<_> = backends.map(|backend| backend.address.ip()).collect();
        service.name = balanced
            .filter(|_| in_ingress)
            .or_else(|| self.inhabitants.service_of(&servers));
    }

    /// The interface that has a service's address; the first one, the loopback, for the others.
    fn place(&self, service: &Service) -> u32 {
        let address = service.address().map(|socket| socket.ip());
        let has = |link: &&Link| {
            let mut addresses = link.addresses.iter().map(ipnet::IpNet::addr);
            addresses.any(|one| Some(one) == address)
        };
        let found = self.links.iter().find(has).or(self.links.first());
        found.map_or(1, |link| link.index)
    }

    pub(super) fn master(&self, link: &Link) -> Option<&Link> {
        let mut links = self.links.iter();
        links.find(|other| Some(other.index) == link.master)
    }

    pub(super) fn facts_of(&self, link: &Link) -> Option<&Facts> {
        self.facts.get(&link.index)
    }

    pub(super) fn neighbours_of(&self, link: &Link) -> impl Iterator<Item = &Neighbour> {
        let index = link.index;
        self.neighbours.iter().filter(move |neighbour| {
            // The kernel's own, for groups and for itself.
            neighbour.index == index && neighbour.state != "noarp"
        })
    }

    /// What a bridge has learned at a port, or a VXLAN of its peers.
    pub(super) fn learned_at(&self, link: &Link) -> impl Iterator<Item = &Forwarding> {
        let index = link.index;
        let entries = self.forwarding.iter();
        entries.filter(move |entry| entry.index == index && !entry.is_own())
    }

    /// The peers of a VXLAN, each once.
    pub(super) fn peers(&self, link: &Link) -> Vec<IpAddr> {
        let vxlan = self.facts_of(link).and_then(|facts| facts.vxlan.as_ref());
        let group = vxlan.and_then(|vxlan| vxlan.group);
        let entries = self.learned_at(link).filter_map(|entry| entry.peer);
        let all = entries.chain(group).filter(|peer| !peer.is_multicast());
        let mut peers: Vec<_> = all.collect();
        peers.sort();
        peers.dedup();
        peers
    }

    pub(super) fn services_at(&self, link: &Link) -> &[Service] {
        self.services.get(&link.index).map_or(&[], Vec::as_slice)
    }

    pub(super) fn name_of(&self, address: IpAddr) -> Option<&str> {
        self.names.get(&address).map(String::as_str)
    }
}
