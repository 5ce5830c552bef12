//! libpcap's compiler for filter expressions, built from the distribution's sources.
//!
//! The library that a distribution installs won't do: linked statically it asks for D-Bus, and it
//! compiles only for files or for devices that it opens itself. So it is built here, without the
//! parts that capture, into an archive that capture-user's build script links.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{self, say};
use crate::{packages, workspace};

/// Names a folder with libpcap's sources, 1.10 or newer, for where apt has none.
const SOURCE: &str = "NODECAP_LIBPCAP_SOURCE";
/// What its `configure` is given: nothing that captures, and code that fits into any binary.
const CONFIGURE: [&str; 8] = [
    "--quiet",
    "--with-pcap=null",
    "--without-libnl",
    "--disable-shared",
    "--disable-dbus",
    "--disable-usb",
    "--disable-bluetooth",
    "--disable-rdma",
];
const COMPILE: &str = "-O2 -fPIC";

/// Makes sure that the archive is there and made of what is here now.
pub(crate) fn ensure() -> Result<()> {
    let folder = workspace::target("libpcap");
    let archive = folder.join("libnodecap_pcap.a");
    let ours = workspace::root().join("capture-user/src/kernel/libpcap.c");
    let text = fs::read_to_string(&ours).with_context(|| format!("can't read {ours:?}"))?;
    let given = env::var_os(SOURCE).map(PathBuf::from);
    // What it was made of, beside the sources that were found.
    let stamp = format!("{CONFIGURE:?} {COMPILE} {given:?}\n{text}");
    let stamp_at = folder.join("made-of");
    if archive.is_file() && fs::read_to_string(&stamp_at).is_ok_and(|it| it == stamp) {
        return Ok(());
    }
    let source = match given {
        Some(folder) => folder,
        None => fetched()?,
    };
    say(format!(
        "building libpcap's compiler from {}: some seconds, once",
        source.display()
    ));
    let build = folder.join("build");
    if build.exists() {
        fs::remove_dir_all(&build)?;
    }
    fs::create_dir_all(&build).with_context(|| format!("can't make {}", build.display()))?;
    let source = fs::canonicalize(&source)
        .with_context(|| format!("there are no sources in {}", source.display()))?;
    let quiet = |command: &mut Command| command::output(command.current_dir(&build)).map(drop);
    quiet(
        Command::new(source.join("configure"))
            .args(CONFIGURE)
            .arg(format!("CFLAGS={COMPILE}")),
    )?;
    quiet(Command::new("make").args(["--silent", "libpcap.a"]))?;
    quiet(
        Command::new("cc")
            .args(COMPILE.split(' '))
            .arg("-I.")
            .arg(format!("-I{}", source.display()))
            .arg("-c")
            .arg(&ours)
            .args(["-o", "nodecap.o"]),
    )?;
    quiet(Command::new("ar").args(["r", "libpcap.a", "nodecap.o"]))?;
    fs::copy(build.join("libpcap.a"), &archive)?;
    fs::write(&stamp_at, stamp).with_context(|| format!("can't write {}", stamp_at.display()))
}

/// The distribution's sources, from the user's cache or else by apt.
fn fetched() -> Result<PathBuf> {
    let folder = workspace::cache()?.join("libpcap");
    if let Some(unpacked) = unpacked(&folder) {
        return Ok(unpacked);
    }
    if !packages::is_debian_like() {
        bail!("unpack libpcap's sources, 1.10 or newer, and set {SOURCE} to their folder");
    }
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    packages::download_source("libpcap", &folder)?;
    let archive = entries(&folder)?
        .into_iter()
        .find(|path| name(path).contains(".orig.tar."))
        .context("apt fetched no sources of libpcap")?;
    command::run(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(&archive)
            .arg("--directory")
            .arg(&folder),
    )?;
    let unpacked = unpacked(&folder);
    unpacked.with_context(|| format!("{} holds no libpcap", archive.display()))
}

fn unpacked(folder: &Path) -> Option<PathBuf> {
    entries(folder)
        .ok()?
        .into_iter()
        .find(|path| path.join("gencode.c").is_file() && path.join("configure").is_file())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        entries.push(entry?.path());
    }
    ensure!(!entries.is_empty(), "{} is empty", folder.display());
    Ok(entries)
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
