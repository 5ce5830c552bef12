//! Which Rust compiler makes the kernel object.
//!
//! The object needs `core` built for a target that no toolchain ships, which only a nightly
//! compiler does, or any compiler that takes itself for one (`RUSTC_BOOTSTRAP=1`), given the
//! standard library's source. Two kinds are known: rustup's nightly with `rust-src`, and the
//! distribution's own compiler with its source package.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;

/// The oldest compiler that takes this workspace, as Cargo.toml says.
pub(crate) const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The LLVM versions that the pinned bpf-linker can be built for (its `llvm-NN` features).
pub(crate) const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// Where a compiler comes from, which decides how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `rustup run nightly`
    Nightly,
    /// /usr/bin/rustc and /usr/bin/cargo
    Distribution,
}

/// What `rustc -vV` says of a compiler, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    /// Major and minor version.
    pub(crate) release: (u32, u32),
    /// LLVM's major version. bpf-linker must be built with the same: it reads this one's bitcode.
    pub(crate) llvm: u32,
}

/// A compiler that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) origin: Origin,
    pub(crate) version: Version,
    /// Whether the standard library's source is here too.
    pub(crate) has_source: bool,
}

/// A compiler and the linker that fits it: all that the kernel object takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) found: Found,
    pub(crate) linker: PathBuf,
}

/// What is to be done next to have a [`Compiler`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Ready(Compiler),
    /// A linker must be built for this compiler, and all that takes is here.
    BuildLinker(Found),
    /// First LLVM's development files must be installed.
    InstallLlvm(Found),
    /// No compiler here will do.
    InstallCompiler,
}

/// Chooses among the compilers that are here: what is ready before what takes work, and then the
/// one that is named first.
pub(crate) fn choose(
    found: &[Found],
    linker_for: impl Fn(u32) -> Option<PathBuf>,
    has_llvm: impl Fn(u32) -> bool,
) -> Next {
    let fit = || found.iter().copied().filter(fits);
    if let Some((found, linker)) = fit().find_map(|f| Some((f, linker_for(f.version.llvm)?))) {
        return Next::Ready(Compiler { found, linker });
    }
    if let Some(found) = fit().find(|f| has_llvm(f.version.llvm)) {
        return Next::BuildLinker(found);
    }
    // Asked in the other order: LLVM's packages are sure to exist for the distribution's own.
    match fit().next_back() {
        Some(found) => Next::InstallLlvm(found),
        None => Next::InstallCompiler,
    }
}

fn fits(found: &Found) -> bool {
    found.has_source && is_new_enough(found.version.release) && LLVM.contains(&found.version.llvm)
}

/// Whether a compiler of this version takes the workspace.
pub(crate) fn is_new_enough(release: (u32, u32)) -> bool {
    parse_release(OLDEST).is_some_and(|oldest| release >= oldest)
}

/// Looks for compilers.
pub(crate) fn find() -> Vec<Found> {
    [Origin::Nightly, Origin::Distribution]
        .into_iter()
        .filter_map(look_for)
        .collect()
}

fn look_for(origin: Origin) -> Option<Found> {
    let version = parse_version(&command::output(rustc(origin).arg("-vV")).ok()?)?;
    let sysroot = command::output(rustc(origin).args(["--print", "sysroot"])).ok()?;
    // build-std resolves the library's own dependencies by this lock file.
    let lock = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    Some(Found {
        origin,
        version,
        has_source: lock.is_file(),
    })
}

fn rustc(origin: Origin) -> Command {
    match origin {
        Origin::Nightly => in_nightly("rustc"),
        Origin::Distribution => Command::new("/usr/bin/rustc"),
    }
}

fn in_nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    command
}

impl Compiler {
    /// A cargo of this compiler's own, with nothing in its environment of the one that runs us.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = match self.found.origin {
            Origin::Nightly => in_nightly("cargo"),
            Origin::Distribution => Command::new("/usr/bin/cargo"),
        };
        command::forget_toolchain(&mut command);
        if self.found.origin == Origin::Distribution {
            command
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1");
        }
        command
            .current_dir(crate::workspace::root())
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker)
            .arg(subcommand);
        command
    }

    /// One line for a person.
    pub(crate) fn describe(&self) -> String {
        let Found {
            origin,
            version: Version { release, llvm },
            ..
        } = self.found;
        let origin = match origin {
            Origin::Nightly => "rustup's nightly",
            Origin::Distribution => "the distribution's",
        };
        let linker = self.linker.display();
        format!(
            "{origin} rustc {}.{} with LLVM {llvm}, {linker}",
            release.0, release.1
        )
    }
}

