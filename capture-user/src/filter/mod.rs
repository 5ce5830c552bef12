//! What to capture: from the options and the expression that were typed to the tables and the code
//! that the kernel has them in.
//!
//! - [`addresses`]: prefixes with the options that they belong to; [`tree`]: the same as the kernel
//!   looks addresses up; [`few`]: short lists as code; [`ordinary`]: all options as code, for packets
//!   that are as most are
//! - [`ports`], [`protocols`]: how one is written, and a table for all
//! - [`lists`]: the address options' lists as they are typed, and their files
//! - [`expression`]: a filter as tcpdump takes it; [`ebpf`]: the instructions that it becomes,
//!   put together by `assembly`, with searches for a number in it by `search`
//! - [`trial`]: a filter tried out on saved packets

pub mod addresses;
mod assembly;
pub mod ebpf;
pub mod expression;
pub mod few;
pub mod lists;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod machine;
pub mod ordinary;
pub mod ports;
pub mod protocols;
mod search;
pub mod tree;
pub mod trial;

use std::fmt::Write as _;
use std::net::IpAddr;

use capture_common::filter::{
    ARP, DST, EITHER, IP_PROTOCOLS, NOT_DST, NOT_EITHER, NOT_SRC, SRC, has_ports,
};
use ipnet::IpNet;

use expression::Expression;
use lists::Held;
use ports::{PortRange, PortTable};
use protocols::{Protocol, ProtocolTable};
use tree::Tree;

use crate::flow::tuple::Tuple;

/// What the options ask for. An empty list asks for nothing; what several lists ask for must all
/// hold; within a list one is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `--host`: either end's address.
    pub hosts: Vec<IpNet>,
    /// `--src`: the sender's address.
    pub sources: Vec<IpNet>,
    /// `--dst`: the receiver's address.
    pub destinations: Vec<IpNet>,
    /// `--port`: either end's port.
    pub ports: Vec<PortRange>,
    /// `--sport`: the sender's port.
    pub source_ports: Vec<PortRange>,
    /// `--dport`: the receiver's port.
    pub destination_ports: Vec<PortRange>,
    /// `--proto`.
    pub protocols: Vec<Protocol>,
    /// What a packet must match besides.
    pub expression: Option<Expression>,
    /// Addresses that the address options bar.
    pub barred: Barred,
    /// Whether the address lists may change while the capture runs.
    pub reread: bool,
    /// `--inner`: the options are about the packet within a tunnel's, and so are flows. The
    /// expression isn't.
    pub inner: bool,
}

/// Addresses that no packet may have. Whoever bars some addresses and wants none by name wants all
/// others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Barred {
    /// By `--host`: at neither end.
    pub hosts: Vec<IpNet>,
    /// By `--src`: the sender's.
    pub sources: Vec<IpNet>,
    /// By `--dst`: the receiver's.
    pub destinations: Vec<IpNet>,
}

/// The filter as the kernel takes it: see `capture_common::filter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Which address options were given, as bits.
    pub address_options: u8,
    /// IPv4 addresses, each with the bits of every option whose list it is on.
    pub addresses_v4: Tree,
    /// IPv6 addresses likewise.
    pub addresses_v6: Tree,
    /// Which port options were given, as bits.
    pub port_options: u8,
    /// Bits by port number.
    pub ports: PortTable,
    /// What kinds of protocol were given, as bits.
    pub protocol_options: u8,
    /// 1 by IP protocol number.
    pub protocols: ProtocolTable,
    /// What a packet must match besides.
    pub expression: Option<Expression>,
    /// Whether the options are about the packet within a tunnel's.
    pub inner: bool,
    /// Whether there must be room for more addresses.
    pub reread: bool,
}

impl Tables {
    /// Whether packets of this flow match, in one direction at least. A filter that asks for
    /// nothing names nobody.
    #[must_use]
    pub fn names(&self, tuple: &Tuple) -> bool {
        // Nobody can tell by a tunnel's own ends what is in it.
        !self.is_empty()
            && !self.inner
            && [*tuple, tuple.reversed()].iter().any(|way| self.takes(way))
    }

    /// As the kernel side asks, see its `filter` module.
    fn takes(&self, tuple: &Tuple) -> bool {
        let (from, to) = (&tuple.source, &tuple.destination);
        let bits = |address: IpAddr| match address {
            IpAddr::V4(_) => self.addresses_v4.bits(address),
            IpAddr::V6(_) => self.addresses_v6.bits(address),
        };
        let ip = self.protocol_options & IP_PROTOCOLS != 0;
        (self.address_options == 0
            || hit(self.address_options, bits(from.address), bits(to.address)))
            && (self.port_options == 0
                || has_ports(tuple.protocol)
                    && hit(
                        self.port_options,
                        self.ports.bits(from.port),
                        self.ports.bits(to.port),
                    ))
            && (self.protocol_options == 0 || ip && self.protocols.contains(tuple.protocol))
            && self.expression.as_ref().is_none_or(|it| it.takes(tuple))
    }

