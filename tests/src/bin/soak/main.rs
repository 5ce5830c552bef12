//! `cargo xtask soak`: a capture under everything at once for as long as one likes, and then a look
//! at whether it has grown, leaked or lost count.
//!
//! - [`load`]: traffic, connections that are reset, pods that come and go, hang-ups, overload
//! - [`vitals`]: what the capture's process has and holds
//! - [`confines`]: a control group in which memory is short
//! - [`keeper`]: what cleans up, however it ends
//!
//! It captures on all interfaces of a node, into rotated and compressed files of which the last few
//! are kept, with a ring and a flow table that are too small, so that both are full all the time.
//! Memory gets short before the first minute is over, and stays so.
//!
//! At the end: resident memory within 5 % of what it was half-way, no file descriptor,
//! map or program more than at the start, and a ledger that is exact, by interface and against what
//! was sent.

mod confines;
mod keeper;
mod load;
mod vitals;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::Signal;
use lab::metrics::{self, Page};
use lab::nodecap::Nodecap;
use lab::scratch::Scratch;
use lab::topology::{Node, add_wire};
use lab::wait::{patience, wait_for, wait_until};

use confines::Confines;
use keeper::Keeper;
use load::{Load, SENDER};
use vitals::Vitals;

/// How far resident memory may be from its level half-way. What has a bound takes its time to be full,
/// and the heap its own to be as large as it gets: of a thousand interfaces that are gone each is
/// accounted for by itself, which is two minutes of them, and with 16,384 of them go their names.
const TOLERANCE: f64 = 0.05;
/// What the flow table holds: little, so that it is full before the first minute is over.
const MAX_FLOWS: &str = "10000";
/// Likewise the ring.
const RING: &str = "4M";
/// What is kept on disk.
const FILES: usize = 4;
/// How often the capture is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let minutes = std::env::args()
        .nth(1)
        .map_or(Ok(5.0), |it| it.parse::<f64>());
    match minutes {
        Ok(minutes) if minutes > 0.0 && minutes.is_finite() => {
            if soak(Duration::from_secs_f64(minutes * 60.0)) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        _ => {
            eprintln!("soak MINUTES");
            ExitCode::from(2)
        }
    }
}

/// What was found, and whether each of it is as it should be.
#[derive(Default)]
struct Findings {
    bad: bool,
}

impl Findings {
    fn is(&mut self, good: bool, what: &str) {
        println!("{} {what}", if good { "good:" } else { "BAD: " });
        self.bad |= !good;
    }
}

