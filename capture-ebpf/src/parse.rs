//! From the frame's start to the headers that the filter asks about.
//!
//! Each step reads as little as it needs and gives up on a packet that ends too early: what can't
//! be read doesn't match. Offsets stay small enough for the verifier (and a frame): two tags, one
//! IP header, and at most [`MAX_EXTENSION_HEADERS`] extension headers of up to 2,048 bytes.

use capture_common::filter::{
    MAX_EXTENSION_HEADERS, MAX_VLAN_TAGS, has_ports, is_extension_header,
};

use crate::globals::{INNER, PORT_OPTIONS, PROTOCOL_OPTIONS, REMEMBER};
use crate::packet::{Bytes, Packet, clamp};

pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_ARP: u16 = 0x0806;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Makes the verifier forget what it knows of an offset but its bound.
///
/// It follows every path with the offset that this path computed, and would follow them all to
/// the end: 90,000 instructions for eight extension headers. With the same bound on each path they
/// are the same to it wherever they meet, and it follows one.
#[inline(always)]
pub fn meet(offset: u32) -> u32 {
    // Above any offset that parsing can come to.
    const MASK: u64 = 0x7fff;
    #[cfg(target_arch = "bpf")]
    {
        let mut offset = u64::from(offset);
        // SAFETY: one arithmetic instruction on the block's own register. Without any (an empty
        // block) the object's line table would have two entries for one instruction.
        unsafe {
            core::arch::asm!(
                "{0} &= {mask}",
                inout(reg) offset,
                mask = const MASK,
                options(pure, nomem, nostack),
            );
        }
        offset as u32
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        offset & MASK as u32
    }
}

/// Where the network header starts, and what it is.
pub struct Network {
    pub ethertype: u16,
    pub offset: u32,
}

/// Looks through the Ethernet header and the tags inside the frame: one less if the stack has
/// already taken one out, so that a packet matches alike where it comes in and where it leaves. A
/// device without a link header (`BARE`) has its network header first.
#[inline(always)]
pub fn network<const BARE: bool>(packet: &impl Packet) -> Option<Network> {
    if BARE {
        return Some(Network {
            ethertype: packet.protocol(),
            offset: 0,
        });
    }
    let mut network = Network {
        ethertype: packet.read_u16(12)?,
        offset: 14,
    };
    for tag in 1..=MAX_VLAN_TAGS {
        if !is_tag(network.ethertype) {
            break;
        }
        if tag == MAX_VLAN_TAGS && packet.vlan().is_some() {
            break;
        }
        network.ethertype = packet.read_u16(network.offset + 2)?;
        network.offset += 4;
    }
    network.offset = meet(network.offset);
    Some(network)
}

/// 802.1Q, 802.1ad, and the number that was used for stacking before it.
#[inline(always)]
pub fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Where the ports would be: the upper-layer protocol and the offset of its header.
pub struct Transport {
    pub protocol: u8,
    pub offset: u32,
    /// A fragment other than the first: the header isn't in this packet.
    pub later_fragment: bool,
}

impl Transport {
    /// As a number that is never 0.
    #[inline(always)]
    pub fn pack(&self) -> u64 {
        1 << 63
            | u64::from(self.offset) << 16
            | u64::from(self.later_fragment) << 8
            | u64::from(self.protocol)
    }

    /// From such a number.
    #[inline(always)]
    pub fn unpack(packed: u64) -> Option<Self> {
        if packed == 0 {
            return None;
        }
        Some(Self {
            protocol: packed as u8,
            later_fragment: packed >> 8 & 1 != 0,
            // The verifier has lost the bound.
            offset: meet((packed >> 16) as u32),
        })
    }

    /// Source and destination port, if the protocol has them and they are in this packet.
    #[inline(always)]
    pub fn ports(&self, packet: &impl Bytes) -> Option<(u16, u16)> {
        if self.later_fragment || !has_ports(self.protocol) {
            return None;
        }
        // Bounded once more: on the way here LLVM may keep the offset together with the rest of
        // this in one register, of which Linux 5.10's verifier knows no bound. From above only: a
        // bare packet that says its header has no length has its ports at 0, as tcpdump reads it.
        let ports = packet.read::<[u8; 4]>(meet(self.offset))?;
        Some((
            u16::from_be_bytes([ports[0], ports[1]]),
            u16::from_be_bytes([ports[2], ports[3]]),
        ))
    }
}

