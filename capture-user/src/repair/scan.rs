//! Walking what a capture left, block by block, to find where it ends and what it amounts to.

use crate::sink::pcapng::Statistics;
use crate::source::file::options::Options;
use crate::source::file::order::Order;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const SHB_USERAPPL: u16 = 4;
const EPB_DROPCOUNT: u16 = 4;
/// Type and length in front, the length again behind.
const SHORTEST: usize = 12;
/// An enhanced packet block up to its frame, and what is behind that at the least.
const PACKET_FRONT: usize = 28;
/// The longest block that readers take (`MAX_BLOCK_SIZE` of Wireshark's pcapng.c).
pub(super) const LONGEST: usize = 16 << 20;
/// A pcap file's header, and that of a packet in it.
const PCAP_HEADER: usize = 24;
pub(super) const PCAP_RECORD: usize = 16;

/// What is known of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    packets: u64,
    lost: u64,
    first: Option<u64>,
    last: u64,
    /// It has its statistics.
    closed: bool,
}

/// What the file is, by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pcapng(Order),
    Pcap(Order),
}

/// The length of the shortest block of a type that holds a packet; `None` for other types.
pub(super) const fn packet_least(kind: u32) -> Option<usize> {
    match kind {
        OBSOLETE_PACKET | ENHANCED_PACKET => Some(PACKET_FRONT + 4),
        SIMPLE_PACKET => Some(16),
        _ => None,
    }
}

/// Why walking stopped before the end of what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// More is needed: how many bytes from there on, at the least.
    Short(usize),
    /// It can't be.
    Damaged(&'static str),
    /// It doesn't begin like a capture file.
    Foreign,
}

/// The walk.
#[derive(Clone, Debug, Default)]
pub(super) struct Scan {
    kind: Option<Kind>,
    /// Whether nodecap wrote the section.
    ours: bool,
    interfaces: Vec<Seen>,
    packets: u64,
}

