//! Time: the kernel side stamps packets by `CLOCK_MONOTONIC`; files want the wall clock.
//!
//! The two clocks drift apart as the wall clock is disciplined, and jump apart when it is set. So
//! their distance is measured again for every batch of packets, never once for a capture.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A change of the distance between two measurements that only setting the clock explains.
/// Disciplining moves it by at most 500 ppm (adjtimex(2)), which is this much in 20 s, and
/// measurements are never that far apart while packets come.
const STEP: u64 = 10_000_000;

/// Readings tried for one measurement: the quickest is the most exact.
const READINGS: usize = 3;

/// The distance between the two clocks, with how far off it may be. Nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Wall clock minus monotonic clock.
    pub nanoseconds: i64,
    /// Half the time that the reading took: the most that the distance can be wrong by.
    pub error: u64,
}

/// `CLOCK_MONOTONIC` now, in nanoseconds.
#[must_use]
pub fn monotonic() -> u64 {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither clock is before its epoch.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

impl Offset {
    /// Measures it: the wall clock is read between two readings of the monotonic one.
    #[must_use]
    pub fn measure() -> Self {
        let mut best = Self::measure_once();
        for _ in 1..READINGS {
            let next = Self::measure_once();
            if next.error < best.error {
                best = next;
            }
        }
        best
    }

    fn measure_once() -> Self {
        let before = read(ClockId::Monotonic);
        let wall = read(ClockId::Realtime);
        let after = read(ClockId::Monotonic);
        let middle = before + (after - before) / 2;
        Self {
            nanoseconds: wall.wrapping_sub(middle).cast_signed(),
            error: (after - before).div_ceil(2),
        }
    }
}

/// Turns the kernel side's stamps into wall-clock time. Stamps that ascend stay ascending, however
/// the measured distance trembles, except across a step of the wall clock: what is stamped after
/// it has the new time, as with any other program.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: Offset,
    /// The last time given, in nanoseconds since the epoch.
    last: u64,
}

impl Clock {
    /// Starts from a measurement.
    #[must_use]
    pub fn new(offset: Offset) -> Self {
        Self { offset, last: 0 }
    }

    /// Takes a new measurement. Returns the step, if it shows that the clock was set.
    pub fn update(&mut self, offset: Offset) -> Option<Step> {
        let change = offset.nanoseconds.wrapping_sub(self.offset.nanoseconds);
        self.offset = offset;
        if change.unsigned_abs() < STEP {
            return None;
        }
        self.last = 0;
        Some(Step {
            forward: change > 0,
            by: Duration::from_nanos(change.unsigned_abs()),
        })
    }

    /// The wall-clock time of any stamp, however old, by the last measurement.
    #[must_use]
    pub fn at(&self, stamp: u64) -> u64 {
        stamp.wrapping_add_signed(self.offset.nanoseconds)
    }

    /// The wall-clock time of the next packet's stamp, in nanoseconds since the epoch.
    pub fn wall(&mut self, stamp: u64) -> u64 {
        let time = self.at(stamp);
        self.last = self.last.max(time);
        self.last
    }
}

/// The wall clock was set while capturing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Ahead, or back.
    pub forward: bool,
    /// How far.
    pub by: Duration,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offset(nanoseconds: i64) -> Offset {
        Offset {
            nanoseconds,
            error: 0,
        }
    }

    #[test]
    fn a_measurement_agrees_with_the_system_clock() {
        let before = std::time::SystemTime::now();
        let time = Clock::new(Offset::measure()).wall(monotonic());
        let after = std::time::SystemTime::now();
        let time = std::time::UNIX_EPOCH + Duration::from_nanos(time);
        let slack = Duration::from_millis(1);
        assert!(before - slack <= time && time <= after + slack);
    }

    #[test]
    fn a_slow_drift_is_followed() {
        let mut clock = Clock::new(offset(1_000));
        for hour in 1..=10u64 {
            // 20 ppm, measured every second, over ten hours.
            for second in 0..3_600u64 {
                let drift = ((hour - 1) * 3_600 + second) * 20_000;
                assert_eq!(clock.update(offset(1_000 + drift.cast_signed())), None);
            }
        }
        let drift = (10 * 3_600 - 1) * 20_000;
        assert_eq!(clock.wall(5_000), 6_000 + drift);
    }

    #[test]
    fn a_step_back_is_told_and_taken() {
        let hour = 3_600_000_000_000u64;
        let mut clock = Clock::new(offset(2 * hour.cast_signed()));
        assert_eq!(clock.wall(1_000), 2 * hour + 1_000);
        let step = clock.update(offset(hour.cast_signed()));
        let by = Duration::from_secs(3_600);
        assert_eq!(step, Some(Step { forward: false, by }));
        assert_eq!(clock.wall(2_000), hour + 2_000);
    }

    proptest! {
        #[test]
        fn ascending_stamps_stay_ascending_under_a_trembling_offset(
            steps in prop::collection::vec((0..5_000u64, -2_000..2_000i64), 1..200),
        ) {
            let mut clock = Clock::new(offset(1_000_000_000));
            let (mut stamp, mut last) = (0, 0);
            for (forward, tremble) in steps {
                stamp += forward;
                clock.update(offset(1_000_000_000 + tremble));
                let time = clock.wall(stamp);
                prop_assert!(time >= last);
                last = time;
            }
        }
    }
}
