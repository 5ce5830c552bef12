//! The rings that records come out of, all of them: a CPU has one of its own, as far as the memory
//! suffices (`capture-ebpf/src/rings.rs`).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use aya::util::online_cpus;
use capture_common::record::{MAX_RINGS, RecordHeader, SMALLEST_RING};
use rustix::event::{Timespec, epoll};

use super::batches::{Batches, Complete};
use super::identity::IdentityKey;
use super::ring::{Heading, Next, Place, Ring};
use super::sys;

/// A CPU wakes user space each time it has put in this part of a ring; below, it comes by its timer …
const WAKE_FRACTION: u32 = 8;
/// … or so much, in bytes: what a processor's second cache holds. Then what is looked at to put
/// it in order is still near when it is tracked and written.
const WAKE_AT_MOST: u32 = 384 << 10;

/// How many bytes a CPU puts into rings of `bytes` until it wakes user space.
pub(super) fn wake_at(bytes: u32) -> u64 {
    (bytes / WAKE_FRACTION).min(WAKE_AT_MOST).into()
}

/// How a capture's memory for packets is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// A power of two.
    pub(super) rings: u32,
    /// Each one's size in bytes.
    pub(super) bytes: u32,
    /// How many CPUs there are, by their numbers.
    pub(super) cpus: u32,
}

impl Share {
    /// Shares out `bytes`, a power of two, for this machine's CPUs.
    pub(super) fn of(bytes: u32) -> Self {
        // The numbers that CPUs go by may have gaps. One that comes later has another's ring.
        let cpus = online_cpus().map_or(1, |cpus| cpus.iter().max().map_or(1, |last| last + 1));
        Self::between(bytes, cpus)
    }

    fn between(bytes: u32, cpus: u32) -> Self {
        let rings = cpus
            .clamp(1, MAX_RINGS)
            .next_power_of_two()
            .min(bytes / SMALLEST_RING)
            .max(1);
        Self {
            rings,
            bytes: bytes / rings,
            cpus,
        }
    }

    /// One ring for all CPUs.
    pub(super) fn one(bytes: u32) -> Self {
        Self {
            rings: 1,
            bytes,
            ..Self::of(bytes)
        }
    }

    /// Whether each CPU has a ring of its own, and any batch fits in.
    pub(super) fn suits_batches(self) -> bool {
        self.cpus <= self.rings && self.bytes >= SMALLEST_RING
    }

    /// Makes the rings.
    pub(super) fn make(self) -> io::Result<Vec<OwnedFd>> {
        (0..self.rings).map(|_| sys::ring(self.bytes)).collect()
    }
}

/// Whether somebody who is shown records goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// To the next one.
    On,
    /// Not now.
    Enough,
}

/// The rings as their one reader sees them.
pub struct Rings {
    rings: Vec<Ring>,
    /// Says when the kernel side asked for us. Edge-triggered: a ring's own readiness is a level,
    /// true as soon as one byte waits, and would wake us for each packet.
    wake_ups: OwnedFd,
    /// How much a CPU puts in for that: bytes.
    mark: u64,
    /// Where small records are gathered before.
    batches: Option<Batches>,
    /// What the last [`Rings::flush`] came to, by ring.
    complete: Vec<Complete>,
}

impl Rings {
    /// Maps them, each of `bytes` bytes; identities are to be read under `key`.
    pub(super) fn new(
        maps: Vec<OwnedFd>,
        bytes: u32,
        key: IdentityKey,
        batches: Option<Batches>,
    ) -> io::Result<Self> {
        let rings: Vec<_> = (0..)
            .zip(maps)
            .map(|(number, map)| Ring::new(map, number, bytes, key))
            .collect::<io::Result<_>>()?;
        let wake_ups = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for ring in &rings {
            epoll::add(
                &wake_ups,
                ring.as_fd(),
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN | epoll::EventFlags::ET,
            )?;
        }
        Ok(Self {
            rings,
            wake_ups,
            mark: wake_at(bytes),
            batches,
            complete: Vec::new(),
        })
    }

    /// Whether small records are gathered before they are put into the rings.
    #[must_use]
    pub fn are_batched(&self) -> bool {
        self.batches.is_some()
    }

    /// Has all put into the rings that CPUs have gathered so far; [`Rings::complete`] says how far that
    /// was possible with what was stamped up to `now`.
    ///
    /// # Errors
    ///
    /// What bpf(2) says, and no more can be had then.
    pub fn flush(&mut self, now: u64) -> io::Result<()> {
        match &self.batches {
            Some(batches) => batches.flush(now, &mut self.complete),
            None => Ok(()),
        }
    }

    /// How far a ring holds what its CPU had stamped at the last [`Rings::flush`].
    #[must_use]
    pub fn complete(&self, ring: usize) -> Complete {
        self.complete.get(ring).copied().unwrap_or(Complete::Now)
    }

    /// Whether one of them didn't hold all of it.
    #[must_use]
    pub fn are_lacking(&self) -> bool {
        self.complete.iter().any(|it| *it != Complete::Now)
    }

    /// The stamp of the first record of all that found no room at the last [`Rings::flush`].
    #[must_use]
    pub fn first_without_room(&self) -> Option<u64> {
        let stamps = self.complete.iter().filter_map(|it| match it {
            Complete::Before(stamp) => Some(*stamp),
            Complete::Now | Complete::Unknown => None,
        });
        stamps.min()
    }

