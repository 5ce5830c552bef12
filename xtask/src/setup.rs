//! `cargo xtask setup`: an eBPF compiler, libpcap, and the tools that tests use.
//!
//! What is missing is installed where that is possible, and otherwise the error holds the
//! commands that install it. The other commands call [`ensure`] for what they need; with nothing
//! missing it takes a fraction of a second and asks nothing of the network.

use std::process::Command;

use anyhow::{Result, bail};

use crate::command::{self, say};
use crate::compiler::{self, Compiler, Found, Next, Origin};
use crate::libpcap;
use crate::linker;
use crate::packages::{self, Need, Tool};

/// The command itself: everything, and a word on each thing.
pub(crate) fn run() -> Result<()> {
    let compiler = ensure(Need::Test)?;
    say(format!("eBPF compiler: {}", compiler.describe()));
    say("test tools: all here");
    Ok(())
}

/// Makes sure that everything is here that `need` takes.
pub(crate) fn ensure(need: Need) -> Result<Compiler> {
    let apt = Apt::new();
    ensure_tools_by(&apt, need)?;
    let compiler = ensure_compiler(&apt)?;
    libpcap::ensure()?;
    Ok(compiler)
}

/// Makes sure of the tools alone, for what compiles no eBPF.
pub(crate) fn ensure_tools(need: Need) -> Result<()> {
    ensure_tools_by(&Apt::new(), need)
}

fn ensure_tools_by(apt: &Apt, need: Need) -> Result<()> {
    let tools = packages::missing_tools(need);
    if tools.is_empty() {
        return Ok(());
    }
    install_tools(apt, &tools, need)
}

fn install_tools(apt: &Apt, tools: &[Tool], need: Need) -> Result<()> {
    let names: Vec<_> = tools.iter().map(|tool| tool.program).collect();
    say(format!("missing tools: {}", names.join(", ")));
    let names = packages::of_tools(tools);
    match apt {
        Apt::Usable { .. } => apt.install(&names)?,
        Apt::NeedsRoot => {
            bail!(
                "as root, run\n  apt-get update\n  {}",
                packages::install_line(&names)
            )
        }
        Apt::None => bail!(
            "install, by these names or your distribution's: {}",
            names.join(" ")
        ),
    }
    let still: Vec<_> = packages::missing_tools(need)
        .iter()
        .map(|tool| tool.program)
        .collect();
    if !still.is_empty() {
        bail!("installed, but still not to be found: {}", still.join(", "));
    }
    Ok(())
}

fn ensure_compiler(apt: &Apt) -> Result<Compiler> {
    let choose = || {
        let found = compiler::find();
        compiler::choose(&found, linker::find, |llvm| {
            linker::llvm_prefix(llvm).is_some()
        })
    };
    // Each round does one step, and none can be needed twice.
    for _ in 0..4 {
        match choose() {
            Next::Ready(compiler) => return Ok(compiler),
            Next::BuildLinker(Found { version, .. }) => {
                linker::install(version.llvm)?;
            }
            Next::InstallLlvm(found) => install_llvm(apt, found)?,
            Next::InstallCompiler => install_compiler(apt)?,
        }
    }
    bail!("everything installed, and still no eBPF compiler: `rustc -vV` or its sources don't fit")
}

fn install_llvm(apt: &Apt, found: Found) -> Result<()> {
    let llvm = found.version.llvm;
    let package = [format!("llvm-{llvm}-dev")];
    say(format!(
        "missing: LLVM {llvm}, which the eBPF compiler's linker is built against"
    ));
    match apt {
        Apt::Usable { .. } => apt.install(&package),
        Apt::NeedsRoot => {
            bail!(
                "as root, run\n  apt-get update\n  {}",
                packages::install_line(&package)
            )
        }
        Apt::None => bail!(
            "install LLVM {llvm} with its development files, so that `llvm-config-{llvm}` or \
             `llvm-config` is on the path"
        ),
    }
}

fn install_compiler(apt: &Apt) -> Result<()> {
    say("missing: a compiler that builds Rust's core library for eBPF");
    match apt {
        Apt::Usable { .. } => {
            apt.refresh();
            match packages::offered_rust() {
                Some(rust) => apt.install(&rust.map(str::to_owned)),
                None => install_nightly(),
            }
        }
        Apt::NeedsRoot => bail!(
            "as root, run\n  apt-get update\n  {}\nor, for a compiler of your own,\n  {NIGHTLY}",
            packages::install_line(&packages::RUST[0].map(str::to_owned)),
        ),
        Apt::None => bail!("run\n  {NIGHTLY}"),
    }
}

const NIGHTLY: &str = "rustup toolchain install nightly --profile minimal --component rust-src";

fn install_nightly() -> Result<()> {
    if command::find("rustup").is_none() {
        bail!(
            "apt offers no Rust {} or newer with its source: install rustup, then run\n  {NIGHTLY}",
            compiler::OLDEST
        );
    }
    let before = compiler::find();
    command::run(Command::new("rustup").args(NIGHTLY.split(' ').skip(1)))?;
    let nightly = |found: &[Found]| found.iter().copied().find(|f| f.origin == Origin::Nightly);
    if nightly(&before) == nightly(&compiler::find()) {
        bail!("`{NIGHTLY}` changed nothing: run it by hand and see what it says");
    }
    Ok(())
}

/// Whether packages can be installed here, and by us.
enum Apt {
    /// Yes; the lists are refreshed before the first installation.
    Usable { refreshed: std::cell::Cell<bool> },
    /// There is apt, but we aren't root.
    NeedsRoot,
    /// This is another kind of distribution.
    None,
}

impl Apt {
    fn new() -> Self {
        match (packages::is_debian_like(), command::is_root()) {
            (true, true) => Self::Usable {
                refreshed: false.into(),
            },
            (true, false) => Self::NeedsRoot,
            (false, _) => Self::None,
        }
    }

    fn refresh(&self) {
        if let Self::Usable { refreshed } = self
            && !refreshed.replace(true)
        {
            packages::refresh();
        }
    }

    fn install(&self, names: &[String]) -> Result<()> {
        self.refresh();
        packages::install(names)
    }
}
