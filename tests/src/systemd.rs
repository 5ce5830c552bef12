//! A service manager of one's own: systemd as the first process of its namespaces, on a network of the lab,
//! with the units that it is given and no others.
//!
//! It shares nothing with the machine's: `/run`, `/var/log` and `/usr/local/bin` are empty ones of its own,
//! and when it ends, by whatever means, the kernel ends everything that it has started. What would stay after
//! a kill are empty control groups.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::nodecap;
use crate::process::{Process, Stdout};
use crate::scratch::Scratch;
use crate::tool;
use crate::wait::{wait_for, wait_until};

/// The hierarchy in which systemd puts its units where control groups are of the first version.
const GROUPS: &str = "/sys/fs/cgroup/systemd";
/// Where it is in Debian.
const SYSTEMD: &str = "/lib/systemd/systemd";

/// Joins the group, and goes on in namespaces in which that is the root of all, and the host's name (which
/// systemd sets) one's own. The lab's namespaces have a sysfs of their own, above the one with the control
/// groups.
const START: &str = "umount /sys && echo $$ >\"$1/cgroup.procs\" && shift && \
    exec unshare --cgroup --pid --uts --ipc --fork --kill-child --mount-proc \"$@\"";
/// With folders of its own, and the groups as they are seen from in there: systemd takes what is mounted for
/// the whole.
const BEGIN: &str = "umount /sys/fs/cgroup/systemd && \
    mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd && \
    for folder in /run /var/log /usr/local/bin; do \
    mount -t tmpfs tmpfs $folder; done && cp \"$1\" /usr/local/bin/nodecap && shift && exec \"$@\"";

/// How long it may take until everything in there has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Targets that a service waits for, with nothing in them.
const TARGETS: [&str; 5] = ["sysinit", "basic", "shutdown", "network", "lab"];

/// A running systemd, which has nodecap under test as `/usr/local/bin/nodecap`. It ends with the value.
#[derive(Debug)]
pub struct Systemd {
    unshare: Option<Process>,
    group: PathBuf,
    _units: Scratch,
}

impl Systemd {
    /// Why there can't be one here.
    #[must_use]
    pub fn missing() -> Option<&'static str> {
        if !Path::new(SYSTEMD).exists() {
            Some("systemd isn't installed here")
        } else if !Path::new(GROUPS).join("cgroup.procs").exists() {
            Some("this machine has no control groups named for systemd")
        } else {
            None
        }
    }

    /// Starts it on a namespace's network with this unit, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it can't be started, with what it said.
    #[must_use]
    #[track_caller]
    pub fn start(namespace: &Namespace, name: &str, unit: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let units = Scratch::new();
        let put = |name: &str, text: &str| {
            if let Err(error) = fs::write(units.path(name), text) {
                panic!("no unit {name}: {error}");
            }
        };
        for target in TARGETS {
            put(
                &format!("{target}.target"),
                "[Unit]\nDefaultDependencies=no\n",
            );
        }
        put(name, unit);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let group = Path::new(GROUPS).join(format!("lab-{}-{count}", std::process::id()));
        if let Err(error) = fs::create_dir(&group) {
            panic!("no control group {}: {error}", group.display());
        }
        let mut command = namespace.command("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.args(["sh", "-c", START, "sh"]).arg(&group);
        command
            .args(["sh", "-c", BEGIN, "sh"])
            .arg(nodecap::binary());
        command.args(["env", "container=lab"]);
        command.arg(format!("SYSTEMD_UNIT_PATH={}", units.folder().display()));
        command.args([SYSTEMD, "--system", "--unit=lab.target"]);
        command.args(["--log-target=console", "--show-status=no"]);
        let systemd = Self {
            unshare: Some(Process::start(&mut command, Stdout::Unread)),
            group,
            _units: units,
        };
        wait_until("systemd to answer", || {
            let mut asked = systemd.command();
            asked.args(["show", "--property=Version"]);
            asked.output().is_ok_and(|said| said.status.success())
        });
        systemd
    }

    /// `systemctl` in there with these words: what it says.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn systemctl(&self, words: &str) -> String {
        let mut command = self.command();
        let said = tool::run(command.args(words.split(' ')));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    /// A property of a unit.
    ///
    /// # Panics
    ///
    /// As [`Systemd::systemctl`].
    #[must_use]
    #[track_caller]
    pub fn property(&self, unit: &str, name: &str) -> String {
        self.systemctl(&format!("show --value --property={name} {unit}"))
    }

    /// A path in there, seen from outside.
    ///
    /// # Panics
    ///
    /// When it has ended.
    #[must_use]
    #[track_caller]
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(tool::path("nsenter"));
        command.args(["--target", &self.first().to_string()]);
        command.args(["--mount", "--pid", "--net", "--cgroup"]);
        command.arg(tool::path("systemctl"));
        command
    }

    /// The first process in there.
    #[track_caller]
    fn first(&self) -> u32 {
        let Some(unshare) = &self.unshare else {
            panic!("systemd has ended");
        };
        let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
        wait_for("the first process of systemd's namespaces", || {
            let children = fs::read_to_string(&children).ok()?;
            children.trim().parse().ok()
        })
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // The kernel then ends everything in there; until it has, the groups are in use.
        drop(self.unshare.take());
        let begun = Instant::now();
        while remove(&self.group).is_err() && begun.elapsed() < PATIENCE {
            sleep(Duration::from_millis(10));
        }
    }
}

/// Removes a control group with those in it.
fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
