//! The modules that a guest gets: what networks are made of, and what those need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};

use super::cpio::Archive;
use super::kernels::Kernel;

/// Folders of modules, as they lie below a kernel's `kernel/`. The kernel asks for most of them by
/// itself as a rule, a filter or a link needs them.
const FOLDERS: [&str; 13] = [
    "net/netfilter/",
    "net/ipv4/",
    "net/ipv6/",
    "net/bridge/",
    "net/sched/",
    "net/8021q/",
    "net/802/",
    "net/llc/",
    "net/core/",
    "net/netlink/",
    "net/packet/",
    "net/xdp/",
    "net/sctp/",
];

/// Single modules from folders that hold much else.
const NAMES: [&str; 14] = [
    "veth", "dummy", "tun", "tap", "ifb", "macvlan", "ipvlan", "vxlan", "geneve", "bonding", "vrf",
    "overlay", "loop", "ext4",
];

/// Adds the kernel's modules to an archive, with the index that modprobe goes by.
pub(super) fn add<W: std::io::Write>(archive: &mut Archive<W>, kernel: &Kernel) -> Result<()> {
    let folder = kernel.modules();
    let place = format!("/lib/modules/{}", kernel.release);
    let index = fs::read_to_string(folder.join("modules.dep"))
        .with_context(|| format!("{} has no index of its modules", kernel.release))?;
    for file in chosen(&index) {
        archive.copy(&format!("{place}/{file}"), &folder.join(file))?;
    }
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(name) = name.to_str()
            && name.starts_with("modules.")
            && entry.file_type()?.is_file()
        {
            archive.copy(&format!("{place}/{name}"), &entry.path())?;
        }
    }
    Ok(())
}

/// The files of the chosen modules and of all that they need, by modules.dep(5):
/// `FILE: FILE FILE…` a line, the needed ones complete.
fn chosen(index: &str) -> BTreeSet<&str> {
    let needs: BTreeMap<&str, &str> = index
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    needs
        .iter()
        .filter(|(file, _)| is_wanted(file))
        .flat_map(|(file, others)| others.split_ascii_whitespace().chain([*file]))
        .collect()
}

fn is_wanted(file: &str) -> bool {
    let Some(path) = file.strip_prefix("kernel/") else {
        return false;
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.split('.').next().unwrap_or(name);
    FOLDERS.iter().any(|folder| path.starts_with(folder)) || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_wanted_module_needs_comes_with_it() {
        let index = "kernel/drivers/net/veth.ko: kernel/lib/pool.ko\n\
            kernel/lib/pool.ko:\n\
            kernel/drivers/gpu/big.ko: kernel/lib/pool.ko\n\
            kernel/net/sched/sch_ingress.ko:\n";
        let chosen: Vec<_> = chosen(index).into_iter().collect();
        assert_eq!(
            chosen,
            [
                "kernel/drivers/net/veth.ko",
                "kernel/lib/pool.ko",
                "kernel/net/sched/sch_ingress.ko"
            ]
        );
    }
}
