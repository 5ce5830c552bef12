//! A rotating capture's files, with those that earlier captures of the same name left.

use std::fs::File;
use std::io::{Read, Seek as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::names::Names;
use super::retention::{Bounds, Retention};

/// Names files and removes old ones.
#[derive(Debug)]
pub struct Series {
    names: Names,
    retention: Retention,
}

impl Series {
    /// Looks for what an earlier capture of the same name left: numbers go on behind it, so that
    /// nothing is overwritten, and it counts within the bounds of what is kept. A service that
    /// is started again keeps what it had, and fills no disk.
    #[must_use]
    pub fn new(mut names: Names, bounds: Bounds) -> Self {
        let mut retention = Retention::new(bounds);
        if let Some(parts) = names.parts() {
            let folder = if parts.folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                &parts.folder
            };
            // A folder that can't be read has nothing to go on behind; opening a file says why.
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut earlier: Vec<_> = entries
                .filter_map(|entry| {
                    let name = entry.file_name();
                    Some((parts.number(&name)?, parts.folder.join(name)))
                })
                .collect();
            earlier.sort();
            for (_, path) in &earlier {
                if may_be_ours(path) {
                    retention.add(path);
                }
            }
            if let Some((last, _)) = earlier.last() {
                names.skip_to(*last);
            }
        }
        Self { names, retention }
    }

    /// The next file's path, which begins then: nanoseconds since the Unix epoch.
    pub fn next_path(&mut self, time: u64) -> PathBuf {
        self.names.next(time)
    }

    /// A file is there.
    pub fn began(&mut self, path: &Path) {
        self.retention.add(path);
    }

    /// Removes the oldest files, so that there is a place for one more. Returns what to tell.
    pub fn make_room(&mut self) -> Vec<String> {
        told(self.retention.make_room())
    }

    /// The same where the file that is being written becomes longer than one should.
    pub fn make_fit(&mut self) -> Vec<String> {
        told(self.retention.make_fit())
    }
}

/// What a file of ours says of who wrote it begins with this.
const WRITER: &str = "nodecap";

/// Whether a file may be what a capture left, by how it begins: nothing else is ever removed, whatever it
/// is called. Empty is one that was killed at its beginning.
fn may_be_ours(path: &Path) -> bool {
    /// A pcapng's section header (draft-ietf-opsawg-pcapng, 4.1), whose options say which program wrote it.
    const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
    /// How many bytes that is in.
    const BEGINNING: u64 = 4_096;
    // A FIFO would wait for a writer.
    if !path.symlink_metadata().is_ok_and(|it| it.is_file()) {
        return false;
    }
    let Ok(mut file) = File::open(path) else {
        return false;
    };
    let mut magic = Vec::new();
    let read = (&mut file).take(4).read_to_end(&mut magic);
    if read.is_err() || file.rewind().is_err() {
        return false;
    }
    // RFC 8878, 3.1.1, and RFC 1952, 2.3.1.
    let reader: Box<dyn Read> = match magic.as_slice() {
        [] => return true,
        [0x28, 0xb5, 0x2f, 0xfd] => match zstd::Decoder::new(file) {
            Ok(decoder) => Box::new(decoder),
            Err(_) => return false,
        },
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(file)),
        _ => Box::new(file),
    };
    // One that a kill cut ends before that.
    let mut beginning = Vec::new();
    let _ = reader.take(BEGINNING).read_to_end(&mut beginning);
    let name = WRITER.as_bytes();
    beginning.starts_with(&SECTION) && beginning.windows(name.len()).any(|it| it == name)
}

/// What couldn't be removed, for the user.
fn told(complaints: Vec<(PathBuf, Errno)>) -> Vec<String> {
    complaints
        .into_iter()
        .map(|(path, errno)| {
            let reason = std::io::Error::from(errno);
            format!("can't remove {}: {reason}", path.display())
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_capture_goes_on_behind_the_files_of_the_one_before_and_keeps_as_many_in_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [
            "x.00001.pcapng",
            "x.00004.pcapng",
            "x.00003.pcapng",
            "x.pcapng",
        ] {
            std::fs::write(path(name), "").unwrap();
        }
        let names = Names::new(&path("x.pcapng"), true, TimeZone::UTC).unwrap();
        let mut series = Series::new(
            names,
            Bounds {
                files: Some(2),
                bytes: None,
            },
        );
        assert_eq!(series.make_room(), [""; 0]);
        assert_eq!(series.next_path(0), path("x.00005.pcapng"));
        assert!(!path("x.00001.pcapng").exists() && !path("x.00003.pcapng").exists());
        assert!(path("x.00004.pcapng").exists() && path("x.pcapng").exists());
    }

    #[test]
    fn what_no_capture_wrote_is_not_removed_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let ours = b"\x0a\x0d\x0d\x0a by nodecap 0.1";
        let packed = zstd::encode_all(&ours[..], 1).unwrap();
        let files: [(&str, &[u8], bool); 7] = [
            ("x.00001.pcapng", ours, false),
            ("x.00002.pcapng", b"a letter about nodecap", true),
            ("x.00003.pcapng", &packed, false),
            ("x.00004.pcapng", b"\xd4\xc3\xb2\xa1 of tcpdump", true),
            ("x.00005.pcapng", b"\x0a\x0d\x0d\x0a by dumpcap", true),
            ("x.00006.pcapng", b"\x28\xb5\x2f\xfd of who knows", true),
            ("x.20261127.pcapng", ours, true),
        ];
        for (name, bytes, _) in files {
            std::fs::write(path(name), bytes).unwrap();
        }
        let names = Names::new(&path("x.pcapng"), true, TimeZone::UTC).unwrap();
        let bounds = Bounds {
            files: Some(1),
            bytes: None,
        };
        let mut series = Series::new(names, bounds);
        assert_eq!(series.make_room(), [""; 0]);
        // Nothing is overwritten either.
        assert_eq!(series.next_path(0), path("x.00007.pcapng"));
        for (name, _, stays) in files {
            assert_eq!(path(name).exists(), stays, "{name}");
        }
    }
}
