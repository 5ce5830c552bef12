//! The limits, kept exactly: never one packet, one byte or one instant more.

use std::time::Duration;

/// What was asked for. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `--count`: packets written.
    pub count: Option<u64>,
    /// `--size`: bytes of output, all of it included.
    pub size: Option<u64>,
    /// `--duration`, from the moment at which everything is attached.
    pub duration: Option<Duration>,
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many packets.
    Count(u64),
    /// So many bytes.
    Size(u64),
    /// So long.
    Duration(Duration),
    /// The file system has only so many bytes left.
    MinFree(u64),
}

/// How much may be written without another look at the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeway {
    /// How many packets.
    pub packets: u64,
    /// How many bytes of output, those of all these packets.
    pub bytes: u64,
    /// The latest stamp, on the kernel side's clock.
    pub until: u64,
}

impl Leeway {
    /// The lesser of two, in each respect.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets.min(other.packets),
            bytes: self.bytes.min(other.bytes),
            until: self.until.min(other.until),
        }
    }
}

/// The limits of a capture that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    limits: Limits,
    /// The last moment, on the kernel side's clock.
    deadline: Option<u64>,
    passed: u64,
}

impl Gate {
    /// With a clock that stands still.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            deadline: None,
            passed: 0,
        }
    }

    /// Starts the clock at `now`, on the kernel side's clock.
    pub fn begin(&mut self, now: u64) {
        self.deadline = self.limits.duration.map(|duration| {
            now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
        });
    }

    /// Whether a packet may be written that was stamped then, and with which the output would be
    /// so long. If so it is counted.
    ///
    /// # Errors
    ///
    /// The limit that it would go past.
    pub fn admit(&mut self, stamp: u64, size: impl FnOnce() -> u64) -> Result<(), Limit> {
        self.in_time(stamp)?;
        self.fits(size)?;
        if let Some(met) = self.met() {
            return Err(met);
        }
        self.passed += 1;
        Ok(())
    }

    /// Whether a packet that was stamped then is in time.
    ///
    /// # Errors
    ///
    /// The limit, if it isn't.
    pub fn in_time(&self, stamp: u64) -> Result<(), Limit> {
        match (self.deadline, self.limits.duration) {
            (Some(deadline), Some(duration)) if stamp > deadline => Err(Limit::Duration(duration)),
            _ => Ok(()),
        }
    }

    /// Whether the output may become so long.
    ///
    /// # Errors
    ///
    /// The limit that it would go past.
    pub fn fits(&self, size: impl FnOnce() -> u64) -> Result<(), Limit> {
        match self.limits.size {
            Some(limit) if size() > limit => Err(Limit::Size(limit)),
            _ => Ok(()),
        }
    }

    /// What can be admitted without being asked about, where the output is so long: as
    /// [`Gate::admit`] would, each of so many packets, stamped then at the latest, as long as all of
    /// them don't add more. What comes nearest to a limit is left to be asked about.
    #[must_use]
    pub fn leeway(&self, size: u64) -> Leeway {
        let left = |limit: Option<u64>, used: u64| {
            limit.map_or(u64::MAX, |limit| limit.saturating_sub(used))
        };
        Leeway {
            packets: left(self.limits.count, self.passed).saturating_sub(1),
            bytes: left(self.limits.size, size),
            until: self.deadline.unwrap_or(u64::MAX),
        }
    }

    /// Counts so many packets as admitted that were within the [`Gate::leeway`].
    pub fn pass(&mut self, packets: u64) {
        self.passed += packets;
    }

    /// Whether nothing more can be admitted, known without a packet: a capture of N packets ends
    /// with the N-th, not with the one after it.
    #[must_use]
    pub fn met(&self) -> Option<Limit> {
        self.limits
            .count
            .filter(|limit| self.passed >= *limit)
            .map(Limit::Count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_packet_of_a_count_meets_it() {
        let limits = Limits {
            count: Some(2),
            ..Limits::default()
        };
        let mut gate = Gate::new(limits);
        assert_eq!(gate.admit(1, || 0), Ok(()));
        assert_eq!(gate.met(), None);
        assert_eq!(gate.admit(2, || 0), Ok(()));
        assert_eq!(gate.met(), Some(Limit::Count(2)));
        assert_eq!(gate.admit(3, || 0), Err(Limit::Count(2)));
    }

    #[test]
    fn a_size_is_reached_and_not_passed() {
        let limits = Limits {
            size: Some(100),
            ..Limits::default()
        };
        let mut gate = Gate::new(limits);
        assert_eq!(gate.admit(1, || 100), Ok(()));
        assert_eq!(gate.admit(1, || 101), Err(Limit::Size(100)));
    }

    #[test]
    fn a_packet_at_the_deadline_is_in_and_one_after_it_is_not() {
        let duration = Duration::from_nanos(50);
        let limits = Limits {
            duration: Some(duration),
            ..Limits::default()
        };
        let mut gate = Gate::new(limits);
        assert_eq!(gate.admit(u64::MAX, || 0), Ok(()));
        gate.begin(1_000);
        assert_eq!(gate.admit(1_050, || 0), Ok(()));
        assert_eq!(gate.admit(1_051, || 0), Err(Limit::Duration(duration)));
    }

    proptest! {
        #[test]
        fn whatever_comes_no_limit_is_passed(
            count in prop::option::of(1..50u64),
            size in prop::option::of(0..5_000u64),
            packets in prop::collection::vec(1..200u64, 0..100),
        ) {
            let mut gate = Gate::new(Limits { count, size, duration: None });
            let (mut written, mut bytes) = (0, 0);
            for len in packets {
                if gate.admit(0, || bytes + len).is_err() {
                    break;
                }
                written += 1;
                bytes += len;
            }
            prop_assert!(count.is_none_or(|limit| written <= limit));
            prop_assert!(size.is_none_or(|limit| bytes <= limit));
        }

        #[test]
        fn what_is_within_the_leeway_would_be_admitted_and_meets_no_limit(
            limits in (
                prop::option::of(1..20u64),
                prop::option::of(0..3_000u64),
                prop::option::of(0..50u64),
            ),
            before in (0..20u64, 0..3_000u64),
            packets in prop::collection::vec((0..60u64, 1..200u64), 1..30),
        ) {
            let (count, size, duration) = limits;
            let duration = duration.map(Duration::from_nanos);
            let mut gate = Gate::new(Limits { count, size, duration });
            gate.begin(0);
            let (passed, mut bytes) = before;
            prop_assume!(count.is_none_or(|limit| passed < limit));
            gate.pass(passed);
            let leeway = gate.leeway(bytes);
            let (mut within, mut added) = (0, 0);
            for (stamp, len) in packets {
                if within == leeway.packets || added + len > leeway.bytes || stamp > leeway.until {
                    break;
                }
                within += 1;
                added += len;
                bytes += len;
                prop_assert_eq!(gate.admit(stamp, || bytes), Ok(()));
                prop_assert_eq!(gate.met(), None);
            }
        }
    }
}
