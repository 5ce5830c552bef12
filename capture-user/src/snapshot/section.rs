//! The parts of a namespace's state, each entry by what tells it apart.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::json;

use super::Section;
use crate::node::links::Facts;
use crate::node::neighbours::link_layer;
use crate::node::routing::routes::{self, Route};
use crate::node::routing::rules;
use crate::node::{Unavailable, conntrack, iptables, ipvs, links, neighbours, nftables, sysctls};

/// Reads all of them, in the network namespace that the thread is in.
pub(super) fn all() -> BTreeMap<&'static str, Section> {
    let facts = links::links();
    let names = Names::new(facts.as_deref().unwrap_or_default());
    let of_links: Vec<&str> = names.0.values().map(String::as_str).collect();
    let mut sysctl = Section::default();
    for (name, value) in sysctls::read(of_links.into_iter()) {
        sysctl.add(name, value);
    }
    BTreeMap::from([
        (
            "links",
            of(facts, |section, link| names.link(section, &link)),
        ),
        (
            "addresses",
            of(links::addresses(), |section, address| {
                let key = format!("{} {}", names.of(address.index), address.address);
                section.add(key, address);
            }),
        ),
        (
            "routes",
            of(routes::routes(), |section, route| {
                names.route(section, &route);
            }),
        ),
        (
            "rules",
            of(rules::rules(), |section, rule| {
                let rules::Rule {
                    family,
                    priority,
                    selector,
                    action,
                    ..
                } = &rule;
                section.add(format!("{family} {priority}: {selector} {action}"), &rule);
            }),
        ),
        (
            "neighbours",
            of(neighbours::neighbours(), |section, neighbour| {
                let key = format!("{} {}", names.of(neighbour.index), neighbour.address);
                section.add(key, neighbour);
            }),
        ),
        (
            "fdb",
            of(neighbours::forwarding(), |section, entry| {
                if entry.is_of_no_table() {
                    return;
                }
                let mac = entry.mac.as_deref().map(link_layer).unwrap_or_default();
                let mut key = format!("{} {mac}", names.of(entry.index));
                if let Some(vlan) = entry.vlan {
                    key += &format!(" vlan {vlan}");
                }
                if let Some(peer) = entry.peer {
                    key += &format!(" to {peer}");
                }
                let master = entry.master.map(|index| names.of(index));
                let mut value = serde_json::to_value(&entry).unwrap_or_default();
                value["master"] = json!(master);
                section.add(key, value);
            }),
        ),
        ("conntrack", one("table", conntrack::read())),
        ("nftables", firewall()),
        ("iptables_legacy", old_firewall()),
        ("ipvs", services()),
        ("sysctls", sysctl),
    ])
}

fn of<T>(read: io::Result<Vec<T>>, mut add: impl FnMut(&mut Section, T)) -> Section {
    match read {
        Ok(all) => {
            let mut section = Section::default();
            for one in all {
                add(&mut section, one);
            }
            section
        }
        Err(error) => Section::missing(Unavailable::from(error)),
    }
}

fn one(key: &str, read: Result<impl Serialize, Unavailable>) -> Section {
    filled(read, |section, value| section.add(key.to_owned(), value))
}

/// A section of what was read, or why it wasn't.
fn filled<T>(read: Result<T, Unavailable>, fill: impl FnOnce(&mut Section, T)) -> Section {
    match read {
        Ok(read) => {
            let mut section = Section::default();
            fill(&mut section, read);
            section
        }
        Err(why) => Section::missing(why),
    }
}

fn firewall() -> Section {
    filled(nftables::read(), |section, ruleset| {
        for chain in ruleset.chains {
            let key = format!("chain {} {} {}", chain.family, chain.table, chain.chain);
            section.add(key, chain);
        }
        for rule in ruleset.rules {
            let at = format!("{} {} {}", rule.family, rule.table, rule.chain);
            section.add(format!("rule {at} handle {}", rule.handle), rule);
        }
        for counter in ruleset.counters {
            let nftables::Counter {
                family,
                table,
                name,
                ..
            } = &counter;
            section.add(format!("counter {family} {table} {name}"), counter);
        }
    })
}

fn old_firewall() -> Section {
    filled(iptables::read(), |section, ruleset| {
        for chain in ruleset.chains {
            let key = format!("chain {} {} {}", chain.family, chain.table, chain.chain);
            section.add(key, chain);
        }
        // A rule's number says nothing once another one is put before it; what it says does.
        for rule in ruleset.rules {
            let at = format!("{} {} {}", rule.family, rule.table, rule.chain);
            section.add(format!("rule {at} {}", rule.rule), rule);
        }
    })
}

fn services() -> Section {
    filled(ipvs::read(), |section, services| {
        for service in services {
            let mut value = serde_json::to_value(&service).unwrap_or_default();
            let backends: BTreeMap<_, _> = service
                .backends
                .iter()
                .map(|backend| (backend.address.to_string(), json!(backend)))
                .collect();
            value["backends"] = json!(backends);
            section.add(service.service, value);
        }
    })
}

/// Interfaces' names by their indices.
struct Names(BTreeMap<u32, String>);

impl Names {
    fn new(links: &[Facts]) -> Self {
        let names = links.iter().map(|link| (link.index, link.name.clone()));
        Self(names.collect())
    }

    fn of(&self, index: u32) -> String {
        let name = self.0.get(&index).cloned();
        name.unwrap_or_else(|| format!("#{index}"))
    }

    fn link(&self, section: &mut Section, facts: &Facts) {
        let link = &facts.link;
        let mut value = json!({
            "index": link.index,
            "altnames": link.altnames,
            "device": link.device,
            "state": link.state(),
            "operstate": facts.operstate,
            "mtu": link.mtu,
            "mac": link.mac,
            "master": link.master.map(|index| self.of(index)),
            "peer": link.peer,
            "lower": link.lower,
            "statistics": facts.statistics,
        });
        if let Some(vxlan) = &facts.vxlan {
            value["vxlan"] = json!(vxlan);
        }
        section.add(facts.name.clone(), value);
    }

    fn route(&self, section: &mut Section, route: &Route) {
        let Route {
            family,
            table,
            destination,
            priority,
            ..
        } = route;
        let mut key = format!("{family} {table} {destination}");
        if route.kind != "unicast" {
            key += &format!(" {}", route.kind);
        }
        if let Some(source) = &route.source {
            key += &format!(" from {source}");
        }
        // With several paths, or none, it has no one interface.
        if let [hop] = route.via.as_slice()
            && let Some(index) = hop.interface
        {
            key += &format!(" dev {}", self.of(index));
        }
        if *priority != 0 {
            key += &format!(" metric {priority}");
        }
        if route.tos != 0 {
            key += &format!(" tos {:#x}", route.tos);
        }
        let via: Vec<_> = route
            .via
            .iter()
            .map(|hop| {
                json!({
                    "gateway": hop.gateway,
                    "interface": hop.interface.map(|index| self.of(index)),
                    "weight": hop.weight,
                })
            })
            .collect();
        let mut value = serde_json::to_value(route).unwrap_or_default();
        value["via"] = json!(via);
        section.add(key, value);
    }
}
