//! The demo's network: a pod behind a bridge, a node that masquerades, a host outside.
//!
//! ```text
//! pod               node                                outside
//! eth0 ───────────── veth-pod ─ br0 ─ routes ─ eth0 ─── eth0
//! 198.51.100.2                  198.51.100.1   192.0.2.1  192.0.2.9
//! ```
//!
//! Each of the three is a network namespace without a name, kept by a process that reads a pipe of
//! ours. When we end, by whatever signal, the pipe closes, the process ends, and the kernel takes
//! the namespace and its interfaces away. The addresses are RFC 5737's, meant for documentation.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// The host outside.
pub(super) const OUTSIDE: &str = "192.0.2.9";
/// The pod's interface on the node, and the node's own to the outside.
pub(super) const POD_LINK: &str = "veth-pod";
pub(super) const UPLINK: &str = "eth0";

/// A network namespace that lives as long as this value.
#[derive(Debug)]
pub(super) struct Namespace {
    holder: Child,
}

impl Namespace {
    fn new(name: &str) -> Result<Self> {
        // IPv6 off, so that no router solicitation wanders through the picture.
        const HOLD: &str = "f=/proc/sys/net/ipv6/conf/default/disable_ipv6; \
            [ ! -e $f ] || echo 1 > $f; ip link set lo up && echo ready && exec cat";
        let mut command = Command::new(program("unshare")?);
        command.args(["--net", "sh", "-c", HOLD]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut holder = command.spawn().context("can't start unshare")?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut namespace = Self { holder };
        if line != "ready\n" {
            let mut why = String::new();
            if let Some(mut errors) = namespace.holder.stderr.take() {
                errors.read_to_string(&mut why)?;
            }
            bail!("can't make a network namespace for {name}: {}", why.trim());
        }
        Ok(namespace)
    }

    /// A program to be run in here. It is told to end (SIGTERM) should we die first.
    pub(super) fn command(&self, file: &Path) -> Result<Command> {
        let mut command = Command::new(program("nsenter")?);
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        // nsenter and setpriv become what they start: the process id stays the child's own.
        command
            .arg(program("setpriv")?)
            .args(["--pdeathsig", "TERM"])
            .arg(file);
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a shell script in here, up to the first command that fails.
    fn script(&self, script: &str) -> Result<()> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = self.command(&program("sh")?)?;
        shell
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .args(["-ec", script]);
        command::output(&mut shell).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // Its pipe is closed: it ends, and a failure to see that leaves nothing to do.
        drop(self.holder.wait());
    }
}

fn program(name: &str) -> Result<PathBuf> {
    command::find(name).with_context(|| format!("{name} is missing: run `cargo xtask setup`"))
}

/// The three hosts.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) pod: Namespace,
    pub(super) node: Namespace,
    pub(super) outside: Namespace,
}

impl Network {
    /// Makes the hosts and wires them together.
    pub(super) fn new() -> Result<Self> {
        let [pod, node, outside] = [
            Namespace::new("the pod")?,
            Namespace::new("the node")?,
            Namespace::new("outside")?,
        ];
        let network = Self { pod, node, outside };
        let (pod_id, outside_id) = (network.pod.holder.id(), network.outside.holder.id());
        network.node.script(&format!(
            "ip link add {POD_LINK} type veth peer name eth0 netns {pod_id}
             ip link add {UPLINK} type veth peer name eth0 netns {outside_id}
             ip link add br0 type bridge
             ip link set {POD_LINK} master br0 up
             ip address add 198.51.100.1/24 dev br0
             ip link set br0 up
             ip address add 192.0.2.1/24 dev {UPLINK}
             ip link set {UPLINK} up
             ip route add default via {OUTSIDE}
             echo 1 > /proc/sys/net/ipv4/ip_forward
             nft add table ip demo
             nft 'add chain ip demo out {{ type nat hook postrouting priority srcnat; }}'
             nft add rule ip demo out oifname {UPLINK} masquerade"
        ))?;
        network.pod.script(
            "ip address add 198.51.100.2/24 dev eth0
             ip link set eth0 up
             ip route add default via 198.51.100.1",
        )?;
        network.outside.script(&format!(
            "ip address add {OUTSIDE}/24 dev eth0
             ip link set eth0 up"
        ))?;
        Ok(network)
    }
}
