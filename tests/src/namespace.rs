//! A network namespace without a name.
//!
//! A holder process keeps it alive: it was started with namespaces of its own and then reads a
//! pipe that only we write to. When we end, by whatever means, the pipe closes, the holder ends,
//! and the kernel takes the namespace and its links away. Nothing is pinned, nothing is named.
//!
//! The mount namespace is its own as well, so that `/sys/class/net` shows these links and a test
//! can mount what it likes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sched::{CloneFlags, setns};

use crate::tool;
use crate::wait::wait_until;

/// A network of one's own. It ends with the value.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
}

/// What the holder does in its new namespaces before it waits for the end.
const HOLD: &str = "mount -t sysfs sysfs /sys && ip link set lo up && echo ready && read end";

impl Namespace {
    /// A namespace with nothing but its loopback interface, which is up.
    ///
    /// Links made in it send nothing by themselves: they get no IPv6 link-local address, and
    /// addresses are taken without asking the neighbours whether they are free.
    ///
    /// # Panics
    ///
    /// Without the privilege to make one.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let mut command = Command::new(tool::path("unshare"));
        command.args(["--net", "--mount", "--propagation", "private"]);
        command.arg(tool::path("sh")).args(["-c", HOLD]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut holder = match command.spawn() {
            Ok(holder) => holder,
            Err(error) => panic!("{command:?} can't be started: {error}"),
        };
        let mut line = String::new();
        let ready = holder
            .stdout
            .take()
            .map(|out| BufReader::new(out).read_line(&mut line));
        if line != "ready\n" {
            let mut why = String::new();
            if let Some(mut errors) = holder.stderr.take() {
                drop(errors.read_to_string(&mut why));
            }
            panic!(
                "no namespace could be made (run as root): {ready:?} {}",
                why.trim()
            );
        }
        let namespace = Self { holder };
        // 1 is IN6_ADDR_GEN_MODE_NONE.
        namespace.sysctl("net.ipv6.conf.default.addr_gen_mode", "1");
        namespace.sysctl("net.ipv6.conf.default.accept_dad", "0");
        namespace
    }

    /// A namespace whose stack doesn't take part: without IPv6, and links get no addresses, so
    /// the only packets are those that somebody puts there.
    ///
    /// # Panics
    ///
    /// As [`Namespace::new`].
    #[must_use]
    #[track_caller]
    pub fn silent() -> Self {
        let namespace = Self::new();
        namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
        namespace.sysctl("net.ipv6.conf.all.disable_ipv6", "1");
        namespace
    }

