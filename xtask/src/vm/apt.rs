//! Debian's packages of other releases: asked for, fetched and unpacked, never installed.
//!
//! apt works here with a sources list and a state folder of its own, so that what the machine is
//! configured to install from stays as it is. It checks signatures and sums as it always does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, say};

/// Which of Debian's two archives a suite lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Archive {
    Main,
    Security,
}

/// The suites that hold kernels. One that the mirror doesn't serve any more is left out with a
/// word; what that costs shows when a kernel is asked for.
const SUITES: [(Archive, &str); 10] = [
    (Archive::Main, "bullseye"),
    (Archive::Security, "bullseye-security"),
    (Archive::Main, "bookworm"),
    (Archive::Security, "bookworm-security"),
    (Archive::Main, "bookworm-backports"),
    (Archive::Main, "trixie"),
    (Archive::Security, "trixie-security"),
    (Archive::Main, "trixie-backports"),
    (Archive::Main, "forky"),
    (Archive::Main, "sid"),
];

/// Where Debian's package of its archives' keys puts them.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// apt with a folder of its own.
#[derive(Debug)]
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// apt that keeps its sources list, its state and nothing else in `folder`.
    ///
    /// # Errors
    ///
    /// When this machine has no apt, or installs from no Debian mirror.
    pub(super) fn new(folder: &Path) -> Result<Self> {
        if command::find("apt-get").is_none() || command::find("dpkg-deb").is_none() {
            bail!("kernels come from Debian's packages, and this machine has no apt and dpkg");
        }
        let apt = Self {
            folder: folder.to_owned(),
        };
        for below in ["lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(folder.join(below))
                .with_context(|| format!("can't make {}", folder.join(below).display()))?;
        }
        let configured = command::output(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(CODENAME) $(RELEASE)",
            "Created-By: Packages",
        ]))?;
        fs::write(apt.sources(), sources(&configured)?)?;
        Ok(apt)
    }

    fn sources(&self) -> PathBuf {
        self.folder.join("sources.list")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = self.folder.display();
        for setting in [
            format!("Dir::Etc::SourceList={}", self.sources().display()),
            "Dir::Etc::SourceParts=-".to_owned(),
            // What the machine prefers is about what it has installed.
            "Dir::Etc::Preferences=-".to_owned(),
            "Dir::Etc::PreferencesParts=-".to_owned(),
            format!("Dir::State::Lists={folder}/lists"),
            format!("Dir::Cache={folder}/cache"),
            // The folder is the user's: apt's own user may not write there.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::Retries=3".to_owned(),
            // Hooks of the machine's own updates.
            "APT::Update::Post-Invoke-Success=".to_owned(),
        ] {
            command.args(["-o", &setting]);
        }
        command
    }

    /// Asks the mirror for its lists.
    pub(super) fn refresh(&self) {
        say("asking Debian's mirror for the kernels of its releases");
        let mut update = self.command("apt-get");
        update.args(["--quiet", "--quiet", "update"]);
        if let Err(error) = command::output(&mut update) {
            // A suite that has moved to the archive need not be one that was asked for.
            say(format!("{error:#}; going on with the lists that came"));
        }
    }

    /// Every version of a package that is offered, in no order.
    pub(super) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let offered = command::output(self.command("apt-cache").args(["madison", package]))?;
        Ok(madison(&offered))
    }

    /// What a package of this version depends on, alternatives left out: `NAME` or
    /// `NAME (RELATION VERSION)`.
    pub(super) fn depends(&self, package: &str, version: &str) -> Result<Vec<String>> {
        let record = command::output(
            self.command("apt-cache")
                .arg("show")
                .arg(format!("{package}={version}")),
        )?;
        Ok(depends(&record))
    }

    /// Fetches a package and unpacks it below `into`.
    pub(super) fn unpack(&self, package: &str, version: &str, into: &Path) -> Result<()> {
        let packages = self.folder.join("packages");
        if packages.exists() {
            fs::remove_dir_all(&packages)?;
        }
        fs::create_dir_all(&packages)?;
        let mut download = self.command("apt-get");
        download
            .current_dir(&packages)
            .args(["--quiet", "--quiet", "download"])
            .arg(format!("{package}={version}"));
        say(format!("fetching {package} {version}"));
        command::output(&mut download)?;
        let file = fs::read_dir(&packages)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|end| end == "deb"))
            .with_context(|| format!("apt fetched {package}, and there is no file of it"))?;
        fs::create_dir_all(into)?;
        command::output(Command::new("dpkg-deb").arg("-x").arg(&file).arg(into))?;
        fs::remove_dir_all(&packages)?;
        Ok(())
    }
}

