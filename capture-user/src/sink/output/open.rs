//! Opening a destination without following links, and taking back what a failed start created.

use std::path::{Path, PathBuf};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{destination::Descriptor, error::OutputError};

/// A destination that is open and untouched. Dropped before it is kept, it leaves everything as it
/// was: a file that the opening created is removed again, one that was there keeps its contents.
#[derive(Debug)]
pub struct Opened {
    name: String,
    descriptor: Descriptor,
    truncates: bool,
    created: Option<Created>,
}

/// A destination that is ready for its first byte. Dropped before [`Started::keep`], it removes
/// a file that the opening created.
#[derive(Debug)]
pub struct Started {
    name: String,
    created: Option<Created>,
}

impl Opened {
    /// Opens a destination: a path, or `-` (or `/dev/stdout`) for standard output.
    ///
    /// A file is created with mode 0600. A symbolic link isn't followed as the last part of the
    /// path, except to a descriptor of this process (`/dev/fd/3`, what a shell's `>(…)` gives). As
    /// with every program, opening a FIFO waits for its reader: do it before signals are handled.
    ///
    /// # Errors
    ///
    /// Every variant of [`OutputError`] that doesn't come of writing.
    pub fn open(destination: impl AsRef<Path>) -> Result<Self, OutputError> {
        let path = destination.as_ref();
        if path.as_os_str().is_empty() {
            return Err(OutputError::Nameless);
        }
        if path == "-" || path == "/dev/stdout" {
            return Self::standard_output();
        }
        let name = path.display().to_string();
        let failed = |errno| failed(path, &name, errno);
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let (fd, new) = if is_own_descriptor(path) {
            (open(path, flags).map_err(failed)?, false)
        } else {
            let flags = flags | OFlags::CREATE | OFlags::NOFOLLOW;
            match open(path, flags | OFlags::EXCL) {
                Ok(fd) => (fd, true),
                // CREATE again, though it exists: with it fs.protected_regular and protected_fifos
                // keep us out of what somebody else laid ready in /tmp.
                Err(Errno::EXIST) => (open(path, flags).map_err(failed)?, false),
                Err(errno) => return Err(failed(errno)),
            }
        };
        let descriptor = Descriptor::new(fd).map_err(failed)?;
        let created = match descriptor.identity() {
            Ok(identity) if new => Some(Created {
                path: path.to_owned(),
                identity,
                kept: false,
            }),
            _ => None,
        };
        Ok(Self {
            truncates: descriptor.is_regular(),
            name,
            descriptor,
            created,
        })
    }

    fn standard_output() -> Result<Self, OutputError> {
        let name = "standard output".to_owned();
        // A copy, since it is closed at the end; above the three that libraries take for granted.
        let descriptor = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)
            .and_then(Descriptor::new)
            .map_err(|errno| OutputError::Open {
                name: name.clone(),
                errno,
            })?;
        Ok(Self {
            name,
            descriptor,
            truncates: false,
            created: None,
        })
    }

    /// The destination, as messages name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What will be written to.
    #[must_use]
    pub const fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Gives a file that the opening created to a user and a group. Others stay whose they are.
    ///
    /// # Errors
    ///
    /// What fchown(2) gives.
    pub fn give_to(&self, user: u32, group: u32) -> Result<(), OutputError> {
        if self.created.is_none() {
            return Ok(());
        }
        self.descriptor
            .give_to(user, group)
            .map_err(|errno| OutputError::of_write(&self.name, errno))
    }

    /// Empties a file that was there, and gives what to write to. From here on the old contents are
    /// gone.
    ///
    /// # Errors
    ///
    /// What truncating gives.
    pub fn start(mut self) -> Result<(Descriptor, Started), OutputError> {
        self.descriptor.claim();
        if self.truncates {
            self.descriptor
                .truncate()
                .map_err(|errno| OutputError::of_write(&self.name, errno))?;
        }
        Ok((
            self.descriptor,
            Started {
                name: self.name,
                created: self.created,
            },
        ))
    }

    /// Leaves everything as it was, as dropping it does.
    pub fn abandon(self) {}
}

impl Started {
    /// The destination, as messages name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The start succeeded: the file stays.
    pub fn keep(mut self) {
        if let Some(created) = &mut self.created {
            created.kept = true;
        }
    }
}

/// A file that we created, removed on drop unless it is kept.
#[derive(Debug)]
struct Created {
    path: PathBuf,
    identity: (u64, u64),
    kept: bool,
}

impl Drop for Created {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // By now the name may be another file's, which isn't ours to remove.
        let ours = rustix::fs::lstat(&self.path)
            .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.identity);
        if ours && let Err(errno) = rustix::fs::unlink(&self.path) {
            tracing::warn!(path = %self.path.display(), %errno, "an empty output file stays behind");
        }
    }
}

fn open(path: &Path, flags: OFlags) -> Result<std::os::fd::OwnedFd, Errno> {
    rustix::io::retry_on_intr(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR))
}

/// Whether the path names a descriptor that this process was started with. Such a name is always
/// a link, made by the kernel for us alone.
fn is_own_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd"].iter().any(|folder| {
        path.strip_prefix(folder)
            .ok()
            .and_then(Path::to_str)
            .is_some_and(|number| number.parse::<u32>().is_ok())
    })
}

fn failed(path: &Path, name: &str, errno: Errno) -> OutputError {
    let name = name.to_owned();
    match errno {
        Errno::ISDIR => OutputError::Directory { name },
        // ELOOP also comes of links in a circle further up.
        Errno::LOOP if path.is_symlink() => OutputError::SymbolicLink {
            name,
            target: std::fs::read_link(path).ok(),
        },
        Errno::NOENT | Errno::NOTDIR => match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                OutputError::NoFolder {
                    name,
                    folder: folder.to_owned(),
                }
            }
            _ => OutputError::Open { name, errno },
        },
        Errno::ACCESS | Errno::PERM | Errno::ROFS => OutputError::Denied { name, errno },
        Errno::NOSPC => OutputError::Full { name },
        Errno::DQUOT => OutputError::Quota { name },
        _ => OutputError::Open { name, errno },
    }
}
