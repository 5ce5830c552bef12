//! The archive that a kernel unpacks into its first root: "newc" cpio, as
//! Documentation/driver-api/early-userspace/buffer-format.rst describes it. Archives may follow
//! each other in one file; the later one's files win.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct Archive<W: Write> {
    out: W,
    written: u64,
    inode: u32,
    folders: BTreeSet<String>,
}

const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

impl Archive<BufWriter<File>> {
    /// An archive in a new file.
    pub(super) fn create(file: &Path) -> Result<Self> {
        let out = File::create(file).with_context(|| format!("can't make {}", file.display()))?;
        Ok(Self::new(BufWriter::with_capacity(1 << 20, out)))
    }
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self {
            out,
            written: 0,
            inode: 0,
            folders: BTreeSet::new(),
        }
    }

    /// A folder, and those that it lies in. `path` is absolute, as the guest sees it.
    pub(super) fn folder(&mut self, path: &str) -> Result<()> {
        let path = path.trim_matches('/');
        let mut upto = 0;
        while upto < path.len() {
            upto = path[upto + 1..]
                .find('/')
                .map_or(path.len(), |at| upto + 1 + at);
            let folder = &path[..upto];
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, FOLDER | 0o755, &[])?;
            }
        }
        Ok(())
    }

    /// A file of these bytes.
    pub(super) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> Result<()> {
        self.parent(path)?;
        self.entry(path.trim_matches('/'), REGULAR | permissions, content)?;
        Ok(())
    }

    /// A copy of a file of this machine.
    pub(super) fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
        let permissions = fs::metadata(from)?.permissions().mode() & 0o777;
        self.file(path, permissions, &content)
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &str, to: &str) -> Result<()> {
        self.parent(path)?;
        self.entry(path.trim_matches('/'), LINK | 0o777, to.as_bytes())?;
        Ok(())
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn parent(&mut self, path: &str) -> Result<()> {
        match path.trim_matches('/').rsplit_once('/') {
            Some((folder, _)) => self.folder(folder),
            None => Ok(()),
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.inode += 1;
        let size = u32::try_from(content.len())
            .map_err(|_| io::Error::other(format!("{name} is too large for a cpio archive")))?;
        let name_size = u32::try_from(name.len() + 1)
            .map_err(|_| io::Error::other("a name is too long for a cpio archive"))?;
        let links = 1;
        let (owner, group, time, device) = (0, 0, 0, 0);
        let mut header = String::from("070701");
        for field in [
            self.inode, mode, owner, group, links, time, size, device, device, device, device,
            name_size, 0,
        ] {
            header.push_str(&format!("{field:08x}"));
        }
        self.put(header.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.align()?;
        self.put(content)?;
        self.align()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn align(&mut self) -> io::Result<()> {
        while !self.written.is_multiple_of(4) {
            self.put(&[0])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(archive: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = archive;
        let number = |bytes: &[u8]| {
            usize::from_str_radix(std::str::from_utf8(bytes).expect("hexadecimal"), 16)
                .expect("hexadecimal")
        };
        while rest.len() >= 110 {
            assert_eq!(&rest[..6], b"070701");
            let size = number(&rest[54..62]);
            let name_size = number(&rest[94..102]);
            let name = &rest[110..110 + name_size - 1];
            names.push(String::from_utf8(name.to_vec()).expect("a name"));
            let end = (110 + name_size).next_multiple_of(4) + size;
            rest = &rest[end.next_multiple_of(4).min(rest.len())..];
        }
        names
    }

    #[test]
    fn every_folder_comes_once_and_before_what_is_in_it() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/usr/bin/true", 0o755, b"x").expect("written");
        archive
            .file("/usr/bin/false", 0o755, b"12345")
            .expect("written");
        archive.link("/bin", "usr/bin").expect("written");
        let bytes = archive.finish().expect("written");
        assert_eq!(
            names(&bytes),
            [
                "usr",
                "usr/bin",
                "usr/bin/true",
                "usr/bin/false",
                "bin",
                "TRAILER!!!"
            ]
        );
        assert_eq!(bytes.len() % 4, 0);
    }
}
