//! The interface description block (draft, section 4.2).

use std::borrow::Cow;

use pcap_file::{
    DataLink,
    pcapng::blocks::interface_description::{
        InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
    },
};

use super::names::{self, Name};
use super::option::{self, fitting, option_len};

/// The largest snapshot length that readers take: `MAXIMUM_SNAPLEN` of libpcap,
/// `WTAP_MAX_PACKET_SIZE_STANDARD` of Wireshark.
pub const SNAPLEN_MAX: u32 = 262_144;

/// What comes first in every frame of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// An Ethernet header: `LINKTYPE_ETHERNET`, 1.
    Ethernet,
    /// The IP header itself: `LINKTYPE_RAW`, 101. For files with one interface only, and none that
    /// joins later: libpcap (1.10.3) compares a second interface's 101 with the number that it
    /// itself has for the first one's, 12, and refuses the file.
    Raw,
}

impl LinkType {
    const fn data_link(self) -> DataLink {
        match self {
            Self::Ethernet => DataLink::ETHERNET,
            Self::Raw => DataLink::RAW,
        }
    }
}

/// The form of the frames, the same at every interface of a file: libpcap refuses a file whose
/// interfaces differ in either (`sf-pcapng.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    link_type: LinkType,
    snaplen: u32,
}

impl Frames {
    /// Frames of that kind, cut after `snaplen` bytes. A `snaplen` of 0, or one above
    /// [`SNAPLEN_MAX`], means [`SNAPLEN_MAX`].
    #[must_use]
    pub const fn new(link_type: LinkType, snaplen: u32) -> Self {
        let snaplen = if snaplen == 0 || snaplen > SNAPLEN_MAX {
            SNAPLEN_MAX
        } else {
            snaplen
        };
        Self { link_type, snaplen }
    }

    /// What comes first in every frame.
    #[must_use]
    pub const fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// The most bytes that a frame has in the file, at least 1.
    #[must_use]
    pub const fn snaplen(&self) -> u32 {
        self.snaplen
    }
}

/// What the file says of one interface. A text longer than an option can hold, 65,535 bytes, is
/// cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceDescription<'a> {
    /// `if_name`: the kernel's name for it.
    pub name: &'a str,
    /// `if_description`: its kind, the container or pod behind it, its network namespace.
    pub description: Option<&'a str>,
    /// `if_MACaddr`, where it has one.
    pub mac: Option<[u8; 6]>,
    /// `if_filter`: the filter in words, whatever form it has in the kernel.
    pub filter: Option<&'a str>,
    /// `if_os`: the kernel of the node that it is on.
    pub os: Option<&'a str>,
    /// What addresses are called that were learned with the interface, in a name resolution block
    /// before its own.
    pub names: &'a [Name],
}

/// Says that an `if_filter` holds text rather than classic BPF.
const FILTER_TEXT: u8 = 0;

impl<'a> InterfaceDescription<'a> {
    /// The block as `pcap-file` knows it.
    pub(super) fn block(&self, frames: Frames) -> InterfaceDescriptionBlock<'a> {
        use InterfaceDescriptionOption as Opt;
        let text = |text: &'a str| Cow::Borrowed(fitting(text, 0));
        let filter = |text: &str| {
            let text = fitting(text, 1);
            let mut value = Vec::with_capacity(1 + text.len());
            value.push(FILTER_TEXT);
            value.extend_from_slice(text.as_bytes());
            value.into()
        };
        let options = [
            Some(Opt::IfName(text(self.name))),
            self.description.map(|it| Opt::IfDescription(text(it))),
            self.mac.map(|it| Opt::IfMacAddr(it.to_vec().into())),
            Some(Opt::IfTsResol(InterfaceTsResolution::NANO)),
            self.filter.map(|it| Opt::IfFilter(filter(it))),
            self.os.map(|it| Opt::IfOs(text(it))),
        ];
        InterfaceDescriptionBlock {
            linktype: frames.link_type.data_link(),
            snaplen: frames.snaplen,
            options: options.into_iter().flatten().collect(),
        }
    }

    /// The length in bytes of its block, and of that of its names.
    pub(super) fn block_len(&self) -> usize {
        let text = |text: &str, taken| option_len(taken + fitting(text, taken).len());
        // Type, length, link type with its reserved half, snaplen; the length again at the end.
        let frame = 4 + 4 + 4 + 4 + 4;
        let resolution = option_len(1);
        names::block_len(self.names)
            + frame
            + text(self.name, 0)
            + self.description.map_or(0, |it| text(it, 0))
            + self.mac.map_or(0, |it| option_len(it.len()))
            + resolution
            + self.filter.map_or(0, |it| text(it, 1))
            + self.os.map_or(0, |it| text(it, 0))
            + option::HEADER_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snaplen_that_readers_refuse_becomes_the_largest_that_they_take() {
        let snaplen = |asked| Frames::new(LinkType::Ethernet, asked).snaplen();
        assert_eq!(
            [0, 1, 262_144, 262_145, u32::MAX].map(snaplen),
            [262_144, 1, 262_144, 262_144, 262_144]
        );
    }
}