/// A sources list of [`SUITES`] at the mirrors that the machine itself uses.
///
/// `configured` has a line a source: the address, the code name, the release.
fn sources(configured: &str) -> Result<String> {
    let mirror = |archive: Archive| {
        configured.lines().find_map(|line| {
            let (uri, release) = line.split_once(' ')?;
            let path = uri.trim_end_matches('/');
            let is_security = path.ends_with("-security") || release.contains("-security");
            let is_debian = path.ends_with("/debian") || path.ends_with("/debian-security");
            (is_debian && is_security == (archive == Archive::Security)).then_some(uri)
        })
    };
    if mirror(Archive::Main).is_none() {
        bail!(
            "kernels come from Debian's packages, and apt on this machine is configured for no \
             Debian mirror: run this on Debian, or add a `deb … /debian bookworm main` source"
        );
    }
    let signed = if Path::new(KEYS).exists() {
        format!("[signed-by={KEYS}] ")
    } else {
        String::new()
    };
    Ok(SUITES
        .into_iter()
        .filter_map(|(archive, suite)| {
            Some(format!("deb {signed}{} {suite} main\n", mirror(archive)?))
        })
        .collect())
}

/// `PACKAGE | VERSION | SOURCE` a line.
fn madison(offered: &str) -> Vec<String> {
    let mut versions: Vec<String> = offered
        .lines()
        .filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned()))
        .collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn depends(record: &str) -> Vec<String> {
    record
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))
        .into_iter()
        .flat_map(|list| list.split(", "))
        .filter(|one| !one.contains('|'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_mirrors_serve_the_other_releases() {
        let list = sources(
            "http://mirror.test/debian/ bookworm bookworm\n\
             http://mirror.test/debian-security/ bookworm-security bookworm-security\n",
        )
        .expect("a mirror");
        assert!(list.contains("http://mirror.test/debian/ bullseye main\n"));
        assert!(list.contains("http://mirror.test/debian-security/ bullseye-security main\n"));
        assert_eq!(list.lines().count(), SUITES.len());
    }

    #[test]
    fn without_a_security_mirror_its_suites_are_left_out() {
        let list = sources("http://mirror.test/debian bookworm bookworm\n").expect("a mirror");
        assert!(!list.contains("security"));
        assert!(list.contains(" sid main\n"));
    }

    #[test]
    fn a_machine_without_a_debian_mirror_is_told_so() {
        let error = sources("http://mirror.test/ubuntu noble noble\n").expect_err("no Debian");
        assert!(error.to_string().contains("no Debian mirror"), "{error}");
    }

    #[test]
    fn offered_versions_are_read() {
        let offered = "linux | 6.1.2-1 | http://m sid/main\n linux | 5.10.3-1 | http://m b/main\n";
        assert_eq!(madison(offered), ["5.10.3-1", "6.1.2-1"]);
    }

    #[test]
    fn dependencies_are_read_without_the_alternatives() {
        let record = "Package: x\nDepends: kmod, dracut | initramfs-tools, linux-b (= 7.3-1)\n";
        assert_eq!(depends(record), ["kmod", "linux-b (= 7.3-1)"]);
    }
}
