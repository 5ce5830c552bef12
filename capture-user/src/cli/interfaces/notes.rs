//! What stands in lines of their own under an interface: who was learned to be there, and where
//! a tunnel or a load balancer leads.

use super::Node;
use crate::node::ipvs::Service;
use crate::node::neighbours::link_layer;
use crate::target::links::Link;
use crate::target::name::printable;
use crate::target::runtime as swarm;

/// The most lines of one kind under one interface; `--json` has them all.
const MOST: usize = 8;

/// The lines, without an indent.
pub(super) fn notes(link: &Link, node: &Node) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(vxlan(link, node));
    let macs = node.learned_at(link).filter(|entry| entry.peer.is_none());
    some(
        &mut notes,
        macs.map(|entry| {
            let mac = entry.mac.as_deref().map(link_layer).unwrap_or_default();
            match entry.vlan {
                Some(vlan) => format!("MAC {mac} learned, VLAN {vlan}"),
                None => format!("MAC {mac} learned"),
            }
        })
        .collect(),
    );
    some(
        &mut notes,
        node.neighbours_of(link)
            .map(|neighbour| {
                let at = match &neighbour.mac {
                    Some(mac) => format!("is at {}", link_layer(mac)),
                    None => "has no MAC".to_owned(),
                };
                let called = match node.name_of(neighbour.address) {
                    Some(name) => format!(" ({})", printable(name)),
                    None => String::new(),
                };
                format!(
                    "neighbour {}{called} {at}, {}",
                    neighbour.address, neighbour.state
                )
            })
            .collect(),
    );
    some(&mut notes, services(node.services_at(link)));
    if let Some(behind) = node.inhabitants.behind(link)
        && behind.inhabitant.ingress
    {
        some(&mut notes, of_swarm(node.inhabitants.services()));
        some(&mut notes, services(&node.ingress));
    }
    notes
}

fn vxlan(link: &Link, node: &Node) -> Option<String> {
    let vxlan = node.facts_of(link)?.vxlan.as_ref()?;
    let mut words = vec![match vxlan.vni {
        Some(vni) => format!("VNI {vni}"),
        None => "any VNI".to_owned(),
    }];
    words.extend(vxlan.port.map(|port| format!("UDP port {port}")));
    words.extend(vxlan.local.map(|local| format!("from {local}")));
    words.extend(vxlan.group.map(|group| match group.is_multicast() {
        true => format!("group {group}"),
        false => format!("to {group}"),
    }));
    let mut peers = node.peers(link);
    let more = peers.len().saturating_sub(MOST);
    peers.truncate(MOST);
    if !peers.is_empty() {
        let mut listed: Vec<_> = peers.iter().map(ToString::to_string).collect();
        if more > 0 {
            listed.push(format!("{more} more"));
        }
        words.push(format!("peers {}", listed.join(" ")));
    }
    Some(words.join(", "))
}

fn services(services: &[Service]) -> Vec<String> {
    services
        .iter()
        .map(|service| {
            let mut backends: Vec<_> = service
                .backends
                .iter()
                .map(|backend| match &backend.name {
                    Some(name) => format!("{} ({})", backend.address, printable(name)),
                    None => backend.address.to_string(),
                })
                .collect();
            let more = backends.len().saturating_sub(MOST);
            backends.truncate(MOST);
            if more > 0 {
                backends.push(format!("{more} more"));
            }
            let backends = match backends.is_empty() {
                true => "nobody".to_owned(),
                false => backends.join(", "),
            };
            let called = match &service.name {
                Some(name) => format!(" (service {})", printable(name)),
                None => String::new(),
            };
            format!(
                "IPVS {}{called} balances over {backends} ({})",
                service.service,
                printable(&service.scheduler)
            )
        })
        .collect()
}

/// What Docker says of Swarm's services, whether or not IPVS can be asked.
fn of_swarm(services: &[swarm::Service]) -> Vec<String> {
    services
        .iter()
        .map(|service| {
            let mut line = format!(
                "Swarm service {} on {}",
                printable(&service.name),
                printable(&service.network)
            );
            if let Some(address) = service.address {
                line += &format!(" at {address}");
            }
            if let Some(mark) = service.mark {
                line += &format!(", fwmark {mark}");
            }
            for port in &service.ports {
                line += &format!(", {}", printable(port));
            }
            let tasks = service.tasks.iter();
            let mut tasks: Vec<_> = tasks
                .map(|task| format!("{} ({})", task.address, printable(&task.name)))
                .collect();
            let more = tasks.len().saturating_sub(MOST);
            tasks.truncate(MOST);
            if more > 0 {
                tasks.push(format!("{more} more"));
            }
            if !tasks.is_empty() {
                line += &format!(", tasks {}", tasks.join(", "));
            }
            line
        })
        .collect()
}

/// The first of them.
fn some(notes: &mut Vec<String>, mut of_a_kind: Vec<String>) {
    let more = of_a_kind.len().saturating_sub(MOST);
    of_a_kind.truncate(MOST);
    notes.append(&mut of_a_kind);
    if more > 0 {
        notes.push(format!("and {more} more like these (--json has all)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_the_first_are_told_and_how_many_more_there_are() {
        let mut notes = Vec::new();
        some(&mut notes, (0..20).map(|it| it.to_string()).collect());
        assert_eq!(notes.len(), MOST + 1);
        assert_eq!(notes[MOST], "and 12 more like these (--json has all)");
        let mut notes = Vec::new();
        some(&mut notes, vec!["one".to_owned()]);
        assert_eq!(notes, ["one"]);
    }
}
