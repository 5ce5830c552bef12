//! What a program of this machine needs beside itself to run in a root of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command;

/// The shared libraries and the loader that these programs need, as ldd(1) finds them.
pub(super) fn of(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut needed = BTreeSet::new();
    for program in programs {
        // It fails for what isn't a dynamic program: scripts and static ones need nothing.
        if let Ok(said) = command::output(Command::new("ldd").arg(program)) {
            needed.extend(found(&said));
        }
    }
    Ok(needed)
}

/// `NAME => PATH (ADDRESS)`, and for the loader `PATH (ADDRESS)`.
fn found(said: &str) -> impl Iterator<Item = PathBuf> {
    said.lines().filter_map(|line| {
        let line = line.trim();
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.split_once(" (").map_or(path, |(path, _)| path);
        Path::new(path).is_absolute().then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let said = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x3)\n\tstatically linked\n";
        let paths: Vec<_> = found(said).collect();
        assert_eq!(
            paths,
            [
                PathBuf::from("/lib/libc.so.6"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2")
            ]
        );
    }
}
