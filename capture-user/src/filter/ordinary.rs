//! The options as code, for ordinary packets: their headers are where they nearly always are, so all is
//! read from fixed places and compared with numbers, and no table is asked.
//!
//! Ordinary is IPv4 whose header has no options, where ports are asked for, IPv6 without extension
//! headers, and no tag in the frame. What isn't, is looked through step by step by the kernel side's own
//! filter, and both must say the same of a packet: whatever is changed there is changed here.

use capture_common::filter::{ASK, FAILS, IP_PROTOCOLS, MATCHES, has_ports, is_extension_header};

use super::ebpf::{Condition, Instruction, Math, R0, R1, R2, R3, R4, Register, Value, Width};
use super::expression::translate::Hook;
use super::few;
use super::search::{Key, Search, Way};
use super::{Tables, hit};
use crate::target::links::Framing;

/// The most instructions that are worth it.
const MOST: usize = 4_096;

/// EtherTypes as a load of two bytes gets them.
const IPV4: i32 = 0x0008;
const IPV6: i32 = 0xdd86;
/// ARP and the tags, of which the kernel side's filter knows more.
const NOT_ORDINARY: [i32; 4] = [0x0608, 0x0081, 0xa888, 0x0091];

/// The context's `protocol`, in a `__sk_buff`.
const PROTOCOL: i16 = 16;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V4,
    V6,
}

/// What code there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    NotV4,
    NotIp,
    Addresses(Version),
    /// The destination, where the source's address is one of several kinds.
    Destination(Version, usize),
    Ports(Version),
    /// The receiver's port, likewise.
    Receiver(Version, usize),
    Matches,
    Fails,
    Ask,
}

/// The code `context → FAILS, MATCHES or ASK` of `capture_common::filter`. None where it would be no
/// help: no address is asked for (the tables of ports and protocols take one look each, which is less
/// than the call), the options are about the packet within a tunnel's, or lists are long or may change.
#[must_use]
pub fn code(tables: &Tables, framing: Framing, hook: Hook) -> Option<Vec<Instruction>> {
    if tables.address_options == 0 || tables.inner || tables.reread {
        return None;
    }
    let base = match framing {
        Framing::Ethernet => 14,
        Framing::Bare => 0,
        Framing::Unsupported(_) => return None,
    };
    let mut code = Code {
        search: Search::new(),
        base,
        addresses: [
            few::ways(&tables.addresses_v4)?,
            few::ways(&tables.addresses_v6)?,
        ],
        ports: ports(tables),
        tables,
    };
    code.enter(framing, hook);
    code.version(Version::V4);
    code.search.label(Label::NotV4);
    code.jump_if(Label::NotIp, Condition::NotEqual, R0, Value::Number(IPV6));
    code.reach(Version::V6);
    code.version(Version::V6);
    code.search.label(Label::NotIp);
    for ethertype in NOT_ORDINARY {
        code.jump_if(Label::Ask, Condition::Equal, R0, Value::Number(ethertype));
    }
    code.search.jump_on(Label::Fails);
    code.end(Label::Fails, FAILS);
    code.end(Label::Matches, MATCHES);
    code.end(Label::Ask, ASK);
    code.search.link().filter(|code| code.len() <= MOST)
}

/// From which port on which options' lists it is on. None, if that changes too often.
fn ports(tables: &Tables) -> Option<Vec<Way<u8>>> {
    let bits = (0..=u16::MAX).map(|port| (port.into(), tables.ports.bits(port)));
    Some(merged(bits)).filter(|ways| ways.len() <= few::MOST)
}

/// Ways without those that go where the one before goes.
fn merged<L: PartialEq>(ways: impl Iterator<Item = Way<L>>) -> Vec<Way<L>> {
    let mut merged: Vec<Way<L>> = Vec::new();
    for way in ways {
        if merged.last().is_none_or(|last| last.1 != way.1) {
            merged.push(way);
        }
    }
    merged
}

