use proptest::prelude::*;

use super::*;
use crate::target::links::Device;

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.into(),
        altnames: Vec::new(),
        device: Device::Veth,
        bridge_port: false,
        default_route: false,
        up: true,
        running: true,
        mtu: 1500,
        mac: None,
        addresses: Vec::new(),
        master: None,
        peer: None,
        lower: None,
        framing: Framing::Ethernet,
    }
}

/// lo, eth0, eth1 (down), veth0, veth1, tun0 (bare), mon0 (unsupported).
fn node() -> Vec<Link> {
    vec![
        Link {
            device: Device::Loopback,
            ..link(1, "lo")
        },
        Link {
            altnames: vec!["uplink-a".into()],
            ..link(2, "eth0")
        },
        Link {
            up: false,
            running: false,
            ..link(3, "eth1")
        },
        link(4, "veth0"),
        link(5, "veth1"),
        Link {
            framing: Framing::Bare,
            ..link(6, "tun0")
        },
        Link {
            framing: Framing::Unsupported(803),
            ..link(7, "mon0")
        },
    ]
}

fn resolved(arguments: &[&str]) -> Result<Selection> {
    let patterns: Vec<_> = arguments
        .iter()
        .map(|text| Pattern::parse(text).expect("a pattern"))
        .collect();
    resolve(&patterns, &node())
}

fn names(arguments: &[&str]) -> Vec<String> {
    let selection = resolved(arguments).expect("a selection");
    selection.links.into_iter().map(|link| link.name).collect()
}

fn failure(arguments: &[&str]) -> String {
    match resolved(arguments) {
        Err(Error::Failure(text)) => text,
        other => panic!("expected a failure: {other:?}"),
    }
}

#[test]
fn a_name_an_index_and_an_altname_find_their_interface() {
    assert_eq!(names(&["veth0"]), ["veth0"]);
    assert_eq!(names(&["#4"]), ["veth0"]);
    assert_eq!(names(&["uplink-a"]), ["eth0"]);
}

#[test]
fn a_glob_takes_those_that_are_up_and_any_takes_loopback_too() {
    assert_eq!(names(&["eth*"]), ["eth0"]);
    assert_eq!(names(&["*eth?"]), ["eth0", "veth0", "veth1"]);
    assert_eq!(names(&["uplink-?"]), ["eth0"]);
    assert_eq!(names(&["any"]), ["lo", "eth0", "veth0", "veth1", "tun0"]);
}

#[test]
fn each_interface_comes_once_where_it_was_first_mentioned() {
    assert_eq!(
        names(&["veth1", "veth*", "#2", "any"]),
        ["veth1", "veth0", "eth0", "lo", "tun0"]
    );
}

#[test]
fn what_does_not_exist_is_said_with_what_comes_near() {
    assert_eq!(
        failure(&["eth7"]),
        "eth7: no such interface, did you mean eth0? `nodecap interfaces` lists them"
    );
    assert_eq!(
        failure(&["wlp0s20f3"]),
        "wlp0s20f3: no such interface; `nodecap interfaces` lists them"
    );
    assert_eq!(
        failure(&["#99"]),
        "#99: no interface has this index; `nodecap interfaces` lists them"
    );
    assert_eq!(
        failure(&["docker*"]),
        "docker*: it matches no interface; `nodecap interfaces` lists them"
    );
}

#[test]
fn what_is_down_is_said_with_the_command_that_brings_it_up() {
    let remedy = "bring it up with `ip link set eth1 up`";
    assert_eq!(failure(&["eth1"]), format!("eth1 is down: {remedy}"));
    assert_eq!(failure(&["#3"]), format!("#3 (eth1) is down: {remedy}"));
    assert_eq!(
        failure(&["*th1", "e*1"]),
        "e*1: every interface that it matches is down: \
         bring one up, as with `ip link set eth1 up`"
    );
}

#[test]
fn framing_that_cannot_be_read_fails_a_name_and_is_noted_for_a_glob() {
    assert!(failure(&["mon0"]).starts_with("mon0: can't read its link-layer header"));
    assert!(failure(&["mon*"]).starts_with("mon*: no interface that it matches has"));
    let selection = resolved(&["any", "*0"]).expect("a selection");
    assert_eq!(
        selection.notes,
        ["mon0 is left out: can't read its link-layer header (ARPHRD type 803)"]
    );
}

#[test]
fn an_interface_that_is_really_called_like_a_glob_wins() {
    let mut links = node();
    links.push(link(8, "veth*"));
    let patterns = [Pattern::parse("veth*").expect("a pattern")];
    let selection = resolve(&patterns, &links).expect("a selection");
    assert_eq!(selection.links, [link(8, "veth*")]);
    assert!(!selection.takes_later());
}

