//! Services of Docker Swarm: whose the addresses and marks are that IPVS balances.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Inhabitants;
use crate::target::name::printable;
use crate::target::runtime::Service;

impl Inhabitants {
    /// The services of Swarm, where its ingress is on this node.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The service that IPVS balances by this mark, or at this address, in Swarm's ingress.
    /// Elsewhere both may be anybody's.
    #[must_use]
    pub fn service_balanced(&self, mark: Option<u32>, address: Option<IpAddr>) -> Option<String> {
        match (mark, address) {
            (Some(_), _) => self.one_called(|service| service.mark == mark),
            (None, Some(address)) => self.service_at(address),
            (None, None) => None,
        }
    }

    /// The service that has this virtual address.
    pub(super) fn service_at(&self, address: IpAddr) -> Option<String> {
        self.one_called(|service| service.address == Some(address))
    }

    /// The name of those that are meant, if they have one name between them: a service is told once
    /// for each network that it is on, and networks may use the same addresses.
    fn one_called(&self, is_meant: impl Fn(&Service) -> bool) -> Option<String> {
        let meant = self.services.iter().filter(|service| is_meant(service));
        let names: BTreeSet<&str> = meant.map(|service| service.name.as_str()).collect();
        let mut names = names.into_iter();
        match (names.next(), names.next()) {
            (Some(name), None) => Some(printable(name).to_string()),
            _ => None,
        }
    }

    /// The service whose tasks these servers are, by what their containers' engine says of those
    /// that run here. None where they are tasks of several, or of none.
    #[must_use]
    pub fn service_of(&self, servers: &[IpAddr]) -> Option<String> {
        let mut by_address: BTreeMap<IpAddr, BTreeSet<Option<&str>>> = BTreeMap::new();
        for inhabitant in self.by_netns.values() {
            let containers = inhabitant.own_containers();
            let service = containers.iter().find_map(|it| it.service.as_deref());
            let addresses = inhabitant.links.values().flat_map(|link| &link.addresses);
            for address in addresses.map(ipnet::IpNet::addr) {
                by_address.entry(address).or_default().insert(service);
            }
        }
        // A server that isn't here may be on another node.
        let known = servers.iter().filter_map(|server| by_address.get(server));
        let names: BTreeSet<Option<&str>> = known.flatten().copied().collect();
        let mut names = names.into_iter();
        match (names.next(), names.next()) {
            (Some(Some(name)), None) => Some(printable(name).to_string()),
            _ => None,
        }
    }

    /// The task of a service that has this address, on any node.
    #[must_use]
    pub fn task_at(&self, address: IpAddr) -> Option<String> {
        let tasks = self.services.iter().flat_map(|service| &service.tasks);
        let names: BTreeSet<&str> = tasks
            .filter(|task| task.address == address)
            .map(|task| task.name.as_str())
            .collect();
        let mut names = names.into_iter();
        match (names.next(), names.next()) {
            (Some(name), None) if !name.is_empty() => Some(printable(name).to_string()),
            _ => None,
        }
    }
}
