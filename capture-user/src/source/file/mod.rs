//! Reads capture files: pcapng ([draft-ietf-opsawg-pcapng]) and pcap ([draft-ietf-opsawg-pcap]),
//! of either byte order and any resolution.
//!
//! It streams: memory doesn't grow with the file, and no packet is copied once it is in the
//! buffer. It never fails half-way: what can be read is read, and [`Reader::ending`] tells
//! afterwards why there was no more. A file that was cut in the middle of a packet, as a killed
//! capture leaves it, is an ordinary thing.
//!
//! - [`link`]: what frames start with, and what of it is taken off
//! - `input`: the file, unpacked if need be
//! - `window`: the bytes being looked at; `order`: byte order; `options`, `names` and `time`: what
//!   pcapng blocks are made of; `pcap` and `pcapng`: the two formats
//!
//! [draft-ietf-opsawg-pcapng]: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/
//! [draft-ietf-opsawg-pcap]: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/

pub(crate) mod input;
pub mod link;
mod names;
pub(crate) mod options;
pub(crate) mod order;
mod pcap;
mod pcapng;
mod time;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result};
use crate::flow::role::Role;
use crate::packet::{Direction, Gso, InterfaceId};
use crate::session::frame::Link;

pub use self::input::Input;
use self::link::LinkType;
use self::window::Window;

/// The longest packet, and the longest block that is looked into. Readers of pcapng agree on it
/// (`MAX_BLOCK_SIZE` of Wireshark's pcapng.c, `INITIAL_MAX_BLOCK_SIZE` of libpcap's sf-pcapng.c).
const LENGTH_MAX: usize = 16 << 20;
/// The most interfaces; a file with more is no capture.
const INTERFACES_MAX: usize = 1 << 16;

/// A capture file that is being read.
pub struct Reader<R> {
    window: Window<R>,
    format: Format,
    /// The bytes of the packet that was given last: they are done with at the next call.
    pending: usize,
    file: Contents,
    ending: Option<Ending>,
}

enum Format {
    Pcap(pcap::State),
    Pcapng(pcapng::State),
}

/// What was learned of the file so far.
#[derive(Debug, Default)]
struct Contents {
    interfaces: Vec<Interface>,
    /// The interfaces within a cooked capture on all interfaces: by the id of that and `ifindex`.
    within: HashMap<(InterfaceId, u32), InterfaceId, foldhash::fast::RandomState>,
    names: names::Names,
    application: Option<String>,
    skipped: BTreeMap<LinkType, u64>,
    packets: u64,
    comments: u64,
}

/// An interface that packets of the file were seen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// `if_name`, or `#INDEX` where only that is known. Print it through
    /// [`crate::target::name::printable`].
    pub name: Option<String>,
    /// `if_description`.
    pub description: Option<String>,
    /// What lies behind it. Known only from files of ours.
    pub role: Role,
    /// What its frames start with.
    pub link_type: LinkType,
    /// The section of the file that it is described in, from 0.
    pub section: u32,
}

/// A packet of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Nanoseconds since the Unix epoch; 0 for one whose time isn't recorded.
    pub time: u64,
    /// Where it was seen: an index into [`Reader::interfaces`].
    pub interface: InterfaceId,
    /// Which way it was going there, if the file says so.
    pub direction: Option<Direction>,
    /// A number that is the same on every sighting of the packet (`epb_packetid`).
    pub identity: Option<u64>,
    /// What [`Packet::frame`] starts with.
    pub link: Link,
    /// The bytes that were kept, without a cooked header.
    pub frame: &'a [u8],
    /// The length before truncation, of what [`Packet::frame`] is the beginning of.
    pub original_len: u32,
    /// What a super-frame stands for, in a file of ours.
    pub gso: Option<Gso>,
    /// The interfaces known so far, this packet's among them.
    pub interfaces: &'a [Interface],
    /// The names that the file gave to addresses so far, in its order: the last one holds.
    pub names: &'a [(std::net::IpAddr, String)],
    options: Options<'a>,
}

/// A packet's options, still to be looked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Options<'a> {
    bytes: &'a [u8],
    order: order::Order,
}

impl<'a> Packet<'a> {
    /// Whether there is anything besides the packet itself.
    #[must_use]
    pub fn has_options(&self) -> bool {
        !self.options.bytes.is_empty()
    }

