//! From what was typed to what will be done.

use std::path::PathBuf;

use capture_common::record::MAX_SNAPLEN;

use super::{Args, At, Way};
use crate::cli::destination::{are_one, is_of_series, is_standard_output};
use crate::cli::user;
use crate::error::{Error, Result};
use crate::flow::happening::Kind;
use crate::kernel::attach::Hook;
use crate::packet::Direction;
use crate::recorder::{LEAST_BYTES, Order, Reach};
use crate::session::limits::Limits;
use crate::session::plan::{Flush, Plan, Record, Rotate};
use crate::target::select::Pattern;
use crate::target::workload::Workload;

/// The smallest ring that takes the largest record.
const SMALLEST_RING: u64 = 512 << 10;
/// The largest that the kernel's ring can be (`RINGBUF_MAX_DATA_SZ` is above it on 64 bits).
const LARGEST_RING: u64 = 1 << 31;

impl Args {
    /// Resolves what was typed.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`], naming the option and what is wrong with it.
    pub fn resolve(self) -> Result<Plan> {
        let to_stdout = self.write.as_deref().is_some_and(is_standard_output);
        if self.print && to_stdout {
            return Err(Error::usage(
                "--print and `-w -` both want standard output: write to a file, or leave --print out",
            ));
        }
        if self.print && self.flows.as_deref().is_some_and(is_standard_output) {
            return Err(Error::usage(
                "--flows - wants standard output for itself: leave --print out, or write flows to a file",
            ));
        }
        if self.exec.is_some() && to_stdout {
            return Err(Error::usage(
                "--exec wants a file to be run on, which standard output isn't: name one with -w",
            ));
        }
        if self.min_free.is_some() && to_stdout {
            return Err(Error::usage(
                "--min-free is about the file system of a file, which standard output isn't on: name one with -w",
            ));
        }
        let print = self.print || (self.write.is_none() && self.flows.is_none() && !self.quiet);
        if self.size.is_some() && self.write.is_none() && !print {
            return Err(Error::usage(
                "--size is about packets that are written or printed: name a file with -w",
            ));
        }
        let rotate = self.rotate()?;
        self.have_places_of_their_own(rotate.is_some())?;
        let record = self.record()?;
        let filter = self.matching.resolve()?;
        let lists = self.matching.lists();
        Ok(Plan {
            lists: lists.has_files().then_some(lists),
            interfaces: self
                .interface
                .iter()
                .map(|name| Pattern::parse(name))
                .chain(
                    self.bridge
                        .into_iter()
                        .map(|name| Ok(Pattern::Bridge(name))),
                )
                .collect::<Result<_>>()?,
            hook: match self.hook {
                At::Tc => Hook::Tc,
                At::Clsact => Hook::Clsact,
                At::Xdp => Hook::Xdp,
            },
            workloads: (self.container.into_iter().map(Workload::Container).map(Ok))
                .chain(self.pod.iter().map(|pod| Workload::pod(pod)))
                .chain(self.pid.into_iter().map(Workload::Pid).map(Ok))
                .chain(self.netns.into_iter().map(Workload::Netns).map(Ok))
                .collect::<Result<_>>()?,
            entered: None,
            notes: Vec::new(),
            directions: match self.direction {
                Way::Out if self.hook == At::Xdp => {
                    return Err(Error::usage(
                        "--hook xdp sees only what comes in: leave -Q out, or use --hook tc",
                    ));
                }
                _ if self.hook == At::Xdp => vec![Direction::In],
                Way::In => vec![Direction::In],
                Way::Out => vec![Direction::Out],
                Way::Inout => vec![Direction::In, Direction::Out],
            },
            filter,
            snaplen: snaplen(self.snaplen)?,
            limits: Limits {
                count: self.count,
                size: self.size,
                duration: self.duration,
            },
            print,
            write: self.write,
            rotate,
            exec: self.exec,
            min_free: self.min_free,
            flush: Flush {
                at_once: self.packet_buffered,
                interval: self.flush_interval,
            },
            flows: self.flows,
            snapshot: self.snapshot,
            track: !self.no_track,
            follow: !self.no_follow && !self.no_track,
            max_flows: self.max_flows,
            record,
            names: !self.numeric,
            verbosity: self.verbose,
            ring_bytes: ring_bytes(self.ring_size)?,
            fail_on_loss: self.fail_on_loss,
            metrics: self.metrics,
            relinquish: (self.relinquish.as_deref())
                .map(user::resolve)
                .transpose()?,
        })
    }
}

