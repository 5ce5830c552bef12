//! A capture in figures, for Prometheus.
//!
//! The kernel's counters are read when somebody asks; the mover's are those of its board, at most a
//! moment older. So what was received is never less than what was captured and lost. Counters only
//! grow, and those without an interface are at the end what the closing lines say.

use std::collections::{BTreeMap, HashMap};

use capture_common::counters::Counters;

use super::Session;
use super::progress::{Board, Written};
use super::recording::Recorded;
use crate::flow::reset::{Cause, OriginSide};
use crate::flow::summary::Summary;
use crate::metrics::exposition::{Kind, Page};
use crate::metrics::process::Process;

/// What the ledger calls what was counted for no interface that is known.
const STRAY: &str = "unknown interface";

/// What is told and doesn't change.
#[derive(Debug)]
pub(super) struct Figures {
    process: Process,
    /// Seconds since the Unix epoch.
    began: f64,
}

impl Figures {
    /// The capture began at that time, in nanoseconds since the Unix epoch.
    pub(super) fn new(began: u64) -> Self {
        Self {
            process: Process::new(),
            began: began as f64 / 1e9,
        }
    }
}

/// Of one name, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    kernel: Counters,
    written: Written,
}

impl Sum {
    fn add(&mut self, kernel: &Counters, written: Written) {
        self.kernel = self.kernel.plus(kernel);
        self.written.packets += written.packets;
        self.written.bytes += written.bytes;
    }

    fn losses(&self) -> [(&'static str, u64); 2] {
        [
            ("ring_full", self.kernel.ring_full),
            ("unreadable", self.kernel.unreadable),
        ]
    }
}

impl Session {
    /// All of it.
    pub(super) fn page(&self) -> String {
        // Before the kernel's counters: see above.
        let board = self.progress.board();
        let stray = self.attached.stray();

        // The mover hears of an interface's end after it was noted here, so whatever is told by itself
        // here is on the board too.
        let written: HashMap<_, _> = board.interfaces.iter().copied().collect();
        let written = |id| written.get(&id).copied().unwrap_or_default();
        let mut all = Sum::default();
        let mut by_name: BTreeMap<&str, Sum> = BTreeMap::new();
        for (id, name, kernel) in self.attached.gone() {
            by_name.entry(name).or_default().add(kernel, written(id));
        }
        for (id, name, kernel) in self.attached.counters() {
            by_name.entry(name).or_default().add(&kernel, written(id));
            all.add(&kernel, Written::default());
        }
        all.add(&self.attached.gone_total().plus(&stray), board.older);
        for (_, written) in &board.interfaces {
            all.add(&Counters::default(), *written);
        }
        if stray != Counters::default() {
            by_name
                .entry(STRAY)
                .or_default()
                .add(&stray, Written::default());
        }

        let mut page = Page::default();
        self.about(&mut page);
        packets(&mut page, &all);
        interfaces(&mut page, &by_name);
        self.queues(&mut page, &board, &all);
        if let Some((summary, remembered)) = &board.flows {
            flows(&mut page, summary, *remembered, self.plan.max_flows);
        }
        if let (Some(recorded), Some(record)) = (&board.recorded, &self.plan.record) {
            recorder(&mut page, recorded, record.bytes);
        }
        page.single(
            "nodecap_kernel_events_lost_total",
            Kind::Counter,
            "What the kernel side had to tell besides packets, and found no room for.",
            self.attached.events_lost(),
        );
        self.figures.process.tell(&mut page);
        page.into_text()
    }

    fn about(&self, page: &mut Page) {
        let version = env!("CARGO_PKG_VERSION");
        let mut build = page.family(
            "nodecap_build_info",
            Kind::Gauge,
            "Always 1, with the version that runs.",
        );
        build.sample(&[("version", version)], 1_u64);
        page.single(
            "nodecap_capture_start_time_seconds",
            Kind::Gauge,
            "When the capture began, in seconds since the Unix epoch.",
            self.figures.began,
        );
        page.single(
            "nodecap_interfaces",
            Kind::Gauge,
            "Interfaces that are captured on now.",
            self.attached.live(),
        );
    }

