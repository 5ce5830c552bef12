//! What a loss of power leaves of a capture file: what had been flushed.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs::{self, File};
use std::path::Path;

use lab::compare::assert_same;
use lab::frames::corpus;
use lab::namespace::Namespace;
use lab::nodecap::Nodecap;
use lab::read::{CaptureFile, Captured};
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::wait::wait_for;
use lab::{Signal, need, tool};

/// Room for a file system with a journal, in bytes.
const DISK: u64 = 16 << 20;

fn run(namespace: &Namespace, program: &str, arguments: &[&str]) {
    tool::run(namespace.command(program).args(arguments));
}

/// The packets in a file on that disk, when it is looked at as it would be after the power came back: what the
/// kernel hadn't given to the disk is gone. None if there is no such file.
fn after_the_cut(namespace: &Namespace, disk: &Path, scratch: &Scratch) -> Option<Vec<Captured>> {
    let (copy, there) = (scratch.path("copy"), scratch.path("there"));
    fs::copy(disk, &copy).unwrap();
    fs::create_dir_all(&there).unwrap();
    let (copy, folder) = (copy.to_str().unwrap(), there.to_str().unwrap());
    run(namespace, "mount", &["-o", "loop", copy, folder]);
    let file = there.join("x.pcapng");
    let repaired = Nodecap::new(namespace, &["repair"]).args([&file]).run();
    let found = (repaired.code() == Some(0)).then(|| {
        let whole = CaptureFile::read(&namespace.outside(&file));
        assert_eq!(whole.statistics.len(), whole.interfaces.len());
        whole.packets
    });
    run(namespace, "umount", &[folder]);
    found
}

#[test]
fn all_is_there_that_was_flushed_and_repair_closes_the_file() {
    need!("ext4 in a file");
    let (wire, scratch) = (Wire::new(), Scratch::new());
    let (disk, folder) = (scratch.path("disk"), scratch.path("folder"));
    File::create(&disk).unwrap().set_len(DISK).unwrap();
    fs::create_dir(&folder).unwrap();
    let (image, mounted) = (disk.to_str().unwrap(), folder.to_str().unwrap());
    run(&wire.namespace, "mkfs.ext4", &["-q", image]);
    run(&wire.namespace, "mount", &["-o", "loop", image, mounted]);
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["--flush-interval", "1h"])
        .write(&folder.join("x.pcapng"))
        .start();
    let sent = corpus::rich();
    let count = sent.len() as u64;
    wire.send(&sent);
    capture.wait_until_captured(count);
    capture.signal(Signal::SIGUSR2);
    // These may be lost.
    wire.send(&sent);
    capture.wait_until_captured(2 * count);
    let packets = wait_for("the flushed packets on the disk", || {
        let packets = after_the_cut(&wire.namespace, &disk, &scratch)?;
        (packets.len() >= sent.len()).then_some(packets)
    });
    assert_same(&packets[..sent.len()], &sent);
    assert_same(&packets[sent.len()..], &sent[..packets.len() - sent.len()]);
    capture.stop();
}
