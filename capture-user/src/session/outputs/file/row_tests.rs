//! What is written in a row is what each packet would have been written as, whatever the limits are.
#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{Begun, CaptureFile, Common};
use crate::flow::role::Role;
use crate::packet::{Direction, Gso, InterfaceId, Packet};
use crate::session::about::About;
use crate::session::clock::Offset;
use crate::session::interface::Interface;
use crate::session::limits::{Gate, Limits};
use crate::session::outputs::Refusal;
use crate::session::plan::{Flush, Plan, Rotate};
use crate::sink::files::names::Names;
use crate::sink::files::room::Allowance;
use crate::sink::files::series::Series;
use crate::sink::files::{Files, Parts};
use crate::sink::output::{FLUSH_AT, Opened, Packing, Spool};
use crate::sink::pcapng::{Annotations, Frames, LinkType, PcapngFile};

const SNAPLEN: u32 = 100;
/// The kernel side's clock when the capture begins.
const BEGIN: u64 = 1_000;

/// A packet, and what is known of it.
#[derive(Clone, Debug)]
struct Case {
    /// Nanoseconds after the one before.
    after: u64,
    interface: InterfaceId,
    frame: Vec<u8>,
    lost_before: u64,
    gso: Option<Gso>,
    packet_id: Option<u64>,
    commented: bool,
}

impl Case {
    fn with(&self, stamp: u64, see: impl FnOnce(&Packet<'_>, &Annotations<'_>)) {
        let comments = if self.commented {
            ["a comment"].as_slice()
        } else {
            &[]
        };
        let annotations = Annotations {
            comments,
            packet_id: self.packet_id,
        };
        let packet = Packet {
            time: 1_700_000_000_000_000_000 + stamp,
            interface: self.interface,
            direction: Direction::In,
            reception: None,
            original_len: 90,
            frame: &self.frame,
            lost_before: self.lost_before,
            gso: self.gso,
        };
        see(&packet, &annotations);
    }

    /// Whether there is nothing to say of it but what it is.
    fn may_be_in_a_row(&self) -> bool {
        !self.commented
    }
}

fn cases() -> impl Strategy<Value = Vec<Case>> {
    let gso = Gso {
        size: 1_400,
        segments: 3,
    };
    let rarely = |one: u32| prop::bool::weighted(1.0 / f64::from(one));
    let case = (
        0..40u64,
        0..2 as InterfaceId,
        // Some are longer than the snapshot length.
        prop::collection::vec(any::<u8>(), 0..130),
        rarely(12),
        rarely(12),
        prop::option::of(any::<u64>()),
        rarely(12),
    )
        .prop_map(
            move |(after, interface, frame, lost, is_gso, packet_id, commented)| Case {
                after,
                interface,
                frame,
                lost_before: u64::from(lost),
                gso: is_gso.then_some(gso),
                packet_id,
                commented,
            },
        );
    prop::collection::vec(case, 1..60)
}

fn interface(index: u32, described: bool) -> Interface {
    Interface {
        index,
        name: format!("eth{index}"),
        description: "an example".to_owned(),
        mac: None,
        role: Role::Uplink,
        names: Vec::new(),
        who: None,
        described,
    }
}

/// What a capture came to: how many packets it took, why it ended, its files.
type Outcome = (usize, String, BTreeMap<String, Vec<u8>>);

/// Takes packets, in rows or one by one. Before the `asked`th another file is asked for, to begin with what is
/// stamped `asked` nanoseconds after it.
fn capture(
    common: &Common,
    cases: &[Case],
    limits: Limits,
    rotate: Rotate,
    asked: usize,
    rows: bool,
) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (mut file, mut gate) = begin(common, folder.path(), limits, rotate, None);
    let mut stamp = BEGIN;
    let stamps: Vec<_> = cases
        .iter()
        .map(|case| {
            stamp += case.after;
            stamp
        })
        .collect();
    let mut taken = 0;
    let mut end = Ok(());
    while taken < cases.len() && end.is_ok() {
        let first = taken;
        if taken == asked {
            file.rotate_at(stamps[taken] + asked as u64);
        }
        if rows {
            file.row(&mut gate, |row| {
                while let Some(case) = cases.get(taken).filter(|case| case.may_be_in_a_row()) {
                    // It comes between two rows: the mover takes orders before it goes on.
                    if taken == asked && taken > first {
                        return;
                    }
                    let mut put = false;
                    case.with(stamps[taken], |packet, known| {
                        put = row.put(packet, known.packet_id, stamps[taken]);
                    });
                    if !put {
                        return;
                    }
                    taken += 1;
                }
            });
        }
        if let Some(case) = cases
            .get(taken)
            .filter(|_| !(rows && taken == asked && taken > first))
        {
            case.with(stamps[taken], |packet, known| {
                end = file.packet(packet, known, stamps[taken], &mut gate);
            });
            taken += usize::from(end.is_ok());
        }
        if let Some(limit) = gate.met() {
            end = Err(Refusal::Limit(limit));
        }
    }
    let (lost, finished) = file.finish(&BTreeMap::new(), 2_000_000_000_000_000_000, &gate);
    assert!(lost.is_empty() && finished.is_ok());
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    (taken, format!("{end:?}"), files.collect())
}

