//! Running other programs: shown before they start, with an environment that is theirs.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::workspace;

/// Says what xtask is doing. Standard output belongs to what was asked for.
pub(crate) fn say(what: impl AsRef<str>) {
    eprintln!("xtask: {}", what.as_ref());
}

/// The command as it would be typed.
pub(crate) fn shown(command: &Command) -> String {
    let mut line = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    for word in command.get_args() {
        let word = word.to_string_lossy();
        line.push(' ');
        if word.is_empty() || word.contains(|c: char| c.is_whitespace() || "\"'$;|&".contains(c)) {
            line.push_str(&format!("'{word}'"));
        } else {
            line.push_str(&word);
        }
    }
    line
}

/// Shows the command, runs it to its end, and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(format!("$ {}", shown(command)));
    let status = command
        .status()
        .with_context(|| format!("can't start {}", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs the command silently and returns its standard output; what it complained of is in the
/// error if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {}", shown(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            output.status,
            complaint.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Finds a program on the path, or where administrators' tools lie: those folders are not on
/// everybody's path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Whether we may do all that root may.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// `program` with root's rights: itself if we have them, through sudo if not.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(sudo()?);
    command.args(SUDO_OPTIONS).arg(program);
    Ok(command)
}

/// Handed on: where nodecap and its object are, and what the user set for logs and colours.
pub(crate) const SUDO_OPTIONS: [&str; 2] = ["--preserve-env", "--"];

/// sudo, or what to do without it.
pub(crate) fn sudo() -> Result<PathBuf> {
    find("sudo").context("this needs root, and there is no sudo: run the same command as root")
}

/// The cargo that runs us, for a build in this workspace by the same toolchain.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    forget_this_crate(&mut command);
    command.current_dir(workspace::root()).arg(subcommand);
    command
}

/// Takes away what `cargo run` told *us*: about this package, and about which toolchain's
/// libraries to load. Handed on it makes build scripts run again, or another compiler load the
/// wrong libraries.
fn forget_this_crate(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_about_this_crate) {
            command.env_remove(name);
        }
    }
}

fn is_about_this_crate(name: &str) -> bool {
    const NAMES: [&str; 6] = [
        "LD_LIBRARY_PATH",
        "OUT_DIR",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        // These two would move what we look for in target/.
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
    ];
    NAMES.contains(&name) || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Takes away every choice of a Rust toolchain and its flags, besides [`forget_this_crate`]: for
/// a compiler other than the one that built us.
pub(crate) fn forget_toolchain(command: &mut Command) {
    forget_this_crate(command);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(chooses_a_toolchain) {
            command.env_remove(name);
        }
    }
}

fn chooses_a_toolchain(name: &str) -> bool {
    const PREFIXES: [&str; 6] = [
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUST",
        "CARGO_BUILD_RUST",
        // `CARGO_TARGET_<TRIPLE>_LINKER` and its like are about the host's linker.
        "CARGO_TARGET_",
    ];
    name == "CARGO"
        || name == "RUSTUP_TOOLCHAIN"
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_command_can_be_typed_again() {
        let mut command = Command::new("/usr/bin/nft");
        command.args(["add rule", "", "plain"]);
        assert_eq!(shown(&command), "nft 'add rule' '' plain");
    }

    #[test]
    fn a_child_keeps_cargos_settings_but_not_this_crates_identity() {
        assert!(is_about_this_crate("CARGO_PKG_VERSION"));
        assert!(is_about_this_crate("CARGO_MANIFEST_DIR"));
        assert!(!is_about_this_crate("CARGO_HOME"));
        assert!(!is_about_this_crate("CARGO_NET_OFFLINE"));
    }

    #[test]
    fn another_compiler_is_told_of_no_toolchain() {
        for name in [
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTUP_TOOLCHAIN",
            "CARGO",
            "RUSTFLAGS",
        ] {
            assert!(chooses_a_toolchain(name), "{name}");
        }
        for name in ["RUSTUP_HOME", "CARGO_HOME", "CARGO_INCREMENTAL", "PATH"] {
            assert!(!chooses_a_toolchain(name), "{name}");
        }
    }
}
