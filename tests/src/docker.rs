//! Docker on a node of its own: the real daemon with its bridge, its masquerade and its published
//! ports, in a network namespace, seen by nobody else.
//!
//! The daemon has namespaces of its own for mounts and processes as well. So nothing of the
//! machine's `/run` is touched, and when its first process ends, by whatever means, the kernel ends
//! everything that runs in there. What would stay after a kill are empty control groups.
//!
//! There is one image, `box`, with nothing in it but a static busybox.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Signal;
use crate::namespace::Namespace;
use crate::process::{Process, Stdout};
use crate::scratch::Scratch;
use crate::tool;
use crate::wait::{wait_for, wait_until};

/// All daemons put their containers under one control group, so there is one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the daemon runs in. The lab's namespaces have a sysfs of their own, above the one with the
/// control groups.
const START: &str = "umount /sys && mount -t tmpfs tmpfs /run && exec \"$@\"";

/// A running Docker daemon. It ends with the value, its containers first.
#[derive(Debug)]
pub struct Docker {
    daemon: Option<Process>,
    scratch: Scratch,
    node: Namespace,
    _turn: MutexGuard<'static, ()>,
}

impl Docker {
    /// Docker's own bridge.
    pub const BRIDGE: &str = "docker0";
    /// The node's address on it.
    pub const GATEWAY: &str = "172.30.0.1";
    /// What a container runs that does nothing.
    pub const IDLE: &str = "/bin/busybox sleep 3600";

