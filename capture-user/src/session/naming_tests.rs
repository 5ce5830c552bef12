use super::*;
use crate::flow::role::Role;
use crate::target::inhabitants::example as inhabited;
use crate::target::links::{Peer, example};

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn names(names: &[(&str, &str)]) -> Vec<Name> {
    names
        .iter()
        .map(|(text, name)| (address(text), (*name).to_owned()))
        .collect()
}

/// A link into a namespace.
fn leading(index: u32, netns: i32) -> Link {
    Link {
        peer: Some(Peer {
            index: 2,
            netns_id: Some(netns),
        }),
        ..example(index, "veth")
    }
}

/// web and db, each in a namespace of its own.
fn naming() -> Naming {
    let found = inhabited(&[
        (0, "web", &["172.17.0.2/16"]),
        (1, "db", &["172.17.0.3/16"]),
    ]);
    Naming::new(true, None, &[leading(10, 0), leading(11, 1)], &found)
}

#[test]
fn only_what_is_new_or_has_changed_is_news() {
    let mut naming = naming();
    assert_eq!(
        naming.all(),
        names(&[("172.17.0.2", "web"), ("172.17.0.3", "db")])
    );
    let same = inhabited(&[
        (0, "web", &["172.17.0.2/16"]),
        (1, "db", &["172.17.0.3/16"]),
    ]);
    assert!(naming.compare(&same, &Meanwhile::default()).is_empty());
    let changed = inhabited(&[(0, "web-2", &["172.17.0.2/16"]), (1, "db", &[])]);
    let news = naming.compare(&changed, &Meanwhile::default());
    assert_eq!(news.learned, names(&[("172.17.0.2", "web-2")]));
    assert_eq!(news.forgotten, [address("172.17.0.3")]);
    assert_eq!(news.behind, [(10, Some("web-2".to_owned()))]);
}

#[test]
fn links_that_lead_somewhere_are_looked_behind_soon_and_once_for_many_events() {
    let mut naming = naming();
    let now = Instant::now();
    assert!(naming.hear(&example(1, "lone"), now).is_empty());
    assert_eq!(naming.next, None);
    assert!(naming.hear(&leading(12, 2), now).is_empty());
    assert!(naming.hear(&leading(12, 2), now + SOON / 2).is_empty());
    assert_eq!(naming.next, Some(now + SOON));
    assert_eq!(naming.until, now + SOON / 2 + PATIENCE);
}

#[test]
fn with_a_link_go_the_names_that_it_led_to() {
    let mut naming = naming();
    let now = Instant::now();
    let news = naming.hear_gone(10, now);
    assert_eq!(news.forgotten, [address("172.17.0.2")]);
    assert_eq!(news.behind, [(10, None)]);
    assert!(naming.hear_gone(10, now).is_empty());
    // Or with its going elsewhere.
    let news = naming.hear(&leading(11, 7), now);
    assert_eq!(news.forgotten, [address("172.17.0.3")]);
    assert!(naming.all().is_empty());
}

#[test]
fn what_happens_to_an_address_ends_its_name_and_beats_a_look_that_goes_on() {
    let mut naming = naming();
    let now = Instant::now();
    naming.looking = Some(Looking::example().0);
    let heard = |text| Some(Heard::Of(vec![address(text)]));
    let news = naming.hear_addresses(heard("172.17.0.2"), now);
    assert_eq!(news.forgotten, [address("172.17.0.2")]);
    assert!(naming.next.is_some());
    // Looked at before that.
    let stale = inhabited(&[
        (0, "web", &["172.17.0.2/16"]),
        (1, "db", &["172.17.0.3/16"]),
    ]);
    let looked = naming.looking.take().expect("a look");
    assert!(naming.compare(&stale, &looked.meanwhile).is_empty());
    let admitted = naming.admit(&stale, &looked.meanwhile);
    assert_eq!(admitted, names(&[("172.17.0.3", "db")]));
    let fresh = inhabited(&[
        (0, "web", &[]),
        (1, "db", &["172.17.0.3/16", "172.17.0.2/16"]),
    ]);
    assert_eq!(
        naming.compare(&fresh, &Meanwhile::default()).learned,
        names(&[("172.17.0.2", "db")])
    );
    let news = naming.hear_addresses(Some(Heard::TooMuch), now);
    assert_eq!(news.forgotten.len(), 2);
}

#[test]
fn an_engine_that_does_not_answer_takes_no_name_away() {
    let mut naming = naming();
    let mut found = inhabited(&[(0, "web", &["172.17.0.2/16"])]);
    found.missing = Some("no answer within 2 s".to_owned());
    assert!(naming.compare(&found, &Meanwhile::default()).is_empty());
}

#[test]
fn a_name_found_with_an_interface_does_not_take_another_s_address() {
    let mut naming = naming();
    let found = inhabited(&[(3, "late", &["172.17.0.2/16", "172.17.0.4/16"])]);
    let admitted = naming.admit(&found, &Meanwhile::default());
    assert_eq!(admitted, names(&[("172.17.0.4", "late")]));
}

#[test]
fn nobody_looks_where_names_are_not_wanted() {
    let mut naming = Naming::new(false, None, &[], &Inhabitants::default());
    naming.hear(&leading(12, 2), Instant::now());
    assert_eq!(naming.next, None);
}

#[test]
fn a_newcomer_is_described_with_what_was_found_behind_it() {
    let mut naming = naming();
    let link = leading(12, 2);
    let newcomer = Newcomer {
        id: 7,
        interface: Interface::new(&link, Role::Pod, None, None),
        link,
    };
    let found = inhabited(&[(2, "late", &["172.17.0.4/16"])]);
    let news = naming.introduce(vec![newcomer], &found, &Meanwhile::default());
    assert_eq!(news.learned, names(&[("172.17.0.4", "late")]));
    let (id, interface) = &news.described[0];
    assert_eq!((*id, interface.who.as_deref()), (7, Some("late")));
    assert!(interface.described, "{interface:?}");
    let said = &interface.description;
    assert!(
        said.ends_with(", role pod, container late (eth0)"),
        "{said}"
    );
}
