//! The pcap format: one header, then packets.

use std::io::{self, Read};

use super::link::LinkType;
use super::order::Order;
use super::window::Window;
use super::{Ending, Found, Interface, LENGTH_MAX, Step};
use crate::flow::role::Role;

/// The header in front of all packets.
pub(super) const FILE_HEADER_LEN: usize = 24;
/// The header in front of each.
const RECORD_HEADER_LEN: usize = 16;
/// What Alexey Kuznetzov's variant adds to that: interface, protocol, packet type.
const EXTENDED_BY: usize = 8;

/// What the first four bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    order: Order,
    /// Nanoseconds in the unit of a fraction of a second.
    unit: u32,
    record_header: usize,
}

impl Kind {
    /// By the magic number: microseconds, nanoseconds, or the variant with longer headers.
    pub(super) fn of(magic: [u8; 4]) -> Option<Self> {
        let kind = |order| {
            let (unit, record_header) = match Order::u32(order, &magic, 0)? {
                0xa1b2_c3d4 => (1_000, RECORD_HEADER_LEN),
                0xa1b2_3c4d => (1, RECORD_HEADER_LEN),
                0xa1b2_cd34 => (1_000, RECORD_HEADER_LEN + EXTENDED_BY),
                _ => return None,
            };
            Some(Self {
                order,
                unit,
                record_header,
            })
        };
        kind(Order::Little).or_else(|| kind(Order::Big))
    }
}

/// A pcap file behind its header.
#[derive(Debug)]
pub(super) struct State {
    kind: Kind,
}

impl State {
    /// Reads the header, which starts at the front of `bytes`.
    pub(super) fn read(kind: Kind, bytes: &[u8]) -> Result<(Self, Interface), &'static str> {
        let cut = "it ends within its header";
        let major = kind.order.u16(bytes, 4).ok_or(cut)?;
        if major != 2 {
            return Err("its version is not 2");
        }
        // The upper half is about checksums at the frames' ends (draft, section 4).
        let link_type = kind.order.u32(bytes, 20).ok_or(cut)? as u16;
        let interface = Interface {
            name: None,
            description: None,
            role: Role::Unknown,
            link_type: LinkType(link_type),
            section: 0,
        };
        Ok((Self { kind }, interface))
    }

    pub(super) fn step<R: Read>(&mut self, window: &mut Window<R>) -> io::Result<Step> {
        let at = window.position();
        let front = self.kind.record_header;
        if !window.fill(front)? {
            return Ok(Step::End(if window.bytes().is_empty() {
                Ending::Whole
            } else {
                Ending::Cut { at }
            }));
        }
        let order = self.kind.order;
        let header = window.bytes();
        let field = |at| order.u32(header, at).unwrap_or(0);
        let (seconds, fraction) = (field(0), field(4));
        let (captured, original_len) = (field(8) as usize, field(12));
        if captured > LENGTH_MAX {
            let why = "a packet of more than 16 MiB";
            return Ok(Step::End(Ending::Damaged { at, why }));
        }
        let len = front + captured;
        if !window.fill(len)? {
            return Ok(Step::End(Ending::Cut { at }));
        }
        let time =
            u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * u64::from(self.kind.unit);
        Ok(Step::Packet(Found {
            time,
            interface: 0,
            direction: None,
            identity: None,
            gso: None,
            frame: front..len,
            original_len,
            options: len..len,
            len,
        }))
    }
}
