//! pcapng's timestamps, which count in units that each interface chooses (draft, section 4.2).

/// How an interface's timestamps become nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    unit: Unit,
    /// `if_tsoffset`: seconds to be added.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// That many nanoseconds.
    Nanoseconds(u64),
    /// One nanosecond is so many of them; 0 stands for more than can be counted.
    PerNanosecond(u64),
    /// One second is 2 to the power of that many of them.
    PowerOfTwo(u8),
}

impl Default for Clock {
    /// Microseconds since the epoch.
    fn default() -> Self {
        Self::new(6, 0)
    }
}

impl Clock {
    /// By `if_tsresol` and `if_tsoffset`.
    pub(super) fn new(resolution: u8, offset: i64) -> Self {
        let power = resolution & 0x7f;
        let unit = if resolution & 0x80 != 0 {
            Unit::PowerOfTwo(power)
        } else if let Some(shorter) = power.checked_sub(9) {
            Unit::PerNanosecond(10_u64.checked_pow(u32::from(shorter)).unwrap_or(0))
        } else {
            Unit::Nanoseconds(10_u64.pow(9 - u32::from(power)))
        };
        Self { unit, offset }
    }

    /// A timestamp in nanoseconds since the epoch; the nearest that can be counted.
    #[inline]
    pub(super) fn nanoseconds(self, stamp: u64) -> u64 {
        let time = match self.unit {
            Unit::Nanoseconds(unit) => stamp.saturating_mul(unit),
            Unit::PerNanosecond(units) => stamp.checked_div(units).unwrap_or(0),
            Unit::PowerOfTwo(power) => {
                let whole = u128::from(stamp) * 1_000_000_000;
                u64::try_from(whole >> power).unwrap_or(u64::MAX)
            }
        };
        if self.offset == 0 {
            return time;
        }
        let offset = i128::from(self.offset) * 1_000_000_000;
        let moved = i128::from(time) + offset;
        u64::try_from(moved.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_resolution_comes_to_nanoseconds() {
        for (resolution, stamp, nanoseconds) in [
            (0, 3, 3_000_000_000),
            (3, 1_500, 1_500_000_000),
            (6, 1_500_000, 1_500_000_000),
            (9, 1_500_000_000, 1_500_000_000),
            (12, 1_500, 1),
            (28, u64::MAX, 1),
            (127, u64::MAX, 0),
            (0x80, 3, 3_000_000_000),
            (0x81, 3, 1_500_000_000),
            (0x80 | 20, 3 << 19, 1_500_000_000),
            (0x80 | 127, u64::MAX, 0),
        ] {
            let clock = Clock::new(resolution, 0);
            assert_eq!(clock.nanoseconds(stamp), nanoseconds, "{resolution}");
        }
    }

    #[test]
    fn an_offset_is_added_and_nothing_comes_before_the_epoch() {
        assert_eq!(Clock::new(6, 2).nanoseconds(5), 2_000_005_000);
        assert_eq!(Clock::new(6, -2).nanoseconds(5), 0);
        assert_eq!(Clock::default().nanoseconds(u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn no_resolution_makes_it_panic_or_turns_time_back(
            resolution: u8, offset: i64, a: u64, b: u64,
        ) {
            let clock = Clock::new(resolution, offset);
            let (early, late) = (a.min(b), a.max(b));
            prop_assert!(clock.nanoseconds(early) <= clock.nanoseconds(late));
        }
    }
}
