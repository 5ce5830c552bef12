//! The pcapng format: blocks, in sections with interfaces of their own.

use std::io::{self, Read};

use super::link::LinkType;
use super::names;
use super::options::{self, Options};
use super::order::Order;
use super::time::Clock;
use super::window::Window;
use super::{Contents, Ending, Found, INTERFACES_MAX, Interface, LENGTH_MAX, Step};
use crate::evidence::roles;
use crate::flow::role::Role;
use crate::packet::{Direction, InterfaceId};

/// What a file begins with: the type of a section header block, the same in either byte order.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAME_RESOLUTION: u32 = 4;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Type and length in front.
const FRONT_LEN: usize = 8;
/// The length again behind.
const BACK_LEN: usize = 4;

const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const EPB_FLAGS: u16 = 2;
const EPB_PACKETID: u16 = 5;

/// The longest name or description that is kept, in bytes.
const TEXT_MAX: usize = 512;

/// The section that is being read.
#[derive(Debug, Default)]
pub(super) struct State {
    order: Order,
    /// Sections so far.
    sections: u32,
    /// Whether nodecap wrote it.
    ours: bool,
    interfaces: Vec<Local>,
    /// The last packet's time.
    last: u64,
}

/// An interface as this section's packets refer to it: by its place in the section.
#[derive(Clone, Copy, Debug)]
struct Local {
    id: InterfaceId,
    clock: Clock,
    snaplen: u32,
}

impl State {
    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn step<R: Read>(
        &mut self,
        window: &mut Window<R>,
        file: &mut Contents,
    ) -> io::Result<Step> {
        let at = window.position();
        let damaged = |why| Ok(Step::End(Ending::Damaged { at, why }));
        let cut = Ok(Step::End(Ending::Cut { at }));
        if !window.fill(FRONT_LEN)? {
            return match window.bytes() {
                [] => Ok(Step::End(Ending::Whole)),
                _ => cut,
            };
        }
        let is_section = window.bytes().starts_with(&MAGIC);
        if is_section {
            if !window.fill(12)? {
                return cut;
            }
            let read = |order| Order::u32(order, window.bytes(), 8);
            self.order = if read(Order::Little) == Some(BYTE_ORDER_MAGIC) {
                Order::Little
            } else if read(Order::Big) == Some(BYTE_ORDER_MAGIC) {
                Order::Big
            } else {
                return damaged("a section of no known byte order");
            };
        }
        let order = self.order;
        let field = |at| order.u32(window.bytes(), at).unwrap_or(0);
        let (kind, announced) = (field(0), field(4));
        let len = announced as usize;
        if len < FRONT_LEN + BACK_LEN || !len.is_multiple_of(4) {
            return damaged("a block whose length can't be");
        }
        let looked_into = matches!(
            kind,
            SECTION_HEADER | INTERFACE_DESCRIPTION | PACKET | SIMPLE_PACKET | ENHANCED_PACKET
        );
        if !looked_into && len > LENGTH_MAX {
            // Such as secrets for decryption, or somebody's own.
            let whole = window.skip(u64::from(announced))?;
            return if whole { Ok(Step::Other(0)) } else { cut };
        }
        if len > LENGTH_MAX {
            return damaged("a block of more than 16 MiB");
        }
        if !window.fill(len)? {
            return cut;
        }
        let block = &window.bytes()[..len];
        if order.u32(block, len - BACK_LEN) != Some(announced) {
            return damaged("a block with two different lengths");
        }
        let body = &block[..len - BACK_LEN];
        let step = match kind {
            SECTION_HEADER => self.section(body, file).map(|()| Step::Other(len)),
            INTERFACE_DESCRIPTION => self.interface(body, file).map(|()| Step::Other(len)),
            ENHANCED_PACKET => self.enhanced(body).map(Step::Packet),
            SIMPLE_PACKET => self.simple(body).map(Step::Packet),
            PACKET => self.obsolete(body).map(Step::Packet),
            NAME_RESOLUTION => {
                let records = body.get(FRONT_LEN..).unwrap_or_default();
                names::read(records, order, &mut file.names);
                Ok(Step::Other(len))
            }
            _ => Ok(Step::Other(len)),
        };
        match step {
            Ok(step) => Ok(step),
            Err(why) => damaged(why),
        }
    }

