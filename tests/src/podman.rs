//! Podman on a node of its own: containers without a daemon, on the network that CNI plug-ins make,
//! in a network namespace, seen by nobody else.
//!
//! As with [`crate::docker`], it has namespaces of its own for mounts and processes: its first
//! process waits in there, and what podman starts ends with it. What podman remembers, and the
//! socket at which it answers as Docker does, are in a scratch folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::namespace::Namespace;
use crate::process::{Process, Stdout};
use crate::scratch::Scratch;
use crate::tool;
use crate::wait::{wait_for, wait_until};

/// All containers are put under one control group, so there is one node at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the service runs in: see [`crate::docker`].
const START: &str = "umount /sys && mount -t tmpfs tmpfs /run && exec \"$@\"";
/// Without systemd and its journal, which aren't there.
const SETTINGS: &str = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
                        [containers]\nlog_driver = \"k8s-file\"\n";
/// The control group that it puts its containers under.
const GROUP: &str = "libpod_parent";

/// Podman, answering at a socket. It ends with the value, its containers first.
#[derive(Debug)]
pub struct Podman {
    service: Option<Process>,
    scratch: Scratch,
    node: Namespace,
    _turn: MutexGuard<'static, ()>,
}

impl Podman {
    /// Starts it, and waits until it answers and has its image: `box`, a static busybox.
    ///
    /// # Panics
    ///
    /// When it can't be started, with what it said.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (scratch, node) = (Scratch::new(), Namespace::new());
        let settings = scratch.path("containers.conf");
        write(&settings, SETTINGS.as_bytes());
        let socket = format!("unix://{}", scratch.path("podman.sock").display());
        let mut command = node.command("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg(tool::path("sh")).args(["-c", START, "sh"]);
        command.arg(tool::path("podman"));
        command.args(places(&scratch));
        command.args(["system", "service", "--time", "0", &socket]);
        command.env("CONTAINERS_CONF", &settings);
        let podman = Self {
            service: Some(Process::start(&mut command, Stdout::Unread)),
            scratch,
            node,
            _turn: turn,
        };
        wait_until("an answer of podman", || podman.socket().exists());
        podman.import_image();
        podman
    }

    #[track_caller]
    fn import_image(&self) {
        let program = self.scratch.path("root/bin/busybox");
        let busybox = fs::read(tool::path("busybox")).unwrap_or_else(|error| panic!("{error}"));
        write(&program, &busybox);
        tool::run(Command::new(tool::path("chmod")).arg("755").arg(&program));
        let image = self.scratch.path("box.tar");
        tool::run(
            Command::new(tool::path("tar"))
                .arg("-C")
                .arg(self.scratch.path("root"))
                .arg("-cf")
                .arg(&image)
                .arg("."),
        );
        self.podman(&format!("import {} box", image.display()));
    }

    /// The node that it runs on.
    #[must_use]
    pub fn node(&self) -> &Namespace {
        &self.node
    }

    /// The socket that it answers at.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.path("podman.sock")
    }

    /// The first process in its namespaces: the service.
    #[track_caller]
    fn inside(&self) -> u32 {
        let pid = self.service.as_ref().map_or(0, Process::pid);
        let children = format!("/proc/{pid}/task/{pid}/children");
        wait_for("the service's process", || {
            let first = fs::read_to_string(&children).ok()?;
            first.split_whitespace().next()?.parse().ok()
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(tool::path("nsenter"));
        let pid = self.inside().to_string();
        command.args(["--target", &pid, "--net", "--mount", "--pid"]);
        command
            .arg(tool::path("podman"))
            .args(places(&self.scratch));
        command.env("CONTAINERS_CONF", self.scratch.path("containers.conf"));
        command
    }

    /// Runs `podman` with these words, split at spaces, and returns what it puts out.
    ///
    /// # Panics
    ///
    /// When it fails, with what it said.
    #[track_caller]
    pub fn podman(&self, words: &str) -> String {
        let output = tool::run(self.command().args(words.split_whitespace()));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts a container of this name that does nothing, with more options for `podman run`, and
    /// returns its id.
    #[track_caller]
    pub fn run(&self, name: &str, options: &str) -> String {
        self.podman(&format!(
            "run --detach --stop-signal KILL --name {name} {options} box /bin/busybox sleep 3600"
        ))
    }

    /// Runs a program of busybox in a container, and waits for its end.
    #[track_caller]
    pub fn exec(&self, name: &str, words: &str) -> String {
        self.podman(&format!("exec {name} /bin/busybox {words}"))
    }

    /// A container's address on its network.
    #[track_caller]
    pub fn address(&self, name: &str) -> String {
        let format = "{{range.NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.podman(&format!("inspect --format {format} {name}"))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Without waiting for what doesn't want to end; the namespace's end takes the rest.
        let remove = ["rm", "--all", "--force", "--time", "0"];
        drop(self.command().args(remove).output());
        if let Some(service) = self.service.take() {
            service.signal(crate::Signal::SIGKILL);
            drop(service.wait());
        }
        for group in fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            remove_empty(&group.path().join(GROUP));
        }
        remove_empty(&Path::new("/sys/fs/cgroup").join(GROUP));
    }
}

/// Removes a control group that nobody is in, with those below it.
fn remove_empty(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            remove_empty(&below.path());
        }
    }
    drop(fs::remove_dir(group));
}

/// Where it keeps what it knows.
fn places(scratch: &Scratch) -> [String; 6] {
    let at = |name: &str| scratch.path(name).display().to_string();
    [
        "--root".to_owned(),
        at("data"),
        "--runroot".to_owned(),
        "/run/podman-lab".to_owned(),
        "--storage-driver".to_owned(),
        "vfs".to_owned(),
    ]
}

#[track_caller]
fn write(path: &Path, contents: &[u8]) {
    let folder = path.parent().unwrap_or(path);
    if let Err(error) = fs::create_dir_all(folder).and_then(|()| fs::write(path, contents)) {
        panic!("{}: {error}", path.display());
    }
}
