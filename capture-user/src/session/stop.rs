//! Why a capture ended, as the last lines say it.

use std::fmt;
use std::time::Duration;

use super::limits::Limit;
use crate::error::Error;

/// Why a capture ended.
#[derive(Debug)]
pub enum StopReason {
    /// A limit was met.
    Limit(Limit),
    /// A signal: its name.
    Signal(&'static str),
    /// The last interface is gone.
    NoInterfaceLeft,
    /// Whoever read the output has closed it.
    OutputClosed,
    /// It could not go on.
    Failure(Error),
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(Limit::Count(count)) => write!(f, "packet limit ({count})"),
            Self::Limit(Limit::Size(bytes)) => write!(f, "size limit ({bytes} bytes)"),
            Self::Limit(Limit::MinFree(bytes)) => write!(f, "free space limit ({bytes} bytes)"),
            Self::Limit(Limit::Duration(duration)) => {
                // Whole milliseconds: a limit was typed, not measured.
                let shown =
                    Duration::from_millis(duration.as_millis().try_into().unwrap_or(u64::MAX));
                write!(f, "time limit ({})", humantime::format_duration(shown))
            }
            Self::Signal(name) => write!(f, "signal {name}"),
            Self::NoInterfaceLeft => f.write_str("no interface left"),
            Self::OutputClosed => f.write_str("output closed by its reader"),
            Self::Failure(_) => f.write_str("failure"),
        }
    }
}