    /// Starts it, and waits until it answers and has its image.
    ///
    /// # Panics
    ///
    /// When it can't be started, with what it said.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Scratch::new();
        let node = Namespace::new();
        let in_scratch = |name: &str| scratch.path(name).display().to_string();
        let mut command = node.command("unshare");
        // The daemon is asked to end by its own id, so that unshare can wait for it; that ends
        // everything in there when we do.
        command.args(["--mount", "--propagation", "private"]);
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg(tool::path("sh")).args(["-c", START, "sh"]);
        command.arg(tool::path("dockerd"));
        command.args(["--data-root", &in_scratch("data")]);
        command.args(["--exec-root", &in_scratch("exec")]);
        command.args(["--pidfile", &in_scratch("pid")]);
        command.args(["--host", &format!("unix://{}", in_scratch("docker.sock"))]);
        command.args(["--bip", &format!("{}/24", Self::GATEWAY)]);
        command.args(["--storage-driver", "vfs", "--userland-proxy=false"]);
        let daemon = Process::start(&mut command, Stdout::Unread);
        let docker = Self {
            daemon: Some(daemon),
            scratch,
            node,
            _turn: turn,
        };
        docker.wait_until_it_answers();
        docker.import_image();
        docker
    }

    #[track_caller]
    fn wait_until_it_answers(&self) {
        wait_until("an answer of the Docker daemon", || {
            let answer = self.command().arg("version").output();
            answer.is_ok_and(|answer| answer.status.success())
        });
    }

    /// `box`: busybox by its name and as a shell.
    #[track_caller]
    fn import_image(&self) {
        let root = self.scratch.path("root");
        let bin = root.join("bin");
        let made = fs::create_dir_all(&bin)
            .and_then(|()| fs::copy(tool::path("busybox"), bin.join("busybox")))
            .and_then(|_| std::os::unix::fs::symlink("busybox", bin.join("sh")));
        if let Err(error) = made {
            panic!("no image can be made: {error}");
        }
        let image = self.scratch.path("box.tar");
        tool::run(
            Command::new(tool::path("tar"))
                .arg("-C")
                .arg(&root)
                .arg("-cf")
                .arg(&image)
                .arg("."),
        );
        tool::run(self.command().arg("import").arg(&image).arg("box"));
    }

    fn command(&self) -> Command {
        let mut command = self.node.command("docker");
        command.env("DOCKER_HOST", self.host());
        // Its settings are looked for at home, which isn't ours.
        command.env("DOCKER_CONFIG", self.scratch.folder());
        command
    }

    /// The node that it runs on.
    #[must_use]
    pub fn node(&self) -> &Namespace {
        &self.node
    }

    /// What `DOCKER_HOST` has to be for its clients.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The socket that it answers at.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.scratch.path("docker.sock")
    }

    /// Runs `docker` with these words, split at spaces, and returns what it puts out.
    ///
    /// # Panics
    ///
    /// When it fails, with what it said.
    #[track_caller]
    pub fn docker(&self, words: &str) -> String {
        let output = tool::run(self.command().args(words.split_whitespace()));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Starts a container of this name that does nothing, with more options for `docker run`, and
    /// returns its id.
    #[track_caller]
    pub fn run(&self, name: &str, options: &str) -> String {
        self.docker(&format!(
            "run --detach --stop-signal KILL --name {name} {options} box {}",
            Self::IDLE
        ))
    }

    /// Runs a program of busybox in a container, and waits for its end.
    #[track_caller]
    pub fn exec(&self, name: &str, words: &str) -> String {
        self.docker(&format!("exec {name} /bin/busybox {words}"))
    }

    /// A container's address on its first network.
    #[track_caller]
    pub fn address(&self, name: &str) -> String {
        let format = "{{range.NetworkSettings.Networks}}{{.IPAddress}}|{{end}}";
        let addresses = self.docker(&format!("inspect --format {format} {name}"));
        addresses.split('|').next().unwrap_or_default().to_owned()
    }

    /// The id of a container's first process, as it is seen outside of the daemon's namespace.
    #[track_caller]
    pub fn pid(&self, id: &str) -> u32 {
        wait_for(&format!("a process of container {id}"), || {
            let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
            processes
                .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
                .filter(|pid| {
                    fs::read_to_string(format!("/proc/{pid}/cgroup"))
                        .is_ok_and(|groups| groups.contains(id))
                })
                .min()
        })
    }

    /// The node's interface that leads to a container's `eth0`, found as people do without
    /// nodecap: by the index that it has there.
    #[track_caller]
    pub fn veth(&self, name: &str, inside: &str) -> String {
        let index = self.exec(name, &format!("cat /sys/class/net/{inside}/iflink"));
        let shown = self.node.ip("-o link");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        let line = shown
            .lines()
            .find(|line| line.starts_with(&format!("{index}: ")));
        let found = line.and_then(|line| line.split_whitespace().nth(1)?.split('@').next());
        found
            .unwrap_or_else(|| panic!("no #{index} in {shown}"))
            .to_owned()
    }

    /// The first process in the daemon's own namespaces.
    fn inside(&self) -> Option<i32> {
        let daemon = self.daemon.as_ref()?.pid();
        let children = format!("/proc/{daemon}/task/{daemon}/children");
        let first = fs::read_to_string(children).ok()?;
        first.split_whitespace().next()?.parse().ok()
    }

    /// The file that stands for a network namespace that the daemon made, by the name that it gave
    /// to it, as it can be reached from outside of the daemon's own namespaces.
    #[track_caller]
    pub fn netns(&self, name: &str) -> PathBuf {
        let file = self.scratch.path("exec").join("netns").join(name);
        let file = file.strip_prefix("/").unwrap_or(&file).to_owned();
        wait_for(&format!("the daemon's namespace {name}"), || {
            let root = PathBuf::from(format!("/proc/{}/root", self.inside()?));
            let file = root.join(&file);
            file.exists().then_some(file)
        })
    }

    fn stop(&mut self) {
        let first = self.inside();
        let Some(daemon) = self.daemon.take() else {
            return;
        };
        // Else it would start anew what is removed.
        if self.scratch.path("data/swarm/docker-state.json").exists() {
            drop(self.command().args(["swarm", "leave", "--force"]).output());
        }
        // Without waiting for what doesn't want to end.
        let list = self.command().args(["ps", "--all", "--quiet"]).output();
        let ids = list.map(|list| String::from_utf8_lossy(&list.stdout).into_owned());
        if let Ok(ids) = ids
            && !ids.trim().is_empty()
        {
            let remove = ["rm", "--force", "--volumes"];
            drop(
                self.command()
                    .args(remove)
                    .args(ids.split_whitespace())
                    .output(),
            );
        }
        match first {
            Some(pid) => drop(nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                Signal::SIGTERM,
            )),
            None => daemon.signal(Signal::SIGKILL),
        }
        drop(daemon.wait());
        // Left only where nobody else's containers are in it.
        for group in fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            drop(fs::remove_dir(group.path().join("docker")));
        }
        drop(fs::remove_dir("/sys/fs/cgroup/docker"));
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.stop();
    }
}
