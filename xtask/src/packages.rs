//! What the distribution calls things, and how it installs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::command::{self, say};
use crate::compiler;

/// What a command of xtask is about to do, as far as that decides which tools must be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// An eBPF compiler, and what libpcap is built with.
    Build,
    /// Besides, networks of one's own and a look at what was captured.
    Demo,
    /// Besides, everything that tests compare with or read back with.
    Test,
    /// Besides, virtual machines and what their guests take along.
    Vm,
}

/// A program, and the Debian package that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    /// The least that needs it.
    need: Need,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "cc",
        package: "gcc",
        need: Need::Build,
    },
    Tool {
        program: "make",
        package: "make",
        need: Need::Build,
    },
    Tool {
        program: "flex",
        package: "flex",
        need: Need::Build,
    },
    Tool {
        program: "bison",
        package: "bison",
        need: Need::Build,
    },
    Tool {
        program: "nsenter",
        package: "util-linux",
        need: Need::Demo,
    },
    Tool {
        program: "ip",
        package: "iproute2",
        need: Need::Demo,
    },
    Tool {
        program: "nft",
        package: "nftables",
        need: Need::Demo,
    },
    Tool {
        program: "ping",
        package: "iputils-ping",
        need: Need::Demo,
    },
    Tool {
        program: "tcpdump",
        package: "tcpdump",
        need: Need::Demo,
    },
    Tool {
        program: "tshark",
        package: "tshark",
        need: Need::Test,
    },
    Tool {
        program: "capinfos",
        package: "tshark",
        need: Need::Test,
    },
    Tool {
        program: "script",
        package: "bsdutils",
        need: Need::Test,
    },
    Tool {
        program: "strace",
        package: "strace",
        need: Need::Test,
    },
    Tool {
        program: "zstd",
        package: "zstd",
        need: Need::Test,
    },
    Tool {
        program: "mkfs.ext4",
        package: "e2fsprogs",
        need: Need::Test,
    },
    Tool {
        program: "tcpreplay",
        package: "tcpreplay",
        need: Need::Test,
    },
    Tool {
        program: "ethtool",
        package: "ethtool",
        need: Need::Test,
    },
    Tool {
        program: "bpftool",
        package: "bpftool",
        need: Need::Test,
    },
    Tool {
        program: "dockerd",
        package: "docker.io",
        need: Need::Test,
    },
    Tool {
        program: "containerd",
        package: "containerd",
        need: Need::Test,
    },
    Tool {
        program: "podman",
        package: "podman",
        need: Need::Test,
    },
    Tool {
        program: "/usr/lib/cni/bridge",
        package: "containernetworking-plugins",
        need: Need::Test,
    },
    Tool {
        program: "curl",
        package: "curl",
        need: Need::Test,
    },
    // Docker makes its masquerade with it, and Debian's package only recommends it.
    Tool {
        program: "iptables",
        package: "iptables",
        need: Need::Test,
    },
    Tool {
        program: "busybox",
        package: "busybox-static",
        need: Need::Test,
    },
    Tool {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        need: Need::Vm,
    },
    Tool {
        program: "depmod",
        package: "kmod",
        need: Need::Vm,
    },
    Tool {
        program: "xz",
        package: "xz-utils",
        need: Need::Vm,
    },
    Tool {
        program: "conntrack",
        package: "conntrack",
        need: Need::Vm,
    },
    Tool {
        program: "ipvsadm",
        package: "ipvsadm",
        need: Need::Vm,
    },
];

/// The tools that `need` takes and that aren't here.
pub(crate) fn missing_tools(need: Need) -> Vec<Tool> {
    needed(need)
        .filter(|tool| command::find(tool.program).is_none())
        .collect()
}

fn needed(need: Need) -> impl Iterator<Item = Tool> {
    TOOLS.iter().copied().filter(move |tool| tool.need <= need)
}

/// The packages of these tools, each once.
pub(crate) fn of_tools(tools: &[Tool]) -> Vec<String> {
    let mut packages: Vec<_> = tools.iter().map(|tool| tool.package.to_owned()).collect();
    packages.dedup();
    packages
}

/// The packages of one Rust compiler that builds `core` for eBPF: compiler, cargo, source.
pub(crate) type RustPackages = [&'static str; 3];

/// Debian's, the best first. The -web packages keep a stable release's Rust recent enough for
/// browsers; in testing the plain ones are.
pub(crate) const RUST: [RustPackages; 2] = [
    ["rustc-web", "cargo-web", "rust-web-src"],
    ["rustc", "cargo", "rust-src"],
];

/// The first of [`RUST`] that apt offers in a version that takes the workspace.
pub(crate) fn offered_rust() -> Option<RustPackages> {
    RUST.into_iter().find(|packages| {
        command::output(Command::new("apt-cache").args(["policy", packages[0]]))
            .ok()
            .and_then(|policy| compiler::parse_release(candidate(&policy)?))
            .is_some_and(compiler::is_new_enough)
    })
}

/// The package of the clippy that goes with the Rust compiler that is installed.
pub(crate) fn clippy() -> &'static str {
    let owner = command::output(Command::new("dpkg-query").args(["--search", "/usr/bin/rustc"]));
    match owner {
        Ok(owner) if owner.starts_with("rustc:") => "rust-clippy",
        _ => "rust-web-clippy",
    }
}

/// The version that `apt-cache policy` says it would install.
fn candidate(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .map(str::trim)
}