    /// Whether every packet passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.address_options | self.port_options | self.protocol_options == 0
            && self.expression.is_none()
    }
}

impl Filter {
    /// Whether every packet passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nothing = Self {
            inner: self.inner,
            ..Self::default()
        };
        *self == nothing
    }

    /// The same filter with other address lists.
    #[must_use]
    pub fn with(&self, held: Held) -> Self {
        Self {
            hosts: held.hosts,
            sources: held.sources,
            destinations: held.destinations,
            barred: held.barred,
            ..self.clone()
        }
    }

    /// Which address options were given, as bits.
    #[must_use]
    pub fn address_options(&self) -> u8 {
        given(&self.address_lists())
    }

    fn address_lists(&self) -> [(u8, &Vec<IpNet>); 6] {
        [
            (EITHER, &self.hosts),
            (SRC, &self.sources),
            (DST, &self.destinations),
            (NOT_EITHER, &self.barred.hosts),
            (NOT_SRC, &self.barred.sources),
            (NOT_DST, &self.barred.destinations),
        ]
    }

    /// The tables for the kernel.
    #[must_use]
    pub fn tables(&self) -> Tables {
        let address_lists = self.address_lists();
        let port_lists = [
            (EITHER, &self.ports),
            (SRC, &self.source_ports),
            (DST, &self.destination_ports),
        ];
        let (addresses_v4, addresses_v6) = addresses::merge(&address_lists);
        Tables {
            address_options: given(&address_lists),
            addresses_v4: Tree::v4(&addresses_v4),
            addresses_v6: Tree::v6(&addresses_v6),
            port_options: given(&port_lists),
            ports: ports::table(&port_lists),
            protocol_options: self.protocols.iter().fold(0, |kinds, protocol| {
                kinds
                    | match protocol {
                        Protocol::Ip(_) => IP_PROTOCOLS,
                        Protocol::Arp => ARP,
                    }
            }),
            protocols: protocols::table(&self.protocols),
            expression: self.expression.clone(),
            inner: self.inner,
            reread: self.reread,
        }
    }

    /// The filter as options that ask for the same, for the capture file's interface blocks.
    /// Long lists are cut, with a word on how many there are.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = String::new();
        if self.inner {
            text.push_str("--inner");
        }
        let barred = &self.barred;
        describe_list(&mut text, "--host", &all(&self.hosts, &barred.hosts));
        describe_list(&mut text, "--src", &all(&self.sources, &barred.sources));
        describe_list(
            &mut text,
            "--dst",
            &all(&self.destinations, &barred.destinations),
        );
        describe_list(&mut text, "--port", &self.ports);
        describe_list(&mut text, "--sport", &self.source_ports);
        describe_list(&mut text, "--dport", &self.destination_ports);
        describe_list(&mut text, "--proto", &self.protocols);
        if let Some(expression) = &self.expression {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(expression.text());
        }
        text
    }
}

/// Each option in `asked` finds its bit where it looks for it, and none that it bars: see
/// `capture_common::filter`.
const fn hit(asked: u8, source: u8, destination: u8) -> bool {
    let either = source | destination;
    let found = either & EITHER | source & SRC | destination & DST;
    let barred = either & NOT_EITHER | source & NOT_SRC | destination & NOT_DST;
    let wanted = asked & (EITHER | SRC | DST);
    found & wanted == wanted && barred == 0
}

/// An address option's list as it is typed.
fn all(wanted: &[IpNet], barred: &[IpNet]) -> Vec<String> {
    let wanted = wanted.iter().map(IpNet::to_string);
    wanted
        .chain(barred.iter().map(|net| format!("!{net}")))
        .collect()
}

/// The bits of the lists that aren't empty.
fn given<T>(lists: &[(u8, &Vec<T>)]) -> u8 {
    lists
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .fold(0, |bits, (bit, _)| bits | bit)
}

/// How many entries of a list [`Filter::describe`] writes out.
const DESCRIBED_ENTRIES: usize = 16;