/// Reads the output of `rustc -vV`.
pub(crate) fn parse_version(verbose: &str) -> Option<Version> {
    let value = |key: &str| {
        verbose
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
            .map(str::trim)
    };
    Some(Version {
        release: parse_release(value("release")?)?,
        llvm: value("LLVM version")?.split('.').next()?.parse().ok()?,
    })
}

/// The first two numbers of a version, whatever follows: `1.96.0+dfsg1-1`, `1.97.0-nightly`.
pub(crate) fn parse_release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
        binary: rustc\ncommit-hash: ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96\n\
        commit-date: 2026-05-25\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\n\
        LLVM version: 22.1.8\n";

    fn found(origin: Origin, llvm: u32) -> Found {
        Found {
            origin,
            version: Version {
                release: (1, 96),
                llvm,
            },
            has_source: true,
        }
    }

    #[test]
    fn the_versions_are_read_from_what_rustc_says() {
        assert_eq!(
            parse_version(DEBIAN),
            Some(Version {
                release: (1, 96),
                llvm: 22
            })
        );
        let nightly = "rustc 1.97.0-nightly\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(
            parse_version(nightly),
            Some(Version {
                release: (1, 97),
                llvm: 22
            })
        );
    }

    #[test]
    fn what_rustc_does_not_say_is_not_made_up() {
        assert_eq!(parse_version(""), None);
        assert_eq!(parse_version("release: 1.96.0\n"), None);
        assert_eq!(
            parse_version("release: unknown\nLLVM version: 22.1\n"),
            None
        );
    }

    #[test]
    fn a_package_version_yields_its_release() {
        assert_eq!(parse_release("1.96.0+dfsg1-1~deb12u2"), Some((1, 96)));
        assert_eq!(parse_release("(none)"), None);
    }

    #[test]
    fn a_compiler_with_its_linker_is_ready() {
        let nightly = found(Origin::Nightly, 23);
        let debian = found(Origin::Distribution, 22);
        let linker = |llvm| (llvm == 22).then(|| PathBuf::from("/linker"));
        let ready = Compiler {
            found: debian,
            linker: "/linker".into(),
        };
        assert_eq!(
            choose(&[nightly, debian], linker, |_| true),
            Next::Ready(ready)
        );
    }

    #[test]
    fn the_first_of_two_equals_is_taken() {
        let nightly = found(Origin::Nightly, 22);
        let both = [nightly, found(Origin::Distribution, 22)];
        let Next::Ready(compiler) = choose(&both, |_| Some("/linker".into()), |_| true) else {
            panic!("one of them is ready");
        };
        assert_eq!(compiler.found, nightly);
        assert_eq!(
            choose(&both, |_| None, |_| true),
            Next::BuildLinker(nightly)
        );
    }

    #[test]
    fn a_compiler_without_the_librarys_source_is_passed_over() {
        let bare = Found {
            has_source: false,
            ..found(Origin::Nightly, 22)
        };
        assert_eq!(
            choose(&[bare], |_| Some("/linker".into()), |_| true),
            Next::InstallCompiler
        );
    }

    #[test]
    fn a_compiler_too_old_or_with_an_llvm_that_no_linker_knows_is_passed_over() {
        let mut old = found(Origin::Distribution, 22);
        old.version.release = (1, 63);
        let ahead = found(Origin::Nightly, 99);
        let next = choose(&[ahead, old], |_| Some("/linker".into()), |_| true);
        assert_eq!(next, Next::InstallCompiler);
    }

    #[test]
    fn without_llvm_the_distributions_compiler_is_completed() {
        let debian = found(Origin::Distribution, 22);
        let next = choose(&[found(Origin::Nightly, 23), debian], |_| None, |_| false);
        assert_eq!(next, Next::InstallLlvm(debian));
    }
}