/// Whether this distribution's packages have Debian's names.
pub(crate) fn is_debian_like() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|release| says_debian_like(&release))
}

/// Reads os-release(5): Debian and Ubuntu by name, and what says that it is like one of them.
fn says_debian_like(release: &str) -> bool {
    release
        .lines()
        .filter_map(|line| {
            line.strip_prefix("ID=")
                .or_else(|| line.strip_prefix("ID_LIKE="))
        })
        .flat_map(|value| value.trim_matches(['"', '\'']).split_ascii_whitespace())
        .any(|id| id == "debian" || id == "ubuntu")
}

/// Asks apt for its newest lists. A source that can't be reached need not be the one that
/// matters: what is missing in the end, the installation will say.
pub(crate) fn refresh() {
    if let Err(error) = command::run(apt_get().arg("update")) {
        say(format!("{error:#}; going on with the lists that are here"));
    }
}

/// Installs these packages.
pub(crate) fn install(packages: &[String]) -> Result<()> {
    command::run(apt_get().args(INSTALL).args(packages))
}

/// Downloads a package's sources into a folder, from where the distribution's packages come from.
/// The system's own lists stay as they are: few machines have lists of sources.
pub(crate) fn download_source(package: &str, folder: &Path) -> Result<()> {
    let targets = command::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]))?;
    let sources = source_lines(&targets);
    ensure!(
        !sources.is_empty(),
        "apt knows no place of the distribution's: run `apt-get update`"
    );
    let list = folder.join("sources.list");
    let lists = folder.join("lists");
    fs::create_dir_all(lists.join("partial"))?;
    fs::write(&list, sources).with_context(|| format!("can't write {}", list.display()))?;
    let options = [
        format!("Dir::Etc::SourceList={}", list.display()),
        "Dir::Etc::SourceParts=/dev/null".to_owned(),
        format!("Dir::State::Lists={}", lists.display()),
    ];
    let apt = |words: &[&str]| {
        let mut command = apt_get();
        for option in &options {
            command.args(["-o", option]);
        }
        command::run(command.args(words).current_dir(folder))
    };
    apt(&["update"])?;
    apt(&["source", "--download-only", package])
}

/// sources.list(5) for what `apt-get indextargets` lists: an origin, a place, a release and a
/// component each. Others than the distribution need not have sources at all.
fn source_lines(targets: &str) -> String {
    let mut lines: Vec<_> = targets
        .lines()
        .filter_map(|target| {
            let words: Vec<_> = target.split_ascii_whitespace().collect();
            let [origin @ ("Debian" | "Ubuntu"), place, release, "main"] = words[..] else {
                return None;
            };
            let keys = format!(
                "/usr/share/keyrings/{}-archive-keyring.gpg",
                origin.to_ascii_lowercase()
            );
            let signed = if Path::new(&keys).is_file() {
                format!(" [signed-by={keys}]")
            } else {
                String::new()
            };
            Some(format!("deb-src{signed} {place} {release} main\n"))
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines.concat()
}

const INSTALL: [&str; 3] = ["install", "--yes", "--no-install-recommends"];

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Otherwise a question, such as tshark's about who may capture, stops everything.
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("--quiet");
    command
}

/// The command that a person would type to install these.
pub(crate) fn install_line(packages: &[String]) -> String {
    format!("apt-get {} {}", INSTALL.join(" "), packages.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_ubuntu_and_their_children_are_known() {
        assert!(says_debian_like("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(says_debian_like("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(says_debian_like("ID=pop\nID_LIKE=\"ubuntu debian\"\n"));
    }

    #[test]
    fn others_are_not() {
        assert!(!says_debian_like("ID=fedora\nPRETTY_NAME=\"not debian\"\n"));
        assert!(!says_debian_like("ID=\"rhel\"\nID_LIKE=\"fedora\"\n"));
        assert!(!says_debian_like("VERSION_ID=debian\n"));
        assert!(!says_debian_like(""));
    }

    #[test]
    fn apts_candidate_is_read() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1\n";
        assert_eq!(candidate(policy), Some("1.96.0+dfsg1-1"));
        assert_eq!(candidate(""), None);
    }

    #[test]
    fn sources_come_from_where_the_distributions_packages_do() {
        let targets = "Debian http://mirror.example/debian/ trixie main\n\
            Debian http://mirror.example/debian/ trixie contrib\n\
            Debian http://mirror.example/debian/ trixie main\n\
            Vendor http://vendor.example/ stable main\n";
        let lines = source_lines(targets);
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert!(lines.starts_with("deb-src "), "{lines}");
        assert!(lines.ends_with(" http://mirror.example/debian/ trixie main\n"));
    }

    #[test]
    fn each_need_takes_in_the_lesser_ones() {
        assert!(needed(Need::Build).count() < needed(Need::Demo).count());
        assert!(needed(Need::Demo).count() < needed(Need::Test).count());
        assert!(needed(Need::Test).count() < needed(Need::Vm).count());
        assert_eq!(needed(Need::Vm).count(), TOOLS.len());
    }

    #[test]
    fn a_package_of_two_tools_is_named_once() {
        let both: Vec<_> = TOOLS
            .iter()
            .copied()
            .filter(|tool| tool.package == "tshark")
            .collect();
        assert_eq!(both.len(), 2);
        assert_eq!(of_tools(&both), ["tshark"]);
    }
}
