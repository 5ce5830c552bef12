//! What can go wrong, as the user is told of it: one line that says what and how to put it right.

use std::process::ExitCode;

/// The result of anything in this crate that can fail in the user's sight.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure with its exit status. Display gives the one line for standard error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was typed makes no sense: exit status 2. The text names the option and the remedy.
    #[error("{0}")]
    Usage(String),
    /// It made sense and could not be done: exit status 1. The text names the thing and the
    /// remedy.
    #[error("{0}")]
    Failure(String),
}

impl Error {
    /// An [`Error::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// An [`Error::Failure`].
    pub fn failure(message: impl Into<String>) -> Self {
        Self::Failure(message.into())
    }

    /// The process's exit status for it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failure(_) => ExitCode::from(1),
        }
    }
}
