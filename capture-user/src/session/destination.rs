//! Where the capture file goes: opened before anything is attached, begun once all is.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use tokio::sync::mpsc as async_mpsc;

use super::clock::{self, Offset};
use super::interface::Interface;
use super::mover::Event;
use super::outputs::file::{Begun, CaptureFile, Common};
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::sink::files::exec::Runner;
use crate::sink::files::names::Names;
use crate::sink::files::room::Room;
use crate::sink::files::series::Series;
use crate::sink::files::{self, Files, Tell};
use crate::sink::output::{Opened, Packing, Spool};
use crate::sink::pcapng::PcapngFile;

/// Where the capture file goes, open and untouched.
pub(super) struct Destination {
    pub(super) opened: Opened,
    /// Where it is, unless that is standard output.
    path: Option<PathBuf>,
    series: Option<Series>,
}

impl Destination {
    pub(super) fn open(plan: &Plan, path: &Path) -> Result<Self> {
        let Some(rotate) = &plan.rotate else {
            return Ok(Self {
                opened: Opened::open(path)?,
                path: (path.as_os_str() != "-").then(|| path.to_owned()),
                series: None,
            });
        };
        let names = Names::new(path, rotate.size.is_some(), TimeZone::system())
            .map_err(|error| Error::usage(error.to_string()))?;
        let mut series = Series::new(names, rotate.keeps());
        let now = clock::monotonic().wrapping_add_signed(Offset::measure().nanoseconds);
        let path = series.next_path(now);
        Ok(Self {
            opened: Opened::open(&path)?,
            path: Some(path),
            series: Some(series),
        })
    }

    /// Refuses to begin where there is too little room already.
    fn room(&self, least: u64, header: u64) -> Result<Room> {
        // One that doesn't say is no reason not to begin.
        let free = self.opened.descriptor().free().unwrap_or(u64::MAX);
        if free <= least {
            return Err(Error::failure(format!(
                "--min-free {least}: the file system that holds {} has {free} bytes left: free some, or write elsewhere",
                self.opened.name()
            )));
        }
        Ok(Room::new(least, header))
    }

    pub(super) fn begin(
        self,
        plan: &Plan,
        common: Common,
        interfaces: &[Interface],
        offset: Offset,
        tell: &async_mpsc::UnboundedSender<Event>,
    ) -> Result<CaptureFile> {
        let (composer, header) = common
            .compose(interfaces.iter())
            .map_err(|error| Error::failure(error.to_string()))?;
        let packing = self.path.as_deref().map(Packing::of).unwrap_or_default();
        let room = plan
            .min_free
            .map(|least| self.room(least, header.bytes.len() as u64))
            .transpose()?;
        let file = PcapngFile::begin(self.opened, packing, &header)?;
        let stream = file.is_stream();
        let say = || -> Tell {
            let tell = tell.clone();
            Box::new(move |note| {
                // A session that is gone doesn't ask.
                let _ = tell.send(Event::Note(note));
            })
        };
        let mut series = self.series;
        for note in series.iter_mut().flat_map(Series::make_room) {
            say()(note);
        }
        let runner = plan
            .exec
            .clone()
            .map(|exec| Runner::start(exec, say()))
            .transpose()
            .map_err(no_thread)?;
        let members = (0..).take(interfaces.len()).collect();
        let room_for = |room: &Room| (plan.min_free.unwrap_or_default(), room.allowance());
        let allowance = room.as_ref().map(room_for);
        let files = Files::new(
            file,
            files::Parts {
                path: self.path,
                members,
                series,
                runner,
                room,
                durable: plan.flush.interval.is_some(),
                tell: say(),
            },
        );
        let now = clock::monotonic();
        Ok(CaptureFile::new(Begun {
            common,
            composer,
            spool: Spool::start("writer", files).map_err(no_thread)?,
            stream,
            packing,
            interfaces,
            rotate: plan.rotate,
            room: allowance,
            flush: plan.flush,
            now: (now, now.wrapping_add_signed(offset.nanoseconds)),
        }))
    }
}

pub(super) fn no_thread(error: std::io::Error) -> Error {
    Error::failure(format!("can't start a thread: {error}"))
}

/// A file has a header and statistics: below their size no limit can be kept.
pub(super) fn refuse_too_small_a_size(
    plan: &Plan,
    common: &Common,
    interfaces: &[Interface],
) -> Result<()> {
    if plan.write.is_none() {
        return Ok(());
    }
    let (composer, _) = common
        .compose(interfaces.iter())
        .map_err(|error| Error::failure(error.to_string()))?;
    let least = composer.finished_len();
    let rotate_size = plan.rotate.and_then(|rotate| rotate.size);
    for (option, size) in [("--size", plan.limits.size), ("--rotate-size", rotate_size)] {
        if let Some(size) = size
            && size < least
        {
            return Err(Error::usage(format!(
                "{option} {size}: an empty capture file of these interfaces takes {least} bytes: allow more{}",
                if option == "--rotate-size" {
                    " (bytes, or with K, M, G: 10M for tcpdump's -C 10)"
                } else {
                    ""
                }
            )));
        }
    }
    Ok(())
}
