use super::look::{complete, inhabitant};
use super::*;
use crate::target::links::{Peer, example};
use crate::target::process::{self, Seen, cgroup};
use crate::target::runtime::{Named, Names, Task};

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn seen(pid: u32, path: &str) -> Seen {
    Seen {
        process: process::Process::example(pid),
        owner: cgroup::owner(&format!("0::{path}\n")),
    }
}

fn container(name: Option<&str>) -> Container {
    Container {
        id: id('a'),
        name: name.map(str::to_owned),
        engine: Engine::Docker,
        pod: None,
        pod_uid: None,
        service: None,
    }
}

fn pod() -> Pod {
    Pod {
        namespace: "default".into(),
        name: "web".into(),
    }
}

fn with_address(name: Option<&str>, addresses: &[&str]) -> Inhabitant {
    let mut link = example(2, "eth0");
    link.addresses = addresses
        .iter()
        .map(|address| address.parse().expect("a prefix"))
        .collect();
    Inhabitant {
        containers: vec![container(name)],
        links: [(2, link)].into(),
        ..Inhabitant::default()
    }
}

fn all(inhabitants: Vec<Inhabitant>) -> Inhabitants {
    Inhabitants {
        by_netns: (0..).zip(inhabitants).collect(),
        ..Inhabitants::default()
    }
}

#[test]
fn the_containers_of_a_namespace_come_by_age_and_once() {
    let all = vec![
        seen(30, &format!("/docker/{}", id('b'))),
        seen(20, &format!("/docker/{}", id('a'))),
        seen(40, &format!("/docker/{}", id('a'))),
    ];
    let found = inhabitant(all);
    let ids: Vec<_> = found.containers.iter().map(|it| it.id.clone()).collect();
    assert_eq!(ids, [id('a'), id('b')]);
    assert_eq!(found.process.map(|process| process.pid), Some(20));
}

#[test]
fn what_the_engine_knows_is_added() {
    let mut nameless = Container {
        engine: Engine::Unknown,
        ..container(None)
    };
    let names = Names {
        containers: vec![Named {
            id: id('a'),
            name: "web".into(),
            engine: Engine::Podman,
            running: true,
            pod: Some(pod()),
            service: Some("shop".into()),
        }],
        ..Names::default()
    };
    complete(&mut nameless, &names);
    assert_eq!(nameless.name.as_deref(), Some("web"));
    assert_eq!(nameless.engine, Engine::Podman);
    assert_eq!(nameless.pod, Some(pod()));
    assert_eq!(nameless.service.as_deref(), Some("shop"));
}

#[test]
fn who_lives_there_is_said_as_well_as_it_is_known() {
    let label = |inhabitant: Inhabitant| inhabitant.label();
    let nothing = Inhabitant::default();
    assert_eq!(label(nothing.clone()), None);
    let process = Some(Process {
        pid: 7,
        name: "sle\x1bep".into(),
        unit: None,
    });
    let mut one = Inhabitant { process, ..nothing };
    assert_eq!(
        label(one.clone()).as_deref(),
        Some("process sle\\u{1b}ep (pid 7)")
    );
    if let Some(process) = &mut one.process {
        process.unit = Some("vpn.service".into());
    }
    assert_eq!(label(one.clone()).as_deref(), Some("unit vpn.service"));
    one.netns = vec!["blue".into()];
    assert_eq!(label(one.clone()).as_deref(), Some("netns blue"));
    one.containers = vec![container(None)];
    assert_eq!(
        label(one.clone()).as_deref(),
        Some("container aaaaaaaaaaaa")
    );
    one.containers = vec![container(Some("web")), container(None)];
    assert_eq!(
        label(one.clone()).as_deref(),
        Some("container web and 1 more")
    );
    one.containers[0].pod_uid = Some("u-i-d".into());
    assert_eq!(label(one.clone()).as_deref(), Some("pod with uid u-i-d"));
    one.containers[1].pod = Some(pod());
    assert_eq!(label(one.clone()).as_deref(), Some("pod default/web"));
    assert_eq!(one.name().as_deref(), Some("default/web"));
}

