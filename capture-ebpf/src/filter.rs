//! The typed options. Each that was given must hold; how the tables answer is told in
//! `capture_common::filter`.
//!
//! Where addresses are asked for, code that user space makes (`filter/ordinary.rs` there) is asked
//! first: nearly all packets have their headers where it looks for them. Whatever it leaves open is
//! looked through step by step here, and both must say the same.

use aya_ebpf::bindings::{__sk_buff, xdp_md};
use capture_common::filter::{
    ARP, DST, EITHER, FAILS, IP_PROTOCOLS, MATCHES, NOT_DST, NOT_EITHER, NOT_SRC, SRC,
};

use crate::addresses::{lists_v4, lists_v6};
use crate::globals::{ADDRESS_OPTIONS, INNER, ORDINARY, PORT_OPTIONS, PROTOCOL_OPTIONS};
use crate::inner;
use crate::maps::{PORTS, PROTOCOLS};
use crate::packet::Packet;
use crate::parse::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Transport};
use crate::stand_in::stand_in;

/// Whether the packet is one that was asked for.
#[inline(always)]
pub fn matches<const BARE: bool>(packet: &impl Packet) -> bool {
    if ADDRESS_OPTIONS.load() == 0 && PORT_OPTIONS.load() == 0 && PROTOCOL_OPTIONS.load() == 0 {
        return true;
    }
    if ORDINARY.load() != 0 {
        match packet.as_ordinary::<BARE>() {
            FAILS => return false,
            MATCHES => return true,
            _ => {}
        }
    }
    let network = if INNER.load() != 0 {
        inner::unpack(packet.inner::<BARE>())
    } else {
        parse::network::<BARE>(packet)
    };
    let Some(network) = network else {
        return false;
    };
    let matched = match network.ethertype {
        ETHERTYPE_IPV4 => matches_v4(packet, network.offset),
        ETHERTYPE_IPV6 => matches_v6(packet, network.offset),
        ETHERTYPE_ARP => matches_arp(packet, network.offset),
        _ => None,
    };
    matched.is_some()
}

#[inline(always)]
fn matches_v4(packet: &impl Packet, ip: u32) -> Option<()> {
    if PROTOCOL_OPTIONS.load() != 0 {
        let table = PROTOCOLS.get(0)?;
        holds(PROTOCOL_OPTIONS.load() & IP_PROTOCOLS != 0)?;
        holds(table[usize::from(packet.read::<u8>(ip + 9)?)] != 0)?;
    }
    if ADDRESS_OPTIONS.load() != 0 {
        addresses_v4(packet.word(ip + 12)?, packet.word(ip + 16)?)?;
    }
    if PORT_OPTIONS.load() != 0 {
        ports(packet, &parse::transport_v4(packet, ip)?)?;
    }
    Some(())
}

#[inline(always)]
fn matches_v6(packet: &impl Packet, ip: u32) -> Option<()> {
    if ADDRESS_OPTIONS.load() != 0 {
        listed(lists_v6(
            u64::from_be(packet.double_word(ip + 8)?),
            u64::from_be(packet.double_word(ip + 16)?),
            u64::from_be(packet.double_word(ip + 24)?),
            u64::from_be(packet.double_word(ip + 32)?),
        ))?;
    }
    if PROTOCOL_OPTIONS.load() != 0 || PORT_OPTIONS.load() != 0 {
        let table = PROTOCOLS.get(0)?;
        // A number, not a truth value: on that the verifier would tell paths apart.
        let mut listed = 0;
        let transport = parse::transport_v6(packet, ip, |protocol| {
            if PROTOCOL_OPTIONS.load() & IP_PROTOCOLS != 0 {
                listed |= table[usize::from(protocol)];
            }
        });
        holds(PROTOCOL_OPTIONS.load() == 0 || listed != 0)?;
        if PORT_OPTIONS.load() != 0 {
            ports(packet, &transport?)?;
        }
    }
    Some(())
}

#[inline(always)]
fn matches_arp(packet: &impl Packet, arp: u32) -> Option<()> {
    holds(PORT_OPTIONS.load() == 0)?;
    holds(PROTOCOL_OPTIONS.load() == 0 || PROTOCOL_OPTIONS.load() & ARP != 0)?;
    if ADDRESS_OPTIONS.load() != 0 {
        let (sender, target) = parse::arp_addresses(packet, arp)?;
        addresses_v4(u32::from_ne_bytes(sender), u32::from_ne_bytes(target))?;
    }
    Some(())
}

#[inline(always)]
fn holds(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// Each option in `asked` finds its bit where it looks for it, and none that it bars.
#[inline(always)]
fn hit(asked: u8, source: u8, destination: u8) -> Option<()> {
    let wanted = asked & (EITHER | SRC | DST);
    if wanted != 0 {
        let found = ((source | destination) & EITHER) | (source & SRC) | (destination & DST);
        holds(found & wanted == wanted)?;
    }
    if asked & (NOT_EITHER | NOT_SRC | NOT_DST) != 0 {
        let barred =
            ((source | destination) & NOT_EITHER) | (source & NOT_SRC) | (destination & NOT_DST);
        holds(barred == 0)?;
    }
    Some(())
}

/// Addresses as they lie in the packet.
#[inline(always)]
fn addresses_v4(source: u32, destination: u32) -> Option<()> {
    listed(lists_v4(u32::from_be(source), u32::from_be(destination)))
}

/// Whether the bits of both addresses are as asked for.
#[inline(always)]
fn listed(bits: u32) -> Option<()> {
    hit(ADDRESS_OPTIONS.load(), bits as u8, (bits >> 8) as u8)
}

#[inline(always)]
fn ports(packet: &impl Packet, transport: &Transport) -> Option<()> {
    let (source, destination) = transport.ports(packet)?;
    let table = PORTS.get(0)?;
    hit(
        PORT_OPTIONS.load(),
        table[index(source)],
        table[index(destination)],
    )
}

/// A place in a table of all ports. Swapping a port's bytes leaves 64 bits of which Linux 6.12 and
/// older know nothing; LLVM knows better and would drop an ordinary mask.
#[inline(always)]
fn index(port: u16) -> usize {
    let mut place = u64::from(port);
    #[cfg(target_arch = "bpf")]
    // SAFETY: arithmetic on the block's own register.
    unsafe {
        core::arch::asm!(
            "{0} &= 0xffff",
            inout(reg) place,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: a u16 when it came in, and the mask takes nothing away from one.
    unsafe { core::hint::assert_unchecked(place <= 0xffff) };
    place as usize
}

stand_in! {
    /// The options for an ordinary packet with an Ethernet header: `FAILS`, `MATCHES` or `ASK` of
    /// `capture_common::filter`.
    fn nodecap_ordinary(context: *mut __sk_buff) -> u32 in ".text.ordinary" is "2"
}
stand_in! {
    /// The same for one without a link header.
    fn nodecap_ordinary_l3(context: *mut __sk_buff) -> u32 in ".text.ordinary_l3" is "3"
}
stand_in! {
    /// The same under XDP.
    fn nodecap_ordinary_xdp(context: *mut xdp_md) -> u32 in ".text.ordinary_xdp" is "4"
}