    fn queues(&self, page: &mut Page, board: &Board, all: &Sum) {
        let forgotten = board.recorded.as_ref().map_or(0, |it| it.forgotten);
        let done = all.written.packets + all.kernel.lost() + forgotten;
        page.single(
            "nodecap_packets_queued",
            Kind::Gauge,
            "Packets received that are neither captured nor lost nor forgotten yet.",
            all.kernel.matched.saturating_sub(done),
        );
        let mut held = page.family(
            "nodecap_held_packets",
            Kind::Gauge,
            "Of these, those that wait to be put in order of time, and those that wait for evidence about them.",
        );
        held.sample(&[("stage", "order")], board.ordering);
        held.sample(&[("stage", "evidence")], board.held);
        page.single(
            "nodecap_ring_size_bytes",
            Kind::Gauge,
            "Room in the ring between the kernel and this process (--ring-size).",
            u64::from(self.plan.ring_bytes),
        );
        page.single(
            "nodecap_ring_used_bytes",
            Kind::Gauge,
            "How much of it is taken.",
            board.ring,
        );
        page.single(
            "nodecap_writer_queue_bytes",
            Kind::Gauge,
            "Output that waits for the disk, the pipe or the terminal.",
            board.unwritten,
        );
        page.single(
            "nodecap_output_bytes_total",
            Kind::Counter,
            "Bytes of output made, before compression.",
            self.progress.bytes(),
        );
        page.single(
            "nodecap_files_total",
            Kind::Counter,
            "Capture files begun.",
            board.files,
        );
        page.single(
            "nodecap_packets_late_total",
            Kind::Counter,
            "Packets that came too late to be put in order of time.",
            board.late,
        );
        page.single(
            "nodecap_packets_hurried_total",
            Kind::Counter,
            "Packets written before all that could be known about them was, since the ring was filling.",
            board.hurried,
        );
    }
}

/// What the flight recorder did.
fn recorder(page: &mut Page, recorded: &Recorded, bytes: usize) {
    page.single(
        "nodecap_recorder_size_bytes",
        Kind::Gauge,
        "Memory of the flight recorder (--recorder-size).",
        bytes as u64,
    );
    page.single(
        "nodecap_recorder_forgotten_packets_total",
        Kind::Counter,
        "Packets that the flight recorder let go, since no event asked for them.",
        recorded.forgotten,
    );
    let mut events = page.family(
        "nodecap_recorder_events_total",
        Kind::Counter,
        "Events that packets were written around.",
    );
    for (kind, count) in &recorded.kinds {
        events.sample(&[("event", kind.name())], *count);
    }
    let counts = &recorded.counts;
    let mut cut = page.family(
        "nodecap_recorder_cut_events_total",
        Kind::Counter,
        "Events that may lack packets from before or after, which memory had no room for.",
    );
    cut.sample(&[("side", "before")], counts.cut);
    cut.sample(&[("side", "after")], counts.closed_early);
}

fn packets(page: &mut Page, all: &Sum) {
    page.single(
        "nodecap_packets_received_total",
        Kind::Counter,
        "Packets that the filter matched.",
        all.kernel.matched,
    );
    page.single(
        "nodecap_packets_captured_total",
        Kind::Counter,
        "Packets handed to the outputs. Should an output fail, the capture ends, and what it hadn't taken is lost.",
        all.written.packets,
    );
    let mut lost = page.family(
        "nodecap_packets_lost_total",
        Kind::Counter,
        "Packets that matched and were lost, by cause.",
    );
    for (cause, count) in all.losses() {
        lost.sample(&[("cause", cause)], count);
    }
    page.single(
        "nodecap_captured_bytes_total",
        Kind::Counter,
        "Length on the wire of the captured packets.",
        all.written.bytes,
    );
}

/// The same by interface: those that are there, and the last ones that are gone.
fn interfaces(page: &mut Page, by_name: &BTreeMap<&str, Sum>) {
    let mut each = |name, help, of: fn(&Sum) -> u64| {
        let mut family = page.family(name, Kind::Counter, help);
        for (interface, sum) in by_name {
            family.sample(&[("interface", interface)], of(sum));
        }
    };
    each(
        "nodecap_interface_packets_received_total",
        "Packets that the filter matched, by interface.",
        |sum| sum.kernel.matched,
    );
    each(
        "nodecap_interface_packets_captured_total",
        "Packets handed to the outputs, by interface.",
        |sum| sum.written.packets,
    );
    each(
        "nodecap_interface_captured_bytes_total",
        "Length on the wire of the captured packets, by interface.",
        |sum| sum.written.bytes,
    );
    let mut lost = page.family(
        "nodecap_interface_packets_lost_total",
        Kind::Counter,
        "Packets that matched and were lost, by interface and cause.",
    );
    for (interface, sum) in by_name {
        for (cause, count) in sum.losses() {
            lost.sample(&[("interface", interface), ("cause", cause)], count);
        }
    }
}

fn flows(page: &mut Page, summary: &Summary, remembered: usize, most: usize) {
    page.single(
        "nodecap_flows",
        Kind::Gauge,
        "Flows remembered now.",
        remembered,
    );
    page.single(
        "nodecap_flows_max",
        Kind::Gauge,
        "How many are remembered at the most (--max-flows).",
        most,
    );
    page.single(
        "nodecap_flows_begun_total",
        Kind::Counter,
        "Flows begun. Less the merged ones, this is what the closing lines call flows.",
        summary.flows + summary.merged,
    );
    page.single(
        "nodecap_flows_merged_total",
        Kind::Counter,
        "Flows that turned out to be part of another one.",
        summary.merged,
    );
    page.single(
        "nodecap_flows_evicted_total",
        Kind::Counter,
        "Flows forgotten before their end, to make room for others.",
        summary.evicted,
    );
    let mut ever: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (cause, side, count) in summary.resets.iter().chain(&summary.amended) {
        *ever.entry(labels(*cause, *side)).or_default() += count;
    }
    let mut resets = page.family(
        "nodecap_resets_total",
        Kind::Counter,
        "Verdicts on resets, by cause and by the side that they came from. Less the amended ones, these are what the closing lines tell.",
    );
    for ((cause, origin), count) in ever {
        resets.sample(&[("cause", cause), ("origin", origin)], count);
    }
    let mut amended = page.family(
        "nodecap_resets_amended_total",
        Kind::Counter,
        "Verdicts, as they were first, that gave way to another one.",
    );
    for (cause, side, count) in &summary.amended {
        let (cause, origin) = labels(*cause, *side);
        amended.sample(&[("cause", cause), ("origin", origin)], *count);
    }
    let mut translations = page.family(
        "nodecap_translations_total",
        Kind::Counter,
        "Translations found, by kind.",
    );
    for (kind, count) in &summary.translations {
        translations.sample(&[("kind", kind.name())], *count);
    }
    page.single(
        "nodecap_evidence_ignored_total",
        Kind::Counter,
        "Pieces of evidence that found no room in the tracker.",
        summary.evidence_ignored,
    );
}

const fn labels(cause: Cause, side: OriginSide) -> (&'static str, &'static str) {
    (cause.as_str(), side.as_str())
}
