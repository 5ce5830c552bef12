//! `nodecap interfaces`: what can be captured here, and what is behind it.

mod node;
mod notes;
mod row;
mod tree;

use std::io::{self, Write};

use self::node::Node;
use self::row::Row;
use self::tree::{Branch, tree};
use super::stdout::{print, write_json};
use crate::{
    error::{Error, Result},
    target::{
        inhabitants::Behind,
        links::{Framing, Link},
        name::printable,
    },
};

/// The options of `nodecap interfaces`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Print a JSON array with one object an interface
    ///
    /// Its fields: index, name, altnames, kind (bridge port, uplink, or what it is made of),
    /// device (what it is made of), state (up, no-carrier, down), up, running, mtu, mac,
    /// addresses, master (an index), master_name, peer and lower (each an index, and a netns_id
    /// unless it is in this namespace), bridge_port, default_route, framing (ethernet, bare,
    /// unsupported), and behind: who lives in the namespace that it leads into (null where it
    /// leads into none, or nothing is known of it). Its fields: label (in words), pod
    /// (NAMESPACE/NAME), containers (each with id, name, engine, pod, pod_uid, service), process
    /// (pid, name, unit: the oldest one), netns (names of the namespace itself), interface and
    /// addresses (of the other end), services (what IPVS balances in Swarm's ingress), swarm (its
    /// services as Docker tells them: name, network, address, mark, ports, tasks). Besides:
    /// statistics (the kernel's counters by their names), vxlan (vni, port, local, group, link,
    /// peers), neighbours (address, mac, state, flags, name), fdb (what was learned or set there:
    /// mac, master, vlan, peer, port, vni, learned, flags), services (what IPVS balances here, at
    /// the interface that has the address: service, name, scheduler, backends, counters).
    #[arg(long)]
    pub json: bool,
}

/// Runs `nodecap interfaces` in the network namespace that the process is in.
///
/// # Errors
///
/// When the links can't be read, or standard output can't be written.
pub fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Error::failure(format!(
                "can't wait for the kernel's answers: {error}; raise the limit of open files \
                 (ulimit -n)"
            ))
        })?;
    let node = runtime.block_on(Node::read())?;
    for missing in &node.missing {
        // What is asked for comes without it: nobody to tell is no failure.
        let _ = writeln!(io::stderr(), "nodecap: {missing}");
    }
    if args.json {
        let rows: Vec<_> = node.links.iter().map(|link| Row::of(link, &node)).collect();
        print(|out| write_json(out, &rows))
    } else {
        print(|out| write_table(out, &node))
    }
}

const HEAD: [&str; 12] = [
    "INDEX",
    "NAME",
    "KIND",
    "STATE",
    "MTU",
    "MAC",
    "MASTER",
    "LINKED TO",
    "BEHIND IT",
    "ADDRESSES",
    "RECEIVED",
    "SENT",
];

fn write_table(out: &mut dyn Write, node: &Node) -> io::Result<()> {
    let head = HEAD.map(str::to_owned);
    let branches = tree(&node.links);
    let rows: Vec<_> = std::iter::once(head)
        .chain(branches.iter().map(|branch| cells(branch, node)))
        .collect();
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let notes = std::iter::once(Vec::new()).chain(branches.iter().map(|branch| {
        let notes = notes::notes(branch.link, node).into_iter();
        let before = format!("{:1$}{2}", "", widths[0] + 2, branch.below);
        notes.map(|note| format!("{before}   {note}")).collect()
    }));
    for (row, notes) in rows.iter().zip(notes) {
        let line: String = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}  "))
            .collect();
        writeln!(out, "{}", line.trim_end())?;
        for note in notes {
            writeln!(out, "{note}")?;
        }
    }
    Ok(())
}

fn cells(branch: &Branch<'_>, node: &Node) -> [String; HEAD.len()] {
    let link = branch.link;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let joined = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(" "));
    let linked_to = [("peer", link.peer), ("on", link.lower)]
        .into_iter()
        .filter_map(|(how, other)| other.map(|other| format!("{how} {other}")));
    let mut name = format!("{}{}", branch.indent, printable(&link.name));
    if !link.altnames.is_empty() {
        let others: Vec<_> = link
            .altnames
            .iter()
            .map(|name| printable(name).to_string())
            .collect();
        name += &format!(" ({})", others.join(", "));
    }
    [
        link.index.to_string(),
        name,
        kind(link),
        link.state().to_owned(),
        link.mtu.to_string(),
        or_dash(link.mac.map(|mac| mac.to_string())),
        or_dash(link.master.map(|index| match node.master(link) {
            Some(master) => printable(&master.name).to_string(),
            None => format!("#{index}"),
        })),
        or_dash(joined(linked_to.collect())),
        or_dash(node.inhabitants.behind(link).and_then(behind)),
        or_dash(joined(
            link.addresses.iter().map(ToString::to_string).collect(),
        )),
        counted(link, node, "rx"),
        counted(link, node, "tx"),
    ]
}

