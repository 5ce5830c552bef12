//! Waiting for what will be so, with a deadline instead of a guess.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take before the lab gives up on it. Far above what is ever needed, for a
/// machine on which many tests run at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Looks again and again until `look` finds something, and returns that.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` it was waiting for.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {what}"
        );
        sleep(BETWEEN_LOOKS);
    }
}

/// Looks again and again until `holds` does.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` it was waiting for.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
