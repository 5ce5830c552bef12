//! The kernels that can be booted: Debian's for cloud machines, which are built for virtio and
//! little else. Unpacked once into the user's cache.

use std::cmp::Ordering;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};

use super::apt::Apt;
use crate::command::{self, say};
use crate::workspace;

/// The kernels that a node may run: the oldest that is supported, two that releases ship, and
/// the newest there is.
pub(super) const MATRIX: [&str; 4] = ["5.10", "6.1", "6.12", "newest"];

/// Which kernel is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Series {
    /// The newest of all.
    Newest,
    /// The newest whose version starts with these numbers.
    Numbered(String),
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_version = || {
            text.split('.').count() >= 2
                && text
                    .split('.')
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        };
        match text {
            "newest" => Ok(Self::Newest),
            _ if is_version() => Ok(Self::Numbered(text.to_owned())),
            _ => Err(format!(
                "`{text}` is no kernel: give a version such as 6.1, or `newest`"
            )),
        }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::Numbered(version) => f.write_str(version),
        }
    }
}

impl Series {
    /// Whether a package's version is one of this series.
    fn takes(&self, version: &str) -> bool {
        match self {
            Self::Newest => true,
            Self::Numbered(numbers) => version
                .strip_prefix(numbers.as_str())
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit())),
        }
    }
}

/// A kernel in the cache.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    /// What was asked for.
    pub(super) series: Series,
    /// As `uname -r` says it.
    pub(super) release: String,
    /// The Debian package's version.
    pub(super) version: String,
    folder: PathBuf,
}

impl Kernel {
    /// The image that a virtual machine boots.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The folder of its modules, with their index.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }

    /// Its version, without Debian's part of it: `6.1.192`.
    pub(super) fn numbers(&self) -> String {
        // The package's version tells the stable release everywhere; a kernel's name only lately.
        let end = self.version.find(['-', '~', '+']);
        self.version[..end.unwrap_or(self.version.len())].to_owned()
    }

    fn open(series: &Series, folder: &Path) -> Option<Self> {
        let version = fs::read_to_string(folder.join("version")).ok()?;
        let release = fs::read_dir(folder.join("lib/modules"))
            .ok()?
            .find_map(|entry| entry.ok()?.file_name().into_string().ok())?;
        let kernel = Self {
            series: series.clone(),
            release,
            version: version.trim().to_owned(),
            folder: folder.to_owned(),
        };
        (kernel.image().is_file() && kernel.modules().join("modules.dep").is_file())
            .then_some(kernel)
    }
}

/// The package that always depends on the newest kernel of a release.
fn meta_package() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("linux-image-cloud-amd64"),
        other => bail!("virtual machines are made for x86_64 only so far, and this is {other}"),
    }
}

/// These kernels, from the cache or else from Debian's mirror; `refresh` asks the mirror for
/// newer ones first.
///
/// # Errors
///
/// When one of them can't be had: a kernel that wasn't run must not look like one that passed.
pub(super) fn get(wanted: &[Series], refresh: bool) -> Result<Vec<Kernel>> {
    let cache = workspace::cache()?.join("kernels");
    fs::create_dir_all(&cache).with_context(|| format!("can't make {}", cache.display()))?;
    let mut apt = None;
    wanted
        .iter()
        .map(|series| {
            let folder = cache.join(series.to_string());
            if !refresh && let Some(kernel) = Kernel::open(series, &folder) {
                return Ok(kernel);
            }
            // Another run may be fetching the same one, and have done so once it is our turn.
            let turn = File::create(cache.join("lock"))?;
            turn.lock().context("can't wait for another run")?;
            if !refresh && let Some(kernel) = Kernel::open(series, &folder) {
                return Ok(kernel);
            }
            if apt.is_none() {
                let new = Apt::new(&cache.join("apt"))?;
                new.refresh();
                apt = Some(new);
            }
            let apt = apt.as_ref().context("apt was made above")?;
            fetch(apt, series, &folder).with_context(|| format!("no kernel {series} to be had"))
        })
        .collect()
}