/// How many packets came in or went out, and how many didn't.
fn counted(link: &Link, node: &Node, way: &str) -> String {
    let Some(facts) = node.facts_of(link) else {
        return "-".to_owned();
    };
    let count = |what: &str| {
        let name = format!("{way}_{what}");
        facts.statistics.get(name.as_str()).copied().unwrap_or(0)
    };
    let mut text = count("packets").to_string();
    let (errors, dropped) = (count("errors"), count("dropped"));
    if errors > 0 {
        text += &format!(", {errors} errors");
    }
    if dropped > 0 {
        text += &format!(", {dropped} dropped");
    }
    text
}

/// Who lives behind it, and what it is called and where it is there.
fn behind(
    Behind {
        inhabitant,
        far_end,
    }: Behind<'_>,
) -> Option<String> {
    let Some(far_end) = far_end else {
        return inhabitant.label();
    };
    let mut words: Vec<_> = inhabitant
        .label()
        .map(|label| format!("{label}:"))
        .into_iter()
        .collect();
    words.push(printable(&far_end.name).to_string());
    words.extend(far_end.addresses.iter().map(ToString::to_string));
    Some(words.join(" "))
}

/// Its part in the node, what it is made of, and whether that stands in the way of a capture.
fn kind(link: &Link) -> String {
    let (kind, device) = (link.kind().name(), link.device.name());
    let mut text = match kind == device {
        true => printable(kind).to_string(),
        false => format!("{kind} ({})", printable(device)),
    };
    if let Framing::Unsupported(arphrd) = link.framing {
        text += &format!(", unsupported (ARPHRD type {arphrd})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::links::{Device, Mac, Peer};

    fn bridge_and_port() -> Vec<Link> {
        let bridge = Link {
            index: 3,
            name: "docker0".into(),
            altnames: Vec::new(),
            device: Device::Bridge,
            bridge_port: false,
            default_route: false,
            up: true,
            running: true,
            mtu: 1500,
            mac: Some(Mac([2, 0x42, 0, 0, 0, 1])),
            addresses: vec!["172.17.0.1/16".parse().expect("a prefix")],
            master: None,
            peer: None,
            lower: None,
            framing: Framing::Ethernet,
        };
        let port = Link {
            index: 12,
            name: "ve\x1bth".into(),
            altnames: vec!["pod".into()],
            device: Device::Veth,
            bridge_port: true,
            running: false,
            mac: None,
            addresses: Vec::new(),
            master: Some(3),
            peer: Some(Peer {
                index: 5,
                netns_id: Some(0),
            }),
            ..bridge.clone()
        };
        vec![bridge, port]
    }

    #[test]
    fn the_table_is_an_aligned_tree_free_of_terminal_escapes() {
        let mut out = Vec::new();
        let links = bridge_and_port();
        let node = Node {
            links,
            ..Node::default()
        };
        write_table(&mut out, &node).expect("a Vec takes all");
        let expected = "\
INDEX  NAME                 KIND                STATE       MTU   MAC                MASTER   \
LINKED TO           BEHIND IT  ADDRESSES      RECEIVED  SENT
3      docker0              bridge              up          1500  02:42:00:00:00:01  -        \
-                   -          172.17.0.1/16  -         -
12     └─ ve\\u{1b}th (pod)  bridge port (veth)  no-carrier  1500  -                  docker0  \
peer #5 in netns 0  -          -              -         -
";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn the_json_says_kind_state_and_the_masters_name_beside_the_links_own_fields() {
        let links = bridge_and_port();
        let node = Node {
            links,
            ..Node::default()
        };
        let json = serde_json::to_value(Row::of(&node.links[1], &node)).expect("a row is JSON");
        assert!(json["behind"].is_null());
        assert_eq!(json["kind"], "bridge port");
        assert_eq!(json["device"], "veth");
        assert_eq!(json["state"], "no-carrier");
        assert_eq!(json["master"], 3);
        assert_eq!(json["master_name"], "docker0");
        assert_eq!(json["name"], "ve\x1bth");
    }

    #[test]
    fn framing_that_cannot_be_captured_is_said() {
        let mut links = bridge_and_port();
        links[0].framing = Framing::Unsupported(803);
        assert_eq!(kind(&links[0]), "bridge, unsupported (ARPHRD type 803)");
    }
}