/// A capture of two interfaces, the second of which is described with its first packet.
fn begin(
    common: &Common,
    folder: &Path,
    limits: Limits,
    rotate: Rotate,
    room: Option<Allowance>,
) -> (CaptureFile, Gate) {
    let names = Names::new(&folder.join("x.pcapng"), true, TimeZone::UTC).unwrap();
    let mut series = Series::new(names, rotate.keeps());
    let path = series.next_path(BEGIN);
    let interfaces = [interface(1, true)];
    let (composer, header) = common.compose(interfaces.iter()).unwrap();
    let opened = Opened::open(&path).unwrap();
    let parts = Parts {
        path: Some(path),
        members: vec![0],
        series: Some(series),
        runner: None,
        room: None,
        durable: false,
        tell: Box::new(|_| {}),
    };
    let packing = Packing::Plain;
    let files = Files::new(PcapngFile::begin(opened, packing, &header).unwrap(), parts);
    let mut gate = Gate::new(limits);
    gate.begin(BEGIN);
    let mut file = CaptureFile::new(Begun {
        common: common.clone(),
        composer,
        spool: Spool::start("writer", files).unwrap(),
        stream: false,
        packing,
        interfaces: &interfaces,
        rotate: Some(rotate),
        room: room.map(|allowance| (0, allowance)),
        flush: Flush::default(),
        now: (BEGIN, 1_700_000_000_000_000_000),
    });
    file.add_interface(1, &interface(2, false), BEGIN, &gate)
        .unwrap();
    (file, gate)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn packets_in_rows_make_the_same_files_and_end_at_the_same_packet(
        cases in cases(),
        limits in (
            prop::option::of(1..50u64),
            prop::option::of(2_000..9_000u64),
            prop::option::of(0..1_000u64),
        ),
        rotate in (prop::option::of(1_200..3_000u64), prop::option::of(1..500u64)),
        asked in 0..60usize,
    ) {
        let (count, size, duration) = limits;
        let limits = Limits {
            count,
            size,
            duration: duration.map(Duration::from_nanos),
        };
        let rotate = Rotate {
            size: rotate.0,
            interval: rotate.1.map(Duration::from_nanos),
            ..Rotate::default()
        };
        let common = common(SNAPLEN);
        let one_by_one = capture(&common, &cases, limits, rotate, asked, false);
        let in_rows = capture(&common, &cases, limits, rotate, asked, true);
        prop_assert_eq!(in_rows, one_by_one);
    }
}

fn common(snaplen: u32) -> Common {
    Common {
        about: About::this_capture(&Plan::example(), Offset::measure()),
        frames: Frames::new(LinkType::Ethernet, snaplen),
        filter: String::new(),
    }
}

/// How many bytes a row takes of packets as long as that, as many as there are.
fn row_of(len: u32, room: Option<Allowance>) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let common = common(len);
    let limits = Limits::default();
    let (mut file, mut gate) = begin(&common, folder.path(), limits, Rotate::default(), room);
    let case = Case {
        after: 0,
        interface: 0,
        frame: vec![0; len as usize],
        lost_before: 0,
        gso: None,
        packet_id: Some(1),
        commented: false,
    };
    let before = file.finished_len();
    file.row(&mut gate, |row| {
        let mut put = true;
        while put {
            case.with(BEGIN, |packet, known| {
                put = row.put(packet, known.packet_id, BEGIN);
            });
        }
    });
    (before, file.finished_len())
}

#[test]
fn a_row_is_no_longer_than_the_disk_has_room_for() {
    // Less than what the file has already.
    let len = 60;
    let (_, least) = row_of(len, Some(Allowance::of(0)));
    for room in [least + 1_000, least + 50_000] {
        let (_, end) = row_of(len, Some(Allowance::of(room)));
        assert!(end <= room && end + 200 > room, "{end} of {room}");
    }
}

#[test]
fn a_row_is_no_longer_than_what_is_handed_over_at_once() {
    for len in [60, 65_535, 262_144] {
        let (before, end) = row_of(len, None);
        let row = end - before;
        assert!(row <= FLUSH_AT as u64, "{row} bytes of packets of {len}");
        assert!(row + 2 * u64::from(len) + 200 > FLUSH_AT as u64, "{row}");
    }
}
