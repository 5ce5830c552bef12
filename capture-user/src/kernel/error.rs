//! What the kernel refused, and what the user can do about it.

use std::error::Error as StdError;
use std::io;

use rustix::io::Errno;

use super::abilities;
use super::attach::Refused;
use crate::error::Error;

/// A refusal by the kernel, or an object that isn't as this program expects it.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Loading the programs and their maps failed.
    #[error("can't load the eBPF programs: {}", explain(.0.as_ref()))]
    Load(#[source] Box<dyn StdError + Send + Sync>),
    /// Attaching to an interface failed.
    #[error("can't attach to {interface}: {}", explain(.source.as_ref()))]
    Attach {
        /// The interface's name.
        interface: String,
        /// What aya says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The interface has the older ingress qdisc, which has nothing for what goes out.
    #[error(
        "can't attach to what leaves {interface}: it has an ingress qdisc, which only takes what \
         comes in; capture with -Q in, or have whoever put it there use clsact"
    )]
    NoEgress {
        /// The interface's name.
        interface: String,
    },
    /// The interface has an XDP program already.
    #[error("can't attach to {interface} by XDP: it has {by}, which stays; capture with --hook tc")]
    XdpTaken {
        /// The interface's name.
        interface: String,
        /// What is there.
        by: String,
    },
    /// XDP was to see what leaves an interface.
    #[error("can't attach to what leaves {interface}: XDP sees only what comes in; use --hook tc")]
    XdpEgress {
        /// The interface's name.
        interface: String,
    },
    /// XDP was to see a device without a link header.
    #[error(
        "can't attach to {interface} by XDP: its packets have no Ethernet header; use --hook tc"
    )]
    XdpFraming {
        /// The interface's name.
        interface: String,
    },
    /// Address lists that were read again need more memory than was set aside for them.
    #[error(
        "the address lists take {} MiB in the kernel, and there is room for {} MiB: end this \
         capture and start another",
        .needed.div_ceil(1 << 20),
        .room >> 20
    )]
    Room {
        /// Bytes that they take.
        needed: usize,
        /// Bytes that there are.
        room: usize,
    },
    /// What a killed capture left can't be removed.
    #[error("can't sweep {what}: {source}; run it as root, or with CAP_NET_ADMIN")]
    Sweep {
        /// What it is.
        what: String,
        /// What the kernel says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Loading or attaching a tracepoint's program failed.
    #[error("can't attach to the tracepoint {name}: {}", explain(.source.as_ref()))]
    Tracepoint {
        /// The tracepoint's name.
        name: &'static str,
        /// What aya says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A tracepoint's arguments can't be read.
    #[error("can't use the tracepoint {name}: {why}")]
    Layout {
        /// The tracepoint's name.
        name: &'static str,
        /// What is missing.
        why: String,
    },
    /// Setting up or reading the ring failed.
    #[error("can't read the ring: {0}")]
    Ring(#[source] io::Error),
    /// Reading or writing a map failed.
    #[error("can't use the map {map}: {}", explain(.source.as_ref()))]
    Map {
        /// The map's name.
        map: &'static str,
        /// What aya says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The embedded object lacks something: it was built from another tree.
    #[error("the embedded kernel object has no {0}: build again with `cargo xtask build`")]
    Missing(&'static str),
}

impl KernelError {
    /// The interface was gone when it came to attaching.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let Self::Attach { source, .. } = self else {
            return false;
        };
        matches!(errno(source.as_ref()), Some(Errno::NODEV | Errno::NXIO))
    }
}

impl KernelError {
    /// There is something about this one interface that keeps it from being captured on, and no
    /// other one.
    #[must_use]
    pub fn is_of_the_interface(&self) -> bool {
        matches!(
            self,
            Self::NoEgress { .. } | Self::XdpTaken { .. } | Self::XdpFraming { .. }
        )
    }
}

impl From<KernelError> for Error {
    fn from(error: KernelError) -> Self {
        Self::failure(error.to_string())
    }
}

/// The system call's error number, somewhere down the chain.
pub(super) fn errno(error: &(dyn StdError + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error().map(Errno::from_raw_os_error);
        }
        next = error.source();
    }
    None
}

/// One line: the innermost cause and the remedy, where there is one. The verifier's log, which
/// aya puts into its messages, goes to the diagnostics.
fn explain(error: &(dyn StdError + 'static)) -> String {
    tracing::debug!("{error:?}");
    let remedy = match errno(error) {
        Some(Errno::PERM) => return abilities::refusal(),
        Some(Errno::NOSYS) => return abilities::no_call(),
        // The verifier refuses with this one as well.
        Some(Errno::ACCESS) if abilities::lacks_privilege() => return abilities::refusal(),
        Some(Errno::ACCESS) => {
            "the verifier or a security module (SELinux, AppArmor) refuses the program; `-vv` shows \
             what the verifier says, please report that"
        }
        Some(Errno::INVAL) => {
            "this kernel lacks something that nodecap needs; `nodecap doctor` shows what"
        }
        Some(Errno::NOMEM) => "there is not enough memory: try a smaller --ring-size",
        Some(Errno::NODEV | Errno::NXIO) => "there is no such interface any more",
        _ => "",
    };
    let mut innermost = error;
    while let Some(source) = innermost.source()
        // What the kernel says in words says more than its number.
        && !innermost.is::<Refused>()
    {
        innermost = source;
    }
    let text = innermost.to_string();
    let line = text.lines().next().unwrap_or_default();
    if remedy.is_empty() {
        line.to_owned()
    } else {
        format!("{line}: {remedy}")
    }
}
