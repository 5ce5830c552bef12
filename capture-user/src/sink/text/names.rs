//! Names for addresses and ports, from this host's files and from what is learned of its containers.
//!
//! `/etc/hosts` and `/etc/services` are read once, at the start. The resolver is never asked: a
//! broken one, often the very thing being looked into, would stall the capture, and a query for
//! each new address would show up in it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;

use foldhash::fast::RandomState;

/// The most that is read of each file. Some hosts files are block lists of many megabytes.
const MAX_FILE: u64 = 4 << 20;

/// A protocol that has port names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Service {
    Tcp,
    Udp,
    Sctp,
}

/// What addresses and ports are called here.
#[derive(Debug, Default)]
pub(super) struct Names {
    addresses: HashMap<IpAddr, Box<str>, RandomState>,
    ports: HashMap<(Service, u16), Box<str>, RandomState>,
    numeric: bool,
}

impl Names {
    /// No names at all: `-n`.
    pub(super) fn none() -> Self {
        Self {
            numeric: true,
            ..Self::default()
        }
    }

    /// This host's. A file that is missing or unreadable leaves numbers.
    pub(super) fn of_this_host() -> Self {
        Self::parse(&read("/etc/hosts"), &read("/etc/services"))
    }

    /// From the text of hosts(5) and services(5) files. Of several names the first counts.
    pub(super) fn parse(hosts: &str, services: &str) -> Self {
        let mut names = Self::default();
        for mut words in lines(hosts) {
            if let Some(address) = words.next().and_then(|word| word.parse().ok())
                && let Some(name) = words.next().filter(|name| is_plain(name))
            {
                names
                    .addresses
                    .entry(address)
                    .or_insert_with(|| name.into());
            }
        }
        for mut words in lines(services) {
            if let Some(name) = words.next().filter(|name| is_plain(name))
                && let Some((port, protocol)) = words.next().and_then(|word| word.split_once('/'))
                && let Ok(port) = port.parse()
            {
                let service = match protocol {
                    "tcp" => Service::Tcp,
                    "udp" => Service::Udp,
                    "sctp" => Service::Sctp,
                    _ => continue,
                };
                names
                    .ports
                    .entry((service, port))
                    .or_insert_with(|| name.into());
            }
        }
        names
    }

    /// Calls the address so, unless `-n` was given.
    pub(super) fn learn(&mut self, address: IpAddr, name: &str) {
        if !self.numeric && !name.is_empty() && is_plain(name) {
            self.addresses.insert(address, name.into());
        }
    }

    /// Knows nothing of the address any more.
    pub(super) fn forget(&mut self, address: IpAddr) {
        self.addresses.remove(&address);
    }

    /// Whether `-n` was given.
    pub(super) fn is_numeric(&self) -> bool {
        self.numeric
    }

    /// What the address is called, if it is.
    pub(super) fn address(&self, address: IpAddr) -> Option<&str> {
        if self.addresses.is_empty() {
            return None;
        }
        self.addresses.get(&address).map(AsRef::as_ref)
    }

    /// What the port is called, if it is.
    pub(super) fn port(&self, service: Service, port: u16) -> Option<&str> {
        if self.ports.is_empty() {
            return None;
        }
        self.ports.get(&(service, port)).map(AsRef::as_ref)
    }
}

fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    // Names are a convenience: what could be read is used.
    let _ = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The words of each line, comments left out.
fn lines(text: &str) -> impl Iterator<Item = impl Iterator<Item = &str>> {
    text.lines().map(|line| {
        line.split('#')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
    })
}

/// Whether it can go into a line as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic())
}
