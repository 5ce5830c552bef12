//! A record's bytes as the frame that the file gets: what the wire had, or what the stack saw.

use capture_common::record::{RecordFlags, RecordHeader};

use crate::packet::{Direction, Gso, Reception};

/// The link headers of one capture's frames. libpcap refuses a file in which they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet. A device without a link header gets one made up: zero addresses, and the
    /// EtherType of the IP version.
    Ethernet,
    /// None: the capture's one device starts its frames with the IP header.
    Bare,
}

/// Where a made-up frame is put together. Frames that need no change are never copied.
#[derive(Debug, Default)]
pub struct Assembler {
    scratch: Vec<u8>,
}

/// Both addresses of an Ethernet header, before its type.
const ADDRESSES_LEN: usize = 12;
/// An Ethernet header.
const ETHERNET_LEN: usize = 14;
/// An 802.1Q tag: TPID and TCI.
const TAG_LEN: usize = 4;

impl Assembler {
    /// The frame, at most `snaplen` bytes of it, and its length before truncation.
    #[inline]
    pub fn assemble<'a>(
        &'a mut self,
        link: Link,
        snaplen: u32,
        header: &RecordHeader,
        frame: &'a [u8],
    ) -> (&'a [u8], u32) {
        if header.flags & (RecordFlags::VLAN | RecordFlags::NO_LINK_HEADER) == 0 {
            // As nearly all are.
            return (frame, header.wire_len);
        }
        self.change(link, snaplen as usize, header, frame)
    }

    fn change<'a>(
        &'a mut self,
        link: Link,
        snaplen: usize,
        header: &RecordHeader,
        frame: &'a [u8],
    ) -> (&'a [u8], u32) {
        if header.flags & RecordFlags::VLAN != 0 && header.flags & RecordFlags::NO_LINK_HEADER == 0
        {
            // The tag's place is behind the addresses; a frame cut before there ends before it.
            let (addresses, rest) = frame.split_at(frame.len().min(ADDRESSES_LEN));
            self.scratch.clear();
            self.scratch.extend_from_slice(addresses);
            if addresses.len() == ADDRESSES_LEN {
                self.scratch
                    .extend_from_slice(&header.vlan_proto.to_be_bytes());
                self.scratch
                    .extend_from_slice(&header.vlan_tci.to_be_bytes());
                self.scratch.extend_from_slice(rest);
            }
            self.scratch.truncate(snaplen);
            return (
                &self.scratch,
                header.wire_len.saturating_add(TAG_LEN as u32),
            );
        }
        if header.flags & RecordFlags::NO_LINK_HEADER != 0 && link == Link::Ethernet {
            let ethertype: u16 = match frame.first().map(|byte| byte >> 4) {
                Some(4) => 0x0800,
                Some(6) => 0x86dd,
                // Not IP: an EtherType of zero claims nothing.
                _ => 0,
            };
            self.scratch.clear();
            self.scratch.resize(ADDRESSES_LEN, 0);
            self.scratch.extend_from_slice(&ethertype.to_be_bytes());
            self.scratch.extend_from_slice(frame);
            self.scratch.truncate(snaplen);
            return (
                &self.scratch,
                header.wire_len.saturating_add(ETHERNET_LEN as u32),
            );
        }
        (frame, header.wire_len)
    }
}

/// Which way the record's packet was going.
#[must_use]
pub fn direction(header: &RecordHeader) -> Direction {
    if header.flags & RecordFlags::EGRESS == 0 {
        Direction::In
    } else {
        Direction::Out
    }
}

/// Whom it was for, which only a received packet's type tells (`if_packet.h`).
#[must_use]
pub fn reception(header: &RecordHeader) -> Option<Reception> {
    if direction(header) == Direction::Out {
        return None;
    }
    match header.packet_type {
        0 => Some(Reception::Unicast),
        1 => Some(Reception::Broadcast),
        2 => Some(Reception::Multicast),
        3 => Some(Reception::Promiscuous),
        _ => None,
    }
}

/// What a super-frame stands for.
#[must_use]
pub fn gso(header: &RecordHeader) -> Option<Gso> {
    (header.gso_size != 0).then_some(Gso {
        size: header.gso_size,
        segments: header.gso_segments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(flags: u16, wire_len: u32) -> RecordHeader {
        RecordHeader {
            flags,
            wire_len,
            vlan_proto: 0x8100,
            vlan_tci: 0x2064,
            ..RecordHeader::default()
        }
    }

    const FRAME: &[u8] = b"ddddddssssss\x08\x00ip and more";

    #[test]
    fn an_ordinary_frame_is_not_touched() {
        let mut assembler = Assembler::default();
        let (frame, len) = assembler.assemble(Link::Ethernet, 64, &header(0, 900), FRAME);
        assert_eq!((frame, len), (FRAME, 900));
        assert_eq!(frame.as_ptr(), FRAME.as_ptr());
    }

    #[test]
    fn an_offloaded_tag_is_put_back_behind_the_addresses() {
        let mut assembler = Assembler::default();
        let tagged = header(RecordFlags::VLAN, 900);
        let (frame, len) = assembler.assemble(Link::Ethernet, 64, &tagged, FRAME);
        assert_eq!(frame, b"ddddddssssss\x81\x00\x20\x64\x08\x00ip and more");
        assert_eq!(len, 904);
    }

    #[test]
    fn a_tag_counts_against_the_snapshot_length() {
        let mut assembler = Assembler::default();
        let tagged = header(RecordFlags::VLAN, 900);
        for snaplen in 1..20 {
            let kept = &FRAME[..snaplen as usize];
            let (frame, len) = assembler.assemble(Link::Ethernet, snaplen, &tagged, kept);
            assert_eq!(frame.len(), snaplen as usize);
            assert!(b"ddddddssssss\x81\x00\x20\x64\x08\x00ip".starts_with(frame));
            assert_eq!(len, 904);
        }
    }

    #[test]
    fn a_bare_frame_gets_a_header_only_among_ethernet_ones() {
        let mut assembler = Assembler::default();
        let bare = header(RecordFlags::NO_LINK_HEADER, 40);
        let packet = b"\x60 is version six";
        let (frame, len) = assembler.assemble(Link::Ethernet, 64, &bare, packet);
        assert_eq!(&frame[..14], b"\0\0\0\0\0\0\0\0\0\0\0\0\x86\xdd");
        assert_eq!((&frame[14..], len), (&packet[..], 54));
        let (frame, len) = assembler.assemble(Link::Bare, 64, &bare, packet);
        assert_eq!((frame, len), (&packet[..], 40));
    }
}
