//! What can go wrong with a destination, with the remedy.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::error::Error;

/// Why a destination can't be opened or written. Each gives one line for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// No name was given.
    #[error("the output file's name is empty: give one, or - for standard output")]
    Nameless,
    /// The name is a directory's (EISDIR).
    #[error("can't write to {name}: it is a directory; name a file in it")]
    Directory {
        /// The destination, as the user named it.
        name: String,
    },
    /// The name is a symbolic link's (ELOOP): followed, it could overwrite a file that the user
    /// never named.
    #[error("{name} is a symbolic link, and links aren't followed: {}", match target {
        Some(target) => format!("name its target, {}, or remove it", target.display()),
        None => "name its target, or remove it".to_owned(),
    })]
    SymbolicLink {
        /// The destination, as the user named it.
        name: String,
        /// Where the link points.
        target: Option<PathBuf>,
    },
    /// The folder isn't there (ENOENT, ENOTDIR).
    #[error("can't create {name}: there is no directory {}; create it, or write elsewhere", folder.display())]
    NoFolder {
        /// The destination, as the user named it.
        name: String,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// Not allowed (EACCES, EPERM, EROFS).
    #[error("can't write to {name}: {}; write elsewhere, or as a user who may", reason(*errno))]
    Denied {
        /// The destination, as the user named it.
        name: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// Full (ENOSPC).
    #[error("no space left on the file system that holds {name}: free some, or write elsewhere")]
    Full {
        /// The destination, as the user named it.
        name: String,
    },
    /// Over the user's quota (EDQUOT).
    #[error("the disk quota for {name} is used up: free some, have it raised, or write elsewhere")]
    Quota {
        /// The destination, as the user named it.
        name: String,
    },
    /// As large as a file may be (EFBIG), by the file system or by RLIMIT_FSIZE.
    #[error(
        "{name} is as large as a file may be here: raise `ulimit -f`, or write to another file system"
    )]
    TooLarge {
        /// The destination, as the user named it.
        name: String,
    },
    /// Nobody reads the pipe any more (EPIPE). Not a failure: the reader has had enough, and the
    /// session ends with status 0.
    #[error("the reader of {name} has closed it")]
    Closed {
        /// The destination, as the user named it.
        name: String,
    },
    /// Anything else that kept it from being opened.
    #[error("can't open {name}: {}; write elsewhere", reason(*errno))]
    Open {
        /// The destination, as the user named it.
        name: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The thread that writes is gone.
    #[error("the thread that writes has failed: please report this")]
    Abandoned,
    /// Anything else that kept it from being written, such as EIO.
    #[error("can't write to {name}: {}; check the device that holds it, or write elsewhere", reason(*errno))]
    Write {
        /// The destination, as the user named it.
        name: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl OutputError {
    /// What a failed write or truncation means.
    pub(in crate::sink) fn of_write(name: &str, errno: Errno) -> Self {
        let name = name.to_owned();
        match errno {
            Errno::NOSPC => Self::Full { name },
            Errno::DQUOT => Self::Quota { name },
            Errno::FBIG => Self::TooLarge { name },
            Errno::PIPE => Self::Closed { name },
            Errno::ROFS => Self::Denied { name, errno },
            _ => Self::Write { name, errno },
        }
    }

    /// Whether the reader of a pipe closed it, which ends a capture but isn't a failure.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

impl From<OutputError> for Error {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Nameless => Self::usage(error.to_string()),
            _ => Self::failure(error.to_string()),
        }
    }
}

/// The kernel's word for it, without the number that the standard library puts behind.
fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(errno: Errno) -> String {
        OutputError::of_write("x.pcapng", errno).to_string()
    }

    #[test]
    fn every_failed_write_names_the_file_and_the_remedy() {
        assert_eq!(
            line(Errno::NOSPC),
            "no space left on the file system that holds x.pcapng: free some, or write elsewhere"
        );
        assert_eq!(
            line(Errno::IO),
            "can't write to x.pcapng: input/output error; check the device that holds it, or write \
             elsewhere"
        );
        for errno in [Errno::DQUOT, Errno::FBIG, Errno::ROFS, Errno::IO] {
            let line = line(errno);
            assert!(
                line.contains("x.pcapng") && line.contains("write"),
                "{line}"
            );
            assert!(!line.contains('\n') && !line.contains("os error"), "{line}");
        }
    }

    #[test]
    fn only_a_closed_pipe_is_no_failure() {
        for errno in [Errno::NOSPC, Errno::FBIG, Errno::IO, Errno::PIPE] {
            let error = OutputError::of_write("x", errno);
            assert_eq!(error.is_closed(), errno == Errno::PIPE);
        }
    }
}
