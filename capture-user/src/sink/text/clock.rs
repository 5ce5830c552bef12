//! A packet's time as tcpdump shows it: local time of day with microseconds.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::context::Appender;

const NANOSECONDS: u64 = 1_000_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// Writes times of day in one time zone.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// The second that `offset` was looked up for. Packets come many a second, offsets change
    /// twice a year.
    second: Option<u64>,
    /// Seconds east of UTC at `second`.
    offset: i64,
}

impl Clock {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            second: None,
            offset: 0,
        }
    }

    /// Appends `HH:MM:SS.ffffff `; `time` in nanoseconds since the Unix epoch.
    pub(super) fn append(&mut self, time: u64, out: &mut Vec<u8>) {
        let second = time / NANOSECONDS;
        // A u64 of nanoseconds ends in the year 2554, so neither conversion loses anything.
        let signed = i64::try_from(second).unwrap_or_default();
        if self.second != Some(second) {
            self.second = Some(second);
            self.offset = Timestamp::from_second(signed)
                .map_or(0, |at| i64::from(self.zone.to_offset(at).seconds()));
        }
        let of_day = (signed + self.offset).rem_euclid(SECONDS_A_DAY);
        let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let microseconds = time % NANOSECONDS / 1_000;
        // Appending to a vector can't fail.
        let _ = write!(
            Appender(out),
            "{hours:02}:{minutes:02}:{seconds:02}.{microseconds:06} "
        );
    }
}