fn fetch(apt: &Apt, series: &Series, folder: &Path) -> Result<Kernel> {
    let meta = meta_package()?;
    let offered = apt.versions(meta)?;
    let version = offered
        .iter()
        .filter(|version| series.takes(version))
        .max_by(|a, b| compare(a, b))
        .with_context(|| {
            format!(
                "Debian's mirror offers {meta} only as {}",
                if offered.is_empty() {
                    "nothing: see above why".to_owned()
                } else {
                    offered.join(", ")
                }
            )
        })?;
    if let Some(kernel) = Kernel::open(series, folder)
        && kernel.version == *version
    {
        return Ok(kernel);
    }
    // Not `with_extension`, for which `.12` would be the extension of 6.12.
    let unpacked = PathBuf::from(format!("{}.unpacking", folder.display()));
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    let raw = unpacked.join("raw");
    for package in packages(apt, meta, version)? {
        apt.unpack(&package, version, &raw)?;
    }
    arrange(&raw, &unpacked)?;
    fs::write(unpacked.join("version"), version)?;
    fs::remove_dir_all(&raw)?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(&unpacked, folder)?;
    let kernel = Kernel::open(series, folder)
        .context("the packages hold no kernel where Debian's have it")?;
    say(format!("kernel {series}: {}", kernel.release));
    Ok(kernel)
}

/// The packages with image and modules: one until Linux 7, then apart.
fn packages(apt: &Apt, meta: &str, version: &str) -> Result<Vec<String>> {
    let exactly = format!("(= {version})");
    let same_version = |package: &str| -> Result<Vec<String>> {
        Ok(apt
            .depends(package, version)?
            .iter()
            .filter_map(|one| one.strip_suffix(&exactly))
            .map(|name| name.trim().to_owned())
            .collect())
    };
    let is_part = |name: &str| {
        ["linux-image-", "linux-binary-", "linux-modules-"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    let image = same_version(meta)?
        .into_iter()
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("{meta} {version} depends on no kernel"))?;
    let mut parts = same_version(&image)?;
    parts.retain(|name| is_part(name));
    parts.insert(0, image);
    Ok(parts)
}

/// Puts image and modules where they lie the same for every release, the modules decompressed
/// and with their index: an emulated machine takes long over both.
fn arrange(raw: &Path, into: &Path) -> Result<()> {
    let modules = ["lib/modules", "usr/lib/modules"]
        .map(|place| raw.join(place))
        .into_iter()
        .find(|place| place.is_dir())
        .context("no modules in the package")?;
    fs::create_dir_all(into.join("lib"))?;
    fs::rename(&modules, into.join("lib/modules"))?;
    let modules = fs::read_dir(into.join("lib/modules"))?
        .find_map(|entry| Some(entry.ok()?.path()))
        .context("no modules in the package")?;
    let release = modules
        .file_name()
        .and_then(|name| name.to_str())
        .context("the modules' folder isn't named as a kernel is")?
        .to_owned();
    let image = [
        raw.join("boot").join(format!("vmlinuz-{release}")),
        modules.join("vmlinuz"),
    ]
    .into_iter()
    .find(|place| place.is_file())
    .context("no image in the package")?;
    fs::rename(image, into.join("vmlinuz"))?;

    let mut compressed = Vec::new();
    super::files_below(&modules, &mut compressed)?;
    compressed.retain(|file| file.extension().is_some_and(|end| end == "xz"));
    for some in compressed.chunks(100) {
        command::output(Command::new("xz").arg("--decompress").args(some))?;
    }
    let depmod = command::find("depmod").context("there is no depmod: install kmod")?;
    command::output(
        Command::new(depmod)
            .arg("--basedir")
            .arg(into)
            .arg(&release),
    )?;
    ensure!(
        modules.join("modules.dep").is_file(),
        "depmod made no index of {release}"
    );
    Ok(())
}

/// Orders Debian versions of kernels: by the numbers in them, each as a number.
fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |version: &str| -> Vec<u64> {
        version
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    numbers(a).cmp(&numbers(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_a_version_or_the_newest() {
        assert_eq!("newest".parse(), Ok(Series::Newest));
        assert_eq!("6.1".parse(), Ok(Series::Numbered("6.1".to_owned())));
        for wrong in ["", "6", "6.", "sid", "6.x"] {
            assert!(wrong.parse::<Series>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_series_takes_its_own_versions_and_no_longer_number() {
        let series = Series::Numbered("6.1".to_owned());
        assert!(series.takes("6.1.192-2"));
        assert!(!series.takes("6.12.107-1"));
        assert!(!series.takes("6.10.1-1"));
        assert!(Series::Newest.takes("7.3.4-1~bpo13+1"));
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        assert_eq!(compare("6.12.95-1~bpo12+1", "6.12.107-1"), Ordering::Less);
        assert_eq!(compare("7.3.4-1~bpo13+1", "7.2.13-1"), Ordering::Greater);
        assert_eq!(compare("5.10.262-1", "5.10.223-1"), Ordering::Greater);
    }
}
