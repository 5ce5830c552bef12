//! bpf-linker: turns the compiler's LLVM bitcode into an eBPF object with BTF.
//!
//! It is built against one LLVM version, which must be the compiler's. Building it takes a minute
//! or two, so it is kept in the user's cache; one that `cargo install` put on the path serves as
//! well, if it is the same version and loads the same LLVM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::{self, say};
use crate::{elf, workspace};

/// The version that the kernel side is known to build with.
pub(crate) const VERSION: &str = "0.13.0";

/// A linker for this LLVM version, if there is one.
pub(crate) fn find(llvm: u32) -> Option<PathBuf> {
    let kept = folder(llvm).ok()?.join("bin/bpf-linker");
    if kept.is_file() && runs_as_expected(&kept) {
        return Some(kept);
    }
    command::find("bpf-linker")
        .filter(|linker| loads_llvm(linker, llvm) && runs_as_expected(linker))
}

fn folder(llvm: u32) -> Result<PathBuf> {
    Ok(workspace::cache()?.join(format!("bpf-linker-{VERSION}-llvm{llvm}")))
}

fn runs_as_expected(linker: &Path) -> bool {
    command::output(Command::new(linker).arg("--version"))
        .is_ok_and(|said| said.trim() == format!("bpf-linker {VERSION}"))
}

/// `--version` doesn't tell the LLVM version, but what it loads does. One with LLVM built in
/// can't be told and isn't used.
fn loads_llvm(linker: &Path, llvm: u32) -> bool {
    let Ok(file) = fs::read(linker) else {
        return false;
    };
    elf::needed_libraries(&file)
        .iter()
        .any(|library| is_llvm(library, llvm))
}

/// Debian names it `libLLVM.so.22.1`; before LLVM 18 it was `libLLVM-17.so.1`.
fn is_llvm(library: &str, llvm: u32) -> bool {
    let Some(version) = library.strip_prefix("libLLVM.so.") else {
        return false;
    };
    version.split('.').next() == Some(&llvm.to_string())
}

/// Where LLVM of this version is installed with what linking against it takes.
pub(crate) fn llvm_prefix(llvm: u32) -> Option<PathBuf> {
    let debian = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    let by_config = || {
        [format!("llvm-config-{llvm}"), "llvm-config".to_owned()]
            .iter()
            .find_map(|config| {
                let config = command::find(config)?;
                let version = command::output(Command::new(&config).arg("--version")).ok()?;
                if version.split('.').next()? != llvm.to_string() {
                    return None;
                }
                let prefix = command::output(Command::new(&config).arg("--prefix")).ok()?;
                Some(PathBuf::from(prefix.trim()))
            })
    };
    Some(debian)
        .filter(|prefix| has_library(prefix))
        .or_else(|| by_config().filter(|p| has_library(p)))
}

fn has_library(prefix: &Path) -> bool {
    ["lib64", "lib"]
        .iter()
        .any(|lib| prefix.join(lib).join("libLLVM.so").exists())
}

/// Builds the linker for this LLVM version into the user's cache.
pub(crate) fn install(llvm: u32) -> Result<PathBuf> {
    let prefix = llvm_prefix(llvm).with_context(|| format!("LLVM {llvm} is not installed"))?;
    let folder = folder(llvm)?;
    say(format!(
        "building bpf-linker {VERSION} for LLVM {llvm}: a minute or two, once"
    ));
    let mut install = command::cargo("install");
    install
        .args([
            "bpf-linker",
            "--version",
            VERSION,
            "--locked",
            "--no-default-features",
        ])
        .arg("--features")
        .arg(format!("llvm-{llvm}"))
        .arg("--root")
        .arg(&folder)
        .env("LLVM_PREFIX", prefix);
    // Not in the workspace: its .cargo/config.toml and lock file are no business of this build.
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    command::run(install.current_dir(&folder))?;
    let linker = folder.join("bin/bpf-linker");
    ensure!(
        runs_as_expected(&linker),
        "{} doesn't run: remove it, try again",
        linker.display()
    );
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linker_is_known_by_the_llvm_it_loads() {
        assert!(is_llvm("libLLVM.so.22.1", 22));
        assert!(!is_llvm("libLLVM.so.22.1", 2));
        assert!(!is_llvm("libLLVM.so.21.1", 22));
        assert!(!is_llvm("libLLVM-17.so.1", 17));
        assert!(!is_llvm("libc.so.6", 6));
    }
}
