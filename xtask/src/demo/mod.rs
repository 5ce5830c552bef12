//! `cargo xtask demo`: nodecap on a small network of its own.
//!
//! - [`network`]: the network, in namespaces that vanish with us
//! - [`hosts`]: the server and the client on it
//! - [`capture`]: nodecap while it runs
//!
//! Nothing here catches signals. Whatever ends us closes the namespaces' pipes and ends our
//! children, see [`network::Namespace`]; so Ctrl-C, and a kill, clean up as the end does.

mod capture;
mod hosts;
mod network;

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::capture::{Capture, Running};
use self::network::{Namespace, Network, OUTSIDE, POD_LINK, UPLINK};
use crate::packages::Need;
use crate::{build, command, setup, workspace};

/// What `demo` can be asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Shows this binary instead of building one
    #[arg(long, value_name = "FILE")]
    nodecap: Option<PathBuf>,
}

/// The demo's own programs, run by the demo inside its network.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Part {
    /// The server outside
    #[command(hide = true)]
    DemoServe { address: SocketAddr },
    /// The client in the pod
    #[command(hide = true)]
    DemoFetch { address: SocketAddr },
}

impl Part {
    pub(crate) fn play(&self) -> Result<()> {
        match *self {
            Self::DemoServe { address } => hosts::serve(address),
            Self::DemoFetch { address } => hosts::fetch(address),
        }
    }
}

/// Builds nodecap and shows it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let nodecap = match &options.nodecap {
        Some(file) => file
            .canonicalize()
            .with_context(|| format!("no file {}", file.display()))?,
        None => {
            build::kernel_object(&setup::ensure(Need::Demo)?)?;
            build::binary()?
        }
    };
    if !command::is_root() {
        println!("Network namespaces take root: going on with sudo.");
        let mut again = command::as_root(env::current_exe()?)?;
        again.args(["demo", "--nodecap"]).arg(&nodecap);
        return Err(again.exec()).context("can't go on as root");
    }
    show(&nodecap)
}

fn show(nodecap: &Path) -> Result<()> {
    headline("A network of its own: a pod behind a bridge, a node that masquerades, a host");
    let network = Network::new()?;
    println!(
        "pod 198.51.100.2 ── {POD_LINK} ─ br0 ─ node ─ {UPLINK} 192.0.2.1 ── {OUTSIDE} outside"
    );
    let server = serve(&network)?;

    headline("Two captures in the node: one to read along, one into a file");
    let file = place_for_the_file()?;
    let named = workspace::short(&file);
    let both = ["-i", POD_LINK, "-i", UPLINK];
    let live = start(&network.node, nodecap, &|capture| {
        capture.args(["-n"]).args(both)
    })?;
    let kept = start(&network.node, nodecap, &|capture| {
        capture.args(both).args(["-w", &named])
    })?;

    headline("The pod fetches a page from outside");
    in_pod(&network, &["demo-fetch", &format!("{OUTSIDE}:80")])?;
    headline("The pod connects to a port where nobody listens");
    in_pod(&network, &["demo-fetch", &format!("{OUTSIDE}:81")])?;
    headline("The pod pings");
    let ping = command::find("ping").context("ping is missing: run `cargo xtask setup`")?;
    let mut ping = network.pod.command(&ping)?;
    run_and_pause(ping.args(["-n", "-q", "-c", "2", "-i", "0.2", OUTSIDE]))?;

    headline("Both captures end, as with Ctrl-C");
    for line in live.stop()? {
        println!("{line}");
    }
    let last_words = kept.stop()?;
    drop(server);
    drop(network);

    headline("The file reads back");
    if let Some(user) = env::var("SUDO_UID").ok().and_then(|id| id.parse().ok()) {
        chown(&file, Some(user), None).context("can't hand the file to its user")?;
    }
    read_back(&file, capture::captured(&last_words))
}

fn headline(what: &str) {
    println!("\n── {what}");
}

fn place_for_the_file() -> Result<PathBuf> {
    let folder = workspace::target("demo");
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let file = folder.join("demo.pcapng");
    // Left by the last demo, perhaps by another user.
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("can't remove {}", file.display()))?;
    }
    Ok(file)
}

type Arguments<'a> = &'a dyn Fn(&mut Command) -> &mut Command;

fn start(node: &Namespace, nodecap: &Path, arguments: Arguments<'_>) -> Result<Capture> {
    let mut typed = Command::new("nodecap");
    println!("$ {}", command::shown(arguments(typed.arg("capture"))));
    Capture::start(arguments(node.command(nodecap)?.arg("capture")))
}

/// The server, once it takes connections.
fn serve(network: &Network) -> Result<Running> {
    let mut command = network.outside.command(&env::current_exe()?)?;
    command
        .args(["demo-serve", &format!("{OUTSIDE}:80")])
        .stdout(Stdio::piped());
    let mut server = Running(command.spawn().context("can't start the server")?);
    let mut line = String::new();
    if let Some(output) = server.0.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    ensure!(line == "ready\n", "the server outside can't start");
    Ok(server)
}

fn in_pod(network: &Network, part: &[&str]) -> Result<()> {
    run_and_pause(network.pod.command(&env::current_exe()?)?.args(part))
}

fn run_and_pause(command: &mut Command) -> Result<()> {
    /// So that the packets' lines appear below what caused them: a capture holds packets back
    /// for some tens of milliseconds to put them in order. Nothing depends on it.
    const PAUSE: Duration = Duration::from_millis(400);
    let status = command
        .status()
        .with_context(|| format!("can't run {}", command::shown(command)))?;
    ensure!(
        status.success(),
        "`{}` failed ({status})",
        command::shown(command)
    );
    std::thread::sleep(PAUSE);
    Ok(())
}

/// Shows the file through somebody else's eyes, who must see as many packets as were captured.
fn read_back(file: &Path, captured: Option<u64>) -> Result<()> {
    const SHOWN: usize = 6;
    let Some(tcpdump) = command::find("tcpdump") else {
        println!("no tcpdump here to read {} with", workspace::short(file));
        return Ok(());
    };
    println!("$ tcpdump -n -r {}", workspace::short(file));
    let lines = command::output(Command::new(tcpdump).args(["-n", "-r"]).arg(file))?;
    for line in lines.lines().take(SHOWN) {
        println!("{line}");
    }
    let read = lines
        .lines()
        .filter(|line| !line.starts_with(char::is_whitespace))
        .count();
    match captured {
        Some(captured) if usize::try_from(captured) == Ok(read) => {
            println!("… {read} packets in all, as many as nodecap counted");
        }
        Some(captured) => bail!("nodecap wrote {captured} packets, tcpdump reads {read}"),
        None => bail!("nodecap didn't say how many packets it captured"),
    }
    println!("\nOpen it in Wireshark: {}", workspace::short(file));
    Ok(())
}