    /// The holder's process id, for which `ip link set … netns PID` and `--pid` have a use.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// The file that stands for the network namespace.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid()))
    }

    /// How a file that this namespace sees as `path` can be reached from outside, whatever is
    /// mounted above it in here.
    #[must_use]
    pub fn outside(&self, path: &Path) -> PathBuf {
        let relative = path.strip_prefix("/").unwrap_or(path);
        PathBuf::from(format!("/proc/{}/root", self.pid())).join(relative)
    }

    /// A program to be run in here as root. It is killed when the thread that starts it ends, so
    /// start it from the test's own thread.
    #[must_use]
    #[track_caller]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        self.command_with(&[], program.as_ref())
    }

    /// A program to be run in here by `nobody`, without any capability.
    #[must_use]
    #[track_caller]
    pub fn command_as_nobody(&self, program: impl AsRef<Path>) -> Command {
        let nobody = [
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ];
        self.command_with(&nobody, program.as_ref())
    }

    /// A program to be run in here by an ordinary user (1000) who holds these capabilities and no
    /// others, named as setpriv(1) does: `net_admin`.
    #[must_use]
    #[track_caller]
    pub fn command_with_capabilities(
        &self,
        capabilities: &[&str],
        program: impl AsRef<Path>,
    ) -> Command {
        let mut held = String::from("-all");
        for capability in capabilities {
            held += &format!(",+{capability}");
        }
        let user = ["--reuid", "1000", "--regid", "1000", "--clear-groups"].map(String::from);
        let capabilities = [
            format!("--inh-caps={held}"),
            format!("--ambient-caps={held}"),
            format!("--bounding-set={held}"),
        ];
        let privileges: Vec<&str> = user
            .iter()
            .chain(&capabilities)
            .map(String::as_str)
            .collect();
        self.command_with(&privileges, program.as_ref())
    }

    #[track_caller]
    fn command_with(&self, privileges: &[&str], program: &Path) -> Command {
        let mut command = Command::new(tool::path("nsenter"));
        command.arg(format!("--net=/proc/{}/ns/net", self.pid()));
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.pid()));
        command
            .arg(tool::path("setpriv"))
            .args(["--pdeathsig", "KILL"])
            .args(privileges);
        command.arg(tool::path(&program.to_string_lossy()));
        command.stdin(Stdio::null());
        command
    }

    /// Runs `ip` with these words, split at spaces. It sees this namespace's network, not its files.
    ///
    /// # Panics
    ///
    /// When it fails, with what it said.
    #[track_caller]
    pub fn ip(&self, words: &str) -> Output {
        self.tool(Command::new(tool::path("ip")).args(words.split_whitespace()))
    }

    /// Runs `ip` once for all these lines, each what [`Namespace::ip`] takes but for options: to start a
    /// program takes an emulated machine longer than what most of them do.
    ///
    /// # Panics
    ///
    /// When one fails, with what it said; those behind it aren't run.
    #[track_caller]
    pub fn ip_lines<L: AsRef<str>>(&self, lines: impl IntoIterator<Item = L>) {
        let (reader, mut writer) = match std::io::pipe() {
            Ok(pipe) => pipe,
            Err(error) => panic!("no pipe for ip's lines: {error}"),
        };
        let lines: String = (lines.into_iter())
            .flat_map(|line| [line.as_ref().to_owned(), "\n".to_owned()])
            .collect();
        let mut ip = Command::new(tool::path("ip"));
        ip.args(["-batch", "-"]).stdin(reader);
        std::thread::scope(|scope| {
            // If ip ends before it has read all, that is told below.
            scope.spawn(move || drop(writer.write_all(lines.as_bytes())));
            self.tool(&mut ip);
        });
    }

    /// Waits until the links that are up take packets. One whose other end has come up just now has its
    /// carrier at once, and drops what is sent until the kernel's link watch, a work of its own, has
    /// taken the queueing discipline away that it had before (`noop`).
    #[track_caller]
    pub fn wait_for_links(&self) {
        wait_until("the links taking packets", || {
            let links = self.ip("-oneline link show up").stdout;
            !String::from_utf8_lossy(&links).contains(" qdisc noop ")
        });
    }

    /// Runs a program to its end that needs no more of this namespace than its network, with which
    /// [`Namespace::command`]'s two programs before it are spared.
    #[track_caller]
    fn tool(&self, command: &mut Command) -> Output {
        match self.run(|| command.output()) {
            Ok(output) => tool::must_succeed(command, output),
            Err(error) => panic!("{command:?} can't be started: {error}"),
        }
    }

    /// Runs `tc` with these words, split at spaces but for those in single quotes, and returns what
    /// it printed.
    ///
    /// # Panics
    ///
    /// When it fails, with what it said.
    #[track_caller]
    pub fn tc(&self, words: &str) -> String {
        let words = words.split('\'').enumerate().flat_map(|(at, part)| {
            let quoted = at % 2 == 1;
            let separator = move |c: char| c == ' ' && !quoted;
            part.split(separator).filter(|word| !word.is_empty())
        });
        let output = self.tool(Command::new(tool::path("tc")).args(words));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Sets a kernel parameter of this namespace, named with dots.
    ///
    /// # Panics
    ///
    /// When it doesn't exist or refuses the value.
    #[track_caller]
    pub fn sysctl(&self, name: &str, value: &str) {
        // /proc/sys/net shows the network namespace of the thread that looks.
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        if let Err(error) = self.run(|| fs::write(&path, value)) {
            panic!("{name} can't be set to {value}: {error}");
        }
    }

    /// Loads nftables rules.
    ///
    /// # Panics
    ///
    /// When nft refuses them, with what it said.
    #[track_caller]
    pub fn nft(&self, rules: &str) {
        self.tool(Command::new(tool::path("nft")).arg(rules));
    }

    /// Runs `work` in a thread that has entered this network namespace and returns what it
    /// returns. Sockets made in there stay there, wherever they are used later.
    ///
    /// # Panics
    ///
    /// When the namespace can't be entered, and when `work` panics.
    #[track_caller]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let entered = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let namespace = match File::open(self.path()) {
                    Ok(namespace) => namespace,
                    Err(error) => panic!("the namespace's holder is gone: {error}"),
                };
                if let Err(error) = setns(namespace, CloneFlags::CLONE_NEWNET) {
                    panic!("the namespace can't be entered (run as root): {error}");
                }
                work()
            });
            thread.join()
        });
        match entered {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A UDP socket of this namespace, bound to `address`.
    ///
    /// # Panics
    ///
    /// When it can't be bound.
    #[must_use]
    #[track_caller]
    pub fn udp(&self, address: &str) -> UdpSocket {
        match self.run(|| UdpSocket::bind(address)) {
            Ok(socket) => socket,
            Err(error) => panic!("UDP {address} can't be bound: {error}"),
        }
    }
}

impl Default for Namespace {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Nothing is left to be done about a failure here: the holder has lost its pipe.
        drop(self.holder.wait());
    }
}
