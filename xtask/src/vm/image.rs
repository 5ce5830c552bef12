//! The guest's root: one archive with the tools, nodecap and the tests, and behind it what differs
//! by kernel and by what is to be done.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cpio::Archive;
use super::kernels::Kernel;
use super::programs::{self, Program};
use super::{files_below, libraries, modules};
use crate::command;

/// What the guests' scripts and the tests call, by name: what isn't on this machine is left out,
/// and a test that needs it says so.
const TOOLS: [&str; 63] = [
    "bash",
    "bpftool",
    "capinfos",
    "cat",
    "chmod",
    "chown",
    "chroot",
    "conntrack",
    "cp",
    "cut",
    "dash",
    "date",
    "dd",
    "dmesg",
    "echo",
    "env",
    "ethtool",
    "false",
    "find",
    "grep",
    "head",
    "id",
    "ip",
    "ipvsadm",
    "kmod",
    "ln",
    "losetup",
    "ls",
    "mkdir",
    "mknod",
    "mount",
    "mv",
    "nft",
    "nsenter",
    "ping",
    "printf",
    "ps",
    "readlink",
    "rm",
    "rmdir",
    "script",
    "sed",
    "setpriv",
    "setsid",
    "sleep",
    "sort",
    "ss",
    "stat",
    "stty",
    "sync",
    "sysctl",
    "tail",
    "taskset",
    "tc",
    "tcpdump",
    "tcpreplay",
    "timeout",
    "touch",
    "true",
    "umount",
    "uname",
    "unshare",
    "xtables-nft-multi",
];

/// Names that lead to one of them.
const LINKS: [(&str, &str); 10] = [
    ("/bin/sh", "dash"),
    ("/sbin/modprobe", "kmod"),
    ("/sbin/insmod", "kmod"),
    ("/sbin/rmmod", "kmod"),
    ("/sbin/lsmod", "kmod"),
    ("/sbin/modinfo", "kmod"),
    ("/sbin/iptables", "xtables-nft-multi"),
    ("/sbin/ip6tables", "xtables-nft-multi"),
    ("/sbin/iptables-nft", "xtables-nft-multi"),
    ("/sbin/ip6tables-nft", "xtables-nft-multi"),
];

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n\
    tcpdump:x:100:100::/nonexistent:/bin/sh\n\
    nobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n";
const GROUPS: &str = "root:x:0:\ntcpdump:x:100:\nnogroup:x:65534:\n";

/// Where a test's program lies in the guest.
pub(super) fn place_of(program: &str) -> String {
    format!("/vm/tests/{program}")
}

/// What every guest gets, in a file that goes with the value.
#[derive(Debug)]
pub(super) struct Base(PathBuf);

impl Drop for Base {
    fn drop(&mut self) {
        // A file that stays is in nobody's way.
        drop(fs::remove_file(&self.0));
    }
}

/// Writes what every guest gets.
pub(super) fn base(
    folder: &Path,
    nodecap: &Path,
    programs: &[Program],
    taken: &[PathBuf],
) -> Result<Base> {
    // Two runs at once, of different kernels, leave each other's alone.
    let base = Base(folder.join(format!("base-{}.cpio", std::process::id())));
    let mut archive = Archive::create(&base.0)?;
    // As Debian has them since its folders were merged: paths of both kinds lead to one file.
    archive.folder("/usr/bin")?;
    for merged in [
        "/bin",
        "/sbin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
    ] {
        archive.link(merged, "/usr/bin")?;
    }
    for merged in ["lib", "lib64"] {
        archive.folder(&format!("/usr/{merged}"))?;
        archive.link(&format!("/{merged}"), &format!("usr/{merged}"))?;
    }
    for empty in [
        "/proc",
        "/sys",
        "/dev",
        "/tmp",
        "/run",
        "/root",
        "/mnt",
        "/var/lib/ipvs",
    ] {
        archive.folder(empty)?;
    }
    archive.link("/var/run", "/run")?;
    archive.link("/var/tmp", "/tmp")?;

    let mut copied = Vec::new();
    for tool in TOOLS {
        if let Some(path) = command::find(tool) {
            archive.copy(&format!("/usr/bin/{tool}"), &path)?;
            copied.push(path);
        }
    }
    for (name, to) in LINKS {
        let name = name.rsplit('/').next().unwrap_or(name);
        archive.link(&format!("/usr/bin/{name}"), to)?;
    }
    archive.copy("/usr/bin/nodecap", nodecap)?;
    copied.push(nodecap.to_owned());
    for file in taken {
        let name = file.file_name().context("a folder can't be taken along")?;
        archive.copy(&format!("/vm/files/{}", name.to_string_lossy()), file)?;
        copied.push(file.clone());
    }
    for program in programs {
        let stripped = base.0.with_extension("stripped");
        programs::stripped(&program.file, &stripped)?;
        archive.copy(&place_of(&program.name), &stripped)?;
        fs::remove_file(&stripped)?;
        copied.push(program.file.clone());
    }
    copied.extend(add_extensions(&mut archive)?);
    for library in libraries::of(&copied)? {
        let place = library.to_string_lossy();
        let place = match place.strip_prefix("/usr") {
            Some(_) => place.into_owned(),
            // The merged folders are links in the guest.
            None => format!("/usr{place}"),
        };
        archive.copy(&place, &library)?;
    }
    archive.file("/etc/passwd", 0o644, USERS.as_bytes())?;
    archive.file("/etc/group", 0o644, GROUPS.as_bytes())?;
    archive.file(
        "/etc/hosts",
        0o644,
        b"127.0.0.1 localhost guest\n::1 localhost\n",
    )?;
    for table in ["/etc/protocols", "/etc/services", "/etc/ethertypes"] {
        if Path::new(table).exists() {
            archive.copy(table, Path::new(table))?;
        }
    }
    archive.file("/init", 0o755, include_bytes!("init.sh"))?;
    archive.finish()?;
    Ok(base)
}

/// iptables loads what it knows of matches and targets as it runs.
fn add_extensions(archive: &mut Archive<BufWriter<File>>) -> Result<BTreeSet<PathBuf>> {
    let folder = PathBuf::from(format!(
        "/usr/lib/{}-linux-gnu/xtables",
        std::env::consts::ARCH
    ));
    let mut files = Vec::new();
    if folder.is_dir() {
        files_below(&folder, &mut files)?;
    }
    for file in &files {
        archive.copy(&file.to_string_lossy(), file)?;
    }
    Ok(files.into_iter().collect())
}

/// The archive that one guest boots from: the base, its kernel's modules, and these files.
pub(super) fn of_guest(
    folder: &Path,
    base: &Base,
    kernel: &Kernel,
    files: &[(&str, &str)],
) -> Result<PathBuf> {
    let file = folder.join("initramfs.cpio");
    fs::copy(&base.0, &file).with_context(|| format!("can't write {}", file.display()))?;
    let out = OpenOptions::new().append(true).open(&file)?;
    let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, out));
    modules::add(&mut archive, kernel)?;
    for (place, content) in files {
        archive.file(place, 0o644, content.as_bytes())?;
    }
    archive.finish()?;
    Ok(file)
}
