//! Whose a filter is, and whether its process still runs.
//!
//! A clsact filter outlives its process, so its name must tell whether it may be taken away. A
//! process id alone can't: it is given to another process one day, means something else in another
//! pid namespace, and /proc may not show it. So each capture makes up a token and binds a socket
//! to it, in the abstract namespace of Unix sockets, which is the network namespace's own, as the
//! filters are (unix(7)). The kernel closes the socket with the process, however that ends.
//! Whoever can bind the token's socket himself knows that its process is gone; and as long as he
//! holds it, nobody else takes the filter away at the same time.

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What each filter of ours is called: `nodecap:PID:TOKEN`, with `:qdisc` behind it if the qdisc
/// that it is in was added by one of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// As the process knows itself: for people, nothing rests on it.
    pub(super) process: u32,
    pub(super) token: u64,
    pub(super) brought_qdisc: bool,
}

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix("nodecap:")?.split(':');
        let process = parts.next()?.parse().ok()?;
        let token = u64::from_str_radix(parts.next()?, 16).ok()?;
        let brought_qdisc = match parts.next() {
            None => false,
            Some("qdisc") => true,
            Some(_) => return None,
        };
        let parsed = Self {
            process,
            token,
            brought_qdisc,
        };
        // Only what we would have written.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, token, .. } = self;
        let qdisc = if self.brought_qdisc { ":qdisc" } else { "" };
        write!(f, "nodecap:{process}:{token:016x}{qdisc}")
    }
}

/// A token and the socket that stands for it.
pub(super) struct Owner {
    pub(super) token: u64,
    _alive: UnixDatagram,
}

impl Owner {
    /// A new one, in the network namespace that the thread is in.
    pub(super) fn new() -> io::Result<Self> {
        // Keyed by the operating system's randomness.
        let token = RandomState::new().build_hasher().finish();
        Ok(Self {
            token,
            _alive: bind(&token_name(token))?,
        })
    }

    /// A filter's name.
    pub(super) fn name(&self, brought_qdisc: bool) -> Name {
        Name {
            process: std::process::id(),
            token: self.token,
            brought_qdisc,
        }
    }
}

/// The right to take away what a process left behind.
pub(super) struct Heir {
    _held: UnixDatagram,
}

/// The right to a token's filters; none if its process still runs in this network namespace, or
/// somebody else is at it.
pub(super) fn inherit(token: u64) -> io::Result<Option<Heir>> {
    match bind(&token_name(token)) {
        Ok(held) => Ok(Some(Heir { _held: held })),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

/// Held while qdiscs and filters are put up or taken away, so that no process takes a qdisc away
/// into which another has just put a filter.
pub(super) struct Turn {
    _held: UnixDatagram,
}

/// How long the others are waited for. Theirs are a few system calls.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(1);

/// Waits for our turn in this network namespace; none if it doesn't come.
pub(super) fn turn() -> io::Result<Option<Turn>> {
    let begun = Instant::now();
    loop {
        match bind("nodecap/turn") {
            Ok(held) => return Ok(Some(Turn { _held: held })),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Err(error),
            Err(_) if begun.elapsed() > PATIENCE => return Ok(None),
            Err(_) => sleep(POLL),
        }
    }
}

fn token_name(token: u64) -> String {
    format!("nodecap/{token:016x}")
}

fn bind(name: &str) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written_and_nobody_elses_is() {
        for brought_qdisc in [false, true] {
            let name = Name {
                process: 4711,
                token: 0x9f,
                brought_qdisc,
            };
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
        for other in [
            "",
            "nodecap",
            "nodecap:1",
            "nodecap:1:9f",
            "nodecap:1:000000000000009f:",
            "nodecap:1:000000000000009f:qdisc:",
            "nodecap:01:000000000000009f",
            "nodecap:1:000000000000009F",
            "cil_from_netdev-eth0",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn nobody_inherits_while_the_owner_lives_and_one_does_then() {
        let owner = Owner::new().expect("a socket");
        let token = owner.token;
        assert!(inherit(token).expect("an answer").is_none());
        drop(owner);
        let heir = inherit(token).expect("an answer").expect("it is gone");
        assert!(inherit(token).expect("an answer").is_none());
        drop(heir);
        assert!(inherit(token).expect("an answer").is_some());
    }
}