    fn section(&mut self, body: &[u8], file: &mut Contents) -> Result<(), &'static str> {
        if self.order.u16(body, 12) != Some(1) {
            return Err("a section of a version that isn't 1");
        }
        let options = Options::new(body.get(24..).unwrap_or_default(), self.order);
        let mut applications = options.filter(|(code, _)| *code == SHB_USERAPPL);
        let application = applications.next().and_then(|(_, name)| text(name));
        self.ours = application
            .as_ref()
            .is_some_and(|name| name.starts_with("nodecap "));
        file.application = file.application.take().or(application);
        self.sections += 1;
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8], file: &mut Contents) -> Result<(), &'static str> {
        let cut = "an interface that is shorter than it can be";
        let link_type = self.order.u16(body, 8).ok_or(cut)?;
        let snaplen = self.order.u32(body, 12).ok_or(cut)?;
        if file.interfaces.len() >= INTERFACES_MAX {
            return Err("more interfaces than a machine has");
        }
        let (mut name, mut description) = (None, None);
        let (mut resolution, mut offset) = (6, 0);
        for (code, value) in Options::new(body.get(16..).unwrap_or_default(), self.order) {
            match code {
                IF_NAME => name = text(value),
                IF_DESCRIPTION => description = text(value),
                IF_TSRESOL => resolution = value.first().copied().unwrap_or(6),
                IF_TSOFFSET => offset = self.order.u64(value, 0).unwrap_or(0).cast_signed(),
                _ => {}
            }
        }
        let role = match &description {
            Some(description) if self.ours => roles::from_description(description),
            _ => Role::Unknown,
        };
        // Fewer than INTERFACES_MAX.
        let id = file.interfaces.len() as InterfaceId;
        self.interfaces.push(Local {
            id,
            clock: Clock::new(resolution, offset),
            snaplen,
        });
        file.interfaces.push(Interface {
            name,
            description,
            role,
            link_type: LinkType(link_type),
            section: self.sections.saturating_sub(1),
        });
        Ok(())
    }

    #[inline]
    fn enhanced(&mut self, body: &[u8]) -> Result<Found, &'static str> {
        let mut found = self.packet(body, self.order.u32(body, 8).ok_or(TOO_SHORT)?, 12)?;
        let options = body.get(found.options.clone()).unwrap_or_default();
        for (code, value) in Options::new(options, self.order) {
            match code {
                EPB_FLAGS => {
                    found.direction = match self.order.u32(value, 0).map(|flags| flags & 3) {
                        Some(1) => Some(Direction::In),
                        Some(2) => Some(Direction::Out),
                        _ => None,
                    };
                }
                EPB_PACKETID => {
                    // Another section may count anew.
                    found.identity = self
                        .order
                        .u64(value, 0)
                        .map(|id| id ^ u64::from(self.sections.rotate_right(12)) << 32);
                }
                options::COMMENT if self.ours => {
                    found.gso = found.gso.or_else(|| options::gso(value));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The packet block that came before the enhanced one (draft, appendix A).
    fn obsolete(&mut self, body: &[u8]) -> Result<Found, &'static str> {
        let interface = self.order.u16(body, 8).ok_or(TOO_SHORT)?;
        self.packet(body, u32::from(interface), 12)
    }

    /// What both have from `at` on: time, lengths, the frame, options.
    #[inline]
    fn packet(&mut self, body: &[u8], interface: u32, at: usize) -> Result<Found, &'static str> {
        let field = |at| self.order.u32(body, at).ok_or(TOO_SHORT);
        let stamp = u64::from(field(at)?) << 32 | u64::from(field(at + 4)?);
        let (captured, original_len) = (field(at + 8)? as usize, field(at + 12)?);
        let local = self.interfaces.get(interface as usize).ok_or(UNDESCRIBED)?;
        let start = at + 16;
        let end = start + captured;
        if end > body.len() {
            return Err("a packet longer than its block");
        }
        self.last = local.clock.nanoseconds(stamp);
        Ok(Found {
            time: self.last,
            interface: local.id,
            direction: None,
            identity: None,
            gso: None,
            frame: start..end,
            original_len,
            options: end.next_multiple_of(4).min(body.len())..body.len(),
            len: body.len() + BACK_LEN,
        })
    }

    /// A packet without a time or an interface: it is the first one's, and has the last time.
    fn simple(&mut self, body: &[u8]) -> Result<Found, &'static str> {
        let original_len = self.order.u32(body, 8).ok_or(TOO_SHORT)?;
        let local = self.interfaces.first().ok_or(UNDESCRIBED)?;
        let mut captured = (original_len as usize).min(body.len() - 12);
        if local.snaplen > 0 {
            captured = captured.min(local.snaplen as usize);
        }
        Ok(Found {
            time: self.last,
            interface: local.id,
            direction: None,
            identity: None,
            gso: None,
            frame: 12..12 + captured,
            original_len,
            options: body.len()..body.len(),
            len: body.len() + BACK_LEN,
        })
    }
}

const TOO_SHORT: &str = "a packet's block that is shorter than it can be";
const UNDESCRIBED: &str = "a packet of an interface that isn't described";

fn text(value: &[u8]) -> Option<String> {
    let value = &value[..value.len().min(TEXT_MAX)];
    let text = String::from_utf8_lossy(value);
    // Some writers count a terminating zero in.
    let text = text.trim_end_matches('\0');
    (!text.is_empty()).then(|| text.to_owned())
}
