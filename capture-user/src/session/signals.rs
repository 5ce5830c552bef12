//! The signals that a capture obeys.

use tokio::signal::unix::{self, SignalKind};

use super::at_once::at_once;
use crate::error::{Error, Result};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// INT, TERM: end cleanly. The signal's name.
    Stop(&'static str),
    /// HUP: begin another file when rotating, read the address lists again where they are in
    /// files; else end cleanly.
    HangUp,
    /// USR1: print the count lines.
    Counts,
    /// USR2: flush the file.
    Flush,
}

/// The signals, caught from the moment on at which this is made.
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hang_up: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
    /// Never asked for. Caught so that a write past `ulimit -f` fails with EFBIG instead of
    /// ending the process.
    _too_large: unix::Signal,
}

impl Signals {
    pub(super) fn catch() -> Result<Self> {
        let catch = |kind| {
            unix::signal(kind)
                .map_err(|error| Error::failure(format!("can't catch signals: {error}")))
        };
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
            user1: catch(SignalKind::user_defined1())?,
            user2: catch(SignalKind::user_defined2())?,
            _too_large: catch(SignalKind::from_raw(libc::SIGXFSZ))?,
        })
    }

    /// The next signal, if one has come.
    pub(super) async fn waiting(&mut self) -> Option<Signal> {
        at_once(self.next()).await
    }

    /// The next signal. Nothing is lost when the future is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop("INT"),
            _ = self.terminate.recv() => Signal::Stop("TERM"),
            _ = self.hang_up.recv() => Signal::HangUp,
            _ = self.user1.recv() => Signal::Counts,
            _ = self.user2.recv() => Signal::Flush,
        }
    }
}
