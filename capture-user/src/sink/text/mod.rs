//! Packets as text: one line each, as tcpdump prints them.
//!
//! A line is the local time of day, the interface and the direction as `tcpdump -i any` shows
//! them, then what tcpdump says of the packet. Who reads tcpdump reads this; where it differs,
//! it is for one of these reasons:
//!
//! - A packet is one line, also with `-v` and with tunnels: what tcpdump puts in further lines
//!   follows on the same one.
//! - VLAN tags are always shown, a super-frame says what it stands for, a loss has a line of its
//!   own.
//! - With `-v`, what extension headers, ICMPv6 options, group records and BPDUs hold is shown in
//!   brief or not at all.
//! - A checksum that was left to the device isn't called incorrect.
//! - Names come from this host's files, never from the resolver.
//! - A DNS response names its question. Application protocols other than DNS and HTTP aren't
//!   decoded.
//! - Nothing that a packet holds reaches the terminal but as printable ASCII.
//!
//! Decoders read through `view`, which knows what was captured and what was on the wire.
//! A field that isn't there ends the line with `[|protocol]`.
//!
//! - `link` (Ethernet, VLAN, LLC) leads to `arp`, `ip` and `ipv6`, and those to `tcp` with its
//!   `tcp_options`, `udp`, `sctp`, `icmp`, `icmp6`, `igmp` and `tunnel`
//! - `dns` and `http` look into the payload
//! - `connections`, `names` and `clock` are what outlives a packet
//! - `context` writes, `checksum` sums

mod arp;
mod checksum;
mod clock;
mod connections;
mod context;
mod dns;
mod http;
mod icmp;
mod icmp6;
mod igmp;
mod ip;
mod ipv6;
mod link;
mod names;
mod sctp;
mod tcp;
mod tcp_options;
#[cfg(test)]
mod tests;
mod tunnel;
mod udp;
mod view;

use std::net::IpAddr;

use jiff::tz::TimeZone;

use self::clock::Clock;
use self::connections::Connections;
use self::context::Context;
use self::names::Names;
use self::view::{Truncated, View};
use crate::packet::{Direction, Packet, Reception};

/// What frames begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkType {
    /// An Ethernet header.
    #[default]
    Ethernet,
    /// The IP header, of either version.
    BareIp,
}

/// How packets are shown.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names for addresses and ports, from `/etc/hosts` and `/etc/services` alone; without them
    /// (`-n`), numbers.
    pub names: bool,
    /// How often `-v` was given: 1 adds the IP header and checksums, 2 every sequence number.
    pub verbosity: u8,
    /// What frames begin with.
    pub link: LinkType,
    /// Whose time of day is shown.
    pub zone: TimeZone,
}

impl Default for Options {
    /// Names, no details, Ethernet, and the time zone of `TZ` or `/etc/localtime`.
    fn default() -> Self {
        Self {
            names: true,
            verbosity: 0,
            link: LinkType::default(),
            zone: TimeZone::system(),
        }
    }
}

/// Turns packets into lines.
///
/// What it remembers is bounded: this host's names, and where the sequence numbers of the 65,536
/// TCP connections seen last began, so that they can be shown relative to that.
#[derive(Debug)]
pub struct Printer {
    link: LinkType,
    verbosity: u8,
    names: Names,
    clock: Clock,
    connections: Connections,
}

impl Printer {
    /// Reads this host's names if they are wanted. Files that can't be read leave numbers.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let names = if options.names {
            Names::of_this_host()
        } else {
            Names::none()
        };
        Self::with_names(options, names)
    }

    fn with_names(options: Options, names: Names) -> Self {
        Self {
            link: options.link,
            verbosity: options.verbosity,
            names,
            clock: Clock::new(options.zone),
            connections: Connections::default(),
        }
    }

    /// Takes in what addresses are called, in place of what they were called before. Unless names
    /// aren't wanted, or can't go into a line.
    pub fn learn(&mut self, names: &[(IpAddr, String)]) {
        for (address, name) in names {
            self.names.learn(*address, name);
        }
    }

    /// Calls these addresses by their numbers, whatever was learned of them.
    pub fn forget(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            self.names.forget(*address);
        }
    }

    /// Appends the packet's line, with its newline, to `out`. If packets were lost before it, a
    /// line that says so comes first.
    pub fn line(&mut self, packet: &Packet<'_>, interface_name: &str, out: &mut Vec<u8>) {
        let Self {
            link,
            verbosity,
            names,
            clock,
            connections,
        } = self;
        let mut cx = Context {
            out,
            names,
            connections,
            verbosity: *verbosity,
            depth: 0,
        };
        if packet.lost_before > 0 {
            let plural = if packet.lost_before == 1 { "" } else { "s" };
            cx.put(format_args!(
                "... {} packet{plural} lost on ",
                packet.lost_before
            ));
            cx.escaped(interface_name.as_bytes());
            cx.text("\n");
        }
        clock.append(packet.time, cx.out);
        place(&mut cx, packet, interface_name);
        // As many bytes as the kernel says it has can be counted on every target Linux runs on.
        let len = usize::try_from(packet.original_len).unwrap_or(usize::MAX);
        let frame = View::new(packet.frame, len, "frame");
        let decoded = match link {
            LinkType::Ethernet => link::ethernet(&mut cx, frame),
            LinkType::BareIp => link::bare_ip(&mut cx, frame),
        };
        trim(cx.out);
        if let Err(Truncated(protocol)) = decoded {
            cx.put(format_args!(" [|{protocol}]"));
        }
        if let Some(gso) = packet.gso {
            match gso.segments {
                0 => cx.put(format_args!(" (GSO x {})", gso.size)),
                segments => cx.put(format_args!(" (GSO {segments} x {})", gso.size)),
            }
        }
        cx.text("\n");
    }
}

/// The interface and the direction, in columns as wide as tcpdump's.
fn place(cx: &mut Context<'_>, packet: &Packet<'_>, interface_name: &str) {
    let direction = match (packet.direction, packet.reception) {
        (Direction::Out, _) => "Out ",
        (Direction::In, Some(Reception::Broadcast)) => "B   ",
        (Direction::In, Some(Reception::Multicast)) => "M   ",
        (Direction::In, Some(Reception::Promiscuous)) => "P   ",
        (Direction::In, Some(Reception::Unicast) | None) => "In  ",
    };
    let start = cx.out.len();
    cx.escaped(interface_name.as_bytes());
    while cx.out.len() < start + 5 {
        cx.text(" ");
    }
    cx.text(" ");
    cx.text(direction);
}

/// Takes the separator away behind which nothing came.
fn trim(out: &mut Vec<u8>) {
    while out.last() == Some(&b' ') {
        out.pop();
    }
}