fn soak(length: Duration) -> bool {
    let (lab, scratch, beside) = (Node::new(), Scratch::new(), Scratch::new());
    let keeper = Keeper::of(&Confines::folders(), &[scratch.folder(), beside.folder()]);
    if let Err(error) = &keeper {
        eprintln!("soak: nothing cleans up if it is ended early: {error}");
    }
    lab.node.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
    add_wire(&lab.node, SENDER, load::CATCHER, 1_500);
    // The node answers nothing there: what is counted on the wire is what was put on it.
    let catcher = format!("net.ipv4.conf.{}.arp_ignore", load::CATCHER);
    lab.node.sysctl(&catcher, "8");
    let capture = Nodecap::capture(&lab.node, "any")
        .args(["--metrics", "0", "-C", "4M", "-W", &FILES.to_string()])
        .args(["--ring-size", RING, "--max-flows", MAX_FLOWS, "-v"])
        .args(["--exec", "true", "--flows", "/dev/null"])
        .write(&scratch.path("x.pcapng.zst"))
        .start();
    let pid = capture.process().pid();
    let mut confines = Confines::around(pid);
    let address = metrics::address(&capture);
    let scrape = || metrics::scrape(&lab.node, address);
    // Once everything that is made on first use has been.
    drop(scrape());
    let at_the_start = Vitals::of(pid);

    let half = length / 2;
    let window = Duration::from_secs(15).min(length / 6);
    let begun = Instant::now();
    let mut tight = false;
    let over = AtomicBool::new(false);
    let mut looks: Vec<(Duration, Vitals)> = Vec::new();
    let mut pages: Vec<Page> = vec![lasting(scrape())];
    let load = Load::default();
    std::thread::scope(|scope| {
        let workers = load.start(scope, &lab, &capture, &over);
        while begun.elapsed() < length {
            sleep(BETWEEN_LOOKS);
            looks.push((begun.elapsed(), Vitals::of(pid)));
            if let Some(confines) = &mut confines
                && !tight
                && begun.elapsed() > Duration::from_secs(30).min(half / 5)
            {
                let most = ceiling(&capture.process().stderr());
                tight = most.is_some_and(|most| confines.tighten(most, &beside));
            }
            if looks.len().is_multiple_of(20) {
                let page = lasting(scrape());
                if let Some(before) = pages.last() {
                    page.assert_grown_from(before);
                }
                pages = vec![page];
                say_how_it_goes(begun.elapsed(), &looks, &pages);
            }
        }
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    wait_until("all pods to be gone", || {
        scrape().value("nodecap_interfaces") as usize == load::LASTING
    });
    let last = wait_for("figures of all packets of the wire", || {
        let page = scrape();
        let accounted = accounted(&page, load::CATCHER);
        if accounted > load.sent() {
            eprintln!(
                "soak: {accounted} packets on the wire, {} sent",
                load.sent()
            );
        }
        // Of the other interfaces some may be under way: loopback has the packets of this very
        // question.
        (accounted >= load.sent()).then_some(page)
    });
    // What the last pods left to do may take it a moment; what leaks stays.
    let mut at_the_end = Vitals::of(pid);
    let settling = Instant::now();
    while !at_the_end.holds_no_more_than(&at_the_start) && settling.elapsed() < patience() {
        sleep(BETWEEN_LOOKS);
        at_the_end = Vitals::of(pid);
    }
    let finished = capture.stop();
    let short = confines.as_ref().map(Confines::hits);
    drop(confines);

    let mut findings = Findings::default();
    let level = |from: Duration, to: Duration| {
        let within = looks.iter().filter(|(at, _)| (from..to).contains(at));
        median(within.map(|(_, vitals)| vitals.resident).collect())
    };
    let (first, end) = (level(half, half + window), level(length - window, length));
    let most = looks.iter().map(|(_, it)| it.resident).max().unwrap_or(0);
    let grown = end as f64 / first as f64 - 1.0;
    findings.is(
        grown.abs() <= TOLERANCE,
        &format!(
            "resident memory {} KiB after {half:?}, {} KiB at the end ({:+.1} %), {} KiB at the most",
            first >> 10,
            end >> 10,
            grown * 100.0,
            most >> 10
        ),
    );
    findings.is(
        ceiling(&finished.stderr).is_some_and(|ceiling| most <= ceiling),
        &format!(
            "at the start it said: at most {:?} KiB",
            ceiling(&finished.stderr).map(|it| it >> 10)
        ),
    );
    findings.is(
        at_the_end.holds_no_more_than(&at_the_start),
        &format!("at the start {at_the_start}, at the end {at_the_end}"),
    );
    ledger(&mut findings, &finished.stderr, &last, load.sent());
    let counts = finished.counts();
    let lost = last.sum("nodecap_packets_lost_total") as u64;
    findings.is(
        lost == counts.dropped && lost > 0,
        &format!(
            "{lost} packets lost in {} overloads, as told",
            load.overloads()
        ),
    );
    if let Some((hits, limit)) = short {
        findings.is(
            tight && hits > 0,
            &format!("memory was short {hits} times, with {} KiB", limit >> 10),
        );
    }
    for (what, least) in [
        ("nodecap_resets_total", 1.0),
        ("nodecap_translations_total", 1.0),
        ("nodecap_flows_evicted_total", 1.0),
        ("nodecap_files_total", FILES as f64 + 1.0),
    ] {
        findings.is(
            last.sum(what) >= least,
            &format!("{what} {}", last.sum(what)),
        );
    }
    files(&mut findings, &lab, &scratch);
    for line in finished.stderr.lines() {
        if ["flow", "reset", "translation"].iter().any(|what| {
            let word = line.split(' ').nth(1);
            word.is_some_and(|word| word.starts_with(what))
        }) {
            println!("       {line}");
        }
    }
    println!(
        "       {} packets, {} pods, {:?}",
        counts.received,
        load.pods(),
        begun.elapsed()
    );
    !findings.bad
}

/// A page without the pods' interfaces: of those that are gone only the last ones are told of.
fn lasting(mut page: Page) -> Page {
    let of_a_pod = |name: &String| load::PODS.iter().any(|start| name.starts_with(start));
    page.samples
        .retain(|(_, labels), _| !labels.get("interface").is_some_and(of_a_pod));
    page
}

/// Packets of an interface that were captured or lost.
fn accounted(page: &Page, interface: &str) -> u64 {
    let mut all = 0.0;
    for ((name, labels), value) in &page.samples {
        let counts = [
            "nodecap_interface_packets_captured_total",
            "nodecap_interface_packets_lost_total",
        ];
        if counts.contains(&name.as_str()) && labels["interface"] == interface {
            all += value;
        }
    }
    all as u64
}

fn say_how_it_goes(at: Duration, looks: &[(Duration, Vitals)], pages: &[Page]) {
    if let (Some((_, vitals)), Some(page)) = (looks.last(), pages.last()) {
        eprintln!(
            "soak: {:4.0} s: {} KiB, {vitals}, {} packets, {} lost, {} interfaces",
            at.as_secs_f64(),
            vitals.resident >> 10,
            page.value("nodecap_packets_received_total"),
            page.sum("nodecap_packets_lost_total"),
            page.value("nodecap_interfaces"),
        );
    }
}

/// What it said at its start that it takes at the most, in bytes.
fn ceiling(said: &str) -> Option<u64> {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("nodecap: memory: at most "))?;
    let figure = |text: &str| Some(text.trim().strip_suffix(" MiB")?.parse::<u64>().ok()? << 20);
    figure(line.split_once(':')?.0)
}

/// The ledger's lines add up, each by itself and all together; what was put on the wire is in it.
fn ledger(findings: &mut Findings, said: &str, last: &Page, sent: u64) {
    let mut by_name: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    let mut exact = true;
    for line in said.lines() {
        let Some((name, rest)) = line.split_once(": ") else {
            continue;
        };
        if !rest.contains(" received by filter = ") {
            continue;
        }
        let figures: Vec<u64> = rest
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|it| it.parse().ok())
            .collect();
        let &[
            received,
            captured,
            dropped,
            full,
            unreadable,
            unwritten,
            rest,
        ] = figures.as_slice()
        else {
            continue;
        };
        if received != captured + dropped + rest || dropped != full + unreadable + unwritten {
            exact = false;
            println!("       {line}");
        }
        let sums = by_name.entry(name).or_default();
        for (sum, figure) in sums.iter_mut().zip([received, captured, dropped, rest]) {
            *sum += figure;
        }
    }
    findings.is(
        exact && by_name.len() > 3,
        &format!("{} lines of the ledger add up", by_name.len()),
    );
    let wire = by_name.get(load::CATCHER).copied().unwrap_or_default();
    findings.is(
        wire[0] == sent && wire[1] + wire[2] == sent,
        &format!(
            "{sent} packets put on the wire, {wire:?} received, captured, dropped, past the end"
        ),
    );
    // What Prometheus was told last, when no packet of the wire was under way any more.
    let told = accounted(last, load::CATCHER);
    findings.is(told == sent, &format!("{told} of them told to Prometheus"));
}

/// The last few files are there, and whole.
fn files(findings: &mut Findings, lab: &Node, scratch: &Scratch) {
    let files: Vec<_> = std::fs::read_dir(scratch.folder())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let whole = files.iter().all(|file| {
        let explained = Nodecap::new(&lab.node, &["explain", "-q"])
            .args([file])
            .run();
        if explained.code() != Some(0) || explained.stderr.contains("cut") {
            eprintln!("{}: {}", file.display(), explained.stderr);
            return false;
        }
        true
    });
    findings.is(
        whole && files.len() == FILES,
        &format!("{} files are there, each whole", files.len()),
    );
}

fn median(mut figures: Vec<u64>) -> u64 {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or(0)
}

/// Sends a signal and leaves it at that.
fn signal(pid: u32, signal: Signal) {
    // One that has ended is found out about by whoever waits for it.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), signal);
}
