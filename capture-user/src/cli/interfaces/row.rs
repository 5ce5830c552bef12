//! An interface as `--json` shows it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::Node;
use crate::node::ipvs::Service;
use crate::node::links::{Statistics, Vxlan};
use crate::node::neighbours::{Forwarding, Neighbour};
use crate::target::inhabitants::{Behind, Container, Process};
use crate::target::links::Link;
use crate::target::runtime as swarm;

/// A link with all that is known of it.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    #[serde(flatten)]
    link: &'a Link,
    kind: &'a str,
    state: &'a str,
    master_name: Option<&'a str>,
    statistics: Option<&'a Statistics>,
    vxlan: Option<VxlanRow<'a>>,
    neighbours: Vec<NeighbourRow<'a>>,
    fdb: Vec<&'a Forwarding>,
    services: &'a [Service],
    behind: Option<BehindRow<'a>>,
}

/// A VXLAN, with the peers that its forwarding database holds.
#[derive(Serialize)]
struct VxlanRow<'a> {
    #[serde(flatten)]
    vxlan: &'a Vxlan,
    peers: Vec<IpAddr>,
}

/// A neighbour, with what its address is called.
#[derive(Serialize)]
struct NeighbourRow<'a> {
    #[serde(flatten)]
    neighbour: &'a Neighbour,
    name: Option<&'a str>,
}

/// What is behind it.
#[derive(Serialize)]
struct BehindRow<'a> {
    label: Option<String>,
    pod: Option<String>,
    containers: &'a [Container],
    process: Option<&'a Process>,
    netns: &'a [String],
    interface: Option<&'a str>,
    addresses: &'a [IpNet],
    services: &'a [Service],
    swarm: &'a [swarm::Service],
}

impl<'a> Row<'a> {
    pub(super) fn of(link: &'a Link, node: &'a Node) -> Self {
        let facts = node.facts_of(link);
        let vxlan = facts.and_then(|facts| facts.vxlan.as_ref());
        Self {
            link,
            kind: link.kind().name(),
            state: link.state(),
            master_name: node.master(link).map(|master| master.name.as_str()),
            statistics: facts.map(|facts| &facts.statistics),
            vxlan: vxlan.map(|vxlan| VxlanRow {
                vxlan,
                peers: node.peers(link),
            }),
            neighbours: node
                .neighbours_of(link)
                .map(|neighbour| NeighbourRow {
                    neighbour,
                    name: node.name_of(neighbour.address),
                })
                .collect(),
            fdb: node.learned_at(link).collect(),
            services: node.services_at(link),
            behind: node
                .inhabitants
                .behind(link)
                .map(|behind| BehindRow::of(behind, node)),
        }
    }
}

impl<'a> BehindRow<'a> {
    fn of(
        Behind {
            inhabitant,
            far_end,
        }: Behind<'a>,
        node: &'a Node,
    ) -> Self {
        Self {
            label: inhabitant.label(),
            pod: inhabitant.pod().map(ToString::to_string),
            containers: &inhabitant.containers,
            process: inhabitant.process.as_ref(),
            netns: &inhabitant.netns,
            interface: far_end.map(|link| link.name.as_str()),
            addresses: far_end.map_or(&[], |link| &link.addresses),
            services: match inhabitant.ingress {
                true => &node.ingress,
                false => &[],
            },
            swarm: match inhabitant.ingress {
                true => node.inhabitants.services(),
                false => &[],
            },
        }
    }
}