fn describe_list<T: ToString>(text: &mut String, option: &str, list: &[T]) {
    if list.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push(' ');
    }
    let written: Vec<_> = list
        .iter()
        .take(DESCRIBED_ENTRIES)
        .map(T::to_string)
        .collect();
    text.push_str(option);
    text.push(' ');
    text.push_str(&written.join(","));
    if list.len() > DESCRIBED_ENTRIES {
        // Writing to a String can't fail.
        let _ = write!(text, ",… ({} in all)", list.len());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests {
    use super::*;
    use crate::flow::tuple::Endpoint;

    #[test]
    fn no_option_is_an_empty_filter_that_sets_no_bit() {
        let tables = Filter::default().tables();
        assert!(Filter::default().is_empty());
        assert_eq!(tables.address_options, 0);
        assert_eq!(tables.port_options, 0);
        assert_eq!(tables.protocol_options, 0);
        assert!(tables.addresses_v4.slots().is_empty() && tables.addresses_v6.slots().is_empty());
    }

    #[test]
    fn each_given_option_sets_its_own_bit() {
        let filter = Filter {
            sources: vec!["192.0.2.0/24".parse().unwrap()],
            destination_ports: vec!["443".parse().unwrap()],
            protocols: vec!["arp".parse().unwrap(), "tcp".parse().unwrap()],
            ..Filter::default()
        };
        let tables = filter.tables();
        assert_eq!(tables.address_options, SRC);
        assert_eq!(tables.port_options, DST);
        assert_eq!(tables.protocol_options, IP_PROTOCOLS | ARP);
        assert_eq!(tables.ports.bits(443), DST);
        assert_eq!(tables.ports.bits(80), 0);
        assert!(tables.protocols.contains(6));
        assert!(!tables.protocols.contains(17));
    }

    #[test]
    fn the_description_is_the_options_again() {
        let filter = Filter {
            hosts: vec![
                "192.0.2.1/32".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            ports: vec!["80".parse().unwrap(), "8000-8999".parse().unwrap()],
            protocols: vec!["tcp".parse().unwrap(), "90".parse().unwrap()],
            ..Filter::default()
        };
        assert_eq!(
            filter.describe(),
            "--host 192.0.2.1/32,2001:db8::/32 --port 80,8000-8999 --proto tcp,90"
        );
    }

    #[test]
    fn a_flow_is_named_by_a_filter_that_one_of_its_directions_matches() {
        let filter = |words: &str| {
            let mut filter = Filter::default();
            for word in words.split(' ') {
                match word.split_once('=').unwrap() {
                    ("src", net) => filter.sources.push(net.parse().unwrap()),
                    ("host", net) => filter.hosts.push(net.parse().unwrap()),
                    ("dport", port) => filter.destination_ports.push(port.parse().unwrap()),
                    (_, name) => filter.protocols.push(name.parse().unwrap()),
                }
            }
            filter
        };
        let end = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
        let tuple = Tuple {
            source: end("192.0.2.9:40000"),
            destination: end("198.51.100.2:80"),
            protocol: 6,
        };
        for words in [
            "host=198.51.100.0/24",
            "src=198.51.100.2/32",
            "dport=80",
            "proto=tcp",
            "host=192.0.2.9/32 dport=80 proto=tcp",
        ] {
            assert!(filter(words).tables().names(&tuple), "{words}");
        }
        for words in [
            "host=203.0.113.0/24",
            "dport=81",
            "proto=udp",
            "src=192.0.2.9/32 dport=40000",
        ] {
            assert!(!filter(words).tables().names(&tuple), "{words}");
        }
        assert!(!Filter::default().tables().names(&tuple));
    }

    #[test]
    fn a_barred_address_names_no_flow_whatever_is_wanted() {
        let end = |text: &str| Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap());
        let tuple = Tuple {
            source: end("192.0.2.9:40000"),
            destination: end("198.51.100.2:80"),
            protocol: 6,
        };
        let barred = |hosts: &str, sources: &str| Barred {
            hosts: hosts.split(' ').flat_map(str::parse).collect(),
            sources: sources.split(' ').flat_map(str::parse).collect(),
            ..Barred::default()
        };
        let filter = |barred| Filter {
            hosts: vec!["192.0.2.0/24".parse().unwrap()],
            barred,
            ..Filter::default()
        };
        assert!(filter(barred("203.0.113.0/24", "")).tables().names(&tuple));
        assert!(!filter(barred("192.0.2.8/29", "")).tables().names(&tuple));
        assert!(!filter(barred("198.51.100.2/32", "")).tables().names(&tuple));
        // The other direction of the flow has the other sender.
        assert!(filter(barred("", "192.0.2.9/32")).tables().names(&tuple));
        let tables = filter(barred("192.0.2.8/29", "192.0.2.0/25")).tables();
        assert_eq!(tables.address_options, EITHER | NOT_EITHER | NOT_SRC);
        let bits = |address: &str| tables.addresses_v4.bits(address.parse().unwrap());
        assert_eq!(bits("192.0.2.200"), EITHER);
        assert_eq!(bits("192.0.2.1"), EITHER | NOT_SRC);
        assert_eq!(bits("192.0.2.9"), EITHER | NOT_EITHER | NOT_SRC);
    }

    #[test]
    fn a_long_list_is_described_by_its_start_and_its_length() {
        let hosts = (0..100u8)
            .map(|n| format!("192.0.2.{n}/32").parse().unwrap())
            .collect();
        let filter = Filter {
            hosts,
            ..Filter::default()
        };
        let text = filter.describe();
        assert!(text.ends_with("192.0.2.15/32,… (100 in all)"), "{text}");
    }
}
