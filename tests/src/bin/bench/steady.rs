//! What a program takes while the machine runs at full speed.
//!
//! A virtual machine doesn't always have its processor to itself: for seconds at a time everything
//! takes half as long again or twice the time, and a median tells then how many of the runs fell
//! into such a time. The program that does nothing takes longer in it, too. So it runs just before
//! and just after whatever is measured, and a run counts only if it was quick both times.

use lab::frames::Flow;

use crate::code::Code;
use crate::{Failure, median};

/// `TC_ACT_UNSPEC`, linux/pkt_cls.h.
const TC_ACT_UNSPEC: i32 = -1;

/// Runs of the empty program at once: some milliseconds.
const REPEAT: u32 = 100_000;
/// By how much it may take longer than it ever did. At half speed it takes a third more, since what
/// there is to wait for isn't the processor alone.
const TOLERANCE: f64 = 1.1;
/// How many runs are made for one that counts, at the most.
const PATIENCE: usize = 6;

/// One run: what the empty program took around it, and what it took itself, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Run {
    pace: f64,
    cost: f64,
}

/// All runs of one case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(Vec<Run>);

impl Runs {
    /// How many were made, whether they count or not.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Tells when the machine runs at full speed.
pub(crate) struct Steady {
    empty: Code,
    packet: Vec<u8>,
    /// The least that the empty program took.
    best: f64,
    /// All that it took.
    taken: Vec<f64>,
}

impl Steady {
    /// Loads the empty program.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            empty: Code::returning(TC_ACT_UNSPEC)?,
            packet: Flow::new("198.51.100.2:40000", "203.0.113.2:9").udp(b"whatever"),
            best: f64::MAX,
            taken: Vec::new(),
        })
    }

    /// Measures once more.
    pub(crate) fn run(
        &mut self,
        runs: &mut Runs,
        measure: impl FnOnce() -> Result<f64, Failure>,
    ) -> Result<(), Failure> {
        let before = self.pace()?;
        let cost = measure()?;
        let pace = before.max(self.pace()?);
        runs.0.push(Run { pace, cost });
        Ok(())
    }

    /// Whether so many of each case's runs count, or there have been enough.
    pub(crate) fn suffices<'a>(
        &self,
        wanted: usize,
        cases: impl IntoIterator<Item = &'a Runs>,
    ) -> bool {
        cases.into_iter().all(|runs| {
            runs.len() >= wanted * PATIENCE
                || runs.0.iter().filter(|run| self.counts(run)).count() >= wanted
        })
    }

    /// What those took that count. Where fewer than five do, the five that come nearest to it.
    pub(crate) fn costs(&self, runs: &Runs) -> Vec<f64> {
        let mut sorted = runs.0.clone();
        sorted.sort_by(|a, b| a.pace.total_cmp(&b.pace));
        let count = sorted.iter().filter(|run| self.counts(run)).count();
        sorted.truncate(count.max(5));
        sorted.iter().map(|run| run.cost).collect()
    }

    /// The same, less what the empty program takes.
    pub(crate) fn beyond_empty(&self, runs: &Runs) -> Vec<f64> {
        let empty = median(&self.empty_costs());
        let costs = self.costs(runs);
        costs.into_iter().map(|cost| cost - empty).collect()
    }

    /// What the empty program took when the machine ran at full speed.
    pub(crate) fn empty_costs(&self) -> Vec<f64> {
        let mut taken = self.taken.clone();
        taken.retain(|taken| self.is_full_speed(*taken));
        taken
    }

    /// For how much of the time the machine ran at full speed, in percent.
    pub(crate) fn full_speed(&self) -> f64 {
        self.empty_costs().len() as f64 / self.taken.len().max(1) as f64 * 100.0
    }

    fn counts(&self, run: &Run) -> bool {
        self.is_full_speed(run.pace)
    }

    fn is_full_speed(&self, pace: f64) -> bool {
        // The kernel tells whole nanoseconds.
        pace <= (self.best * TOLERANCE).max(self.best + 1.0)
    }

    fn pace(&mut self) -> Result<f64, Failure> {
        let (_, taken) = self.empty.run(&self.packet, REPEAT)?;
        self.best = self.best.min(taken);
        self.taken.push(taken);
        Ok(taken)
    }
}
