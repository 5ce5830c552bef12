//! What a service manager is told (sd_notify(3)): that the capture is ready, how it goes, that it
//! ends; and, where it wants to know, that the thread that moves packets still does.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How often it is said how the capture goes.
const BETWEEN_STATUS: Duration = Duration::from_secs(5);

/// The manager that started this process.
#[derive(Debug)]
pub(super) struct Service {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
    /// The rounds of the moving thread when the watchdog was fed last.
    rounds: Option<u64>,
    status: (String, Instant),
}

impl Service {
    /// The manager that the environment tells of (`NOTIFY_SOCKET`, `WATCHDOG_USEC`), if one does.
    /// Its socket is connected to at once, since later this process may be another user's, or in
    /// another network namespace, which an abstract socket belongs to.
    ///
    /// A manager that can't be reached is none: it isn't what this is about.
    #[must_use]
    pub(super) fn of_environment() -> Option<Self> {
        let address = address(&env::var_os("NOTIFY_SOCKET")?)?;
        let variable = |name| env::var(name).ok();
        let watchdog = watchdog(
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
        );
        match Self::connect(address, watchdog) {
            Ok(service) => Some(service),
            Err(error) => {
                tracing::warn!("the service manager can't be told anything: {error}");
                None
            }
        }
    }

    fn connect(address: SocketAddr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // Told often enough, it can miss something.
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        Ok(Self {
            socket,
            address,
            watchdog,
            rounds: None,
            status: (String::new(), Instant::now()),
        })
    }

    /// How often the watchdog is to be fed: twice in its time, as sd_watchdog_enabled(3) advises.
    #[must_use]
    pub(super) fn feeding(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 2)
    }

    /// Everything is attached and open.
    pub(super) fn ready(&mut self, status: &str) {
        self.status = (status.to_owned(), Instant::now());
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// Whether it is time to say again how it goes.
    #[must_use]
    pub(super) fn wants_status(&self) -> bool {
        self.status.1.elapsed() >= BETWEEN_STATUS
    }

    /// How it goes, in one line.
    pub(super) fn status(&mut self, status: String) {
        if self.status.0 != status {
            self.tell(&format!("STATUS={status}"));
        }
        self.status = (status, Instant::now());
    }

    /// It is ending.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The moving thread has gone round so often. The watchdog is fed if that is more than the last
    /// time: a capture that is stuck is better begun anew.
    pub(super) fn feed(&mut self, rounds: u64) {
        if self.watchdog.is_some() && self.rounds.replace(rounds) != Some(rounds) {
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, state: &str) {
        let told = self.socket.send(state.as_bytes()).or_else(|_| {
            // A manager that was executed anew has another socket by the same name.
            self.socket.connect_addr(&self.address)?;
            self.socket.send(state.as_bytes())
        });
        if let Err(error) = told {
            tracing::debug!("the service manager wasn't told: {error}");
        }
    }
}

/// A path, or behind an `@` a name in the abstract namespace (unix(7)). Anything else, as a vsock of
/// a virtual machine's manager, is left alone.
fn address(socket: &OsStr) -> Option<SocketAddr> {
    match socket.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(socket).ok(),
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name).ok(),
        _ => None,
    }
}

/// The watchdog's time, if it is about this process.
fn watchdog(microseconds: Option<&str>, process: Option<&str>) -> Option<Duration> {
    let ours = process.is_none_or(|it| it.parse() == Ok(std::process::id()));
    let microseconds: u64 = microseconds?.parse().ok()?;
    (ours && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 256];
        manager.set_nonblocking(true).unwrap();
        let len = manager.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..len]).into_owned())
    }

    #[test]
    fn the_watchdog_is_fed_only_while_the_thread_goes_round() {
        let name = format!("@nodecap-test-{}", std::process::id());
        let address = address(OsStr::new(&name)).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let mut service = Service::connect(address, Some(Duration::from_secs(1))).unwrap();
        assert_eq!(service.feeding(), Some(Duration::from_millis(500)));
        for (rounds, fed) in [(7, true), (7, false), (8, true), (8, false)] {
            service.feed(rounds);
            assert_eq!(heard(&manager).is_some(), fed, "{rounds}");
        }
        service.ready("listening");
        assert_eq!(heard(&manager).unwrap(), "READY=1\nSTATUS=listening");
        service.status("listening".to_owned());
        assert_eq!(heard(&manager), None);
        service.stopping();
        assert_eq!(heard(&manager).unwrap(), "STOPPING=1");
    }

    #[test]
    fn a_manager_that_was_executed_anew_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let service = Service::connect(address(path.as_os_str()).unwrap(), None).unwrap();
        drop(manager);
        service.stopping();
        std::fs::remove_file(&path).unwrap();
        let manager = UnixDatagram::bind(&path).unwrap();
        service.stopping();
        assert_eq!(heard(&manager).unwrap(), "STOPPING=1");
    }

    #[test]
    fn what_the_environment_says_is_taken_as_it_is_meant() {
        let here = std::process::id().to_string();
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog(Some("1000000"), Some(&here)), second);
        assert_eq!(watchdog(Some("1000000"), None), second);
        assert_eq!(watchdog(Some("1000000"), Some("1")), None);
        assert_eq!(watchdog(Some("0"), None), None);
        assert_eq!(watchdog(Some("soon"), None), None);
        assert_eq!(watchdog(None, None), None);
        for nothing in ["", "@", "vsock:2:1234", "relative"] {
            assert!(address(OsStr::new(nothing)).is_none(), "{nothing}");
        }
    }
}