    /// Its comments; bytes that aren't UTF-8 are left out, as the whole comment is.
    pub fn comments(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.options.comments()
    }
}

impl<'a> Options<'a> {
    fn comments(self) -> impl Iterator<Item = &'a str> + use<'a> {
        options::Options::new(self.bytes, self.order)
            .filter(|(code, _)| *code == options::COMMENT)
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }
}

/// Why there was nothing more to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The file ends behind a whole packet or block.
    Whole,
    /// The file ends in the middle of one, which begins at that byte.
    Cut {
        /// Counted from 0.
        at: u64,
    },
    /// What comes at that byte can't be.
    Damaged {
        /// Counted from 0.
        at: u64,
        /// What is wrong, for people.
        why: &'static str,
    },
    /// It couldn't be read on.
    Unreadable {
        /// Counted from 0.
        at: u64,
        /// The system's reason.
        why: String,
    },
}

/// What a format found: where in the window things lie.
struct Found {
    time: u64,
    interface: InterfaceId,
    direction: Option<Direction>,
    identity: Option<u64>,
    gso: Option<Gso>,
    frame: Range<usize>,
    original_len: u32,
    options: Range<usize>,
    /// The bytes of the whole record.
    len: usize,
}

/// One step of a format through the file.
enum Step {
    /// A packet.
    Packet(Found),
    /// Something else, of that many bytes.
    Other(usize),
    /// Nothing more.
    End(Ending),
}

impl Reader<Input> {
    /// Opens a file, which may be packed by gzip or Zstandard.
    ///
    /// # Errors
    ///
    /// [`Error::Failure`] if it can't be opened, or is neither pcap nor pcapng.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let unreadable = |error: io::Error| Error::failure(format!("can't read {shown}: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Error::failure(format!(
                "can't read {shown}: it is a directory; name a capture file"
            )));
        }
        let input = Input::new(file).map_err(unreadable)?;
        Self::new(input).map_err(|refusal| match refusal {
            Refusal::Unreadable(error) => unreadable(error),
            other => Error::failure(format!("{shown} {other}")),
        })
    }
}

