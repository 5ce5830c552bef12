//! Nodes as they are found, and what their interfaces stand for.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use super::*;
use crate::target::links::Peer;

fn link(index: u32, device: Device) -> Link {
    Link {
        index,
        name: format!("link{index}"),
        altnames: Vec::new(),
        device,
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

fn veth_to_elsewhere(index: u32) -> Link {
    let peer = Peer {
        index: 2,
        netns_id: Some(0),
    };
    Link {
        peer: Some(peer),
        ..link(index, Device::Veth)
    }
}

fn port_of(bridge: u32, link: Link) -> Link {
    Link {
        master: Some(bridge),
        bridge_port: true,
        ..link
    }
}

fn with_default_route(link: Link) -> Link {
    Link {
        default_route: true,
        ..link
    }
}

fn on(lower: u32, link: Link) -> Link {
    let lower = Peer {
        index: lower,
        netns_id: None,
    };
    Link {
        lower: Some(lower),
        ..link
    }
}

#[track_caller]
fn assert_roles(links: &[Link], expected: &[(u32, Role)]) {
    let roles = roles(links);
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_docker_host_has_an_uplink_a_bridge_and_pods() {
    assert_roles(
        &[
            link(1, Device::Loopback),
            with_default_route(link(2, Device::Physical)),
            link(3, Device::Bridge),
            port_of(3, veth_to_elsewhere(4)),
        ],
        &[
            (1, Role::Local),
            (2, Role::Uplink),
            (3, Role::Shared),
            (4, Role::Pod),
        ],
    );
}

#[test]
fn a_routed_veth_is_a_pod_where_something_else_is_the_way_out() {
    let veth = veth_to_elsewhere(4);
    assert_roles(
        &[with_default_route(link(2, Device::Physical)), veth.clone()],
        &[(2, Role::Uplink), (4, Role::Pod)],
    );
    // A second network card counts, also without a default route.
    assert_roles(
        &[link(2, Device::Physical), veth.clone()],
        &[(2, Role::Uplink), (4, Role::Pod)],
    );
    assert_roles(
        &[link(1, Device::Loopback), veth],
        &[(1, Role::Local), (4, Role::Unknown)],
    );
}

#[test]
fn a_veth_with_the_default_route_is_the_uplink_of_a_node_that_is_itself_a_container() {
    assert_roles(
        &[
            with_default_route(veth_to_elsewhere(2)),
            veth_to_elsewhere(5),
            link(6, Device::Bridge),
            port_of(6, veth_to_elsewhere(7)),
        ],
        &[
            (2, Role::Uplink),
            (5, Role::Pod),
            (6, Role::Shared),
            (7, Role::Pod),
        ],
    );
}

#[test]
fn with_the_way_out_over_a_bridge_its_hardware_port_is_the_uplink() {
    assert_roles(
        &[
            port_of(3, link(2, Device::Physical)),
            with_default_route(link(3, Device::Bridge)),
            port_of(3, veth_to_elsewhere(4)),
        ],
        &[(2, Role::Uplink), (3, Role::Shared), (4, Role::Pod)],
    );
}

#[test]
fn with_the_way_out_over_a_bridge_of_veths_none_of_them_is_called_a_pod() {
    assert_roles(
        &[
            with_default_route(link(3, Device::Bridge)),
            port_of(3, veth_to_elsewhere(4)),
            port_of(3, veth_to_elsewhere(5)),
            // Neither is one of another way out.
            port_of(6, veth_to_elsewhere(7)),
            link(6, Device::Bridge),
        ],
        &[
            (3, Role::Shared),
            (4, Role::Unknown),
            (5, Role::Unknown),
            (6, Role::Shared),
            (7, Role::Pod),
        ],
    );
}

#[test]
fn the_role_of_hardware_carries_up_through_bonds_and_vlans() {
    let slave = |index| Link {
        master: Some(4),
        ..link(index, Device::Physical)
    };
    assert_roles(
        &[
            slave(2),
            slave(3),
            link(4, Device::Bond),
            on(4, link(5, Device::Vlan)),
            link(6, Device::Bond),
            on(7, link(8, Device::Vlan)),
            link(7, Device::Bridge),
        ],
        &[
            (2, Role::Uplink),
            (3, Role::Uplink),
            (4, Role::Uplink),
            (5, Role::Uplink),
            (6, Role::Shared),
            (7, Role::Shared),
            (8, Role::Shared),
        ],
    );
}

#[test]
fn tunnels_and_pairs_within_the_node_are_shared_and_a_tap_could_be_anything() {
    let inside = Link {
        peer: Some(Peer {
            index: 9,
            netns_id: None,
        }),
        ..link(4, Device::Veth)
    };
    assert_roles(
        &[
            link(2, Device::Physical),
            link(3, Device::Vxlan),
            inside,
            link(5, Device::Wireguard),
            link(6, Device::Tap),
            with_default_route(link(7, Device::Tun)),
        ],
        &[
            (2, Role::Uplink),
            (3, Role::Shared),
            (4, Role::Shared),
            (5, Role::Shared),
            (6, Role::Unknown),
            (7, Role::Uplink),
        ],
    );
}

#[test]
fn a_capture_is_complete_with_every_link_that_is_up_both_ways() {
    let down = Link {
        up: false,
        ..link(4, Device::Vxlan)
    };
    let links = [
        link(1, Device::Loopback),
        link(2, Device::Physical),
        link(3, Device::Bridge),
        down,
    ];
    let captured = |indexes: &[u32]| indexes.iter().copied().collect::<BTreeSet<_>>();
    assert!(is_complete(&links, &captured(&[2, 3]), true));
    assert!(is_complete(&links, &captured(&[1, 2, 3]), true));
    assert!(!is_complete(&links, &captured(&[2, 3]), false));
    assert!(!is_complete(&links, &captured(&[2]), true));
    let unreadable = Link {
        framing: Framing::Unsupported(803),
        ..link(5, Device::Physical)
    };
    let links = [&links[..], &[unreadable]].concat();
    assert!(!is_complete(&links, &captured(&[1, 2, 3, 5]), true));
}

#[test]
fn a_role_is_read_back_from_the_description_that_says_it() {
    for role in [Role::Uplink, Role::Pod, Role::Shared, Role::Local] {
        let description = format!("veth, peer #3 in netns 0, role {}", name(role));
        assert_eq!(from_description(&description), role);
    }
    assert_eq!(from_description("veth, role unknown"), Role::Unknown);
    assert_eq!(from_description("veth, role king"), Role::Unknown);
}

#[test]
fn a_kind_alone_makes_nobody_a_pod() {
    assert_eq!(from_description("uplink"), Role::Uplink);
    assert_eq!(from_description("loopback"), Role::Local);
    assert_eq!(from_description("bridge"), Role::Shared);
    for unsure in ["veth, peer #3 in netns 0", "bridge port", "", "tap", "vlan"] {
        assert_eq!(from_description(unsure), Role::Unknown, "{unsure}");
    }
    let links = roles(&[link(1, Device::Loopback)]);
    assert_eq!(*links.get(&1).unwrap(), Role::Local);
}
