//! Where something is to be written: whether two names mean the same place.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::sink::files::names::Names;

/// What standard output is called, besides `-`.
const STANDARD_OUTPUT: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Whether that is standard output.
pub(super) fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-" || STANDARD_OUTPUT.iter().any(|name| path == Path::new(name))
}

/// Whether both would be written to the same place, however it is spelled, so that one would destroy the
/// other. A device such as /dev/null keeps nothing.
pub(super) fn are_one(one: &Path, other: &Path) -> bool {
    if is_standard_output(one) && is_standard_output(other) {
        return true;
    }
    let [one, other] = [one, other].map(|path| {
        if is_standard_output(path) {
            Path::new(STANDARD_OUTPUT[2])
        } else {
            path
        }
    });
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => {
            (one.dev(), one.ino()) == (other.dev(), other.ino())
                && !one.file_type().is_char_device()
        }
        (Err(_), Err(_)) => to_be(one) == to_be(other),
        _ => false,
    }
}

/// Whether a series of numbered files, named after the first path, may come to write the other.
pub(super) fn is_of_series(series: &Path, other: &Path) -> bool {
    Names::may_number(series, other) && to_be(series).parent() == to_be(other).parent()
}

/// The whole name of a file that isn't there yet.
fn to_be(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.join(path.file_name().unwrap_or_default())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        fs::create_dir(here.join("within")).unwrap();
        fs::write(here.join("there"), "").unwrap();
        fs::hard_link(here.join("there"), here.join("link")).unwrap();
        std::os::unix::fs::symlink(here.join("there"), here.join("symbolic")).unwrap();
        for (one, other, same) in [
            ("x", "x", true),
            ("x", "within/../x", true),
            ("x", "./x", true),
            ("x", "y", false),
            ("x", "within/x", false),
            ("there", "x", false),
            ("there", "link", true),
            ("there", "symbolic", true),
            ("nowhere/x", "nowhere/x", true),
        ] {
            assert_eq!(
                are_one(&here.join(one), &here.join(other)),
                same,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn standard_output_has_many_names_and_devices_keep_nothing() {
        for name in ["-", "/dev/stdout", "/dev/fd/1"] {
            assert!(are_one(Path::new(name), Path::new("-")), "{name}");
            assert!(!are_one(Path::new(name), Path::new("x")), "{name}");
        }
        let null = Path::new("/dev/null");
        assert!(!are_one(null, null));
    }
}
