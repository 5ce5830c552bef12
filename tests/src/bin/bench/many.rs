//! A capture on very many interfaces: how long it takes to begin, and what it costs to be there.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use lab::Signal;
use lab::namespace::Namespace;
use lab::nodecap::binary;
use lab::process::{Process, Stdout};
use lab::tool;

use crate::capture::cpu;
use crate::report::{Aim, Report, Row};
use crate::{Failure, Scale, progress};

/// As many as a node with a few hundred pods has.
const INTERFACES: usize = 500;

const ATTACHED_AIM: Option<Aim> = Some(Aim::AtMost(1_000.0));
const CPU_AIM: Option<Aim> = Some(Aim::AtMost(0.2));
const MEMORY_AIM: Option<Aim> = Some(Aim::AtMost(64.0));

/// Measures it by each way to attach.
pub(crate) fn measure(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let node = node();
    for (hook, name) in [
        ("tc", "TC, by TCX links"),
        ("clsact", "TC, by clsact filters"),
    ] {
        progress(&format!("idle on {INTERFACES} interfaces, {name}"));
        let begun = Instant::now();
        let mut command = node.command(binary());
        command.args(["capture", "-i", "any", "--hook", hook, "-w", "/dev/null"]);
        let process = Process::start(&mut command, Stdout::Collected);
        process.wait_for_stderr("`listening on`", |said| {
            said.contains("listening on").then_some(())
        });
        let attached = begun.elapsed();
        // What the beginning left to be done is over by then.
        thread::sleep(Duration::from_secs(2));
        let (since, before) = (Instant::now(), cpu(process.pid())?);
        thread::sleep(Duration::from_secs(scale.waiting_seconds().max(2)));
        let used = cpu(process.pid())?.saturating_sub(before);
        let share = used.as_secs_f64() / since.elapsed().as_secs_f64() * 100.0;
        let memory = resident(process.pid())?;
        process.signal(Signal::SIGINT);
        let finished = process.wait();
        if finished.code() != Some(0) {
            return Err(format!("nodecap failed:\n{}", finished.stderr).into());
        }
        for (what, unit, ours, aim) in [
            (
                "until it listens",
                "ms",
                attached.as_secs_f64() * 1_000.0,
                ATTACHED_AIM,
            ),
            ("process CPU, idle", "%", share, CPU_AIM),
            ("memory of the process, idle", "MiB", memory, MEMORY_AIM),
        ] {
            report.add(Row {
                what: format!("{what}, {name}"),
                unit,
                ours: Some(ours),
                aim,
                ..Row::default()
            });
        }
    }
    Ok(())
}

/// A namespace with that many interfaces, all up, over which nothing is sent.
fn node() -> Namespace {
    let node = Namespace::silent();
    let mut script = String::new();
    for pair in 0..INTERFACES / 2 {
        script += &format!("link add a{pair} type veth peer name b{pair}\n");
        script += &format!("link set a{pair} up\nlink set b{pair} up\n");
    }
    let file = lab::scratch::Scratch::new();
    let path = file.path("links");
    if let Err(error) = fs::write(&path, script) {
        panic!("{}: {error}", path.display());
    }
    tool::run(node.command(tool::path("ip")).arg("-batch").arg(&path));
    node
}

/// What a process has in memory, in MiB: `VmRSS`, proc(5).
fn resident(process: u32) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .ok_or("no VmRSS")?;
    Ok(kib.parse::<f64>()? / 1_024.0)
}
