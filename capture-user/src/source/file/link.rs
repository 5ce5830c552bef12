//! Link types: what frames start with. Numbers are those of
//! <https://www.tcpdump.org/linktypes.html>.

use std::fmt;

use crate::packet::Direction;
use crate::session::frame::Link;

/// A link-layer header type (`LINKTYPE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

/// What is to be taken off a frame's front so that it starts as [`Link`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stripped {
    pub(super) link: Link,
    pub(super) taken_off: usize,
    pub(super) direction: Option<Direction>,
    /// `ifindex`, where the header has it.
    pub(super) index: Option<u32>,
}

impl Stripped {
    const fn bare(taken_off: usize) -> Self {
        Self {
            link: Link::Bare,
            taken_off,
            direction: None,
            index: None,
        }
    }
}

impl LinkType {
    /// `LINKTYPE_NULL`: a protocol family, by the number it has on the machine that captured.
    pub const NULL: Self = Self(0);
    /// `LINKTYPE_ETHERNET`.
    pub const ETHERNET: Self = Self(1);
    /// `LINKTYPE_RAW`: an IP header.
    pub const RAW: Self = Self(101);
    /// `LINKTYPE_LOOP`: as NULL, in network order.
    pub const LOOP: Self = Self(108);
    /// `LINKTYPE_LINUX_SLL`: Linux's cooked header.
    pub const LINUX_SLL: Self = Self(113);
    /// `LINKTYPE_IPV4`.
    pub const IPV4: Self = Self(228);
    /// `LINKTYPE_IPV6`.
    pub const IPV6: Self = Self(229);
    /// `LINKTYPE_LINUX_SLL2`: the same with the interface's index.
    pub const LINUX_SLL2: Self = Self(276);

    /// What is to be taken off; `None` for a type that isn't known.
    #[inline]
    pub(super) fn strip(self, frame: &[u8]) -> Option<Stripped> {
        match self {
            Self::ETHERNET => Some(Stripped {
                link: Link::Ethernet,
                ..Stripped::bare(0)
            }),
            // 12 and 14 are what BSDs have called it in files.
            Self::RAW | Self::IPV4 | Self::IPV6 | Self(12 | 14) => Some(Stripped::bare(0)),
            // Which family it is, the IP header behind it says better.
            Self::NULL | Self::LOOP => Some(Stripped::bare(4)),
            Self::LINUX_SLL => Some(cooked(frame, COOKED)),
            Self::LINUX_SLL2 => Some(cooked(frame, COOKED_2)),
            _ => None,
        }
    }
}

/// By its usual name, else its number.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "NULL",
            1 => "ETHERNET",
            12 | 14 | 101 => "RAW",
            105 => "IEEE802_11",
            108 => "LOOP",
            113 => "LINUX_SLL",
            127 => "IEEE802_11_RADIOTAP",
            189 => "USB_LINUX",
            195 => "IEEE802_15_4_WITHFCS",
            201 => "BLUETOOTH_HCI_H4_WITH_PHDR",
            220 => "USB_LINUX_MMAPPED",
            227 => "CAN_SOCKETCAN",
            228 => "IPV4",
            229 => "IPV6",
            239 => "NFLOG",
            276 => "LINUX_SLL2",
            number => return write!(f, "{number}"),
        };
        f.write_str(name)
    }
}

/// Where things are in a cooked header; all of them in network order.
#[derive(Clone, Copy)]
struct Cooked {
    len: usize,
    protocol: usize,
    packet_type: usize,
    index: Option<usize>,
}

/// LINKTYPE_LINUX_SLL: the packet type's lower byte at 1.
const COOKED: Cooked = Cooked {
    len: 16,
    protocol: 14,
    packet_type: 1,
    index: None,
};
const COOKED_2: Cooked = Cooked {
    len: 20,
    protocol: 0,
    packet_type: 10,
    index: Some(4),
};

/// `PACKET_OUTGOING` (if_packet.h).
const OUTGOING: u8 = 4;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

fn cooked(frame: &[u8], layout: Cooked) -> Stripped {
    let u16_at = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
    let direction = frame.get(layout.packet_type).map(|kind| match *kind {
        OUTGOING => Direction::Out,
        _ => Direction::In,
    });
    let index = layout
        .index
        .and_then(|at| Some(u32::from_be_bytes(*frame.get(at..)?.first_chunk()?)));
    let mut taken_off = layout.len;
    let mut protocol = u16_at(layout.protocol);
    // A tag's TPID is the protocol then; TCI and the next protocol follow.
    for _ in 0..2 {
        if matches!(protocol, Some(0x8100 | 0x88a8)) {
            protocol = u16_at(taken_off + 2);
            taken_off += 4;
        }
    }
    if !matches!(protocol, Some(IPV4 | IPV6)) {
        // Something that a bare packet can't be, such as ARP: nothing of it is left.
        taken_off = frame.len();
    }
    Stripped {
        direction,
        index,
        ..Stripped::bare(taken_off)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sll2(protocol: [u8; 2], packet_type: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 20];
        frame[..2].copy_from_slice(&protocol);
        frame[7] = 9;
        frame[10] = packet_type;
        frame.extend(payload);
        frame
    }

    #[test]
    fn a_cooked_header_tells_direction_and_interface_and_is_taken_off() {
        let frame = sll2([8, 0], 4, b"\x45");
        let stripped = LinkType::LINUX_SLL2.strip(&frame);
        let expected = Stripped {
            link: Link::Bare,
            taken_off: 20,
            direction: Some(Direction::Out),
            index: Some(9),
        };
        assert_eq!(stripped, Some(expected));

        let mut frame = vec![0; 16];
        frame[14..].copy_from_slice(&[0x86, 0xdd]);
        let stripped = LinkType::LINUX_SLL.strip(&frame);
        let expected = Stripped {
            direction: Some(Direction::In),
            ..Stripped::bare(16)
        };
        assert_eq!(stripped, Some(expected));
    }

    #[test]
    fn tags_behind_a_cooked_header_are_taken_off_too() {
        let frame = sll2([0x88, 0xa8], 0, &[0, 5, 0x81, 0, 0, 6, 8, 0, 0x45]);
        let stripped = LinkType::LINUX_SLL2.strip(&frame);
        assert_eq!(stripped.map(|it| it.taken_off), Some(28));
    }

    #[test]
    fn a_cooked_frame_that_is_no_ip_packet_has_nothing_left() {
        let frame = sll2([8, 6], 0, b"ask");
        let stripped = LinkType::LINUX_SLL2.strip(&frame);
        assert_eq!(stripped.map(|it| it.taken_off), Some(frame.len()));
    }

    #[test]
    fn an_unknown_type_is_not_guessed_at() {
        assert_eq!(LinkType(127).strip(b"\x45"), None);
        assert_eq!(LinkType(127).to_string(), "IEEE802_11_RADIOTAP");
        assert_eq!(LinkType(4_711).to_string(), "4711");
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic(
            kind in prop::sample::select(vec![0, 1, 12, 14, 101, 108, 113, 228, 229, 276]),
            frame: Vec<u8>,
        ) {
            prop_assert!(LinkType(kind).strip(&frame).is_some());
        }
    }
}