/// The IPv4 header's protocol and length.
#[inline(always)]
pub fn transport_v4(packet: &impl Bytes, ip: u32) -> Option<Transport> {
    // Two bytes, though one would do: LLVM turns a check for one byte at the packet's very start
    // into `data < data_end`, from which the verifier concludes nothing.
    let [version_ihl, _] = packet.read(ip)?;
    let fragment = packet.read_u16(ip + 6)?;
    let protocol = packet.read::<u8>(ip + 9)?;
    Some(Transport {
        protocol,
        // A header length below five is invalid. tcpdump's filters take it as it stands, too.
        offset: ip + u32::from(version_ihl & 0xf) * 4,
        later_fragment: fragment & 0x1fff != 0,
    })
}

/// Walks the IPv6 extension headers (RFC 8200, 4.1; AH, RFC 4302; mobility, HIP and shim6 have
/// the same shape). `seen` is called with each next-header value on the way, the last included.
#[inline(always)]
pub fn transport_v6(packet: &impl Bytes, ip: u32, mut seen: impl FnMut(u8)) -> Option<Transport> {
    let mut transport = Transport {
        protocol: packet.read::<u8>(ip + 6)?,
        offset: ip + 40,
        later_fragment: false,
    };
    seen(transport.protocol);
    // Written out, not left to LLVM: a loop that it keeps as one never ends for a verifier that
    // follows speculation, as it does without CAP_PERFMON.
    const _: () = assert!(MAX_EXTENSION_HEADERS == 8);
    macro_rules! eight_times {
        ($once:block) => {
            $once $once $once $once $once $once $once $once
        };
    }
    'walk: {
        eight_times!({
            // Behind a fragment that isn't the first there is no further header.
            if transport.later_fragment || !is_extension_header(transport.protocol) {
                break 'walk;
            }
            transport = Transport::unpack(packet.step_over(transport.pack()))?;
            seen(transport.protocol);
        });
    }
    transport.offset = clamp(u64::from(transport.offset), MAX_OFFSET) as u32;
    Some(transport)
}

/// Beyond where eight extension headers can end. The verifier takes no offset that could be near
/// 65,536, and after a few additions it knows too little of this one.
const MAX_OFFSET: u64 = 0x7fff;

// Next-header values of the extension headers that have a shape of their own.
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;

/// What is behind an extension header: both as [`Transport::pack`] has them, 0 where the packet
/// ends before.
///
/// For functions that the verifier takes by themselves, once. In line it would be verified for each
/// header of the chain and every way that leads there, which was four fifths of all that it did.
#[inline(always)]
pub fn step_over(packet: &impl Bytes, at: u64) -> u64 {
    // Asked again, since without CAP_PERFMON the verifier refuses what follows, and takes it even
    // where only a wrong guess of the processor would lead there; before Linux 6.8 also where
    // nothing does.
    if PROTOCOL_OPTIONS.load() == 0
        && PORT_OPTIONS.load() == 0
        && INNER.load() == 0
        && REMEMBER.load() == 0
    {
        return 0;
    }
    let next = Transport::unpack(at).and_then(|header| behind(packet, &header));
    next.map_or(0, |next| next.pack())
}

#[inline(always)]
fn behind(packet: &impl Bytes, header: &Transport) -> Option<Transport> {
    let at = clamp(u64::from(header.offset), MAX_OFFSET) as u32;
    let [protocol, units] = packet.read::<[u8; 2]>(at)?;
    let units = u32::from(units);
    let (len, later_fragment) = match header.protocol {
        FRAGMENT => (8, packet.read_u16(at + 2)? & 0xfff8 != 0),
        // Four-byte units after the first two.
        AUTHENTICATION => ((units + 2) * 4, false),
        // Eight-byte units after the first.
        _ => ((units + 1) * 8, false),
    };
    Some(Transport {
        protocol,
        offset: meet(at + len),
        later_fragment,
    })
}

/// The addresses in an ARP packet for IPv4 over Ethernet (RFC 826): sender's, then target's.
#[inline(always)]
pub fn arp_addresses(packet: &impl Packet, arp: u32) -> Option<([u8; 4], [u8; 4])> {
    // Hardware type Ethernet, protocol type IPv4, lengths six and four.
    if packet.read::<[u8; 4]>(arp)? != [0, 1, 8, 0] || packet.read::<[u8; 2]>(arp + 4)? != [6, 4] {
        return None;
    }
    Some((packet.read(arp + 14)?, packet.read(arp + 24)?))
}