    /// The CPU behind whose records in that ring nothing comes that is much older, where that isn't so of
    /// all. In a ring that is another CPU's own it may: what that one still gathers.
    #[must_use]
    pub fn owner(&self, ring: usize) -> Option<u32> {
        self.batches.as_ref()?;
        u32::try_from(ring).ok()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rings.len()
    }

    /// As [`Ring::look`].
    pub fn look(&mut self, ring: usize) -> bool {
        self.rings.get_mut(ring).is_some_and(Ring::look)
    }

    /// Steps to a ring's next record of those that were there at the last look.
    #[inline]
    pub fn advance(&mut self, ring: usize) -> Next {
        self.rings
            .get_mut(ring)
            .map_or(Next::Empty, Ring::advance_packet)
    }

    /// Steps through a ring's records as [`Rings::advance`] does and shows what puts each in order, until
    /// `show` has seen enough, and says what stands there then: the last record that was shown, or why
    /// there is no next one.
    #[inline]
    pub fn walk(&mut self, ring: usize, mut show: impl FnMut(Place, Heading) -> Walk) -> Next {
        let Some(ring) = self.rings.get_mut(ring) else {
            return Next::Empty;
        };
        loop {
            let next = ring.advance_packet();
            let Next::Record(place) = next else {
                return next;
            };
            if show(place, ring.heading(place)) == Walk::Enough {
                return next;
            }
        }
    }

    /// Up to where [`Rings::advance`] has come in a ring, in bytes since it was made.
    #[must_use]
    pub fn position(&self, ring: usize) -> u64 {
        self.rings.get(ring).map_or(0, Ring::position)
    }

    /// As [`Ring::record`].
    #[must_use]
    #[inline]
    pub fn record(&self, place: Place) -> Option<(RecordHeader, &[u8])> {
        self.rings.get(place.ring())?.record(place)
    }

    /// As [`Ring::unidentified`].
    #[must_use]
    #[inline]
    pub fn unidentified(&self, place: Place) -> Option<(RecordHeader, &[u8])> {
        self.rings.get(place.ring())?.unidentified(place)
    }

    /// Gives back all that a ring holds before a place of it; all that was read, if there is none
    /// to keep.
    pub fn release(&mut self, ring: usize, kept: Option<Place>) {
        if let Some(ring) = self.rings.get_mut(ring) {
            ring.release(kept.map_or(ring.position(), Place::position));
        }
    }

    /// Shows all records that are there, ring by ring, and gives them back.
    ///
    /// # Errors
    ///
    /// As [`Rings::flush`].
    pub fn drain(&mut self, mut show: impl FnMut(RecordHeader, &[u8])) -> io::Result<()> {
        self.flush(0)?;
        for ring in &mut self.rings {
            ring.look();
            while let Next::Record(place) = ring.advance_packet() {
                if let Some((header, frame)) = ring.record(place) {
                    show(header, frame);
                }
            }
            ring.release(ring.position());
        }
        Ok(())
    }

    /// Bytes that lie in them, read or not, and weren't given back.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.rings.iter().map(Ring::held).sum()
    }

    /// Whether so much waits unread in one of them that the kernel side would wake us for it. It does so
    /// each time a CPU has put in as much, which may have been while we read.
    #[must_use]
    pub fn are_past_the_mark(&self) -> bool {
        self.rings.iter().any(|ring| ring.unread() >= self.mark)
    }

    /// Whether half of all their room is taken.
    #[must_use]
    pub fn are_half_full(&self) -> bool {
        let size: u64 = self.rings.iter().map(Ring::size).sum();
        self.held() > size / 2
    }

    /// Whether a packet may have found no room since they were last given back.
    #[must_use]
    pub fn may_have_been_full(&self) -> bool {
        self.rings.iter().any(Ring::may_have_been_full)
    }

    /// Waits until the kernel side wakes us (enough is waiting in a ring) or the time is over,
    /// whichever is first. A signal ends it early. What is already waiting doesn't end it: records
    /// below the mark are collected into one batch.
    ///
    /// # Errors
    ///
    /// What epoll_wait(2) says.
    pub fn wait(&self, at_most: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(at_most).map_err(io::Error::other)?;
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 4];
        match epoll::wait(&self.wake_ups, &mut events, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cpu_has_a_ring_as_far_as_the_memory_suffices() {
        let of = |bytes, cpus| {
            let share = Share::between(bytes, cpus);
            (share.rings, share.bytes)
        };
        let suits = |bytes, cpus| Share::between(bytes, cpus).suits_batches();
        assert_eq!(of(32 << 20, 1), (1, 32 << 20));
        assert_eq!(of(32 << 20, 2), (2, 16 << 20));
        assert_eq!(of(32 << 20, 12), (16, 2 << 20));
        assert_eq!(of(32 << 20, 64), (64, 512 << 10));
        assert_eq!(of(32 << 20, 5_000), (64, 512 << 10));
        assert_eq!(of(512 << 10, 64), (1, 512 << 10));
        assert_eq!(of(1 << 31, 3), (4, 512 << 20));
        assert_eq!(of(4_096, 8), (1, 4_096));
        assert!(suits(32 << 20, 1) && suits(32 << 20, 12) && suits(32 << 20, 64));
        assert!(!suits(32 << 20, 65) && !suits(1 << 20, 3) && !suits(4_096, 1));
    }
}