#[test]
fn an_address_has_a_name_unless_several_have_the_address() {
    let node = all(vec![
        with_address(Some("web"), &["172.17.0.2/16", "127.0.0.1/8", "fe80::1/64"]),
        with_address(Some("db"), &["172.17.0.3/16", "10.0.0.1/8"]),
        with_address(Some("other"), &["10.0.0.1/8"]),
        with_address(None, &["172.17.0.4/16"]),
    ]);
    assert_eq!(
        node.names(),
        [
            (address("172.17.0.2"), "web".to_owned(), 0),
            (address("172.17.0.3"), "db".to_owned(), 1)
        ]
    );
}

#[test]
fn an_address_that_somebody_nameless_has_too_is_called_nothing() {
    let node = all(vec![
        with_address(Some("web"), &["172.17.0.2/16"]),
        with_address(None, &["172.17.0.2/16"]),
    ]);
    assert!(node.names().is_empty());
}

#[test]
fn behind_a_link_is_what_its_other_end_is_in() {
    let node = all(vec![with_address(Some("web"), &["172.17.0.2/16"])]);
    let leading = |index, netns_id| Link {
        peer: Some(Peer { index, netns_id }),
        ..example(9, "veth9")
    };
    let behind = node.behind(&leading(2, Some(0))).expect("web");
    assert_eq!(behind.inhabitant.name().as_deref(), Some("web"));
    assert_eq!(behind.far_end.map(|link| &*link.name), Some("eth0"));
    assert!(node.behind(&leading(2, Some(1))).is_none());
    assert!(node.behind(&leading(2, None)).is_none());
    assert!(node.behind(&example(9, "veth9")).is_none());
    assert!(
        node.behind(&leading(3, Some(0)))
            .is_some_and(|behind| behind.far_end.is_none())
    );
}

#[test]
fn the_node_s_own_address_is_nobody_else_s_name() {
    let mut node = all(vec![with_address(
        Some("web"),
        &["192.0.2.1/24", "172.17.0.2/16"],
    )]);
    node.own = ["192.0.2.1".parse().expect("an address")].into();
    let named: Vec<_> = node
        .names()
        .iter()
        .map(|(address, ..)| address.to_string())
        .collect();
    assert_eq!(named, ["172.17.0.2"]);
}

#[test]
fn the_addresses_of_a_namespace_that_was_entered_are_called_by_who_lives_there() {
    let mut node = all(vec![with_address(
        Some("db"),
        &["172.17.0.3/16", "10.8.0.5/24"],
    )]);
    let own = ["10.8.0.5", "127.0.0.1", "fe80::1"];
    node.own = own.into_iter().map(address).collect();
    let here = |name: Option<&str>| Here {
        label: "container web".into(),
        name: name.map(str::to_owned),
    };
    node.here = Some(here(Some("web")));
    let web = (address("10.8.0.5"), "web".to_owned(), HERE);
    let db = (address("172.17.0.3"), "db".to_owned(), 0);
    assert_eq!(node.names(), [web, db.clone()]);
    node.here = Some(here(None));
    assert_eq!(node.names(), [db]);
}

