//! The kernel side by itself: its programs on the links of a namespace, its records and its
//! events as they come out of the rings.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use capture_common::record::{RecordFlags, RecordHeader};
use capture_user::filter::Filter;
use capture_user::flow::evidence::{Evidence, Fact};
use capture_user::kernel::error::KernelError;
use capture_user::kernel::log::LogLevel;
use capture_user::kernel::tracepoints::Told;
use capture_user::kernel::{Events, Kernel, Rings, Setup};
use capture_user::packet::Direction;
use capture_user::target::links::Framing;
use lab::namespace::Namespace;
use lab::wait::wait_for;

/// What a watcher is asked for: everything, unless a test takes something away.
pub(crate) fn setup(filter: &Filter) -> Setup {
    Setup {
        tables: filter.tables(),
        snaplen: 262_144,
        // One ring for all CPUs, so that packets come out of it in their order.
        ring_bytes: 512 << 10,
        log: LogLevel::Off,
        identity: true,
        follow: true,
        events: true,
    }
}

/// A packet on one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) link: String,
    pub(crate) direction: Direction,
    pub(crate) followed: bool,
    pub(crate) identity: u64,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// IP protocol number.
    pub(crate) protocol: u8,
}

/// The kernel side, attached and told.
pub(crate) struct Watcher {
    pub(crate) kernel: Kernel,
    pub(crate) told: Told,
    rings: Rings,
    events: Events,
    links: Vec<(u32, String)>,
    seen: Vec<Seen>,
    facts: Vec<Evidence>,
}

impl Watcher {
    /// Attaches to these links of a namespace, both ways, and to the tracepoints.
    #[track_caller]
    pub(crate) fn start(setup: &Setup, namespace: &Namespace, links: &[&str]) -> Self {
        let mut kernel = Kernel::load(setup).expect("the kernel side loads");
        let rings = kernel.rings().expect("the rings can be mapped");
        let events = kernel.events().expect("the events' ring can be mapped");
        let mut told = Told::default();
        if setup.events {
            let (attempts, all) = kernel.attach_tracepoints();
            for attempt in attempts {
                match attempt.outcome {
                    // What this kernel doesn't have, it says; all else must work.
                    Err(KernelError::Layout { .. }) => {}
                    outcome => outcome.expect(attempt.name),
                }
            }
            told = all;
        }
        let mut watcher = Self {
            kernel,
            told,
            rings,
            events,
            links: Vec::new(),
            seen: Vec::new(),
            facts: Vec::new(),
        };
        for link in links {
            watcher.attach(namespace, link);
        }
        watcher
    }

    /// Attaches to one more link.
    #[track_caller]
    pub(crate) fn attach(&mut self, namespace: &Namespace, link: &str) {
        let path = namespace.outside(Path::new(&format!("/sys/class/net/{link}/ifindex")));
        let index = fs::read_to_string(path).expect("the link is there");
        let index = index.trim().parse().expect("a number");
        let kernel = &mut self.kernel;
        namespace.run(|| {
            for direction in [Direction::In, Direction::Out] {
                kernel
                    .attach(index, link, Framing::Ethernet, direction)
                    .expect("attached");
            }
        });
        self.links.push((index, link.to_owned()));
    }

    /// Everything that was seen so far.
    pub(crate) fn seen(&mut self) -> &[Seen] {
        let Self {
            rings, links, seen, ..
        } = self;
        rings
            .drain(|header, frame| seen.extend(read(links, &header, frame)))
            .expect("what waits comes out");
        &self.seen
    }

    /// Waits for a packet like this.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, like: impl Fn(&Seen) -> bool) -> Seen {
        wait_for(what, || self.seen().iter().find(|seen| like(seen)).cloned())
    }

    /// All that the kernel has told so far.
    pub(crate) fn facts(&mut self) -> &[Evidence] {
        while let Some(fact) = self.events.next_event() {
            self.facts.push(fact);
        }
        &self.facts
    }

    /// Waits for a fact that `pick` takes something from.
    #[track_caller]
    pub(crate) fn wait_for_fact<T>(&mut self, what: &str, pick: impl Fn(&Fact) -> Option<T>) -> T {
        wait_for(what, || {
            self.facts()
                .iter()
                .find_map(|evidence| pick(&evidence.fact))
        })
    }
}

fn read(links: &[(u32, String)], header: &RecordHeader, frame: &[u8]) -> Option<Seen> {
    let headers = etherparse::SlicedPacket::from_ethernet(frame).ok()?;
    let (source, destination, protocol) = match headers.net? {
        etherparse::NetSlice::Ipv4(ip) => (
            IpAddr::from(ip.header().source_addr()),
            IpAddr::from(ip.header().destination_addr()),
            ip.header().protocol().0,
        ),
        etherparse::NetSlice::Ipv6(ip) => (
            IpAddr::from(ip.header().source_addr()),
            IpAddr::from(ip.header().destination_addr()),
            ip.header().next_header().0,
        ),
        etherparse::NetSlice::Arp(_) => return None,
    };
    Some(Seen {
        link: links
            .iter()
            .find(|(index, _)| *index == header.interface)?
            .1
            .clone(),
        direction: if header.flags & RecordFlags::EGRESS != 0 {
            Direction::Out
        } else {
            Direction::In
        },
        followed: header.flags & RecordFlags::FOLLOWED != 0,
        identity: header.identity,
        source,
        destination,
        protocol,
    })
}
