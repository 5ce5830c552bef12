//! Waiting for what will be so, with a deadline instead of a guess.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::ability;

/// How long anything may take before the lab gives up on it. Far above what is ever needed, for a
/// machine on which many tests run at once.
/// An emulated machine takes ten times as long over everything, and may share its processors.
#[must_use]
pub fn patience() -> Duration {
    Duration::from_secs(if ability::is_guest() { 400 } else { 30 })
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something, and returns that.
///
/// # Panics
///
/// After [`patience`], with `what` it was waiting for.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {:?} in vain: {what}",
            patience()
        );
        sleep(BETWEEN_LOOKS);
    }
}

/// Looks again and again until `holds` does.
///
/// # Panics
///
/// After [`patience`], with `what` it was waiting for.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