impl Args {
    /// No two outputs go to the same place, where each would destroy the other. With rotation -w names a
    /// series. (One that is named by the time isn't known before.)
    fn have_places_of_their_own(&self, rotates: bool) -> Result<()> {
        let outputs = [
            ("-w", &self.write),
            ("--flows", &self.flows),
            ("--snapshot", &self.snapshot),
        ];
        let outputs = outputs.map(|(option, path)| Some((option, path.as_deref()?)));
        for (index, output) in outputs.iter().enumerate() {
            for other in &outputs[index + 1..] {
                let (Some((one, path)), Some((other, same))) = (output, other) else {
                    continue;
                };
                let meet = if rotates && *one == "-w" {
                    is_of_series(path, same)
                } else {
                    are_one(path, same)
                };
                if meet {
                    return Err(Error::usage(format!(
                        "{one} {} and {other} {} are one place: give {other} a file of its own",
                        path.display(),
                        same.display()
                    )));
                }
            }
        }
        Ok(())
    }

    /// What the flight recorder writes, if there is one.
    fn record(&self) -> Result<Option<Record>> {
        if self.on.is_empty() {
            return Ok(None);
        }
        if self.recorder_size < LEAST_BYTES {
            return Err(Error::usage(format!(
                "--recorder-size {}: the largest packets don't fit into less than {}K",
                self.recorder_size,
                LEAST_BYTES >> 10
            )));
        }
        // Lines are for somebody who is looking, -U for somebody who reads along. And nobody knows
        // how long a number of packets takes.
        let at_once = self.packet_buffered
            || self.write.is_none()
            || matches!(self.before, Reach::Packets(_));
        Ok(Some(Record {
            on: self.on.iter().copied().map(Kind::from).collect(),
            before: self.before,
            after: self.after,
            order: if at_once {
                Order::AtOnce
            } else {
                Order::ByTime
            },
            bytes: usize::try_from(self.recorder_size)
                .map_err(|_| Error::usage("--recorder-size is more than there can be"))?,
        }))
    }

    /// When another file begins, if ever.
    fn rotate(&self) -> Result<Option<Rotate>> {
        if self.rotate_size.is_none() && self.rotate_interval.is_none() {
            return match self.rotate_files {
                None => Ok(None),
                Some(_) => Err(Error::usage(
                    "--rotate-files says how many files to keep, and there is but one: add --rotate-size or --rotate-interval",
                )),
            };
        }
        let regular = |path: &PathBuf| {
            path != "-" && path.metadata().map_or(true, |it| it.file_type().is_file())
        };
        if !self.write.as_ref().is_some_and(regular) {
            return Err(Error::usage(
                "--rotate-size and --rotate-interval want files: name one with -w, not standard output, a pipe or a device",
            ));
        }
        if let (Some(total), Some(size)) = (self.rotate_total, self.rotate_size)
            && total < size
        {
            return Err(Error::usage(format!(
                "--rotate-total {total}: a single file may already have --rotate-size {size}; allow all together more than that"
            )));
        }
        Ok(Some(Rotate {
            size: self.rotate_size,
            interval: self.rotate_interval,
            files: self.rotate_files,
            total: self.rotate_total,
        }))
    }
}

fn snaplen(typed: u64) -> Result<u32> {
    match u32::try_from(typed) {
        Ok(0) => Ok(MAX_SNAPLEN),
        Ok(bytes) if bytes <= MAX_SNAPLEN => Ok(bytes),
        _ => Err(Error::usage(format!(
            "--snaplen {typed}: at most {MAX_SNAPLEN} bytes of a packet can be kept"
        ))),
    }
}

fn ring_bytes(typed: u64) -> Result<u32> {
    if !(SMALLEST_RING..=LARGEST_RING).contains(&typed) {
        return Err(Error::usage(format!(
            "--ring-size {typed}: a ring has from {}K to {}G",
            SMALLEST_RING >> 10,
            LARGEST_RING >> 30
        )));
    }
    u32::try_from(typed.next_power_of_two())
        .map_err(|_| Error::usage(format!("--ring-size {typed}: too large")))
}