#[test]
fn only_globs_and_any_take_what_appears_later() {
    let late = link(20, "veth9");
    assert!(resolved(&["veth*"]).expect("a selection").takes(&late));
    assert!(resolved(&["any"]).expect("a selection").takes(&late));
    assert!(!resolved(&["eth*"]).expect("a selection").takes(&late));
    assert!(
        !resolved(&["veth0", "#5"])
            .expect("a selection")
            .takes_later()
    );
    assert!(!resolved(&["any"]).expect("a selection").takes(&Link {
        up: false,
        ..late.clone()
    }));
    let unreadable = Link {
        framing: Framing::Unsupported(280),
        ..late
    };
    assert!(!resolved(&["any"]).expect("a selection").takes(&unreadable));
}

/// br0 (up) with the ports veth0 (up) and veth1 (down), and veth2, which is no port.
fn bridged() -> Vec<Link> {
    let port = |index, name| Link {
        bridge_port: true,
        master: Some(3),
        ..link(index, name)
    };
    vec![
        Link {
            device: Device::Bridge,
            ..link(3, "br0")
        },
        port(4, "veth0"),
        Link {
            up: false,
            ..port(5, "veth1")
        },
        link(6, "veth2"),
    ]
}

fn of_bridge(name: &str) -> Result<Selection> {
    resolve(&[Pattern::Bridge(name.into())], &bridged())
}

#[test]
fn a_bridge_is_captured_on_with_its_ports_that_are_up() {
    let selection = of_bridge("br0").expect("a selection");
    assert_eq!(
        selection
            .links
            .iter()
            .map(|link| &*link.name)
            .collect::<Vec<_>>(),
        ["br0", "veth0"]
    );
}

#[test]
fn ports_that_join_a_bridge_or_come_up_later_belong_to_it() {
    let mut selection = of_bridge("br0").expect("a selection");
    let links = bridged();
    assert!(!selection.takes(&links[2]), "it is down");
    let came_up = Link {
        up: true,
        ..links[2].clone()
    };
    assert!(selection.takes(&came_up));
    assert!(!selection.takes(&links[3]));
    let joined = Link {
        master: Some(3),
        ..links[3].clone()
    };
    assert!(selection.takes(&joined));
}

#[test]
fn a_bridge_made_anew_under_its_name_is_taken_with_its_ports() {
    let mut selection = of_bridge("br0").expect("a selection");
    let port = Link {
        master: Some(9),
        ..link(10, "veth9")
    };
    assert!(!selection.takes(&port));
    let bridge = Link {
        device: Device::Bridge,
        ..link(9, "br0")
    };
    assert!(selection.takes(&bridge) && selection.takes(&port));
}

#[test]
fn what_is_no_bridge_is_wrong_usage_and_the_bridges_are_told() {
    let usage = |name| match of_bridge(name) {
        Err(Error::Usage(text)) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        usage("br1"),
        "--bridge br1: no such interface; the only bridge is br0"
    );
    assert_eq!(
        usage("veth2"),
        "--bridge veth2: it is no bridge (veth): name it with -i veth2; the only bridge is br0"
    );
}

#[test]
fn an_empty_name_and_an_impossible_index_are_wrong_usage() {
    for text in ["", "#", "#0", "#-1", "#x", "#4294967296", "#2147483648"] {
        assert!(
            matches!(Pattern::parse(text), Err(Error::Usage(_))),
            "{text:?}"
        );
    }
}

#[test]
fn a_message_never_carries_a_terminal_escape() {
    assert!(failure(&["\x1b[31m"]).starts_with("\\u{1b}[31m: no such interface"));
}

#[test]
fn without_a_name_the_first_operational_interface_is_taken_and_loopback_last() {
    let name_of = |links: &[Link]| usual(links).map(|found| found.links[0].name.clone());
    let mut links = node();
    assert_eq!(name_of(&links).expect("one is up"), "eth0");
    links[1].running = false;
    assert_eq!(name_of(&links).expect("one is up"), "veth0");
    assert_eq!(name_of(&links[..1]).expect("one is up"), "lo");
    assert!(name_of(&[]).is_err());
}

proptest! {
    #[test]
    fn any_text_is_a_pattern_or_wrong_usage_and_resolves_without_a_panic(text: String) {
        match Pattern::parse(&text) {
            Ok(pattern) => {
                let _ = resolve(&[pattern], &node());
            }
            Err(error) => prop_assert!(matches!(error, Error::Usage(_))),
        }
    }

    #[test]
    fn a_selection_holds_each_link_once_and_only_ones_that_can_be_captured(
        arguments in prop::collection::vec("any|#[1-7]|lo|v?eth[01*?]|[*?]{1,3}|mon0", 0..5)
    ) {
        let patterns: Vec<_> =
            arguments.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
        if let Ok(selection) = resolve(&patterns, &node()) {
            let mut seen = BTreeSet::new();
            for link in &selection.links {
                prop_assert!(seen.insert(link.index));
                prop_assert!(link.up && can_be_read(link));
                prop_assert!(patterns.iter().any(|pattern| pattern.matches(link)));
            }
        }
    }
}
