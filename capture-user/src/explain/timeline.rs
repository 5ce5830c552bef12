//! A file's times as a clock that never goes back, and from there back again.
//!
//! The flow core wants such a clock. A file's times may go back: a little where several interfaces
//! were written by turns, and far where the wall clock was set, or files were put together; and a
//! damaged one may lie anywhere. A little is levelled. Otherwise it is taken as the clock having
//! been set: time goes on from where it was, at the file's pace.

/// A step back that reordering doesn't explain: nanoseconds.
pub(super) const STEP: u64 = 1_000_000_000;
/// A silence that no capture has, 10 years: nanoseconds.
const FAR: i128 = 10 * 365 * 86_400 * 1_000_000_000;
/// The latest start, so that there is room to go on: half of what can be counted.
const LATEST: u64 = 1 << 63;
/// How many steps are remembered; of more, the oldest are forgotten.
const STEPS_MAX: usize = 1_024;

/// The clock of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    /// What was given last.
    now: u64,
    /// What is added to the file's times.
    ahead: i128,
    /// Times from which on so much is added, ascending. The first is the beginning.
    steps: Vec<(u64, i128)>,
}

impl Timeline {
    /// The time of a packet, from the file's.
    #[inline]
    pub(super) fn at(&mut self, wall: u64) -> u64 {
        if self.steps.is_empty() {
            self.now = wall.min(LATEST);
            self.step(wall);
            return self.now;
        }
        let time = i128::from(wall) + self.ahead;
        let forward = time - i128::from(self.now);
        match u64::try_from(time) {
            Ok(time) if (0..FAR).contains(&forward) => self.now = time,
            _ if (-i128::from(STEP)..0).contains(&forward) => {}
            _ => self.step(wall),
        }
        self.now
    }

    /// This clock's time for one of the file's that is still to come, by what is known so far.
    pub(super) fn of(&self, wall: u64) -> u64 {
        if self.steps.is_empty() {
            return wall.min(LATEST);
        }
        let time = i128::from(wall) + self.ahead;
        u64::try_from(time).map_or(self.now, |time| time.max(self.now))
    }

    /// From now on the file's clock is another one.
    #[cold]
    fn step(&mut self, wall: u64) {
        self.ahead = i128::from(self.now) - i128::from(wall);
        if self.steps.len() >= STEPS_MAX {
            self.steps.drain(..STEPS_MAX / 2);
        }
        self.steps.push((self.now, self.ahead));
    }

    /// The file's time for one of this clock's.
    pub(super) fn wall(&self, time: u64) -> u64 {
        // Of steps at the same time the last counts.
        let step = self.steps.partition_point(|(from, _)| *from <= time);
        let step = step.checked_sub(1).and_then(|last| self.steps.get(last));
        let wall = i128::from(time) - step.map_or(0, |(_, ahead)| *ahead);
        u64::try_from(wall.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_that_ascend_are_left_alone() {
        let mut timeline = Timeline::default();
        for time in [5, 5, 1_000, STEP * 50] {
            assert_eq!(timeline.at(time), time);
            assert_eq!(timeline.wall(time), time);
        }
    }

    #[test]
    fn a_little_back_is_levelled_and_far_back_goes_on_from_there() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.at(100 * STEP), 100 * STEP);
        assert_eq!(timeline.at(100 * STEP - 7), 100 * STEP);
        assert_eq!(timeline.at(10 * STEP), 100 * STEP);
        assert_eq!(timeline.at(12 * STEP), 102 * STEP);
        assert_eq!(timeline.wall(102 * STEP), 12 * STEP);
        assert_eq!(timeline.wall(99 * STEP), 99 * STEP);
    }

    #[test]
    fn a_single_wild_time_does_not_stop_the_clock() {
        let mut timeline = Timeline::default();
        timeline.at(STEP);
        assert_eq!(timeline.at(u64::MAX), STEP);
        assert_eq!(timeline.at(2 * STEP), STEP);
        assert_eq!(timeline.at(5 * STEP), 4 * STEP);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_never_goes_back_and_leads_back_to_the_files_times(
            times in prop::collection::vec(
                prop_oneof![0..100 * STEP, any::<u64>(), Just(u64::MAX)], 1..1_500),
        ) {
            let mut timeline = Timeline::default();
            let mut last = 0;
            for wall in times {
                let time = timeline.at(wall);
                prop_assert!(time >= last);
                last = time;
                prop_assert!(timeline.wall(time).abs_diff(wall) <= STEP);
            }
            prop_assert!(timeline.steps.len() <= STEPS_MAX);
        }
    }
}
