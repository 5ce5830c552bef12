#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::{
    fs,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use rustix::io::Errno;
use tempfile::{TempDir, tempdir};

use super::{
    destination::{Descriptor, Destination},
    error::OutputError,
    open::Opened,
};

fn folder() -> TempDir {
    tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Opened, begun and kept.
fn begun(path: &Path) -> Descriptor {
    let (descriptor, started) = Opened::open(path).unwrap().start().unwrap();
    started.keep();
    descriptor
}

fn line(error: OutputError) -> String {
    crate::error::Error::from(error).to_string()
}

#[test]
fn a_new_file_is_for_its_owner_alone() {
    let folder = folder();
    let path = folder.path().join("x.pcapng");
    let mut file = begun(&path);
    file.write(b"abc").unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(fs::read(&path).unwrap(), b"abc");
}

#[test]
fn a_capture_that_does_not_start_leaves_no_file_behind() {
    let folder = folder();
    let path = folder.path().join("x.pcapng");

    let opened = Opened::open(&path).unwrap();
    assert!(path.exists());
    opened.abandon();
    assert_eq!(names(folder.path()), [""; 0]);

    drop(Opened::open(&path).unwrap().start().unwrap());
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_capture_that_does_not_start_leaves_an_existing_file_as_it_was() {
    let folder = folder();
    let path = folder.path().join("x.pcapng");
    fs::write(&path, "precious").unwrap();
    Opened::open(&path).unwrap().abandon();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn an_existing_file_is_emptied_when_writing_begins() {
    let folder = folder();
    let path = folder.path().join("x.pcapng");
    fs::write(&path, "precious").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    begun(&path).write(b"new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

#[test]
fn a_file_that_took_the_name_meanwhile_is_not_removed() {
    let folder = folder();
    let path = folder.path().join("x.pcapng");
    let opened = Opened::open(&path).unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "somebody else's").unwrap();
    fs::rename(&other, &path).unwrap();
    opened.abandon();
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody else's");
}

#[test]
fn a_symbolic_link_is_refused_with_its_target_named() {
    let folder = folder();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    symlink(&target, &link).unwrap();
    for exists in [false, true] {
        if exists {
            fs::write(&target, "precious").unwrap();
        }
        let line = line(Opened::open(&link).unwrap_err());
        assert!(line.contains("symbolic link"), "{line}");
        assert!(line.contains(target.to_str().unwrap()), "{line}");
        assert_eq!(target.exists(), exists);
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn a_link_further_up_the_path_is_followed() {
    let folder = folder();
    fs::create_dir(folder.path().join("real")).unwrap();
    symlink("real", folder.path().join("link")).unwrap();
    begun(&folder.path().join("link/x.pcapng"));
    assert!(folder.path().join("real/x.pcapng").exists());
}

#[test]
fn a_directory_is_refused() {
    let folder = folder();
    let error = Opened::open(folder.path()).unwrap_err();
    assert!(matches!(error, OutputError::Directory { .. }));
    assert!(line(error).contains("is a directory; name a file in it"));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let error = Opened::open(missing.join("x.pcapng")).unwrap_err();
    assert!(matches!(&error, OutputError::NoFolder { folder, .. } if *folder == missing));
    assert!(line(error).contains("create it"));
}

#[test]
fn a_file_in_the_place_of_a_folder_is_named() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Opened::open(file.join("x.pcapng")).unwrap_err();
    assert!(matches!(&error, OutputError::NoFolder { folder, .. } if *folder == file));
}

#[test]
fn an_empty_name_is_wrong_usage() {
    let error = crate::error::Error::from(Opened::open("").unwrap_err());
    assert!(matches!(error, crate::error::Error::Usage(_)));
}

#[test]
fn a_name_that_is_too_long_says_so() {
    let line = line(Opened::open(folder().path().join("x".repeat(300))).unwrap_err());
    assert!(line.contains("file name too long"), "{line}");
}

#[test]
fn a_socket_is_refused() {
    let folder = folder();
    let path = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = Opened::open(&path).unwrap_err();
    assert!(matches!(
        error,
        OutputError::Open {
            errno: Errno::NXIO,
            ..
        }
    ));
    assert!(path.exists());
}

#[test]
fn a_device_takes_bytes_and_stays() {
    let mut null = begun(Path::new("/dev/null"));
    assert_eq!(null.write(b"abc"), Ok(3));
    assert_eq!(null.cut(0), Ok(false));
    drop(Opened::open("/dev/full").unwrap());
    assert!(Path::new("/dev/full").exists());
}

#[test]
fn a_fifo_takes_bytes_says_when_its_reader_leaves_and_stays() {
    let folder = folder();
    let path = folder.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let reader = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut bytes = [0; 3];
            fs::File::open(path)
                .unwrap()
                .read_exact(&mut bytes)
                .unwrap();
            bytes
        }
    });
    let (mut fifo, started) = Opened::open(&path).unwrap().start().unwrap();
    assert_eq!(fifo.write(b"abc"), Ok(3));
    assert_eq!(&reader.join().unwrap(), b"abc");
    // A process that another test is just starting may still have a copy of the reader's end.
    let errno = loop {
        if let Err(errno) = fifo.write(b"abc") {
            break errno;
        }
    };
    assert_eq!(errno, Errno::PIPE);
    assert_eq!(fifo.cut(0), Ok(false));
    drop(started);
    assert!(path.exists());
}

#[test]
fn a_descriptor_that_the_shell_handed_over_is_written_through_its_link() {
    use std::os::fd::AsRawFd;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut pipe = begun(Path::new(&format!("/dev/fd/{}", writer.as_raw_fd())));
    pipe.write(b"abc").unwrap();
    drop((pipe, writer));
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"abc");
}

#[test]
fn a_pipe_that_somebody_made_non_blocking_is_waited_for() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes.len()
    });
    let mut pipe = Descriptor::new(writer.into()).unwrap();
    let mut left = 1 << 20;
    while left > 0 {
        match pipe.write(&vec![7; left]) {
            Ok(count) => left -= count,
            Err(errno) => assert_eq!(errno, Errno::INTR),
        }
    }
    drop(pipe);
    assert_eq!(reading.join().unwrap(), 1 << 20);
}

#[test]
fn cutting_keeps_what_was_there_before_us_and_writing_goes_on_behind_it() {
    for append in [false, true] {
        let folder = folder();
        let path = folder.path().join("x");
        fs::write(&path, "before ").unwrap();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .append(append)
            .open(&path)
            .unwrap();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
        let mut redirected = Descriptor::new(file.into()).unwrap();
        redirected.write(b"whole half").unwrap();
        assert_eq!(redirected.cut(5), Ok(true));
        redirected.write(b" end").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before whole end");
    }
}

#[test]
fn what_somebody_else_wrote_behind_us_is_not_cut_off() {
    let folder = folder();
    let path = folder.path().join("x");
    let mut file = begun(&path);
    file.write(b"ours").unwrap();
    fs::write(&path, "ours and theirs").unwrap();
    assert_eq!(file.cut(2), Ok(false));
    assert_eq!(fs::read_to_string(&path).unwrap(), "ours and theirs");
}