#[test]
fn a_host_that_is_looked_at_from_a_pod_is_not_called_by_the_pods_on_its_network() {
    let mut host = inhabitant(vec![
        seen(1, "/init.scope"),
        seen(30, &format!("/kubepods/podx/{}", id('a'))),
    ]);
    assert!(host.shared);
    host.containers[0].name = Some("kube-proxy".into());
    host.containers[0].pod = Some(pod());
    assert_eq!(host.name(), None);
    assert_eq!(host.pod(), None);
    // One whose first process is a container's is that one's, whoever looks in later.
    let own = inhabitant(vec![
        seen(40, "/user.slice/session-1.scope"),
        seen(30, &format!("/docker/{}", id('a'))),
    ]);
    assert!(!own.shared);
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn service(name: &str, vip: &str, mark: u32, tasks: &[(&str, &str)]) -> Service {
    let tasks = tasks.iter();
    Service {
        name: name.into(),
        network: "ingress".into(),
        address: vip.parse().ok(),
        mark: Some(mark),
        ports: Vec::new(),
        tasks: tasks
            .map(|(name, at)| Task {
                name: (*name).into(),
                address: address(at),
            })
            .collect(),
    }
}

/// The ingress, with its own address and two virtual ones, and two services of which one is on two
/// networks.
fn swarm() -> Inhabitants {
    let mut ingress = with_address(None, &["10.0.0.2/24", "10.0.0.3/32", "10.0.0.5/32"]);
    ingress.ingress = true;
    let mut node = all(vec![ingress]);
    node.services = vec![
        service("shop", "10.0.0.3", 257, &[("shop.1.x", "10.0.0.4")]),
        service("shop", "10.0.1.3", 258, &[]),
        service("mail", "10.0.0.5", 259, &[("mail.1.y", "10.0.0.6")]),
        service("odd", "10.0.1.3", 260, &[]),
    ];
    node
}

#[test]
fn a_virtual_address_is_called_by_its_service_and_the_ingress_keeps_its_own() {
    let named = [
        (address("10.0.0.2"), INGRESS.to_owned(), 0),
        (address("10.0.0.3"), "shop".to_owned(), 0),
        (address("10.0.0.5"), "mail".to_owned(), 0),
    ];
    assert_eq!(swarm().names(), named);
    // Elsewhere such an address is somebody else's.
    let mut node = swarm();
    node.by_netns = all(vec![with_address(Some("web"), &["10.0.0.3/24"])]).by_netns;
    assert_eq!(node.names(), [(address("10.0.0.3"), "web".to_owned(), 0)]);
}

#[test]
fn what_ipvs_balances_is_a_service_by_its_mark_or_its_address() {
    let node = swarm();
    let balanced = |mark, at: Option<&str>| node.service_balanced(mark, at.map(address));
    assert_eq!(balanced(Some(257), None).as_deref(), Some("shop"));
    assert_eq!(balanced(Some(258), None).as_deref(), Some("shop"));
    assert_eq!(balanced(Some(1), None), None);
    assert_eq!(balanced(None, Some("10.0.0.5")).as_deref(), Some("mail"));
    // Two networks have it.
    assert_eq!(balanced(None, Some("10.0.1.3")), None);
    assert_eq!(balanced(None, None), None);
    assert_eq!(
        node.task_at(address("10.0.0.6")).as_deref(),
        Some("mail.1.y")
    );
    assert_eq!(node.task_at(address("10.0.0.2")), None);
}

#[test]
fn servers_that_are_containers_of_one_service_are_that_service() {
    let of = |service: Option<&str>, at: &str| {
        let mut inhabitant = with_address(Some("some.1.x"), &[at]);
        inhabitant.containers[0].service = service.map(str::to_owned);
        inhabitant
    };
    let node = all(vec![
        of(Some("shop"), "10.0.0.4/24"),
        of(Some("shop"), "10.0.0.5/24"),
        of(Some("mail"), "10.0.0.6/24"),
        of(None, "10.0.0.7/24"),
        of(Some("shop"), "10.0.0.8/24"),
        of(Some("mail"), "10.0.0.8/24"),
    ]);
    let service = |servers: &[&str]| {
        let servers: Vec<_> = servers.iter().map(|at| address(at)).collect();
        node.service_of(&servers)
    };
    assert_eq!(service(&["10.0.0.4", "10.0.0.5"]).as_deref(), Some("shop"));
    // The others run on other nodes.
    assert_eq!(service(&["10.0.0.6", "10.9.9.9"]).as_deref(), Some("mail"));
    // Of two services, of none at all, an address that two have, nothing known.
    for servers in [
        &["10.0.0.4", "10.0.0.6"][..],
        &["10.0.0.4", "10.0.0.7"],
        &["10.0.0.8"],
        &["10.9.9.9"],
        &[],
    ] {
        assert_eq!(service(servers), None, "{servers:?}");
    }
}