/// Why something can't be read as a capture file.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It can't be read at all.
    #[error("can't be read: {0}")]
    Unreadable(#[source] io::Error),
    /// There is nothing in it.
    #[error("is empty: no capture was written to it")]
    Empty,
    /// It is packed, twice if it is a file.
    #[error("is compressed ({0}): unpack it first, with `{1}`")]
    Compressed(&'static str, &'static str),
    /// It begins unlike either format.
    #[error("is neither a pcapng nor a pcap file: {0}")]
    Foreign(&'static str),
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// [`Refusal`], if it can't be read or isn't a capture file.
    pub fn new(input: R) -> Result<Self, Refusal> {
        let mut window = Window::new(input);
        window.fill(4).map_err(Refusal::Unreadable)?;
        let Some(magic) = window.bytes().first_chunk::<4>().copied() else {
            return Err(if window.bytes().is_empty() {
                Refusal::Empty
            } else {
                Refusal::Foreign("it has fewer than four bytes")
            });
        };
        let mut file = Contents::default();
        let mut pending = 0;
        let format = match magic {
            pcapng::MAGIC => Format::Pcapng(pcapng::State::default()),
            [a, b, ..] if [a, b] == input::GZIP => {
                return Err(Refusal::Compressed("gzip", "gunzip"));
            }
            input::ZSTD => return Err(Refusal::Compressed("zstd", "unzstd")),
            magic => {
                let kind = pcap::Kind::of(magic)
                    .ok_or(Refusal::Foreign("it begins like no capture file"))?;
                window
                    .fill(pcap::FILE_HEADER_LEN)
                    .map_err(Refusal::Unreadable)?;
                let (state, interface) =
                    pcap::State::read(kind, window.bytes()).map_err(Refusal::Foreign)?;
                file.interfaces.push(interface);
                pending = pcap::FILE_HEADER_LEN;
                Format::Pcap(state)
            }
        };
        Ok(Self {
            window,
            format,
            pending,
            file,
            ending: None,
        })
    }

    /// The next packet whose link type is known; those of others are counted and skipped.
    ///
    /// `None` at the end: see [`Reader::ending`].
    #[expect(
        clippy::should_implement_trait,
        reason = "a packet borrows the buffer, which no iterator can lend"
    )]
    pub fn next(&mut self) -> Option<Packet<'_>> {
        let (found, stripped) = loop {
            if self.ending.is_some() {
                return None;
            }
            self.window.advance(std::mem::take(&mut self.pending));
            let step = match &mut self.format {
                Format::Pcap(state) => state.step(&mut self.window),
                Format::Pcapng(state) => state.step(&mut self.window, &mut self.file),
            };
            let step = step.unwrap_or_else(|error| {
                let at = self.window.position();
                Step::End(match error.kind() {
                    // Packed, and cut.
                    io::ErrorKind::UnexpectedEof => Ending::Cut { at },
                    _ => Ending::Unreadable {
                        at,
                        why: error.to_string(),
                    },
                })
            });
            match step {
                Step::Other(len) => self.pending = len,
                Step::End(ending) => self.ending = Some(ending),
                Step::Packet(found) => {
                    self.pending = found.len;
                    self.file.packets += 1;
                    let interface = self.file.interfaces.get(found.interface as usize)?;
                    let frame = self.window.bytes().get(found.frame.clone())?;
                    match interface.link_type.strip(frame) {
                        Some(stripped) => break (found, stripped),
                        None => {
                            *self.file.skipped.entry(interface.link_type).or_default() += 1;
                        }
                    }
                }
            }
        };
        let interface = match stripped.index {
            Some(index) => self.file.within(found.interface, index),
            None => found.interface,
        };
        let order = match &self.format {
            Format::Pcap(_) => order::Order::Little,
            Format::Pcapng(state) => state.order(),
        };
        let bytes = self.window.bytes();
        let frame = bytes.get(found.frame)?;
        let options = Options {
            bytes: bytes.get(found.options)?,
            order,
        };
        self.file.comments += options.comments().count() as u64;
        Some(Packet {
            time: found.time,
            interface,
            direction: found.direction.or(stripped.direction),
            identity: found.identity,
            link: stripped.link,
            frame: frame.get(stripped.taken_off..).unwrap_or_default(),
            original_len: found
                .original_len
                .saturating_sub(u32::try_from(stripped.taken_off).unwrap_or(u32::MAX)),
            gso: found.gso,
            interfaces: &self.file.interfaces,
            names: &self.file.names,
            options,
        })
    }

    /// The interfaces known so far.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.file.interfaces
    }

    /// Its format's name.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match self.format {
            Format::Pcap(_) => "pcap",
            Format::Pcapng(_) => "pcapng",
        }
    }

    /// The program that wrote it, if it says so. Print it through
    /// [`crate::target::name::printable`].
    #[must_use]
    pub fn application(&self) -> Option<&str> {
        self.file.application.as_deref()
    }

    /// How many packets were skipped because nothing is known of their link type.
    #[must_use]
    pub fn skipped(&self) -> &BTreeMap<LinkType, u64> {
        &self.file.skipped
    }

    /// Packets so far, the skipped ones included.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.file.packets
    }

    /// Comments on packets so far.
    #[must_use]
    pub fn comments(&self) -> u64 {
        self.file.comments
    }

    /// Bytes of the file up to the last packet.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.window.position()
    }

    /// Why there was nothing more to read; none while there may be.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }
}

impl Contents {
    /// The interface with that `ifindex` within a capture on several; made up when it first comes.
    fn within(&mut self, outer: InterfaceId, index: u32) -> InterfaceId {
        if let Some(id) = self.within.get(&(outer, index)) {
            return *id;
        }
        if self.interfaces.len() >= INTERFACES_MAX {
            return outer;
        }
        let Some(whole) = self.interfaces.get(outer as usize) else {
            return outer;
        };
        let interface = Interface {
            name: Some(format!("#{index}")),
            role: Role::Unknown,
            ..whole.clone()
        };
        let id = InterfaceId::try_from(self.interfaces.len()).unwrap_or(outer);
        self.interfaces.push(interface);
        self.within.insert((outer, index), id);
        id
    }
}

#[cfg(test)]
mod any_input_tests;
#[cfg(test)]
mod tests;
