//! The wall clock is set by an hour while a capture runs.
//!
//! The machine has one wall clock, and a test may not set it; a time namespace has offsets for the
//! monotonic clocks alone (time_namespaces(7)). But a process reads it in a function of the vDSO, of
//! which it has pages of its own as soon as somebody writes there. So that function is made to add
//! what the test wants, for this process and no other.

#![cfg(target_arch = "x86_64")]
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::compare::assert_same;
use lab::frames::corpus;
use lab::nodecap::{Capture, Nodecap};
use lab::read::CaptureFile;
use lab::scratch::Scratch;
use lab::topology::Wire;
use lab::wait::wait_for;
use lab::{Signal, tools};
use object::{Object as _, ObjectSymbol as _};

/// What the function is called in there.
const FUNCTION: &str = "__vdso_clock_gettime";

/// It does what the function does, by the system call, and adds the number behind it to the seconds
/// if it was `CLOCK_REALTIME` (0) that was asked for.
const INSTEAD: [u8; 24] = [
    0xb8, 228, 0, 0, 0, // mov eax, SYS_clock_gettime
    0x0f, 0x05, // syscall
    0x85, 0xff, // test edi, edi
    0x75, 10, // jne to the ret
    0x48, 0x8b, 0x0d, 6, 0, 0, 0, // mov rcx, [rip + 6]: behind these 24 bytes
    0x48, 0x01, 0x0e, // add [rsi], rcx
    0xc3, // ret
    0xcc, 0xcc,
];

/// The wall clock as one process reads it.
struct WallClock {
    memory: File,
    /// Where the number of seconds to add is.
    seconds: u64,
}

impl WallClock {
    /// Takes over the process's wall clock, which goes on as it was.
    fn of(capture: &Capture) -> Self {
        let pid = capture.process().pid();
        let vdso = vdso(&format!("/proc/{pid}/maps"));
        let memory = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .unwrap();
        let mut image = vec![0; (vdso.end - vdso.start) as usize];
        memory.read_exact_at(&mut image, vdso.start).unwrap();
        let elf = object::File::parse(image.as_slice()).unwrap();
        let mut symbols = elf.dynamic_symbols();
        let entry = symbols
            .find(|it| it.name() == Ok(FUNCTION))
            .unwrap()
            .address();
        // Behind the image, at the end of its last page.
        let free = image.len() - 64;
        assert!(
            image[free..].iter().all(|byte| *byte == 0),
            "no room in the vDSO"
        );
        memory
            .write_all_at(&INSTEAD, vdso.start + free as u64)
            .unwrap();
        // jmp, relative to what follows it.
        let distance = i32::try_from(free as u64 - entry - 5).unwrap();
        let jump = [[0xe9].as_slice(), &distance.to_le_bytes()].concat();
        let at = vdso.start + entry;
        // No thread may be in the middle of what is replaced.
        wait_for("no thread at the function's beginning", || {
            capture.signal(Signal::SIGSTOP);
            let is_stopped = stopped_outside(pid, at + 1..at + jump.len() as u64);
            if is_stopped {
                memory.write_all_at(&jump, at).unwrap();
            }
            capture.signal(Signal::SIGCONT);
            is_stopped.then_some(())
        });
        Self {
            memory,
            seconds: vdso.start + (free + INSTEAD.len()) as u64,
        }
    }

    /// Sets it, so far from the machine's.
    fn set(&self, seconds: i64) {
        let bytes = seconds.to_le_bytes();
        self.memory.write_all_at(&bytes, self.seconds).unwrap();
    }
}

fn vdso(maps: &str) -> Range<u64> {
    let maps = fs::read_to_string(maps).unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let address = |text| u64::from_str_radix(text, 16).unwrap();
    address(start)..address(end)
}

/// Whether every thread stands still, and none of them there.
fn stopped_outside(pid: u32, there: Range<u64>) -> bool {
    fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .flatten()
        .all(|task| {
            // Its last word is where it is (proc_pid_syscall(5)); `running` while it runs.
            let text = fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            let counter = text.trim().rsplit_once("0x").map(|(_, hex)| hex);
            counter
                .and_then(|hex| u64::from_str_radix(hex, 16).ok())
                .is_some_and(|counter| !there.contains(&counter))
        })
}

const HOUR: i64 = 3_600;

#[test]
fn packets_bear_the_new_time_and_nothing_else_changes() {
    let (wire, scratch) = (Wire::new(), Scratch::new());
    // By the wall clock, an hour ahead would be two intervals, an hour back none for long.
    let capture = Nodecap::capture(&wire.namespace, Wire::CATCHER)
        .args(["-G", "30m", "--duration", "45m", "--flows"])
        .args([scratch.path("flows")])
        .write(&scratch.path("x.pcapng"))
        .start();
    let clock = WallClock::of(&capture);
    let sent = corpus::rich();
    let count = sent.len() as u64;
    for (round, (seconds, said)) in [
        (0, ""),
        (HOUR, "set ahead by"),
        (-HOUR, "set back by"),
        (0, "set ahead by"),
    ]
    .into_iter()
    .enumerate()
    {
        let before = capture.process().stderr().len();
        clock.set(seconds);
        if !said.is_empty() {
            capture.process().wait_for_stderr(said, |text| {
                let new = &text[before..];
                (new.contains("the system clock was") && new.contains(said)).then_some(())
            });
        }
        wire.send(&sent);
        capture.wait_until_captured(count * (round as u64 + 1));
    }
    let finished = capture.stop();
    assert_eq!(finished.counts().dropped, 0);

    let files: Vec<_> = fs::read_dir(scratch.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "pcapng"))
        .collect();
    // The interval is thirty minutes that pass.
    assert_eq!(files.len(), 1, "{files:?}");
    let written = CaptureFile::read(&files[0]);
    assert_eq!(written.statistics.len(), 1);
    tools::assert_readable(&files[0]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let rounds = written.packets.chunks(sent.len());
    assert_eq!(rounds.len(), 4);
    for (packets, set) in rounds.zip([0, HOUR, -HOUR, 0]) {
        assert_same(packets, &sent);
        let there = now.as_nanos() as i128 + i128::from(set) * 1_000_000_000;
        for packet in packets {
            // This test takes less than ten minutes, and an hour is longer.
            let apart = (i128::from(packet.time_ns) - there).unsigned_abs();
            assert!(apart < Duration::from_secs(600).as_nanos(), "{packet:?}");
        }
        assert!(packets.is_sorted_by_key(|packet| packet.time_ns));
    }
}
