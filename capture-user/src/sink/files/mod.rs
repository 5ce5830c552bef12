//! One capture's files on disk, one after the other: opened, closed and removed on the thread that
//! writes them.
//!
//! - [`names`]: what each is called; [`retention`]: which go when there are too many
//! - [`series`]: both together, with what is there from earlier captures
//! - [`room`]: how much more the file system takes
//! - [`exec`]: the command that is run on each finished one

pub mod exec;
pub mod names;
pub mod retention;
pub mod room;
pub mod series;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::output::{Background, Opened, OutputError, Packing};
use super::pcapng::file::count_packets;
use super::pcapng::{Closing, Header, PcapngFile, statistics};
use crate::packet::InterfaceId;
use exec::Runner;
use room::Room;
use series::Series;

/// What the thread is told besides the blocks of the file.
#[derive(Debug)]
pub enum Order {
    /// The file's interface of the next id is this one of the capture.
    Joined(InterfaceId),
    /// Nothing more comes into this file: write its statistics.
    Close(Vec<Closing>),
    /// Bring what was written to the disk, so that it survives a loss of power.
    Sync,
    /// Begin another file.
    Next {
        /// What it begins with.
        header: Header,
        /// Which interfaces of the capture it describes, in the order of their ids in the file.
        members: Vec<InterfaceId>,
        /// When it begins, in nanoseconds since the Unix epoch: for its name.
        time: u64,
    },
}

/// Says something to the user.
pub type Tell = Box<dyn Fn(String) + Send>;

/// The files of a capture.
pub struct Files {
    current: Option<PcapngFile>,
    /// Where it is; `None` for standard output.
    path: Option<PathBuf>,
    members: Vec<InterfaceId>,
    /// Packets lost in the file under way where there is none, by the ids in it.
    lost_here: Vec<u64>,
    /// Packets lost in all files, by the capture's ids, where there are any.
    lost: BTreeMap<InterfaceId, u64>,
    series: Option<Series>,
    runner: Option<Runner>,
    failure: Option<OutputError>,
    /// Bytes of the files before this one.
    before: u64,
    room: Option<Room>,
    durable: bool,
    tell: Tell,
}

/// What [`Files::new`] needs besides a file.
pub struct Parts {
    /// Where the file is; `None` for standard output.
    pub path: Option<PathBuf>,
    /// Which interfaces of the capture it describes, in the order of their ids.
    pub members: Vec<InterfaceId>,
    /// What the next ones are called; `None`: there are none.
    pub series: Option<Series>,
    /// What is run on each.
    pub runner: Option<Runner>,
    /// What to look after, if anything, so that the file system doesn't fill.
    pub room: Option<Room>,
    /// Whether each file is brought to the disk when it is closed.
    pub durable: bool,
    /// Says what goes wrong without being the end.
    pub tell: Tell,
}

impl Files {
    /// Goes on from a file that was begun.
    #[must_use]
    pub fn new(file: PcapngFile, parts: Parts) -> Self {
        let mut files = Self {
            current: Some(file),
            path: parts.path,
            members: parts.members,
            lost_here: Vec::new(),
            lost: BTreeMap::new(),
            series: parts.series,
            runner: parts.runner,
            failure: None,
            before: 0,
            room: parts.room,
            durable: parts.durable,
            tell: parts.tell,
        };
        files.began();
        files.look_at_room(0);
        files
    }

    /// So many more bytes were dealt with, before they were packed.
    fn look_at_room(&mut self, dealt_with: u64) {
        if let (Some(room), Some(file)) = (&mut self.room, &self.current) {
            room.look(file.destination(), dealt_with);
        }
    }

    /// The first failure.
    #[must_use]
    pub const fn failure(&self) -> Option<&OutputError> {
        self.failure.as_ref()
    }

    /// Packets that were handed over and are in no file, by the capture's ids.
    #[must_use]
    pub fn into_lost(self) -> BTreeMap<InterfaceId, u64> {
        self.lost
    }

    /// Waits until the command has run on every file.
    pub fn wait_for_commands(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.finish();
        }
    }

    fn close(&mut self, closings: &[Closing]) -> Result<(), OutputError> {
        self.look_at_room(closings.len() as u64 * statistics::BLOCK_LEN as u64);
        let lost_here = match self.current.take() {
            Some(file) => {
                let finished = file.finish(closings, self.durable);
                self.before += finished.bytes;
                if let Some(failure) = finished.failure {
                    self.failure.get_or_insert(failure);
                }
                if let (Some(runner), Some(path)) = (&self.runner, &self.path) {
                    runner.run(path.clone());
                }
                finished.lost
            }
            None => std::mem::take(&mut self.lost_here),
        };
        for (member, lost) in self.members.iter().zip(lost_here) {
            if lost > 0 {
                *self.lost.entry(*member).or_default() += lost;
            }
        }
        self.result()
    }

    fn begin(&mut self, header: &Header, time: u64) -> Result<(), OutputError> {
        self.result()?;
        let Some(series) = &mut self.series else {
            return Ok(());
        };
        for complaint in series.make_room() {
            (self.tell)(complaint);
        }
        let path = series.next_path(time);
        let begun = Opened::open(&path)
            .and_then(|opened| PcapngFile::begin(opened, Packing::of(&path), header));
        match begun {
            Ok(file) => {
                self.current = Some(file);
                self.path = Some(path);
                self.began();
                self.look_at_room(header.bytes.len() as u64);
                Ok(())
            }
            Err(error) => {
                self.failure = Some(error);
                self.result()
            }
        }
    }

    fn began(&mut self) {
        if let (Some(series), Some(path)) = (&mut self.series, &self.path) {
            series.began(path);
        }
    }

    fn result(&self) -> Result<(), OutputError> {
        self.failure.clone().map_or(Ok(()), Err)
    }
}

impl Background for Files {
    type Order = Order;

    fn write(&mut self, bytes: &mut Vec<u8>) -> Result<(), OutputError> {
        let count = bytes.len() as u64;
        match &mut self.current {
            Some(file) => {
                if let Err(failure) = file.write(bytes) {
                    self.failure.get_or_insert(failure);
                }
            }
            None => count_packets(bytes, &mut self.lost_here),
        }
        for complaint in self.series.iter_mut().flat_map(Series::make_fit) {
            (self.tell)(complaint);
        }
        self.look_at_room(count);
        self.result()
    }

    fn idle(&mut self) -> Result<(), OutputError> {
        self.look_at_room(0);
        self.result()
    }

    fn obey(&mut self, order: Order) -> Result<(), OutputError> {
        match order {
            Order::Joined(interface) => {
                self.members.push(interface);
                self.result()
            }
            Order::Close(closings) => self.close(&closings),
            Order::Sync => {
                if let Some(file) = &mut self.current
                    && let Err(failure) = file.sync()
                {
                    self.failure.get_or_insert(failure);
                }
                self.result()
            }
            Order::Next {
                header,
                members,
                time,
            } => {
                self.members = members;
                self.begin(&header, time)
            }
        }
    }

    fn delivered(&self) -> u64 {
        self.before + self.current.as_ref().map_or(0, PcapngFile::bytes)
    }
}