impl Scan {
    /// Walks over the whole blocks or packets at the front of `bytes`, which begins where one
    /// begins. How many bytes that were, and what stopped it.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Stop>) {
        let mut at = 0;
        while at < bytes.len() {
            match self.step(&bytes[at..]) {
                Ok(len) => at += len,
                Err(stop) => return (at, Some(stop)),
            }
        }
        (at, None)
    }

    fn step(&mut self, rest: &[u8]) -> Result<usize, Stop> {
        match self.kind {
            Some(Kind::Pcapng(order)) => self.block(rest, order),
            Some(Kind::Pcap(order)) => self.record(rest, order),
            None => self.begin(rest),
        }
    }

    fn begin(&mut self, rest: &[u8]) -> Result<usize, Stop> {
        let magic = Order::Little.u32(rest, 0).ok_or(Stop::Short(4))?;
        if magic == SECTION_HEADER {
            return self.block(rest, Order::Little);
        }
        let known = |order: Order| {
            matches!(order.u32(rest, 0), Some(0xa1b2_c3d4 | 0xa1b2_3c4d)).then_some(order)
        };
        let order = known(Order::Little)
            .or_else(|| known(Order::Big))
            .ok_or(Stop::Foreign)?;
        if rest.len() < PCAP_HEADER {
            return Err(Stop::Short(PCAP_HEADER));
        }
        self.kind = Some(Kind::Pcap(order));
        Ok(PCAP_HEADER)
    }

    fn record(&mut self, rest: &[u8], order: Order) -> Result<usize, Stop> {
        let len = order.u32(rest, 8).ok_or(Stop::Short(PCAP_RECORD))? as usize;
        let whole = order.u32(rest, 12).ok_or(Stop::Short(PCAP_RECORD))? as usize;
        if len > LONGEST || whole == 0 {
            return Err(Stop::Damaged("a packet whose length can't be"));
        }
        if rest.len() < PCAP_RECORD + len {
            return Err(Stop::Short(PCAP_RECORD + len));
        }
        self.packets += 1;
        Ok(PCAP_RECORD + len)
    }

    fn block(&mut self, rest: &[u8], order: Order) -> Result<usize, Stop> {
        let need = Stop::Short(SHORTEST);
        let mut order = order;
        // A section has the same type in either byte order.
        if Order::Little.u32(rest, 0) == Some(SECTION_HEADER) {
            let known = |order: Order| order.u32(rest, 8) == Some(BYTE_ORDER_MAGIC);
            order = match rest.get(8..12) {
                None => return Err(need),
                Some(_) if known(Order::Little) => Order::Little,
                Some(_) if known(Order::Big) => Order::Big,
                Some(_) => return Err(Stop::Damaged("a section of no known byte order")),
            };
        }
        let kind = order.u32(rest, 0).ok_or(need)?;
        let len = order.u32(rest, 4).ok_or(need)? as usize;
        if len < SHORTEST || !len.is_multiple_of(4) || len > LONGEST {
            return Err(Stop::Damaged("a block whose length can't be"));
        }
        let block = rest.get(..len).ok_or(Stop::Short(len))?;
        if order.u32(block, len - 4) != Some(len as u32) {
            return Err(Stop::Damaged("a block with two different lengths"));
        }
        self.kind = Some(Kind::Pcapng(order));
        let body = &block[..len - 4];
        match kind {
            SECTION_HEADER => {
                self.interfaces.clear();
                let options = body.get(24..).unwrap_or_default();
                self.ours = Options::new(options, order)
                    .any(|(code, value)| code == SHB_USERAPPL && value.starts_with(b"nodecap "));
            }
            INTERFACE_DESCRIPTION => self.interfaces.push(Seen::default()),
            INTERFACE_STATISTICS => {
                if let Some(seen) = self.seen(order.u32(body, 8)) {
                    seen.closed = true;
                }
            }
            ENHANCED_PACKET => {
                let frame = order.u32(body, 20).unwrap_or(0) as usize;
                let options = body
                    .get(PACKET_FRONT + frame.next_multiple_of(4)..)
                    .unwrap_or_default();
                let lost: u64 = Options::new(options, order)
                    .filter(|(code, _)| *code == EPB_DROPCOUNT)
                    .filter_map(|(_, value)| order.u64(value, 0))
                    .fold(0, u64::saturating_add);
                let half = |at| u64::from(order.u32(body, at).unwrap_or(0));
                let time = half(12) << 32 | half(16);
                let Some(seen) = self.seen(order.u32(body, 8)) else {
                    return Err(Stop::Damaged("a packet of an interface that isn't there"));
                };
                seen.packets += 1;
                seen.lost = seen.lost.saturating_add(lost);
                seen.first.get_or_insert(time);
                seen.last = seen.last.max(time);
                self.packets += 1;
            }
            _ => {}
        }
        Ok(len)
    }

    fn seen(&mut self, interface: Option<u32>) -> Option<&mut Seen> {
        self.interfaces.get_mut(interface? as usize)
    }

    /// Packets so far.
    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    /// Whether anything was recognised.
    pub(super) const fn has_begun(&self) -> bool {
        self.kind.is_some()
    }

    /// Whether nodecap wrote what was read last.
    pub(super) const fn is_ours(&self) -> bool {
        self.ours
    }

    /// Whether it is a pcap file.
    pub(super) const fn is_pcap(&self) -> bool {
        matches!(self.kind, Some(Kind::Pcap(_)))
    }

    /// The statistics that are missing, as far as the packets tell them: in files of ours alone,
    /// which are little-endian and count nanoseconds.
    pub(super) fn missing(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.ours || self.kind != Some(Kind::Pcapng(Order::Little)) {
            return out;
        }
        let last = self.interfaces.iter().map(|seen| seen.last).max();
        for (id, seen) in (0..).zip(&self.interfaces) {
            if seen.closed {
                continue;
            }
            let end = last.unwrap_or_default();
            let known = Statistics {
                start: seen.first.unwrap_or(end),
                end,
                matched: seen.packets.saturating_add(seen.lost),
                lost: seen.lost,
                lost_in_kernel: seen.lost,
            };
            known.put(id, seen.packets, 0, &mut out);
        }
        out
    }
}
