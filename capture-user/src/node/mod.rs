//! What the network stack of a namespace holds, read and left as it is.
//!
//! Over netlink and from `/proc`, without another program. Everything here is about the network
//! namespace that the thread is in; [`inside`] is for others.
//!
//! - [`links`]: interfaces with their counters, VXLANs with their VNI; addresses
//! - [`neighbours`]: who answers at which MAC address, and behind which port a bridge learned it
//! - [`routing`]: routes, and the rules by which a table is chosen
//! - [`conntrack`], [`nftables`], [`iptables`], [`ipvs`]: connection tracking, the firewall and the
//!   load balancer
//! - [`sysctls`]: kernel parameters
//! - `ask`: questions over netlink
//!
//! Nothing is asked of a part of the kernel that isn't there: the question alone would load it.

mod ask;
pub mod conntrack;
pub mod iptables;
pub mod ipvs;
pub mod links;
pub mod neighbours;
pub mod nftables;
pub mod routing;
pub mod sysctls;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::target::workload::open_namespace;

/// Why a part can't be read: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self(match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => format!("{error}: it takes CAP_NET_ADMIN"),
            _ => error.to_string(),
        })
    }
}

/// Runs something in the network namespace that a file stands for, on a thread of its own, which
/// leaves nothing behind: a namespace that somebody stays in never ends.
///
/// # Errors
///
/// When the file can't be opened or stands for no network namespace, or entering it isn't allowed:
/// it takes `CAP_SYS_ADMIN`.
pub fn inside<T: Send>(file: &Path, look: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = open_namespace(file)?;
    std::thread::scope(|scope| {
        let entered = std::thread::Builder::new().spawn_scoped(scope, move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            // The thread itself keeps it alive from here on, until it ends.
            drop(namespace);
            Ok(look())
        })?;
        match entered.join() {
            Ok(found) => found,
            Err(_) => Err(io::Error::other("the thread that looked has failed")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_no_namespace_cannot_be_entered() {
        assert!(inside(Path::new("/dev/null"), || ()).is_err());
        assert!(inside(Path::new("/nowhere"), || ()).is_err());
    }

    #[test]
    fn a_refusal_says_what_it_takes() {
        let refused = Unavailable::from(io::Error::from_raw_os_error(libc::EPERM));
        assert!(refused.to_string().contains("CAP_NET_ADMIN"));
    }
}