/// The code as it grows. [`R2`] holds where the packet starts, [`R3`] and [`R4`] what is searched for.
struct Code<'a> {
    search: Search<Label>,
    /// Where the network header is.
    base: i16,
    addresses: [Vec<Way<u8>>; 2],
    ports: Option<Vec<Way<u8>>>,
    tables: &'a Tables,
}

impl Code<'_> {
    /// Reads where the packet is and what it says it is, and goes on with IPv4.
    fn enter(&mut self, framing: Framing, hook: Hook) {
        let (start, end) = hook.bounds();
        if framing == Framing::Bare {
            self.load(Width::Four, R0, R1, PROTOCOL);
        }
        self.load(Width::Four, R2, R1, start);
        self.load(Width::Four, R3, R1, end);
        self.reach(Version::V4);
        if framing == Framing::Ethernet {
            self.load(Width::Two, R0, R2, 12);
        }
        self.jump_if(Label::NotV4, Condition::NotEqual, R0, Value::Number(IPV4));
    }

    /// Makes sure of the headers.
    fn reach(&mut self, version: Version) {
        let ports = if self.tables.port_options == 0 { 0 } else { 4 };
        let end = self.base + header(version) + ports;
        let reach = Value::Number(end.into());
        self.emit(Instruction::math64(Math::Move, R4, Value::Register(R2)));
        self.emit(Instruction::math64(Math::Add, R4, reach));
        let beyond = Instruction::jump64(Condition::Greater, R4, Value::Register(R3), 0);
        self.search.jump_if(Label::Ask, beyond);
    }

    /// All that is asked of a packet of this version.
    fn version(&mut self, version: Version) {
        self.protocol(version);
        if self.leads_to(Label::Addresses(version)) {
            self.addresses(version);
        }
        if self.leads_to(Label::Ports(version)) {
            self.ports(version);
        }
    }

    fn protocol(&mut self, version: Version) {
        let tables = self.tables;
        let next = Label::Addresses(version);
        if tables.protocol_options == 0 && tables.port_options == 0 {
            return self.search.jump_on(next);
        }
        if version == Version::V4 && tables.port_options != 0 {
            // The header's length: without options.
            self.load(Width::One, R0, R2, self.base);
            self.number32(Math::And, R0, 0xf);
            self.jump_if(Label::Ask, Condition::NotEqual, R0, Value::Number(5));
        }
        let ip = tables.protocol_options & IP_PROTOCOLS != 0;
        let label = |protocol: u8| {
            let listed = tables.protocol_options == 0 || ip && tables.protocols.contains(protocol);
            if version == Version::V6 && is_extension_header(protocol) {
                Label::Ask
            } else if listed && (tables.port_options == 0 || has_ports(protocol)) {
                next
            } else {
                Label::Fails
            }
        };
        let ways = merged((0..=u8::MAX).map(|protocol| (protocol.into(), label(protocol))));
        let at = match version {
            Version::V4 => 9,
            Version::V6 => 6,
        };
        self.load(Width::One, R0, R2, self.base + at);
        self.search.search(Key::Half(R0), &ways);
    }

    fn addresses(&mut self, version: Version) {
        self.search.label(Label::Addresses(version));
        let ways = std::mem::take(&mut self.addresses[version as usize]);
        self.pair(
            self.tables.address_options,
            &ways,
            |code, destination| code.address(version, destination),
            |kind| Label::Destination(version, kind),
            Label::Ports(version),
        );
    }

    fn ports(&mut self, version: Version) {
        self.search.label(Label::Ports(version));
        if self.tables.port_options == 0 {
            return self.search.jump_on(Label::Matches);
        }
        if version == Version::V4 {
            // A fragment other than the first has no ports.
            self.load(Width::Two, R0, R2, self.base + 6);
            let offset = i32::from(0x1fff_u16.to_be());
            self.jump_if(
                Label::Fails,
                Condition::CommonBit,
                R0,
                Value::Number(offset),
            );
        }
        let Some(ways) = self.ports.clone() else {
            return self.search.jump_on(Label::Ask);
        };
        self.pair(
            self.tables.port_options,
            &ways,
            |code, destination| {
                let at = code.base + header(version) + if destination { 2 } else { 0 };
                code.load(Width::Two, R3, R2, at);
                code.emit(Instruction::from_network(R3, 16));
                Key::Half(R3)
            },
            |kind| Label::Receiver(version, kind),
            Label::Matches,
        );
    }

    /// Leads to a label, if the bits of two numbers are as asked for. `ways` tell the bits of each,
    /// `load` gets the first or the second number, `second` is what there is for each kind of first one.
    fn pair(
        &mut self,
        asked: u8,
        ways: &[Way<u8>],
        load: impl Fn(&mut Self, bool) -> Key,
        second: impl Fn(usize) -> Label,
        matches: Label,
    ) {
        let label = |hit| if hit { matches } else { Label::Fails };
        // What is to be said of the second number, for each that may be said of the first.
        let mut kinds: Vec<Vec<Way<Label>>> = Vec::new();
        let first: Vec<_> = ways
            .iter()
            .map(|(from, first)| {
                let ways = ways.iter();
                let ways =
                    merged(ways.map(|(from, bits)| (*from, label(hit(asked, *first, *bits)))));
                if let [(_, label)] = *ways {
                    return (*from, label);
                }
                let kind = kinds.iter().position(|kind| *kind == ways);
                let kind = kind.unwrap_or_else(|| {
                    kinds.push(ways);
                    kinds.len() - 1
                });
                (*from, second(kind))
            })
            .collect();
        let first = merged(first.into_iter());
        if let [(_, label)] = *first {
            self.search.jump_on(label);
        } else {
            let key = load(self, false);
            self.search.search(key, &first);
        }
        for (kind, ways) in kinds.iter().enumerate() {
            self.search.label(second(kind));
            let key = load(self, true);
            self.search.search(key, ways);
        }
    }

    fn address(&mut self, version: Version, destination: bool) -> Key {
        let (first, length) = match version {
            Version::V4 => (12, 4),
            Version::V6 => (8, 16),
        };
        let at = self.base + first + if destination { length } else { 0 };
        match version {
            Version::V4 => {
                self.load(Width::Four, R3, R2, at);
                self.emit(Instruction::from_network(R3, 32));
                Key::Half(R3)
            }
            Version::V6 => {
                self.load(Width::Eight, R3, R2, at);
                self.emit(Instruction::from_network(R3, 64));
                self.load(Width::Eight, R4, R2, at + 8);
                self.emit(Instruction::from_network(R4, 64));
                Key::Pair(R3, R4)
            }
        }
    }

    /// Has the code return a number where a label leads.
    fn end(&mut self, label: Label, number: u32) {
        if self.leads_to(label) {
            self.search.label(label);
            self.number32(Math::Move, R0, number.cast_signed());
            self.emit(Instruction::exit());
        }
    }

    fn leads_to(&self, label: Label) -> bool {
        self.search.leads_to(label)
    }

    fn load(&mut self, width: Width, to: Register, base: Register, at: i16) {
        self.emit(Instruction::load(width, to, base, at));
    }

    fn number32(&mut self, math: Math, register: Register, number: i32) {
        self.emit(Instruction::math32(math, register, Value::Number(number)));
    }

    fn jump_if(&mut self, label: Label, condition: Condition, left: Register, right: Value) {
        self.search
            .jump_if(label, Instruction::jump32(condition, left, right, 0));
    }

    fn emit(&mut self, instruction: Instruction) {
        self.search.emit(instruction);
    }
}

/// Bytes of the network header.
const fn header(version: Version) -> i16 {
    match version {
        Version::V4 => 20,
        Version::V6 => 40,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by it")]
mod tests;
