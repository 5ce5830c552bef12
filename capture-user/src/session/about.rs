//! What every file of a capture says of it.

use super::clock::{self, Offset};
use super::plan::Plan;
use crate::sink::pcapng::Section;

/// What the section header says.
#[derive(Clone, Debug)]
pub(super) struct About {
    hardware: String,
    os: String,
    comment: String,
}

impl About {
    pub(super) fn this_capture(plan: &Plan, offset: Offset) -> Self {
        let name = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        // Enough to tell captures of one host apart: when it began, and by which process.
        let id = format!(
            "{:x}-{:x}",
            clock::monotonic().wrapping_add_signed(offset.nanoseconds),
            std::process::id()
        );
        let follow = if plan.filter.is_empty() {
            ""
        } else {
            ", filtered"
        };
        Self {
            hardware: text(name.machine()),
            os: format!("{} {}", text(name.sysname()), text(name.release())),
            comment: format!(
                "Capture {id} on {host}{follow}; time stamps are within {error} ns of the system clock [nodecap capture={id} host={host} clock_error_ns={error}]",
                host = text(name.nodename()),
                error = offset.error,
            ),
        }
    }

    pub(super) fn section(&self) -> Section<'_> {
        Section {
            hardware: Some(&self.hardware),
            os: Some(&self.os),
            comment: Some(&self.comment),
            ..Section::default()
        }
    }
}
