//! `nodecap explain` over a large file, next to what tshark's conversation table takes for it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::report::{Aim, Report, Row};
use crate::router::Router;
use crate::traffic::{ACK, SYN, Traffic, WIRE_LEN};
use crate::{CAPTURE_CPU, Failure, Scale, median, progress};

/// How many connections the packets belong to.
const FLOWS: usize = 10_000;
/// Nanoseconds from one packet to the next.
const STEP: u64 = 10_000;
/// Ten times tshark's.
const AIM: Aim = Aim::RatioAtLeast(10.0);

/// Measures both by turns.
pub(crate) fn measure(scale: Scale, router: &Router, report: &mut Report) -> Result<(), Failure> {
    let packets = scale.explained_packets();
    let file = Router::file("explain.pcap");
    write(&router.node.outside(&file), packets)?;
    let mut rates = [Vec::new(), Vec::new()];
    for round in 1..=scale.explain_rounds() {
        progress(&format!("explaining a file, round {round}"));
        let mut nodecap = pinned(router, &lab::nodecap::binary());
        nodecap.args(["explain", "--quiet"]).arg(&file);
        let mut tshark = pinned(router, &lab::tool::path("tshark"));
        // Names would be asked for, which has nothing to do with conversations.
        tshark.args(["-n", "-q", "-z", "conv,tcp", "-r"]).arg(&file);
        for (rates, command) in rates.iter_mut().zip([nodecap, tshark]) {
            rates.push(packets as f64 / seconds(command)?);
        }
    }
    std::fs::remove_file(router.node.outside(&file))?;
    report.add(Row {
        what: format!("packets a second, {packets} of {FLOWS} TCP connections"),
        unit: "/s",
        ours: Some(median(&rates[0])),
        other: Some(median(&rates[1])),
        aim: Some(AIM),
        ..Row::default()
    });
    Ok(())
}

fn pinned(router: &Router, program: &std::path::Path) -> Command {
    let mut command = router.node.command("taskset");
    command.args(["--cpu-list", &CAPTURE_CPU.to_string()]);
    command.arg(program).stdout(Stdio::null());
    command
}

fn seconds(mut command: Command) -> Result<f64, Failure> {
    let start = Instant::now();
    let output = command.stderr(Stdio::piped()).output()?;
    let took = start.elapsed();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} failed:\n{said}").into());
    }
    Ok(took.as_secs_f64())
}

/// Writes a pcap file (nanoseconds, Ethernet) of that many packets.
fn write(path: &std::path::Path, packets: usize) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&0xa1b2_3c4du32.to_ne_bytes())?;
    file.write_all(&[2u16.to_ne_bytes(), 4u16.to_ne_bytes()].concat())?;
    for field in [0, 0, 262_144, 1u32] {
        file.write_all(&field.to_ne_bytes())?;
    }
    let mut traffic = Traffic::new(FLOWS);
    for index in 0..packets {
        let (flow, side, flags) = match index.checked_sub(2 * FLOWS) {
            Some(_) => {
                let (flow, side) = traffic.choose(FLOWS);
                (flow, side, ACK)
            }
            None if index < FLOWS => (index, 0, SYN),
            None => (index - FLOWS, 1, SYN | ACK),
        };
        let time = index as u64 * STEP;
        let frame = traffic.segment(flow, side, flags, time);
        for field in [
            1_700_000_000 + (time / 1_000_000_000) as u32,
            (time % 1_000_000_000) as u32,
            frame.len() as u32,
            WIRE_LEN,
        ] {
            file.write_all(&field.to_ne_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()?;
    Ok(())
}
