//! What is in a capture file.
//!
//! This reader is the lab's own, so that the product's files aren't judged by the library that
//! wrote them, and it forgives nothing: a length that doesn't add up, padding that isn't zero or
//! an option list without its end is an error here, whatever other readers make of it.
//!
//! - here: what is found, the same for both formats
//! - [`pcapng`], [`pcap`]: how it is found

pub mod pcap;
pub mod pcapng;

use std::path::Path;

/// A capture file, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureFile {
    /// What the file says about its origin; empty in a pcap file.
    pub section: Section,
    /// The interfaces in the order in which packets refer to them; a pcap file has one.
    pub interfaces: Vec<Interface>,
    /// The packets in the order of the file.
    pub packets: Vec<Captured>,
    /// The statistics blocks in the order of the file.
    pub statistics: Vec<Statistics>,
    /// The types of all blocks in the order of the file; empty for a pcap file.
    pub blocks: Vec<u32>,
    /// Whether the file ends in the middle of a block.
    pub cut: bool,
}

/// A section header block's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// `shb_hardware`
    pub hardware: Option<String>,
    /// `shb_os`
    pub os: Option<String>,
    /// `shb_userappl`
    pub application: Option<String>,
    /// `opt_comment`, each
    pub comments: Vec<String>,
}

/// An interface description block, or what a pcap file's header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The link type; 1 is Ethernet.
    pub link_type: u16,
    /// The snapshot length in bytes.
    pub snap_len: u32,
    /// `if_name`
    pub name: Option<String>,
    /// `if_description`
    pub description: Option<String>,
    /// `if_filter` without its leading zero byte, which says that it is text
    pub filter: Option<String>,
    /// `if_MACaddr`
    pub hardware_address: Option<Vec<u8>>,
    /// `if_os`
    pub os: Option<String>,
    /// `if_hardware`
    pub hardware: Option<String>,
    /// How many units of its timestamps make a second.
    pub units_per_second: u64,
}

/// A packet with everything that the file says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// The interface, by its place in [`CaptureFile::interfaces`].
    pub interface: usize,
    /// Its first bytes.
    pub data: Vec<u8>,
    /// Its length in bytes before it was truncated.
    pub original_len: u32,
    /// Bits 0 and 1 of `epb_flags`.
    pub direction: Option<Direction>,
    /// `epb_flags`, the whole word
    pub flags: Option<u32>,
    /// `epb_dropcount`; 0 if it isn't there
    pub dropcount: u64,
    /// `epb_packetid`
    pub packet_id: Option<u64>,
    /// `opt_comment`, each
    pub comments: Vec<String>,
}

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into the node.
    Inbound,
    /// Out of it.
    Outbound,
}

/// An interface statistics block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The interface, by its place in [`CaptureFile::interfaces`].
    pub interface: usize,
    /// When these numbers were true, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// `isb_starttime`, likewise
    pub start_ns: Option<u64>,
    /// `isb_endtime`, likewise
    pub end_ns: Option<u64>,
    /// `isb_ifrecv`
    pub received: Option<u64>,
    /// `isb_ifdrop`
    pub dropped: Option<u64>,
    /// `isb_filteraccept`
    pub accepted: Option<u64>,
    /// `isb_osdrop`
    pub dropped_by_os: Option<u64>,
    /// `isb_usrdeliv`
    pub delivered: Option<u64>,
}

impl CaptureFile {
    /// Reads a file that must be whole.
    ///
    /// # Panics
    ///
    /// When it isn't, or breaks a rule of its format anywhere.
    #[must_use]
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let file = Self::read_cut(path);
        assert!(
            !file.cut,
            "{} ends in the middle of a block",
            path.display()
        );
        file
    }

    /// Reads a file that may end in the middle of a block, as one does whose writer was killed.
    ///
    /// # Panics
    ///
    /// When it breaks a rule of its format before that.
    #[must_use]
    #[track_caller]
    pub fn read_cut(path: &Path) -> Self {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&bytes, &path.display().to_string()),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// Reads a file's bytes; `name` is what to call it in a complaint.
    ///
    /// # Panics
    ///
    /// When they break a rule of their format.
    #[must_use]
    #[track_caller]
    pub fn parse(bytes: &[u8], name: &str) -> Self {
        let parsed = if bytes.starts_with(&pcapng::SECTION_HEADER.to_ne_bytes()) {
            pcapng::parse(bytes)
        } else {
            pcap::parse(bytes)
        };
        match parsed {
            Ok(file) => file,
            Err(complaint) => panic!("{name}: {complaint}"),
        }
    }

    /// The place of the interface with this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn interface(&self, name: &str) -> usize {
        let place = self
            .interfaces
            .iter()
            .position(|one| one.name.as_deref() == Some(name));
        match place {
            Some(place) => place,
            None => panic!("no interface {name} among {:?}", self.interfaces),
        }
    }

    /// The packets of the interface with this name.
    ///
    /// # Panics
    ///
    /// When there is no such interface.
    #[must_use]
    #[track_caller]
    pub fn packets_of(&self, name: &str) -> Vec<Captured> {
        let place = self.interface(name);
        self.packets
            .iter()
            .filter(|packet| packet.interface == place)
            .cloned()
            .collect()
    }

    /// The one statistics block of the interface with this name.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn statistics_of(&self, name: &str) -> &Statistics {
        let place = self.interface(name);
        let mut blocks = self
            .statistics
            .iter()
            .filter(|block| block.interface == place);
        match (blocks.next(), blocks.next()) {
            (Some(block), None) => block,
            _ => panic!(
                "not exactly one statistics block of {name}: {:?}",
                self.statistics
            ),
        }
    }
}

/// Why a file was refused.
type Complaint = String;

/// A place in the file's bytes from which numbers of this machine's byte order are taken. Both
/// formats are written in the writer's order, and the writer runs here.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Complaint> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| format!("{len} bytes wanted, {} left", self.rest.len()))?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes and the zeros that follow them up to a multiple of four.
    fn take_padded(&mut self, len: usize) -> Result<&'a [u8], Complaint> {
        let taken = self.take(len)?;
        let padding = self.take(len.next_multiple_of(4) - len)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(format!("padding of {padding:?}, not zeros"));
        }
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Complaint> {
        Ok(u16::from_ne_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, Complaint> {
        Ok(u32::from_ne_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Complaint> {
        Ok(u64::from_ne_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Complaint> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }
}
