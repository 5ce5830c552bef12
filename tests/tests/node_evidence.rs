//! What is learned of a node before the first packet: its settings, and what its interfaces are.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::{BTreeMap, BTreeSet};

use capture_user::evidence::roles::{is_complete, roles};
use capture_user::evidence::sysctl::Sysctls;
use capture_user::flow::reset::Environment;
use capture_user::flow::role::Role;
use capture_user::target::links::{self, Link};
use lab::namespace::Namespace;
use lab::topology::Node;

fn links_of(namespace: &Namespace) -> Vec<Link> {
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(links::list()).unwrap()
    })
}

fn roles_by_name(namespace: &Namespace) -> BTreeMap<String, Role> {
    let links = links_of(namespace);
    let roles = roles(&links);
    links
        .into_iter()
        .map(|link| (link.name, roles[&link.index]))
        .collect()
}

#[test]
fn the_settings_are_those_of_the_namespace_that_the_thread_is_in() {
    let lab = Node::new();
    lab.node.sysctl("net.ipv4.tcp_abort_on_overflow", "1");
    lab.node
        .sysctl("net.netfilter.nf_conntrack_tcp_be_liberal", "1");
    let (node, pod) = (lab.node.run(Sysctls::read), lab.pod.run(Sysctls::read));
    assert_eq!(node.tcp_abort_on_overflow, Some(true));
    assert_eq!(pod.tcp_abort_on_overflow, Some(false));
    assert_eq!(node.ip_forward, Some(true));
    assert!(node.nf_conntrack_tcp_timeout_established.is_some());
    let mut environment = Environment::default();
    node.fill(&mut environment);
    assert_eq!(environment.abort_on_overflow, Some(true));
    assert_eq!(environment.conntrack_be_liberal, Some(true));
}

#[test]
fn a_veth_is_the_uplink_once_the_default_route_leaves_through_it_and_never_a_pod_before() {
    let lab = Node::new();
    lab.node.ip("route del default");
    lab.node.ip("-6 route del default");
    let before = roles_by_name(&lab.node);
    assert_eq!(before["lo"], Role::Local);
    assert_eq!(before[Node::BRIDGE], Role::Shared);
    assert_eq!(before[Node::POD_PORT], Role::Pod);
    assert_eq!(before[Node::UPLINK], Role::Unknown);
    lab.node
        .ip(&format!("route add default via {}", Node::OUTSIDE_V4));
    let after = roles_by_name(&lab.node);
    assert_eq!(after[Node::UPLINK], Role::Uplink);
    assert_eq!(after[Node::POD_PORT], Role::Pod);
    assert_eq!(roles_by_name(&lab.pod)[Node::POD_LINK], Role::Uplink);
}

#[test]
fn a_capture_is_complete_with_all_that_is_up() {
    let lab = Node::new();
    let links = links_of(&lab.node);
    let captured = |names: &[&str]| -> BTreeSet<u32> {
        links
            .iter()
            .filter(|link| names.contains(&link.name.as_str()))
            .map(|link| link.index)
            .collect()
    };
    let all = [Node::BRIDGE, Node::POD_PORT, Node::UPLINK];
    assert!(is_complete(&links, &captured(&all), true));
    assert!(!is_complete(&links, &captured(&all), false));
    assert!(!is_complete(&links, &captured(&all[..2]), true));
}
